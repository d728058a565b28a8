// The exact bytes of a map's values, for signatures that cover "the bytes as received". Pure. docs/protocol/01 §4.3, 03 §2.6.2.
// Proof: codec/msgpack.test.ts.
import { codecError } from '../base/errors.ts'
import { type MsgpackLimits, readMsgpack } from './msgpack.ts'

/**
 * Text keys of one map and the bytes of each value (views).
 * @throws ERR_CODEC when it is not one map of text keys, has a key twice, or something follows it; ERR_LIMIT
 */
export function sliceMsgpackMap(bytes: Uint8Array, limits: MsgpackLimits = {}): Map<string, Uint8Array> {
  const tag = bytes[0] ?? 0xc1
  if (tag < 0x80 || tag > 0x8f) throw codecError('msgpack map', `tag 0x${tag.toString(16)}`, `a map of at most 15 entries`)
  const count = tag & 0x0f
  const out = new Map<string, Uint8Array>() // bounded by 15 entries
  let at = 1
  for (let i = 0; i < count; i++) {
    const key = readMsgpack(bytes, at, limits)
    const value = key && readMsgpack(bytes, key.end, limits)
    if (!value || typeof key.value !== 'string' || out.has(key.value)) throw codecError('msgpack map', `entry ${i}`, 'complete entries with text keys, each once')
    out.set(key.value, bytes.subarray(key.end, value.end))
    at = value.end
  }
  if (at !== bytes.length) throw codecError('msgpack map', `${bytes.length - at} bytes after it`, 'nothing after it')
  return out
}
