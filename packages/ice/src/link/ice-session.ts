// One negotiation: listens, offers candidates, opens and accepts connections for the agent, hands over the one that won.
// docs/protocol/02 §2.3, §2.4 (traps 1 to 3), §2.8. Proof: link/ice-session.test.ts, manager/links.test.ts.
import { JamiError } from '@jamikit/core/base'
import { toHex } from '@jamikit/core/codec'
import type { BaseEnv, StreamListener, StreamSocket, Timer } from '@jamikit/core/contracts'
import { sha1 } from '@jamikit/core/crypto'
import { IceAgent } from '../agent/agent.ts'
import { CONNECT_TIMEOUT_MS, MAX_INCOMING, MAX_LOCAL_CANDIDATES, MAX_UNVERIFIED, PLACEHOLDER_PORT } from '../defaults.ts'
import { addressBytes, isLinkLocal, isLoopback, mayConnectTo } from '../wire/address.ts'
import type { Candidate, CandidateType, IceDescription } from '../wire/ice-text.ts'
import { FramedConnection } from './framed-connection.ts'

export interface IceResult {
  readonly connection: FramedConnection
  readonly controlling: boolean
  readonly kind: CandidateType
}

type Env = Pick<BaseEnv, 'clock' | 'random' | 'network' | 'logger'>

/** Bytes of an address that the network gave us. */
function bytesOf(host: string): Uint8Array {
  return addressBytes(host) ?? new Uint8Array(4)
}

export class IceSession {
  readonly #env: Env
  readonly #agent: IceAgent
  readonly #ufrag: string
  readonly #password: string
  readonly #hosts: readonly { host: string; family: 4 | 6 }[]
  readonly #listeners: StreamListener[] = [] // two at most
  readonly #connections = new Map<number, FramedConnection>() // bounded by MAX_UNVERIFIED + MAX_INCOMING + MAX_OUTGOING
  readonly #abort = new AbortController()
  readonly #result: Promise<IceResult>
  #resolve!: (result: IceResult) => void
  #reject!: (error: JamiError) => void
  /** Accepted connections that nobody has proved to be the peer on, oldest first, with where they come from. */
  readonly #unverified = new Map<number, string>() // bounded by MAX_UNVERIFIED
  readonly #verified = new Set<number>() // accepted ones of the peer; bounded by MAX_INCOMING
  #timer: Timer | undefined
  #winner: number | undefined

