// The ConnectionManager contract: requests over the DHT, links to devices, channels on them, each link shared by all who need it.
// docs/protocol/02 §1, §4.9, §6. Proof: manager/connection-manager.test.ts (contract suite), interop.
import { setMaxListeners } from 'node:events'
import type { SecureContext } from 'node:tls'
import { abortError, type Deferred, deferred, delay, JamiError, Source, Tasks, throwIfAborted, withOp, withSignals } from '@jamikit/core/base'
import type {
  AccountUri, CertificateChain, Channel, ChannelHandler, ConnectionManager, ConnectionsModule, DeviceId, InfoHash, LinkInfo, OpenChannelOptions, PeerIdentity,
} from '@jamikit/core/contracts'
import { deviceIdOf, infoHashOf, peerKey, shortIdOf } from '@jamikit/core/identity'
import { ACCEPT_TIMEOUT_MS, ANSWER_TIMEOUT_MS, MAX_INCOMING_NEGOTIATIONS, MAX_LINKS_PER_DEVICE, REQUESTS_PER_DEVICE_MINUTE } from '../defaults.ts'
import { IceSession } from '../link/ice-session.ts'
import { Link } from '../link/link.ts'
import { secureLink, tlsContext } from '../link/tls-link.ts'
import { type IceDescription, parseIceDescription, printIceDescription } from '../wire/ice-text.ts'
import { decodePeerRequest, encodePeerRequest, type PeerRequest, USER_TYPE } from '../wire/peer-request.ts'
import { TreatedIds } from './treated-ids.ts'

const RELISTEN_MS = 2_000
const MAX_COUNTED_DEVICES = 10_000
/** Links of one device that may fail before a waiting operation fails. */
const LINK_TRIES = 2

type Env = Parameters<ConnectionsModule>[0]

function shortPeerKey(shortId: InfoHash): InfoHash {
  return infoHashOf(`peer:${shortId}`)
}

/** Links for createJamiNode(). */
export function ice(): ConnectionsModule {
  return (env) => new Manager(env)
}

/** Something that waits for a link to a device; `closePeer` fails it. */
interface Pending {
  readonly device: DeviceId
  readonly controller: AbortController
}

interface Waiting {
  readonly device: DeviceId
  readonly answer: Deferred<IceDescription>
}

export class Manager implements ConnectionManager {
  readonly #env: Env
  readonly #tasks: Tasks
  readonly #onLink: Source<{ peer: PeerIdentity; up: boolean }>
  readonly #handlers = new Map<string, ChannelHandler>() // bounded by our own code
  readonly #links = new Map<DeviceId, Link[]>() // bounded by MAX_LINKS_PER_DEVICE and the contacts' devices
  readonly #connecting = new Map<DeviceId, Promise<Link>>() // bounded by callers
  readonly #waitingForLink = new Map<DeviceId, Set<(link: Link) => void>>() // bounded by callers
  readonly #unique = new Map<string, Promise<Channel>>() // bounded by callers
  readonly #pending = new Set<Pending>() // bounded by callers
  readonly #answers = new Map<number, Waiting>() // bounded by #connecting
  readonly #requestCounts = new Map<DeviceId, { minute: number; count: number }>() // bounded by MAX_COUNTED_DEVICES
  readonly #treated: TreatedIds
  #context: SecureContext | undefined
  #negotiating = 0
  #started: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(env: Env) {
    this.#env = env
    this.#tasks = new Tasks(env.clock, (err, what) => env.logger.debug({ err, what }, 'connection task failed'))
    setMaxListeners(0, this.#tasks.signal) // as many as operations
    this.#onLink = new Source((err) => env.logger.error({ err }, 'a listener threw'))
    this.#treated = new TreatedIds(env.storage, env.prefix, env.clock)
  }

  get onLink() {
    return this.#onLink.listen
  }

