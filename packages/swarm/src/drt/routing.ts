// The routing tables of all conversations of an account: one handler of `swarm://` channels, links that appear, how much is dialled at once.
// docs/protocol/04 §6.2, §6.4, §6.6. Proof: drt/routing.test.ts.
import { JamiError, Source, Tasks } from '@jamikit/core/base'
import type { AccountUri, ConversationId, DeviceId, PeerIdentity } from '@jamikit/core/contracts'
import { type RoutedConversation, type RoutingEnv, Shell } from './shell.ts'
import { Slots } from './slots.ts'

export type { RoutedConversation, RoutingEnv }

/** Links that are made at once, and look-ups on the DHT, for all conversations of an account. */
const MAX_DIALS_AT_ONCE = 16
const MAX_LOOKUPS_AT_ONCE = 4
const LOOKUP_TIMEOUT_MS = 15_000
/** Accounts whose devices are looked for, waiting ones included. */
const MAX_APPEARING = 1_024
/** Channels of one device for one conversation: one each way, and one more while an old link dies. */
const MAX_CHANNELS = 3

/** Conversations for which we open a channel on one link, and channels of one device that we take for all of them. */
const MAX_OPENED_PER_DEVICE = 64
const MAX_TAKEN_PER_DEVICE = 256
/** Members without a connected device whom an author tells of a commit: what joins islands. */
const STRAYS_TOLD = 2

/** A device of a conversation, and whose it is. */
export interface RoutedDevice {
  readonly device: DeviceId
  readonly account: AccountUri
}

export class Routing {
  readonly #env: RoutingEnv
  readonly #shells = new Map<ConversationId, Shell>() // bounded by the conversations
  readonly #links = new Set<DeviceId>() // bounded by the links
  readonly #counts = new Map<DeviceId, number>() // conversations in which a device is connected; bounded by the links
  readonly #appearing = new Set<AccountUri>() // looked for now; bounded by MAX_APPEARING
  readonly #tasks: Tasks
  readonly #shared = { dials: new Slots(MAX_DIALS_AT_ONCE), lookups: new Slots(MAX_LOOKUPS_AT_ONCE), links: this.#links }
  readonly #ending = new Set<Promise<void>>() // bounded by the conversations
  readonly #nodes: Source<RoutedDevice & { conversation: ConversationId; up: boolean }>
  readonly #connected: Source<{ conversation: ConversationId; connected: boolean }>
  readonly #off: (() => void)[] = []
  #isMobile = false
  #stopped = false

  constructor(env: RoutingEnv) {
    this.#env = env
    this.#tasks = new Tasks(env.clock, (err, what) => env.logger.debug({ err, what }, 'routing task failed'))
    const onError = (err: unknown) => env.logger.error({ err }, 'a listener threw')
    this.#nodes = new Source(onError)
    this.#connected = new Source(onError)
  }

  /** A device of a conversation has its first channel, or has lost its last one. */
  get onNode() {
    return this.#nodes.listen
  }

  /** The first device of a conversation is connected: what waits should be announced again. Or nobody is any more. */
  get onConnected() {
    return this.#connected.listen
  }

