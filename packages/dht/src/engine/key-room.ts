// The values at one key: by id, and by the network they came from, newest first, so that what one network puts in masses neither
// hides nor drives out what others put. Pure. docs/protocol/01 §3.9. Proof: engine/value-store.test.ts.
import type { InfoHash } from '@jamikit/core/contracts'
import { CERTIFICATE } from './policies.ts'
import { outerType, type Value } from '../wire/value.ts'

export interface StoredValue {
  readonly key: InfoHash
  readonly value: Value
  createdMs: number
  expiresMs: number
  /** Who is charged; undefined for our own. */
  readonly source: string | undefined
  readonly network: string
  readonly size: number
  newer: StoredValue | undefined
  older: StoredValue | undefined
}

interface Group {
  newest: StoredValue | undefined
  oldest: StoredValue | undefined
  size: number
}

export class KeyRoom {
  readonly #byId = new Map<bigint, StoredValue>() // bounded by MAX_VALUES_PER_KEY
  readonly #certificates = new Set<StoredValue>() // several may stand under one id; bounded by MAX_CERTIFICATES_PER_KEY
  readonly #groups = new Map<string, Group>() // by network; bounded by the values

  get size(): number {
    return this.#byId.size + this.#certificates.size
  }

  get certificates(): ReadonlySet<StoredValue> {
    return this.#certificates
  }

  /** Networks that have values here. */
  get networks(): number {
    return this.#groups.size
  }

  count(network: string): number {
    return this.#groups.get(network)?.size ?? 0
  }

  /** The one that an edit would be of; certificates are not found here. */
  get(id: bigint): StoredValue | undefined {
    return this.#byId.get(id)
  }

  /** All under an id. */
  withId(id: bigint): StoredValue[] {
    const one = this.#byId.get(id)
    return [...(one ? [one] : []), ...[...this.#certificates].filter((s) => s.value.id === id)]
  }

  add(stored: StoredValue): void {
    if (outerType(stored.value) === CERTIFICATE) this.#certificates.add(stored)
    else this.#byId.set(stored.value.id, stored)
    const group = this.#groups.get(stored.network) ?? { newest: undefined, oldest: undefined, size: 0 }
    this.#groups.set(stored.network, group)
    stored.older = group.newest
    if (group.newest) group.newest.newer = stored
    group.newest = stored
    group.oldest ??= stored
    group.size++
  }

  delete(stored: StoredValue): boolean {
    const there = this.#certificates.delete(stored) || (this.#byId.get(stored.value.id) === stored && this.#byId.delete(stored.value.id))
    const group = this.#groups.get(stored.network)
    if (!there || !group) return false
    if (stored.newer) stored.newer.older = stored.older
    else group.newest = stored.older
    if (stored.older) stored.older.newer = stored.newer
    else group.oldest = stored.newer
    stored.newer = undefined
    stored.older = undefined
    if (--group.size === 0) this.#groups.delete(stored.network)
    return true
  }

  /** The network with the most values here. Looks at all of them: for a full key only. */
  heaviest(): { network: string; size: number; oldest: StoredValue } | undefined {
    let most: [string, Group] | undefined
    for (const entry of this.#groups) if (entry[0] !== OWN && (!most || entry[1].size > most[1].size)) most = entry
    return most?.[1].oldest && { network: most[0], size: most[1].size, oldest: most[1].oldest }
  }

  all(): StoredValue[] {
    return [...this.#byId.values(), ...this.#certificates]
  }

  /** One of each network in turn, the newest of each first. */
  *fair(): Generator<StoredValue> {
    let turn = [...this.#groups.values()].map((g) => g.newest)
    while (turn.length > 0) {
      const next: (StoredValue | undefined)[] = []
      for (const stored of turn) {
        if (!stored) continue
        yield stored
        if (stored.older) next.push(stored.older)
      }
      turn = next
    }
  }
}

/** The network that our own values count for. */
export const OWN = ''
