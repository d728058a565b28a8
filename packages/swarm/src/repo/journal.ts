// The journal of one history on a file tree: what happened since the last seal. One durable append makes commits, their objects and the
// move of main durable together. docs/protocol/04 §1.1. Proof: repo/repository.test.ts, repo/crash.test.ts.
import { crc32 } from 'node:zlib'
import { JamiError } from '@jamikit/core/base'
import { concatBytes, equalBytes } from '@jamikit/core/codec'
import type { FileTree } from '@jamikit/core/contracts'
import { type Frame, JOURNAL_HEADER, type JournalObject } from './journal-format.ts'
import type { Oid } from './object.ts'
import type { PackedObject } from './types.ts'

export const JOURNAL_PATH = 'jamikit/journal'

export class Journal {
  readonly #files: FileTree
  #objects: Map<Oid, JournalObject> // bounded by sealing
  #end: number
  #frames: number
  #torn: boolean
  /** A new journal that lies there, perhaps not durably: before anything is added it has to be. */
  #unsure: Uint8Array | undefined

  /** @param end where the next frame belongs; what lies beyond is cut off before the next append */
  constructor(files: FileTree, objects: Map<Oid, JournalObject>, end: number, size: number, frames: number) {
    this.#files = files
    this.#objects = objects
    this.#end = end
    this.#frames = frames
    this.#torn = size > end
  }

  get bytes(): number {
    return this.#end
  }

  get objects(): ReadonlyMap<Oid, JournalObject> {
    return this.#objects
  }

  /** Changes since it began, the checkpoint it begins with included. */
  get frames(): number {
    return this.#frames
  }

  has(oid: Oid): boolean {
    return this.#objects.has(oid)
  }

  /** Durable when it resolves; nothing has changed when it rejects. */
  async append(frame: Frame): Promise<void> {
    if (this.#unsure) await this.#files.write(JOURNAL_PATH, this.#unsure)
    this.#unsure = undefined
    await this.cut()
    this.#torn = true // until we know better
    const bytes = frame.encode(this.#end)
    const size = await this.#files.append(JOURNAL_PATH, bytes)
    if (size !== this.#end + bytes.length) throw new JamiError('ERR_STORAGE_CORRUPT', `history journal: got ${size} bytes, wrote ${this.#end + bytes.length}`)
    this.#torn = false
    for (const [oid, object] of frame.placed(this.#end)) this.#objects.set(oid, object)
    this.#end = size
    this.#frames++
  }

  /** After a failed append: what may lie there of it is gone when this resolves. */
  async cut(): Promise<void> {
    if (this.#torn) await this.#files.truncate(JOURNAL_PATH, this.#end)
    this.#torn = false
  }

  /** A new journal that begins with this frame. Its objects must be elsewhere already: they are not found here any more. */
  async reset(frame: Frame): Promise<void> {
    const old = this.#objects
    this.#objects = new Map()
    const bytes = concatBytes(JOURNAL_HEADER, frame.encode(JOURNAL_HEADER.length))
    try {
      await this.#files.write(JOURNAL_PATH, bytes)
      this.#unsure = undefined
    } catch (error) {
      const there = await this.#files.read(JOURNAL_PATH).catch(() => undefined)
      if (!there || !equalBytes(there, bytes)) {
        this.#objects = old
        throw error
      }
      this.#unsure = bytes // replaced all the same
    }
    this.#end = bytes.length
    this.#frames = 1
    this.#torn = false
  }

  /** All entries, and which objects are damaged. */
  async readAll(): Promise<{ entries: [Oid, PackedObject][]; damaged: Oid[] }> {
    const bytes = (await this.#files.read(JOURNAL_PATH)) ?? new Uint8Array(0)
    const entries: [Oid, PackedObject][] = [] // bounded by sealing
    const damaged: Oid[] = []
    for (const [oid, { type, size, at, length, crc }] of this.#objects) {
      const deflated = bytes.subarray(at, at + length)
      if (deflated.length === length && crc32(deflated) === crc) entries.push([oid, { type, size, deflated }])
      else damaged.push(oid)
    }
    return { entries, damaged }
  }

  /** Not here any more: it is damaged. */
  forget(oid: Oid): void {
    this.#objects.delete(oid)
  }

  /** The entry as it was written; undefined when the object is not here (any more). @throws ERR_STORAGE_CORRUPT */
  async packed(oid: Oid): Promise<PackedObject | undefined> {
    const objects = this.#objects
    const object = objects.get(oid)
    if (!object) return undefined
    const deflated = await this.#files.read(JOURNAL_PATH, { start: object.at, length: object.length })
    if (this.#objects !== objects) return undefined // sealed meanwhile
    if (deflated?.length !== object.length || crc32(deflated) !== object.crc) throw damagedObject(oid)
    return { type: object.type, size: object.size, deflated }
  }
}

export function damagedObject(oid: Oid, cause?: unknown): JamiError {
  return new JamiError('ERR_STORAGE_CORRUPT', `git object ${oid} is damaged`, { cause, details: { oid } })
}
