// JSON of bounded depth in, sorted compact JSON out. Pure. docs/protocol/03 §3.3. Proof: account/archive/archive.test.ts.
import { JamiError, limitError } from '../../base/errors.ts'
import { wellFormed } from '../../codec/text.ts'

export type JsonObject = { readonly [key: string]: unknown }

const MAX_DEPTH = 16

/** One object. @throws ERR_ARCHIVE_INVALID, ERR_LIMIT */
export function parseJsonObject(text: string): JsonObject {
  checkDepth(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new JamiError('ERR_ARCHIVE_INVALID', 'account archive: got broken JSON, allowed one JSON object') // no cause: it quotes the text
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new JamiError('ERR_ARCHIVE_INVALID', 'account archive: got other JSON, allowed one JSON object')
  return Object.freeze(Object.assign(Object.create(null), value)) as JsonObject
}

function checkDepth(text: string): void {
  let depth = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (inString) {
      if (c === 0x5c) i++
      else if (c === 0x22) inString = false
    } else if (c === 0x22) inString = true
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > MAX_DEPTH) throw limitError('archive JSON depth', depth, MAX_DEPTH)
    } else if (c === 0x7d || c === 0x5d) depth--
  }
}

/** Object keys in code unit order at every level; texts and keys are well-formed, as strict readers refuse escaped lone surrogates. */
export function stringifySorted(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? Object.fromEntries(Object.entries(inner).map(([key, item]) => [wellFormed(key), item] as const).sort(([a], [b]) => (a < b ? -1 : 1))) : typeof inner === 'string' ? wellFormed(inner) : inner,
  )
}
