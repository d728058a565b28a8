// Objects that were read lately, bounded by bytes; the one not used for longest goes first. Proof: repo/object-cache.test.ts.
import type { GitObject, Oid } from './object.ts'

/** What an entry costs beside its bytes. */
const OVERHEAD_BYTES = 200

/** What one history keeps there; never sees what others keep. */
export interface CachePart {
  get(oid: Oid): GitObject | undefined
  set(oid: Oid, object: GitObject): void
}

/** May be shared by many histories, so that there is one bound for all. */
export class ObjectCache {
  readonly #limit: number
  readonly #objects = new Map<string, GitObject>() // bounded by #limit bytes
  #bytes = 0
  #parts = 0

  constructor(limitBytes: number) {
    this.#limit = limitBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  part(): CachePart {
    const prefix = `${this.#parts++}:`
    return { get: (oid) => this.#get(prefix + oid), set: (oid, object) => this.#set(prefix + oid, object) }
  }

  #get(key: string): GitObject | undefined {
    const object = this.#objects.get(key)
    if (object) {
      this.#objects.delete(key)
      this.#objects.set(key, object)
    }
    return object
  }

  /** One that would push out much else is not kept. */
  #set(key: string, object: GitObject): void {
    const size = object.data.length + OVERHEAD_BYTES
    if (size > this.#limit / 8 || this.#objects.has(key)) return
    this.#objects.set(key, object)
    this.#bytes += size
    for (const [old, { data }] of this.#objects) {
      if (this.#bytes <= this.#limit) return
      this.#objects.delete(old)
      this.#bytes -= data.length + OVERHEAD_BYTES
    }
  }
}
