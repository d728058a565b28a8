// What a commit says: the JSON of its message. Pure. docs/protocol/04 §1.6. Proof: repo/commit-body.test.ts.
import { MAX_BODY_VALUES } from '../defaults.ts'
import { repoInvalid } from './object.ts'

const KNOWN: ReadonlySet<string> = new Set([
  'type', 'body', 'reply-to', 'react-to', 'edit', 'action', 'uri', 'device', 'confId', 'to', 'reason', 'duration', 'tid', 'displayName', 'totalSize', 'sha3sum',
  'mode', 'invited', 'mimeType', 'parent',
])
/** As deep as peers read. */
const MAX_NESTING = 1000

const [QUOTE, BACKSLASH, COMMA, BRACKET, BRACE, BRACKET_END, BRACE_END] = [0x22, 0x5c, 0x2c, 0x5b, 0x7b, 0x5d, 0x7d]

export interface CommitBody {
  readonly type: string
  /** Members as text, without `type`. */
  readonly fields: Readonly<Record<string, string>>
}

/** Compact, keys sorted, other than ASCII escaped; `mode` is a number. */
export function printBody(body: CommitBody): string {
  const all: Record<string, string | number> = { ...body.fields, type: body.type }
  if (body.fields.mode !== undefined) all.mode = Number(body.fields.mode)
  const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)))
  return JSON.stringify(sorted).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/**
 * More values than anybody writes: taking them apart would cost a quarter of a second a megabyte. Looks at no value.
 * @throws ERR_REPO_INVALID when they are nested deeper than peers read
 */
function isHeavy(json: string): boolean {
  let [values, depth] = [0, 0]
  for (let at = 0; at < json.length; at++) {
    const c = json.charCodeAt(at)
    if (c === QUOTE) {
      for (at++; at < json.length && json.charCodeAt(at) !== QUOTE; at++) if (json.charCodeAt(at) === BACKSLASH) at++
    } else if (c === COMMA) values++
    else if (c === BRACKET || c === BRACE) {
      values++
      if (++depth > MAX_NESTING + 1) throw repoInvalid(`commit message: nested in more than ${MAX_NESTING} levels`)
    } else if (c === BRACKET_END || c === BRACE_END) depth--
  }
  return values > MAX_BODY_VALUES
}

/**
 * Members that nobody knows are kept: text as it is, numbers and truths as text, what is nested as JSON. One that is too heavy is of unknown type and says nothing.
 * @throws ERR_REPO_INVALID when it is no JSON object, or a known member has the wrong type: peers read nothing of such a message either
 */
export function parseBody(message: string): CommitBody {
  if (message.startsWith('Merge commit')) return { type: 'merge', fields: { body: message } }
  if (message.length > MAX_BODY_VALUES && isHeavy(message)) return { type: 'unknown', fields: {} }
  let json: unknown
  try {
    json = JSON.parse(message)
  } catch {
    throw repoInvalid('commit message: not JSON')
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw repoInvalid('commit message: not a JSON object')
  const members = (Object.entries(json) as [string, unknown][]).filter(([key, value]) => value !== null && key !== '__proto__')
  const fields: Record<string, string> = {}
  for (const [key, value] of members) if (KNOWN.has(key)) fields[key] = known(key, value) // first: whoever keeps a few keeps these
  for (const [key, value] of members) if (!KNOWN.has(key)) fields[key] = typeof value === 'object' ? nested(value as object) : String(value)
  const { type = '', ...rest } = fields
  return { type, fields: rest }
}

function known(key: string, value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') throw repoInvalid(`commit message: ${key} is a ${typeof value}`)
  if (key === 'mode' && typeof value === 'string') throw repoInvalid('commit message: mode is text, allowed a number')
  if (key === 'totalSize' && !/^-?\d+$/.test(String(value))) throw repoInvalid('commit message: totalSize is no whole number')
  return String(value)
}

/** Level by level: a message of 1 MiB may be half a million brackets, and neither peers nor JSON.stringify go that deep. */
function nested(value: object): string {
  let level: unknown[] = [value]
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MAX_NESTING) throw repoInvalid(`commit message: nested in more than ${MAX_NESTING} levels`)
    level = level.flatMap((each) => (typeof each === 'object' && each !== null ? Object.values(each) : []))
  }
  return JSON.stringify(value)
}
