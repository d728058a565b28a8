// Permanent values of an earlier run: kept up until somebody puts them again or takes them back, and not for ever otherwise. No I/O.
// docs/protocol/01 §6.3.1. Proof: engine/state.test.ts.
import type { InfoHash } from '@jamikit/core/contracts'
import { RESTORED_MS } from '../defaults.ts'
import type { Value } from '../wire/value.ts'
import { DueQueue } from './due-queue.ts'
import type { StoredPut } from './state.ts'
import type { ValueStore } from './value-store.ts'

interface Restored {
  readonly put: StoredPut
  readonly untilMs: number
  cancel: () => void
}

export class RestoredValues {
  readonly #store: ValueStore
  /** Keeps a value up in the network; gives what ends it. */
  readonly #announce: (key: InfoHash, value: Value, now: number) => () => void
  readonly #values = new Map<string, Restored>() // by key and id; bounded by MAX_STATE_VALUES
  readonly #due = new DueQueue<string>() // the same
  #asked = false

  constructor(store: ValueStore, announce: (key: InfoHash, value: Value, now: number) => () => void) {
    this.#store = store
    this.#announce = announce
  }

  load(values: readonly StoredPut[], now: number): void {
    for (const put of values) {
      const untilMs = now + Math.min(put.leftMs ?? RESTORED_MS, RESTORED_MS)
      const name = `${put.key}|${put.value.id}`
      this.#store.put(put.key, put.value, now, { createdMs: now, source: undefined, permanent: true })
      this.#values.set(name, { put, untilMs, cancel: () => {} })
      this.#due.set(name, untilMs)
    }
  }

  get nextMs(): number {
    return this.#asked && this.#values.size > 0 ? Number.NEGATIVE_INFINITY : this.#due.nextAt
  }

  /** A family has become usable: at the next tick everything is announced there. */
  familyEnabled(): void {
    this.#asked = true
  }

  tick(now: number): void {
    for (let name = this.#due.take(now); name !== undefined; name = this.#due.take(now)) {
      const restored = this.#values.get(name)
      this.claim(name)
      if (restored) this.#store.remove(restored.put.key, restored.put.value.id)
    }
    if (!this.#asked) return
    this.#asked = false
    for (const restored of this.#values.values()) {
      restored.cancel()
      restored.cancel = this.#announce(restored.put.key, restored.put.value, now)
    }
  }

  /** Somebody puts it again, or takes it back: it is theirs now. */
  claim(name: string): void {
    this.#values.get(name)?.cancel()
    this.#values.delete(name)
    this.#due.delete(name)
  }

  /** How much longer it is kept up; undefined when it is somebody's. */
  leftMs(key: InfoHash, id: bigint, now: number): number | undefined {
    const restored = this.#values.get(`${key}|${id}`)
    return restored && Math.max(0, Math.floor(restored.untilMs - now))
  }
}
