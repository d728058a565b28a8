// The form of a sealed file. Pure. Blocks of 64 KiB; the first begins with a header: magic (8) ‖ salt (24) ‖ bytes written at once u64 ‖
// tag (16). Then frames, none of which crosses the end of a block: length u32 ‖ offset of its bytes in the file u64 ‖ tag of these and of the
// position (4) ‖ nonce (12) ‖ ciphertext ‖ tag (16), AES-256-GCM. The file's key comes from its salt and its path; a frame is bound to its length, offset and position. So what was
// moved, reordered or exchanged does not open, nor does a written file that was cut. An append adds frames and touches nothing older; a torn
// one is the incomplete frame at the end. Zeros where a frame would begin: nothing more in this block. docs/guides/storage.md.
// Proof: storage/sealed-file.test.ts.
import { createCipheriv, createDecipheriv, getRandomValues } from 'node:crypto'
import { JamiError } from '../base/errors.ts'
import { concatBytes, equalBytes, joinBytes, utf8 } from '../codec/bytes.ts'
import { hmac } from './seal-keys.ts'

export const BLOCK = 65_536
export const HEADER = 56
export const HEAD = 16
const HEAD_TAG = 4
const NONCE = 12
const TAG = 16
const OVERHEAD = HEAD + NONCE + TAG
/** Bytes of the owner that fit into a whole block. */
export const BLOCK_PLAIN = BLOCK - OVERHEAD
/** With less space left in a block, the next frame begins in the next one. */
const MIN_SPACE = 128
const MAGIC = utf8('JKSEAL1\n')

/** What must be known to append to a file and to read ranges. */
export interface SealedFile {
  readonly key: Uint8Array
  /** The owner's bytes that came with the header; fewer means that the file was cut. */
  readonly written: number
  /** Where the next frame belongs. */
  end: number
  /** The owner's bytes. */
  size: number
  /** Something that never finished follows the end. */
  torn: boolean
}

interface Frame {
  /** In the file. */
  readonly position: number
  /** Of the owner's bytes. */
  readonly offset: number
  readonly length: number
}

export function corruptFile(path: string, what: string): JamiError {
  return new JamiError('ERR_STORAGE_CORRUPT', `sealed file ${path}: ${what}`, { details: { path } })
}

function tagOf(key: Uint8Array, fixed: Uint8Array): Uint8Array {
  return hmac(key, utf8('header'), fixed).subarray(0, TAG)
}

export function makeHeader(root: Uint8Array, path: string, written: number): { key: Uint8Array; header: Uint8Array } {
  const fixed = new Uint8Array(HEADER - TAG)
  fixed.set(MAGIC)
  getRandomValues(fixed.subarray(8, 32))
  new DataView(fixed.buffer).setBigUint64(32, BigInt(written))
  const key = hmac(root, fixed.subarray(8, 32), utf8(path))
  return { key, header: concatBytes(fixed, tagOf(key, fixed)) }
}

/** @throws ERR_STORAGE_CORRUPT */
export function openHeader(root: Uint8Array, path: string, bytes: Uint8Array): { key: Uint8Array; written: number } {
  if (bytes.length < HEADER || !equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)) throw corruptFile(path, 'its header is damaged or cut')
  const fixed = bytes.subarray(0, HEADER - TAG)
  const key = hmac(root, fixed.subarray(8, 32), utf8(path))
  if (!equalBytes(tagOf(key, fixed), bytes.subarray(HEADER - TAG, HEADER))) throw corruptFile(path, 'its header is damaged, or it is a file of another place')
  return { key, written: Number(new DataView(fixed.buffer, fixed.byteOffset).getBigUint64(32)) }
}

function headOf(key: Uint8Array, position: number, offset: number, length: number): Uint8Array {
  const head = new Uint8Array(HEAD)
  const view = new DataView(head.buffer)
  view.setUint32(0, length)
  view.setBigUint64(4, BigInt(offset))
  head.set(hmac(key, utf8('frame'), head.subarray(0, HEAD - HEAD_TAG), positionBytes(position)).subarray(0, HEAD_TAG), HEAD - HEAD_TAG)
  return head
}

function positionBytes(position: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(position))
  return bytes
}

/** Undefined for zeros: no frame begins there. @param key left out where only frames that are opened count @throws ERR_STORAGE_CORRUPT */
export function readHead(path: string, key: Uint8Array | undefined, head: Uint8Array, position: number): Frame | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.length)
  const [length, offset] = head.length < HEAD ? [0, 0] : [view.getUint32(0), Number(view.getBigUint64(4))]
  if (head.length === HEAD && head.every((byte) => byte === 0)) return undefined
  const wrong = length === 0 || length > BLOCK - (position % BLOCK) - OVERHEAD || offset > Number.MAX_SAFE_INTEGER
  if (wrong || (key && !equalBytes(headOf(key, position, offset, length), head))) throw corruptFile(path, `damaged frame at byte ${position}`)
  return { position, offset, length }
}

