// A network in memory and in virtual time behind the Network contract: hosts with an IPv4 and an IPv6 address each, UDP and TCP
// between them, partitions, a trace that repeats byte for byte from a seed, and a list of what is still open.
// Proof: testing/sim-network.test.ts with testing/suites/network.ts.
import { JamiError } from '../base/errors.ts'
import { withOp } from '../base/operation.ts'
import type { Timer } from '../contracts/clock.ts'
import type { Op } from '../contracts/service.ts'
import type { DatagramSocket, Network, SocketAddress, StreamListener, StreamSocket } from '../contracts/socket.ts'
import { SimDatagramSocket } from './sim-datagram.ts'
import { type SimStreamSocket, streamPair } from './sim-stream.ts'
import { familyOf, isAny, isLoopback, show, type SimLinkOptions, SimWire, type SimWireOptions } from './sim-wire.ts'

type HostLike = string | SimHost
const nameOf = (host: HostLike) => (typeof host === 'string' ? host : host.name)

/** Hosts that reach each other over links with latency, loss and partitions, in memory. */
export class SimNetwork {
  readonly #wire: SimWire
  readonly #hosts = new Map<string, SimHost>() // bounded by the test

  constructor(options: SimWireOptions) {
    this.#wire = new SimWire(options)
  }