  start(): Promise<void> {
    this.#started ??= (async () => {
      if (this.#stopped) return
      await this.#treated.load()
      const { deviceId, deviceShortId } = this.#env.identity
      this.#tasks.run('connection requests', (signal) => this.#listen(peerKey(deviceId), false, signal))
      this.#tasks.run('connection requests, old form', (signal) => this.#listen(shortPeerKey(deviceShortId), true, signal))
    })()
    return this.#started
  }

  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      await this.#started?.catch(() => {})
      const reason = new JamiError('ERR_CLOSED', 'the connection manager was stopped')
      const closing = [...this.#links.values()].flat().map((link) => link.close(reason))
      for (const { answer } of this.#answers.values()) {
        answer.promise.catch(() => {})
        answer.reject(reason)
      }
      await Promise.all(closing)
      await this.#tasks.close()
      await Promise.all([...this.#links.values()].flat().map((link) => link.close(reason))) // made while we stopped
      await this.#treated.flush()
    })()
    return this.#stopped
  }

  handle(scheme: string, handler: ChannelHandler): () => void {
    if (this.#handlers.has(scheme)) throw new JamiError('ERR_ARGUMENT', `scheme ${scheme} has a handler already`)
    this.#handlers.set(scheme, handler)
    return () => {
      if (this.#handlers.get(scheme) === handler) this.#handlers.delete(scheme)
    }
  }

  links(): LinkInfo[] {
    return [...this.#links.values()].flat().map(({ peer, channels, bytesIn, bytesOut, openedAtMs }) => ({ peer, channels, bytesIn, bytesOut, openedAtMs }))
  }

  connectivityChanged(): void {
    for (const links of this.#links.values()) for (const link of links) link.probe()
  }

  async closePeer(peer: DeviceId | AccountUri, reason: Error = new JamiError('ERR_LINK_LOST', 'the link was closed here')): Promise<void> {
    const links = [...this.#links.values()].flat().filter((l) => l.peer.deviceId === peer || l.peer.accountId === peer)
    const closing = links.map((link) => link.close(reason))
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
    for (const link of this.#openLinks(device)) {
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

  #openLinks(device: DeviceId): Link[] {
    return (this.#links.get(device) ?? []).filter((link) => link.isOpen)
  }

  #open(device: DeviceId, name: string, options: OpenChannelOptions, outer: AbortSignal): Promise<Channel> {
    return this.#cancellable(device, outer, (signal) => this.#openOn(device, name, options, signal))
  }

  async #openOn(device: DeviceId, name: string, options: OpenChannelOptions, signal: AbortSignal): Promise<Channel> {
    for (let attempt = 1; ; attempt++) {
      let link = this.#openLinks(device)[0]
      if (!link) {
        if (options.existingLinkOnly) throw new JamiError('ERR_PEER_OFFLINE', `no link to device ${device}`)
        link = await this.#link(device, options.connType ?? '', signal)
      }
      try {
        return await link.openChannel(name, signal)
      } catch (error) {
        throwIfAborted(signal)
        if (!JamiError.is(error, 'ERR_LINK_LOST') || attempt >= LINK_TRIES || options.existingLinkOnly) throw error
      }
    }
  }

  /** A link that somebody makes, from either side: our own attempt, or the peer's. */
  #link(device: DeviceId, connType: string, signal: AbortSignal): Promise<Link> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waitingForLink.get(device) ?? new Set()
      this.#waitingForLink.set(device, waiting)
      const done = () => {
        waiting.delete(onLink)
        if (waiting.size === 0 && this.#waitingForLink.get(device) === waiting) this.#waitingForLink.delete(device)
        signal.removeEventListener('abort', onAbort)
      }
      const onLink = (link: Link) => {
        done()
        resolve(link)
      }
      const onAbort = () => {
        done()
        reject(abortError(signal))
      }
      if (signal.aborted) return reject(abortError(signal))
      waiting.add(onLink)
      signal.addEventListener('abort', onAbort, { once: true })
      this.#attempt(device, connType).then(onLink, (error) => {
        done()
        reject(error)
      })
    })
  }

  #attempt(device: DeviceId, connType: string): Promise<Link> {
    let running = this.#connecting.get(device)
    if (!running) {
      running = this.#cancellable(device, this.#tasks.signal, (signal) => this.#request(device, connType, signal)).finally(() => this.#connecting.delete(device))
      running.catch(() => {})
      this.#connecting.set(device, running)
      const tracked = running
      this.#tasks.run(`link to ${device}`, () => tracked.then(() => {}, () => {}))
    }
    return running
  }

  /** We ask: ICE controlled, TLS server. */
  async #request(device: DeviceId, connType: string, signal: AbortSignal): Promise<Link> {
    const { certificates, clock, random, policy, logger } = this.#env
    const peer = await certificates.find(device, { signal })
    if (!peer) throw new JamiError('ERR_PEER_OFFLINE', `no certificate of device ${device} is known or published`)
    if (!policy.allowsLink(peer)) throw new JamiError('ERR_PEER_REFUSED', `account ${peer.accountId} is not allowed to connect`)
    const session = new IceSession(this.#env, false)
    const id = 1 + random.below(2 ** 53 - 1)
    const waiting: Waiting = { device, answer: deferred() }
    try {
      const description = await session.gather()
      this.#answers.set(id, waiting)
      logger.debug({ device, id }, 'connection request')
      this.#tasks.run('connection request', () => this.#put(peer, { id, iceMessage: printIceDescription(description), isAnswer: false, connType }))
      const remote = await withOp(clock, { signal, timeoutMs: ANSWER_TIMEOUT_MS }, 'connection request', () => waiting.answer.promise).catch((error) => {
        if (JamiError.is(error, 'ERR_TIMEOUT')) throw new JamiError('ERR_PEER_REFUSED', `device ${device} did not answer: it is away, or does not take links from us`, { cause: error })
        throw error
      })
      return await this.#secure(session, remote, peer, signal)
    } finally {
      this.#answers.delete(id)
      await session.release()
    }
  }

  async #put(peer: PeerIdentity, request: PeerRequest, short = false): Promise<void> {
    const { dht, identity } = this.#env
    await dht.put(short ? shortPeerKey(shortIdOf(peer.chain[0].publicKey)) : peerKey(peer.deviceId), {
      data: encodePeerRequest(request), userType: USER_TYPE, sign: identity.privateKey, encryptTo: peer.chain[0].publicKey,
      ...(request.connType === '' ? {} : { pushType: request.connType }),
    }, { signal: this.#tasks.signal })
  }

  // ---------------------------------------------------------------- incoming

  /** @param short the key of devices that know only the short id: an answer goes back on the form by which the request came */
  async #listen(key: InfoHash, short: boolean, signal: AbortSignal): Promise<void> {
    const { dht, identity, clock, logger } = this.#env
    while (!signal.aborted) {
      try {
        for await (const { value, expired } of dht.listen(key, { decryptWith: identity.privateKey, userType: USER_TYPE, signal })) {
          if (expired || !value.signer || !value.encrypted) continue
          let request: PeerRequest
          try {
            request = decodePeerRequest(value.data)
          } catch (err) {
            logger.debug({ err }, 'a connection request was refused')
            continue
          }
          const { signer } = value
          const from = deviceIdOf(signer)
          if (!this.#treated.take(request.id)) continue
          if (request.isAnswer) this.#answer(from, request)
          else this.#tasks.run(`request of ${from}`, () => this.#incoming(from, signer, request, short))
        }
      } catch (err) {
        if (!signal.aborted) logger.debug({ err }, 'listening for requests again')
      }
      await delay(clock, RELISTEN_MS, signal).catch(() => {})
    }
  }

  #answer(from: DeviceId, request: PeerRequest): void {
    const waiting = this.#answers.get(request.id)
    if (!waiting || waiting.device !== from) return this.#env.logger.debug({ from, id: request.id }, 'an answer that nobody waits for')
    try {
      waiting.answer.resolve(parseIceDescription(request.iceMessage))
    } catch (error) {
      waiting.answer.reject(JamiError.from(error, 'ERR_NO_ROUTE'))
    }
  }

  /** At most so many requests of a device in a minute: each costs sockets. */
  #countRequest(device: DeviceId): boolean {
    const minute = Math.floor(this.#env.clock.now() / 60_000)
    const known = this.#requestCounts.get(device)
    const count = known?.minute === minute ? known.count + 1 : 1
    if (!known && this.#requestCounts.size >= MAX_COUNTED_DEVICES) this.#requestCounts.clear()
    this.#requestCounts.set(device, { minute, count })
    return count <= REQUESTS_PER_DEVICE_MINUTE
  }

  /** They ask: ICE controlling, TLS client. Whoever may not connect hears nothing. */
  async #incoming(from: DeviceId, signer: Uint8Array, request: PeerRequest, short: boolean): Promise<void> {
    const { certificates, policy, logger } = this.#env
    if (from === this.#env.identity.deviceId || !this.#countRequest(from) || this.#negotiating >= MAX_INCOMING_NEGOTIATIONS) return
    this.#negotiating++
    try {
      const peer = await certificates.find(from, { shortId: shortIdOf(signer), signal: this.#tasks.signal })
      if (!peer || !policy.allowsLink(peer)) return logger.debug({ from, known: peer !== undefined }, 'a connection request was not answered')
      const remote = parseIceDescription(request.iceMessage)
      const session = new IceSession(this.#env, true)
      try {
        const description = await session.gather()
        this.#tasks.run('connection answer', () => this.#put(peer, { id: request.id, iceMessage: printIceDescription(description), isAnswer: true, connType: '' }, short))
        await this.#secure(session, remote, peer, this.#tasks.signal)
      } finally {
        await session.release()
      }
    } finally {
      this.#negotiating--
    }
  }

  // ---------------------------------------------------------------- links

  async #secure(session: IceSession, remote: IceDescription, expected: PeerIdentity, signal: AbortSignal): Promise<Link> {
    const { identity, logger } = this.#env
    throwIfAborted(signal)
    const onAbort = () => void session.close(abortError(signal))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const { connection, controlling, kind } = await session.connect(remote)
      this.#context ??= tlsContext(identity)
      const { socket, peer } = await secureLink(this.#env, connection, { client: controlling, context: this.#context, signal, verify: (chain) => this.#verify(chain, expected) })
      const link = new Link({
        env: this.#env, socket, connection, peer, client: controlling, kind,
        onRequest: (l, name) => this.#accept(l, name),
        onClosed: (l, reason) => this.#closed(l, reason),
      })
      logger.info({ device: peer.deviceId, kind }, 'link up')
      this.#add(link)
      return link
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** The peer must show the chain of the very device we deal with, complete and good. */
  async #verify(chain: CertificateChain, expected: PeerIdentity): Promise<PeerIdentity> {
    if (chain[0].longId !== expected.deviceId) throw new JamiError('ERR_CERTIFICATE', `TLS: got device ${chain[0].longId}, allowed ${expected.deviceId}`)
    const peer = await this.#env.certificates.pin(chain)
    if (peer.deviceId !== expected.deviceId || peer.accountId !== expected.accountId)
      throw new JamiError('ERR_CERTIFICATE', `TLS: got device ${peer.deviceId} of ${peer.accountId}, allowed ${expected.deviceId} of ${expected.accountId}`)
    if (!this.#env.policy.allowsLink(peer)) throw new JamiError('ERR_PEER_REFUSED', `account ${peer.accountId} is not allowed to connect`)
    return peer
  }

  #add(link: Link): void {
    const { deviceId } = link.peer
    const links = this.#links.get(deviceId) ?? []
    const first = links.length === 0
    for (const older of links) older.probe()
    links.push(link)
    this.#links.set(deviceId, links)
    link.start()
    for (const waiting of [...(this.#waitingForLink.get(deviceId) ?? [])]) waiting(link)
    if (first) this.#onLink.emit({ peer: link.peer, up: true })
    if (links.length > MAX_LINKS_PER_DEVICE) void links[0]?.close(new JamiError('ERR_LIMIT', 'too many links to one device'))
  }

  #closed(link: Link, reason: Error): void {
    const { deviceId } = link.peer
    const links = (this.#links.get(deviceId) ?? []).filter((l) => l !== link)
    this.#env.logger.info({ device: deviceId, reason: reason.message }, 'link down')
    if (links.length > 0) this.#links.set(deviceId, links)
    else if (this.#links.delete(deviceId)) this.#onLink.emit({ peer: link.peer, up: false })
  }

  async #accept(link: Link, name: string): Promise<((channel: Channel) => void) | undefined> {
    const scheme = name.split(':', 1)[0] ?? ''
    const handler = this.#handlers.get(scheme)
    if (!handler) return undefined
    const accepted = await withOp(this.#env.clock, { timeoutMs: ACCEPT_TIMEOUT_MS, signal: this.#tasks.signal }, `accepting ${scheme}`, async () => handler.accept(name, link.peer))
    return accepted ? (channel) => handler.open(channel) : undefined
  }
}
