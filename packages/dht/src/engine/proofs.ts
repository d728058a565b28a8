// Which addresses have proved that they are where they say: they answered us, or showed a token of ours. Others get little, so that
// nobody can have us send much to an address that is not theirs. What needs more waits for the answer to a ping of ours. No I/O.
// docs/protocol/01 §2.12.1. Proof: engine/server.test.ts.
import type { SocketAddress } from '@jamikit/core/contracts'
import { MAX_PROVEN, MAX_WAITING, MAX_WAITING_PER_NETWORK, MAX_WAITING_PER_SOURCE, PROBE_MS, PROVEN_MS } from '../defaults.ts'
import { addressKey } from '../wire/address.ts'
import { Shares } from './shares.ts'

/** A ping under way to an address, and what waits for its answer. */
interface Probe<W> {
  readonly key: string
  readonly untilMs: number
  readonly waiting: W[]
}

/** Requests of one address that wait. */
const MAX_WAITING_EACH = 8

export class Proofs<W> {
  readonly #proven = new Map<string, number>() // until when, the oldest first; bounded by MAX_PROVEN
  readonly #probes = new Map<string, Probe<W>>() // the oldest first; bounded by MAX_WAITING
  readonly #shares = new Shares<Probe<W>>({ perSource: MAX_WAITING_PER_SOURCE, perNetwork: MAX_WAITING_PER_NETWORK, total: MAX_WAITING })

  isProven(from: SocketAddress, now: number): boolean {
    return (this.#proven.get(addressKey(from)) ?? Number.NEGATIVE_INFINITY) >= now
  }

  /** Gives what waited for it. */
  prove(from: SocketAddress, now: number): W[] {
    const key = addressKey(from)
    this.#proven.delete(key)
    this.#proven.set(key, now + PROVEN_MS)
    if (this.#proven.size > MAX_PROVEN) for (const oldest of this.#proven.keys()) { this.#proven.delete(oldest); break }
    const probe = this.#probes.get(key)
    if (!probe) return []
    this.#end(probe)
    return probe.waiting
  }

  /** Whether a ping is to be sent now: none is under way, and the address has not used up its share. */
  begin(from: SocketAddress, now: number): boolean {
    for (const probe of this.#probes.values()) {
      if (probe.untilMs > now) break
      this.#end(probe)
    }
    const key = addressKey(from)
    const room = this.#probes.has(key) ? undefined : this.#shares.room(from)
    if (!room) return false
    if (room.displaces) this.#end(room.displaces)
    const probe: Probe<W> = { key, untilMs: now + PROBE_MS, waiting: [] }
    this.#probes.set(key, probe)
    this.#shares.add(probe, from)
    return true
  }

  /** Keeps a request until its address answers. False when it cannot. */
  wait(from: SocketAddress, what: W): boolean {
    const probe = this.#probes.get(addressKey(from))
    if (!probe || probe.waiting.length >= MAX_WAITING_EACH) return false
    probe.waiting.push(what)
    return true
  }

  #end(probe: Probe<W>): void {
    this.#probes.delete(probe.key)
    this.#shares.delete(probe)
  }
}
