// Objects of one history wherever they lie: read lately, in the journal, in packs, loose. And how the journal becomes a pack.
// docs/protocol/04 §1.1. Proof: repo/repository.test.ts, repo/crash.test.ts.
import { JamiError } from '@jamikit/core/base'
import type { Clock, FileTree } from '@jamikit/core/contracts'
import { deflated, inflateExactly } from '../sync/inflate.ts'
import { MAIN, mainRef } from './git-folder.ts'
import type { CommitGraph, GraphMark } from './graph.ts'
import { encodeSegment, type GraphFile } from './graph-file.ts'
import { damagedObject, type Journal } from './journal.ts'
import { Frame } from './journal-format.ts'
import { type CachePart, ObjectCache } from './object-cache.ts'
import { type GitObject, objectId, type ObjectType, type Oid } from './object.ts'
import type { PackFile } from './pack-file.ts'
import type { PackStore } from './pack-store.ts'
import type { Advance, ObjectReader, PackedObject } from './types.ts'

/** Of a history that shares no cache with others. */
const CACHE_BYTES = 1 << 20

/** When what lies where; tests make them small. */
export interface StoreLimits {
  /** A received pack above one of these stays a pack; a smaller one goes into the journal. */
  readonly adoptBytes: number
  readonly adoptObjects: number
  /** Rows of one change above this go to the graph file at once. */
  readonly manyRows: number
  /** The journal becomes a pack when it has grown to one of these. */
  readonly sealBytes: number
  readonly sealObjects: number
}

export const STORE_LIMITS: StoreLimits = { adoptBytes: 64 << 10, adoptObjects: 100, manyRows: 500, sealBytes: 1 << 20, sealObjects: 1000 }

export interface HistoryStoreParts {
  readonly files: FileTree
  readonly clock: Pick<Clock, 'track'>
  readonly packs: PackStore
  readonly journal: Journal
  readonly graphFile: GraphFile
  readonly onProblem: (error: JamiError) => void
  readonly limits: StoreLimits
  readonly cache?: ObjectCache | undefined
  /** Main as git sees it; undefined when that is not known. */
  readonly ref: Oid | undefined
}

export class HistoryStore implements ObjectReader {
  readonly #parts: HistoryStoreParts
  readonly #cache: CachePart
  #ref: Oid | undefined
  /** A seal was cut off or failed: it may have packed already what is still in the journal. */
  #again: boolean

  constructor(parts: HistoryStoreParts) {
    this.#parts = parts
    this.#cache = (parts.cache ?? new ObjectCache(CACHE_BYTES)).part()
    this.#ref = parts.ref
    this.#again = parts.journal.objects.size > 0
  }

  async read(oid: Oid): Promise<GitObject | undefined> {
    const known = this.#cache.get(oid)
    if (known) return known
    const packed = await this.#parts.journal.packed(oid)
    const object = packed ? await this.#inflate(oid, packed) : await this.#parts.packs.read(oid)
    if (object) this.#cache.set(oid, object)
    return object
  }

  async #inflate(oid: Oid, { type, size, deflated: stream }: PackedObject): Promise<GitObject> {
    try {
      const { data } = await inflateExactly(this.#parts.clock, stream, size)
      if (objectId({ type, data }) === oid) return { type, data }
    } catch (cause) {
      throw damagedObject(oid, cause)
    }
    throw damagedObject(oid)
  }

  async stat(oid: Oid): Promise<{ type: ObjectType; size: number } | undefined> {
    const known = this.#cache.get(oid)
    if (known) return { type: known.type, size: known.data.length }
    const { type, size } = this.#parts.journal.objects.get(oid) ?? (await this.#parts.packs.stat(oid)) ?? {}
    return type === undefined || size === undefined ? undefined : { type, size }
  }

  async packed(oid: Oid): Promise<PackedObject | undefined> {
    return (await this.#parts.journal.packed(oid)) ?? this.#parts.packs.packed(oid)
  }

  async #has(oid: Oid): Promise<boolean> {
    return this.#parts.journal.has(oid) || this.#parts.packs.has(oid)
  }

