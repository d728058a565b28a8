// Request ids that were seen: never treated twice within 24 hours, also after a restart. docs/protocol/02 §1.3.
// Proof: manager/rendezvous.test.ts.
import { asArray, asInt, decodeMsgpack, encodeMsgpack } from '@jamikit/core/codec'
import type { Clock, Storage } from '@jamikit/core/contracts'
import { MAX_TREATED, TREATED_TTL_MS } from '../defaults.ts'

export class TreatedIds {
  readonly #storage: Storage
  readonly #key: string
  readonly #clock: Clock
  readonly #seen = new Map<number, number>() // id → Unix ms, oldest first; bounded by MAX_TREATED
  #saving: Promise<void> | undefined
  #dirty = false

  constructor(storage: Storage, prefix: string, clock: Clock) {
    this.#storage = storage
    this.#key = `${prefix}/treated-requests`
    this.#clock = clock
  }

  async load(): Promise<void> {
    const bytes = await this.#storage.get(this.#key)
    if (!bytes) return
    try {
      for (const pair of asArray(decodeMsgpack(bytes, { maxItems: 3 * MAX_TREATED + 3 }), 'treated ids', MAX_TREATED)) {
        const [id, at] = asArray(pair, 'treated id', 2)
        this.#seen.set(asInt(id, 'id'), asInt(at, 'time'))
      }
    } catch {
      this.#seen.clear() // a damaged cache costs at most a repeated answer
    }
  }

  /** True the first time an id is seen. Written in the background. */
  take(id: number): boolean {
    const now = this.#clock.wallTimeMs()
    for (const [old, at] of this.#seen) {
      if (now - at <= TREATED_TTL_MS && this.#seen.size < MAX_TREATED) break
      this.#seen.delete(old)
    }
    if (this.#seen.has(id)) return false
    this.#seen.set(id, now)
    this.#dirty = true
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined
    })
    return true
  }

  /** Resolves when everything is written. */
  async flush(): Promise<void> {
    await this.#saving
  }

  async #save(): Promise<void> {
    while (this.#dirty) {
      this.#dirty = false
      await this.#storage.batch([{ key: this.#key, value: encodeMsgpack([...this.#seen].map(([id, at]) => [id, at])) }]).catch(() => {})
    }
  }
}
