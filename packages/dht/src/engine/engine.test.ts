import { utf8 } from '@jamikit/core/codec'
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { SeededRandom, testCrypto, testIdentity } from '@jamikit/core/testing'
import { chainToPem, certificateKey } from '@jamikit/core/identity'
import { describe, expect, it } from 'vitest'
import { MAX_STORE_BYTES } from '../defaults.ts'
import { openValue, sealValue } from '../secure/envelope.ts'
import { decodeMessage, encodeMessage, type Arguments, type DhtMessage, type ErrorMessage, type ReplyMessage, type RequestMessage, type RequestName } from '../wire/message.ts'
import { encodeMsgpack } from '@jamikit/core/codec'
import { matches, type Query, selectFields } from '../wire/query.ts'
import type { Value } from '../wire/value.ts'
import { DhtEngine, type Received } from './engine.ts'
import { compareDistance, NodeTable } from './nodes.ts'
import { RateLimiter } from './rate-limiter.ts'
import { Requests } from './requests.ts'
import { Tokens } from './tokens.ts'
import { lifetimeMs, mayReplace, ValueStore } from './value-store.ts'
import { fromHex } from '@jamikit/core/codec'

const KEY = 'aa'.repeat(20) as InfoHash
const id = (n: number) => n.toString(16).padStart(40, '0') as InfoHash
const crypto = testCrypto()
const clear = (valueId: bigint, text: string, type = 0): Value => ({ id: valueId, priority: 0, pushType: '', cypher: undefined, body: { type, data: utf8(text), userType: '', owner: undefined, seq: 0, to: undefined, signature: undefined } })

/** One engine and a scripted peer. */
class Probe {
  now = 1_000_000
  readonly out: { messages: DhtMessage[]; to: SocketAddress }[] = []
  readonly engine: DhtEngine
  readonly peer: SocketAddress = { host: '10.0.0.2', port: 5000, family: 4 }
  #tid = 100

  constructor() {
    this.engine = new DhtEngine({
      nodeId: id(1), network: 0, maxStoreBytes: MAX_STORE_BYTES, random: new SeededRandom(1), wallTimeMs: () => 1_700_000_000_000 + this.now,
      send: (datagrams, to) => void this.out.push({ messages: datagrams.map(decodeMessage), to }), onStored: () => {}, onStatus: () => {},
    }, this.now)
    this.engine.setEnabled(4, true)
  }

  feed(datagrams: readonly Uint8Array[], from = this.peer): void {
    for (const d of datagrams) {
      const received: Received | undefined = this.engine.receive(d, from, this.now)
      if (received) this.engine.process(received, new Set(), this.now)
    }
  }

  /** What came back for one request. */
  ask(name: RequestName, args: Partial<Arguments>, from = this.peer): DhtMessage[] {
    const tid = this.#tid++
    const before = this.out.length
    this.feed(encodeMessage({ kind: 'request', name, tid, network: 0, client: false, args: { id: id(2), ...args } }), from)
    return this.out.slice(before).flatMap((o) => o.messages).filter((m) => m.tid === tid)
  }

  reply(name: RequestName, args: Partial<Arguments>, from = this.peer): ReplyMessage {
    const [m] = this.ask(name, args, from)
    if (m?.kind !== 'reply') throw new Error(`no reply: ${JSON.stringify(m)}`)
    return m
  }

  error(name: RequestName, args: Partial<Arguments>): ErrorMessage {
    const [m] = this.ask(name, args)
    if (m?.kind !== 'error') throw new Error('no error')
    return m
  }

  token(from = this.peer): Uint8Array {
    return this.reply('find', { target: KEY }, from).args.token ?? new Uint8Array(0)
  }
}

