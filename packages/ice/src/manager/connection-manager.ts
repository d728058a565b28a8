// The ConnectionManager contract: joins what hears requests, what makes them, the links and the channels on them.
// docs/protocol/02 §1, §4.9, §6. Proof: manager/connection-manager.test.ts (contract suite), interop.
import { setMaxListeners } from 'node:events'
import type { SecureContext } from 'node:tls'
import { abortError, JamiError, Tasks, throwIfAborted, withOp, withSignals } from '@jamikit/core/base'
import type { AccountUri, CertificateChain, Channel, ChannelHandler, ConnectionManager, ConnectionsModule, DeviceId, LinkInfo, OpenChannelOptions, PeerIdentity } from '@jamikit/core/contracts'
import { IceSession } from '../link/ice-session.ts'
import { Link } from '../link/link.ts'
import { secureLink, tlsContext } from '../link/tls-link.ts'
import { type IceDescription, parseIceDescription, printIceDescription } from '../wire/ice-text.ts'
import { BulkLinks } from './bulk-links.ts'
import { ChannelRequests } from './channel-requests.ts'
import { Dialler } from './dialler.ts'
import { type Heard, Incoming } from './incoming.ts'
import { Links } from './links.ts'
import { type ManagerEnv, putRequest } from './rendezvous.ts'

/** Links of one device that may fail before a waiting operation fails. */
const LINK_TRIES = 2

/** Links for createJamiNode(). */
export function ice(): ConnectionsModule {
  return (env) => new Manager(env)
}

/** Something that waits for a link to a device; `closePeer` fails it. */
interface Pending {
  readonly device: DeviceId
  readonly controller: AbortController
}

