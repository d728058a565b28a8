// Reads a pack as it comes in: spooled, hashed, then indexed in slices with every bound that a hostile sender could stretch, checked
// before anything is allocated. Own reader: nothing may be kept before sizes, depth, number and trailer are known to be right
// (docs/dependencies.md). docs/protocol/04 §3.9, §4.3, trap S11. Proof: sync/pack-reader.test.ts (git as oracle, bombs, refusal table, fuzz).
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { JamiError, limitError } from '@jamikit/core/base'
import { concatBytes, equalBytes, toHex } from '@jamikit/core/codec'
import type { Clock } from '@jamikit/core/contracts'
import {
  MAX_CLONE_BYTES, MAX_CLONE_INFLATED_BYTES, MAX_CLONE_OBJECTS, MAX_COMMIT_BYTES, MAX_DELTA_DEPTH, MAX_FETCH_BYTES, MAX_INFLATED_BYTES, MAX_OBJECT_BYTES, MAX_OBJECTS, OBJECT_OVERHEAD_BYTES, OPERATION_OVERHEAD_BYTES, SPOOL_MEMORY_BYTES,
} from '../defaults.ts'
import { objectId, type ObjectType, type Oid, repoInvalid } from '../repo/object.ts'
import type { ReceivedPack } from '../repo/types.ts'
import { deltaSizes } from './delta.ts'
import { inflateExactly, maxDeflated } from './inflate.ts'
import { MAX_ENTRY_HEADER_BYTES, MIN_ENTRY_BYTES, PACK_HEADER_BYTES, PACK_TRAILER_BYTES, readEntryHeader, readPackHeader } from './pack-format.ts'
import { type PackLimits, PackObjects, PackTable } from './pack-objects.ts'
import { SpooledPack } from './received-pack.ts'
import { type Scratch, Spool } from './spool.ts'
import { Turns } from '../repo/turns.ts'

export const PACK_LIMITS: PackLimits = {
  bytes: MAX_FETCH_BYTES, objects: MAX_OBJECTS, objectBytes: MAX_OBJECT_BYTES, commitBytes: MAX_COMMIT_BYTES, inflatedBytes: MAX_INFLATED_BYTES, deltaDepth: MAX_DELTA_DEPTH,
}

/** Of a whole history. */
export const CLONE_LIMITS: PackLimits = { ...PACK_LIMITS, bytes: MAX_CLONE_BYTES, objects: MAX_CLONE_OBJECTS, inflatedBytes: MAX_CLONE_INFLATED_BYTES }

export interface PackReaderOptions {
  readonly clock: Pick<Clock, 'track'>
  readonly scratch: Scratch
  readonly limits?: Partial<PackLimits>
}

export class PackReader {
  readonly #clock: Pick<Clock, 'track'>
  readonly #limits: PackLimits
  readonly #spool: Spool
  readonly #turns: Turns
  readonly #hash = createHash('sha1')
  /** The last bytes that came: they may be the trailer. */
  #tail: Uint8Array = new Uint8Array(0) // bounded by the trailer
  #head: Uint8Array = new Uint8Array(0) // bounded by the header
  #declared = 0

  constructor(options: PackReaderOptions) {
    this.#clock = options.clock
    this.#limits = { ...PACK_LIMITS, ...options.limits }
    this.#spool = new Spool(options.scratch)
    this.#turns = new Turns(options.clock)
  }

