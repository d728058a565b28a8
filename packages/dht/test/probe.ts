// One engine and scripted peers around it, for tests of what it answers. Virtual time; peers answer pings when they are told to.
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { utf8 } from '@jamikit/core/codec'
import { SeededRandom } from '@jamikit/core/testing'
import { MAX_STORE_BYTES, NO_ROOM } from '../src/defaults.ts'
import { DhtEngine, type EngineOptions, type Received } from '../src/engine/engine.ts'
import { type Arguments, decodeMessage, type DhtMessage, encodeError, encodeMessage, type RequestMessage, type RequestName } from '../src/wire/message.ts'
import type { Value } from '../src/wire/value.ts'

export const KEY = 'aa'.repeat(20) as InfoHash
export const idOf = (n: number) => n.toString(16).padStart(40, '0') as InfoHash
export const at = (host: string, port = 5000): SocketAddress => ({ host, port, family: host.includes(':') ? 6 : 4 })
export const clear = (id: bigint, text: string, type = 0): Value => ({
  id, priority: 0, pushType: '', cypher: undefined, body: { type, data: utf8(text), userType: '', owner: undefined, seq: 0, to: undefined, signature: undefined },
})

export interface Sent {
  readonly to: SocketAddress
  readonly bytes: number
  readonly message: DhtMessage
}

export class Probe {
  now = 1_000_000
  readonly sent: Sent[] = []
  readonly problems: string[] = []
  readonly engine: DhtEngine
  /** Addresses that answer pings, and under which id. */
  readonly answering = new Map<string, InfoHash>()
  /** Hosts that have no room for puts and listens. */
  readonly refusing = new Set<string>()
  #tid = 100
  readonly #due: (() => void)[] = []

  constructor(options: Partial<EngineOptions> = {}) {
    this.engine = new DhtEngine({
      nodeId: idOf(1), network: 0, maxStoreBytes: MAX_STORE_BYTES, random: new SeededRandom(1), wallTimeMs: () => 1_700_000_000_000 + this.now,
      send: (datagrams, to) => this.#send(datagrams, to), onStored: () => {}, onStatus: () => {}, onProblem: (error) => void this.problems.push(error.code), ...options,
    }, this.now)
    this.engine.setEnabled(4, true)
  }

  #send(datagrams: readonly Uint8Array[], to: SocketAddress): void {
    for (const d of datagrams) this.sent.push({ to, bytes: d.length, message: decodeMessage(d) })
    const m = decodeMessage(datagrams[0] ?? new Uint8Array(0))
    const id = this.answering.get(`${to.host}|${to.port}`)
    if (!id || m.kind !== 'request') return
    const refuse = () => void this.feed([encodeError({ kind: 'error', tid: m.tid, network: 0, client: false, code: NO_ROOM, text: '', id })], to)
    this.#due.push(this.refusing.has(to.host) && (m.name === 'put' || m.name === 'listen') ? refuse : () => this.pong(m, to, id))
  }

  pong(m: { tid: number }, from: SocketAddress, id: InfoHash, args: Partial<Arguments> = {}): void {
    this.feed(encodeMessage({ kind: 'reply', tid: m.tid, network: 0, client: false, args: { id, sa: Uint8Array.of(10, 0, 0, 1), token: utf8('token'), ...args } }), from)
  }

  feed(datagrams: readonly Uint8Array[], from: SocketAddress, bad: ReadonlySet<Value> = new Set(), vouched?: ReadonlySet<Value>): Received | undefined {
    let last: Received | undefined
    for (const d of datagrams) {
      const received = this.engine.receive(d, from, this.now)
      if (received) this.engine.process(received, bad, this.now, vouched)
      last = received ?? last
    }
    return last
  }

  /** Lets the peers answer, until nobody has anything to say. */
  settle(): void {
    for (let next = this.#due.shift(); next; next = this.#due.shift()) next()
  }

  /** Virtual time passes. */
  run(ms: number): void {
    const end = this.now + ms
    for (;;) {
      this.settle()
      const next = Math.max(this.now, this.engine.nextMs)
      if (next > end) break
      this.now = next
      this.engine.tick(this.now)
    }
    this.now = end
  }

  request(name: RequestName, args: Partial<Arguments>): { bytes: number; tid: number; datagrams: Uint8Array[] } {
    const tid = this.#tid++
    const datagrams = encodeMessage({ kind: 'request', name, tid, network: 0, client: false, args: { id: idOf(2), ...args } })
    return { tid, datagrams, bytes: datagrams.reduce((sum, d) => sum + d.length, 0) }
  }

  /** What was sent because of one request. */
  ask(name: RequestName, args: Partial<Arguments>, from: SocketAddress): { bytes: number; tid: number; sent: Sent[]; answers: DhtMessage[] } {
    const { bytes, tid, datagrams } = this.request(name, args)
    const before = this.sent.length
    this.feed(datagrams, from)
    const sent = this.sent.slice(before)
    return { bytes, tid, sent, answers: sent.map((s) => s.message).filter((m) => m.tid === tid) }
  }

  /** 'ok' or the code of the error. */
  outcome(name: RequestName, args: Partial<Arguments>, from: SocketAddress): 'ok' | number | 'silence' {
    const [m] = this.ask(name, args, from).answers
    return m?.kind === 'reply' ? 'ok' : m?.kind === 'error' ? m.code : 'silence'
  }

  token(from: SocketAddress): Uint8Array {
    const m = this.ask('find', { target: KEY }, from).answers[0]
    return (m?.kind === 'reply' ? m.args.token : undefined) ?? new Uint8Array(0)
  }

  /** Values of a get of somebody whose address is proven. */
  values(key: InfoHash, from: SocketAddress, args: Partial<Arguments> = {}): readonly Value[] {
    this.ask('refresh', { h: key, token: this.token(from) }, from)
    const { answers, sent, tid } = this.ask('get', { h: key, ...args }, from)
    const header = answers[0]
    if (header?.kind !== 'reply') return []
    if (!header.args.sizes) return header.args.values ?? []
    return sent.flatMap((s) => (s.message.kind === 'fragment' && s.message.tid === tid ? [s.message] : [])) as never
  }

  requests(name: RequestName, since = 0): { m: RequestMessage; to: SocketAddress }[] {
    return this.sent.slice(since).flatMap(({ message: m, to }) => (m.kind === 'request' && m.name === name ? [{ m, to }] : []))
  }
}