  /** The host of this name, made at first use with the next free addresses, 10.0.0.1 and fd00::1 and so on. */
  host(name: string, options: { ipv4?: boolean; ipv6?: boolean } = {}): SimHost {
    const known = this.#hosts.get(name)
    if (known) return known
    const number = this.#hosts.size + 1
    if (number > 65_000) throw new JamiError('ERR_ARGUMENT', 'hosts: got more than 65000')
    const ipv4 = options.ipv4 === false ? undefined : `10.0.${number >> 8}.${number & 255}`
    const ipv6 = options.ipv6 === false ? undefined : `fd00::${number.toString(16)}`
    const host = new SimHost(this.#wire, { name, ipv4, ipv6 }, (other) => this.#hosts.get(other))
    this.#hosts.set(name, host)
    return host
  }

  /** Changes the link between two hosts. */
  link(a: HostLike, b: HostLike, options: Partial<SimLinkOptions>): void {
    this.#wire.setLink(nameOf(a), nameOf(b), options)
  }

  /** From now on hosts of different groups do not reach each other; hosts of no group reach everybody. Replaces the last partition. */
  partition(...groups: readonly (readonly HostLike[])[]): void {
    this.#wire.partition(groups.map((group) => group.map(nameOf)))
  }

  /** Ends a partition. */
  heal(): void {
    this.#wire.heal()
  }

  /** What is open now, one line each; empty when nothing leaked. */
  openSockets(): string[] {
    return [...this.#hosts.values()].flatMap((host) => host.open())
  }

  /** A line per event so far; empty unless the option `trace` was given. */
  get trace(): readonly string[] {
    return this.#wire.trace
  }
}

interface Listener {
  readonly local: SocketAddress
  readonly onConnection: (socket: StreamSocket) => void
  handshakes: number
}

const FIRST_EPHEMERAL = 49_152

/** One machine of the network. */
export class SimHost implements Network {
  /** As given. */
  readonly name: string
  /** Its address; undefined when it has none of the family. */
  readonly ipv4: string | undefined
  /** Its address; undefined when it has none of the family. */
  readonly ipv6: string | undefined
  readonly #wire: SimWire
  readonly #others: (name: string) => SimHost | undefined
  readonly #datagram = new Set<SimDatagramSocket>() // bounded by the ports
  readonly #listeners = new Set<Listener>() // bounded by the ports
  readonly #streams = new Set<SimStreamSocket>() // bounded by the test
  readonly #connecting = new Set<string>() // bounded by the test
  #nextPort = FIRST_EPHEMERAL

  constructor(wire: SimWire, own: { name: string; ipv4: string | undefined; ipv6: string | undefined }, others: (name: string) => SimHost | undefined) {
    this.#wire = wire
    this.name = own.name
    this.ipv4 = own.ipv4
    this.ipv6 = own.ipv6
    this.#others = others
    for (const address of [own.ipv4, own.ipv6]) if (address !== undefined) wire.register(address, own.name)
  }

  addresses(): { host: string; family: 4 | 6 }[] {
    const own = [
      ...(this.ipv4 === undefined ? [] : [{ host: this.ipv4, family: 4 as const }]),
      ...(this.ipv6 === undefined ? [] : [{ host: this.ipv6, family: 6 as const }]),
    ]
    return own.length > 0 ? own : [{ host: '127.0.0.1', family: 4 }]
  }

  resolve(host: string, op?: Op): Promise<{ host: string; family: 4 | 6 }[]> {
    return withOp(this.#wire.clock, op, `resolution of ${host}`, async () => {
      const family = familyOf(host)
      if (family) return [{ host, family }]
      if (host === 'localhost') return [{ host: '127.0.0.1', family: 4 }]
      return this.#others(host)?.addresses() ?? []
    })
  }

  // UDP.

  async bindDatagram(options: { family: 4 | 6; port?: number; host?: string }): Promise<DatagramSocket> {
    const host = options.host ?? (options.family === 4 ? '0.0.0.0' : '::')
    const local = this.#local(host, options.family, options.port ?? 0, (port) => overlaps([...this.#datagram].map((socket) => socket.local), host, port))
    const socket = new SimDatagramSocket(
      this.#wire,
      {
        name: this.name,
        sourceFor: (to) => (isAny(host) ? this.#addressTowards(to) : host),
        receiver: (name, to) => (name === this.name ? this : this.#others(name))?.receiver(to),
        release: (closed) => this.#datagram.delete(closed),
      },
      local,
    )
    this.#datagram.add(socket)
    return socket
  }

  /** The socket that gets a datagram. */
  receiver(to: SocketAddress): SimDatagramSocket | undefined {
    return match([...this.#datagram], to)
  }

  // TCP.

  async listenStream(options: { host: string; port?: number; onConnection: (socket: StreamSocket) => void }): Promise<StreamListener> {
    const { host, onConnection } = options
    const family = familyOf(host)
    if (!family) throw unsupported(host)
    const local = this.#local(host, family, options.port ?? 0, (port) => overlaps([...this.#listeners].map((listener) => listener.local), host, port) || this.#connectedFrom(host, port))
    const listener: Listener = { local, onConnection, handshakes: 0 }
    this.#listeners.add(listener)
    return {
      local,
      close: async () => {
        this.#listeners.delete(listener)
      },
    }
  }

  async connectStream(to: { host: string; port: number }, options: { localHost?: string; localPort?: number } & Op = {}): Promise<StreamSocket> {
    checkPort(to.port, 1)
    checkPort(options.localPort ?? 0, 0)
    return withOp(this.#wire.clock, options, `TCP connection to ${to.host} port ${to.port}`, (signal) => this.#connect(to, options, signal))
  }

  #connect(to: { host: string; port: number }, options: { localHost?: string; localPort?: number }, signal: AbortSignal): Promise<SimStreamSocket> {
    return new Promise((resolve, reject) => {
      const wire = this.#wire
      const family = familyOf(to.host)
      const source = options.localHost !== undefined && !isAny(options.localHost) ? options.localHost : this.#addressTowards(to.host)
      const taken = (port: number) => overlaps([...this.#listeners].map((listener) => listener.local), source ?? '', port)
      if (!family || source === undefined || familyOf(source) !== family) return reject(noRoute(to, 'EADDRNOTAVAIL'))
      const chosen = options.localPort ?? 0
      const remote: SocketAddress = { host: to.host, port: to.port, family }
      const local: SocketAddress = { host: source, port: chosen > 0 ? chosen : this.#freePort((port) => taken(port) || this.#connectedFrom(source, port)), family }
      const key = `${show(local)}>${show(remote)}`
      if (chosen > 0 && (taken(chosen) || this.#connecting.has(key) || [...this.#streams].some((s) => `${show(s.local)}>${show(s.remote)}` === key))) return reject(noRoute(to, 'EADDRINUSE'))
      const target = wire.hostOf(to.host, this.name)
      const timers: Timer[] = []
      const over = () => {
        for (const timer of timers) timer.cancel()
        signal.removeEventListener('abort', over)
        this.#connecting.delete(key)
      }
      const fail = (code: string) => {
        over()
        reject(noRoute(to, code))
      }
      this.#connecting.add(key)
      signal.addEventListener('abort', over, { once: true })
      const across = (from: string, into: string, what: string, fn: () => void) => {
        const { lossRate } = wire.link(from, into)
        const lost = wire.isCut(from, into) || (lossRate > 0 && wire.random.chance(lossRate))
        wire.note(() => `${lost ? 'tcp-lost' : 'tcp'} ${what} ${key}`)
        if (!lost) timers.push(wire.clock.after(wire.delay(from, into), () => !wire.isCut(from, into) && fn()))
      }
      const attempt = () => {
        if (target === undefined) return
        across(this.name, target, 'syn', () => {
          const there = target === this.name ? this : this.#others(target)
          const listener = there?.listenerFor(remote)
          if (!there || !listener) return across(target, this.name, 'rst', () => fail('ECONNREFUSED'))
          if (listener.handshakes >= wire.tcp.backlog) return wire.note(() => `tcp-backlog ${key}`)
          listener.handshakes++
          wire.clock.after(wire.link(target, this.name).latencyMs, () => listener.handshakes--)
          across(target, this.name, 'syn-ack', () => {
            over()
            const [client, server] = streamPair(wire, { host: this.name, address: local }, { host: target, address: remote }, (gone) => {
              this.#streams.delete(gone)
              there.#streams.delete(gone)
            })
            this.#streams.add(client)
            resolve(client)
            there.accept(listener, server, this.name)
          })
        })
      }
      attempt()
      for (let wait = 1000, at = wait; at < wire.tcp.connectTimeoutMs; wait *= 2, at += wait) timers.push(wire.clock.after(at, attempt))
      timers.push(wire.clock.after(wire.tcp.connectTimeoutMs, () => fail('ETIMEDOUT')))
    })
  }

  /** The listener that gets a connection. */
  listenerFor(to: SocketAddress): Listener | undefined {
    return match([...this.#listeners], to)
  }

  /** The third packet of the handshake: the listener gets its end. */
  accept(listener: Listener, socket: SimStreamSocket, from: string): void {
    this.#streams.add(socket)
    this.#wire.clock.after(this.#wire.delay(from, this.name), () => {
      if (this.#listeners.has(listener)) listener.onConnection(socket)
      else socket.abort()
    })
  }

  /** What is open on this host. */
  open(): string[] {
    return [
      ...[...this.#datagram].map((socket) => `${this.name}: udp ${show(socket.local)}`),
      ...[...this.#listeners].map((listener) => `${this.name}: tcp listener ${show(listener.local)}`),
      ...[...this.#connecting].map((key) => `${this.name}: tcp connecting ${key}`),
      ...[...this.#streams].map((stream) => `${this.name}: tcp ${show(stream.local)}>${show(stream.remote)}`),
    ]
  }

  // Addresses and ports.

  #addressTowards(to: string): string | undefined {
    const family = familyOf(to)
    if (isLoopback(to)) return family === 4 ? '127.0.0.1' : '::1'
    return family === 4 ? this.ipv4 : family === 6 ? this.ipv6 : undefined
  }

  #local(host: string, family: 4 | 6, port: number, taken: (port: number) => boolean): SocketAddress {
    checkPort(port, 0)
    const own = family === 4 ? this.ipv4 : this.ipv6
    if (familyOf(host) !== family || !(host === own || isLoopback(host) || (isAny(host) && own !== undefined))) throw unsupported(host)
    if (port > 0 && taken(port)) throw new JamiError('ERR_ARGUMENT', 'address: got EADDRINUSE, allowed a free local address', { details: { code: 'EADDRINUSE' } })
    return { host, port: port > 0 ? port : this.#freePort(taken), family }
  }

  #connectedFrom(host: string, port: number): boolean {
    return [...this.#streams].some((stream) => stream.local.port === port && (isAny(host) || stream.local.host === host))
  }

  #freePort(taken: (port: number) => boolean): number {
    for (let tries = 0; tries < 65_536 - FIRST_EPHEMERAL; tries++) {
      const port = this.#nextPort++
      if (this.#nextPort > 65_535) this.#nextPort = FIRST_EPHEMERAL
      if (!taken(port)) return port
    }
    throw new JamiError('ERR_ARGUMENT', 'address: got EADDRINUSE, allowed a free local port', { details: { code: 'EADDRINUSE' } })
  }
}

/** The socket for an address: one bound to exactly it before one bound to all of its family. */
function match<T extends { readonly local: SocketAddress }>(sockets: readonly T[], to: SocketAddress): T | undefined {
  const candidates = sockets.filter(({ local }) => local.port === to.port && local.family === to.family)
  return candidates.find(({ local }) => local.host === to.host) ?? candidates.find(({ local }) => isAny(local.host))
}

function overlaps(bound: readonly SocketAddress[], host: string, port: number): boolean {
  return bound.some((other) => other.port === port && other.family === familyOf(host) && (other.host === host || isAny(other.host) || isAny(host)))
}

function checkPort(port: number, min: 0 | 1): void {
  if (!Number.isInteger(port) || port < min || port > 65_535) throw new JamiError('ERR_ARGUMENT', `port: got ${port}, allowed ${min} to 65535`)
}

function unsupported(host: string): JamiError {
  return new JamiError('ERR_UNSUPPORTED', `address: got ${host}, allowed an address of this host`, { details: { code: 'EADDRNOTAVAIL' } })
}

function noRoute(to: { host: string; port: number }, code: string): JamiError {
  return new JamiError('ERR_NO_ROUTE', `no TCP connection to ${to.host} port ${to.port}: ${code}`, { details: { code } })
}
