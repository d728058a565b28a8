// The routing table of one conversation in the real world: its channels, its timer, the certificates and signatures it asks for, its mobile
// devices on disk, and the members it looks for while nobody is there. docs/protocol/04 §6.2, §6.5, §6.7. Proof: drt/routing.test.ts.
import { JamiError, limitError, Tasks } from '@jamikit/core/base'
import { asArray, decodeMsgpack, encodeMsgpack, MsgpackRaw, utf8 } from '@jamikit/core/codec'
import type {
  AccountUri, BaseEnv, CertificateStore, Channel, ConnectionManager, ConversationId, DeviceDirectory, DeviceId, DeviceIdentity, PeerIdentity, Storage, Timer,
} from '@jamikit/core/contracts'
import { chainToPem } from '@jamikit/core/identity'
import { DrtEngine } from './engine.ts'
import { isLeaseGood, signLease } from './leases.ts'
import type { Slots } from './slots.ts'
import { Tracking } from './tracking.ts'
import { encodeLease, type MobileLease, readLease } from './wire.ts'

/** A link and a channel on it. */
const DIAL_TIMEOUT_MS = 60_000
const LOOKUP_TIMEOUT_MS = 15_000
/** What a peer does not take: then it is given up. */
const MAX_UNSENT = { messages: 128, bytes: 1 << 20 } as const
const SAVE_MS = 2_000
const MAX_KEPT_LEASES = 1_024

/** What the routing table asks about its conversation. */
export interface RoutedConversation {
  /** May have a channel: member or invited, neither it nor the device banned (spec 04 §4.2). */
  isAllowed(account: AccountUri, device: DeviceId): boolean
  /** Admin or member, not banned. */
  isMember(account: AccountUri): boolean
  /** Whom to look for while nobody is connected, ourselves left out; empty when somebody else does that. */
  members(): Iterable<AccountUri>
}

export interface RoutingEnv extends Pick<BaseEnv, 'clock' | 'random' | 'crypto' | 'logger'> {
  readonly identity: DeviceIdentity
  readonly connections: ConnectionManager
  readonly certificates: CertificateStore
  readonly directory: DeviceDirectory
  readonly storage: Storage
  /** Of this account's records, no trailing slash. */
  readonly prefix: string
  /** Conversations that an account is in. */
  readonly withMember: (account: AccountUri) => Iterable<ConversationId>
}

/** What all conversations of an account have in common. */
export interface SharedByShells {
  /** Links that are made. */
  readonly dials: Slots
  /** Look-ups on the DHT. */
  readonly lookups: Slots
  /** Devices that have a link with us. */
  readonly links: ReadonlySet<DeviceId>
}

export interface ShellEvents {
  /** A device has its first channel here, or has lost its last one. */
  node(device: DeviceId, account: AccountUri, up: boolean): void
  connected(isConnected: boolean): void
}

export class Shell {
  readonly #env: RoutingEnv
  readonly #id: ConversationId
  readonly #conversation: RoutedConversation
  readonly #events: ShellEvents
  readonly #shared: SharedByShells
  readonly #tasks: Tasks
  readonly #engine: DrtEngine
  readonly #tracking: Tracking
  readonly #channels = new Map<number, { readonly channel: Channel; messages: number; bytes: number }>() // bounded by the engine
  readonly #looking = new Set<AccountUri>() // bounded by those that are followed
  #nextChannel = 1
  #timer: { readonly atMs: number; readonly timer: Timer } | undefined
  #saving = false

