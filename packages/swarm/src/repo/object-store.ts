// Objects of one repository on a FileTree, in git's own loose layout, so that with plain files git itself can read it.
// docs/protocol/04 §1.1. Proof: repo/repository.test.ts, interop (git fsck).
import type { FileTree } from '@jamikit/core/contracts'
import { decodeLoose, encodeLoose, type GitObject, objectId, type Oid } from './object.ts'

/** Bytes of objects kept in memory. */
const CACHE_BYTES = 8 << 20

export class ObjectStore {
  readonly #files: FileTree
  readonly #cache = new Map<Oid, GitObject>() // bounded by CACHE_BYTES, oldest out
  #cached = 0

  constructor(files: FileTree) {
    this.#files = files
  }

  async read(oid: Oid): Promise<GitObject | undefined> {
    const known = this.#cache.get(oid)
    if (known) return known
    const bytes = await this.#files.read(path(oid))
    if (!bytes) return undefined
    const object = decodeLoose(bytes, oid)
    this.#remember(oid, object)
    return object
  }

  /** Durable when it resolves. */
  async write(objects: Iterable<GitObject>): Promise<void> {
    const writing: Promise<void>[] = []
    for (const object of objects) {
      const oid = objectId(object)
      if (this.#cache.has(oid)) continue
      writing.push(this.#files.write(path(oid), encodeLoose(object)).then(() => this.#remember(oid, object)))
      if (writing.length >= 64) await Promise.all(writing.splice(0))
    }
    await Promise.all(writing)
  }

  #remember(oid: Oid, object: GitObject): void {
    if (object.data.length > CACHE_BYTES / 8 || this.#cache.has(oid)) return
    this.#cache.set(oid, object)
    this.#cached += object.data.length + 64
    for (const [old, { data }] of this.#cache) {
      if (this.#cached <= CACHE_BYTES) return
      this.#cache.delete(old)
      this.#cached -= data.length + 64
    }
  }
}

function path(oid: Oid): string {
  return `objects/${oid.slice(0, 2)}/${oid.slice(2)}`
}
