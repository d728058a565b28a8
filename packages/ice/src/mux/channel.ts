// A channel of a link as the Channel contract: bounded queues in both directions.
// docs/protocol/02 §4.4, §4.5. Proof: manager/connection-manager.test.ts (contract suite), link/link.test.ts.
import { type Deferred, deferred, JamiError, type Slices } from '@jamikit/core/base'
import type { Channel, ChannelPath, PeerIdentity } from '@jamikit/core/contracts'
import { LINK_SEND_BYTES, MESSAGE_OVERHEAD_BYTES, SEND_HIGH_BYTES } from '../defaults.ts'
import { MAX_PAYLOAD } from '../wire/mux-frame.ts'
import type { ChannelSink, Mux } from './mux.ts'

/** What waits for the reader of a channel grew or shrank by so much; 0 when the channel is over. */
export type OnWaiting = (channel: MuxChannel, by: number) => void

/** What a message holds of the room that its channel has. */
function costOf(bytes: Uint8Array): number {
  return bytes.length + MESSAGE_OVERHEAD_BYTES
}

export class MuxChannel implements Channel, ChannelSink {
  readonly name: string
  readonly remote: PeerIdentity
  readonly path: ChannelPath
  readonly closed: Promise<Error | undefined>
  readonly #mux: Mux
  readonly #onWaiting: OnWaiting
  readonly #slices: Slices
  readonly #over = deferred<Error | undefined>()
  readonly #received: Uint8Array[] = [] // bounded by RECEIVE_HIGH_BYTES and LINK_RECEIVE_BYTES + what one read of the link brings
  readonly #unsent: Uint8Array[] = [] // bounded by SEND_HIGH_BYTES, LINK_SEND_BYTES and a write per waiting writer
  #writers: Deferred<void>[] = [] // bounded by the writer's own calls
  #receivedBytes = 0
  #unsentBytes = 0
  #state: 'open' | 'closing' | 'ended' = 'open'
  #error: Error | undefined
  #readers: Deferred<void>[] = [] // bounded by the reader's own calls
  #flushed: Deferred<void> | undefined

  constructor(mux: Mux, name: string, remote: PeerIdentity, path: ChannelPath, onWaiting: OnWaiting, slices: Slices) {
    this.#mux = mux
    this.#onWaiting = onWaiting
    this.#slices = slices
    this.name = name
    this.remote = remote
    this.path = path
    this.closed = this.#over.promise
  }

  /** Bytes that wait for the reader, with what each message costs. */
  get waitingBytes(): number {
    return this.#receivedBytes
  }

  get isOver(): boolean {
    return this.#state === 'ended'
  }

  // ---------------------------------------------------------------- application

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#state !== 'open') throw this.#refusal()
    if (bytes.length === 0) return
    for (let at = 0; at < bytes.length; at += MAX_PAYLOAD) {
      const part = this.#mux.encode(this, bytes.subarray(at, at + MAX_PAYLOAD)) // a copy
      if (!part) throw this.#refusal()
      this.#count(costOf(part))
      this.#unsent.push(part)
      this.#flush()
    }
    if (this.#isEnded()) throw this.#refusal()
    if (this.#hasRoom()) return
    const room = deferred<void>()
    this.#writers.push(room)
    await room.promise
  }

  async close(): Promise<void> {
    if (this.#state === 'ended') return
    this.#state = 'closing'
    this.#drop()
    if (this.#unsent.length > 0) {
      this.#flushed ??= deferred()
      await this.#flushed.promise
    }
    if (this.#isEnded()) return
    this.#mux.end(this)
    this.#finish(undefined)
  }

  abort(reason?: Error): void {
    this.#drop()
    if (this.#state === 'ended') return
    this.#mux.end(this)
    this.#finish(reason ?? new JamiError('ERR_CHANNEL_CLOSED', `channel ${this.name} was aborted`))
  }

  /** The reader does not come: what waits is dropped, also when the peer has ended the channel already. Reading gives the reason. */
  giveUp(reason: Error): void {
    this.abort(reason)
    this.#error ??= reason
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      const [first] = this.#received
      const pause = first && this.#slices.spend(costOf(first)) // a reader that is always ready would never let go of the event loop
      if (pause) await pause
      const bytes = this.#received.shift()
      if (bytes) {
        const cost = costOf(bytes)
        this.#receivedBytes -= cost
        this.#onWaiting(this, -cost)
        yield bytes
        continue
      }
      if (this.#state === 'ended') {
        if (this.#error) throw this.#error
        return
      }
      const more = deferred<void>()
      this.#readers.push(more)
      await more.promise
    }
  }

  // ---------------------------------------------------------------- multiplexer

  data(bytes: Uint8Array): void {
    if (this.#state !== 'open') return
    const cost = costOf(bytes)
    this.#received.push(bytes)
    this.#receivedBytes += cost
    this.#wake()
    this.#onWaiting(this, cost)
  }

  ended(error: Error | undefined): void {
    this.#finish(error)
  }

  /** Sends one message in this channel's turn. */
  pump(): void {
    const next = this.#unsent.shift()
    if (!next) return
    this.#count(-costOf(next))
    this.#mux.write(this, next)
    if (this.#writers.length > 0 && this.#hasRoom()) for (const writer of this.#writers.splice(0)) writer.resolve()
    if (this.#unsent.length === 0) this.#flushed?.resolve()
  }

  get pending(): boolean {
    return this.#unsent.length > 0
  }

  #count(by: number): void {
    this.#unsentBytes += by
    this.#mux.unsentBytes += by
  }

  /** For another write: in this channel, and in all of the link together unless this one has nothing left. */
  #hasRoom(): boolean {
    return this.#unsent.length === 0 || (this.#unsentBytes <= SEND_HIGH_BYTES && this.#mux.unsentBytes <= LINK_SEND_BYTES)
  }

  #flush(): void {
    while (this.#unsent.length > 0 && this.#mux.mayWrite(this)) this.pump()
  }

  #drop(): void {
    const bytes = this.#receivedBytes
    this.#received.length = 0
    this.#receivedBytes = 0
    if (bytes > 0) this.#onWaiting(this, -bytes)
  }

  #isEnded(): boolean {
    return this.#state === 'ended'
  }

  #wake(): void {
    const readers = this.#readers
    this.#readers = []
    for (const reader of readers) reader.resolve()
  }

  /** What a write gets when the channel is over. */
  #refusal(): JamiError {
    const reason = this.#error
    if (JamiError.is(reason, 'ERR_LINK_LOST')) return reason
    return new JamiError('ERR_CHANNEL_CLOSED', `channel ${this.name} is closed`, reason ? { cause: reason } : {})
  }

  #finish(error: Error | undefined): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#error = error
    const failure = this.#refusal()
    for (const writer of this.#writers.splice(0)) {
      writer.promise.catch(() => {})
      writer.reject(failure)
    }
    this.#unsent.length = 0
    this.#count(-this.#unsentBytes)
    this.#flushed?.resolve()
    if (this.#receivedBytes > 0) this.#onWaiting(this, 0)
    this.#wake()
    this.#over.resolve(error)
  }
}
