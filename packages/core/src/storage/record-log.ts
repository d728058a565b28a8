// The form of the record log on disk: a header, then frames, each a whole batch that counts only when its digest is right.
// Pure. A frame is: length u32 ‖ digest of length and position (4) ‖ body ‖ digest of the body (16); a body is a list of
// key length u16 ‖ key ‖ value length u32 (0xffffffff = removed) ‖ value. Proof: storage/record-log.test.ts (every cut point).
import { JamiError } from '../base/errors.ts'
import { concatBytes, equalBytes, fromUtf8, utf8 } from '../codec/bytes.ts'
import type { StorageOp } from '../contracts/storage.ts'
import { sha256 } from '../crypto/hash.ts'

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
  const body = concatBytes(...parts)
  return concatBytes(head(body.length, position), body, sha256(body).subarray(0, DIGEST_BYTES))
}

/** What an operation costs on disk beyond its key and value. */
export const OP_OVERHEAD = 6

/**
 * Applies every whole frame to `records`. `end` is where the next frame belongs: what follows it is a write that never
 * finished. @throws ERR_STORAGE_CORRUPT when something that was finished is damaged
 */
export function replay(bytes: Uint8Array, records: Map<string, Uint8Array>): { end: number } {
  if (bytes.length < LOG_HEADER.length && equalBytes(bytes, LOG_HEADER.subarray(0, bytes.length))) return { end: 0 }
  if (!equalBytes(bytes.subarray(0, LOG_HEADER.length), LOG_HEADER)) throw corrupt('header', 0)
  let at = LOG_HEADER.length
  while (bytes.length - at >= HEAD_BYTES) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at)
    const length = view.getUint32(0)
    if (!equalBytes(head(length, at), bytes.subarray(at, at + HEAD_BYTES))) {
      if (bytes.subarray(at).every((byte) => byte === 0)) break // a file grown by a power cut before its data came
      throw corrupt('frame length', at)
    }
    const end = at + HEAD_BYTES + length + DIGEST_BYTES
    if (end > bytes.length) break
    const body = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length)
    if (!equalBytes(sha256(body).subarray(0, DIGEST_BYTES), bytes.subarray(end - DIGEST_BYTES, end))) {
      if (end === bytes.length) break // the last one: a power cut may leave holes in it
      throw corrupt('frame', at)
    }
    apply(body, records, at)
    at = end
  }
  return { end: at }
}

function apply(body: Uint8Array, records: Map<string, Uint8Array>, position: number): void {
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  let at = 0
  while (at < body.length) {
    if (body.length - at < OP_OVERHEAD) throw corrupt('operation', position)
    const keyEnd = at + 2 + view.getUint16(at)
    if (keyEnd + 4 > body.length) throw corrupt('operation', position)
    const key = fromUtf8(body.subarray(at + 2, keyEnd), 'record key')
    const length = view.getUint32(keyEnd)
    at = keyEnd + 4
    if (length === REMOVED) {
      records.delete(key)
      continue
    }
    if (at + length > body.length) throw corrupt('operation', position)
    records.set(key, new Uint8Array(body.subarray(at, at + length)))
    at += length
  }
}

function corrupt(what: string, position: number): JamiError {
  return new JamiError('ERR_STORAGE_CORRUPT', `record log: damaged ${what} at byte ${position}`, { details: { what, position } })
}
