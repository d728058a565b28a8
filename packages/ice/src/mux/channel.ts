// A channel of a link as the Channel contract: bounded queues in both directions.
// docs/protocol/02 §4.4, §4.5. Proof: manager/connection-manager.test.ts (contract suite), link/tls-link.test.ts.
import { type Deferred, deferred, JamiError } from '@jamikit/core/base'
import type { Channel, ChannelPath, PeerIdentity } from '@jamikit/core/contracts'
import { RECEIVE_HIGH_BYTES, RECEIVE_LOW_BYTES, SEND_HIGH_BYTES } from '../defaults.ts'
import { MAX_PAYLOAD } from '../wire/mux-frame.ts'
import type { ChannelSink, Mux } from './mux.ts'

/** The link's reading must stop (true) or may go on for this channel. */
export type OnFull = (channel: MuxChannel, full: boolean) => void

export class MuxChannel implements Channel, ChannelSink {
  readonly name: string
  readonly remote: PeerIdentity
  readonly path: ChannelPath
  readonly closed: Promise<Error | undefined>
  readonly #mux: Mux
  readonly #onFull: OnFull
  readonly #over = deferred<Error | undefined>()
  readonly #received: Uint8Array[] = [] // bounded by RECEIVE_HIGH_BYTES + what one read of the link brings
  readonly #unsent: { bytes: Uint8Array; done: Deferred<void> | undefined }[] = [] // bounded by SEND_HIGH_BYTES per waiting writer
  #receivedBytes = 0
  #readBytes = 0
  #unsentBytes = 0
  #full = false
  #state: 'open' | 'closing' | 'ended' = 'open'
  #error: Error | undefined
  #readers: Deferred<void>[] = [] // bounded by the reader's own calls
  #flushed: Deferred<void> | undefined

  constructor(mux: Mux, name: string, remote: PeerIdentity, path: ChannelPath, onFull: OnFull) {
    this.#mux = mux
    this.#onFull = onFull
    this.name = name
    this.remote = remote
    this.path = path
    this.closed = this.#over.promise
  }

  /** Taken by the reader so far, and waiting for it. */
  get readBytes(): number {
    return this.#readBytes
  }

  get waitingBytes(): number {
    return this.#receivedBytes
  }

  // ---------------------------------------------------------------- application

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#state !== 'open') throw this.#refusal()
    if (bytes.length === 0) return
    for (let at = 0; at < bytes.length; at += MAX_PAYLOAD) {
      const part = this.#mux.encode(this, bytes.subarray(at, at + MAX_PAYLOAD)) // a copy
      if (!part) throw this.#refusal()
      const last = at + MAX_PAYLOAD >= bytes.length
      this.#unsentBytes += part.length
      const done = last && this.#unsentBytes > SEND_HIGH_BYTES ? deferred<void>() : undefined
      this.#unsent.push({ bytes: part, done })
      this.#flush()
      if (done && this.#unsentBytes > SEND_HIGH_BYTES) await done.promise
    }
  }

  async close(): Promise<void> {
    if (this.#state === 'ended') return
    this.#state = 'closing'
    if (this.#unsent.length > 0) {
      this.#flushed ??= deferred()
      await this.#flushed.promise
    }
    if (this.#isEnded()) return
    this.#mux.end(this)
    this.#finish(undefined)
  }

  abort(reason?: Error): void {
    if (this.#state === 'ended') return
    this.#mux.end(this)
    this.#received.length = 0
    this.#receivedBytes = 0
    this.#finish(reason ?? new JamiError('ERR_CHANNEL_CLOSED', `channel ${this.name} was aborted`))
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      const bytes = this.#received.shift()
      if (bytes) {
        this.#receivedBytes -= bytes.length
        this.#readBytes += bytes.length
        if (this.#full && this.#receivedBytes <= RECEIVE_LOW_BYTES) {
          this.#full = false
          this.#onFull(this, false)
        }
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
    this.#received.push(bytes)
    this.#receivedBytes += bytes.length
    this.#wake()
    if (!this.#full && this.#receivedBytes > RECEIVE_HIGH_BYTES) {
      this.#full = true
      this.#onFull(this, true)
    }
  }

  ended(error: Error | undefined): void {
    this.#finish(error)
  }

  /** Sends one message in this channel's turn. */
  pump(): void {
    const next = this.#unsent.shift()
    if (!next) return
    this.#unsentBytes -= next.bytes.length
    this.#mux.write(this, next.bytes)
    for (const waiting of this.#unsent) if (waiting.done && this.#unsentBytes <= SEND_HIGH_BYTES) waiting.done.resolve()
    next.done?.resolve()
    if (this.#unsent.length === 0) this.#flushed?.resolve()
  }

  get pending(): boolean {
    return this.#unsent.length > 0
  }

  #flush(): void {
    while (this.#unsent.length > 0 && this.#mux.mayWrite(this)) this.pump()
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
    for (const { done } of this.#unsent) {
      done?.promise.catch(() => {})
      done?.reject(failure)
    }
    this.#unsent.length = 0
    this.#flushed?.resolve()
    if (this.#full) {
      this.#full = false
      this.#onFull(this, false)
    }
    this.#wake()
    this.#over.resolve(error)
  }
}
