// Which channels that peers ask for are accepted: by the handler of their scheme, within its limit, in time.
// docs/protocol/02 §4.3, §5. Proof: manager/channel-requests.test.ts, manager/connection-manager.test.ts (contract suite).
import { JamiError, withOp } from '@jamikit/core/base'
import type { Channel, ChannelHandler, Clock, PeerIdentity } from '@jamikit/core/contracts'
import { ACCEPT_TIMEOUT_MS } from '../defaults.ts'
import type { Taken } from '../link/link.ts'

export class ChannelRequests {
  readonly #clock: Clock
  readonly #signal: AbortSignal
  readonly #handlers = new Map<string, ChannelHandler>() // bounded by our own code
  readonly #counts = new Map<string, number>() // by device and group: asked for and open; bounded by the channels

  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock
    this.#signal = signal
  }

  /** @throws ERR_ARGUMENT when the scheme has a handler */
  handle(scheme: string, handler: ChannelHandler): () => void {
    if (this.#handlers.has(scheme)) throw new JamiError('ERR_ARGUMENT', `scheme ${scheme} has a handler already`)
    this.#handlers.set(scheme, handler)
    return () => {
      if (this.#handlers.get(scheme) === handler) this.#handlers.delete(scheme)
    }
  }

  /** Undefined declines. Whatever is returned was counted, and is until its channel is closed or `dropped`. */
  async decide(peer: PeerIdentity, name: string): Promise<Taken | undefined> {
    const scheme = name.split(':', 1)[0] ?? ''
    const handler = this.#handlers.get(scheme)
    if (!handler) return undefined
    const dropped = this.#reserve(`${peer.deviceId} ${scheme}`, handler.limit?.(name))
    if (!dropped) return undefined
    try {
      const accepted = await withOp(this.#clock, { timeoutMs: ACCEPT_TIMEOUT_MS, signal: this.#signal }, `accepting ${scheme}`, async () => handler.accept(name, peer))
      if (accepted) {
        return {
          dropped,
          open: (channel: Channel) => {
            void channel.closed.then(dropped)
            handler.open(channel)
          },
        }
      }
    } catch {} // throwing, and not deciding in time, declines
    dropped()
    return undefined
  }

  /** Counted before anybody is asked, so that any number of requests at once are counted, too. */
  #reserve(whose: string, limit: { of: string; max: number } | undefined): (() => void) | undefined {
    if (!limit) return () => {}
    const key = `${whose} ${limit.of}`
    const count = this.#counts.get(key) ?? 0
    if (count >= limit.max) return undefined
    this.#counts.set(key, count + 1)
    let over = false
    return () => {
      if (over) return
      over = true
      const left = (this.#counts.get(key) ?? 1) - 1
      if (left > 0) this.#counts.set(key, left)
      else this.#counts.delete(key)
    }
  }
}
