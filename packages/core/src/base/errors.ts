// The one error class of the SDK. Nothing else may be thrown on purpose. Codes: contracts/errors.ts, explained in docs/errors.md.
// Proof: base/errors.test.ts.
import type { JamiErrorCode } from '../contracts/errors.ts'

const BRAND = Symbol.for('jamikit.JamiError')
/** `homepage` of package.json (a test compares); the only place of the code that names it. */
const HOMEPAGE = 'https://github.com/jamikit/jamikit'
const RETRYABLE: ReadonlySet<JamiErrorCode> = new Set([
  'ERR_PEER_OFFLINE', 'ERR_NO_ROUTE', 'ERR_LINK_LOST', 'ERR_CHANNEL_CLOSED', 'ERR_DHT_UNREACHABLE', 'ERR_TIMEOUT', 'ERR_STORAGE_LOCKED',
])

/** What an error carries besides code and message. */
export interface JamiErrorOptions {
  /** What went wrong below. */
  cause?: unknown
  /** For programs: what was got, what is allowed, which field. Never secrets or message text. */
  details?: Record<string, unknown>
  /** When a retry makes sense, milliseconds. */
  retryAfterMs?: number
}

/** An error with a stable `code`; `message` says what, got and allowed. Recognised by brand, so two copies of the SDK agree. */
export class JamiError extends Error {
  // Bundlers rename a class that names itself in its own body, and declared fields would be printed as undefined.
  static {
    Object.defineProperty(JamiError, 'name', { value: 'JamiError', configurable: true })
    Object.defineProperty(JamiError.prototype, 'name', { value: 'JamiError', configurable: true, writable: true })
  }

  /** Always `JamiError`. */
  declare readonly name: 'JamiError'
  /** What went wrong, for programs; explained at `docsUrl`. */
  readonly code: JamiErrorCode
  /** Which field, what was got, what is allowed; never secrets or message text. Frozen. */
  readonly details: Readonly<Record<string, unknown>>
  /** When a retry makes sense, milliseconds; absent when nobody knows. */
  declare readonly retryAfterMs?: number

  /** @param message says what, got and allowed */
  constructor(code: JamiErrorCode, message: string, options: JamiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = Object.freeze({ ...options.details })
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** True when doing the same again later may work. */
  get retryable(): boolean {
    return RETRYABLE.has(this.code)
  }

  /** Where the code is explained. */
  get docsUrl(): string {
    return `${HOMEPAGE}/blob/main/docs/errors.md#${this.code.toLowerCase()}`
  }

  /** Without `cause` and `stack`: for logs that leave the machine. */
  toJSON(): object {
    const { name, code, message, retryable, details, docsUrl, retryAfterMs } = this
    return { name, code, message, retryable, ...(retryAfterMs === undefined ? {} : { retryAfterMs }), details, docsUrl }
  }

  /**
   * Type guard; with `code`, also compares it.
   * @example if (JamiError.is(error, 'ERR_TIMEOUT')) console.log(error.details.timeoutMs)
   */
  static is(error: unknown, code?: JamiErrorCode): error is JamiError {
    return typeof error === 'object' && error !== null && BRAND in error && (code === undefined || (error as unknown as JamiError).code === code)
  }

  /** The error itself when it is ours, else wrapped as `code` with the original as cause. */
  static from(error: unknown, code: JamiErrorCode = 'ERR_INTERNAL'): JamiError {
    if (JamiError.is(error)) return error
    return new JamiError(code, error instanceof Error ? error.message : String(error), { cause: error, details: { error: error instanceof Error ? error.name : typeof error } })
  }
}

/** A caller's argument that is not as it must be; `got` is shown, so no secrets. */
export function argumentError(field: string, got: unknown, allowed: string): JamiError {
  return new JamiError('ERR_ARGUMENT', `${field}: got ${String(got)}, allowed ${allowed}`, { details: { field, got, allowed } })
}

/** Something that was closed before or meanwhile. @param what was closed: `the node`, `the account`, … */
export function closedError(what: string): JamiError {
  return new JamiError('ERR_CLOSED', `${what} was closed`, { details: { what } })
}

/** Something that does not exist here. @param what is not here, with its id: `conversation 5f…` */
export function notFoundError(what: string, details: Record<string, unknown> = {}): JamiError {
  return new JamiError('ERR_NOT_FOUND', `${what} is not here (any more)`, { details: { what, ...details } })
}

/** A field of outside bytes that is not as it must be. */
export function codecError(field: string, got: unknown, allowed: string): JamiError {
  return new JamiError('ERR_CODEC', `${field}: got ${String(got)}, allowed ${allowed}`, { details: { field, got, allowed } })
}

/** A bound that was reached. */
export function limitError(what: string, got: number, allowed: number): JamiError {
  return new JamiError('ERR_LIMIT', `${what}: got ${got}, allowed at most ${allowed}`, { details: { what, got, allowed } })
}
