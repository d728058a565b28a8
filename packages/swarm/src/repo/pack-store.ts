// The packs and loose objects of one repository: found, read, adopted from peers, and merged while they are small so that there are few.
// docs/protocol/04 §1.1. Proof: repo/pack-store.test.ts, repo/crash.test.ts.
import { JamiError } from '@jamikit/core/base'
import { fromHex, toHex } from '@jamikit/core/codec'
import type { Clock, FileTree } from '@jamikit/core/contracts'
import { deflated } from '../sync/inflate.ts'
import { decodeLoose, type GitObject, type ObjectType, type Oid } from './object.ts'
import { OidTable } from './oid-table.ts'
import { PackBuilder } from './pack-builder.ts'
import { PackFile, PACKS } from './pack-file.ts'
import type { PackIndex } from './pack-index.ts'
import type { PackedObject, ReceivedPack } from './types.ts'

/** Packs of one size class are merged when there are so many; a class is eight times the one below. */
const MERGE_PACKS = 8
/** Larger packs stay as they are. */
const MERGE_BYTES = 64 << 20
const READ_BYTES = 256 << 10
const NEW_PACK = 'jamikit/new.pack'
const MERGED_PACK = 'jamikit/merged.pack'

export interface PackStoreOptions {
  readonly clock: Pick<Clock, 'track'>
  readonly onProblem: (error: JamiError) => void
}

export class PackStore {
  readonly #files: FileTree
  readonly #options: PackStoreOptions
  #packs: PackFile[] = [] // bounded by MERGE_PACKS per size class, newest first
  readonly #kept = new Set<string>() // names of packs that are not merged: too large or damaged; bounded by #packs
  #loose = new Set<string>() // bounded by the 256 directories of loose objects
  #stopping = false
  #merging: Promise<void> | undefined

  private constructor(files: FileTree, options: PackStoreOptions) {
    this.#files = files
    this.#options = options
  }

