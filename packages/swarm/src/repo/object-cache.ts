// Objects that were read lately, bounded by bytes; the one not used for longest goes first. Proof: repo/object-cache.test.ts.
import type { GitObject, Oid } from './object.ts'

/** What an entry costs beside its bytes. */
const OVERHEAD_BYTES = 200

export class ObjectCache {
  readonly #limit: number
  readonly #objects = new Map<Oid, GitObject>() // bounded by #limit bytes
  #bytes = 0

  constructor(limitBytes: number) {
    this.#limit = limitBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  get(oid: Oid): GitObject | undefined {
    const object = this.#objects.get(oid)
    if (object) {
      this.#objects.delete(oid)
      this.#objects.set(oid, object)
    }
    return object
  }

  /** One that would push out much else is not kept. */
  set(oid: Oid, object: GitObject): void {
    const size = object.data.length + OVERHEAD_BYTES
    if (size > this.#limit / 8 || this.#objects.has(oid)) return
    this.#objects.set(oid, object)
    this.#bytes += size
    for (const [old, { data }] of this.#objects) {
      if (this.#bytes <= this.#limit) return
      this.#objects.delete(old)
      this.#bytes -= data.length + OVERHEAD_BYTES
    }
  }
}
