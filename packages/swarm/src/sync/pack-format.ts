// The framing of packs: header, entry headers, trailer. Pure. docs/protocol/04 §4.3, trap S11.
// Proof: sync/pack-reader.test.ts (git as oracle both ways, refusal table).
import { limitError } from '@jamikit/core/base'
import { toHex } from '@jamikit/core/codec'
import { type ObjectType, type Oid, repoInvalid } from '../repo/object.ts'

export const PACK_HEADER_BYTES = 12
export const PACK_TRAILER_BYTES = 20
/** The smallest entry: one byte of header and the zlib stream of nothing. */
export const MIN_ENTRY_BYTES = 9
/** No entry header is longer. */
export const MAX_ENTRY_HEADER_BYTES = 40
const NUMBER: Readonly<Record<ObjectType, number>> = { commit: 1, tree: 2, blob: 3, tag: 4 }
const NAME: readonly (ObjectType | undefined)[] = [undefined, 'commit', 'tree', 'blob', 'tag']
const OFS_DELTA = 6
const REF_DELTA = 7
const MAGIC = 0x5041434b

export function packHeader(count: number): Uint8Array {
  const out = new Uint8Array(PACK_HEADER_BYTES)
  const view = new DataView(out.buffer)
  view.setUint32(0, MAGIC)
  view.setUint32(4, 2)
  view.setUint32(8, count)
  return out
}

/** How many objects it declares. @throws ERR_REPO_INVALID */
export function readPackHeader(bytes: Uint8Array): number {
  if (bytes.length < PACK_HEADER_BYTES) throw repoInvalid(`pack: got ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const version = view.getUint32(4)
  if (view.getUint32(0) !== MAGIC || (version !== 2 && version !== 3)) throw repoInvalid('pack: not a pack of version 2 or 3')
  return view.getUint32(8)
}

export function entryHeader(type: ObjectType, size: number): Uint8Array {
  const out: number[] = []
  let rest = Math.floor(size / 16)
  out.push((NUMBER[type] << 4) | (size & 15) | (rest > 0 ? 0x80 : 0))
  while (rest > 0) {
    const next = Math.floor(rest / 128)
    out.push((rest & 0x7f) | (next > 0 ? 0x80 : 0))
    rest = next
  }
  return Uint8Array.from(out)
}

/** `back`: bytes between this entry and its base, which comes before it. */
export interface EntryHeader {
  readonly type: ObjectType | undefined
  readonly back: number | undefined
  readonly base: Oid | undefined
  /** Inflated bytes, of the delta where it is one. */
  readonly size: number
  readonly length: number
}

/** @param offset where in the pack `bytes` begin @throws ERR_REPO_INVALID, ERR_LIMIT when it declares more than `max` bytes */
export function readEntryHeader(bytes: Uint8Array, offset: number, max: number): EntryHeader {
  let at = 0
  const byte = (): number => {
    const b = at < MAX_ENTRY_HEADER_BYTES ? bytes[at++] : undefined
    if (b === undefined) throw repoInvalid('pack: truncated')
    return b
  }
  let b = byte()
  const kind = (b >> 4) & 7
  let size = b & 15
  for (let scale = 16; b & 0x80; scale *= 128) {
    b = byte()
    size += (b & 0x7f) * scale
    if (size > max) throw limitError('object bytes', size, max)
  }
  const type = NAME[kind]
  if (kind === OFS_DELTA) {
    b = byte()
    let back = b & 0x7f
    while (b & 0x80) {
      b = byte()
      back = (back + 1) * 128 + (b & 0x7f)
    }
    if (back <= 0 || back > offset - PACK_HEADER_BYTES) throw repoInvalid('pack: a delta base outside')
    return { type: undefined, back, base: undefined, size, length: at }
  }
  if (kind === REF_DELTA) {
    if (at + 20 > bytes.length) throw repoInvalid('pack: truncated')
    return { type: undefined, back: undefined, base: toHex(bytes.subarray(at, at + 20)), size, length: at + 20 }
  }
  if (!type) throw repoInvalid(`pack: object type ${kind}`)
  return { type, back: undefined, base: undefined, size, length: at }
}