  static async open(files: FileTree, options: PackStoreOptions): Promise<PackStore> {
    const store = new PackStore(files, options)
    const names = new Set(await files.list(PACKS))
    for (const name of names) {
      const id = /^pack-([0-9a-f]{40})\.pack$/.exec(name)?.[1]
      if (id === undefined) continue
      const pack = new PackFile(files, options.clock, id)
      // without its index git does not see it: a crash came between, or it was lost
      if (!names.has(`pack-${id}.idx`) && !(await store.#reindex(pack))) continue
      store.#packs.push(pack)
    }
    for (const name of names) {
      const id = /^pack-([0-9a-f]{40})\.idx$/.exec(name)?.[1]
      if (id !== undefined && !names.has(`pack-${id}.pack`)) options.onProblem(new JamiError('ERR_STORAGE_CORRUPT', `git pack ${id}: the pack is missing`, { details: { pack: id } }))
    }
    store.#loose = new Set((await files.list('objects')).filter((name) => /^[0-9a-f]{2}\/$/.test(name)).map((name) => name.slice(0, 2)))
    for (const path of [NEW_PACK, MERGED_PACK]) if ((await files.size(path)) !== undefined) await files.remove(path)
    return store
  }

  async #reindex(pack: PackFile): Promise<boolean> {
    try {
      await pack.reindex()
      return true
    } catch (error) {
      this.#options.onProblem(JamiError.from(error))
      return false
    }
  }

  get packs(): readonly PackFile[] {
    return this.#packs
  }

  /** Of all packs. */
  async bytes(): Promise<number> {
    let sum = 0
    for (const { path } of this.#packs) sum += (await this.#files.size(path)) ?? 0
    return sum
  }

  async #index(pack: PackFile): Promise<PackIndex> {
    try {
      return await pack.index()
    } catch (error) {
      if (!JamiError.is(error, 'ERR_STORAGE_CORRUPT') || !this.#packs.includes(pack)) throw error
      this.#options.onProblem(error)
      await pack.reindex()
      return pack.index()
    }
  }

  async #find(oid: Oid): Promise<{ pack: PackFile; row: number } | undefined> {
    const id = fromHex(oid)
    for (;;) {
      const packs = this.#packs
      try {
        for (const pack of packs) {
          const row = (pack.known ?? (await this.#index(pack))).find(id)
          if (row >= 0) return { pack, row }
        }
      } catch (error) {
        if (packs === this.#packs) throw error
      }
      if (packs === this.#packs) return undefined
    }
  }

  async has(oid: Oid): Promise<boolean> {
    return (await this.#find(oid)) !== undefined || (this.#loose.has(oid.slice(0, 2)) && (await this.#files.size(loosePath(oid))) !== undefined)
  }

  /** Looks again when the pack was merged into another one meanwhile. */
  async #from<T>(oid: Oid, inPack: (pack: PackFile, row: number) => Promise<T>, loose: (object: GitObject) => T | Promise<T>): Promise<T | undefined> {
    for (;;) {
      const found = await this.#find(oid)
      if (!found) break
      try {
        return await inPack(found.pack, found.row)
      } catch (error) {
        if (this.#packs.includes(found.pack)) throw error
      }
    }
    if (!this.#loose.has(oid.slice(0, 2))) return undefined
    const bytes = await this.#files.read(loosePath(oid))
    return bytes && loose(decodeLoose(bytes, oid))
  }

  /** @throws ERR_STORAGE_CORRUPT */
  read(oid: Oid): Promise<GitObject | undefined> {
    return this.#from(oid, (pack, row) => pack.read(row, oid), (object) => object)
  }

  stat(oid: Oid): Promise<{ type: ObjectType; size: number } | undefined> {
    return this.#from(oid, (pack, row) => pack.stat(row), ({ type, data }) => ({ type, size: data.length }))
  }

  packed(oid: Oid): Promise<PackedObject | undefined> {
    return this.#from(oid, (pack, row) => pack.packed(row), async ({ type, data }) => ({ type, size: data.length, deflated: await deflated(this.#options.clock, data) }))
  }

  /** A pack of these objects, durable when it resolves. */
  async write(count: number, objects: AsyncIterable<readonly [Oid, PackedObject]> | Iterable<readonly [Oid, PackedObject]>): Promise<PackFile> {
    const builder = new PackBuilder(this.#files, this.#options.clock, NEW_PACK, count)
    try {
      for await (const [oid, object] of objects) await builder.add(oid, object)
      return this.#add(await builder.finish())
    } catch (error) {
      await builder.abandon().catch(() => undefined)
      throw error
    }
  }

  #add(pack: PackFile): PackFile {
    if (!this.#packs.some(({ name }) => name === pack.name)) this.#packs = [pack, ...this.#packs]
    return pack
  }

  /** Keeps the objects of a peer's pack: the file itself when nothing else is in it, else a copy of what is used. */
  async adopt(received: ReceivedPack, used: ReadonlySet<Oid>): Promise<PackFile> {
    const files = this.#files
    const pack = new PackFile(files, this.#options.clock, received.name)
    if (received.path === undefined || used.size !== received.count || this.#packs.some(({ name }) => name === pack.name)) return this.write(used.size, chosen(received, used))
    await files.flush(received.path)
    await files.rename(received.path, pack.path)
    try {
      await pack.writeIndex(received.entries(), received.name)
    } catch (error) {
      await files.rename(pack.path, received.path).catch(() => undefined)
      throw error
    }
    return this.#add(pack)
  }

  /** Takes an adopted pack back. @param to where it came from, when it was renamed */
  async release(pack: PackFile, to: string | undefined): Promise<void> {
    this.#packs = this.#packs.filter((other) => other !== pack)
    await this.#files.remove(pack.indexPath)
    if (to !== undefined) await this.#files.rename(pack.path, to)
    else await this.#files.remove(pack.path)
  }

  /** Begins to merge small packs, if there are many; what goes wrong is told to `onProblem`. */
  tidy(): void {
    if (this.#merging || this.#stopping) return
    this.#merging = this.#mergeAll()
      .catch((error: unknown) => {
        if (!this.#stopping) this.#options.onProblem(JamiError.from(error))
      })
      .finally(() => {
        this.#merging = undefined
      })
  }

  /** Resolves when nothing is being merged. */
  async rest(): Promise<void> {
    await this.#merging
  }

  /** Merging stops at the next entry. */
  async close(): Promise<void> {
    this.#stopping = true
    await this.#merging
  }

  async #mergeAll(): Promise<void> {
    for (let few = await this.#mergeable(); few && !this.#stopping; few = await this.#mergeable()) await this.#merge(few)
  }

  async #mergeable(): Promise<PackFile[] | undefined> {
    const classes = new Map<number, PackFile[]>() // bounded by #packs
    for (const pack of this.#packs) {
      if (this.#kept.has(pack.name)) continue
      if (((await this.#files.size(pack.path)) ?? 0) > MERGE_BYTES) {
        this.#kept.add(pack.name)
        continue
      }
      const size = Math.floor(Math.log2(Math.max(1, (await this.#index(pack)).count)) / 3)
      classes.set(size, [...(classes.get(size) ?? []), pack])
    }
    return [...classes.values()].find((packs) => packs.length >= MERGE_PACKS)
  }

  async #merge(packs: readonly PackFile[]): Promise<void> {
    const ids = new OidTable(0)
    for (const pack of packs) {
      const index = await this.#index(pack)
      for (let row = 0; row < index.count; row++) if (ids.findBytes(index.id(row), 0) < 0) ids.addBytes(index.id(row), 0)
    }
    const builder = new PackBuilder(this.#files, this.#options.clock, MERGED_PACK, ids.size)
    let merged: PackFile
    try {
      const done = new Uint8Array(ids.size)
      for (const pack of [...packs].reverse()) await this.#copy(pack, ids, done, builder)
      merged = await builder.finish()
    } catch (error) {
      await builder.abandon().catch(() => undefined)
      throw error
    }
    const gone = packs.filter(({ name }) => name !== merged.name)
    this.#packs = [merged, ...this.#packs.filter((pack) => !packs.includes(pack))]
    await this.#remove(gone)
  }

  async #copy(pack: PackFile, ids: OidTable, done: Uint8Array, builder: PackBuilder): Promise<void> {
    const index = await this.#index(pack)
    const order = index.byOffset()
    let window = new Uint8Array(0)
    let start = 0
    for (const [place, row] of order.entries()) {
      if (this.#stopping) throw new JamiError('ERR_CLOSED', 'the repository is closed')
      const at = ids.findBytes(index.id(row), 0)
      if (done[at]) continue
      done[at] = 1
      const oid = toHex(index.id(row))
      const offset = index.offset(row)
      const next = order[place + 1]
      const end = next === undefined ? undefined : index.offset(next)
      try {
        if (end !== undefined && (offset < start || end > start + window.length)) {
          start = offset
          window = new Uint8Array((await this.#files.read(pack.path, { start, length: Math.max(READ_BYTES, end - start) })) ?? [])
        }
        const entry = end === undefined ? await pack.raw(row) : pack.entry(index, row, offset, window.subarray(offset - start, end - start))
        if (entry.header.type) await builder.addRaw(oid, entry.bytes)
        else await builder.add(oid, await pack.packed(row))
      } catch (error) {
        if (JamiError.is(error, 'ERR_STORAGE_CORRUPT')) this.#kept.add(pack.name) // stays for who can mend it
        throw error
      }
    }
  }

  /** Index first: git takes a pack without index for none, an index without pack for damage. */
  async #remove(packs: readonly PackFile[]): Promise<void> {
    const names = await this.#files.list(PACKS)
    if (names.includes('multi-pack-index')) await this.#files.remove(`${PACKS}/multi-pack-index`)
    for (const pack of packs) {
      await this.#files.remove(pack.indexPath)
      for (const name of names) if (name.startsWith(`pack-${pack.name}.`) && !/\.(pack|idx)$/.test(name)) await this.#files.remove(`${PACKS}/${name}`)
      await this.#files.remove(pack.path)
    }
  }

  /** Paths of all loose objects. */
  async *loosePaths(): AsyncGenerator<string> {
    for (const directory of this.#loose) for (const name of await this.#files.list(`objects/${directory}`)) if (/^[0-9a-f]{38}$/.test(name)) yield `objects/${directory}/${name}`
  }
}

function loosePath(oid: Oid): string {
  return `objects/${oid.slice(0, 2)}/${oid.slice(2)}`
}

async function* chosen(received: ReceivedPack, used: ReadonlySet<Oid>): AsyncGenerator<readonly [Oid, PackedObject]> {
  for (const { oid } of received.entries()) {
    if (!used.has(oid)) continue
    const object = await received.packed(oid)
    if (object) yield [oid, object]
  }
}