describe('what a node answers', () => {
  it('DHT-27 pieces whose rest does not come are let go when they have waited long enough, also when nothing more arrives', () => {
    const p = new Probe()
    const token = p.token()
    const value = { ...clear(1n, 'x'), body: { type: 0, data: new Uint8Array(60_000), userType: '', owner: undefined, seq: 0, to: undefined, signature: undefined } }
    p.feed(encodeMessage({ kind: 'request', name: 'put', tid: 7, network: 0, client: false, args: { id: id(2), h: KEY, values: [value], token } }).slice(0, -1))
    const due = p.now + 3_001
    const wakes: number[] = []
    while (p.now < due + 10_000) {
      wakes.push((p.now = p.engine.nextMs))
      p.engine.tick(p.now)
    }
    expect(wakes.filter((at) => at === due || at === due + 3_001)).toEqual([due]) // then nothing waits any more
  })

  it('DHT-12 ping, find, get, put, listen, refresh and update are answered; other requests are not', () => {
    const p = new Probe()
    const token = p.token()
    for (const [name, args] of [['ping', {}], ['find', { target: KEY }], ['get', { h: KEY }], ['put', { h: KEY, values: [clear(1n, 'x')], token }], ['listen', { h: KEY, ve: 1, sid: 9, token }], ['refresh', { h: KEY, vid: 1n, token }], ['update', { h: KEY, sid: 77, ve: 1, values: [] }]] as [RequestName, Partial<Arguments>][])
      expect(p.ask(name, args)[0]).toMatchObject({ kind: 'reply', args: { id: id(1) } })
    const before = p.out.length
    p.feed([encodeMsgpack({ a: { id: fromHex(id(2)) }, q: 'dance', t: 1, y: 'q' })])
    expect(p.out.length).toBe(before)
  })

  it('DHT-11 every reply names the address that asked', () => {
    expect(new Probe().reply('ping', {}).args.sa).toEqual(Uint8Array.of(10, 0, 0, 2))
  })

  it('DHT-13 every find and get reply has a token of at most 64 bytes', () => {
    const p = new Probe()
    for (const m of [p.reply('find', { target: KEY }), p.reply('get', { h: KEY })]) {
      expect(m.args.token?.length ?? 0).toBeGreaterThan(0)
      expect(m.args.token?.length ?? 99).toBeLessThanOrEqual(64)
    }
  })

  it('DHT-14 a token is good for its address for 15 minutes, for no other, and not for ever', () => {
    const p = new Probe()
    const token = p.token()
    p.now += 15 * 60_000
    expect(p.ask('put', { h: KEY, values: [clear(1n, 'x')], token })[0]?.kind).toBe('reply')
    expect(p.error('put', { h: KEY, values: [clear(2n, 'x')], token: new Uint8Array(32) }).code).toBe(401)
    const other = { host: '10.0.0.3', port: 5000, family: 4 as const }
    expect(p.ask('put', { h: KEY, values: [clear(3n, 'x')], token }, other)[0]).toMatchObject({ kind: 'error', code: 401 })
    p.now += 30 * 60_000
    p.token()
    p.now += 31 * 60_000
    expect(p.error('put', { h: KEY, values: [clear(4n, 'x')], token }).code).toBe(401)
  })

  it('DHT-14 whatever changes what we keep shows a token: put, listen and refresh without a good one are refused, and change nothing', () => {
    const p = new Probe()
    p.ask('put', { h: KEY, values: [clear(1n, 'x')], token: p.token() })
    p.ask('listen', { h: KEY, ve: 1, sid: 9, token: p.token() })
    const before = p.out.length
    for (const token of [undefined, new Uint8Array(32)]) for (const [name, args] of [['put', { values: [clear(2n, 'y')] }], ['listen', { ve: 1, sid: 8 }], ['refresh', { vid: 1n }]] as [RequestName, Partial<Arguments>][])
      expect(p.error(name, { h: KEY, ...args, ...(token ? { token } : {}) }).code).toBe(401)
    expect(p.out.slice(before).flatMap((o) => o.messages).filter((m) => m.kind === 'request' && m.name === 'update')).toEqual([]) // who listens hears of nothing
    expect(p.reply('get', { h: KEY }).args.values?.map(({ id: of }) => of)).toEqual([1n])
  })

  it('DHT-15 no key, value id 0, unknown key: 203, 203, 404, each with our id', () => {
    const p = new Probe()
    const token = p.token()
    for (const name of ['get', 'put', 'listen'] as const) expect(p.error(name, { token, values: name === 'put' ? [clear(1n, 'x')] : undefined } as Partial<Arguments>)).toMatchObject({ code: 203, id: id(1) })
    expect(p.error('put', { h: KEY, values: [clear(0n, 'x')], token }).code).toBe(203)
    expect(p.error('refresh', { h: 'bb'.repeat(20) as InfoHash, vid: 1n, token }).code).toBe(404)
  })

  it('DHT-17 where by id and type, select by ascending fields', () => {
    const p = new Probe()
    const token = p.token()
    for (const v of [clear(7n, 'a', 3), clear(8n, 'b', 0)]) p.ask('put', { h: KEY, values: [v], token })
    expect(p.reply('get', { h: KEY, query: { select: [], where: { id: 8n } } }).args.values?.map((v) => v.id)).toEqual([8n])
    expect(p.reply('get', { h: KEY, query: { select: [], where: { type: 3 } } }).args.values?.map((v) => v.id)).toEqual([7n])
    expect(p.reply('get', { h: KEY, query: { select: [4, 1], where: {} } }).args.rows).toEqual([{ id: 8n, seq: 0 }, { id: 7n, seq: 0 }]) // the newest first
  })

  it('DHT-17 where by owner and user type; encrypted values show id and type 0 only; every field but the owner can be selected', async () => {
    const { privateKey, deviceShortId } = testIdentity(0).device
    const signed = await sealValue(crypto, 3n, { data: utf8('s'), type: 6, userType: 'news', sign: privateKey })
    const sealed = await sealValue(crypto, 4n, { data: utf8('e'), type: 6, userType: 'news', sign: privateKey, encryptTo: privateKey.publicKey })
    const stored = [signed, sealed, clear(5n, 'c')]
    const ids = (where: Query['where']) => stored.filter((v) => matches(where, v)).map((v) => v.id)
    expect([ids({ owner: deviceShortId }), ids({ userType: 'news' }), ids({ type: 0 }), ids({ id: 4n }), ids({ owner: deviceShortId, type: 0 })]).toEqual([[3n], [3n], [4n, 5n], [4n], []])
    expect(selectFields([5, 4, 2, 1], stored)).toEqual({ f: [1, 2, 4, 5], v: [3n, 6, 0, 'news', 4n, 0, 0, '', 5n, 0, 0, ''] })
  })

  it('DHT-18 a put of two values has two replies', () => {
    const p = new Probe()
    const replies = p.ask('put', { h: KEY, values: [clear(1n, 'a'), clear(2n, 'b')], token: p.token() })
    expect(replies.map((m) => (m.kind === 'reply' ? m.args.vid : undefined))).toEqual([1n, 2n])
  })

  it('DHT-19 DHT-22 an edit of an unsigned value is acknowledged, and the old one stays', () => {
    const p = new Probe()
    const token = p.token()
    p.ask('put', { h: KEY, values: [clear(1n, 'old')], token })
    expect(p.reply('put', { h: KEY, values: [clear(1n, 'new')], token }).args.vid).toBe(1n)
    expect(new TextDecoder().decode(p.reply('get', { h: KEY }).args.values?.[0]?.body?.data)).toBe('old')
  })

  it('DHT-20 a value is gone after the lifetime of its type, and one that was already over is not kept', () => {
    const p = new Probe()
    const token = p.token()
    p.ask('put', { h: KEY, values: [clear(1n, 'x')], token })
    p.ask('put', { h: KEY, values: [clear(2n, 'late')], token, created: Math.floor((1_700_000_000_000 + p.now) / 1000) - 601 })
    expect(p.reply('get', { h: KEY }).args.values?.map((v) => v.id)).toEqual([1n])
    p.now += lifetimeMs(0) + 1
    p.engine.tick(p.now)
    expect(p.reply('get', { h: KEY }).args.values).toBeUndefined()
  })

  it('DHT-21 a signed value is replaced only by its signer with a higher number', async () => {
    const [a, b] = [testIdentity(0).device, testIdentity(1).device]
    const sign = async (who: typeof a, seq: number, text: string): Promise<Value> => {
      const v = await sealValue(crypto, 5n, { data: utf8(text), sign: who.privateKey })
      return { ...v, body: v.body && { ...v.body, seq } }
    }
    const old = await sign(a, 3, 'x')
    expect([mayReplace(old, await sign(a, 4, 'y')), mayReplace(old, await sign(a, 2, 'y')), mayReplace(old, await sign(b, 9, 'y')), mayReplace(old, clear(5n, 'y'))]).toEqual([true, false, false, false])
  })

  it('DHT-23 a certificate is kept at its two keys only', () => {
    const { chain, deviceId, deviceShortId } = testIdentity(0).device
    const value: Value = { ...clear(1n, '', 8), body: { type: 8, data: encodeMsgpack(utf8(chainToPem(chain))), userType: '', owner: undefined, seq: 0, to: undefined, signature: undefined } }
    const store = new ValueStore(MAX_STORE_BYTES)
    const put = (key: InfoHash) => store.put(key, value, 0, { createdMs: 0, source: 'x' })
    expect([put(certificateKey(deviceId)), put(deviceShortId), put(KEY)]).toEqual(['stored', 'stored', 'refused'])
  })

  it('DHT-24 a listener gets what is there before the reply, then what is new, refreshed and expired, as requests', () => {
    const p = new Probe()
    const token = p.token()
    p.ask('put', { h: KEY, values: [clear(1n, 'x')], token })
    const from = p.out.length
    p.ask('listen', { h: KEY, ve: 1, sid: 42, token })
    const kinds = p.out.slice(from).flatMap((o) => o.messages).filter((m) => m.kind !== 'request' || m.name !== 'ping').map((m) => (m.kind === 'request' ? `${m.name} ${m.args.values?.length ?? 0}` : m.kind))
    expect(kinds.slice(0, 2)).toEqual(['update 1', 'reply'])
    const updates = (since: number) => p.out.slice(since).flatMap((o) => o.messages).filter((m): m is RequestMessage => m.kind === 'request' && m.name === 'update')
    let at = p.out.length
    p.ask('put', { h: KEY, values: [clear(2n, 'y')], token })
    expect(updates(at)[0]?.args).toMatchObject({ sid: 42, values: [{ id: 2n }] })
    at = p.out.length
    p.ask('refresh', { h: KEY, vid: 2n, token })
    expect(updates(at)[0]?.args.refreshed).toEqual([2n])
  })

  it('DHT-24 a listener of version 0 gets a reply under its socket id', () => {
    const p = new Probe()
    const token = p.token()
    p.ask('listen', { h: KEY, sid: 42, token })
    const at = p.out.length
    p.ask('put', { h: KEY, values: [clear(2n, 'y')], token })
    expect(p.out.slice(at).flatMap((o) => o.messages).find((m) => m.tid === 42)).toMatchObject({ kind: 'reply', args: { values: [{ id: 2n }] } })
  })

  it('DHT-25 a known listen is only refreshed: nothing is pushed again', () => {
    const p = new Probe()
    const token = p.token()
    p.ask('put', { h: KEY, values: [clear(1n, 'x')], token })
    p.ask('listen', { h: KEY, ve: 1, sid: 42, token })
    const at = p.out.length
    p.ask('listen', { h: KEY, ve: 1, sid: 42, token })
    expect(p.out.slice(at).flatMap((o) => o.messages).filter((m) => m.kind === 'request' && m.name === 'update')).toEqual([])
  })

  it('DHT-25 a listener is forgotten 10 minutes after its last listen', () => {
    const p = new Probe()
    let token = p.token()
    p.ask('listen', { h: KEY, ve: 1, sid: 42, token })
    p.now += 17 * 60_000
    p.engine.tick(p.now)
    token = p.token()
    const at = p.out.length
    p.ask('put', { h: KEY, values: [clear(2n, 'y')], token })
    expect(p.out.slice(at).flatMap((o) => o.messages).filter((m) => m.kind === 'request' && m.name === 'update')).toEqual([])
  })

  it('a listen without a token, or with a wrong one, is refused with 401, and nothing is pushed to it', () => {
    const p = new Probe()
    const token = p.token()
    expect([p.error('listen', { h: KEY, ve: 1, sid: 42 }).code, p.error('listen', { h: KEY, ve: 1, sid: 43, token: new Uint8Array(32) }).code]).toEqual([401, 401])
    const at = p.out.length
    p.ask('put', { h: KEY, values: [clear(2n, 'y')], token })
    expect(p.out.slice(at).flatMap((o) => o.messages).filter((m) => m.kind === 'request' && m.name === 'update')).toEqual([])
  })

  it('DHT-29 what is far from us is acknowledged, not kept', () => {
    const p = new Probe()
    const far = 'ff'.repeat(20) as InfoHash // our id is 1
    const put = (n: bigint) => p.reply('put', { h: far, values: [clear(n, 'x')], token: p.token() }).args.vid
    expect([put(1n), p.reply('get', { h: far }).args.values?.length]).toEqual([1n, 1])
    for (let i = 0; i < 14; i++) {
      // 14 good nodes near the key: each asks us, we ask it back, it answers
      const from = { host: `10.0.1.${i + 1}`, port: 1, family: 4 as const }
      const peer = `${i < 7 ? 'ff' : '7f'}${i.toString(16).padStart(2, '0')}`.padEnd(40, '0') as InfoHash
      const at = p.out.length
      p.ask('ping', { id: peer }, from)
      const ping = p.out.slice(at).flatMap((o) => o.messages).find((m) => m.kind === 'request' && m.name === 'ping')
      p.feed(encodeMessage({ kind: 'reply', tid: ping?.tid ?? 0, network: 0, client: false, args: { id: peer, sa: Uint8Array.of(1, 2, 3, 4) } }), from)
    }
    expect(p.engine.nodeCount(p.now).ipv4).toBeGreaterThanOrEqual(14)
    expect([put(2n), p.reply('get', { h: far }).args.values?.map((v) => v.id)]).toEqual([2n, [1n]])
  })

  it('DHT-28 DHT-43 an update for an unknown listen is acknowledged', () => {
    expect(new Probe().reply('update', { sid: 4711, ve: 1, h: KEY, values: [clear(1n, 'x')] }).args.id).toBe(id(1))
  })

  it('DHT-7 packets of another network, of nobody, of ourselves and of martians are dropped', () => {
    const p = new Probe()
    const ping = (args: Partial<Arguments>, network = 0) => encodeMessage({ kind: 'request', name: 'ping', tid: 1, network, client: false, args: { id: id(2), ...args } })
    p.feed(ping({}, 5))
    p.feed(ping({ id: '00'.repeat(20) as InfoHash }))
    p.feed(ping({ id: id(1) }))
    p.feed(ping({}), { host: '224.0.0.1', port: 1, family: 4 })
    expect(p.out).toEqual([])
  })

  it('DHT-26 more than 1024 requests of one address in a second are not answered, another address is', () => {
    const p = new Probe()
    for (let i = 0; i < 1500; i++) p.ask('ping', {})
    expect(p.ask('ping', {})).toEqual([])
    expect(p.ask('ping', { id: id(3) }, { host: '10.0.0.9', port: 1, family: 4 }).length).toBe(1)
  })
})

