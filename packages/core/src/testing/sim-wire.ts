// What lies between simulated hosts: who has which address, how long bytes take, what gets lost, who is cut off from whom, and the
// trace of all of it. May hold: links and chance, no sockets. Proof: testing/sim-network.test.ts.
import { JamiError } from '../base/errors.ts'
import { toHex } from '../codec/bytes.ts'
import type { Clock } from '../contracts/clock.ts'
import type { SocketAddress } from '../contracts/socket.ts'
import { sha1 } from '../crypto/hash.ts'
import type { SeededRandom } from './seeded-random.ts'

/** One link, the same both ways. Rates are 0 … 1. */
export interface SimLinkOptions {
  /** One way. */
  latencyMs: number
  /** Up to this much more, evenly; order is kept. */
  jitterMs: number
  /** UDP: gone. TCP: later by `retransmitMs`. */
  lossRate: number
  /** UDP only. */
  duplicateRate: number
  /** UDP only: overtaken by what is sent up to two latencies later. */
  reorderRate: number
  /** UDP datagrams above this payload are dropped. */
  maxDatagramBytes: number
}

/** TCP as the hosts have it. */
export interface SimTcpOptions {
  /** How long a lost segment waits for its repetition, also after a partition healed. */
  retransmitMs: number
  /** A connection attempt without an answer fails after this. */
  connectTimeoutMs: number
  /** A sender whose bytes do not get through breaks its connection after this. */
  stallMs: number
  /** Bytes on the way or unread before a writer is held. */
  windowBytes: number
  /** Connections in the handshake per listener. */
  backlog: number
}

/** The network; what is left out has a default. */
export interface SimWireOptions extends Partial<SimLinkOptions>, Partial<SimTcpOptions> {
  /** Whose time packets take. */
  clock: Clock
  /** Chance of the network alone: use a fork, so that nodes drawing from theirs change nothing here. */
  random: SeededRandom
  /** Keeps a line per event, with lengths only or with a hash of the bytes. Default: none. */
  trace?: 'lengths' | 'contents'
}

const LINK: SimLinkOptions = { latencyMs: 10, jitterMs: 0, lossRate: 0, duplicateRate: 0, reorderRate: 0, maxDatagramBytes: 65_507 }
const TCP: SimTcpOptions = { retransmitMs: 200, connectTimeoutMs: 31_000, stallMs: 120_000, windowBytes: 262_144, backlog: 128 }

export class SimWire {
  readonly clock: Clock
  readonly random: SeededRandom
  readonly tcp: SimTcpOptions
  readonly trace: string[] = [] // bounded by the test
  readonly #recording: SimWireOptions['trace']
  readonly #defaults: SimLinkOptions
  readonly #links = new Map<string, Partial<SimLinkOptions>>() // bounded by the test's hosts
  readonly #hosts = new Map<string, string>() // address → name; bounded by the test's hosts
  readonly #onHeal = new Set<() => void>() // bounded by open streams
  #groups: ReadonlySet<string>[] = []

  constructor(options: SimWireOptions) {
    this.clock = options.clock
    this.random = options.random
    this.#recording = options.trace
    this.#defaults = pick(LINK, options)
    this.tcp = pick(TCP, options)
  }

  register(address: string, host: string): void {
    this.#hosts.set(address, host)
  }

  /** The host that has an address, as seen from `host`: loopback is the host itself. */
  hostOf(address: string, host: string): string | undefined {
    return isLoopback(address) ? host : this.#hosts.get(address)
  }

  setLink(a: string, b: string, options: Partial<SimLinkOptions>): void {
    for (const key of [`${a}>${b}`, `${b}>${a}`]) this.#links.set(key, { ...this.#links.get(key), ...options })
  }

  link(from: string, to: string): SimLinkOptions {
    return { ...this.#defaults, ...(from === to ? { latencyMs: 0, jitterMs: 0, lossRate: 0 } : {}), ...this.#links.get(`${from}>${to}`) }
  }

  /** How long one packet takes. */
  delay(from: string, to: string): number {
    const { latencyMs, jitterMs } = this.link(from, to)
    return jitterMs > 0 ? latencyMs + (this.random.below(1000 * jitterMs + 1) / 1000) : latencyMs
  }

  /** True when nothing gets from one to the other. */
  isCut(from: string, to: string): boolean {
    const side = this.#groups.findIndex((group) => group.has(from))
    const other = this.#groups.findIndex((group) => group.has(to))
    return side >= 0 && other >= 0 && side !== other
  }

  partition(groups: readonly (readonly string[])[]): void {
    const all = groups.flat()
    if (new Set(all).size !== all.length) throw new JamiError('ERR_ARGUMENT', 'partition: got a host in two groups, allowed each in one')
    this.#groups = groups.map((group) => new Set(group))
    this.note(() => `partition ${groups.map((group) => group.join(',')).join(' | ')}`)
    this.#resume()
  }

  heal(): void {
    this.#groups = []
    this.note(() => 'heal')
    this.#resume()
  }

  /** Called after every change of the partition. */
  onHeal(fn: () => void): () => void {
    this.#onHeal.add(fn)
    return () => {
      this.#onHeal.delete(fn)
    }
  }

  #resume(): void {
    for (const fn of [...this.#onHeal]) fn()
  }

  note(line: () => string): void {
    if (this.#recording) this.trace.push(`${this.clock.now()} ${line()}`)
  }

  packet(kind: string, from: SocketAddress, to: SocketAddress, bytes: Uint8Array): void {
    if (!this.#recording) return
    const content = this.#recording === 'contents' ? ` ${toHex(sha1(bytes).subarray(0, 8))}` : ''
    this.note(() => `${kind} ${show(from)}>${show(to)} ${bytes.length}${content}`)
  }
}

export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.')
}

export function isAny(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}

/** 4 or 6, undefined for what is no address. */
export function familyOf(address: string): 4 | 6 | undefined {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) return 4
  return /^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(address) ? 6 : undefined
}

export function show({ host, port, family }: SocketAddress): string {
  return family === 6 ? `[${host}]:${port}` : `${host}:${port}`
}

function pick<T extends object>(defaults: T, given: Partial<T>): T {
  const out = { ...defaults }
  for (const key of Object.keys(defaults) as (keyof T)[]) {
    const value = given[key]
    if (value !== undefined) out[key] = value
  }
  return out
}
