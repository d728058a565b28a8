// Links for bulk: a second link to a device, so that what is written there does not stand before small messages in the buffers of the first
// (the multiplexer has no windows, so only a connection of its own has flow control of its own). Its id is above that of the first: of several
// links both sides give new channels to the lowest. docs/protocol/02 §4.9. Proof: manager/bulk-links.test.ts.
import { abortError, type Tasks, throwIfAborted, withOp } from '@jamikit/core/base'
import type { Clock, DeviceId, OpenChannelOptions, Timer } from '@jamikit/core/contracts'
import { BULK_IDLE_MS, BULK_LINK_MS, BULK_RETRY_MS, MAX_COUNTED_DEVICES, MAX_LINKS_PER_DEVICE } from '../defaults.ts'

/** What is asked of a link. */
export interface BulkLink {
  readonly id: number
  readonly peer: { readonly deviceId: DeviceId }
  readonly isOpen: boolean
  readonly channels: number
  close(reason: Error): Promise<void>
}

export interface BulkLinksHost<L extends BulkLink> {
  readonly clock: Clock
  readonly tasks: Tasks
  /** Open ones, by id. */
  open(device: DeviceId): L[]
  /** Makes one beside the link with this id. */
  dial(device: DeviceId, wanted: Pick<OpenChannelOptions, 'account' | 'connType'> & { beside: number }): Promise<L>
}

export class BulkLinks<L extends BulkLink = import('../link/link.ts').Link> {
  readonly #host: BulkLinksHost<L>
  readonly #idle = new Map<L, Timer>() // ours that are open; bounded by MAX_LINKS_PER_DEVICE for each device
  /** Devices with which no second link came about, and when to try again; oldest first. Bounded by MAX_COUNTED_DEVICES. */
  readonly #refused = new Map<DeviceId, number>()

  constructor(host: BulkLinksHost<L>) {
    this.#host = host
  }

  /** A link beside `first`; when none comes about in time, `first` has to do. @throws ERR_ABORTED */
  async link(first: L, wanted: Pick<OpenChannelOptions, 'account' | 'connType'>, signal: AbortSignal): Promise<L> {
    const { clock, open, dial } = this.#host
    const device = first.peer.deviceId
    for (const own of this.#idle.keys()) if (own.isOpen && own.peer.deviceId === device && own !== first) return own
    const others = open(device).filter((link) => link !== first) // made by two who dialled at once, or by the other side: they may carry messages
    if (others.length >= MAX_LINKS_PER_DEVICE - 1) return others.sort((a, b) => a.channels - b.channels)[0] ?? first // another one would push one of them out
    const retryMs = this.#refused.get(device)
    if (retryMs !== undefined && clock.now() < retryMs) return first
    const { account, connType } = wanted
    try {
      const dialled = dial(device, { beside: first.id, ...(account ? { account } : {}), ...(connType ? { connType } : {}) })
      dialled.then((link) => this.#watch(link), () => this.#note(device))
      const link = await withOp(clock, { signal, timeoutMs: BULK_LINK_MS }, 'a link of its own', () => dialled)
      return link.isOpen ? link : first
    } catch {
      throwIfAborted(signal)
      return first
    }
  }

  #note(device: DeviceId): void {
    this.#refused.delete(device)
    for (const [oldest] of this.#refused) {
      if (this.#refused.size < MAX_COUNTED_DEVICES) break
      this.#refused.delete(oldest)
    }
    this.#refused.set(device, this.#host.clock.now() + BULK_RETRY_MS)
  }

  /** A link of ours that nothing uses any more is closed; one that has become the only one stays. */
  #watch(link: L): void {
    if (this.#idle.has(link) || !link.isOpen) return
    this.#refused.delete(link.peer.deviceId)
    let unused = false
    const look = () => {
      if (!link.isOpen) return void this.#idle.delete(link)
      const alone = this.#host.open(link.peer.deviceId).length === 1
      if (link.channels === 0 && unused && !alone) {
        this.#idle.delete(link)
        return void link.close(abortError(AbortSignal.abort(new Error('the bulk link is not used any more'))))
      }
      unused = link.channels === 0
      this.#idle.set(link, this.#host.tasks.after(BULK_IDLE_MS, 'an unused bulk link', look))
    }
    look()
  }
}
