// What a commit says: the JSON of its message. Pure. docs/protocol/04 §1.6. Proof: repo/commit-body.test.ts.
import { MAX_BODY_VALUES } from '../defaults.ts'
import { repoInvalid } from './object.ts'

const KNOWN = [
  'type', 'body', 'reply-to', 'react-to', 'edit', 'action', 'uri', 'device', 'confId', 'to', 'reason', 'duration', 'tid', 'displayName', 'totalSize', 'sha3sum',
  'mode', 'invited', 'mimeType', 'parent',
] as const

const [QUOTE, BACKSLASH, COMMA, BRACKET, BRACE] = [0x22, 0x5c, 0x2c, 0x5b, 0x7b]

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

/** More values than anybody writes: taking them apart would cost a quarter of a second a megabyte. Looks at no value. */
function isHeavy(json: string): boolean {
  let values = 0
  for (let at = 0; at < json.length; at++) {
    const c = json.charCodeAt(at)
    if (c === QUOTE) {
      for (at++; at < json.length && json.charCodeAt(at) !== QUOTE; at++) if (json.charCodeAt(at) === BACKSLASH) at++
    } else if ((c === COMMA || c === BRACKET || c === BRACE) && ++values > MAX_BODY_VALUES) return true
  }
  return false
}

/** One that is too heavy is of unknown type and says nothing. @throws ERR_REPO_INVALID when it is no JSON object or a known member has the wrong type */
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
  const fields: Record<string, string> = {}
  for (const key of KNOWN) {
    if (!Object.hasOwn(json, key)) continue
    const value: unknown = (json as Record<string, unknown>)[key]
    if (value === null) continue
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') throw repoInvalid(`commit message: ${key} is a ${typeof value}`)
    fields[key] = String(value)
  }
  for (const [key, value] of Object.entries(json)) if (!Object.hasOwn(fields, key) && typeof value === 'string' && key !== '__proto__') fields[key] = value
  const { type = '', ...rest } = fields
  return { type, fields: rest }
}
