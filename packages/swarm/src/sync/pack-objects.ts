// The entries of a spooled pack: where they lie, what they are, and their contents on demand, deltas resolved. Never all in memory.
// docs/protocol/04 §3.9, trap S11. Proof: sync/pack-reader.test.ts.
import { limitError } from '@jamikit/core/base'
import type { Clock } from '@jamikit/core/contracts'
import { MAX_WORK_FACTOR, OPERATION_OVERHEAD_BYTES, PACK_CACHE_BYTES } from '../defaults.ts'
import type { GitObject, ObjectType, Oid } from '../repo/object.ts'
import { applyDelta } from './delta.ts'
import { inflateExactly } from './inflate.ts'
import type { Spool } from './spool.ts'
import type { Turns } from '../repo/turns.ts'

export interface PackLimits {
  /** The pack file. */
  readonly bytes: number
  readonly objects: number
  readonly objectBytes: number
  readonly commitBytes: number
  /** All objects, delta data and results, overhead counted. */
  readonly inflatedBytes: number
  readonly deltaDepth: number
}

const TYPES: readonly ObjectType[] = ['commit', 'tree', 'blob', 'tag']
const NO_BASE = -1

/** Rows of fixed size in pack order; made for as many as the pack has bytes for. */
export class PackTable {
  readonly offsets: Float64Array
  /** Where the zlib stream begins. */
  readonly starts: Float64Array
  /** Inflated bytes of the entry: of the delta where it is one. */
  readonly ownSizes: Uint32Array
  /** Inflated bytes of the object. */
  readonly sizes: Uint32Array
  readonly crcs: Uint32Array
  /** Entry of the base, -1 without. */
  readonly bases: Int32Array
  readonly depths: Uint8Array
  /** Empty until it is known. */
  readonly oids: Oid[]
  readonly rows = new Map<Oid, number>() // bounded by the objects of the pack
  readonly #types: Uint8Array
  readonly end: number

  constructor(count: number, end: number) {
    this.offsets = new Float64Array(count)
    this.starts = new Float64Array(count)
    this.ownSizes = new Uint32Array(count)
    this.sizes = new Uint32Array(count)
    this.crcs = new Uint32Array(count)
    this.bases = new Int32Array(count).fill(NO_BASE)
    this.depths = new Uint8Array(count)
    this.oids = new Array<Oid>(count).fill('')
    this.#types = new Uint8Array(count)
    this.end = end
  }

  get count(): number {
    return this.offsets.length
  }

  /** The entry that begins at `offset`, among the first `count`. */
  rowAt(offset: number, count: number): number | undefined {
    let [low, high] = [0, count - 1]
    while (low <= high) {
      const middle = (low + high) >> 1
      const found = this.offsets[middle] as number
      if (found === offset) return middle
      if (found < offset) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }

  type(row: number): ObjectType {
    return TYPES[this.#types[row] as number] as ObjectType
  }

  setType(row: number, type: ObjectType): void {
    this.#types[row] = TYPES.indexOf(type)
  }

  /** Of an entry that has one. */
  base(row: number): number | undefined {
    const base = this.bases[row] as number
    return base === NO_BASE ? undefined : base
  }

  /** Bytes of the zlib stream. */
  deflatedSize(row: number): number {
    return (row + 1 < this.count ? (this.offsets[row + 1] as number) : this.end) - (this.starts[row] as number)
  }
}

export class PackObjects {
  readonly table: PackTable
  readonly spool: Spool
  readonly #clock: Pick<Clock, 'track'>
  readonly #turns: Turns
  readonly #limits: PackLimits
  readonly #cache = new Map<number, Uint8Array>() // bounded by PACK_CACHE_BYTES
  #cached = 0
  #work = 0

  constructor(table: PackTable, spool: Spool, clock: Pick<Clock, 'track'>, turns: Turns, limits: PackLimits) {
    this.table = table
    this.spool = spool
    this.#clock = clock
    this.#turns = turns
    this.#limits = limits
  }

  /** The zlib stream of an entry as it lies in the pack. */
  stream(row: number): Promise<Uint8Array> {
    return this.spool.read(this.table.starts[row] as number, this.table.deflatedSize(row))
  }

  /** An entry as it is, a delta as delta. @throws ERR_REPO_INVALID, ERR_LIMIT, ERR_STORAGE_CORRUPT */
  async own(row: number): Promise<Uint8Array> {
    const size = this.table.ownSizes[row] as number
    await this.worked(size)
    return (await inflateExactly(this.#clock, await this.stream(row), size)).data
  }

  /** Counts what is produced, again and again: a pack that makes us resolve the same deltas over and over ends with ERR_LIMIT. */
  async worked(bytes: number): Promise<void> {
    this.#work += bytes
    const allowed = this.#limits.inflatedBytes * MAX_WORK_FACTOR
    if (this.#work > allowed) throw limitError('bytes inflated of one pack', this.#work, allowed)
    const pause = this.#turns.object(bytes)
    if (pause) await pause
  }

  /** The object of an entry whose chain of bases is known. */
  async resolved(row: number): Promise<GitObject> {
    const chain: number[] = [] // bounded by the delta depth
    let at = row
    let data = this.#cache.get(at)
    for (let base = this.table.base(at); data === undefined && base !== undefined; base = this.table.base(at)) {
      chain.push(at)
      at = base
      data = this.#cache.get(at)
    }
    if (data === undefined) data = await this.own(at)
    this.keep(at, data)
    for (let next = chain.pop(); next !== undefined; next = chain.pop()) {
      data = await this.derived(data, await this.own(next))
      this.keep(next, data)
    }
    return { type: this.table.type(row), data }
  }

  async derived(base: Uint8Array, delta: Uint8Array, count?: (operations: number) => void): Promise<Uint8Array> {
    const { data, operations } = applyDelta(base, delta, this.#limits.objectBytes)
    count?.(operations)
    await this.worked(data.length + operations * OPERATION_OVERHEAD_BYTES)
    return data
  }

  /** For the next reads; the newest always stays. */
  keep(row: number, data: Uint8Array): void {
    const before = this.#cache.get(row)
    if (before) this.#forget(row, before)
    this.#cache.set(row, data)
    this.#cached += data.length
    for (const [oldest, bytes] of this.#cache) {
      if (this.#cached <= PACK_CACHE_BYTES || oldest === row) break
      this.#forget(oldest, bytes)
    }
  }

  #forget(row: number, data: Uint8Array): void {
    this.#cache.delete(row)
    this.#cached -= data.length
  }

  forgetAll(): void {
    this.#cache.clear()
    this.#cached = 0
  }
}
