// Links and channels between devices without DHT, ICE and TLS: the ConnectionManager contract in memory, with the access policy,
// handlers, link sharing and errors of the real one. Proof: testing/fake-connections.test.ts with testing/suites/connection-manager.ts.
import { JamiError } from '../base/errors.ts'
import { delay, withOp } from '../base/operation.ts'
import type { Channel, ChannelPath } from '../contracts/channel.ts'
import type { Clock } from '../contracts/clock.ts'
import type { AccessPolicy, ChannelHandler, ConnectionManager, LinkInfo, OpenChannelOptions, PeerClass } from '../contracts/connection-manager.ts'
import type { DeviceIdentity, PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import { verifyPeerChain } from '../identity/verify-chain.ts'
import { channelPair, type MemoryChannel } from './channel-pair.ts'

/** What links are like. */
export interface FakeConnectionOptions {
  /** Whose time links take. */
  clock: Clock
  /** One way; opening a link takes several of them. */
  latencyMs?: number
}

/** A peer that does not answer is given up after this. */
const ANSWER_MS = 30_000
const ACCEPT_MS = 3000

/** What connects the managers of a test. */
export class FakeConnectionNetwork {
  /** As given. */
  readonly clock: Clock
  /** One way. */
  readonly latencyMs: number
  /** Those that run, by device. */
  readonly managers = new Map<DeviceId, FakeConnectionManager>() // running ones; bounded by the test
  #groups: ReadonlySet<DeviceId>[] = []
  #links = 0

  constructor(options: FakeConnectionOptions) {
    this.clock = options.clock
    this.latencyMs = options.latencyMs ?? 10
  }

  /** A manager for a device; must be started. */
  manager(options: { identity: DeviceIdentity; policy: AccessPolicy }): FakeConnectionManager {
    return new FakeConnectionManager(this, options.identity, options.policy)
  }

  /** A fresh one. */
  linkId(): string {
    return String(++this.#links)
  }

  /** Devices of different groups do not reach each other; their links break. Devices of no group reach everybody. */
  partition(...groups: readonly (readonly DeviceId[])[]): void {
    this.#groups = groups.map((group) => new Set(group))
    for (const manager of this.managers.values()) manager.dropUnreachable()
  }

  /** Ends a partition. */
  heal(): void {
    this.#groups = []
  }

  /** Whether a partition lies between two devices. */
  isCut(a: DeviceId, b: DeviceId): boolean {
    const side = this.#groups.findIndex((group) => group.has(a))
    const other = this.#groups.findIndex((group) => group.has(b))
    return side >= 0 && other >= 0 && side !== other
  }
}

const PATH: ChannelPath = { kind: 'host', remote: '10.0.0.1:9' }

interface Link {
  readonly id: string
  readonly peer: PeerIdentity
  readonly remote: FakeConnectionManager
  readonly openedAtMs: number
  readonly channels: Set<MemoryChannel> // bounded by the test
  bytesIn: number
  bytesOut: number
}

interface Taken {
  readonly handler: ChannelHandler
  dropped(): void
}

/** Links and channels of one device, in memory. */
export class FakeConnectionManager implements ConnectionManager {
  /** Who it is, as others see it. */
  readonly self: PeerIdentity
  readonly #network: FakeConnectionNetwork
  readonly #policy: AccessPolicy
  readonly #life = new AbortController()
  readonly #handlers = new Map<string, ChannelHandler>() // bounded by callers
  readonly #counts = new Map<string, number>() // channels asked for and open; bounded by the test
  readonly #links = new Map<DeviceId, Link>() // bounded by the test
  readonly #pending = new Map<string, Promise<Channel>>() // unique ones; bounded by callers
  readonly #unique = new Map<string, MemoryChannel>() // bounded by callers
  readonly #listeners = new Set<(event: { peer: PeerIdentity; up: boolean }) => void>() // bounded by callers
  readonly #operations = new Map<AbortController, DeviceId>() // bounded by callers
  #online = true

  constructor(network: FakeConnectionNetwork, identity: DeviceIdentity, policy: AccessPolicy) {
    this.#network = network
    this.#policy = policy
    this.self = verifyPeerChain(identity.chain, { nowMs: network.clock.wallTimeMs() })
  }

  async start(): Promise<void> {
    if (!this.#life.signal.aborted) this.#network.managers.set(this.self.deviceId, this)
  }

  async stop(): Promise<void> {
    if (this.#life.signal.aborted) return
    this.#life.abort(new JamiError('ERR_CLOSED', 'the connection manager was stopped'))
    this.#network.managers.delete(this.self.deviceId)
    for (const device of [...this.#links.keys()]) this.#dropLink(device, new JamiError('ERR_LINK_LOST', 'the connection manager was stopped'))
    this.#listeners.clear()
  }

  /** False while it cannot be reached. */
  get online(): boolean {
    return this.#online
  }

  /** Takes this device off the net, or puts it back: its links break, and for the others it is not announced. */
  setOnline(online: boolean): void {
    this.#online = online
    if (!online) for (const device of [...this.#links.keys()]) this.#dropLink(device, new JamiError('ERR_LINK_LOST', 'the link is dead'))
  }

  // Opening.

  async openChannel(device: DeviceId, name: string, options: OpenChannelOptions = {}): Promise<Channel> {
    if (!this.#isRunning) throw new JamiError('ERR_CLOSED', 'the connection manager is not running')
    const key = `${device} ${name}`
    if (!options.unique) return this.#open(device, name, options)
    const open = this.#unique.get(key)
    if (open) return open
    let pending = this.#pending.get(key)
    if (!pending) {
      pending = this.#open(device, name, options)
        .then((channel) => {
          this.#unique.set(key, channel)
          void channel.closed.then(() => this.#unique.delete(key))
          return channel
        })
        .finally(() => this.#pending.delete(key))
      this.#pending.set(key, pending)
    }
    return pending
  }

  async #open(device: DeviceId, name: string, options: OpenChannelOptions): Promise<MemoryChannel> {
    const { clock, latencyMs } = this.#network
    const { signal, timeoutMs, existingLinkOnly } = options
    const ending = new AbortController()
    const signals = [ending.signal, this.#life.signal, ...(signal ? [signal] : [])]
    this.#operations.set(ending, device)
    try {
      return await withOp(clock, { signal: AbortSignal.any(signals), ...(timeoutMs === undefined ? {} : { timeoutMs }) }, `channel ${name}`, async (over) => {
        if (!this.#links.has(device)) {
          if (existingLinkOnly) throw new JamiError('ERR_PEER_OFFLINE', `no link with device ${device}`)
          await this.#connect(device, over)
        }
        const link = this.#links.get(device)
        if (!link) throw new JamiError('ERR_LINK_LOST', 'the link broke while the channel was opened')
        await delay(clock, latencyMs, over)
        const taken = await link.remote.asked(name, this.self)
        await delay(clock, latencyMs, over).catch((error) => {
          taken?.dropped()
          throw error
        })
        const still = this.#links.get(device)
        if (still !== link) {
          taken?.dropped()
          throw new JamiError('ERR_LINK_LOST', 'the link broke while the channel was opened')
        }
        if (!taken) throw new JamiError('ERR_CHANNEL_DECLINED', `device ${device} declined channel ${name}`)
        const [own, other] = channelPair({ name, peers: [this.self, link.peer], clock, latencyMs })
        this.#add(link, own)
        link.remote.opened(other, taken)
        return own
      })
    } finally {
      this.#operations.delete(ending)
    }
  }

  async #connect(device: DeviceId, signal: AbortSignal): Promise<void> {
    const network = this.#network
    const { clock, latencyMs } = network
    await delay(clock, 4 * latencyMs, signal)
    if (this.#links.has(device)) return
    const remote = network.managers.get(device)
    if (!this.online) throw new JamiError('ERR_DHT_UNREACHABLE', 'this device is off the net')
    if (!remote?.online) throw new JamiError('ERR_PEER_OFFLINE', `device ${device} is not announced`)
    if (!this.#policy.allowsLink(remote.self)) throw new JamiError('ERR_PEER_REFUSED', 'the access policy does not allow a link with this peer')
    if (network.isCut(this.self.deviceId, device)) {
      await delay(clock, ANSWER_MS, signal)
      throw new JamiError('ERR_NO_ROUTE', `device ${device} is not reached`)
    }
    if (!remote.allows(this.self)) {
      await delay(clock, ANSWER_MS, signal)
      throw new JamiError('ERR_PEER_REFUSED', `device ${device} does not answer us`)
    }
    const id = network.linkId()
    this.#linkUp(remote, id)
    remote.#linkUp(this, id)
  }

  get #isRunning(): boolean {
    return this.#network.managers.get(this.self.deviceId) === this
  }

  // The other side's questions.

  /** Whether its policy allows a link. */
  allows(peer: PeerIdentity): boolean {
    return this.#policy.allowsLink(peer)
  }

  /** What takes the channel; undefined when it is declined. Counted until the channel is closed or `dropped`. */
  async asked(name: string, peer: PeerIdentity): Promise<Taken | undefined> {
    const scheme = name.split(':', 1)[0] ?? ''
    const handler = this.#handlers.get(scheme)
    if (!handler) return undefined
    const limit = handler.limit?.(name)
    const key = `${peer.deviceId} ${scheme} ${limit?.of}`
    const count = (by: number) => this.#counts.set(key, (this.#counts.get(key) ?? 0) + by)
    if (limit && (this.#counts.get(key) ?? 0) >= limit.max) return undefined
    count(1)
    let timer: { cancel(): void } | undefined
    const late = new Promise<boolean>((resolve) => {
      timer = this.#network.clock.after(ACCEPT_MS, () => resolve(false))
    })
    try {
      if (await Promise.race([handler.accept(name, peer), late])) return { handler, dropped: () => count(-1) }
    } catch {
    } finally {
      timer?.cancel()
    }
    count(-1)
    return undefined
  }

  /** The other side has its end. */
  opened(channel: MemoryChannel, { handler, dropped }: Taken): void {
    void channel.closed.then(dropped)
    const link = this.#links.get(channel.remote.deviceId)
    if (!link) return channel.breakLink(new JamiError('ERR_LINK_LOST', 'the link is gone'))
    this.#add(link, channel)
    handler.open(channel)
  }

  handle(scheme: string, handler: ChannelHandler): () => void {
    if (this.#handlers.has(scheme)) throw new JamiError('ERR_ARGUMENT', `scheme ${scheme}: got a second handler, allowed one`)
    this.#handlers.set(scheme, handler)
    return () => {
      if (this.#handlers.get(scheme) === handler) this.#handlers.delete(scheme)
    }
  }

  // Links.

  readonly onLink: ConnectionManager['onLink'] = (fn) => {
    const entry = (event: { peer: PeerIdentity; up: boolean }) => fn(event)
    this.#listeners.add(entry)
    return () => {
      this.#listeners.delete(entry)
    }
  }

  #tell(peer: PeerIdentity, up: boolean): void {
    for (const fn of [...this.#listeners]) {
      try {
        fn({ peer, up })
      } catch {} // a listener's error is its own
    }
  }

  #add(link: Link, channel: MemoryChannel): void {
    link.channels.add(channel)
    void channel.closed.then(() => {
      link.channels.delete(channel)
      link.bytesIn += channel.bytesIn
      link.bytesOut += channel.bytesOut
    })
  }

  #linkUp(remote: FakeConnectionManager, id: string): void {
    if (this.#links.has(remote.self.deviceId)) return
    this.#links.set(remote.self.deviceId, { id, peer: remote.self, remote, openedAtMs: this.#network.clock.wallTimeMs(), channels: new Set(), bytesIn: 0, bytesOut: 0 })
    this.#tell(remote.self, true)
  }

  /** Both ends lose the link. */
  #dropLink(device: DeviceId, reason: Error): void {
    const link = this.#links.get(device)
    if (!link) return
    this.#links.delete(device)
    for (const channel of link.channels) channel.breakLink(reason)
    this.#tell(link.peer, false)
    link.remote.#dropLink(this.self.deviceId, new JamiError('ERR_LINK_LOST', 'the peer closed the link'))
  }

  /** Ends links across a partition. */
  dropUnreachable(): void {
    for (const device of [...this.#links.keys()]) if (this.#network.isCut(this.self.deviceId, device)) this.#dropLink(device, new JamiError('ERR_LINK_LOST', 'the link is dead'))
  }

  links(): LinkInfo[] {
    return [...this.#links.values()].map(({ id, peer, channels, bytesIn, bytesOut, openedAtMs }) => {
      const open = [...channels]
      return {
        id, peer, class: this.#classOf(peer), path: PATH, channels: channels.size, openedAtMs,
        bytesIn: open.reduce((sum, channel) => sum + channel.bytesIn, bytesIn),
        bytesOut: open.reduce((sum, channel) => sum + channel.bytesOut, bytesOut),
      }
    })
  }

  #classOf(peer: PeerIdentity): PeerClass {
    return this.#policy.classOf?.(peer) ?? (this.#policy.allowsLink(peer) ? 'contact' : 'stranger')
  }

  async closePeer(peer: DeviceId | AccountUri, reason?: Error): Promise<void> {
    const error = reason ?? new JamiError('ERR_LINK_LOST', 'the link was closed')
    const matches = (other: PeerIdentity | undefined) => other !== undefined && (other.deviceId === peer || other.accountId === peer)
    for (const [operation, device] of this.#operations) {
      if (device === peer || matches(this.#network.managers.get(device)?.self)) operation.abort(JamiError.is(error) ? error : new JamiError('ERR_LINK_LOST', 'the link was closed', { cause: error }))
    }
    for (const [device, link] of [...this.#links]) if (matches(link.peer)) this.#dropLink(device, error)
  }

  connectivityChanged(): void {
    this.dropUnreachable()
  }
}
