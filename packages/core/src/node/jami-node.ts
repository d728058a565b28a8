// The public node: accounts by label, peers, state, one clean end. Parts come from create-node.ts.
import { LocalAccount } from '../account/account.ts'
import { type AccountRecord, removeAccount } from '../account/account-record.ts'
import { JamiError } from '../base/errors.ts'
import { abortError, withOp } from '../base/operation.ts'
import type { Timer } from '../contracts/clock.ts'
import type { Dht as WireDht } from '../contracts/dht.ts'
import type { DeviceIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import type { BaseEnv, Modules } from '../contracts/module.ts'
import type { Op } from '../contracts/service.ts'
import type { Storage } from '../contracts/storage.ts'
import { createAccount, exportAccount, importAccount, verifyRecord } from './account-factory.ts'
import type { Account, AccountInit, Accounts, Channel, JamiNode, NodeEvents, NodeState, NodeStats, Peer, PeerLike } from './api.ts'
import { channelName, channelStream } from './channel-stream.ts'
import { EventHub } from './event-hub.ts'
import { PublicAccount } from './public-account.ts'
import { peerUri } from './public-conversation.ts'
import { PublicDht } from './public-dht.ts'

const GRACE_MS = 2000
const MAX_ACCOUNTS = 1000
const MAX_LABEL_LENGTH = 100
/** How often the addresses of this machine are compared: nothing tells a program that its network changed. */
const ADDRESS_WATCH_MS = 10_000

export interface NodeEnv extends BaseEnv {
  readonly dht: WireDht
  readonly storage: Storage
  readonly modules: Modules
  /** Gives the profile back. */
  readonly release: () => Promise<void>
}

export class Node extends EventHub<NodeEvents> implements JamiNode {
  readonly accounts: Accounts
  readonly dht: PublicDht
  readonly #env: NodeEnv
  readonly #accounts = new Map<string, PublicAccount>() // by label; bounded by MAX_ACCOUNTS
  readonly #opening = new Map<string, Promise<PublicAccount>>() // bounded by callers
  readonly #offStatus: () => void
  #addresses: string
  #watch: Timer
  #state: NodeState = 'connecting'
  #closed: Promise<void> | undefined

  constructor(env: NodeEnv) {
    super({ clock: env.clock, what: 'the node', events: { state: true, error: true }, onError: (error) => env.logger.error({ err: JamiError.from(error) }, 'a listener of node events failed') })
    this.#env = env
    this.dht = new PublicDht({
      dht: env.dht, clock: env.clock, random: env.random,
      identityOf: (account) => this.#identity(account),
      publicKeyOf: async (account, device, op) => {
        const peer = await this.#own(account).local.certificates.find(device, op)
        if (!peer) throw new JamiError('ERR_NOT_FOUND', `no certificate of device ${device} on the DHT`)
        return peer.chain[0].publicKey
      },
    })
    this.accounts = {
      create: (options = {}) => this.#create(options.label ?? `account-${this.#accounts.size + 1}`, options, true),
      open: (label, options = {}) => this.#create(label, options, false),
      import: (archive, options = {}) => this.#import(archive, options),
      remove: (account) => this.#remove(account),
      [Symbol.asyncIterator]: () => this.#list(),
    }
    this.#offStatus = env.dht.onStatus(() => this.#refreshState())
    this.#addresses = this.#localAddresses()
    this.#watch = this.#watchAddresses()
  }

  get state(): NodeState {
    return this.#state
  }

  /** Starts the accounts that are kept. */
  async load(records: readonly AccountRecord[]): Promise<void> {
    for (const record of records) await this.#start(record)
    this.#refreshState()
  }

  connect(peer: PeerLike, options: { account?: Account; device?: DeviceId } = {}): Peer {
    const account = options.account ? this.#own(options.account) : this.#onlyAccount()
    return new PeerView(this.#env, account, peerUri(peer), options.device)
  }

  stats(): NodeStats {
    const links = [...this.#accounts.values()].flatMap((account) => account.local.connections.links())
    const sum = (of: 'channels' | 'bytesIn' | 'bytesOut') => links.reduce((total, link) => total + link[of], 0)
    return { links: links.length, channels: sum('channels'), bytesIn: sum('bytesIn'), bytesOut: sum('bytesOut'), dhtNodes: this.#env.dht.nodeCount() }
  }

  override close(options: { graceMs?: number } = {}): Promise<void> {
    this.#closed ??= (async () => {
      await Promise.allSettled(this.#opening.values())
      await Promise.all([...this.#accounts.values()].map((account) => account.stop(options.graceMs ?? GRACE_MS)))
      this.#offStatus()
      this.#watch.cancel()
      await this.#env.dht.stop()
      await this.#env.release()
      this.#set('closed')
      super.close()
    })()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #localAddresses(): string {
    return this.#env.network.addresses().map((a) => a.host).sort().join(' ')
  }

  /** Another network: the DHT probes again, links that are dead are found out. */
  #watchAddresses(): Timer {
    return this.#env.clock.after(ADDRESS_WATCH_MS, () => {
      const now = this.#localAddresses()
      if (now !== this.#addresses) {
        this.#addresses = now
        this.#env.logger.info({}, 'the addresses of this machine changed')
        this.#env.dht.connectivityChanged()
        for (const account of this.#accounts.values()) account.local.connections.connectivityChanged()
      }
      this.#watch = this.#watchAddresses()
    })
  }

  #refreshState(): void {
    if (this.#closed) return
    const { ipv4, ipv6 } = this.#env.dht.status()
    if (ipv4 === 'connected' || ipv6 === 'connected') this.#set('online')
    else if (ipv4 === 'connecting' || ipv6 === 'connecting') this.#set('connecting')
    else this.#set(this.#state === 'online' ? 'offline' : this.#state)
  }

  #set(state: NodeState): void {
    if (state === this.#state) return
    this.#state = state
    void this.emit('state', { state })
  }

  #report(error: unknown, source: string): void {
    const wrapped = JamiError.from(error)
    this.#env.logger.error({ err: wrapped, source }, 'error')
    void this.emit('error', { error: wrapped, source })
  }

  #own(account: Account): PublicAccount {
    for (const own of this.#accounts.values()) if (own === account) return own
    throw new JamiError('ERR_CLOSED', 'the account is not (or no longer) of this node')
  }

  #identity(account: Account): DeviceIdentity {
    return this.#own(account).local.record.device
  }

  #onlyAccount(): PublicAccount {
    const [first, ...others] = this.#accounts.values()
    if (!first || others.length > 0) throw new JamiError('ERR_ARGUMENT', `account: got none, allowed one of the node's ${this.#accounts.size} accounts`)
    return first
  }

  async *#list(): AsyncGenerator<Account> {
    yield* [...this.#accounts.values()]
  }

  async #start(record: AccountRecord): Promise<PublicAccount> {
    const env = this.#env
    const local = await LocalAccount.load(env, record, await verifyRecord(env, record))
    const account = new PublicAccount(
      {
        clock: env.clock,
        onError: (error, source) => this.#report(error, source),
        exportArchive: (of, options) => exportAccount(env, of.local.record, of.local.contacts, options),
      },
      local,
    )
    try {
      await local.start()
    } catch (error) {
      await account.stop(0)
      throw error
    }
    this.#accounts.set(record.label, account)
    return account
  }

  #create(label: string, options: AccountInit, fresh: boolean): Promise<PublicAccount> {
    return this.#once(label, options, fresh, () => {
      const { displayName = '', password } = options
      return createAccount(this.#env, { label, displayName, ...(password === undefined ? {} : { password }) })
    })
  }

  #import(archive: Uint8Array, options: { archivePassword?: string; label?: string } & AccountInit): Promise<PublicAccount> {
    const { label = `account-${this.#accounts.size + 1}`, displayName = '', password, archivePassword } = options
    return this.#once(label, options, true, () =>
      importAccount(this.#env, archive, {
        label, displayName, ...(password === undefined ? {} : { password }), ...(archivePassword === undefined ? {} : { archivePassword }),
      }))
  }

  #once(label: string, op: Op, fresh: boolean, make: () => Promise<AccountRecord>): Promise<PublicAccount> {
    return withOp(this.#env.clock, op, 'opening the account', () => this.#opened(label, fresh, make))
  }

  async #opened(label: string, fresh: boolean, make: () => Promise<AccountRecord>): Promise<PublicAccount> {
    if (this.#closed) throw new JamiError('ERR_CLOSED', 'the node was closed')
    if (typeof label !== 'string' || label.length === 0 || label.length > MAX_LABEL_LENGTH)
      throw new JamiError('ERR_ARGUMENT', `label: got ${typeof label === 'string' ? `${label.length} characters` : typeof label}, allowed 1 to ${MAX_LABEL_LENGTH}`)
    const known = this.#accounts.get(label)
    if (known && !fresh) return known
    if (known || this.#accounts.size >= MAX_ACCOUNTS)
      throw new JamiError('ERR_ARGUMENT', known ? `label ${label}: taken` : `accounts: got one more than the ${MAX_ACCOUNTS} allowed`)
    let opening = this.#opening.get(label)
    if (!opening) {
      opening = this.#env.clock.track(make()).then((record) => this.#start(record)).finally(() => this.#opening.delete(label))
      opening.catch(() => {}) // whoever asked may have left
      this.#opening.set(label, opening)
    }
    return opening
  }

  async #remove(account: Account): Promise<void> {
    const own = this.#own(account)
    this.#accounts.delete(own.label)
    await own.stop(0)
    await removeAccount(this.#env.storage, own.uri)
  }
}

