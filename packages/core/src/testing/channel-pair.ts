// Two ends of a channel in memory: the Channel contract with its back-pressure and its ends, without a link below.
// Proof: testing/channel-pair.test.ts with testing/suites/channel.ts.
import { JamiError } from '../base/errors.ts'
import { type Deferred, deferred } from '../base/operation.ts'
import type { Channel, ChannelPath } from '../contracts/channel.ts'
import type { Clock } from '../contracts/clock.ts'
import type { PeerIdentity } from '../contracts/identity.ts'

/** What the two ends are like. */
export interface ChannelPairOptions {
  /** Full name of the channel. */
  name: string
  /** Who has the first end and who has the second one. */
  peers: readonly [PeerIdentity, PeerIdentity]
  /** With a clock bytes take `latencyMs`, without one they arrive in the next promise job. */
  clock?: Clock
  /** One way; default 0. */
  latencyMs?: number
  /** Unread bytes above which a writer is held. */
  highWaterBytes?: number
}

const HIGH_WATER_BYTES = 262_144
const MAX_PIECE_BYTES = 65_535

/** Both ends, open. */
export function channelPair(options: ChannelPairOptions): [MemoryChannel, MemoryChannel] {
  const [first, second] = options.peers
  const a = new MemoryChannel(options, second)
  const b = new MemoryChannel(options, first)
  a.connect(b)
  b.connect(a)
  return [a, b]
}

/** One end of a channel in memory. */
export class MemoryChannel implements Channel {
  readonly name: string
  readonly remote: PeerIdentity
  readonly path: ChannelPath = { kind: 'host', remote: '10.0.0.1:9' }
  readonly closed: Promise<Error | undefined>
  /** Received, in bytes. */
  bytesIn = 0
  /** Sent, in bytes. */
  bytesOut = 0
  readonly #later: (fn: () => void) => void
  readonly #highWater: number
  readonly #over = deferred<Error | undefined>()
  #peer: MemoryChannel | undefined
  #outbox: { bytes: Uint8Array; done: Deferred<void> }[] = [] // bounded by the caller's own pending writes
  #unread = 0
  #inbox: Uint8Array[] = [] // bounded by the high-water mark of the peer
  #readers: (() => void)[] = [] // bounded by the caller's own pending reads
  #endReceived = false
  #endSent = false
  #closing = false
  #ended = false
  #failure: Error | undefined

  constructor(options: ChannelPairOptions, remote: PeerIdentity) {
    const { clock, latencyMs = 0, highWaterBytes = HIGH_WATER_BYTES } = options
    this.name = options.name
    this.remote = remote
    this.#highWater = highWaterBytes
    this.#later = clock ? (fn) => void clock.after(latencyMs, fn) : (fn) => queueMicrotask(fn)
    this.closed = this.#over.promise
  }

  /** Joins it with its other end; `channelPair` does. */
  connect(peer: MemoryChannel): void {
    this.#peer = peer
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#closing || this.#ended) throw this.#failure && JamiError.is(this.#failure, 'ERR_LINK_LOST') ? this.#failure : closedError(this.#failure)
    if (bytes.length === 0) return
    const pieces: Promise<void>[] = []
    for (let at = 0; at < bytes.length; at += MAX_PIECE_BYTES) {
      const done = deferred<void>()
      done.promise.catch(() => {}) // reported by Promise.all
      pieces.push(done.promise)
      this.#outbox.push({ bytes: bytes.slice(at, at + MAX_PIECE_BYTES), done })
    }
    this.#pump()
    await Promise.all(pieces)
  }

  #pump(): void {
    while (this.#unread < this.#highWater && !this.#ended) {
      const next = this.#outbox.shift()
      if (!next) break
      this.#unread += next.bytes.length
      this.bytesOut += next.bytes.length
      this.#later(() => this.#peer?.receive(next.bytes))
      next.done.resolve()
    }
    if (!this.#closing || this.#outbox.length > 0 || this.#endSent || this.#ended) return
    this.#endSent = true
    this.#later(() => this.#peer?.receiveEnd())
    this.#finish(undefined)
  }

  /** Bytes of the other end arrive. */
  receive(bytes: Uint8Array): void {
    if (this.#ended || this.#closing) return this.#peer?.taken(bytes.length)
    this.bytesIn += bytes.length
    this.#inbox.push(bytes)
    this.#wake()
  }

  /** The end mark of the other end arrives. */
  receiveEnd(): void {
    this.#endReceived = true
    this.#finish(undefined)
  }

  /** The other end has read so much. */
  taken(length: number): void {
    this.#unread -= length
    this.#pump()
  }

  async #pull(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      if (this.#failure) throw this.#failure
      const bytes = this.#closing ? undefined : this.#inbox.shift()
      if (bytes) {
        this.#peer?.taken(bytes.length)
        return { value: bytes, done: false }
      }
      if (this.#closing || this.#ended) return { value: undefined, done: true }
      await new Promise<void>((resolve) => this.#readers.push(resolve))
    }
  }

  /** What arrives, piece by piece; ends with the channel. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return { next: () => this.#pull() }
  }

  async close(): Promise<void> {
    if (!this.#closing && !this.#ended) {
      this.#closing = true
      for (const bytes of this.#inbox.splice(0)) this.#peer?.taken(bytes.length)
      this.#wake()
      this.#pump()
    }
    await this.closed
  }

  abort(reason?: Error): void {
    if (this.#ended) return
    this.#later(() => this.#peer?.receiveEnd())
    this.#fail(reason ?? new JamiError('ERR_CHANNEL_CLOSED', 'the channel was aborted'))
  }

  /** The link below is gone: both ends are told apart from each other. */
  breakLink(reason: Error): void {
    if (!this.#ended) this.#fail(reason)
  }

  #fail(error: Error): void {
    this.#failure = error
    this.#finish(error)
  }

  #finish(error: Error | undefined): void {
    if (this.#ended) return
    this.#ended = true
    if (!this.#endReceived) this.#inbox = []
    for (const { done } of this.#outbox.splice(0)) done.reject(JamiError.is(error, 'ERR_LINK_LOST') ? error : closedError(error))
    this.#wake()
    this.#over.resolve(error)
  }

  #wake(): void {
    const readers = this.#readers
    this.#readers = []
    for (const reader of readers) reader()
  }
}

function closedError(cause: Error | undefined): JamiError {
  return new JamiError('ERR_CHANNEL_CLOSED', 'the channel is over', cause === undefined ? {} : { cause })
}
