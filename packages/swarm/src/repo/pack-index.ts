// Pack index v2: which object lies where in a pack, with CRC-32 of each entry. Pure. git's pack-format, version 2.
// Proof: repo/pack-index.test.ts (the bytes of `git index-pack`, refusal table).
import { JamiError, limitError } from '@jamikit/core/base'
import { equalBytes, fromHex, toHex } from '@jamikit/core/codec'
import { sha1 } from '@jamikit/core/crypto'
import type { Turns } from './turns.ts'
import type { Oid } from './object.ts'

const MAGIC = 0xff744f63
const FANOUT = 8
const IDS = FANOUT + 1024
/** Offsets of 31 bits: packs of 2 GiB and more are neither written nor read. */
const MAX_OFFSET = 0x7fffffff
const MAX_OBJECTS = 0x200000
/** What is looked at around an entry, and how often, before all entries are put in order. */
const NEAR_BYTES = 128 << 10
const MAX_LOOKS = 4
/** What an entry counts for in a slice of work. */
const ENTRY_COST = 400

export interface IndexedEntry {
  readonly oid: Oid
  readonly offset: number
  readonly crc: number
}

/** @param packName SHA-1 trailer of the pack, hex @throws ERR_LIMIT above 2 GiB */
export async function encodePackIndex(entries: Iterable<IndexedEntry>, packName: string, turns: Turns): Promise<Uint8Array> {
  const buckets = Array.from({ length: 256 }, (): IndexedEntry[] => [])
  let count = 0
  for (const entry of entries) {
    if (entry.offset > MAX_OFFSET) throw limitError('pack bytes', entry.offset, MAX_OFFSET)
    buckets[Number.parseInt(entry.oid.slice(0, 2), 16)]?.push(entry)
    count++
    const pause = turns.spend(ENTRY_COST)
    if (pause) await pause
  }
  const bytes = new Uint8Array(IDS + count * 28 + 40)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC)
  view.setUint32(4, 2)
  let at = 0
  for (const [first, bucket] of buckets.entries()) {
    bucket.sort((a, b) => (a.oid < b.oid ? -1 : 1))
    for (const { oid, offset, crc } of bucket) {
      bytes.set(fromHex(oid), IDS + at * 20)
      view.setUint32(IDS + count * 20 + at * 4, crc)
      view.setUint32(IDS + count * 24 + at * 4, offset)
      at++
      const pause = turns.spend(ENTRY_COST)
      if (pause) await pause
    }
    view.setUint32(FANOUT + first * 4, at)
  }
  bytes.set(fromHex(packName), bytes.length - 40)
  bytes.set(sha1(bytes.subarray(0, bytes.length - 20)), bytes.length - 20)
  return bytes
}

function corrupt(what: string): JamiError {
  return new JamiError('ERR_STORAGE_CORRUPT', `pack index: ${what}`)
}

/** An index as it lies on disk, searched in place. Rows count in the order of ids. */
export class PackIndex {
  readonly count: number
  /** SHA-1 trailer of its pack, hex. */
  readonly packName: string
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #order: Uint32Array | undefined
  #near = { from: 0, to: 0, offsets: new Float64Array(0), last: -1 }
  #looks = 0

  /** @throws ERR_STORAGE_CORRUPT, ERR_LIMIT when the pack is too large */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    if (bytes.length < IDS + 40 || this.#view.getUint32(0) !== MAGIC || this.#view.getUint32(4) !== 2) throw corrupt('not version 2')
    let before = 0
    for (let i = 0; i < 256; i++) {
      const upTo = this.#view.getUint32(FANOUT + i * 4)
      if (upTo < before) throw corrupt('fan-out goes down')
      before = upTo
    }
    this.count = before
    if (this.count > MAX_OBJECTS) throw limitError('objects of a pack', this.count, MAX_OBJECTS)
    const plain = IDS + this.count * 28 + 40
    if (bytes.length !== plain && (bytes.length < plain || (bytes.length - plain) % 8 !== 0)) throw corrupt(`got ${bytes.length} bytes, allowed ${plain} for ${this.count} objects`)
    if (!equalBytes(sha1(bytes.subarray(0, bytes.length - 20)), bytes.subarray(bytes.length - 20))) throw corrupt('the checksum is wrong')
    if (bytes.length !== plain) throw limitError('pack bytes', MAX_OFFSET + 1, MAX_OFFSET)
    this.packName = toHex(bytes.subarray(bytes.length - 40, bytes.length - 20))
  }

