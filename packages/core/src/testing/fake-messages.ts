// Small typed messages without links: the PeerMessages contract in memory, with the queues, the bounds and the errors of the real
// engine. It never gives up on who is absent. Proof: testing/fake-messages.test.ts with testing/suites/peer-messages.ts.
import { Source } from '../base/emitter.ts'
import { JamiError, limitError } from '../base/errors.ts'
import { type Deferred, deferred } from '../base/operation.ts'
import { utf8 } from '../codec/bytes.ts'
import { wellFormed } from '../codec/text.ts'
import type { PeerMessage, PeerMessages } from '../contracts/account.ts'
import type { Clock } from '../contracts/clock.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import type { Service } from '../contracts/service.ts'

/** Messages that may wait for one target. */
export const MAX_FAKE_QUEUED = 256
const MAX_BODY_BYTES = 64_000

type Handler = (message: PeerMessage) => void | Promise<void>
type Options = NonNullable<Parameters<PeerMessages['send']>[2]>

export interface SentMessage {
  readonly from: AccountUri
  readonly fromDevice: DeviceId
  readonly to: AccountUri | DeviceId
  readonly mime: string
  readonly body: string
}

interface Queued {
  readonly mime: string
  readonly body: string
  readonly slot: string | undefined
  readonly done: Deferred<boolean>
}

/** What connects the messengers of a test. */
export class FakeMessageNetwork {
  readonly clock: Clock
  readonly latencyMs: number
  /** Everything that was asked to be sent, in order: delivered, queued or dropped. */
  readonly sent: SentMessage[] = [] // bounded by the test
  readonly messengers = new Map<DeviceId, FakeMessages>() // running ones; bounded by the test

  constructor(options: { clock: Clock; /** One way; opening a channel takes several of them. */ latencyMs?: number }) {
    this.clock = options.clock
    this.latencyMs = options.latencyMs ?? 10
  }

  /** Must be started; can be reached unless `setReachable` says otherwise. */
  messenger(self: { accountId: AccountUri; deviceId: DeviceId }): FakeMessages {
    return new FakeMessages(this, self)
  }

  /** Opens a channel between two devices, now. */
  meet(a: DeviceId, b: DeviceId): void {
    this.messengers.get(a)?.connect(b)
  }
}

export class FakeMessages implements PeerMessages, Service {
  readonly accountId: AccountUri
  readonly deviceId: DeviceId
  readonly #network: FakeMessageNetwork
  readonly #handlers = new Map<string, Handler>() // bounded by callers
  readonly #channels = new Map<DeviceId, FakeMessages>() // bounded by the test
  readonly #queues = new Map<AccountUri | DeviceId, Queued[]>() // bounded by MAX_FAKE_QUEUED and the test
  readonly #ready = new Source<{ account: AccountUri; device: DeviceId }>(() => {}) // a listener's error is its own
  #reachable = true
  #stopped = false

  constructor(network: FakeMessageNetwork, self: { accountId: AccountUri; deviceId: DeviceId }) {
    this.#network = network
    this.accountId = self.accountId
    this.deviceId = self.deviceId
  }

