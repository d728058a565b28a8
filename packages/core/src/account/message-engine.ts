// Small typed messages to devices: a queue per target, delivered over message channels, retried when the peer appears.
// Carrier: the `msg:` channel of the connection manager. docs/protocol/03 §7, 04 §4.5.1. Proof: account/message-engine.test.ts.
import { Source } from '../base/emitter.ts'
import { JamiError, limitError } from '../base/errors.ts'
import { deferred, type Deferred } from '../base/operation.ts'
import { Tasks } from '../base/tasks.ts'
import { utf8 } from '../codec/bytes.ts'
import type { ContactBook, DeviceDirectory, PeerMessage, PeerMessages } from '../contracts/account.ts'
import type { Channel } from '../contracts/channel.ts'
import type { Clock } from '../contracts/clock.ts'
import type { ConnectionManager } from '../contracts/connection-manager.ts'
import type { PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import type { Logger } from '../contracts/logger.ts'
import type { Random } from '../contracts/random.ts'
import type { Service } from '../contracts/service.ts'
import { encodeMessageFrame, MAX_BODY_BYTES, MessageFrameDecoder } from './message-wire.ts'

/** Messages waiting for one account or device. */
export const MAX_QUEUED_PER_TARGET = 256
const MAX_TARGETS = 10_000
const MAX_TRIES = 20
const MAX_CHANNELS_PER_DEVICE = 4
const CONNECT_TIMEOUT_MS = 60_000

interface Queued {
  readonly mime: string
  readonly body: string
  readonly slot: string | undefined
  readonly done: Deferred<boolean>
  tries: number
}

export interface MessageEngineEnv {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly connections: ConnectionManager
  readonly directory: DeviceDirectory
  readonly contacts: ContactBook
  readonly ownDevice: DeviceId
  /** A message channel with an account opened (+1) or closed (-1). */
  readonly onChannelCount: (account: AccountUri, by: 1 | -1) => void
}

export class MessageEngine implements PeerMessages, Service {
  readonly #env: MessageEngineEnv
  readonly #tasks: Tasks
  readonly #ready: Source<{ account: AccountUri; device: DeviceId }>
  readonly #handlers = new Map<string, (message: PeerMessage) => void | Promise<void>>() // bounded by our own code
  readonly #queues = new Map<AccountUri | DeviceId, Queued[]>() // bounded by MAX_TARGETS and MAX_QUEUED_PER_TARGET
  readonly #channels = new Map<DeviceId, Set<Channel>>() // bounded by the links and MAX_CHANNELS_PER_DEVICE
  readonly #connecting = new Set<AccountUri | DeviceId>() // bounded by MAX_TARGETS
  #unhandle: (() => void) | undefined

  constructor(env: MessageEngineEnv) {
    this.#env = env
    this.#tasks = new Tasks(env.clock, (err, what) => env.logger.warn({ err, what }, 'message task failed'))
    this.#ready = new Source((err) => env.logger.error({ err }, 'a listener threw'))
  }

  get onPeerReady() {
    return this.#ready.listen
  }

  async start(): Promise<void> {
    if (this.#unhandle || this.#tasks.signal.aborted) return
    this.#unhandle = this.#env.connections.handle('msg', {
      limit: () => ({ of: 'messages', max: MAX_CHANNELS_PER_DEVICE }),
      accept: (_name, peer) => !this.#env.contacts.isBanned(peer.accountId) && (this.#channels.get(peer.deviceId)?.size ?? 0) < MAX_CHANNELS_PER_DEVICE,
      open: (channel) => this.#adopt(channel),
    })
  }

  async stop(): Promise<void> {
    this.#unhandle?.()
    for (const set of this.#channels.values()) for (const channel of set) channel.abort(new JamiError('ERR_CLOSED', 'the account was stopped'))
    await this.#tasks.close()
    for (const queue of this.#queues.values()) for (const item of queue) item.done.resolve(false)
    this.#queues.clear()
  }

  handle(mime: string, fn: (message: PeerMessage) => void | Promise<void>): () => void {
    if (this.#handlers.has(mime)) throw new JamiError('ERR_ARGUMENT', `a handler for ${mime} is there already`)
    this.#handlers.set(mime, fn)
    return () => {
      if (this.#handlers.get(mime) === fn) this.#handlers.delete(mime)
    }
  }

  connectedDevices(account: AccountUri): DeviceId[] {
    const out: DeviceId[] = []
    for (const [device, set] of this.#channels) for (const channel of set) if (channel.remote.accountId === account) { out.push(device); break }
    return out
  }

  async send(
    to: AccountUri | DeviceId,
    message: { mime: string; body: string },
    options: { replaces?: string; connectedOnly?: boolean; connType?: string } = {},
  ): Promise<boolean> {
    if (this.#tasks.signal.aborted) return false
    const size = utf8(message.body).length
    if (size > MAX_BODY_BYTES) throw limitError('message text bytes', size, MAX_BODY_BYTES)
    const item: Queued = { ...message, slot: options.replaces, done: deferred(), tries: 0 }
    const channels = this.#channelsTo(to)
    if (channels.length > 0 && (await this.#write(channels, item))) return true
    if (options.connectedOnly || this.#tasks.signal.aborted) return false
    this.#enqueue(to, item)
    this.connect(to, options.connType ?? message.mime)
    return item.done.promise
  }

  /** Opens a message channel to a device, or to all announced devices of an account, unless one is open or on its way. */
  connect(to: AccountUri | DeviceId, connType = ''): void {
    if (this.#connecting.has(to) || this.#connecting.size >= MAX_TARGETS) return
    this.#connecting.add(to)
    this.#tasks.run(`message channel to ${to}`, async (signal) => {
      try {
        if (to.length === 64) await this.#open(to as DeviceId, connType, signal)
        else {
          const opening: Promise<void>[] = []
          for await (const device of this.#env.directory.devicesOf(to as AccountUri, { signal })) opening.push(this.#open(device, connType, signal))
          await Promise.all(opening)
        }
      } catch (error) {
        this.#env.logger.debug({ to, err: JamiError.from(error) }, 'no message channel')
      } finally {
        this.#connecting.delete(to)
        this.#failed(to)
      }
    })
  }

  /** The peer was seen on the DHT: try what waits for it. */
  peerAppeared(account: AccountUri, device: DeviceId): void {
    if (this.#queues.has(account)) this.connect(account)
    if (this.#queues.has(device)) this.connect(device)
  }

  async #open(device: DeviceId, connType: string, signal: AbortSignal): Promise<void> {
    if (device === this.#env.ownDevice || (this.#channels.get(device)?.size ?? 0) > 0) return
    try {
      const channel = await this.#env.connections.openChannel(device, `msg:${device}`, { connType, unique: true, signal, timeoutMs: CONNECT_TIMEOUT_MS })
      this.#adopt(channel)
    } catch (error) {
      if (!signal.aborted) this.#env.logger.debug({ device, err: JamiError.from(error) }, 'no message channel to the device')
    }
  }

  #channelsTo(to: AccountUri | DeviceId): Channel[] {
    const out: Channel[] = []
    for (const [device, set] of this.#channels) {
      const newest = [...set].at(-1)
      if (newest && (device === to || newest.remote.accountId === to)) out.push(newest)
    }
    return out
  }

  #adopt(channel: Channel): void {
    const { accountId, deviceId } = channel.remote
    const set = this.#channels.get(deviceId) ?? new Set()
    if (set.has(channel) || this.#tasks.signal.aborted) return
    this.#channels.set(deviceId, set)
    const first = set.size === 0
    set.add(channel)
    if (first) this.#env.onChannelCount(accountId, 1)
    this.#tasks.run(`messages of ${deviceId}`, () => this.#read(channel))
    for (const target of [accountId, deviceId]) this.#flush(target)
    this.#ready.emit({ account: accountId, device: deviceId }) // for each: an older channel may be of a link that is dead already
  }

  async #read(channel: Channel): Promise<void> {
    const peer = channel.remote
    const decoder = new MessageFrameDecoder()
    try {
      for await (const chunk of channel) for (const frame of decoder.push(chunk)) await this.#dispatch(peer, frame)
    } catch (error) {
      if (JamiError.is(error, 'ERR_CODEC') || JamiError.is(error, 'ERR_LIMIT')) this.#env.logger.warn({ device: peer.deviceId, err: error }, 'bad message frame')
      channel.abort(JamiError.from(error, 'ERR_CHANNEL_CLOSED'))
    } finally {
      const set = this.#channels.get(peer.deviceId)
      set?.delete(channel)
      if (set?.size === 0) {
        this.#channels.delete(peer.deviceId)
        this.#env.onChannelCount(peer.accountId, -1)
      }
    }
  }

  async #dispatch(peer: PeerIdentity, frame: { mime: string; body: string }): Promise<void> {
    if (this.#env.contacts.isBanned(peer.accountId)) return
    const handler = this.#handlers.get(frame.mime)
    if (!handler) {
      this.#env.logger.debug({ device: peer.deviceId, mime: frame.mime }, 'a message type nobody handles')
      return
    }
    try {
      await handler({ from: peer.accountId, fromDevice: peer.deviceId, ...frame })
    } catch (error) {
      this.#env.logger.warn({ device: peer.deviceId, mime: frame.mime, err: JamiError.from(error) }, 'a message could not be handled')
    }
  }

  #enqueue(to: AccountUri | DeviceId, item: Queued): void {
    const queue = this.#queues.get(to) ?? []
    const same = item.slot === undefined ? -1 : queue.findIndex((q) => q.slot === item.slot)
    if (same >= 0) {
      queue[same]?.done.resolve(false)
      queue[same] = item
      return
    }
    if (!this.#queues.has(to) && this.#queues.size >= MAX_TARGETS) throw limitError('message targets', this.#queues.size + 1, MAX_TARGETS)
    if (queue.length >= MAX_QUEUED_PER_TARGET) throw limitError('queued messages', queue.length + 1, MAX_QUEUED_PER_TARGET)
    queue.push(item)
    this.#queues.set(to, queue)
  }

  /** Back into the queue, unless it is full or over: then it is given up. */
  #requeue(to: AccountUri | DeviceId, item: Queued): void {
    try {
      if (this.#tasks.signal.aborted) item.done.resolve(false)
      else this.#enqueue(to, item)
    } catch {
      item.done.resolve(false)
    }
  }

  /** A connection attempt is over and did not bring a channel: count it, give up after MAX_TRIES. */
  #failed(to: AccountUri | DeviceId): void {
    const queue = this.#queues.get(to)
    if (!queue || this.#channelsTo(to).length > 0) return this.#flush(to)
    const rest = queue.filter((item) => {
      item.tries++
      if (item.tries < MAX_TRIES) return true
      item.done.resolve(false)
      return false
    })
    if (rest.length > 0) this.#queues.set(to, rest)
    else this.#queues.delete(to)
  }

  #flush(to: AccountUri | DeviceId): void {
    const queue = this.#queues.get(to)
    const channels = this.#channelsTo(to)
    if (!queue || channels.length === 0) return
    this.#queues.delete(to)
    this.#tasks.run(`queued messages for ${to}`, async () => {
      for (const item of queue) {
        if (await this.#write(this.#channelsTo(to), item)) item.done.resolve(true)
        else this.#requeue(to, item)
      }
    })
  }

  async #write(channels: readonly Channel[], item: Queued): Promise<boolean> {
    const bytes = encodeMessageFrame(BigInt(1 + this.#env.random.below(2 ** 53 - 1)), item)
    const written = await Promise.allSettled(channels.map((channel) => channel.write(bytes)))
    return written.some((w) => w.status === 'fulfilled')
  }
}