  constructor(env: Env, controlling: boolean) {
    this.#env = env
    this.#ufrag = toHex(env.random.bytes(4))
    this.#password = toHex(env.random.bytes(16))
    const all = env.network.addresses()
    const usable = all.filter((a) => !isLinkLocal(bytesOf(a.host)))
    this.#hosts = usable.length > 0 ? usable : all
    const onlyLoopback = this.#hosts.every((a) => isLoopback(bytesOf(a.host)))
    this.#result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#result.catch(() => {}) // whoever waits for `connected` gets it
    this.#agent = new IceAgent({
      controlling, ufrag: this.#ufrag, password: this.#password, random: env.random, families: new Set(this.#hosts.map((h) => h.family)),
      // a machine without any other address (tests) talks to itself
      mayConnect: (c) => mayConnectTo(bytesOf(c.host)) || (onlyLoopback && isLoopback(bytesOf(c.host))),
    }, {
      connect: (id, to) => void this.#connect(id, to),
      send: (id, stun) => this.#connections.get(id)?.sendStun(stun),
      verified: (id) => this.#proved(id),
      done: (id, kind) => this.#done(id, kind),
      failed: (reason) => this.#fail(new JamiError('ERR_NO_ROUTE', reason)),
    })
  }

  /** Opens the listening sockets; gives our description. @throws ERR_NO_ROUTE when there is no address */
  async gather(): Promise<IceDescription> {
    const candidates: Candidate[] = []
    for (const family of [4, 6] as const) {
      const hosts = this.#hosts.filter((h) => h.family === family)
      if (hosts.length === 0) continue
      let listener: StreamListener
      try {
        listener = await this.#env.network.listenStream({ host: family === 4 ? '0.0.0.0' : '::', onConnection: (socket) => this.#accept(socket) })
      } catch (error) {
        this.#env.logger.debug({ family, err: error }, 'no listening socket')
        continue
      }
      if (this.#abort.signal.aborted) await listener.close()
      this.#listeners.push(listener)
      for (const [i, { host }] of hosts.entries()) {
        const foundation = `H${family === 4 ? toHex(bytesOf(host)) : toHex(sha1(new TextEncoder().encode(host)).subarray(0, 4))}`
        const line = (tcpType: 'passive' | 'active', n: number, port: number): Candidate =>
          ({ foundation, component: 1, priority: 126 * 2 ** 24 + (65_535 - n) * 256 + 255, host, port, family, type: 'host', tcpType })
        candidates.push(line('passive', 2 * i, listener.local.port), line('active', 2 * i + 1, PLACEHOLDER_PORT))
      }
    }
    if (candidates.length === 0) throw new JamiError('ERR_NO_ROUTE', 'no local address to connect from')
    return { ufrag: this.#ufrag, password: this.#password, candidates: candidates.sort((a, b) => b.priority - a.priority).slice(0, MAX_LOCAL_CANDIDATES) }
  }

  /** Starts the checks; resolves with the connection that both sides use. @throws ERR_NO_ROUTE, ERR_CLOSED */
  connect(remote: IceDescription): Promise<IceResult> {
    this.#agent.start(remote, this.#env.clock.now())
    this.#schedule()
    return this.#result
  }

  /** After the link is made (or given up): stops listening, drops all connections but the winner's. Idempotent. */
  async release(): Promise<void> {
    this.#abort.abort()
    this.#timer?.cancel()
    for (const [id, connection] of this.#connections) if (id !== this.#winner) connection.destroy()
    await Promise.all(this.#listeners.map((l) => l.close()))
  }

  /** Gives the negotiation up. */
  async close(reason: JamiError): Promise<void> {
    this.#winner = undefined
    this.#fail(reason)
    await this.release()
  }

  #fail(error: JamiError): void {
    this.#reject(error)
  }

  /** Anybody may connect to the port: who has not shown the peer's password takes no room from the peer. */
  #accept(socket: StreamSocket): void {
    if (this.#abort.signal.aborted) return socket.abort()
    if (this.#unverified.size >= MAX_UNVERIFIED) this.#connections.get(this.#weakest())?.destroy(new JamiError('ERR_LIMIT', 'more connections than a peer needs'))
    const id = this.#agent.accepted(remoteOf(socket))
    this.#unverified.set(id, sourceOf(socket))
    this.#adopt(id, socket)
  }

  /** The oldest connection of the source that has most. */
  #weakest(): number {
    const counts = new Map<string, number>() // bounded by MAX_UNVERIFIED
    for (const source of this.#unverified.values()) counts.set(source, (counts.get(source) ?? 0) + 1)
    const most = Math.max(...counts.values())
    for (const [id, source] of this.#unverified) if (counts.get(source) === most) return id
    return 0
  }

  #proved(id: number): void {
    const connection = this.#connections.get(id)
    if (!connection) return
    connection.verified = true
    if (!this.#unverified.delete(id)) return
    if (this.#verified.size < MAX_INCOMING) this.#verified.add(id)
    else connection.destroy(new JamiError('ERR_LIMIT', 'the peer makes more connections than one negotiation needs'))
  }

  async #connect(id: number, to: { host: string; port: number }): Promise<void> {
    try {
      const socket = await this.#env.network.connectStream(to, { signal: this.#abort.signal, timeoutMs: CONNECT_TIMEOUT_MS })
      if (this.#abort.signal.aborted) return socket.abort()
      this.#adopt(id, socket)
      this.#agent.connected(id, remoteOf(socket), this.#env.clock.now())
    } catch (error) {
      if (this.#abort.signal.aborted) return
      this.#env.logger.trace({ to, err: error }, 'a candidate could not be reached')
      this.#agent.closed(id, this.#env.clock.now())
    }
    this.#schedule()
  }

  #adopt(id: number, socket: StreamSocket): void {
    const connection = new FramedConnection(socket)
    this.#connections.set(id, connection)
    connection.onStun = (frame) => {
      this.#agent.stun(id, frame, this.#env.clock.now())
      this.#schedule()
    }
    connection.once('close', () => this.#gone(id))
    void connection.run()
  }

  #gone(id: number): void {
    this.#connections.delete(id)
    this.#unverified.delete(id)
    this.#verified.delete(id)
    this.#agent.closed(id, this.#env.clock.now())
    if (this.#agent.state === 'running') this.#schedule()
  }

  #done(id: number, kind: CandidateType): void {
    const connection = this.#connections.get(id)
    if (!connection || connection.destroyed) return this.#fail(new JamiError('ERR_LINK_LOST', 'the nominated connection was lost'))
    this.#winner = id
    this.#resolve({ connection, controlling: this.#agent.controlling, kind })
  }

  #schedule(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const atMs = this.#agent.nextMs
    if (atMs === Number.POSITIVE_INFINITY || this.#abort.signal.aborted) return
    this.#timer = this.#env.clock.after(Math.max(0, atMs - this.#env.clock.now()), () => {
      this.#agent.tick(this.#env.clock.now())
      this.#schedule()
    })
  }
}

/** The address, of IPv6 the network: whoever has one of these has all its addresses. */
function sourceOf(socket: StreamSocket): string {
  return toHex(bytesOf(socket.remote.host).subarray(0, 8))
}

function remoteOf(socket: StreamSocket): { address: Uint8Array; port: number } {
  return { address: bytesOf(socket.remote.host), port: socket.remote.port }
}
