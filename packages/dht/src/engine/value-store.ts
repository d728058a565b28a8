// Values that this node stores: policies by type, lifetimes, and who may have how much. No I/O; signatures were verified before.
// docs/protocol/01 §3.9, §4.5. Proof: engine/value-store.test.ts, engine/engine.test.ts.
import type { InfoHash } from '@jamikit/core/contracts'
import { KEY_OVERHEAD_BYTES, MAX_CERTIFICATES_PER_KEY, MAX_KEYS, MAX_LOOKED_AT, MAX_VALUES_PER_KEY, VALUE_OVERHEAD_BYTES } from '../defaults.ts'
import { matches, type Where } from '../wire/query.ts'
import { outerType, sameValue, type Value, valueSize } from '../wire/value.ts'
import { DueQueue } from './due-queue.ts'
import { KeyRoom, OWN, type StoredValue } from './key-room.ts'
import { CERTIFICATE, isCertificateFor, lifetimeMs, mayReplace } from './policies.ts'

export type { StoredValue }
export { CERTIFICATE, lifetimeMs, mayReplace }

/** What stays of a full store. */
const ROOM = 0.9

/** `refused`: the rules of its type; `full`: its source has used up its share of what there is. */
export type StoreOutcome = 'stored' | 'edited' | 'refreshed' | 'refused' | 'full'

export interface PutOptions {
  /** Not in the future. */
  readonly createdMs: number
  /** Undefined for our own values, which have no quota and (`permanent`) no end. */
  readonly source: string | undefined
  /** Default: the source is a network of its own. */
  readonly network?: string
  readonly permanent?: boolean
  /** A certificate whose signature was checked. */
  readonly vouched?: boolean
}

export class ValueStore {
  readonly #keys = new Map<InfoHash, KeyRoom>() // bounded by MAX_KEYS, MAX_VALUES_PER_KEY and the byte quota
  readonly #charged = new Map<string, { bytes: number; bySource: Map<string, number> }>() // by network; bounded by the stored values
  readonly #due = new DueQueue<StoredValue>() // the same
  readonly #maxBytes: number
  #bytes = 0

  /** @param maxBytes of values of others */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  has(key: InfoHash): boolean {
    return this.#keys.has(key)
  }

  values(key: InfoHash): StoredValue[] {
    return this.#keys.get(key)?.all() ?? []
  }

  /** The first one under this id. */
  get(key: InfoHash, id: bigint): StoredValue | undefined {
    return this.#keys.get(key)?.withId(id)[0]
  }

  /** Whether exactly this one is here. */
  holds(key: InfoHash, value: Value): boolean {
    return this.#keys.get(key)?.withId(value.id).some((s) => sameValue(s.value, value)) ?? false
  }

  /** What an answer shows: of every network in turn, the newest first, as many as fit; one always does. */
  select(key: InfoHash, where: Where, maxCount: number, maxBytes: number): Value[] {
    const room = this.#keys.get(key)
    if (!room) return []
    const out: Value[] = []
    let bytes = 0
    let looked = 0
    for (const { value } of where.id === undefined ? room.fair() : room.withId(where.id)) {
      if (out.length >= maxCount || ++looked > MAX_LOOKED_AT) break
      if (!matches(where, value)) continue
      bytes += valueSize(value)
      if (out.length > 0 && bytes > maxBytes) break
      out.push(value)
    }
    return out
  }

  /** When `expire` should run next, ms. */
  get nextExpiryMs(): number {
    return this.#due.nextAt
  }

  put(key: InfoHash, value: Value, now: number, options: PutOptions): StoreOutcome {
    const { source, network = source ?? OWN } = options
    const type = outerType(value)
    const expiresMs = options.permanent ? Number.POSITIVE_INFINITY : options.createdMs + lifetimeMs(type)
    if (expiresMs < now) return 'refused'
    const at = this.#keys.get(key)
    const same = at?.withId(value.id).find((s) => sameValue(s.value, value))
    if (same) {
      same.createdMs = now
      this.#until(same, Math.max(same.expiresMs, expiresMs))
      return 'refreshed'
    }
    if (type === CERTIFICATE && !isCertificateFor(key, value)) return 'refused'
    const old = type === CERTIFICATE ? at?.withId(value.id).find((s) => mayReplace(s.value, value, options.vouched ?? false) || (source === undefined && s.source === undefined)) : at?.get(value.id)
    if (old && source !== undefined && !mayReplace(old.value, value, options.vouched ?? false)) return 'refused'
    if (!old && !this.#admits(at, type, network, source)) return 'full'
    if (old) this.#forget(old)
    const room = this.#keys.get(key) ?? new KeyRoom()
    const size = valueSize(value) + VALUE_OVERHEAD_BYTES + (room.size === 0 ? KEY_OVERHEAD_BYTES : 0)
    const stored: StoredValue = { key, value, createdMs: options.createdMs, expiresMs, source, network, size, newer: undefined, older: undefined }
    room.add(stored)
    this.#keys.set(key, room)
    this.#charge(stored, size)
    this.#due.set(stored, expiresMs)
    return old ? 'edited' : 'stored'
  }

  /** Makes room at a full key at the cost of the network that has most there. False when that is the one that asks. */
  #admits(at: KeyRoom | undefined, type: number, network: string, source: string | undefined): boolean {
    if (!at && this.#keys.size >= MAX_KEYS) {
      if (source === undefined) return false
      this.#evict(this.#bytes * ROOM, [])
      return this.#keys.size < MAX_KEYS
    }
    if (!at) return true
    if (type === CERTIFICATE && at.certificates.size >= MAX_CERTIFICATES_PER_KEY) return false
    if (type === CERTIFICATE && source !== undefined && [...at.certificates].filter((s) => s.network === network).length >= MAX_CERTIFICATES_PER_KEY / 4) return false
    if (at.size < MAX_VALUES_PER_KEY) return true
    const heaviest = at.heaviest()
    if (source === undefined || !heaviest || heaviest.size <= at.count(network) + 1) return false
    this.#forget(heaviest.oldest)
    return true
  }

