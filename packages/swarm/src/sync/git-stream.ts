// Packets over a channel, pulled one at a time, with a time-out for silence. docs/protocol/04 §4.3.
import { JamiError, withOp } from '@jamikit/core/base'
import type { Channel, Clock } from '@jamikit/core/contracts'
import { SESSION_IDLE_MS } from '../defaults.ts'
import { type Pkt, PktDecoder } from './pkt-line.ts'

export class GitStream {
  readonly channel: Channel
  readonly #clock: Clock
  readonly #reader: AsyncIterator<Uint8Array>
  readonly #decoder = new PktDecoder()
  readonly #ready: Pkt[] = [] // bounded by one read of the channel
  bytesRead = 0

  constructor(channel: Channel, clock: Clock) {
    this.channel = channel
    this.#clock = clock
    this.#reader = channel[Symbol.asyncIterator]()
  }

  /** The next packet; undefined at the end of the channel. @throws ERR_TIMEOUT when the peer is silent (unless `patient`), ERR_CODEC, ERR_LINK_LOST */
  async next(options: { patient?: boolean; signal?: AbortSignal } = {}): Promise<Pkt | undefined> {
    while (this.#ready.length === 0) {
      const op = { ...(options.patient ? {} : { timeoutMs: SESSION_IDLE_MS }), ...(options.signal ? { signal: options.signal } : {}) }
      const item = await withOp(this.#clock, op, 'git session', () => this.#reader.next())
      if (item.done) return undefined
      this.bytesRead += item.value.length
      this.#ready.push(...this.#decoder.push(item.value))
    }
    return this.#ready.shift()
  }

  /** Like `next`, where the end of the channel is an error. */
  async expect(signal?: AbortSignal): Promise<Pkt> {
    const item = await this.next(signal ? { signal } : {})
    if (item === undefined) throw new JamiError('ERR_CHANNEL_CLOSED', 'the peer ended the git session')
    return item
  }
}