  /** Keeps objects, the graph's rows since `mark` and the new head, durable in one step. Nothing has changed when it rejects. */
  async keep({ objects = [], pack }: Advance, graph: CommitGraph, mark: GraphMark, head: Oid | undefined): Promise<void> {
    const { journal, graphFile } = this.#parts
    const frame = new Frame()
    const fresh: [Oid, GitObject][] = [] // bounded by the change
    for (const object of objects) {
      const oid = objectId(object)
      if (await this.#has(oid)) continue
      frame.object(oid, { type: object.type, size: object.data.length, deflated: await deflated(this.#parts.clock, object.data) })
      fresh.push([oid, object])
    }
    const adopted = pack && pack.used.size > 0 ? await this.#keepPack(pack, frame) : undefined
    try {
      let appended: { end: number; mark: GraphMark } | undefined
      if (graph.rows - mark.rows > this.#parts.limits.manyRows) {
        appended = await graphFile.append(graph)
        frame.checkpoint({ bytes: appended.end, rows: appended.mark.rows })
      } else if (graph.rows > mark.rows) frame.rows(encodeSegment(graph, mark, graph.mark()))
      if (head !== undefined) frame.head(head)
      if (!frame.empty) await journal.append(frame)
      if (appended) graphFile.commit(appended)
    } catch (error) {
      // only when nothing on disk speaks of its objects any more
      if (adopted) await journal.cut().then(() => this.#parts.packs.release(adopted.pack, adopted.from)).catch(() => undefined)
      throw error
    }
    for (const [oid, object] of fresh) this.#cache.set(oid, object)
  }

  async #keepPack({ received, used }: NonNullable<Advance['pack']>, frame: Frame): Promise<{ pack: PackFile; from: string | undefined } | undefined> {
    const { adoptBytes, adoptObjects } = this.#parts.limits
    if (received.bytes > adoptBytes || used.size > adoptObjects) {
      for (const oid of used) if (!received.has(oid)) throw new JamiError('ERR_INTERNAL', `object ${oid} is not in the received pack`)
      const known = this.#parts.packs.packs
      const pack = await this.#parts.packs.adopt(received, used)
      if (known.includes(pack)) return undefined
      return { pack, from: pack.name === received.name ? received.path : undefined }
    }
    for (const oid of used) {
      if (await this.#has(oid)) continue
      const object = await received.packed(oid)
      if (!object) throw new JamiError('ERR_INTERNAL', `object ${oid} is not in the received pack`)
      frame.object(oid, object)
    }
    return undefined
  }

  /** What is kept, deflated. */
  async bytes(): Promise<number> {
    return this.#parts.journal.bytes + (await this.#parts.packs.bytes())
  }

  /** True when the journal has grown enough to become a pack. */
  get full(): boolean {
    const { journal, limits } = this.#parts
    return journal.bytes > limits.sealBytes || journal.objects.size >= limits.sealObjects
  }

  /** The journal's objects become a pack, its rows part of the graph file, and main is what git sees. Each step may be the last one. */
  async seal(graph: CommitGraph, head: Oid): Promise<void> {
    const { files, journal, packs, graphFile } = this.#parts
    const fresh: [Oid, PackedObject][] = [] // bounded by the journal
    if (journal.objects.size > 0) {
      const { entries, damaged } = await journal.readAll()
      for (const oid of damaged) {
        this.#parts.onProblem(damagedObject(oid))
        journal.forget(oid)
      }
      for (const entry of entries) if (!this.#again || !(await packs.has(entry[0]))) fresh.push(entry)
    }
    this.#again = true
    if (fresh.length > 0) await packs.write(fresh.length, fresh)
    const appended = graph.rows > graphFile.mark.rows ? await graphFile.append(graph) : undefined
    if (this.#ref !== head) await files.write(MAIN, mainRef(head))
    this.#ref = head
    if (!appended && journal.frames === 1 && journal.objects.size === 0) return
    const frame = new Frame()
    frame.checkpoint({ bytes: appended?.end ?? graphFile.end, rows: graph.rows })
    frame.head(head)
    await journal.reset(frame)
    if (appended) graphFile.commit(appended)
    this.#again = false
    packs.tidy()
  }
}
