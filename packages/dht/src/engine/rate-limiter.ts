// How much a source, its network, and all together may have in a second: requests, bytes, signatures. Time is an argument.
// docs/protocol/01 §2.10. Proof: engine/engine.test.ts (table over time), engine/indexes.test.ts.
import type { SocketAddress } from '@jamikit/core/contracts'
import { networkKey, sourceKey } from '../wire/address.ts'

/** Sources counted in one second. */
const MAX_SOURCES = 65_536

export interface RateLimits {
  readonly perSource: number
  /** Of an IPv4 /24 or IPv6 /48. */
  readonly perNetwork: number
  readonly total: number
}

/** One-second windows: what came in this second and a share of the last one count. */
export class RateLimiter {
  readonly #limits: RateLimits
  #second = Number.NEGATIVE_INFINITY
  #counts = new Map<string, number>() // bounded by MAX_SOURCES
  #last = new Map<string, number>() // bounded by MAX_SOURCES
  #all = 0
  #lastAll = 0

  constructor(limits: RateLimits) {
    this.#limits = limits
  }

  /** How many of `wanted` there is room for; they are counted. */
  take(from: SocketAddress, wanted: number, now: number): number {
    let taken = 0
    while (taken < wanted && this.allows(from, now)) taken++
    return taken
  }

  /** Whether there is room; the last one that finds some may exceed it. @param weight what it counts as */
  allows(from: SocketAddress, now: number, weight = 1): boolean {
    this.#turn(now)
    const share = 1 - (now / 1000 - this.#second)
    const [source, network] = [sourceKey(from), `n${networkKey(from)}`]
    const used = (key: string) => (this.#counts.get(key) ?? 0) + share * (this.#last.get(key) ?? 0)
    if (used(source) >= this.#limits.perSource || used(network) >= this.#limits.perNetwork || this.#all + share * this.#lastAll >= this.#limits.total) return false
    if (!this.#counts.has(source) && this.#counts.size >= MAX_SOURCES) return false
    for (const key of [source, network]) this.#counts.set(key, (this.#counts.get(key) ?? 0) + weight)
    this.#all += weight
    return true
  }

  #turn(now: number): void {
    const second = Math.floor(now / 1000)
    if (second === this.#second) return
    const next = second === this.#second + 1
    this.#last = next ? this.#counts : new Map()
    this.#lastAll = next ? this.#all : 0
    this.#counts = new Map()
    this.#all = 0
    this.#second = second
  }
}
