// A growing list of object ids with look-up by id, in typed arrays: 20 bytes and one slot of a hash table each, no object per id.
// Proof: repo/graph.test.ts.
import type { Oid } from './object.ts'

const OID_BYTES = 20
const FIRST_CAPACITY = 64
const scratch = new Uint8Array(OID_BYTES)

/** Reads 40 lower-case hex digits into `out`. False when it is no id. */
function parse(oid: Oid, out: Uint8Array): boolean {
  if (oid.length !== 2 * OID_BYTES) return false
  for (let i = 0; i < OID_BYTES; i++) {
    const high = digit(oid.charCodeAt(2 * i))
    const low = digit(oid.charCodeAt(2 * i + 1))
    if (high < 0 || low < 0) return false
    out[i] = (high << 4) | low
  }
  return true
}

function digit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1
}

export class OidTable {
  readonly #seed: number
  #ids = new Uint8Array(FIRST_CAPACITY * OID_BYTES) // bounded by what its owner adds
  #text = Buffer.from(this.#ids.buffer)
  #slots = new Int32Array(2 * FIRST_CAPACITY) // index + 1, 0 = free; linear probing, at most half full
  #size = 0

  /** @param seed makes places in the table unpredictable for who chooses ids */
  constructor(seed: number) {
    this.#seed = seed
  }

  get size(): number {
    return this.#size
  }

  /** -1 when it is not there. */
  find(oid: Oid): number {
    return parse(oid, scratch) ? this.findBytes(scratch, 0) : -1
  }

  findBytes(bytes: Uint8Array, at: number): number {
    for (let slot = this.#slot(bytes, at); ; slot = (slot + 1) & (this.#slots.length - 1)) {
      const index = (this.#slots[slot] as number) - 1
      if (index < 0) return -1
      if (this.#same(index, bytes, at)) return index
    }
  }

  /** Appends an id that is not there yet. @returns its index, -1 when it is no id */
  add(oid: Oid): number {
    return parse(oid, scratch) ? this.addBytes(scratch, 0) : -1
  }

  addBytes(bytes: Uint8Array, at: number): number {
    const index = this.#size
    if ((index + 1) * OID_BYTES > this.#ids.length) this.#grow()
    for (let i = 0; i < OID_BYTES; i++) this.#ids[index * OID_BYTES + i] = bytes[at + i] as number
    this.#size++
    this.#take(index)
    return index
  }

  /** Forgets the last ones. */
  truncate(size: number): void {
    // newest first: what was probed past them was added later and is gone already
    for (; this.#size > size; this.#size--) {
      const index = this.#size - 1
      let slot = this.#slot(this.#ids, index * OID_BYTES)
      while (this.#slots[slot] !== index + 1) slot = (slot + 1) & (this.#slots.length - 1)
      this.#slots[slot] = 0
    }
  }

  oid(index: number): Oid {
    return this.#text.toString('hex', index * OID_BYTES, (index + 1) * OID_BYTES)
  }

  /** The 20 bytes of an id, to be copied. */
  bytes(index: number): Uint8Array {
    return this.#ids.subarray(index * OID_BYTES, (index + 1) * OID_BYTES)
  }

  /** Order of the ids, not of the indexes. */
  compare(a: number, b: number): number {
    for (let i = 0; i < OID_BYTES; i++) {
      const d = (this.#ids[a * OID_BYTES + i] as number) - (this.#ids[b * OID_BYTES + i] as number)
      if (d !== 0) return d
    }
    return 0
  }

  #same(index: number, bytes: Uint8Array, at: number): boolean {
    for (let i = 0; i < OID_BYTES; i++) if (this.#ids[index * OID_BYTES + i] !== bytes[at + i]) return false
    return true
  }

  #slot(bytes: Uint8Array, at: number): number {
    let h = this.#seed | 0
    for (let i = at; i < at + OID_BYTES; i += 4) {
      h ^= (bytes[i] as number) | ((bytes[i + 1] as number) << 8) | ((bytes[i + 2] as number) << 16) | ((bytes[i + 3] as number) << 24)
      h = Math.imul(h ^ (h >>> 15), 0x9e3779b1)
    }
    return (h ^ (h >>> 13)) & (this.#slots.length - 1)
  }

  #take(index: number): void {
    let slot = this.#slot(this.#ids, index * OID_BYTES)
    while (this.#slots[slot] !== 0) slot = (slot + 1) & (this.#slots.length - 1)
    this.#slots[slot] = index + 1
  }

  #grow(): void {
    const ids = new Uint8Array(this.#ids.length * 2)
    ids.set(this.#ids)
    this.#ids = ids
    this.#text = Buffer.from(ids.buffer)
    this.#slots = new Int32Array(this.#slots.length * 2)
    for (let i = 0; i < this.#size; i++) this.#take(i)
  }
}