  /** Takes channels and hears of links from now on. */
  start(): void {
    const { connections } = this.#env
    if (this.#off.length > 0 || this.#stopped) return
    this.#off.push(
      connections.handle('swarm', {
        limit: (name) => ({ of: name, max: MAX_CHANNELS }),
        accept: (name, peer) => this.#accepts(name, peer),
        open: (channel) => {
          const shell = this.#shells.get(conversationOf(channel.name))
          if (shell) shell.adopt(channel)
          else channel.abort()
        },
      }),
      connections.onLink(({ peer, up }) => {
        if (up) this.#links.add(peer.deviceId)
        else this.#links.delete(peer.deviceId)
        if (up) this.connectionAppeared(peer.deviceId, peer.accountId)
      }),
    )
    for (const { peer } of connections.links()) this.#links.add(peer.deviceId)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const off of this.#off.splice(0)) off()
    for (const id of [...this.#shells.keys()]) this.close(id)
    await Promise.all([...this.#ending, this.#tasks.close()])
  }

  #accepts(name: string, { accountId, deviceId }: PeerIdentity): boolean {
    const id = conversationOf(name)
    const shell = this.#shells.get(id)
    return shell !== undefined && name === `swarm://${id}` && (this.#counts.get(deviceId) ?? 0) < MAX_TAKEN_PER_DEVICE && shell.allows(accountId, deviceId)
  }

  /** A conversation is here. */
  open(id: ConversationId, conversation: RoutedConversation): void {
    if (this.#stopped || this.#shells.has(id)) return
    const shell = new Shell(this.#env, id, conversation, this.#shared, {
      node: (device, account, up) => {
        const count = (this.#counts.get(device) ?? 0) + (up ? 1 : -1)
        if (count > 0) this.#counts.set(device, count)
        else this.#counts.delete(device)
        this.#nodes.emit({ conversation: id, device, account, up })
      },
      connected: (connected) => this.#connected.emit({ conversation: id, connected }),
    })
    this.#shells.set(id, shell)
    shell.start(this.#isMobile)
    for (const { peer } of this.#env.connections.links()) shell.do((engine, now) => engine.linkUp(peer.deviceId, peer.accountId, now))
  }

  /** A conversation is gone, or we have left it. */
  close(id: ConversationId): void {
    const shell = this.#shells.get(id)
    if (!shell) return
    this.#shells.delete(id)
    this.#unlink(new Set([...shell.engine.table.nodes()].map(({ account }) => account)))
    const ending = shell.stop().finally(() => this.#ending.delete(ending))
    this.#ending.add(ending)
  }

  /** Devices with a channel: who is told of new commits. */
  devices(id: ConversationId): RoutedDevice[] {
    const shell = this.#shells.get(id)
    return shell ? [...shell.engine.table.nodes()].map(({ device, account }) => ({ device, account })) : []
  }

  /** Mobile devices that it is on us to wake, by a message to each of them. */
  toWake(id: ConversationId): RoutedDevice[] {
    return (this.#shells.get(id)?.engine.toWake() ?? []).map(({ device, issuer }) => ({ device, account: issuer }))
  }

  /** Devices of members that are there. */
  learn(id: ConversationId, devices: Iterable<RoutedDevice>): void {
    this.#shells.get(id)?.do((engine, now) => engine.learn(devices, now))
  }

  /** A link with a device is up: its conversations with us use it. Links of the connection manager are heard without this. */
  connectionAppeared(device: DeviceId, account: AccountUri): void {
    let opened = this.#counts.get(device) ?? 0
    for (const [, shell] of this.#with(account)) {
      if (opened++ >= MAX_OPENED_PER_DEVICE) return // own devices are in all of them
      shell.do((engine, now) => engine.linkUp(device, account, now))
    }
  }

  *#with(account: AccountUri): Iterable<[ConversationId, Shell]> {
    if (account === this.#env.identity.accountId) return yield* this.#shells
    for (const id of this.#env.withMember(account)) {
      const shell = this.#shells.get(id)
      if (shell) yield [id, shell]
    }
  }

  /** Somebody came online: each announced device is known to all conversations with them, so that devices of one account form no islands. */
  memberAppeared(account: AccountUri): void {
    if (this.#appearing.has(account) || this.#appearing.size >= MAX_APPEARING) return
    this.#appearing.add(account)
    this.#tasks.run(`devices of ${account}`, async (signal) => {
      try {
        await this.#shared.lookups.run(signal, async () => {
          for await (const device of this.#env.directory.devicesOf(account, { signal, timeoutMs: LOOKUP_TIMEOUT_MS })) {
            let learnt = 0
            for (const [id] of this.#with(account)) if (learnt++ < MAX_OPENED_PER_DEVICE) this.learn(id, [{ device, account }])
          }
        })
      } finally {
        this.#appearing.delete(account)
      }
    })
  }

  /**
   * Who is told of a commit (spec 04 §4.5.2, §6.6): every connected device and the mobile ones that are ours to wake, but not the one it came
   * from; by its author also two members, by chance, who have no device among them.
   */
  noticeTargets(id: ConversationId, options: { members: Iterable<AccountUri>; except?: DeviceId | undefined; isAuthor: boolean }): { devices: RoutedDevice[]; accounts: AccountUri[] } {
    const devices = [...this.devices(id), ...this.toWake(id)].filter(({ device }) => device !== options.except)
    const told = new Set([...this.devices(id).map(({ account }) => account), this.#env.identity.accountId])
    const strays = options.isAuthor ? [...options.members].filter((account) => !told.has(account)) : []
    const accounts: AccountUri[] = []
    while (accounts.length < STRAYS_TOLD && strays.length > 0) accounts.push(...strays.splice(this.#env.random.below(strays.length), 1))
    return { devices, accounts }
  }

  /** Members of a conversation came or went: whoever may not be here any more is out at once. */
  membersChanged(id: ConversationId): void {
    const shell = this.#shells.get(id)
    if (shell) this.#unlink(shell.membersChanged())
  }

  /** The program banned an account or a device, or took a ban back. */
  bansChanged(): void {
    for (const shell of this.#shells.values()) this.#unlink(shell.membersChanged())
  }

  /** Whoever was here as a member only, and shares nothing with us any more, has no link with us. */
  #unlink(accounts: ReadonlySet<AccountUri>): void {
    if (accounts.size === 0) return
    const { connections, logger } = this.#env
    for (const { peer, class: kind } of connections.links()) {
      if (kind !== 'stranger' || !accounts.has(peer.accountId)) continue
      void connections.closePeer(peer.deviceId, new JamiError('ERR_PEER_REFUSED', 'the peer shares no conversation with us any more')).catch((err: unknown) => logger.debug({ err }, 'a link was not closed in order'))
    }
  }

  connectivityChanged(): void {
    for (const shell of this.#shells.values()) shell.do((engine, now) => engine.retry(now))
  }

  /** Whether this device is reached by push notifications only (spec 04 §6.7). */
  setMobile(isMobile: boolean): void {
    this.#isMobile = isMobile
    for (const shell of this.#shells.values()) shell.do((engine, now) => engine.setMobile(isMobile, now))
  }
}

function conversationOf(name: string): ConversationId {
  return (/^swarm:\/\/([0-9a-f]{40})$/.exec(name)?.[1] ?? '') as ConversationId
}
