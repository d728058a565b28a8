// Our public address as others see it: one vote for each network that told us, which does not last for ever. Pure.
// docs/protocol/01 §3.10. Proof: engine/split.test.ts.
import { fromHex, toHex } from '@jamikit/core/codec'
import type { SocketAddress } from '@jamikit/core/contracts'
import { VOTE_LIFE_MS } from '../defaults.ts'
import { networkKey } from '../wire/address.ts'

/** Networks whose word counts. */
export const MAX_VOTERS = 256

export class AddressVotes {
  readonly #votes = new Map<string, { address: string; untilMs: number }>() // by network, the oldest first; bounded by MAX_VOTERS

  count(from: SocketAddress, address: Uint8Array | undefined, now: number): void {
    if (address?.length !== (from.family === 4 ? 4 : 16)) return
    const network = networkKey(from)
    this.#votes.delete(network)
    this.#votes.set(network, { address: toHex(address), untilMs: now + VOTE_LIFE_MS })
    if (this.#votes.size > MAX_VOTERS) for (const oldest of this.#votes.keys()) { this.#votes.delete(oldest); break }
  }

  /** What most networks say; of several the one said last. */
  best(now: number): Uint8Array | undefined {
    const counts = new Map<string, number>() // bounded by the votes
    let best: string | undefined
    for (const { address, untilMs } of this.#votes.values()) {
      if (untilMs <= now) continue
      const n = (counts.get(address) ?? 0) + 1
      counts.set(address, n)
      if (best === undefined || n >= (counts.get(best) ?? 0)) best = address
    }
    return best === undefined ? undefined : fromHex(best)
  }

  clear(): void {
    this.#votes.clear()
  }
}