export class Manager implements ConnectionManager {
  readonly #env: ManagerEnv
  readonly #tasks: Tasks
  readonly #links: Links
  readonly #requests: ChannelRequests
  readonly #incoming: Incoming
  readonly #dialler: Dialler
  readonly #bulk: BulkLinks
  readonly #unique = new Map<string, Promise<Channel>>() // bounded by callers
  readonly #pending = new Set<Pending>() // bounded by callers
  #context: SecureContext | undefined
  #started: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(env: ManagerEnv) {
    this.#env = env
    this.#tasks = new Tasks(env.clock, (err, what) => env.logger.debug({ err, what }, 'connection task failed'))
    setMaxListeners(0, this.#tasks.signal) // as many as operations
    this.#links = new Links(env.policy, env.logger)
    this.#requests = new ChannelRequests(env.clock, this.#tasks.signal)
    this.#dialler = new Dialler(env, this.#tasks, {
      cancellable: (device, signal, work) => this.#cancellable(device, signal, work),
      connect: (session, remote, peer, id, signal) => this.#connect(session, remote, peer, id, signal),
    })
    this.#bulk = new BulkLinks({ clock: env.clock, tasks: this.#tasks, open: (device) => this.#links.open(device), dial: (device, wanted) => this.#dialler.besideLink(device, wanted) })
    this.#incoming = new Incoming(env, this.#tasks, {
      answered: (from, request) => this.#dialler.answered(from, request),
      negotiate: (peer, heard) => this.#cancellable(peer.deviceId, this.#tasks.signal, (signal) => this.#negotiate(peer, heard, signal)),
    })
  }

  get onLink() {
    return this.#links.onLink
  }

  start(): Promise<void> {
    this.#started ??= (async () => {
      if (this.#stopped) return
      const families = [...new Set(this.#env.network.addresses().map(({ family }) => family))].sort()
      this.#env.logger.info({ families }, families.length === 1 ? `links are made over IPv${families[0]} only: devices that have only the other one are out of reach` : families.length === 0 ? 'this machine has no address: no links for now' : 'links are made over IPv4 and IPv6')
      await this.#incoming.start()
    })()
    return this.#started
  }

  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      await this.#started?.catch(() => {})
      const reason = new JamiError('ERR_CLOSED', 'the connection manager was stopped')
      const closing = this.#links.all().map((link) => link.close(reason))
      this.#dialler.stop(reason)
      await Promise.all(closing)
      await this.#tasks.close()
      await Promise.all(this.#links.all().map((link) => link.close(reason))) // made while we stopped
      await this.#incoming.stop()
    })()
    return this.#stopped
  }

  handle(scheme: string, handler: ChannelHandler): () => void {
    return this.#requests.handle(scheme, handler)
  }

  links(): LinkInfo[] {
    return this.#links.infos()
  }

  connectivityChanged(): void {
    this.#dialler.forgive()
    for (const link of this.#links.all()) link.probe()
  }

  async closePeer(peer: DeviceId | AccountUri, reason: Error = new JamiError('ERR_LINK_LOST', 'the link was closed here')): Promise<void> {
    const closing = this.#links.of(peer).map((link) => link.close(reason))
    for (const { device, controller } of [...this.#pending]) {
      if (device === peer || (await this.#env.certificates.get(device))?.accountId === peer) controller.abort(JamiError.from(reason, 'ERR_LINK_LOST'))
    }
    await Promise.all(closing)
  }

  /** Runs `work` until `closePeer` of its device, at the latest. */
  async #cancellable<T>(device: DeviceId, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const pending: Pending = { device, controller: new AbortController() }
    this.#pending.add(pending)
    try {
      return await withSignals([signal, pending.controller.signal], work)
    } finally {
      this.#pending.delete(pending)
    }
  }

  // ---------------------------------------------------------------- opening

  openChannel(device: DeviceId, name: string, options: OpenChannelOptions = {}): Promise<Channel> {
    if (!this.#started || this.#stopped) return Promise.reject(new JamiError('ERR_CLOSED', 'the connection manager is not running'))
    if (device === this.#env.identity.deviceId) return Promise.reject(new JamiError('ERR_ARGUMENT', 'device: got our own, allowed another one'))
    const { signal, timeoutMs, unique } = options
    const limited = (work: (s: AbortSignal) => Promise<Channel>) =>
      withSignals([signal, this.#tasks.signal], (s) => withOp(this.#env.clock, { signal: s, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, `channel ${name}`, work))
    if (!unique) return limited((s) => this.#open(device, name, options, s))
    for (const link of this.#links.open(device)) {
      const channel = link.find(name)
      if (channel) return Promise.resolve(channel)
    }
    const key = `${device} ${name}`
    let opening = this.#unique.get(key)
    if (!opening) {
      opening = this.#open(device, name, options, this.#tasks.signal).finally(() => this.#unique.delete(key))
      opening.catch(() => {}) // every caller gets it
      this.#unique.set(key, opening)
    }
    const shared = opening
    return limited(() => shared)
  }

  #open(device: DeviceId, name: string, options: OpenChannelOptions, outer: AbortSignal): Promise<Channel> {
    return this.#cancellable(device, outer, (signal) => this.#openOn(device, name, options, signal))
  }

  async #openOn(device: DeviceId, name: string, options: OpenChannelOptions, signal: AbortSignal): Promise<Channel> {
    for (let attempt = 1; ; attempt++) {
      let link = this.#links.open(device)[0]
      if (!link) {
        if (options.existingLinkOnly) throw new JamiError('ERR_PEER_OFFLINE', `no link to device ${device}`)
        link = await this.#dialler.link(device, options, signal)
      }
      if (options.bulk && !options.existingLinkOnly) link = await this.#bulk.link(link, options, signal)
      try {
        return await link.openChannel(name, signal)
      } catch (error) {
        throwIfAborted(signal)
        if (!JamiError.is(error, 'ERR_LINK_LOST') || attempt >= LINK_TRIES || options.existingLinkOnly) throw error
      }
    }
  }

  // ---------------------------------------------------------------- links

  /** They ask: ICE controlling, TLS client. */
  async #negotiate(peer: PeerIdentity, { request, short }: Heard, signal: AbortSignal): Promise<void> {
    const remote = parseIceDescription(request.iceMessage)
    const session = new IceSession(this.#env, true)
    try {
      const answer = { id: request.id, iceMessage: printIceDescription(await session.gather()), isAnswer: true, connType: '' }
      this.#tasks.run('connection answer', () => putRequest(this.#env, peer, answer, short, this.#tasks.signal))
      await this.#connect(session, remote, peer, request.id, signal)
    } finally {
      await session.release()
    }
  }

  /** ICE, then TLS, then the link. @param id of the request: both sides know the link by it */
  async #connect(session: IceSession, remote: IceDescription, expected: PeerIdentity, id: number, signal: AbortSignal): Promise<Link> {
    throwIfAborted(signal)
    const onAbort = () => void session.close(abortError(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const { connection, controlling, kind } = await session.connect(remote)
      this.#context ??= tlsContext(this.#env.identity)
      const { socket, peer } = await secureLink(this.#env, connection, { client: controlling, context: this.#context, signal, verify: (chain) => this.#verify(chain, expected) })
      const link = new Link({
        env: this.#env, socket, connection, peer, id, client: controlling, kind,
        onRequest: (name) => this.#requests.decide(peer, name),
        onClosed: (closed, reason) => {
          this.#links.remove(closed, reason)
          this.#dialler.ended(closed)
        },
      })
      this.#links.add(link, () => this.#dialler.linked(link))
      return link
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** The peer must show the chain of the very device we deal with, complete and good, and be allowed still. */
  async #verify(chain: CertificateChain, expected: PeerIdentity): Promise<PeerIdentity> {
    if (chain[0].longId !== expected.deviceId) throw new JamiError('ERR_CERTIFICATE', `TLS: got device ${chain[0].longId}, allowed ${expected.deviceId}`) // nothing of it is kept
    const peer = await this.#env.certificates.pin(chain)
    if (peer.accountId !== expected.accountId)
      throw new JamiError('ERR_CERTIFICATE', `TLS: got account ${peer.accountId} for device ${peer.deviceId}, allowed ${expected.accountId}`)
    if (!this.#env.policy.allowsLink(peer)) throw new JamiError('ERR_PEER_REFUSED', `account ${peer.accountId} is not allowed to connect`)
    return peer
  }
}