class PeerView implements Peer {
  readonly uri: AccountUri
  readonly #env: NodeEnv
  readonly #account: PublicAccount
  readonly #device: DeviceId | undefined

  constructor(env: NodeEnv, account: PublicAccount, uri: AccountUri, device: DeviceId | undefined) {
    this.#env = env
    this.#account = account
    this.uri = uri
    this.#device = device
  }

  async devices(op?: Op): Promise<DeviceId[]> {
    const out: DeviceId[] = []
    for await (const device of this.#account.local.presence.devicesOf(this.uri, op)) out.push(device)
    return out
  }

  openChannel(protocol: string, options: { device?: DeviceId } & Op = {}): Promise<Channel> {
    const name = channelName(protocol)
    const { device = this.#device, ...op } = options
    const { connections, presence } = this.#account.local
    return withOp(this.#env.clock, op, `channel ${protocol}`, async (signal) => {
      const linked = connections.links().filter((link) => link.peer.accountId === this.uri).map((link) => link.peer.deviceId)
      const tried = new Set<DeviceId>() // bounded by the peer's devices
      let failure = new JamiError('ERR_PEER_OFFLINE', `no device of ${this.uri} is announced`)
      const attempt = async (target: DeviceId): Promise<Channel | undefined> => {
        if (tried.has(target)) return undefined
        tried.add(target)
        try {
          return channelStream(await connections.openChannel(target, name, { signal }))
        } catch (error) {
          if (signal.aborted) throw abortError(signal)
          failure = JamiError.from(error)
          return undefined
        }
      }
      for (const target of device ? [device] : linked) {
        const channel = await attempt(target)
        if (channel) return channel
      }
      if (!device) {
        for await (const target of presence.devicesOf(this.uri, { signal })) {
          const channel = await attempt(target)
          if (channel) return channel
        }
      }
      throw failure
    })
  }

  close(): Promise<void> {
    return this.#account.local.connections.closePeer(this.uri)
  }
}