function boundOf(head: Uint8Array, position: number): Uint8Array {
  return concatBytes(head, positionBytes(position))
}

/** Frames with `bytes` that belong after those that are there. */
export function sealFrames(key: Uint8Array, end: number, size: number, bytes: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  let position = end
  for (let at = 0; at < bytes.length; ) {
    const space = BLOCK - (position % BLOCK)
    if (space < MIN_SPACE) {
      parts.push(new Uint8Array(space))
      position += space
      continue
    }
    const plain = bytes.subarray(at, at + space - OVERHEAD)
    const head = headOf(key, position, size + at, plain.length)
    const nonce = getRandomValues(new Uint8Array(NONCE))
    const cipher = createCipheriv('aes-256-gcm', key, nonce)
    cipher.setAAD(boundOf(head, position))
    parts.push(head, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag())
    position += OVERHEAD + plain.length
    at += plain.length
  }
  return joinBytes(parts)
}

/** The whole frames in a piece of the file that begins at `start` with a frame. Ends at an incomplete one. @throws ERR_STORAGE_CORRUPT */
export function* framesIn(path: string, key: Uint8Array | undefined, bytes: Uint8Array, start: number): Iterable<Frame> {
  for (let at = 0; ; ) {
    const space = BLOCK - ((start + at) % BLOCK)
    if (bytes.length - at < Math.min(space, HEAD)) return
    const frame = space < MIN_SPACE ? undefined : readHead(path, key, bytes.subarray(at, at + HEAD), start + at)
    if (!frame) {
      at += space
      continue
    }
    if (at + OVERHEAD + frame.length > bytes.length) return
    yield frame
    at += OVERHEAD + frame.length
  }
}

/** The owner's bytes in a frame; undefined when it does not open. @param start where `bytes` begins in the file */
export function openFrame(key: Uint8Array, bytes: Uint8Array, start: number, { position, length }: Frame): Uint8Array | undefined {
  const whole = bytes.subarray(position - start, position - start + OVERHEAD + length)
  const cipher = createDecipheriv('aes-256-gcm', key, whole.subarray(HEAD, HEAD + NONCE))
  cipher.setAAD(boundOf(whole.subarray(0, HEAD), position))
  cipher.setAuthTag(whole.subarray(whole.length - TAG))
  const plain = cipher.update(whole.subarray(HEAD + NONCE, whole.length - TAG))
  try {
    return concatBytes(plain, cipher.final())
  } catch {
    return undefined
  }
}

/** A power cut may lengthen a file before its data comes: a frame whose tag is zeros was never finished. */
function isHole(bytes: Uint8Array, start: number, { position, length }: Frame): boolean {
  const end = position - start + OVERHEAD + length
  return bytes.subarray(end - TAG, end).every((byte) => byte === 0)
}

/** Finds the end in the last block of a file, or in an earlier one when the last has no whole frame (undefined). @throws ERR_STORAGE_CORRUPT */
export function findEnd(path: string, key: Uint8Array, bytes: Uint8Array, start: number): { end: number; size: number } | undefined {
  for (const frame of [...framesIn(path, key, bytes, start)].reverse()) {
    if (openFrame(key, bytes, start, frame)) return { end: frame.position + OVERHEAD + frame.length, size: frame.offset + frame.length }
    if (!isHole(bytes, start, frame)) throw corruptFile(path, `damaged frame at byte ${frame.position}`)
  }
  return undefined
}

/** All of the owner's bytes. @throws ERR_STORAGE_CORRUPT */
export function openFile(root: Uint8Array, path: string, bytes: Uint8Array): Uint8Array {
  const { key, written } = openHeader(root, path, bytes)
  const parts: Uint8Array[] = []
  const body = bytes.subarray(HEADER)
  const frames = [...framesIn(path, key, body, HEADER)]
  let size = 0
  for (const [i, frame] of frames.entries()) {
    const plain = frame.offset === size ? openFrame(key, body, HEADER, frame) : undefined
    if (!plain && i === frames.length - 1 && isHole(body, HEADER, frame)) break
    if (!plain) throw corruptFile(path, `damaged frame at byte ${frame.position}`)
    parts.push(plain)
    size += plain.length
  }
  if (size < written) throw corruptFile(path, `it was cut: got ${size} bytes, written ${written}`)
  return joinBytes(parts)
}

/** The start of the block. The first one begins with the header. */
export function blockStart(block: number): number {
  return block === 0 ? HEADER : block * BLOCK
}
