// npx tsx bench/dht-listens.ts      what one ping costs a DHT node that listens at 5,000 keys, against one that listens at 10
//
// The engine alone, in virtual time, among 20 nodes that answer at once: processor time for each of many datagrams of nodes that it
// knows, taken in turns so that noise of the machine hits both. One JSON line per figure; at most 2 is wanted of the ratio.
import { toHex } from '@jamikit/core/codec'
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { MAX_STORE_BYTES } from '../packages/dht/src/defaults.ts'
import { DhtEngine } from '../packages/dht/src/engine/engine.ts'
import { decodeMessage, encodeMessage } from '../packages/dht/src/wire/message.ts'

const NODES = 20
const TURNS = 21
const PINGS = 2000

/** Numbers that are the same in every run. */
function random(seed: number) {
  let state = seed
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state
  }
  return { bytes: (length: number) => Uint8Array.from({ length }, () => next() >>> 24), below: (limit: number) => next() % limit, u64: () => BigInt(next()) }
}

class Bench {
  now = 0
  readonly engine: DhtEngine
  readonly #peers = new Map<string, { id: InfoHash; address: SocketAddress }>()
  readonly #due: (() => void)[] = []
  #tid = 1

  constructor(listens: number) {
    const numbers = random(7)
    for (let i = 0; i < NODES; i++) {
      const address: SocketAddress = { host: `10.0.${i}.1`, port: 4222, family: 4 }
      this.#peers.set(address.host, { id: toHex(numbers.bytes(20)) as InfoHash, address })
    }
    this.engine = new DhtEngine({
      nodeId: 'ee'.repeat(20) as InfoHash, network: 0, maxStoreBytes: MAX_STORE_BYTES, random: random(1), wallTimeMs: () => this.now,
      send: (datagrams, to) => this.#sent(datagrams, to), onStored: () => {}, onStatus: () => {},
    }, 0)
    this.engine.setEnabled(4, true)
    this.engine.addBootstrap([...this.#peers.values()].map((p) => p.address), 0)
    this.run(1000)
    for (let i = 0; i < listens; i++) {
      this.engine.run(toHex(numbers.bytes(20)) as InfoHash, () => ({ kind: 'listen', query: { select: [], where: {} }, onPush: () => {}, onNodeLost: () => {} }), this.now)
      if (i % 100 === 0) this.run(10)
    }
    this.run(15_000)
  }

  #sent(datagrams: readonly Uint8Array[], to: SocketAddress): void {
    const m = decodeMessage(datagrams[0] ?? new Uint8Array(0))
    const peer = this.#peers.get(to.host)
    if (m.kind !== 'request' || !peer) return
    const args = { id: peer.id, sa: Uint8Array.of(10, 9, 9, 9), token: Uint8Array.of(1, 2, 3, 4), ...(m.name === 'find' ? { n4: [...this.#peers.values()].slice(0, 8) } : {}) }
    this.#due.push(() => this.feed(encodeMessage({ kind: 'reply', tid: m.tid, network: 0, client: false, args }), peer.address))
  }

  feed(datagrams: readonly Uint8Array[], from: SocketAddress): void {
    for (const d of datagrams) {
      const received = this.engine.receive(d, from, this.now)
      if (received) this.engine.process(received, new Set(), this.now)
    }
  }

  run(ms: number): void {
    const end = this.now + ms
    for (;;) {
      for (let next = this.#due.shift(); next; next = this.#due.shift()) next()
      const at = Math.max(this.now, this.engine.nextMs)
      if (at > end) break
      this.now = at
      this.engine.tick(this.now)
    }
    this.now = end
  }

  /** Processor time of one ping, µs, with what a shell asks afterwards: when to come back. */
  pings(): number {
    const peers = [...this.#peers.values()]
    const datagrams = peers.map(({ id, address }) => ({ address, bytes: encodeMessage({ kind: 'request', name: 'ping', tid: this.#tid++, network: 0, client: false, args: { id } }) }))
    const start = process.cpuUsage()
    for (let i = 0; i < PINGS; i++) {
      this.now += 1
      const { bytes, address } = datagrams[i % datagrams.length] as (typeof datagrams)[number]
      this.feed(bytes, address)
      void this.engine.nextMs
    }
    const used = process.cpuUsage(start)
    this.run(0)
    return (used.user + used.system) / PINGS
  }
}

const [few, many] = [new Bench(10), new Bench(5000)]
const times: [number[], number[]] = [[], []]
for (let turn = 0; turn < TURNS; turn++) {
  times[0].push(few.pings())
  times[1].push(many.pings())
}
const median = (of: readonly number[]) => [...of].sort((a, b) => a - b)[of.length >> 1] as number
const figure = (name: string, unit: string, value: number, more: object = {}) => console.log(JSON.stringify({ name, unit, value: Number(value.toPrecision(3)), n: TURNS, ...more }))
figure('dht.ping_10_listens', 'us', median(times[0]))
figure('dht.ping_5000_listens', 'us', median(times[1]))
figure('dht.ping_5000_listens.ratio', 'ratio', median(times[1]) / median(times[0]))
