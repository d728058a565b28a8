// One pack with its index on a file tree: entries read by range, deltas resolved with bounds, a lost or damaged index made anew.
// docs/protocol/04 §1.1, §3.9. Proof: repo/pack-store.test.ts (packs of git with deltas).
import { crc32 } from 'node:zlib'
import { JamiError } from '@jamikit/core/base'
import { fromHex } from '@jamikit/core/codec'
import type { Clock, FileTree } from '@jamikit/core/contracts'
import { MAX_DELTA_DEPTH, MAX_STORED_OBJECT_BYTES } from '../defaults.ts'
import { applyDelta, deltaSizes } from '../sync/delta.ts'
import { deflated, inflateExactly } from '../sync/inflate.ts'
import { type EntryHeader, PACK_TRAILER_BYTES, readEntryHeader } from '../sync/pack-format.ts'
import { PackReader } from '../sync/pack-reader.ts'
import { Turns } from './turns.ts'
import { type GitObject, objectId, type ObjectType, type Oid } from './object.ts'
import { encodePackIndex, PackIndex } from './pack-index.ts'
import type { PackedObject } from './types.ts'

export const PACKS = 'objects/pack'
/** Entries of packs of our own disk may build on this many others (`git gc --aggressive` makes 50). */
const MAX_DEPTH = 4 * MAX_DELTA_DEPTH
const READ_BYTES = 1 << 20
/** Read at once, around an entry; kept as long as the memory is not needed for something else. */
const WINDOW_BYTES = 64 << 10

export interface RawEntry {
  readonly header: EntryHeader
  readonly offset: number
  /** Header and stream as they lie in the pack. */
  readonly bytes: Uint8Array
}

export class PackFile {
  /** As in `pack-<name>.pack`. */
  readonly name: string
  readonly #files: FileTree
  readonly #clock: Pick<Clock, 'track'>
  #index: Promise<PackIndex> | undefined
  #known: PackIndex | undefined
  #size: number | undefined
  #window: { around: number; bytes: WeakRef<Uint8Array> | undefined } = { around: 0, bytes: undefined }

  constructor(files: FileTree, clock: Pick<Clock, 'track'>, name: string) {
    this.#files = files
    this.#clock = clock
    this.name = name
  }

  get path(): string {
    return `${PACKS}/pack-${this.name}.pack`
  }

  get indexPath(): string {
    return `${PACKS}/pack-${this.name}.idx`
  }

  /** The index when it was read already. */
  get known(): PackIndex | undefined {
    return this.#known
  }