describe('parts', () => {
  it('DHT-16 the closest nodes are those of sorting everything, at most 8', () => {
    const random = new SeededRandom(3)
    const table = new NodeTable(4, id(1))
    const all: Uint8Array[] = []
    for (let i = 0; i < 300; i++) {
      table.offer(table.confirm(Buffer.from(random.bytes(20)).toString('hex') as InfoHash, { host: '10.0.0.1', port: 1 + i, family: 4 }, 0, { client: false, tid: 1 }), 0)
    }
    for (const n of table.inTable()) all.push(n.idBytes)
    for (let i = 0; i < 50; i++) {
      const target = random.bytes(20)
      const oracle = [...all].sort((a, b) => compareDistance(target, a, b)).slice(0, 8)
      expect(table.closestGood(target, 8, 0).map((n) => n.idBytes)).toEqual(oracle)
    }
  })

  it('DHT-30 a request is sent three times, slow after the first wait, dead after the third', () => {
    const events: string[] = []
    const requests = new Requests(new SeededRandom(1), () => void events.push('send'), () => void events.push('dead'))
    requests.start(1, undefined, { host: '10.0.0.1', port: 1, family: 4 }, [new Uint8Array(1)], 0, { onReply: () => {}, onSlow: () => void events.push('slow'), onExpired: () => void events.push('expired') })
    const times: number[] = []
    for (let now = 0; now < 12_000; now += 10) {
      const before = events.length
      requests.tick(now)
      if (events.length > before) times.push(now)
    }
    expect(events).toEqual(['send', 'slow', 'send', 'send', 'expired'])
    const [second = 0, third = 0, end = 0] = times
    expect(second >= 1000 && second <= 1260).toBe(true)
    expect(third >= 3000 && third <= 4010).toBe(true)
    expect(end >= 7000 && end <= 9760).toBe(true)
  })

  it('DHT-27 over quota the heaviest source loses the values nearest to their end', () => {
    const store = new ValueStore(1000)
    for (let i = 0; i < 20; i++) store.put(KEY, clear(BigInt(i + 1), 'x'.repeat(100)), i, { createdMs: i, source: 'heavy' })
    store.put(KEY, clear(99n, 'x'.repeat(100)), 0, { createdMs: 0, source: 'light' })
    store.expire(20)
    expect(store.bytes).toBeLessThanOrEqual(1000)
    expect(store.get(KEY, 99n)).toBeDefined()
    expect(store.get(KEY, 1n)).toBeUndefined()
  })

  it('DHT-27 values without content are not free', () => {
    const store = new ValueStore(64 << 10)
    for (let i = 1; i <= 5000; i++) {
      store.put(KEY, clear(BigInt(i), ''), i, { createdMs: i, source: `10.0.0.${i % 5}` })
      store.expire(i)
    }
    expect(store.values(KEY).length).toBeLessThanOrEqual((64 << 10) / 256)
    expect(store.values(KEY).length).toBeGreaterThan(200)
    expect(store.get(KEY, 5000n)).toBeDefined()
  })

  it('DHT-27 values at a key and keys are limited; an own value is not charged', () => {
    const store = new ValueStore(MAX_STORE_BYTES)
    for (let i = 1; i <= 65_537; i++) store.put(KEY, clear(BigInt(i), ''), 0, { createdMs: 0, source: undefined })
    expect(store.values(KEY).length).toBe(65_536)
    expect(store.bytes).toBe(0)
    for (let i = 1; i <= 65_537; i++) store.put(id(i), clear(1n, ''), 0, { createdMs: 0, source: undefined })
    expect([store.has(id(65_535)), store.has(id(65_537))]).toEqual([true, false])
  })

  it('room is made at the cost of whoever has most, down to what the others have', () => {
    const store = new ValueStore(30_000)
    let n = 0
    for (const [source, count] of [['a', 80], ['b', 50], ['c', 5]] as const) for (let i = 0; i < count; i++) store.put(KEY, clear(BigInt(++n), ''), 0, { createdMs: 0, source })
    expect(store.expire(0).length).toBeGreaterThan(0)
    const left = (source: string) => store.values(KEY).filter((v) => v.source === source).length
    expect(left('c')).toBe(5)
    expect(Math.abs(left('a') - left('b'))).toBeLessThanOrEqual(4) // one of a has the key's overhead
    expect(store.bytes).toBeLessThanOrEqual(27_000)
    expect(store.bytes).toBeGreaterThan(26_000)
  })

  it('DHT-22 the same bytes again are a refresh', () => {
    const store = new ValueStore(1000)
    expect([0, 5].map((now) => store.put(KEY, clear(1n, 'x'), now, { createdMs: now, source: 's' }))).toEqual(['stored', 'refreshed'])
  })

  it('DHT-26 the limiter over time', () => {
    const limiter = new RateLimiter({ perSource: 2, perNetwork: 3, total: 4 })
    const table: [number, string, boolean][] = [
      [0, '10.0.0.1', true], [1, '10.0.0.1', true], [2, '10.0.0.1', false], [3, '10.0.0.2', true], [4, '10.0.0.3', false], [5, '10.0.1.1', true], [6, '10.0.2.1', false], [2100, '10.0.0.1', true],
    ]
    for (const [now, host, allowed] of table) expect([now, limiter.allows({ host, port: 1, family: 4 }, now)]).toEqual([now, allowed])
  })

  it('a token does not outlive an hour in which nobody asked', () => {
    const tokens = new Tokens(new SeededRandom(1), 0)
    const at = { host: '10.0.0.1', port: 1, family: 4 as const }
    const token = tokens.make(at, 0)
    expect(tokens.check(token, at, 61 * 60_000)).toBe(false)
  })

  it('tokens are 32 bytes and differ by port', () => {
    const tokens = new Tokens(new SeededRandom(1), 0)
    const at = (port: number) => tokens.make({ host: '10.0.0.1', port, family: 4 }, 0)
    expect(at(1).length).toBe(32)
    expect(at(1)).not.toEqual(at(2))
  })
})