  async start(): Promise<void> {
    if (!this.#stopped) this.#network.messengers.set(this.deviceId, this)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#network.messengers.delete(this.deviceId)
    this.#part()
    for (const queue of this.#queues.values()) for (const { done } of queue) done.resolve(false)
    this.#queues.clear()
  }

  /** Whoever cannot be reached loses its channels; when it can again, the others send it what waits, unless it comes quietly. */
  setReachable(reachable: boolean, options: { quietly?: boolean } = {}): void {
    this.#reachable = reachable
    if (!reachable) return this.#part()
    if (options.quietly) return
    for (const other of this.#network.messengers.values()) {
      for (const target of [this.accountId, this.deviceId]) if (other.#queues.has(target)) other.#tryConnect(target)
      for (const target of [other.accountId, other.deviceId]) if (this.#queues.has(target)) this.#tryConnect(target)
    }
  }

  get onPeerReady(): PeerMessages['onPeerReady'] {
    return this.#ready.listen
  }

  connectedDevices(account: AccountUri): DeviceId[] {
    return [...this.#channels.values()].filter((other) => other.accountId === account).map((other) => other.deviceId)
  }

  handle(mime: string, fn: Handler): () => void {
    if (this.#handlers.has(mime)) throw new JamiError('ERR_ARGUMENT', `a handler for ${mime} is there already`)
    this.#handlers.set(mime, fn)
    return () => {
      if (this.#handlers.get(mime) === fn) this.#handlers.delete(mime)
    }
  }

  /** Gives a message to its handler as if it had just arrived. */
  async receive(message: PeerMessage): Promise<void> {
    try {
      await this.#handlers.get(message.mime)?.(message)
    } catch {} // a handler's error is its own
  }

  async send(to: AccountUri | DeviceId, message: { mime: string; body: string }, options: Options = {}): Promise<boolean> {
    if (this.#stopped) return false
    const mime = message.mime
    const body = wellFormed(message.body)
    const size = utf8(body).length
    if (size > MAX_BODY_BYTES) throw limitError('message text bytes', size, MAX_BODY_BYTES)
    this.#network.sent.push({ from: this.accountId, fromDevice: this.deviceId, to, mime, body })
    if (this.#write(to, { mime, body })) return true
    if (options.connectedOnly) return false
    const item: Queued = { mime, body, slot: options.replaces, done: deferred() }
    this.#enqueue(to, item)
    this.#tryConnect(to)
    return item.done.promise
  }

  #enqueue(to: AccountUri | DeviceId, item: Queued): void {
    const queue = this.#queues.get(to) ?? []
    const same = item.slot === undefined ? -1 : queue.findIndex(({ slot }) => slot === item.slot)
    if (same < 0 && queue.length >= MAX_FAKE_QUEUED) throw limitError('queued messages', queue.length + 1, MAX_FAKE_QUEUED)
    if (same >= 0) queue.splice(same, 1, item)[0]?.done.resolve(false)
    else queue.push(item)
    this.#queues.set(to, queue)
  }

  #write(to: AccountUri | DeviceId, { mime, body }: { mime: string; body: string }): boolean {
    const targets = [...this.#channels.values()].filter(({ accountId, deviceId }) => accountId === to || deviceId === to)
    for (const other of targets) {
      this.#network.clock.after(this.#network.latencyMs, () => {
        if (this.#channels.get(other.deviceId) === other) void other.receive({ from: this.accountId, fromDevice: this.deviceId, mime, body })
      })
    }
    return targets.length > 0
  }

  #tryConnect(to: AccountUri | DeviceId): void {
    const { clock, latencyMs, messengers } = this.#network
    clock.after(4 * latencyMs, () => {
      for (const { accountId, deviceId } of [...messengers.values()]) if (accountId === to || deviceId === to) this.connect(deviceId)
    })
  }

  /** Opens a channel to a device, now; nothing happens when one is open or the device cannot be reached. */
  connect(device: DeviceId): void {
    const other = this.#network.messengers.get(device)
    if (!other || other === this || this.#stopped || !this.#reachable || !other.#reachable || this.#channels.has(device)) return
    this.#channels.set(device, other)
    other.#channels.set(this.deviceId, this)
    for (const [here, there] of [[this, other], [other, this]] as const) {
      for (const target of [there.accountId, there.deviceId]) here.#flush(target)
      here.#ready.emit({ account: there.accountId, device: there.deviceId })
    }
  }

  #flush(to: AccountUri | DeviceId): void {
    const queue = this.#queues.get(to) ?? []
    this.#queues.delete(to)
    for (const item of queue) item.done.resolve(this.#write(to, item))
  }

  #part(): void {
    for (const other of this.#channels.values()) other.#channels.delete(this.deviceId)
    this.#channels.clear()
  }
}
