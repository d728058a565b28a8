// Values that this node stores: policies by type, lifetimes, quotas, and who listens. No I/O; signatures were verified before.
// docs/protocol/01 §3.9, §4.5. Proof: engine/engine.test.ts.
import { compareBytes, equalBytes } from '@jamikit/core/codec'
import type { InfoHash } from '@jamikit/core/contracts'
import { certificateKey, parseChain } from '@jamikit/core/identity'
import { MAX_KEYS, MAX_VALUES_PER_KEY, VALUE_OVERHEAD_BYTES } from '../defaults.ts'
import { encodeBody, outerType, sameValue, type Value, valueSize } from '../wire/value.ts'

const MINUTE = 60_000
const LIFETIMES: ReadonlyMap<number, number> = new Map([
  [1, 5 * MINUTE], [2, 15 * MINUTE], [3, 5 * MINUTE], [4, 7 * 24 * 60 * MINUTE], [5, MINUTE], [8, 7 * 24 * 60 * MINUTE],
])
export const CERTIFICATE = 8
/** What stays of a full store. */
const ROOM = 0.9
/** With more values than this, ends are looked for once a second only. */
const MANY = 4096
const EXPIRY_STEP_MS = 1000

/** How long a value of an outer type lives after it was put, ms. */
export function lifetimeMs(type: number): number {
  return LIFETIMES.get(type) ?? 10 * MINUTE
}

export interface StoredValue {
  value: Value
  createdMs: number
  expiresMs: number
  /** Who is charged; undefined for our own. */
  readonly source: string | undefined
  size: number
}

export type StoreOutcome = 'stored' | 'edited' | 'refreshed' | 'refused'

/** True when a certificate value may stand at this key. */
function isCertificateFor(key: InfoHash, value: Value): boolean {
  try {
    const leaf = parseChain(value.body?.data ?? new Uint8Array(0))[0]
    return leaf.shortId === key || certificateKey(leaf.longId as Parameters<typeof certificateKey>[0]) === key
  } catch {
    return false
  }
}

function sameCertificateKey(a: Value, b: Value): boolean {
  try {
    return parseChain(a.body?.data ?? new Uint8Array(0))[0].longId === parseChain(b.body?.data ?? new Uint8Array(0))[0].longId
  } catch {
    return false
  }
}

/** The edit rule: only the same signer with a higher number, or the same bytes. */
export function mayReplace(old: Value, next: Value): boolean {
  if (outerType(old) === CERTIFICATE) return sameCertificateKey(old, next)
  const [a, b] = [old.body, next.body]
  if (!a?.owner || !b?.owner || !equalBytes(a.owner, b.owner)) return false
  return b.seq > a.seq || (b.seq === a.seq && compareBytes(encodeBody(a), encodeBody(b)) === 0)
}