  /** Read at the first call. @throws ERR_STORAGE_CORRUPT */
  index(): Promise<PackIndex> {
    this.#index ??= this.#load().then((index) => {
      this.#known = index
      return index
    }, (error: unknown) => {
      this.#index = undefined
      throw error
    })
    return this.#index
  }

  async #load(): Promise<PackIndex> {
    const bytes = await this.#files.read(this.indexPath)
    if (!bytes) throw this.damaged('the index is missing')
    return new PackIndex(bytes)
  }

  /** Writes the index of a pack that lies there. */
  async writeIndex(entries: Iterable<{ oid: Oid; offset: number; crc: number }>, packName: string): Promise<void> {
    const bytes = await encodePackIndex(entries, packName, new Turns(this.#clock))
    await this.#files.write(this.indexPath, bytes)
    this.#known = new PackIndex(bytes)
    this.#index = Promise.resolve(this.#known)
  }

  /** Makes a lost or damaged index anew from the pack itself. @throws ERR_STORAGE_CORRUPT when that is damaged, too */
  async reindex(): Promise<void> {
    const files = this.#files
    const size = (await files.size(this.path)) ?? 0
    // the reader spools what it reads: here it lies there already
    let spooled = 0
    const scratch = {
      path: this.path,
      files: {
        read: (path: string, range: { start: number; length: number }) => files.read(path, range),
        append: async (_path: string, bytes: Uint8Array) => (spooled += bytes.length),
        remove: async () => {},
      },
    }
    const reader = new PackReader({ clock: this.#clock, scratch, limits: { bytes: 2 ** 31, objects: 2 ** 21, objectBytes: MAX_STORED_OBJECT_BYTES, inflatedBytes: Number.MAX_SAFE_INTEGER, deltaDepth: MAX_DEPTH } })
    try {
      for (let start = 0; start < size; start += READ_BYTES) await reader.push((await files.read(this.path, { start, length: READ_BYTES })) ?? new Uint8Array(0))
      const pack = await reader.finish()
      await this.writeIndex(pack.entries(), pack.name)
    } catch (cause) {
      if (JamiError.is(cause, 'ERR_STORAGE_IO')) throw cause
      throw this.damaged('it cannot be indexed', cause)
    }
  }

  async raw(row: number): Promise<RawEntry> {
    const index = await this.index()
    const offset = index.offset(row)
    this.#size ??= await this.#files.size(this.path)
    const size = (this.#size ?? 0) - PACK_TRAILER_BYTES
    const end = index.next(offset) ?? size
    if (end <= offset || end > size) throw this.damaged('it is shorter than its index')
    const bytes = await this.#bytes(offset, end, size)
    return this.entry(index, row, offset, bytes)
  }

  /** With what lies around it: histories are read in the order in which they were written, or in the other one. */
  async #bytes(start: number, end: number, size: number): Promise<Uint8Array> {
    const { around, bytes: weak } = this.#window
    const known = weak?.deref()
    if (known && start >= around && end <= around + known.length) return known.subarray(start - around, end - around)
    const wide = end - start < WINDOW_BYTES / 4
    const from = wide ? Math.max(0, Math.min(start - WINDOW_BYTES / 2, size - WINDOW_BYTES)) : start
    const to = wide ? Math.min(size, from + WINDOW_BYTES) : end
    const bytes = await this.#files.read(this.path, { start: from, length: to - from })
    if (bytes?.length !== to - from) throw this.damaged('it is shorter than its index')
    if (wide) this.#window = { around: from, bytes: new WeakRef(bytes) }
    return bytes.subarray(start - from, end - from)
  }

  /** @throws ERR_STORAGE_CORRUPT when the bytes are not those that were indexed */
  entry(index: PackIndex, row: number, offset: number, bytes: Uint8Array): RawEntry {
    if (crc32(bytes) !== index.crc(row)) throw this.damaged(`the entry at ${offset} is not what it was`)
    return { header: this.#told(() => readEntryHeader(bytes, offset, MAX_STORED_OBJECT_BYTES)), offset, bytes }
  }

  #told<T>(work: () => T): T {
    try {
      return work()
    } catch (cause) {
      throw this.damaged('an entry cannot be read', cause)
    }
  }

  damaged(what: string, cause?: unknown): JamiError {
    return new JamiError('ERR_STORAGE_CORRUPT', `git pack ${this.name}: ${what}`, { cause, details: { pack: this.name } })
  }

  /** An entry and those below it, down to a whole object. */
  async #chain(row: number): Promise<RawEntry[]> {
    const index = await this.index()
    const chain: RawEntry[] = []
    for (let at = row; ; ) {
      if (at < 0 || chain.length > MAX_DEPTH) throw this.damaged('a delta without its base')
      const entry = await this.raw(at)
      chain.push(entry)
      if (entry.header.type) return chain
      if (entry.header.base !== undefined) at = index.find(fromHex(entry.header.base))
      else at = index.rowAt(entry.offset - (entry.header.back ?? 0))
    }
  }

  async #inflate({ header, bytes }: RawEntry): Promise<Uint8Array> {
    try {
      return (await inflateExactly(this.#clock, bytes.subarray(header.length), header.size)).data
    } catch (cause) {
      throw this.damaged('an entry does not inflate', cause)
    }
  }

  async #resolve(row: number): Promise<GitObject> {
    const chain = await this.#chain(row)
    let below: { type: ObjectType; data: Uint8Array } | undefined
    for (const entry of chain.reverse()) {
      const own = await this.#inflate(entry)
      const base = below
      below = entry.header.type ? { type: entry.header.type, data: own } : base && { type: base.type, data: this.#told(() => applyDelta(base.data, own, MAX_STORED_OBJECT_BYTES).data) }
    }
    return below as GitObject
  }

  /** @throws ERR_STORAGE_CORRUPT when it is not the object of this id */
  async read(row: number, oid: Oid): Promise<GitObject> {
    const object = await this.#resolve(row)
    if (objectId(object) !== oid) throw this.damaged(`object ${oid} is damaged`)
    return object
  }

  async stat(row: number): Promise<{ type: ObjectType; size: number }> {
    const chain = await this.#chain(row)
    const top = chain[0] as RawEntry
    const type = chain.at(-1)?.header.type as ObjectType
    if (top.header.type) return { type, size: top.header.size }
    const delta = await this.#inflate(top)
    return { type, size: this.#told(() => deltaSizes(delta, MAX_STORED_OBJECT_BYTES).result) }
  }

  async packed(row: number): Promise<PackedObject> {
    const { header, bytes } = await this.raw(row)
    if (header.type) return { type: header.type, size: header.size, deflated: bytes.subarray(header.length) }
    const { type, data } = await this.#resolve(row)
    return { type, size: data.length, deflated: await deflated(this.#clock, data) }
  }
}
