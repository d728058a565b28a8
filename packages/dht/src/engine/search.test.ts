// What a node does for itself: an engine among scripted peers, in virtual time. Peers are honest unless a test says otherwise.
import { fromHex, toHex, utf8 } from '@jamikit/core/codec'
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { SeededRandom } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { LISTEN_NODES, MAX_STORE_BYTES } from '../defaults.ts'
import { type Arguments, decodeMessage, encodeError, encodeMessage, type RequestMessage, type RequestName } from '../wire/message.ts'
import type { Value } from '../wire/value.ts'
import { DhtEngine } from './engine.ts'
import { compareDistance } from './nodes.ts'
import type { ListenOp, PutOp } from './search.ts'

const KEY = 'aa'.repeat(20) as InfoHash
const OWN = 'ee'.repeat(20) as InfoHash
const clear = (id: bigint, text: string): Value => ({ id, priority: 0, pushType: '', cypher: undefined, body: { type: 0, data: utf8(text), userType: '', owner: undefined, seq: 0, to: undefined, signature: undefined } })
const byDistance = (a: Peer, b: Peer) => compareDistance(fromHex(KEY), fromHex(a.id), fromHex(b.id))

type Answer = Partial<Arguments> | { error: number } | undefined

class Peer {
  readonly values = new Map<bigint, Value>()
  readonly asked: { at: number; m: RequestMessage }[] = []
  /** Undefined as a whole: be honest. */
  script: ((m: RequestMessage, honest: Answer) => Answer) | undefined
  delayMs = 1

  constructor(readonly id: InfoHash, readonly address: SocketAddress, readonly net: Net) {}

  names(name: RequestName): RequestMessage[] {
    return this.asked.filter((a) => a.m.name === name).map((a) => a.m)
  }

  honest(m: RequestMessage): Answer {
    const { args } = m
    const token = utf8(`token of ${this.id.slice(0, 8)}`)
    const closest = () => [...this.net.peers].filter((p) => p !== this && p.address.family === this.address.family).sort(byDistance).slice(0, 8)
    const nodes = () => ({ [`n${this.address.family}`]: closest().map(({ id, address }) => ({ id, address })) })
    switch (m.name) {
      case 'find': return { ...nodes(), token }
      case 'get': {
        const found = [...this.values.values()].filter((v) => args.query?.where.id === undefined || v.id === args.query.where.id)
        return { ...nodes(), token, ...((args.query?.select.length ?? 0) === 0 ? { values: found } : found.length > 0 ? { fileds: { f: [1, 4], v: found.flatMap((v) => [v.id, 0]) } } : {}) }
      }
      case 'put': {
        const [value] = args.values ?? []
        if (!value) return undefined
        this.values.set(value.id, value)
        return { vid: value.id }
      }
      case 'refresh': return args.vid !== undefined && this.values.has(args.vid) ? { vid: args.vid } : { error: 404 }
      default: return {}
    }
  }
}

class Net {
  now = 0
  readonly peers: Peer[] = []
  readonly engine: DhtEngine
  readonly #due: { at: number; run: () => void }[] = []

  constructor(count: number, families: readonly (4 | 6)[] = [4]) {
    const random = new SeededRandom(5)
    for (const family of families)
      for (let i = 0; i < count; i++) this.peers.push(new Peer(toHex(random.bytes(20)) as InfoHash, family === 4 ? { host: `10.0.0.${i + 1}`, port: 4222, family } : { host: `fd00::${(i + 1).toString(16)}`, port: 4222, family }, this))
    this.engine = new DhtEngine({
      nodeId: OWN, network: 0, maxStoreBytes: MAX_STORE_BYTES, random: new SeededRandom(1), wallTimeMs: () => 1_700_000_000_000 + this.now,
      send: (datagrams, to) => this.#sent(datagrams, to), onStored: () => {}, onStatus: () => {},
    }, this.now)
    for (const family of families) this.engine.setEnabled(family, true)
    this.engine.addBootstrap(this.peers.map((p) => p.address), this.now)
    this.run(100)
  }

  /** The peers from the closest to the key on. */
  get closest(): Peer[] {
    return [...this.peers].sort(byDistance)
  }