describe('what opens', () => {
  const [a, b, c] = [testIdentity(0).device, testIdentity(1).device, testIdentity(2).device]
  it('DHT-46 a value for us, short or long', async () => {
    for (const size of [3, 3000]) {
      const v = await sealValue(crypto, 1n, { data: new Uint8Array(size).fill(1), type: 4, sign: a.privateKey, encryptTo: b.privateKey.publicKey })
      expect(await openValue(crypto, v, b.privateKey)).toMatchObject({ encrypted: true, type: 4, signer: a.privateKey.publicKey })
    }
  })

  it('DHT-47 not: for somebody else, unsigned, a changed body, a wrong receiver inside', async () => {
    const v = await sealValue(crypto, 1n, { data: utf8('x'), sign: a.privateKey, encryptTo: b.privateKey.publicKey })
    expect(await openValue(crypto, v, c.privateKey)).toBeUndefined()
    expect(await openValue(crypto, v, undefined)).toBeUndefined()
    const { encodeContent } = await import('../wire/value.ts')
    const inner = { type: 0, data: utf8('x'), userType: '', owner: undefined, seq: 0, to: undefined, signature: undefined }
    const seal = async (content: Uint8Array): Promise<Value> => ({ id: 1n, priority: 0, pushType: '', body: undefined, cypher: await crypto.encryptFor(b.privateKey.publicKey, content) })
    expect(await openValue(crypto, await seal(encodeContent(inner)), b.privateKey)).toBeUndefined()
    expect(await openValue(crypto, await seal(encodeContent({ ...inner, owner: a.privateKey.publicKey, to: b.deviceShortId, signature: new Uint8Array(256) })), b.privateKey)).toBeUndefined()
    const forC = await sealValue(crypto, 1n, { data: utf8('x'), sign: a.privateKey, encryptTo: c.privateKey.publicKey })
    const honest = await crypto.decrypt(c.privateKey, forC.cypher ?? new Uint8Array(0)) // signed for C, forwarded to B by C
    expect(await openValue(crypto, await seal(honest), b.privateKey)).toBeUndefined()
  })
})