  /** More of the pack; wait before the next piece. @throws ERR_REPO_INVALID, ERR_LIMIT */
  async push(bytes: Uint8Array): Promise<void> {
    if (this.#spool.size + bytes.length > this.#limits.bytes) throw limitError('bytes of a pack', this.#spool.size + bytes.length, this.#limits.bytes)
    if (this.#head.length < PACK_HEADER_BYTES) {
      this.#head = concatBytes(this.#head, bytes.subarray(0, PACK_HEADER_BYTES - this.#head.length))
      if (this.#head.length === PACK_HEADER_BYTES) this.#declared = this.#checkedCount()
    }
    const known = concatBytes(this.#tail, bytes)
    const sure = Math.max(0, known.length - PACK_TRAILER_BYTES)
    this.#hash.update(known.subarray(0, sure))
    this.#tail = known.slice(sure)
    await this.#spool.append(bytes)
    const pause = this.#turns.spend(bytes.length)
    if (pause) await pause
  }

  #checkedCount(): number {
    const count = readPackHeader(this.#head)
    if (count > this.#limits.objects) throw limitError('objects of a pack', count, this.#limits.objects)
    return count
  }

  /** The pack is complete. Whoever gets it has to discard it. @throws ERR_REPO_INVALID, ERR_LIMIT; the scratch file is gone then */
  async finish(): Promise<ReceivedPack> {
    try {
      if (this.#spool.size < PACK_HEADER_BYTES + PACK_TRAILER_BYTES) throw repoInvalid(`pack: got ${this.#spool.size} bytes`)
      if (!equalBytes(this.#hash.digest(), this.#tail)) throw repoInvalid('pack: the checksum is wrong')
      const end = this.#spool.size - PACK_TRAILER_BYTES
      if (PACK_HEADER_BYTES + this.#declared * MIN_ENTRY_BYTES > end) throw repoInvalid('pack: fewer objects than it declares')
      await this.#spool.finish()
      const table = new PackTable(this.#declared, end)
      const objects = new PackObjects(table, this.#spool, this.#clock, this.#turns, this.#limits)
      await new Indexer(objects, this.#limits, this.#clock).run()
      return new SpooledPack(objects, toHex(this.#tail), this.#clock)
    } catch (error) {
      await this.abandon()
      throw JamiError.from(error, 'ERR_REPO_INVALID')
    }
  }

  /** The pack will not be finished. Idempotent. */
  abandon(): Promise<void> {
    return this.#spool.discard()
  }
}

/** Finds the entries and their ids. */
class Indexer {
  readonly #objects: PackObjects
  readonly #table: PackTable
  readonly #limits: PackLimits
  readonly #clock: Pick<Clock, 'track'>
  /** Entries that wait for a base, by its row or id: the first of each, then one after the other in `#next`. */
  readonly #firstByRow = new Map<number, number>() // bounded by the objects of the pack
  readonly #firstById = new Map<Oid, number>() // bounded by the objects of the pack
  readonly #next: Int32Array
  #waiting = 0
  #inflated = 0
  #window: Uint8Array = new Uint8Array(0) // bounded by SPOOL_MEMORY_BYTES or one entry
  #windowStart = 0

  constructor(objects: PackObjects, limits: PackLimits, clock: Pick<Clock, 'track'>) {
    this.#objects = objects
    this.#table = objects.table
    this.#limits = limits
    this.#clock = clock
    this.#next = new Int32Array(objects.table.count).fill(-1)
  }

  async run(): Promise<void> {
    const { count, end } = this.#table
    let at = PACK_HEADER_BYTES
    for (let row = 0; row < count; row++) at = await this.#entry(row, at)
    if (at !== end) throw repoInvalid('pack: bytes after the last object')
    this.#window = new Uint8Array(0)
    if (this.#waiting > 0) for (let row = 0; row < count; row++) if (this.#table.oids[row] !== '' && this.#table.base(row) === undefined) await this.#below(row)
    if (this.#waiting > 0) throw repoInvalid('pack: a delta without its base', { got: this.#waiting })
    this.#objects.forgetAll()
  }

  /** @returns where the next one begins */
  async #entry(row: number, offset: number): Promise<number> {
    const table = this.#table
    const header = readEntryHeader(await this.#bytes(offset, MAX_ENTRY_HEADER_BYTES), offset, this.#limits.objectBytes)
    if (header.type) this.#fits(header.type, header.size)
    this.#count(header.size + OBJECT_OVERHEAD_BYTES)
    const input = await this.#bytes(offset + header.length, maxDeflated(header.size))
    const { data, used } = await inflateExactly(this.#clock, input, header.size)
    await this.#objects.worked(data.length)
    const start = offset + header.length
    table.offsets[row] = offset
    table.starts[row] = start
    table.ownSizes[row] = header.size
    table.crcs[row] = crc32(await this.#bytes(offset, header.length + used))
    if (header.type) this.#found(row, header.type, data)
    else {
      const base = header.back === undefined ? undefined : table.rowAt(offset - header.back, row)
      if (header.back !== undefined && base === undefined) throw repoInvalid('pack: a delta base that is no object')
      this.#wait(row, base, header.base)
    }
    return start + used
  }

  #wait(row: number, base: number | undefined, id: Oid | undefined): void {
    this.#waiting++
    if (base !== undefined) {
      this.#next[row] = this.#firstByRow.get(base) ?? -1
      this.#firstByRow.set(base, row)
    } else {
      this.#next[row] = this.#firstById.get(id ?? '') ?? -1
      this.#firstById.set(id ?? '', row)
    }
  }

  /** All deltas that build on an entry, directly or not, depth first: each base is at hand while its deltas are resolved. */
  async #below(root: number): Promise<void> {
    const table = this.#table
    const open = this.#childrenOf(root) // bounded by the objects of the pack
    for (let row = open.pop(); row !== undefined; row = open.pop()) {
      const base = table.base(row) as number
      const depth = (table.depths[base] as number) + 1
      if (depth > this.#limits.deltaDepth) throw limitError('delta depth', depth, this.#limits.deltaDepth)
      table.depths[row] = depth
      const type = table.type(base)
      const delta = await this.#objects.own(row)
      const { result } = deltaSizes(delta, this.#limits.objectBytes)
      this.#fits(type, result)
      this.#count(result)
      const before = await this.#objects.resolved(base)
      const data = await this.#objects.derived(before.data, delta, (operations) => this.#count(operations * OPERATION_OVERHEAD_BYTES))
      this.#waiting--
      this.#found(row, type, data)
      const children = this.#childrenOf(row)
      if (children.length > 0) this.#objects.keep(row, data)
      for (const child of children) open.push(child)
    }
  }

  #childrenOf(row: number): number[] {
    const out: number[] = []
    for (const first of [this.#firstByRow.get(row), this.#firstById.get(this.#table.oids[row] as Oid)])
      for (let child = first ?? -1; child >= 0; child = this.#next[child] as number) {
        this.#table.bases[child] = row
        out.push(child)
      }
    return out
  }

  #found(row: number, type: ObjectType, data: Uint8Array): void {
    const oid = objectId({ type, data })
    if (this.#table.rows.has(oid)) throw repoInvalid(`pack: object ${oid} is in it twice`)
    this.#table.setType(row, type)
    this.#table.sizes[row] = data.length
    this.#table.oids[row] = oid
    this.#table.rows.set(oid, row)
  }

  #fits(type: ObjectType, size: number): void {
    if (type === 'commit' && size > this.#limits.commitBytes) throw limitError('commit bytes', size, this.#limits.commitBytes)
  }

  #count(bytes: number): void {
    this.#inflated += bytes
    if (this.#inflated > this.#limits.inflatedBytes) throw limitError('inflated bytes', this.#inflated, this.#limits.inflatedBytes)
  }

  /** Up to `length` bytes of the entries from `offset` on. */
  async #bytes(offset: number, length: number): Promise<Uint8Array> {
    const wanted = Math.min(length, this.#table.end - offset)
    if (wanted <= 0) throw repoInvalid('pack: truncated')
    if (offset < this.#windowStart || offset + wanted > this.#windowStart + this.#window.length) {
      this.#window = await this.#objects.spool.read(offset, Math.min(this.#table.end - offset, Math.max(wanted, SPOOL_MEMORY_BYTES)))
      this.#windowStart = offset
    }
    const at = offset - this.#windowStart
    return this.#window.subarray(at, at + wanted)
  }
}