  #sent(datagrams: readonly Uint8Array[], to: SocketAddress): void {
    const m = decodeMessage(datagrams[0] ?? new Uint8Array(0))
    const peer = this.peers.find((p) => p.address.host === to.host)
    if (m.kind !== 'request' || !peer) return
    peer.asked.push({ at: this.now, m })
    const honest = m.args.sizes ? { vid: 1n } : peer.honest(m)
    const answer = peer.script ? peer.script(m, honest) : honest
    if (!answer) return
    const common = { tid: m.tid, network: 0, client: false }
    const bytes = 'error' in answer
      ? [encodeError({ kind: 'error', ...common, code: answer.error as number, text: '', id: peer.id })]
      : encodeMessage({ kind: 'reply', ...common, args: { sa: Uint8Array.of(10, 0, 0, 99), ...answer, id: peer.id } })
    this.#due.push({ at: this.now + peer.delayMs, run: () => this.feed(bytes, peer.address) })
  }

  feed(datagrams: readonly Uint8Array[], from: SocketAddress): void {
    for (const d of datagrams) {
      const received = this.engine.receive(d, from, this.now)
      if (received) this.engine.process(received, new Set(), this.now)
    }
  }

  /** Fails when the engine is busy without end. */
  run(ms: number): void {
    const end = this.now + ms
    for (let steps = 0; ; steps++) {
      if (steps > 200_000) throw new Error('no end')
      this.#due.sort((a, b) => a.at - b.at)
      const next = Math.min(this.engine.nextMs, this.#due[0]?.at ?? Number.POSITIVE_INFINITY)
      if (next > end) break
      this.now = Math.max(this.now, next)
      if (this.engine.nextMs <= this.now) this.engine.tick(this.now)
      while ((this.#due[0]?.at ?? Number.POSITIVE_INFINITY) <= this.now) this.#due.shift()?.run()
    }
    this.now = end
  }

  put(value: Value, permanent = false): { announced: number[]; cancel(): void } {
    const announced: number[] = []
    const cancel = this.engine.run(KEY, (): PutOp => ({ kind: 'put', value, permanent, onAnnounced: (n) => void announced.push(n) }), this.now)
    return { announced, cancel }
  }

  listen(): { pushed: Arguments[]; cancel(): void } {
    const pushed: Arguments[] = []
    const cancel = this.engine.run(KEY, (): ListenOp => ({ kind: 'listen', query: { select: [], where: {} }, onPush: (_, args) => void pushed.push(args), onNodeLost: () => {} }), this.now)
    return { pushed, cancel }
  }

  get(): { values: string[]; done: boolean } {
    const out = { values: [] as string[], done: false }
    this.engine.run(KEY, () => ({ kind: 'get', where: {}, onValues: (vs: readonly Value[]) => void out.values.push(...vs.map((v) => new TextDecoder().decode(v.body?.data))), onDone: () => { out.done = true } }), this.now)
    return out
  }
}

describe('puts', () => {
  it('DHT-35 DHT-41 a value goes to the 8 closest nodes, without a creation time while it is young', () => {
    const net = new Net(30)
    const { announced } = net.put(clear(1n, 'x'))
    net.run(1000)
    expect(announced).toEqual([8])
    expect(net.closest.map((p) => p.values.size)).toEqual([...Array<number>(8).fill(1), ...Array<number>(22).fill(0)])
    for (const p of net.closest.slice(0, 8)) expect(p.names('put').map((m) => m.args.created)).toEqual([undefined])
  })

  it('DHT-36 a permanent value is looked for 10 s before its end, then refreshed where it is, put where it is not', () => {
    const net = new Net(8)
    net.put(clear(1n, 'x'), true)
    net.run(1000)
    const [a, b] = net.closest as [Peer, Peer]
    b.values.clear() // it lost its memory
    net.run(585_000)
    expect(a.names('refresh').length).toBe(0)
    net.run(6000)
    const last = a.asked.filter(({ m }) => m.name === 'refresh')
    expect(last.length).toBe(1)
    expect(last[0]?.at).toBeGreaterThan(589_000)
    const probe = a.names('get').at(-1)
    expect(probe?.args.query).toEqual({ select: [1, 4], where: { id: 1n } })
    expect([a.names('put').length, b.names('put').length, b.names('refresh').length, b.values.size]).toEqual([1, 2, 0, 1])
  })

  it('DHT-37 a refresh of a value that is unknown after all (404) becomes a put', () => {
    const net = new Net(8)
    net.put(clear(1n, 'x'), true)
    net.run(1000)
    const [a] = net.closest as [Peer]
    a.script = (m, honest) => (m.name === 'refresh' ? { error: 404 } : honest)
    net.run(600_000)
    expect([a.names('refresh').length, a.names('put').length]).toEqual([1, 2])
  })

  it('DHT-60 when 4 of the 8 that store a permanent value die, the 8 closest that live have it after a refresh period and 20 s', () => {
    const net = new Net(20)
    net.put(clear(1n, 'x'), true)
    net.run(1000)
    const dead = net.closest.slice(0, 8).filter((_, i) => i % 2 === 0)
    for (const p of dead) p.script = () => undefined
    net.run(590_000 + 20_000)
    const living = net.closest.filter((p) => !dead.includes(p))
    expect(living.slice(0, 8).map((p) => p.values.size)).toEqual(Array<number>(8).fill(1))
    const got = net.get()
    net.run(1000)
    expect([got.done, new Set(got.values)]).toEqual([true, new Set(['x'])])
  })

  it('DHT-56 what is put again is the same bytes, also when it is encrypted', () => {
    const net = new Net(3)
    const cypher = new SeededRandom(9).bytes(300)
    net.put({ id: 4n, priority: 0, pushType: '', body: undefined, cypher }, true)
    net.run(1000)
    for (const p of net.peers) p.values.clear()
    net.run(600_000)
    for (const p of net.peers) expect(p.names('put').map((m) => m.args.values?.[0]?.cypher)).toEqual([cypher, cypher])
  })

  it('DHT-32 a node that does not answer is passed over after its first wait, and is back when it does', () => {
    const net = new Net(9)
    const [dead] = net.closest as [Peer]
    let silent = true
    dead.script = (m, honest) => (silent && m.name === 'find' ? undefined : honest)
    const { announced } = net.put(clear(1n, 'x'), true)
    net.run(1400)
    expect(announced).toEqual([8])
    expect(net.closest.slice(1).every((p) => p.values.size === 1)).toBe(true)
    silent = false // the next transmission is answered
    net.run(5000)
    expect(dead.values.size).toBe(1)
  })
})

describe('listens', () => {
  it('DHT-33 four nodes, a socket id each, which stays the same every 20 s; pushes before the reply count', () => {
    const net = new Net(12)
    for (const p of net.peers)
      p.script = (m, honest) => {
        if (m.name === 'listen' && p.names('listen').length === 1)
          net.feed(encodeMessage({ kind: 'request', name: 'update', tid: 1, network: 0, client: false, args: { id: p.id, ve: 1, h: KEY, sid: m.args.sid ?? 0, values: [clear(7n, 'early')] } }), p.address)
        return honest
      }
    const { pushed } = net.listen()
    net.run(1000)
    const listened = net.closest.filter((p) => p.names('listen').length > 0)
    expect(listened).toEqual(net.closest.slice(0, LISTEN_NODES))
    expect(pushed.map((a) => a.values?.[0]?.id)).toEqual([7n, 7n, 7n, 7n])
    net.run(60_000)
    for (const p of listened) {
      const times = p.asked.filter(({ m }) => m.name === 'listen').map(({ at }) => at)
      expect(times.length).toBe(4)
      for (let i = 1; i < times.length; i++) expect(Math.abs((times[i] ?? 0) - (times[i - 1] ?? 0) - 20_000)).toBeLessThan(100)
      expect(new Set(p.names('listen').map((m) => m.args.sid)).size).toBe(1)
      expect(new Set(p.names('listen').map((m) => m.tid)).size).toBe(4)
    }
  })

  it('DHT-43 a push after the listen has ended is acknowledged and goes nowhere', () => {
    const net = new Net(3)
    const { pushed, cancel } = net.listen()
    net.run(1000)
    const [p] = net.closest as [Peer]
    const sid = p.names('listen')[0]?.args.sid ?? 0
    const push = () => net.feed(encodeMessage({ kind: 'request', name: 'update', tid: 9, network: 0, client: false, args: { id: p.id, ve: 1, h: KEY, sid, values: [clear(7n, 'x')] } }), p.address)
    push()
    expect(pushed.length).toBe(1)
    cancel()
    push()
    expect(pushed.length).toBe(1)
  })

  it('DHT-34 a token older than 10 minutes is asked for again; after 401 a new one, too', () => {
    const net = new Net(4)
    net.listen()
    net.run(1000)
    const [p] = net.closest as [Peer]
    const finds = () => p.names('find').filter((m) => m.args.target === KEY).length
    expect(finds()).toBe(1)
    net.run(610_000)
    expect(finds()).toBe(2)
    let refused = 0
    p.script = (m, honest) => (m.name === 'listen' && refused++ === 0 ? { error: 401 } : honest)
    net.run(25_000)
    expect([refused, finds()]).toEqual([expect.any(Number), 3])
    expect(refused).toBeGreaterThan(1)
  })
})

describe('searches', () => {
  it('DHT-42 each family is searched by itself, and what both find counts', () => {
    const net = new Net(5, [4, 6])
    for (const p of net.peers) p.values.set(BigInt(p.address.family), clear(BigInt(p.address.family), `v${p.address.family}`))
    const got = net.get()
    net.run(1000)
    expect(got.done).toBe(true)
    expect(new Set(got.values)).toEqual(new Set(['v4', 'v6']))
    for (const p of net.peers) for (const { m } of p.asked) for (const n of [...(m.args.n4 ?? []), ...(m.args.n6 ?? [])]) expect(n.address.family).toBe(p.address.family)
  })

  it('DHT-40 an answer counts from the address, with the node id and the number that were asked', () => {
    const net = new Net(1)
    const [p] = net.peers as [Peer]
    p.script = (m, honest) => {
      if (m.name !== 'get' || p.names('get').length > 1) return honest
      const reply = (tid: number, id: InfoHash) => encodeMessage({ kind: 'reply', tid, network: 0, client: false, args: { id, sa: Uint8Array.of(1, 1, 1, 1), token: utf8('t'), values: [clear(1n, 'forged')] } })
      net.feed(reply(m.tid, p.id), { host: '10.6.6.6', port: 4222, family: 4 })
      net.feed(reply(m.tid, 'cc'.repeat(20) as InfoHash), p.address)
      net.feed(reply(m.tid + 5, p.id), p.address)
      return honest
    }
    const got = net.get()
    net.run(15_000)
    expect(got).toEqual({ values: [], done: true })
  })
})

describe('hostile nodes', () => {
  /** The honest others still do their work, and the hostile one is not asked without end. */
  const survives = (script: Peer['script']) => {
    const net = new Net(9)
    const [bad] = net.closest as [Peer]
    bad.script = script
    const { announced } = net.put(clear(1n, 'x'))
    net.listen()
    net.run(60_000)
    expect(announced.length).toBe(1)
    expect(net.closest.slice(1, 5).every((p) => p.names('listen').length > 1 && p.values.size === 1)).toBe(true)
    return bad.asked.length
  }

  it.each<[string, Peer['script'], number]>([
    ['DHT-34 refuses every put and listen with 401', (m, honest) => (m.name === 'put' || m.name === 'listen' ? { error: 401 } : honest), 40],
    ['answers puts and listens with 404', (m, honest) => (m.name === 'put' || m.name === 'listen' ? { error: 404 } : honest), 40],
    ['answers finds with errors', (m, honest) => (m.name === 'find' ? { error: 401 } : honest), 40],
    ['DHT-38 gives tokens of more than 64 bytes', (m, honest) => (m.name === 'find' ? { ...honest, token: new Uint8Array(65).fill(1) } : honest), 40],
    ['gives empty tokens', (m, honest) => (m.name === 'find' ? { ...honest, token: new Uint8Array(0) } : honest), 40],
    ['gives no tokens', () => ({}), 40],
  ])('%s', (_what, script, most) => {
    expect(survives(script)).toBeLessThan(most)
  })

  it('a crowd of invented nodes next to the key does not displace the live ones', () => {
    const net = new Net(9)
    const [bad] = net.closest as [Peer]
    const invented = Array.from({ length: 60 }, (_, i) => ({ id: `${KEY.slice(0, 36)}${(i + 0x1000).toString(16)}` as InfoHash, address: { host: `10.9.0.${i + 1}`, port: 4222, family: 4 as const } }))
    bad.script = (m, honest) => (m.name === 'find' || m.name === 'get' ? { ...honest, n4: invented } : honest)
    const { announced } = net.put(clear(1n, 'x'), true)
    net.run(240_000)
    expect(announced.length).toBe(1)
    expect(net.peers.every((p) => p.values.size === 1 || p === net.closest[8])).toBe(true)
  })
})

describe('serving others', () => {
  const probe: SocketAddress = { host: '10.7.7.7', port: 5, family: 4 }
  const other: SocketAddress = { host: '10.8.8.8', port: 5, family: 4 }
  const id = 'dd'.repeat(20) as InfoHash
  const served = () => {
    const sent: { to: SocketAddress; bytes: Uint8Array }[] = []
    const engine = new DhtEngine({
      nodeId: OWN, network: 0, maxStoreBytes: MAX_STORE_BYTES, random: new SeededRandom(1), wallTimeMs: () => 0,
      send: (datagrams, to) => void sent.push(...datagrams.map((bytes) => ({ to, bytes }))), onStored: () => {}, onStatus: () => {},
    }, 0)
    engine.setEnabled(4, true)
    let tid = 1
    const ask = (name: RequestName, args: Partial<Arguments>, from = probe) => {
      const before = sent.length
      for (const d of encodeMessage({ kind: 'request', name, tid: tid++, network: 0, client: false, args: { id, ...args } })) {
        const received = engine.receive(d, from, 0)
        if (received) engine.process(received, new Set(), 0)
      }
      return sent.slice(before)
    }
    const first = ask('find', { target: KEY }).map((s) => decodeMessage(s.bytes)).find((m) => m.kind === 'reply')
    const token = (first?.kind === 'reply' ? first.args.token : undefined) ?? new Uint8Array(0)
    return { engine, sent, ask, token }
  }

  it('nothing is pushed to an address that only claims to be the listener', () => {
    const { ask, token } = served()
    ask('listen', { h: KEY, ve: 1, sid: 3, token })
    const updates = (sent: { to: SocketAddress; bytes: Uint8Array }[]) => sent.filter((s) => { const m = decodeMessage(s.bytes); return m.kind === 'request' && m.name === 'update' }).map((s) => s.to.host)
    expect(updates(ask('put', { h: KEY, values: [clear(1n, 'a')], token }))).toEqual([probe.host])
    ask('ping', {}, other) // somebody else under its id
    const sent = ask('get', { h: KEY }, other)
    expect(sent.length).toBeGreaterThan(0)
    const { engine, ...again } = served()
    again.ask('listen', { h: KEY, ve: 1, sid: 3, token: again.token })
    again.ask('ping', {}, other)
    engine.storeOwn(KEY, clear(2n, 'b'), false, 0)
    expect(updates(again.sent)).toEqual([probe.host])
  })

  it('DHT-27 one answer has at most a mebibyte of values, whoever asks', () => {
    const { engine, ask, token } = served()
    ask('listen', { h: id, ve: 1, sid: 9, token }) // it shows a token: its address is good
    for (let i = 1; i <= 30; i++) engine.storeOwn(KEY, clear(BigInt(i), 'x'.repeat(60_000)), false, 0)
    const bytes = ask('get', { h: KEY }).reduce((sum, s) => sum + s.bytes.length, 0)
    expect(bytes).toBeGreaterThan(900_000)
    expect(bytes).toBeLessThan(1_150_000)
    for (let i = 100; i <= 9000; i++) engine.storeOwn(KEY, clear(BigInt(i), ''), false, 0)
    for (const s of ask('get', { h: KEY, query: { select: [1, 4], where: {} } })) expect(s.bytes.length).toBeLessThan(65_507)
  })

  it('a new listener gets what is there in pushes of at most 56 KiB or one value', () => {
    const { engine, ask, token } = served()
    for (let i = 1; i <= 10; i++) engine.storeOwn(KEY, clear(BigInt(i), 'x'.repeat(20_000)), false, 0)
    const counts = ask('listen', { h: KEY, ve: 1, sid: 3, token }).flatMap((s) => { const m = decodeMessage(s.bytes); return m.kind === 'request' && m.name === 'update' ? [m.args.sizes?.length] : [] })
    expect(counts).toEqual([2, 2, 2, 2, 2])
  })

  it('values that come with a wrong token, or for no listen of ours, are not looked at', () => {
    const { engine, token } = served()
    const values = (name: RequestName, args: Partial<Arguments>) => {
      const [bytes = new Uint8Array(0)] = encodeMessage({ kind: 'request', name, tid: 99, network: 0, client: false, args: { id, h: KEY, values: [clear(1n, 'x')], ...args } })
      return engine.receive(bytes, probe, 0)?.message.args.values?.length
    }
    expect([values('put', { token }), values('put', { token: new Uint8Array(32) }), values('put', {}), values('update', { sid: 4, ve: 1 })]).toEqual([1, 0, 0, 0])
  })
})