  #until(stored: StoredValue, expiresMs: number): void {
    stored.expiresMs = expiresMs
    this.#due.set(stored, expiresMs)
  }

  /** False when the value is not here. */
  refresh(key: InfoHash, id: bigint, now: number): boolean {
    const found = this.#keys.get(key)?.withId(id) ?? []
    for (const stored of found) {
      stored.createdMs = now
      this.#until(stored, Math.max(stored.expiresMs, now + lifetimeMs(outerType(stored.value))))
    }
    return found.length > 0
  }

  /** Takes back one of our own. */
  remove(key: InfoHash, id: bigint): void {
    for (const stored of this.#keys.get(key)?.withId(id) ?? []) if (stored.source === undefined) this.#forget(stored)
  }

  /** Our own values without an end. */
  permanent(): StoredValue[] {
    const out: StoredValue[] = []
    for (const room of this.#keys.values()) for (const s of room.all()) if (s.expiresMs === Number.POSITIVE_INFINITY) out.push(s)
    return out
  }

  /** Removes what is over, and, when over quota, makes room. */
  expire(now: number): { key: InfoHash; value: Value }[] {
    const gone: { key: InfoHash; value: Value }[] = []
    for (let stored = this.#due.take(now); stored; stored = this.#due.take(now)) {
      gone.push({ key: stored.key, value: stored.value })
      this.#forget(stored)
    }
    if (this.#bytes > this.#maxBytes) this.#evict(this.#maxBytes * ROOM, gone)
    return gone
  }

  /**
   * Makes room for a while, so that a full store is not searched through for every value: the networks that have most give, down to
   * what the others have; in a network its heaviest sources; of a source what is nearest to its end.
   */
  #evict(target: number, gone: { key: InfoHash; value: Value }[]): void {
    const bySource = new Map<string, StoredValue[]>() // bounded by the stored values
    for (const room of this.#keys.values()) {
      for (const stored of room.all()) {
        if (stored.source === undefined) continue
        const list = bySource.get(stored.source)
        if (list) list.push(stored)
        else bySource.set(stored.source, [stored])
      }
    }
    const networks = new Map([...this.#charged].map(([network, { bytes }]) => [network, bytes]))
    const level = levelFor(networks, target)
    for (const [network, bytes] of networks) {
      if (bytes <= level) continue
      const sources = new Map(this.#charged.get(network)?.bySource ?? [])
      const each = levelFor(sources, level)
      for (const [source, held] of sources) {
        if (held <= each) continue
        const list = (bySource.get(source) ?? []).sort((a, b) => b.expiresMs - a.expiresMs) // nearest to its end last
        while ((this.#charged.get(network)?.bySource.get(source) ?? 0) > each) {
          const victim = list.pop()
          if (!victim) break
          gone.push({ key: victim.key, value: victim.value })
          this.#forget(victim)
        }
      }
    }
  }

  #charge({ source, network }: StoredValue, bytes: number): void {
    if (source === undefined) return
    this.#bytes += bytes
    const of = this.#charged.get(network) ?? { bytes: 0, bySource: new Map<string, number>() }
    this.#charged.set(network, of)
    of.bytes += bytes
    const left = (of.bySource.get(source) ?? 0) + bytes
    if (left > 0) of.bySource.set(source, left)
    else of.bySource.delete(source)
    if (of.bySource.size === 0) this.#charged.delete(network)
  }

  #forget(stored: StoredValue): void {
    const room = this.#keys.get(stored.key)
    this.#due.delete(stored)
    if (!room?.delete(stored)) return
    if (room.size === 0) this.#keys.delete(stored.key)
    this.#charge(stored, -stored.size)
  }
}

/** What each may keep at most so that all together keep `target`. */
function levelFor(held: ReadonlyMap<string, number>, target: number): number {
  const sizes = [...held.values()].sort((a, b) => b - a)
  let rest = sizes.reduce((a, b) => a + b, 0)
  if (rest <= target) return Number.POSITIVE_INFINITY
  for (const [k, size] of sizes.entries()) {
    rest -= size
    const level = (target - rest) / (k + 1) // what the k + 1 heaviest may keep, each
    if (level >= (sizes[k + 1] ?? 0)) return level
  }
  return 0
}
