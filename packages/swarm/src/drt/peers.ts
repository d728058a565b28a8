// What each device at the other end of a channel has said and used up: its channels, version, open questions and rates, which are remembered
// when it leaves, so that coming back gains nothing. Pure. docs/protocol/04 §6.3. Proof: drt/engine.test.ts.
import { TokenBucket } from '@jamikit/core/base'
import type { AccountUri, DeviceId } from '@jamikit/core/contracts'
import { CERTIFICATE_RATE, EXCESS_RATE, FIND_RATE, HEARD_RATE, MAX_REMEMBERED_PEERS } from './limits.ts'
import { DrtStream } from './wire.ts'

export interface Line {
  readonly id: number
  readonly peer: Peer
  readonly stream: DrtStream
}

export class Peer {
  readonly device: DeviceId
  readonly account: AccountUri
  /** Open channels, the newest last. */
  readonly lines: Line[] = [] // bounded by MAX_LINES
  /** As of its last message. */
  version = 0
  /** FINDs of ours that it has not answered. */
  questions = 0
  readonly finds: TokenBucket
  readonly heard: TokenBucket
  readonly certificates: TokenBucket
  readonly lookups: TokenBucket
  readonly excess: TokenBucket

  constructor(device: DeviceId, account: AccountUri, nowMs: number) {
    this.device = device
    this.account = account
    this.finds = new TokenBucket(FIND_RATE, nowMs)
    this.heard = new TokenBucket(HEARD_RATE, nowMs)
    this.certificates = new TokenBucket(CERTIFICATE_RATE, nowMs)
    this.lookups = new TokenBucket(HEARD_RATE, nowMs)
    this.excess = new TokenBucket(EXCESS_RATE, nowMs)
  }
}

/** Channels of one device: two when both ends open one at once, one more while an old link dies. */
const MAX_LINES = 4

export class Peers {
  readonly #peers = new Map<DeviceId, Peer>() // oldest first; bounded by MAX_REMEMBERED_PEERS, of which the connected ones are fewer
  readonly #lines = new Map<number, Line>() // bounded by the channels of connected devices

  get size(): number {
    return this.#peers.size
  }

  get(device: DeviceId): Peer | undefined {
    return this.#peers.get(device)
  }

  line(id: number): Line | undefined {
    return this.#lines.get(id)
  }

  *lines(): IterableIterator<Line> {
    yield* this.#lines.values()
  }

  /** @returns undefined when the device has too many */
  open(id: number, device: DeviceId, account: AccountUri, nowMs: number): Peer | undefined {
    const known = this.#peers.get(device)
    const peer = known && (known.account === account || known.lines.length > 0) ? known : new Peer(device, account, nowMs)
    if (peer.lines.length >= MAX_LINES) return undefined
    this.#peers.delete(device)
    for (const [oldest, { lines }] of this.#peers) {
      if (this.#peers.size < MAX_REMEMBERED_PEERS) break
      if (lines.length === 0) this.#peers.delete(oldest)
    }
    this.#peers.set(device, peer)
    const line = { id, peer, stream: new DrtStream() }
    peer.lines.push(line)
    this.#lines.set(id, line)
    return peer
  }

  /** @returns the device when it was its last channel */
  close(id: number): Peer | undefined {
    const line = this.#lines.get(id)
    if (!line) return undefined
    const { peer } = line
    this.#lines.delete(id)
    peer.lines.splice(peer.lines.indexOf(line), 1)
    if (peer.lines.length > 0) return undefined
    peer.questions = 0
    return peer
  }
}
