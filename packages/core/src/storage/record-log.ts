// The form of the record log on disk: a header, then frames, each a whole batch that counts only when its digest is right.
// Pure. A frame is: length u32 ‖ digest of length and position (4) ‖ body ‖ digest of the body (16); a body is a list of
// key length u16 ‖ key ‖ value length u32 (0xffffffff = removed) ‖ value. Proof: storage/record-log.test.ts (every cut point).
import { JamiError } from '../base/errors.ts'
import { concatBytes, equalBytes, joinBytes, utf8 } from '../codec/bytes.ts'
import type { StorageOp } from '../contracts/storage.ts'
import { sha256 } from '../crypto/hash.ts'
import { isKey } from './keys.ts'

export const LOG_HEADER = utf8('jamikit records 1\n')
const REMOVED = 0xffffffff
const HEAD_BYTES = 8
const DIGEST_BYTES = 16

function head(length: number, position: number): Uint8Array {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, length)
  view.setBigUint64(8, BigInt(position))
  bytes.set(sha256(bytes).subarray(0, 4), 4)
  return bytes.slice(0, HEAD_BYTES)
}

/** One frame that begins at byte `position` of the log. */
export function encodeFrame(ops: readonly StorageOp[], position: number): Uint8Array {
  const parts: Uint8Array[] = []
  for (const { key, value } of ops) {
    const name = utf8(key)
    const lengths = new Uint8Array(6 + name.length)
    const view = new DataView(lengths.buffer)
    view.setUint16(0, name.length)
    lengths.set(name, 2)
    view.setUint32(2 + name.length, value === null ? REMOVED : value.length)
    parts.push(lengths)
    if (value !== null) parts.push(value)
  }
  const body = joinBytes(parts)
  return concatBytes(head(body.length, position), body, sha256(body).subarray(0, DIGEST_BYTES))
}

/** What an operation costs on disk beyond its key and value. */
export const OP_OVERHEAD = 6

/** A frame that was finished and cannot be read any more; `what` of it, and where it begins. */
export interface Damage {
  readonly what: string
  readonly position: number
}

/**
 * Applies every whole frame to `records`. `end` is where the next frame belongs: what follows it is a write that never finished. A damaged
 * frame costs itself; where its length is damaged, it costs what follows, too. @throws ERR_STORAGE_CORRUPT when it is no record log
 */
export function replay(bytes: Uint8Array, records: Map<string, Uint8Array>): { end: number; damage: Damage[] } {
  const damage: Damage[] = [] // bounded by the frames
  if (bytes.length < LOG_HEADER.length && equalBytes(bytes, LOG_HEADER.subarray(0, bytes.length))) return { end: 0, damage }
  if (!equalBytes(bytes.subarray(0, LOG_HEADER.length), LOG_HEADER)) throw corrupt('header', 0)
  let at = LOG_HEADER.length
  while (bytes.length - at >= HEAD_BYTES) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at)
    const length = view.getUint32(0)
    if (!equalBytes(head(length, at), bytes.subarray(at, at + HEAD_BYTES))) {
      if (!bytes.subarray(at).every((byte) => byte === 0)) damage.push({ what: 'frame length', position: at }) // else: grown by a power cut before its data came
      break
    }
    const end = at + HEAD_BYTES + length + DIGEST_BYTES
    if (end > bytes.length) break
    const body = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length)
    const ops = equalBytes(sha256(body).subarray(0, DIGEST_BYTES), bytes.subarray(end - DIGEST_BYTES, end)) ? decode(body) : undefined
    if (!ops && end === bytes.length) break // the last one: a power cut may leave holes in it
    if (!ops) damage.push({ what: 'frame', position: at })
    for (const { key, value } of ops ?? []) {
      if (value === null) records.delete(key)
      else records.set(key, value)
    }
    at = end
  }
  return { end: at, damage }
}

/** The operations of a body; undefined when it is none. */
function decode(body: Uint8Array): StorageOp[] | undefined {
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  const ops: StorageOp[] = [] // bounded by the body
  let at = 0
  while (at < body.length) {
    if (body.length - at < OP_OVERHEAD) return undefined
    const keyEnd = at + 2 + view.getUint16(at)
    if (keyEnd + 4 > body.length) return undefined
    const key = String.fromCharCode(...body.subarray(at + 2, keyEnd)) // the alphabet of keys is ASCII
    if (!isKey(key)) return undefined
    const length = view.getUint32(keyEnd)
    at = keyEnd + 4
    if (length !== REMOVED && at + length > body.length) return undefined
    ops.push({ key, value: length === REMOVED ? null : new Uint8Array(body.subarray(at, at + length)) })
    if (length !== REMOVED) at += length
  }
  return ops
}

function corrupt(what: string, position: number): JamiError {
  return new JamiError('ERR_STORAGE_CORRUPT', `record log: damaged ${what} at byte ${position}`, { details: { what, position } })
}