  /** -1 when it is not there. @param id 20 bytes */
  find(id: Uint8Array): number {
    const first = id[0] as number
    let low = first === 0 ? 0 : this.#view.getUint32(FANOUT + (first - 1) * 4)
    let high = this.#view.getUint32(FANOUT + first * 4)
    while (low < high) {
      const middle = (low + high) >> 1
      const d = this.#compare(middle, id)
      if (d === 0) return middle
      if (d < 0) low = middle + 1
      else high = middle
    }
    return -1
  }

  #compare(row: number, id: Uint8Array): number {
    const at = IDS + row * 20
    for (let i = 0; i < 20; i++) {
      const d = (this.#bytes[at + i] as number) - (id[i] as number)
      if (d !== 0) return d
    }
    return 0
  }

  id(row: number): Uint8Array {
    return this.#bytes.subarray(IDS + row * 20, IDS + row * 20 + 20)
  }

  crc(row: number): number {
    return this.#view.getUint32(IDS + this.count * 20 + row * 4)
  }

  offset(row: number): number {
    return this.#view.getUint32(IDS + this.count * 24 + row * 4)
  }

  /** Rows as they lie in the pack. */
  byOffset(): Uint32Array {
    if (!this.#order) {
      // offset and row in one number, so that a native sort does it
      const keys = new Float64Array(this.count)
      for (let row = 0; row < keys.length; row++) keys[row] = this.offset(row) * MAX_OBJECTS + row
      keys.sort()
      this.#order = new Uint32Array(this.count)
      for (let place = 0; place < keys.length; place++) this.#order[place] = (keys[place] as number) % MAX_OBJECTS
    }
    return this.#order
  }

  /** Row of the entry that begins here, -1 when none does. */
  rowAt(offset: number): number {
    const place = this.#place(offset) - 1
    const row = place < 0 ? -1 : (this.byOffset()[place] as number)
    return row >= 0 && this.offset(row) === offset ? row : -1
  }

  /** Where the entry after this offset begins; undefined after the last one. */
  next(offset: number): number | undefined {
    const near = this.#order ? undefined : this.#nearby(offset)
    if (near !== undefined) return near < 0 ? undefined : near
    const row = this.byOffset()[this.#place(offset)]
    return row === undefined ? undefined : this.offset(row)
  }

  /** The same, from what lies around: who reads a page needs no order of all. -1 when none follows, undefined when that is not known. */
  #nearby(offset: number): number | undefined {
    const known = this.#after(offset)
    if (known !== undefined || this.#looks >= MAX_LOOKS) return known
    this.#looks++
    const [from, to] = [offset - NEAR_BYTES, offset + NEAR_BYTES]
    const offsets: number[] = [] // bounded by NEAR_BYTES and what an entry takes at least
    let last = -1
    for (let row = 0; row < this.count; row++) {
      const at = this.offset(row)
      if (at > last) last = at
      if (at >= from && at <= to) offsets.push(at)
    }
    this.#near = { from, to, offsets: Float64Array.from(offsets).sort(), last }
    return this.#after(offset)
  }

  #after(offset: number): number | undefined {
    const { from, to, offsets, last } = this.#near
    if (offset < from || offset >= to) return undefined
    if (offset >= last) return -1
    let low = 0
    let high = offsets.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((offsets[middle] as number) <= offset) low = middle + 1
      else high = middle
    }
    return offsets[low]
  }

  /** How many entries begin here or before. */
  #place(offset: number): number {
    const order = this.byOffset()
    let low = 0
    let high = order.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.offset(order[middle] as number) <= offset) low = middle + 1
      else high = middle
    }
    return low
  }
}
