// Packets over a channel, pulled one at a time; silence and trickling end a session. docs/protocol/04 §4.3.
// Proof: sync/git-stream.test.ts.
import { JamiError, withOp } from '@jamikit/core/base'
import type { Channel, Clock } from '@jamikit/core/contracts'
import { SESSION_IDLE_MS, SESSION_MIN_RATE } from '../defaults.ts'
import { type Pkt, PktDecoder } from './pkt-line.ts'

export class GitStream {
  readonly channel: Channel
  readonly clock: Clock
  readonly #reader: AsyncIterator<Uint8Array>
  readonly #decoder = new PktDecoder() // asked for more only when it is empty: bounded by one read of the channel
  #begun: number
  #moved = 0
  bytesRead = 0

  constructor(channel: Channel, clock: Clock) {
    this.channel = channel
    this.clock = clock
    this.#reader = channel[Symbol.asyncIterator]()
    this.#begun = clock.now()
  }

  /** A session begins: progress counts from here. */
  begin(): void {
    this.#begun = this.clock.now()
    this.#moved = 0
  }

  /** So many bytes of use went one way or the other. */
  progress(bytes: number): void {
    this.#moved += bytes
  }

  /** How long the peer may be silent now. @throws ERR_TIMEOUT when it only trickles */
  #patience(): number {
    const left = this.#begun + SESSION_IDLE_MS + (this.#moved / SESSION_MIN_RATE) * 1000 - this.clock.now()
    if (left <= 0) throw new JamiError('ERR_TIMEOUT', `git session: got ${this.#moved} bytes, which is too slow`, { details: { got: this.#moved, bytesPerSecond: SESSION_MIN_RATE } })
    return Math.min(left, SESSION_IDLE_MS)
  }

  /** The next packet; undefined at the end of the channel. @throws ERR_TIMEOUT when the peer is silent or trickles (unless `patient`), ERR_CODEC, ERR_LIMIT, ERR_LINK_LOST */
  async next(options: { patient?: boolean; signal?: AbortSignal } = {}): Promise<Pkt | undefined> {
    for (;;) {
      const ready = this.#decoder.next()
      if (ready !== undefined) return ready
      const item = await withOp(this.clock, this.#op(options.signal, options.patient), 'git session', () => this.#reader.next())
      if (item.done) return undefined
      this.bytesRead += item.value.length
      this.#decoder.push(item.value)
    }
  }

  /** Like `next`, where the end of the channel is an error. */
  async expect(signal?: AbortSignal): Promise<Pkt> {
    const item = await this.next(signal ? { signal } : {})
    if (item === undefined) throw new JamiError('ERR_CHANNEL_CLOSED', 'the peer ended the git session')
    return item
  }

  /** Waits until the peer takes it. @throws ERR_TIMEOUT when it does not, ERR_CHANNEL_CLOSED, ERR_LINK_LOST */
  async write(bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
    await withOp(this.clock, this.#op(signal), 'git session', () => this.channel.write(bytes))
  }

  #op(signal?: AbortSignal, patient?: boolean): { timeoutMs?: number; signal?: AbortSignal } {
    return { ...(patient ? {} : { timeoutMs: this.#patience() }), ...(signal ? { signal } : {}) }
  }
}
