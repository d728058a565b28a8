// Packs: written without deltas, read with every bound a hostile sender could stretch. Pure (zlib apart).
// Own reader: objects, inflated bytes, delta depth and the trailer must be checked before anything is kept (docs/dependencies.md).
// docs/protocol/04 §3.9, §4.3, trap S11. Proof: sync/session.test.ts.
import { deflateSync, inflateSync } from 'node:zlib'
import { JamiError, limitError } from '@jamikit/core/base'
import { concatBytes, equalBytes, toHex } from '@jamikit/core/codec'
import { sha1 } from '@jamikit/core/crypto'
import { MAX_DELTA_DEPTH, MAX_INFLATED_BYTES, MAX_OBJECT_BYTES, MAX_OBJECTS } from '../defaults.ts'
import { type GitObject, objectId, type ObjectType, type Oid, repoInvalid } from '../repo/object.ts'

const TYPE: Readonly<Record<ObjectType, number>> = { commit: 1, tree: 2, blob: 3, tag: 4 }
const NAME: readonly (ObjectType | undefined)[] = [undefined, 'commit', 'tree', 'blob', 'tag']
const OFS_DELTA = 6
const REF_DELTA = 7

export function encodePack(objects: readonly GitObject[]): Uint8Array {
  const parts: Uint8Array[] = [packHeader(objects.length)]
  for (const { type, data } of objects) parts.push(entryHeader(TYPE[type], data.length), deflateSync(data))
  const body = concatBytes(...parts)
  return concatBytes(body, sha1(body))
}

function packHeader(count: number): Uint8Array {
  const out = new Uint8Array(12)
  const view = new DataView(out.buffer)
  view.setUint32(0, 0x5041434b)
  view.setUint32(4, 2)
  view.setUint32(8, count)
  return out
}

function entryHeader(type: number, size: number): Uint8Array {
  const out: number[] = []
  let rest = Math.floor(size / 16)
  out.push((type << 4) | (size & 15) | (rest > 0 ? 0x80 : 0))
  while (rest > 0) {
    const next = Math.floor(rest / 128)
    out.push((rest & 0x7f) | (next > 0 ? 0x80 : 0))
    rest = next
  }
  return Uint8Array.from(out)
}

interface Entry {
  readonly offset: number
  readonly type: number
  readonly data: Uint8Array
  readonly base: number | Oid | undefined
}

/** Objects of a pack, by id. @throws ERR_REPO_INVALID, ERR_LIMIT */
export function decodePack(pack: Uint8Array): Map<Oid, GitObject> {
  if (pack.length < 32) throw repoInvalid(`pack: got ${pack.length} bytes`)
  const view = new DataView(pack.buffer, pack.byteOffset, pack.length)
  const version = view.getUint32(4)
  const count = view.getUint32(8)
  if (view.getUint32(0) !== 0x5041434b || (version !== 2 && version !== 3)) throw repoInvalid('pack: not a pack of version 2 or 3')
  if (count > MAX_OBJECTS) throw limitError('objects of a pack', count, MAX_OBJECTS)
  const end = pack.length - 20
  if (!equalBytes(sha1(pack.subarray(0, end)), pack.subarray(end))) throw repoInvalid('pack: the checksum is wrong')
  const entries = new Map<number, Entry>()
  let at = 12
  let total = 0
  for (let i = 0; i < count; i++) {
    const { entry, next } = readEntry(pack, at, end, MAX_INFLATED_BYTES - total)
    total += entry.data.length
    entries.set(entry.offset, entry)
    at = next
  }
  if (at !== end) throw repoInvalid('pack: bytes after the last object')
  return resolve(entries)
}

function readEntry(pack: Uint8Array, offset: number, end: number, allowed: number): { entry: Entry; next: number } {
  let at = offset
  const byte = (): number => {
    if (at >= end) throw repoInvalid('pack: truncated')
    return pack[at++] as number
  }
  let b = byte()
  const type = (b >> 4) & 7
  let size = b & 15
  let scale = 16
  while (b & 0x80) {
    b = byte()
    size += (b & 0x7f) * scale
    scale *= 128
    if (size > MAX_OBJECT_BYTES) throw limitError('object bytes', size, MAX_OBJECT_BYTES)
  }
  if (size > allowed) throw limitError('inflated bytes', size, allowed)
  let base: number | Oid | undefined
  if (type === OFS_DELTA) {
    b = byte()
    let back = b & 0x7f
    while (b & 0x80) {
      b = byte()
      back = (back + 1) * 128 + (b & 0x7f)
      if (back > pack.length) throw repoInvalid('pack: a delta base outside')
    }
    base = offset - back
  } else if (type === REF_DELTA) {
    if (at + 20 > end) throw repoInvalid('pack: truncated')
    base = toHex(pack.subarray(at, at + 20))
    at += 20
  } else if (!NAME[type]) throw repoInvalid(`pack: object type ${type}`)
  const { data, used } = inflate(pack.subarray(at, end), size)
  return { entry: { offset, type, data, base }, next: at + used }
}