export class ValueStore {
  readonly #keys = new Map<InfoHash, Map<bigint, StoredValue>>() // bounded by MAX_KEYS, MAX_VALUES_PER_KEY and the byte quota
  readonly #bySource = new Map<string, number>() // bytes; bounded by the stored values
  readonly #maxBytes: number
  #bytes = 0
  #nextExpiryMs = Number.POSITIVE_INFINITY

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
    return [...(this.#keys.get(key)?.values() ?? [])]
  }

  get(key: InfoHash, id: bigint): StoredValue | undefined {
    return this.#keys.get(key)?.get(id)
  }

  /** When `expire` should run next, ms. */
  get nextExpiryMs(): number {
    return this.#nextExpiryMs
  }

  /** @param createdMs not in the future; @param source undefined for our own values, which have no quota and (`permanent`) no end */
  put(key: InfoHash, value: Value, now: number, options: { createdMs: number; source: string | undefined; permanent?: boolean }): StoreOutcome {
    const life = lifetimeMs(outerType(value))
    const expiresMs = options.permanent ? Number.POSITIVE_INFINITY : options.createdMs + life
    if (expiresMs < now) return 'refused'
    const at = this.#keys.get(key)
    const old = at?.get(value.id)
    if (old && sameValue(old.value, value)) {
      old.createdMs = now
      old.expiresMs = Math.max(old.expiresMs, expiresMs)
      return 'refreshed'
    }
    if (outerType(value) === CERTIFICATE && !isCertificateFor(key, value)) return 'refused'
    if (old && options.source !== undefined && !mayReplace(old.value, value)) return 'refused'
    if (!at && this.#keys.size >= MAX_KEYS) return 'refused'
    if (!old && (at?.size ?? 0) >= MAX_VALUES_PER_KEY) return 'refused'
    if (old) this.#forget(key, old)
    const size = valueSize(value) + VALUE_OVERHEAD_BYTES
    const stored: StoredValue = { value, createdMs: options.createdMs, expiresMs, source: options.source, size }
    const map = this.#keys.get(key) ?? new Map<bigint, StoredValue>()
    map.set(value.id, stored)
    this.#keys.set(key, map)
    if (options.source !== undefined) {
      this.#bytes += size
      this.#bySource.set(options.source, (this.#bySource.get(options.source) ?? 0) + size)
    }
    this.#nextExpiryMs = Math.min(this.#nextExpiryMs, expiresMs)
    return old ? 'edited' : 'stored'
  }

  /** False when the value is not here. */
  refresh(key: InfoHash, id: bigint, now: number): boolean {
    const stored = this.get(key, id)
    if (!stored) return false
    stored.createdMs = now
    stored.expiresMs = Math.max(stored.expiresMs, now + lifetimeMs(outerType(stored.value)))
    return true
  }

  remove(key: InfoHash, id: bigint): void {
    const stored = this.get(key, id)
    if (stored) this.#forget(key, stored)
  }

  /** Removes what is over, and, when over quota, the values nearest to their end of the heaviest source. */
  expire(now: number): { key: InfoHash; value: Value }[] {
    const gone: { key: InfoHash; value: Value }[] = []
    if (now >= this.#nextExpiryMs) {
      this.#nextExpiryMs = Number.POSITIVE_INFINITY
      for (const [key, map] of this.#keys) {
        for (const stored of map.values()) {
          if (stored.expiresMs <= now) {
            gone.push({ key, value: stored.value })
            this.#forget(key, stored)
          } else this.#nextExpiryMs = Math.min(this.#nextExpiryMs, stored.expiresMs)
        }
      }
      if (this.#bytes > MANY * VALUE_OVERHEAD_BYTES) this.#nextExpiryMs = Math.max(this.#nextExpiryMs, now + EXPIRY_STEP_MS)
    }
    if (this.#bytes > this.#maxBytes) this.#evict(gone)
    return gone
  }

  /** Makes room for a while, so that a full store is not searched through for every value. */
  #evict(gone: { key: InfoHash; value: Value }[]): void {
    const bySource = new Map<string, { key: InfoHash; stored: StoredValue }[]>() // bounded by the stored values
    for (const [key, map] of this.#keys) {
      for (const stored of map.values()) {
        if (stored.source === undefined) continue
        const list = bySource.get(stored.source)
        if (list) list.push({ key, stored })
        else bySource.set(stored.source, [{ key, stored }])
      }
    }
    for (const list of bySource.values()) list.sort((a, b) => b.stored.expiresMs - a.stored.expiresMs) // nearest to its end last
    const sources = [...this.#bySource].sort((a, b) => b[1] - a[1])
    const target = this.#maxBytes * ROOM
    let top = 0
    for (let k = 0; k < sources.length; k++) {
      top += sources[k]?.[1] ?? 0
      const level = (target - (this.#bytes - top)) / (k + 1) // what the k + 1 heaviest may keep, each
      if (level < (sources[k + 1]?.[1] ?? 0)) continue
      for (const [source] of sources.slice(0, k + 1)) {
        const list = bySource.get(source) ?? []
        while ((this.#bySource.get(source) ?? 0) > level) {
          const victim = list.pop()
          if (!victim) break
          gone.push({ key: victim.key, value: victim.stored.value })
          this.#forget(victim.key, victim.stored)
        }
      }
      return
    }
  }

  #forget(key: InfoHash, stored: StoredValue): void {
    const map = this.#keys.get(key)
    map?.delete(stored.value.id)
    if (map?.size === 0) this.#keys.delete(key)
    if (stored.source === undefined) return
    this.#bytes -= stored.size
    const left = (this.#bySource.get(stored.source) ?? 0) - stored.size
    if (left > 0) this.#bySource.set(stored.source, left)
    else this.#bySource.delete(stored.source)
  }
}
