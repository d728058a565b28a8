// Where a way back into the network may lead: the bootstrap hosts, and nodes that were good until they fell silent. Says whom to ping
// and when: at once while disconnected, every minute while few networks are known, else now and then. No I/O.
// docs/protocol/01 §6.4.1. Proof: engine/split.test.ts.
import type { SocketAddress } from '@jamikit/core/contracts'
import { BOOTSTRAP_FIRST_MS, BOOTSTRAP_KEEP_MS, BOOTSTRAP_MAX_MS, LOST_LIFE_MS } from '../defaults.ts'
import { addressKey, networkKey } from '../wire/address.ts'

export type Reach = 'none' | 'few' | 'enough'

const MAX_BOOTSTRAP = 256
const MAX_LOST = 32
const MAX_LOST_PER_NETWORK = 8
/** Pinged at a time. */
const AT_ONCE = 32
const LOST_AT_ONCE = 8

/** Of one family. */
export class EntryPoints {
  readonly #bootstrap = new Map<string, SocketAddress>() // the one pinged longest ago first; bounded by MAX_BOOTSTRAP
  readonly #lost = new Map<string, { address: SocketAddress; sinceMs: number }>() // the same; bounded by MAX_LOST
  #lastMs = Number.NEGATIVE_INFINITY
  #delayMs = BOOTSTRAP_FIRST_MS

  /** True when it is new. */
  add(address: SocketAddress): boolean {
    const key = addressKey(address)
    if (this.#bootstrap.has(key)) return false
    if (this.#bootstrap.size >= MAX_BOOTSTRAP) for (const first of this.#bootstrap.keys()) { this.#bootstrap.delete(first); break }
    this.#bootstrap.set(key, address)
    return true
  }

  /** Nothing was pinged just now. */
  isIdle(now: number): boolean {
    return now - this.#lastMs >= BOOTSTRAP_FIRST_MS
  }

  /** A node that was good and is given up: it may only be out of reach. */
  lost(address: SocketAddress, now: number): void {
    const network = networkKey(address)
    const same = [...this.#lost].filter(([, l]) => networkKey(l.address) === network)
    const [victim] = same.length >= MAX_LOST_PER_NETWORK ? same : this.#lost.size >= MAX_LOST ? this.#lost : []
    if (victim && !this.#lost.has(addressKey(address))) this.#lost.delete(victim[0])
    this.#lost.set(addressKey(address), { address, sinceMs: now })
  }

  /** Somebody answers there. */
  found(address: SocketAddress): void {
    this.#lost.delete(addressKey(address))
  }

  isLost(address: SocketAddress): boolean {
    return this.#lost.has(addressKey(address))
  }

  isBootstrap(address: SocketAddress): boolean {
    return this.#bootstrap.has(addressKey(address))
  }

  get hasBootstrap(): boolean {
    return this.#bootstrap.size > 0
  }

  get size(): number {
    return this.#bootstrap.size + this.#lost.size
  }

  /** Starts anew, now. */
  hurry(): void {
    this.#lastMs = Number.NEGATIVE_INFINITY
    this.#delayMs = BOOTSTRAP_FIRST_MS
  }

  /** @param elsewhere the other family is connected, so there is no hurry */
  nextMs(reach: Reach, elsewhere: boolean): number {
    if (this.size === 0) return Number.POSITIVE_INFINITY
    return this.#lastMs + (reach === 'enough' ? BOOTSTRAP_KEEP_MS : reach === 'few' ? BOOTSTRAP_MAX_MS : elsewhere ? Math.max(this.#delayMs, BOOTSTRAP_MAX_MS) : this.#delayMs)
  }

  /** Whom to ping now. */
  take(now: number, reach: Reach): SocketAddress[] {
    if (reach === 'none') this.#delayMs = this.#lastMs === Number.NEGATIVE_INFINITY ? BOOTSTRAP_FIRST_MS : Math.min(this.#delayMs * 2, BOOTSTRAP_MAX_MS)
    else this.#delayMs = BOOTSTRAP_FIRST_MS // the next outage starts anew
    this.#lastMs = now
    for (const [key, l] of this.#lost) if (now - l.sinceMs > LOST_LIFE_MS) this.#lost.delete(key)
    const out: SocketAddress[] = []
    for (const [key, address] of [...this.#bootstrap].slice(0, AT_ONCE)) {
      this.#bootstrap.delete(key)
      this.#bootstrap.set(key, address)
      out.push(address)
    }
    for (const [key, l] of [...this.#lost].slice(0, LOST_AT_ONCE)) {
      this.#lost.delete(key)
      this.#lost.set(key, l)
      if (!this.#bootstrap.has(key)) out.push(l.address)
    }
    return out
  }
}
