// Small typed messages to devices: a queue per target, delivered over message channels, retried when the peer appears.
// What a device sends is taken at a rate, what it does not read is bounded: a flood in either direction costs the peer.
// Carrier: the `msg:` channel of the connection manager. docs/protocol/03 §7, 04 §4.5.1. Proof: account/message-engine.test.ts.
import { Source } from '../base/emitter.ts'
import { JamiError, limitError } from '../base/errors.ts'
import { deferred, delay } from '../base/operation.ts'
import { Tasks } from '../base/tasks.ts'
import { TokenBucket } from '../base/token-bucket.ts'
import { utf8 } from '../codec/bytes.ts'
import { wellFormed } from '../codec/text.ts'
import type { ContactBook, DeviceDirectory, PeerMessage, PeerMessages } from '../contracts/account.ts'
import type { Channel } from '../contracts/channel.ts'
import type { Clock } from '../contracts/clock.ts'
import type { ConnectionManager } from '../contracts/connection-manager.ts'
import type { PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import type { Logger } from '../contracts/logger.ts'
import type { Random } from '../contracts/random.ts'
import type { Service } from '../contracts/service.ts'
import { MessageOutbox, type OutgoingMessage, type Target } from './message-outbox.ts'
import { encodeMessageFrame, MAX_BODY_BYTES, MessageFrameDecoder } from './message-wire.ts'

export { MAX_QUEUED_PER_TARGET } from './message-outbox.ts'

/** Messages of one device that are handled at once, and per second after that. */
export const INCOMING_RATE = { burst: 1000, perSecond: 100 } as const
/** The same for members of our conversations who are no contacts: there may be any number of them. */
export const MEMBER_RATE = { burst: 200, perSecond: 20 } as const
/** Writes that one channel has not taken yet: a peer that does not read gets no more. */
export const MAX_UNSENT = { messages: 256, bytes: 1 << 20 } as const
/** Devices whose rate, and whose account, is remembered after their channels are gone. */
const MAX_REMEMBERED = 4096
const MAX_TARGETS = 10_000
const MAX_TRIES = 20
const MAX_CHANNELS_PER_DEVICE = 4
const CONNECT_TIMEOUT_MS = 60_000
/** Whoever refuses links (or whom our policy refuses) is not asked again with the next message: after this, doubled each time, ms, or when it appears. */
export const REFUSED_MS = { first: 2_000, max: 60_000 } as const

export interface MessageEngineEnv {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly connections: ConnectionManager
  readonly directory: DeviceDirectory
  readonly contacts: ContactBook
  readonly ownDevice: DeviceId
  readonly ownAccount?: AccountUri
  /** Shares a conversation with us, and is not banned; nobody when left out. */
  readonly isMember?: (account: AccountUri) => boolean
  /** A message channel with an account opened (+1) or closed (-1). */
  readonly onChannelCount: (account: AccountUri, by: 1 | -1) => void
}

export class MessageEngine implements PeerMessages, Service {
  readonly #env: MessageEngineEnv
  readonly #tasks: Tasks
  readonly #ready: Source<{ account: AccountUri; device: DeviceId }>
  readonly #handlers = new Map<string, (message: PeerMessage) => void | Promise<void>>() // bounded by our own code
  readonly #outbox = new MessageOutbox()
  readonly #flushing = new Set<Target>() // bounded by the targets of the outbox
  readonly #unsent = new Map<Channel, { messages: number; bytes: number }>() // bounded by #channels
  readonly #rates = new Map<DeviceId, TokenBucket>() // of contacts and own devices; bounded by MAX_REMEMBERED, oldest out
  readonly #memberRates = new Map<DeviceId, TokenBucket>() // of everybody else; bounded by MAX_REMEMBERED, oldest out
  readonly #accounts = new Map<DeviceId, AccountUri>() // as links and announcements told; bounded by MAX_REMEMBERED, oldest out
  readonly #channels = new Map<DeviceId, Set<Channel>>() // bounded by the links and MAX_CHANNELS_PER_DEVICE
  readonly #connecting = new Set<AccountUri | DeviceId>() // bounded by MAX_TARGETS
  readonly #refusals = new Map<Target, { waitMs: number; untilMs: number }>() // bounded by MAX_REMEMBERED
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
    this.#outbox.clear()
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
    const body = wellFormed(message.body)
    const bytes = utf8(body).length
    if (bytes > MAX_BODY_BYTES) throw limitError('message text bytes', bytes, MAX_BODY_BYTES)
    const item: OutgoingMessage = { mime: wellFormed(message.mime), body, bytes, slot: options.replaces, done: deferred(), tries: 0 }
    const first = options.connectedOnly || !this.#outbox.has(to) // what waits goes before
    if (first && (await this.#write(this.#channelsTo(to), item))) return true
    if (options.connectedOnly || this.#tasks.signal.aborted) return false
    this.#outbox.push(to, item, this.#classOf(to))
    this.connect(to, options.connType ?? message.mime)
    return item.done.promise
  }

  /** Whose place it takes while it waits. */
  #classOf(to: Target): 'known' | 'member' | 'other' {
    const account = to.length === 64 ? this.#accounts.get(to as DeviceId) : (to as AccountUri)
    if (account === undefined) return 'other'
    return this.#isKnown(account) ? 'known' : this.#env.isMember?.(account) ? 'member' : 'other'
  }

  #isKnown(account: AccountUri): boolean {
    return account === this.#env.ownAccount || this.#env.contacts.isContact(account)
  }

  /** Opens a message channel to a device, or to all announced devices of an account, unless one is open or on its way. */
  connect(to: AccountUri | DeviceId, connType = ''): void {
    if (this.#connecting.has(to) || this.#connecting.size >= MAX_TARGETS || this.#env.clock.now() < (this.#refusals.get(to)?.untilMs ?? 0)) return
    this.#connecting.add(to)
    this.#tasks.run(`message channel to ${to}`, async (signal) => {
      try {
        const opening: Promise<boolean>[] = []
        if (to.length === 64) opening.push(this.#open(to as DeviceId, connType, signal))
        else {
          for await (const device of this.#env.directory.devicesOf(to as AccountUri, { signal })) opening.push(this.#open(device, connType, signal))
        }
        const refused = await Promise.all(opening)
        if (refused.length > 0 && !refused.includes(false)) this.#refused(to)
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
    remember(this.#accounts, device, account)
    for (const target of [account, device]) this.#refusals.delete(target)
    if (this.#outbox.has(account)) this.connect(account)
    if (this.#outbox.has(device)) this.connect(device)
  }

  #refused(to: Target): void {
    const waitMs = Math.min((this.#refusals.get(to)?.waitMs ?? REFUSED_MS.first / 2) * 2, REFUSED_MS.max)
    remember(this.#refusals, to, { waitMs, untilMs: this.#env.clock.now() + waitMs })
  }

  /** @returns whether the device, or our policy, refused */
  async #open(device: DeviceId, connType: string, signal: AbortSignal): Promise<boolean> {
    if (device === this.#env.ownDevice || (this.#channels.get(device)?.size ?? 0) > 0) return false
    const account = this.#accounts.get(device)
    try {
      const channel = await this.#env.connections.openChannel(device, `msg:${device}`, { connType, unique: true, signal, timeoutMs: CONNECT_TIMEOUT_MS, ...(account ? { account } : {}) })
      this.#adopt(channel)
      return false
    } catch (error) {
      if (!signal.aborted) this.#env.logger.debug({ device, err: JamiError.from(error) }, 'no message channel to the device')
      return JamiError.is(error, 'ERR_PEER_REFUSED')
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
    remember(this.#accounts, deviceId, accountId)
    this.#tasks.run(`messages of ${deviceId}`, () => this.#read(channel))
    for (const target of [accountId, deviceId]) {
      this.#refusals.delete(target)
      this.#flush(target)
    }
    this.#ready.emit({ account: accountId, device: deviceId }) // for each: an older channel may be of a link that is dead already
  }

  async #read(channel: Channel): Promise<void> {
    const peer = channel.remote
    const decoder = new MessageFrameDecoder()
    try {
      for await (const chunk of channel) {
        for (const frame of decoder.push(chunk)) {
          await this.#turn(peer)
          await this.#dispatch(peer, frame)
        }
      }
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

  /** The next message of a device is handled when its turn comes: until then its channel is not read, and the peer waits. */
  async #turn({ deviceId, accountId }: PeerIdentity): Promise<void> {
    const { clock } = this.#env
    const known = this.#isKnown(accountId)
    const rates = known ? this.#rates : this.#memberRates
    const rate = rates.get(deviceId) ?? new TokenBucket(known ? INCOMING_RATE : MEMBER_RATE, clock.now())
    remember(rates, deviceId, rate)
    const waitMs = rate.take(clock.now())
    if (waitMs > 0) await delay(clock, waitMs, this.#tasks.signal)
  }

  async #dispatch(peer: PeerIdentity, frame: { mime: string; body: string }): Promise<void> {
    if (this.#env.contacts.isBanned(peer.accountId) || this.#env.contacts.isBanned(peer.deviceId)) return
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

  /** A connection attempt is over and did not bring a channel: count it, give up after MAX_TRIES. */
  #failed(to: Target): void {
    if (this.#channelsTo(to).length > 0) this.#flush(to)
    else this.#outbox.failed(to, MAX_TRIES)
  }

  /** Writes what waits, in order, until a channel takes no more; then it goes on when one does. */
  #flush(to: Target): void {
    if (this.#flushing.has(to) || !this.#outbox.has(to) || this.#channelsTo(to).length === 0) return
    this.#flushing.add(to)
    this.#tasks.run(`queued messages for ${to}`, async (signal) => {
      try {
        for (let item = this.#outbox.shift(to); item; item = this.#outbox.shift(to)) {
          if (await this.#write(this.#channelsTo(to), item)) item.done.resolve(true)
          else {
            if (signal.aborted) item.done.resolve(false)
            else this.#outbox.putBack(to, item, this.#classOf(to))
            return
          }
        }
      } finally {
        this.#flushing.delete(to)
      }
    })
  }

  /** True as soon as one channel has taken it; false when none does, or all have more to take than they may. */
  async #write(channels: readonly Channel[], item: OutgoingMessage): Promise<boolean> {
    const open = channels.filter((channel) => {
      const { messages, bytes } = this.#unsent.get(channel) ?? { messages: 0, bytes: 0 }
      return messages < MAX_UNSENT.messages && bytes < MAX_UNSENT.bytes
    })
    if (open.length === 0) return false
    const frame = encodeMessageFrame(BigInt(1 + this.#env.random.below(2 ** 53 - 1)), item)
    return Promise.any(open.map((channel) => this.#writeTo(channel, frame))).then(() => true, () => false)
  }

  async #writeTo(channel: Channel, frame: Uint8Array): Promise<void> {
    const unsent = this.#unsent.get(channel) ?? { messages: 0, bytes: 0 }
    this.#unsent.set(channel, unsent)
    unsent.messages++
    unsent.bytes += frame.length
    try {
      await channel.write(frame)
    } finally {
      unsent.messages--
      unsent.bytes -= frame.length
      if (unsent.messages === 0) this.#unsent.delete(channel)
      const { accountId, deviceId } = channel.remote
      for (const target of [accountId, deviceId]) this.#flush(target)
    }
  }
}

/** Newest last; the oldest goes when there are too many. */
function remember<K extends Target, T>(map: Map<K, T>, key: K, value: T): void {
  map.delete(key)
  if (map.size >= MAX_REMEMBERED) map.delete(map.keys().next().value as K)
  map.set(key, value)
}
