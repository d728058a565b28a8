// Request ids that were treated: never again within 24 hours, those of people we deal with also after a restart. What a stranger
// sends is remembered apart, in memory: it writes nothing, and pushes nobody else's id out. docs/protocol/02 §1.3.
// Proof: manager/treated-ids.test.ts, manager/rendezvous.test.ts.
import { asArray, asInt, decodeMsgpack, encodeMsgpack } from '@jamikit/core/codec'
import type { Clock, Logger, Storage, StorageOp } from '@jamikit/core/contracts'
import { MAX_REFUSED, MAX_TREATED, TREATED_TTL_MS } from '../defaults.ts'

export class TreatedIds {
  readonly #storage: Storage
  readonly #prefix: string
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #seen = new Map<number, number>() // id → Unix ms, oldest first; bounded by MAX_TREATED
  readonly #refused = new Set<number>() // oldest first; bounded by MAX_REFUSED
  readonly #open = new Set<number>() // being looked at; bounded by the slots of Admission
  readonly #unsaved = new Map<string, Uint8Array | null>() // bounded by MAX_TREATED
  #saving: Promise<void> | undefined

  constructor(storage: Storage, prefix: string, clock: Clock, logger: Logger) {
    this.#storage = storage
    this.#prefix = `${prefix}/treated-requests`
    this.#clock = clock
    this.#logger = logger
  }

  /** A record that cannot be read is a cache entry less: it costs at most a repeated answer. */
  async load(): Promise<void> {
    const found: [number, number][] = []
    const read = async (key: string, take: (bytes: Uint8Array) => void) => {
      try {
        const bytes = await this.#storage.get(key)
        if (bytes) take(bytes)
      } catch (err) {
        this.#logger.warn({ err }, 'a list of treated requests could not be read')
        this.#unsaved.set(key, null)
      }
    }
    // one record for all of them, as written before each id had its own
    await read(this.#prefix, (bytes) => {
      for (const pair of asArray(decodeMsgpack(bytes, { maxItems: 3 * MAX_TREATED + 3 }), 'treated ids', MAX_TREATED)) {
        const [id, at] = asArray(pair, 'treated id', 2)
        found.push([asInt(id, 'id'), asInt(at, 'time')])
        this.#unsaved.set(this.#key(asInt(id, 'id')), encodeMsgpack(asInt(at, 'time')))
      }
      this.#unsaved.set(this.#prefix, null)
    })
    for await (const key of this.#storage.keys(`${this.#prefix}/`)) {
      await read(key, (bytes) => found.push([Number(key.slice(this.#prefix.length + 1)), asInt(decodeMsgpack(bytes), 'time')]))
    }
    for (const [id, at] of found.sort((a, b) => a[1] - b[1])) this.#seen.set(id, at)
    this.#expire()
  }

  /** False when the id was treated, or is being looked at. Else it is being looked at, until one of the three below is called. */
  begin(id: number): boolean {
    this.#expire()
    if (this.#seen.has(id) || this.#refused.has(id) || this.#open.has(id)) return false
    this.#open.add(id)
    return true
  }

  /** There was no room for it: it may come again. */
  release(id: number): void {
    this.#open.delete(id)
  }

  /** It is treated. Written in the background: one small record. */
  keep(id: number): void {
    if (!this.#open.delete(id)) return
    const at = this.#clock.wallTimeMs()
    this.#seen.set(id, at)
    this.#unsaved.set(this.#key(id), encodeMsgpack(at))
    this.#expire()
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined
    })
  }

  /** It came from somebody whom we do not answer. */
  refuse(id: number): void {
    if (!this.#open.delete(id)) return
    for (const oldest of this.#refused) {
      if (this.#refused.size < MAX_REFUSED) break
      this.#refused.delete(oldest)
    }
    this.#refused.add(id)
  }

  /** Resolves when everything is written, or cannot be. */
  async flush(): Promise<void> {
    await (this.#saving ?? this.#save())
  }

  #expire(): void {
    const now = this.#clock.wallTimeMs()
    for (const [old, at] of this.#seen) {
      if (now - at <= TREATED_TTL_MS && this.#seen.size <= MAX_TREATED) break
      this.#seen.delete(old)
      this.#unsaved.set(this.#key(old), null)
    }
  }

  async #save(): Promise<void> {
    while (this.#unsaved.size > 0) {
      const ops: StorageOp[] = [...this.#unsaved].map(([key, value]) => ({ key, value }))
      this.#unsaved.clear()
      try {
        await this.#storage.batch(ops)
      } catch (err) {
        // again with the next id
        for (const { key, value } of ops) if (!this.#unsaved.has(key)) this.#unsaved.set(key, value)
        this.#logger.warn({ err }, 'treated requests could not be written')
        return
      }
    }
  }

  #key(id: number): string {
    return `${this.#prefix}/${id}`
  }
}