/** Exactly `size` bytes, and how much of the input they took. */
function inflate(input: Uint8Array, size: number): { data: Uint8Array; used: number } {
  try {
    // info: also gives the engine, whose bytesWritten is the input used; the type declarations do not know it
    const result = inflateSync(input, { maxOutputLength: size + 1, info: true } as Parameters<typeof inflateSync>[1]) as unknown as {
      buffer: Uint8Array
      engine: { bytesWritten: number }
    }
    if (result.buffer.length === size) return { data: new Uint8Array(result.buffer), used: result.engine.bytesWritten }
  } catch (cause) {
    throw new JamiError('ERR_REPO_INVALID', 'pack: an object does not inflate', { cause })
  }
  throw repoInvalid('pack: an object has another size than declared')
}

function resolve(entries: ReadonlyMap<number, Entry>): Map<Oid, GitObject> {
  const done = new Map<number, GitObject>()
  const byId = new Map<Oid, GitObject>()
  const keep = (entry: Entry, object: GitObject) => {
    done.set(entry.offset, object)
    byId.set(objectId(object), object)
  }
  let waiting: Entry[] = []
  for (const entry of entries.values()) {
    const type = NAME[entry.type]
    if (type) keep(entry, { type, data: entry.data })
    else waiting.push(entry)
  }
  let produced = 0
  for (let depth = 1; waiting.length > 0; depth++) {
    if (depth > MAX_DELTA_DEPTH) throw limitError('delta depth', depth, MAX_DELTA_DEPTH)
    const still: Entry[] = []
    for (const entry of waiting) {
      const base = typeof entry.base === 'number' ? done.get(entry.base) : byId.get(entry.base ?? '')
      if (!base) {
        still.push(entry)
        continue
      }
      const data = applyDelta(base.data, entry.data)
      produced += data.length
      if (produced > MAX_INFLATED_BYTES) throw limitError('inflated bytes', produced, MAX_INFLATED_BYTES)
      keep(entry, { type: base.type, data })
    }
    if (still.length === waiting.length) throw repoInvalid('pack: a delta without its base')
    waiting = still
  }
  return byId
}

/** @throws ERR_REPO_INVALID when the delta does not fit its base, ERR_LIMIT */
export function applyDelta(base: Uint8Array, delta: Uint8Array): Uint8Array {
  let at = 0
  const byte = (): number => {
    if (at >= delta.length) throw repoInvalid('delta: truncated')
    return delta[at++] as number
  }
  const size = (): number => {
    let value = 0
    let scale = 1
    for (;;) {
      const b = byte()
      value += (b & 0x7f) * scale
      scale *= 128
      if (value > MAX_OBJECT_BYTES) throw limitError('object bytes', value, MAX_OBJECT_BYTES)
      if ((b & 0x80) === 0) return value
    }
  }
  if (size() !== base.length) throw repoInvalid('delta: made for another base')
  const length = size()
  const parts: Uint8Array[] = [] // what is there is copied; nothing is allocated by the declared length
  let made = 0
  while (at < delta.length) {
    const op = byte()
    if (op === 0) throw repoInvalid('delta: a reserved instruction')
    let part: Uint8Array
    if (op & 0x80) {
      let from = 0
      let count = 0
      for (let i = 0; i < 4; i++) if (op & (1 << i)) from += byte() * 256 ** i
      for (let i = 0; i < 3; i++) if (op & (0x10 << i)) count += byte() * 256 ** i
      if (count === 0) count = 0x10000
      if (from + count > base.length) throw repoInvalid('delta: a copy outside the base')
      part = base.subarray(from, from + count)
    } else {
      if (at + op > delta.length) throw repoInvalid('delta: truncated')
      part = delta.subarray(at, at + op)
      at += op
    }
    made += part.length
    if (made > length) throw repoInvalid('delta: more than it declares')
    parts.push(part)
  }
  if (made !== length) throw repoInvalid('delta: less than it declares')
  return concatBytes(...parts)
}
