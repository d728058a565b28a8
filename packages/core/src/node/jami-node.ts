// The public node: accounts, peers, DHT, state, one clean end. Parts come from create-node.ts. Proof: node/jami-node.test.ts.
import type { LoadedAccounts } from '../account/account-record.ts'
import { checkOptions, is } from '../base/arguments.ts'
import { JamiError, notFoundError } from '../base/errors.ts'
import { INSPECT, shown } from '../base/inspect.ts'
import { ACCOUNT, AccountRegistry } from './account-registry.ts'
import { AddressWatch } from './address-watch.ts'
import type { Account, Peer, PeerLike } from './api.ts'
import type { JamiNode, NodeEvents, NodeState, NodeStats } from './api-node.ts'
import { EventHub } from './event-hub.ts'
import { GRACE_MS } from './limits.ts'
import type { NodeEnv } from './node-env.ts'
import { PeerView } from './peer-view.ts'
import { Problems } from './problems.ts'
import { PublicDht } from './public-dht.ts'
import { DEVICE_ID, parseDeviceId, peerUri } from './public-ids.ts'

const CONNECT = { account: ACCOUNT, device: DEVICE_ID }

export class Node extends EventHub<NodeEvents> implements JamiNode {
  readonly accounts: AccountRegistry
  readonly dht: PublicDht
  readonly #env: NodeEnv
  readonly #problems: Problems
  readonly #offStatus: () => void
  readonly #watch: AddressWatch
  #state: NodeState = 'connecting'
  #closed: Promise<void> | undefined

  constructor(env: NodeEnv) {
    super({
      clock: env.clock, what: 'the node', events: { state: true, error: true },
      onError: (error, event) => {
        if (event !== 'error') return this.report(JamiError.from(error, 'ERR_LISTENER'), `listener of ${event}`)
        env.logger.error({ err: error }, 'a listener of error failed')
        env.warn('JAMI_ERROR_LISTENER', `a listener of the 'error' of a Jami node failed: ${error instanceof Error ? error.stack : String(error)}`)
      },
    })
    this.#env = env
    this.#problems = new Problems({
      clock: env.clock, logger: env.logger, warn: env.warn, listeners: () => this.count('error'), emit: (payload) => void this.emit('error', payload),
    })
    this.accounts = new AccountRegistry(env, (error, source) => this.report(error, source))
    this.dht = new PublicDht({
      dht: env.dht, clock: env.clock, random: env.random,
      identityOf: (account) => this.accounts.own(account).local.record.device,
      publicKeyOf: async (account, device, op) => {
        const peer = await this.accounts.own(account).local.certificates.find(device, op)
        if (!peer) throw notFoundError(`certificate of device ${device}`)
        return peer.chain[0].publicKey
      },
    })
    this.#offStatus = env.dht.onStatus(() => this.#refreshState())
    this.#watch = new AddressWatch(env, () => {
      env.logger.info({}, 'the addresses of this machine changed')
      env.dht.connectivityChanged()
      for (const account of this.accounts.list()) account.local.connections.connectivityChanged()
    })
  }

  [INSPECT](): string {
    return shown('JamiNode', { state: this.#state, accounts: this.accounts.list().length })
  }

  get state(): NodeState {
    return this.#state
  }

  /** Something failed where nobody waits: told as `error`. */
  report(error: unknown, source: string): void {
    this.#problems.report(error, source)
  }

  /** Starts the accounts that are kept. */
  async load(kept: LoadedAccounts): Promise<void> {
    await this.accounts.load(kept)
    this.#refreshState()
    this.#problems.started()
  }

  override on<K extends keyof NodeEvents>(event: K, listener: (payload: NodeEvents[K]) => unknown, options?: { signal?: AbortSignal }): () => void {
    const off = super.on(event, listener, options)
    if (event === 'error') queueMicrotask(() => this.#problems.flush())
    return off
  }

  connect(peer: PeerLike, options: { account?: Account; device?: string } = {}): Peer {
    const uri = peerUri(peer)
    checkOptions(options, CONNECT)
    const account = options.account ? this.accounts.own(options.account) : this.accounts.only()
    return new PeerView(account, uri, options.device === undefined ? undefined : parseDeviceId(options.device))
  }

  stats(): NodeStats {
    const links = this.accounts.list().flatMap((account) => account.local.connections.links())
    const sum = (of: 'channels' | 'bytesIn' | 'bytesOut') => links.reduce((total, link) => total + link[of], 0)
    return { links: links.length, channels: sum('channels'), bytesIn: sum('bytesIn'), bytesOut: sum('bytesOut'), dhtNodes: this.#env.dht.nodeCount() }
  }

  override async close(options: { graceMs?: number } = {}): Promise<void> {
    checkOptions(options, { graceMs: is.milliseconds })
    this.#closed ??= (async () => {
      await this.accounts.stop(options.graceMs ?? GRACE_MS)
      this.#problems.flush()
      this.#offStatus()
      this.#watch.stop()
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
}