  constructor(env: RoutingEnv, id: ConversationId, conversation: RoutedConversation, shared: SharedByShells, events: ShellEvents) {
    const { clock, random, identity, crypto, certificates, logger } = env
    this.#env = env
    this.#id = id
    this.#conversation = conversation
    this.#events = events
    this.#shared = shared
    this.#tasks = new Tasks(clock, (err, what) => logger.debug({ err, what, conversation: id }, 'routing task failed'))
    this.#tracking = new Tracking(random, { track: (account) => this.#look(account), untrack: () => {} })
    this.#engine = new DrtEngine({ device: identity.deviceId, conversation: id, certificateEndMs: identity.chain[0].notAfterMs, random, wallTimeMs: () => clock.wallTimeMs() }, {
      dial: (device, { account, existingLinkOnly }) => this.#dial(device, account, existingLinkOnly),
      send: (channel, bytes) => this.#send(channel, bytes),
      close: (channel, reason) => this.#close(channel, reason),
      node: (device, account, up) => events.node(device, account, up),
      connected: (isConnected) => this.#connected(isConnected),
      findCertificate: (device, account, where) => this.#tasks.run('certificate of a mobile device', async (signal) => {
        const peer = where === 'here' ? await certificates.get(device, account) : await this.#shared.lookups.run(signal, () => certificates.find(device, { account, signal, timeoutMs: LOOKUP_TIMEOUT_MS })).catch(() => undefined)
        this.#do((now) => this.#engine.certificateFound(device, where, peer, now))
      }),
      checkLease: (lease, peer) => this.#tasks.run('lease', async () => {
        const good = await isLeaseGood(crypto, lease, peer)
        this.#do((now) => this.#engine.leaseChecked(lease, good, now))
      }),
      loadCertificates: (peer, ids) => this.#tasks.run('certificates for a peer', () => this.#load(peer, ids)),
      signLease: (times) => this.#tasks.run('own lease', async () => {
        const lease = await signLease(crypto, identity, id, times)
        this.#do((now) => this.#engine.leaseSigned(lease, now))
      }),
      mobilesChanged: () => this.#save(),
      hasLink: (device) => shared.links.has(device),
      isAllowed: (account, device) => conversation.isAllowed(account, device),
      isMember: (account) => conversation.isMember(account),
    }, clock.now())
  }

  get engine(): DrtEngine {
    return this.#engine
  }

  /** Remembers mobile devices, and looks for members. */
  start(isMobile: boolean): void {
    this.#do((now) => this.#engine.setMobile(isMobile, now))
    this.#tasks.run('mobile devices of an earlier run', () => this.#restore())
    if (this.#engine.table.size === 0) this.#do((now) => this.#tracking.start(this.#conversation.members(), now))
  }

  /** Everything ends; nothing is left behind. */
  async stop(): Promise<void> {
    this.#tracking.stop()
    this.#engine.stop(this.#env.clock.now())
    this.#timer?.timer.cancel()
    this.#timer = undefined
    await this.#tasks.close()
  }

  /** Whether a channel of this device would be taken. */
  allows(account: AccountUri, device: DeviceId): boolean {
    return this.#conversation.isAllowed(account, device) && this.#engine.hasRoom(device, account)
  }

  /** Something happens to the engine; then it says when it wants to come back. */
  do(run: (engine: DrtEngine, nowMs: number) => void): void {
    this.#do((now) => run(this.#engine, now))
  }

  /** Members came or went. @returns accounts of devices that are not here any more */
  membersChanged(): Set<AccountUri> {
    let out = new Set<AccountUri>()
    this.#do((now) => {
      out = this.#engine.recheck(now)
      if (this.#engine.table.size === 0) this.#tracking.start(this.#conversation.members(), now)
    })
    return out
  }

  #do(run: (nowMs: number) => void): void {
    if (this.#tasks.signal.aborted) return
    run(this.#env.clock.now())
    this.#schedule()
  }

  #schedule(): void {
    const next = Math.min(this.#engine.nextMs, this.#tracking.nextMs)
    if (this.#timer?.atMs === next) return
    this.#timer?.timer.cancel()
    this.#timer = undefined
    if (next === Number.POSITIVE_INFINITY || this.#tasks.signal.aborted) return
    const timer = this.#tasks.after(Math.max(0, next - this.#env.clock.now()), 'routing', () => {
      this.#timer = undefined
      this.#do((now) => {
        this.#engine.tick(now)
        this.#tracking.tick(now)
      })
    })
    this.#timer = { atMs: next, timer }
  }

  // ---------------------------------------------------------------- channels

  /** A channel that either side opened; it is ours. Once is enough. */
  adopt(channel: Channel): void {
    if (this.#tasks.signal.aborted) return channel.abort(new JamiError('ERR_CLOSED', 'the conversation was closed'))
    for (const known of this.#channels.values()) if (known.channel === channel) return
    const id = this.#nextChannel++
    const { deviceId, accountId } = channel.remote
    this.#channels.set(id, { channel, messages: 0, bytes: 0 })
    this.#do((now) => this.#engine.channelUp(id, deviceId, accountId, now))
    if (this.#channels.has(id)) this.#tasks.run(`swarm channel of ${deviceId}`, () => this.#read(id, channel))
  }

  async #read(id: number, channel: Channel): Promise<void> {
    try {
      for await (const chunk of channel) {
        if (!this.#channels.has(id)) break
        this.#do((now) => this.#engine.bytes(id, chunk, now))
      }
    } catch (error) {
      this.#env.logger.debug({ device: channel.remote.deviceId, err: JamiError.from(error) }, 'a swarm channel ended')
    } finally {
      this.#channels.delete(id)
      channel.abort()
      this.#do((now) => this.#engine.channelDown(id, now))
    }
  }

  #send(id: number, bytes: Uint8Array): void {
    const line = this.#channels.get(id)
    if (!line) return
    line.messages++
    line.bytes += bytes.length
    if (line.messages > MAX_UNSENT.messages || line.bytes > MAX_UNSENT.bytes) return this.#close(id, limitError('messages that a peer does not take', line.messages, MAX_UNSENT.messages))
    const taken = () => {
      line.messages--
      line.bytes -= bytes.length
    }
    line.channel.write(bytes).then(taken, () => {}) // its reader ends with it
  }

  #close(id: number, reason: JamiError): void {
    const line = this.#channels.get(id)
    this.#channels.delete(id)
    if (reason.code !== 'ERR_CLOSED') this.#env.logger.debug({ device: line?.channel.remote.deviceId, err: reason }, 'a swarm channel was closed')
    line?.channel.abort(reason) // its reader tells the engine
  }

  // ---------------------------------------------------------------- dialling

  #dial(device: DeviceId, account: AccountUri | undefined, existingLinkOnly: boolean): void {
    this.#tasks.run(`swarm channel to ${device}`, async (signal) => {
      let stranger = false
      try {
        const open = async () => {
          const owner = account ?? (await this.#owner(device, signal))
          stranger = owner === undefined || !this.#conversation.isAllowed(owner, device)
          if (owner === undefined || stranger) throw new JamiError('ERR_NOT_MEMBER', `device ${device} is of no member`)
          return this.#env.connections.openChannel(device, `swarm://${this.#id}`, { unique: true, existingLinkOnly, account: owner, signal, timeoutMs: DIAL_TIMEOUT_MS })
        }
        this.adopt(await (existingLinkOnly ? open() : this.#shared.dials.run(signal, open)))
      } catch (error) {
        if (signal.aborted) return
        this.#env.logger.debug({ device, err: JamiError.from(error) }, 'no swarm channel')
        this.#failed(device, account, stranger)
      }
    })
  }

  /** Who a device belongs to, when a peer only named it. */
  async #owner(device: DeviceId, signal: AbortSignal): Promise<AccountUri | undefined> {
    const { certificates } = this.#env
    const peer: PeerIdentity | undefined = (await certificates.get(device)) ?? (await certificates.find(device, { signal, timeoutMs: LOOKUP_TIMEOUT_MS }))
    return peer?.accountId
  }

  #failed(device: DeviceId, account: AccountUri | undefined, stranger: boolean): void {
    this.#do((now) => {
      this.#engine.dialFailed(device, stranger, now)
      const { size, dialling } = this.#engine.table
      if (account && size === 0) this.#tracking.unreachable(account, dialling)
    })
  }

  // ---------------------------------------------------------------- members that we look for

  #connected(isConnected: boolean): void {
    if (isConnected) this.#tracking.stop()
    else this.#tracking.start(this.#conversation.members(), this.#env.clock.now())
    this.#events.connected(isConnected)
  }

  #look(account: AccountUri): void {
    if (this.#looking.has(account)) return
    this.#looking.add(account)
    this.#tasks.run(`devices of ${account}`, async (signal) => {
      try {
        await this.#shared.lookups.run(signal, async () => {
          if (!this.#tracking.tracked.has(account)) return
          for await (const device of this.#env.directory.devicesOf(account, { signal, timeoutMs: LOOKUP_TIMEOUT_MS })) this.#do((now) => this.#engine.learn([{ device, account }], now))
        })
      } finally {
        this.#looking.delete(account)
      }
    })
  }

  // ---------------------------------------------------------------- mobile devices

  async #load(peer: DeviceId, ids: readonly DeviceId[]): Promise<void> {
    const { identity, certificates } = this.#env
    const pems: Uint8Array[] = []
    for (const id of ids) {
      const chain = id === identity.deviceId ? identity.chain : (await certificates.get(id, this.#engine.table.lease(id)?.issuer))?.chain
      if (chain) pems.push(utf8(chainToPem(chain)))
    }
    this.#do((now) => this.#engine.certificatesLoaded(peer, pems, now))
  }

  get #key(): string {
    return `${this.#env.prefix}/conversation/${this.#id}/mobiles`
  }

  async #restore(): Promise<void> {
    const bytes = await this.#env.storage.get(this.#key)
    if (!bytes) return
    const leases: MobileLease[] = asArray(decodeMsgpack(bytes), 'mobile devices', MAX_KEPT_LEASES).map((value) => readLease(value))
    this.#do((now) => this.#engine.restore(leases, now))
  }

  /** What a cold start must know; losing it costs a wake-up, so that it may be late. */
  #save(): void {
    if (this.#saving || this.#tasks.signal.aborted) return
    this.#saving = true
    this.#tasks.after(SAVE_MS, 'keeping mobile devices', async () => {
      this.#saving = false
      const leases = [...this.#engine.table.leases()].slice(0, MAX_KEPT_LEASES)
      await this.#env.storage.batch([{ key: this.#key, value: leases.length > 0 ? encodeMsgpack(leases.map((lease) => new MsgpackRaw(encodeLease(lease)))) : null }])
    })
  }
}
