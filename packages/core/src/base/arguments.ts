// What callers give to public methods, checked at the call: one description per option, one form of error (ERR_ARGUMENT with field,
// got and allowed). Names that nobody knows are refused. Pure. Proof: base/arguments.test.ts.
import { argumentError } from './errors.ts'

/** What an argument may be. */
export interface Check {
  /** In words, for the error. */
  readonly allowed: string
  /** True for what is allowed. */
  readonly test: (value: unknown) => boolean
  /** Says what came instead; never a secret's text. */
  readonly shown?: (value: unknown) => string
  /** Throws an error of its own instead. */
  readonly refuse?: (field: string, value: unknown) => never
}

/** Options of a method by name. */
export type Shape = Readonly<Record<string, Check>>

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
const thing = (allowed: string, test: (value: unknown) => boolean): Check => ({ allowed, test })

/** A kind of value in a few characters; texts are quoted and cut, unless `quote` is false. */
export function shown(value: unknown, quote = true): string {
  if (typeof value === 'string') return quote ? JSON.stringify(value.slice(0, 80)) : `a text of ${value.length} characters`
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'bigint') return `${value}n`
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/** The kinds of arguments there are. */
export const is = {
  /** Its text is not shown. */
  text: (min: number, max: number): Check => ({
    allowed: `a text of ${min} to ${max} characters without NUL`,
    test: (value) => typeof value === 'string' && value.length >= min && value.length <= max && !value.includes('\0'),
    shown: (value) => shown(value, false),
  }),
  /** An integer from `min` to `max`. */
  whole: (min: number, max: number): Check => thing(`a whole number from ${min} to ${max}`, (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max),
  /** Infinity is a length of time, too. */
  milliseconds: thing('a number of milliseconds >= 0', (value) => typeof value === 'number' && value >= 0),
  /** True or false. */
  boolean: thing('true or false', (value) => typeof value === 'boolean'),
  /** A function. */
  function: thing('a function', (value) => typeof value === 'function'),
  /** An AbortSignal, or what has its parts. */
  signal: thing('an AbortSignal', (value) => isObject(value) && typeof (value as AbortSignal).aborted === 'boolean' && typeof (value as AbortSignal).addEventListener === 'function'),
  /** A Uint8Array of any length. A text in its place may be a secret: it is not shown. */
  bytes: { ...thing('a Uint8Array (of hex digits: Buffer.from(text, \'hex\'))', (value) => value instanceof Uint8Array), shown: (value) => shown(value, false) } as Check,
  /** One of these texts. */
  oneOf: (...values: readonly string[]): Check => thing(values.map((value) => `'${value}'`).join(' or '), (value) => typeof value === 'string' && values.includes(value)),
  /** So many hex digits, of either case. */
  hex: (digits: number): Check => thing(`${digits} hex digits`, (value) => typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/i.test(value)),
  /** An object with these methods. */
  with: (what: string, ...methods: readonly string[]): Check => thing(methods.length > 0 ? `${what} (an object with ${methods.join(', ')})` : what, (value) => isObject(value) && methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')),
  /** A list of at most `max`. */
  listOf: (check: Check, max: number): Check => thing(`a list of at most ${max}, each ${check.allowed}`, (value) => Array.isArray(value) && value.length <= max && value.every(check.test)),
  /** What one of them allows. */
  either: (...checks: readonly Check[]): Check => {
    const careful = checks.find((check) => check.shown)?.shown // what one of them does not show, none does
    return { ...thing(checks.map((check) => check.allowed).join(', or '), (value) => checks.some((check) => check.test(value))), ...(careful ? { shown: careful } : {}) }
  },
} as const

/** Of every method that waits. */
export const OP: Shape = { signal: is.signal, timeoutMs: is.milliseconds }

/** @throws ERR_ARGUMENT */
export function checkArgument(field: string, value: unknown, check: Check): void {
  if (check.test(value)) return
  check.refuse?.(field, value)
  throw argumentError(field, (check.shown ?? shown)(value), check.allowed)
}

/** Options may be left out, and each of them may be undefined; other names are refused. @throws ERR_ARGUMENT */
export function checkOptions(options: unknown, shape: Shape, field = 'options'): void {
  if (options === undefined) return
  if (!isObject(options) || Array.isArray(options)) throw argumentError(field, shown(options), `an object with ${names(shape)}, or nothing`)
  for (const [name, value] of Object.entries(options)) {
    const check = Object.hasOwn(shape, name) ? shape[name] : undefined
    if (!check) throw argumentError(field === 'options' ? name.slice(0, 80) : `${field}.${name.slice(0, 80)}`, 'an option of this name', names(shape))
    if (value !== undefined) checkArgument(field === 'options' ? name : `${field}.${name}`, value, check)
  }
}

const names = (shape: Shape) => Object.keys(shape).join(', ') || 'no options'
