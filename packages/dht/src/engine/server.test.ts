// What strangers draw from a node, and take of it: little for whoever has not proved where he is; a share for everybody else, and
// an honest answer beyond it. Beside every hostile one somebody honest is served.
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { at, clear, idOf, KEY, Probe } from '../../test/probe.ts'
import { MAX_LISTENERS_PER_KEY, MAX_LISTENERS_PER_KEY_AND_NETWORK, MAX_LISTENERS_PER_KEY_AND_SOURCE, MAX_PENDING_PUSHES, MAX_PROVEN, MAX_PUT_VALUES, MAX_WAITING, NO_ROOM, PING_BYTES, PROVEN_MS, PUSHES, PUT_SIGNATURES, UNPROVEN_FACTOR } from '../defaults.ts'
import type { Arguments, RequestName } from '../wire/message.ts'
import type { Value } from '../wire/value.ts'
import { Proofs } from './proofs.ts'

const OTHER = 'bb'.repeat(20) as InfoHash
const signed = (id: bigint, seq = 0): Value => ({ ...clear(id, 'x'), body: { type: 0, data: Uint8Array.of(1), userType: '', owner: new Uint8Array(294).fill(1), seq, to: undefined, signature: new Uint8Array(256).fill(Number(id & 0xffn)) } })
const big = (id: bigint) => clear(id, 'x'.repeat(60_000))
/** Updates for new values that were sent to a host. */
const pushed = (p: Probe, host: string, since = 0) => p.requests('update', since).filter(({ m, to }) => to.host === host && (m.args.values || m.args.sizes)).length

describe('addresses that have not proved themselves', () => {
  const full = () => {
    const p = new Probe()
    for (let i = 1; i <= 30; i++) p.engine.storeOwn(KEY, big(BigInt(i)), false, p.now)
    for (let i = 0; i < 20; i++) {
      p.answering.set(`10.5.${i}.1|5000`, idOf(1000 + i))
      p.ask('ping', { id: idOf(1000 + i) }, at(`10.5.${i}.1`))
      p.settle()
    }
    expect(p.engine.nodeCount(p.now).ipv4).toBe(8)
    return p
  }

  it.each<[string, RequestName, Partial<Arguments>]>([
    ['get', 'get', { h: KEY }], ['get of ids', 'get', { h: KEY, query: { select: [1, 4], where: {} } }], ['get of one id', 'get', { h: KEY, query: { select: [], where: { id: 3n } } }],
    ['get of nothing', 'get', { h: OTHER }], ['get with nodes of both families', 'get', { h: OTHER, want: [4, 6] }], ['get without key', 'get', {}],
    ['find', 'find', { target: KEY }], ['find of both families', 'find', { target: KEY, want: [4, 6] }], ['ping', 'ping', {}], ['listen', 'listen', { h: KEY, ve: 1, sid: 4 }],
    ['put', 'put', { h: KEY, values: [clear(1n, 'y'), clear(2n, 'z')] }], ['refresh', 'refresh', { h: KEY, vid: 1n }], ['update', 'update', { h: KEY, ve: 1, sid: 4, values: [] }],
  ])(`a %s draws at most ${UNPROVEN_FACTOR} times its bytes, pings of ours counted, and one datagram of answer`, (_what, name, args) => {
    const p = full()
    for (let i = 0; i < 50; i++) {
      const { bytes, sent } = p.ask(name, args, at('10.66.0.1', 1000 + (i % 5)))
      expect(sent.reduce((sum, s) => sum + s.bytes, 0)).toBeLessThanOrEqual(UNPROVEN_FACTOR * bytes)
      expect(sent.filter((s) => s.message.kind !== 'request').length).toBeLessThanOrEqual(1)
      for (const s of sent) if (s.message.kind === 'request') expect(s.bytes).toBeLessThanOrEqual(PING_BYTES)
    }
  })

  it('whoever is where he says gets everything for the same request, after one ping', () => {
    const p = full()
    p.answering.set('10.7.0.1|5000', idOf(7))
    const { tid, answers, sent } = p.ask('get', { h: KEY }, at('10.7.0.1'))
    expect([answers.length, sent.map((s) => s.message.kind === 'request' && s.message.name)]).toEqual([0, ['ping']])
    p.settle()
    const got = p.sent.filter((s) => s.message.tid === tid && s.to.host === '10.7.0.1')
    expect(got[0]?.message).toMatchObject({ kind: 'reply', args: { sizes: expect.arrayContaining([60_030]) } })
    expect(got.reduce((sum, s) => sum + s.bytes, 0)).toBeGreaterThan(900_000)
  })

  it('so does whoever has shown a token, which came to that address', () => {
    const p = full()
    const [token, asker] = [p.token(at('10.7.0.1')), at('10.7.0.1')]
    p.ask('listen', { h: OTHER, ve: 1, sid: 1, token }, asker)
    expect(p.ask('get', { h: KEY }, asker).sent.length).toBeGreaterThan(500)
    expect(p.ask('get', { h: KEY }, at('10.7.0.1', 5001)).answers).toEqual([]) // the token is of one port
  })

  it('a value that fits is shown at once, and small answers have a token and as many nodes as fit', () => {
    const p = full()
    p.engine.storeOwn(OTHER, clear(1n, 'small'), false, p.now)
    expect(p.ask('get', { h: OTHER, query: { select: [], where: { id: 1n } } }, at('10.7.0.1')).answers).toMatchObject([{ kind: 'reply', args: { values: [{ id: 1n }] } }])
    const [m] = p.ask('find', { target: KEY }, at('10.7.0.2')).answers
    expect(m).toMatchObject({ kind: 'reply', args: { token: expect.any(Uint8Array) } })
    expect(m?.kind === 'reply' && m.args.n4?.length).toBeGreaterThan(1)
  })

  it('several small values are not answered in part, even where two of them would fit', () => {
    const p = full()
    for (const n of [1n, 2n, 3n]) p.engine.storeOwn(OTHER, clear(n, ''), false, p.now)
    p.answering.set('10.7.0.1|5000', idOf(7))
    const { tid, answers } = p.ask('get', { h: OTHER, token: new Uint8Array(64) }, at('10.7.0.1')) // a long request: it may have much
    expect(answers).toEqual([])
    p.settle()
    expect(p.sent.filter((s) => s.message.tid === tid).map((s) => s.message)).toMatchObject([{ kind: 'reply', args: { values: [{ id: 3n }, { id: 2n }, { id: 1n }] } }])
  })

  it('so many wait at most, and when all places are taken, the network with most gives one', () => {
    const proofs = new Proofs<number>()
    const hosts = Array.from({ length: MAX_WAITING }, (_, i) => at(`10.${i >> 8}.0.${(i >> 6) & 3}`, i + 1))
    expect([hosts.every((h) => proofs.begin(h, 0)), proofs.begin(hosts[0] as SocketAddress, 0), proofs.begin(at('10.0.0.9'), 0)]).toEqual([true, false, false])
    expect([proofs.wait(hosts[0] as SocketAddress, 1), proofs.begin(at('10.99.0.1'), 0), proofs.wait(hosts[0] as SocketAddress, 2), proofs.wait(at('10.99.0.1'), 3)]).toEqual([true, true, false, true])
    expect([proofs.prove(at('10.99.0.1'), 1), proofs.isProven(at('10.99.0.1'), PROVEN_MS), proofs.isProven(at('10.99.0.1'), PROVEN_MS + 2), proofs.isProven(at('10.99.0.1', 5001), 1)]).toEqual([[3], true, false, false])
    for (let i = 0; i < 20; i++) proofs.wait(hosts[9] as SocketAddress, i)
    expect(proofs.prove(hosts[9] as SocketAddress, 1).length).toBe(8)
    for (let i = 0; i < MAX_PROVEN; i++) proofs.prove(at(`11.0.${i >> 8}.${i & 255}`), 1)
    expect(proofs.isProven(at('10.99.0.1'), 1)).toBe(false) // the oldest goes
  })

  it('strangers that ask as much as they can do not use up what known addresses need', () => {
    const p = full()
    const { datagrams: [ping = new Uint8Array(0)] } = p.request('ping', {})
    for (let i = 0; i < 9000; i++) p.engine.receive(ping, at(`10.${100 + (i % 20)}.0.1`), p.now)
    expect([p.outcome('ping', {}, at('10.77.0.1')), p.outcome('ping', { id: idOf(1000) }, at('10.5.0.1'))]).toEqual(['silence', 'ok'])
  })

  it('those who never answer do not keep others from being asked', () => {
    const p = full()
    for (let net = 0; net < 200; net++) for (let host = 1; host < 4; host++) p.ask('get', { h: KEY }, at(`10.${100 + net % 100}.${net}.${host}`))
    p.now += 1001
    p.answering.set('10.7.0.1|5000', idOf(7))
    const { tid } = p.ask('get', { h: KEY }, at('10.7.0.1'))
    p.settle()
    expect(p.sent.filter((s) => s.message.tid === tid && s.to.host === '10.7.0.1').length).toBeGreaterThan(500)
  })
})

describe('listens', () => {
  const listen = (p: Probe, host: string, sid: number, key = KEY) => p.outcome('listen', { h: key, ve: 1, sid, token: p.token(at(host)) }, at(host))

  it('one address, one network take their share of a key and are refused more; somebody else is not, and hears what is new', () => {
    const p = new Probe()
    const outcomes = (host: string, from: number, count: number) => {
      const token = p.token(at(host))
      return new Set(Array.from({ length: count }, (_, i) => p.outcome('listen', { h: KEY, ve: 1, sid: from + i, token }, at(host))))
    }
    expect(outcomes('10.6.0.1', 1, MAX_LISTENERS_PER_KEY_AND_SOURCE)).toEqual(new Set(['ok']))
    expect(outcomes('10.6.0.1', 1000, 512)).toEqual(new Set([NO_ROOM]))
    expect(outcomes('10.6.0.1', 1, 5)).toEqual(new Set(['ok'])) // those that it has
    for (let host = 2; host <= 8; host++) outcomes(`10.6.0.${host}`, 1, 70)
    expect(listen(p, '10.6.0.9', 1)).toBe(NO_ROOM)
    expect(listen(p, '10.7.0.1', 1)).toBe('ok')
    const since = p.sent.length
    p.outcome('put', { h: KEY, values: [clear(1n, 'news')], token: p.token(at('10.8.0.1')) }, at('10.8.0.1'))
    expect([pushed(p, '10.7.0.1', since), p.requests('update', since).length]).toEqual([1, MAX_LISTENERS_PER_KEY_AND_NETWORK + 1])
  })

  it('when a key is full of others, a newcomer takes a place of the network that has most', () => {
    const p = new Probe()
    for (const net of [1, 2]) for (let host = 1; host <= 4; host++) for (let sid = 1; sid <= 64; sid++) expect(listen(p, `10.${net}.0.${host}`, sid)).toBe('ok')
    const since = p.sent.length
    expect(listen(p, '10.7.0.1', 1)).toBe('ok')
    p.engine.storeOwn(KEY, clear(1n, 'news'), false, p.now)
    expect([pushed(p, '10.7.0.1', since), p.requests('update', since).length]).toEqual([1, MAX_LISTENERS_PER_KEY])
  })

  it('whoever does not take its pushes is forgotten, and gets everything when it listens again', () => {
    const p = new Probe()
    listen(p, '10.6.0.1', 1)
    listen(p, '10.7.0.1', 1)
    p.answering.set('10.7.0.1|5000', idOf(2))
    for (let i = 1; i <= MAX_PENDING_PUSHES + 50; i++) {
      p.engine.storeOwn(KEY, clear(BigInt(i), 'x'), false, p.now)
      p.settle()
    }
    expect([pushed(p, '10.6.0.1'), pushed(p, '10.7.0.1')]).toEqual([MAX_PENDING_PUSHES, MAX_PENDING_PUSHES + 50])
    p.run(15_000)
    const since = p.sent.length
    p.engine.storeOwn(KEY, clear(9999n, 'x'), false, p.now)
    expect(p.requests('update', since).map(({ to }) => to.host)).toEqual(['10.7.0.1'])
    listen(p, '10.6.0.1', 1)
    expect(pushed(p, '10.6.0.1', since)).toBeGreaterThan(0)
  })

  it('a listen under the node id and socket id of somebody else takes nothing from it', () => {
    const p = new Probe()
    listen(p, '10.7.0.1', 5)
    listen(p, '10.6.0.1', 5) // the same id of node and socket
    const since = p.sent.length
    p.engine.storeOwn(KEY, clear(1n, 'x'), false, p.now)
    expect([pushed(p, '10.7.0.1', since), pushed(p, '10.6.0.1', since)]).toEqual([1, 1])
  })
})

describe('puts', () => {
  const put = (p: Probe, host: string, values: readonly Value[], key = KEY) => p.ask('put', { h: key, values, token: p.token(at(host)) }, at(host)).answers.map((m) => (m.kind === 'reply' ? 'ok' : m.kind === 'error' ? m.code : m.kind))

  it('a value whose signature does not hold is acknowledged and not kept; the one beside it is', () => {
    const p = new Probe()
    const values = [signed(1n), signed(2n)]
    const { datagrams, tid } = p.request('put', { h: KEY, values, token: p.token(at('10.6.0.1')) })
    let last: ReturnType<Probe['engine']['receive']>
    for (const d of datagrams) last = p.engine.receive(d, at('10.6.0.1'), p.now) ?? last
    if (!last) throw new Error('a message expected')
    p.engine.process(last, new Set(last.unverified.slice(0, 1)), p.now)
    expect([p.sent.filter((s) => s.message.tid === tid && s.message.kind === 'reply').length, p.engine.ownValues(KEY).map((v) => v.id)]).toEqual([2, [2n]])
  })

  it('signatures are counted, not messages: beyond its budget a source is refused, others are not', () => {
    const p = new Probe()
    let verified = 0
    let refused = 0
    for (let n = 0; n < 20; n++) {
      const values = Array.from({ length: 50 }, (_, i) => signed(BigInt(n * 50 + i + 1)))
      const { datagrams } = p.request('put', { h: KEY, values, token: p.token(at('10.6.0.1')) })
      const received = p.feed(datagrams, at('10.6.0.1'))
      verified += received?.unverified.length ?? 0
      refused += received?.refused.length ?? 0
    }
    expect([verified, refused]).toEqual([PUT_SIGNATURES.perSource, 1000 - PUT_SIGNATURES.perSource])
    expect(put(p, '10.6.0.1', [signed(5000n)])).toEqual([NO_ROOM])
    expect(put(p, '10.6.0.1', [clear(5001n, 'unsigned')])).toEqual(['ok'])
    expect(put(p, '10.7.0.1', [signed(5002n)])).toEqual(['ok'])
  })

  it('a value that is here already is not verified again, and costs no budget', () => {
    const p = new Probe()
    put(p, '10.7.0.1', [signed(1n)])
    for (let i = 0; i < 500; i++) {
      const { datagrams } = p.request('put', { h: KEY, values: [signed(1n)], token: p.token(at('10.6.0.1')) })
      expect(p.feed(datagrams, at('10.6.0.1'))).toMatchObject({ unverified: [], refused: [] })
      if (i % 300 === 299) p.now += 2000
    }
  })

  it('of one put many values are taken, not all that a datagram can hold', () => {
    const p = new Probe()
    const answers = put(p, '10.6.0.1', Array.from({ length: 200 }, (_, i) => clear(BigInt(i + 1), '')))
    expect([answers.filter((a) => a === 'ok').length, answers.at(-1)]).toEqual([MAX_PUT_VALUES, NO_ROOM])
  })

  it('what one source has us push is limited, and it hears so; what somebody else puts is pushed', () => {
    const p = new Probe()
    for (const net of [1, 2, 3, 4, 5, 6, 7, 8]) for (let sid = 1; sid <= 64; sid++) p.ask('listen', { h: KEY, ve: 1, sid, token: p.token(at(`10.${net}.0.1`)) }, at(`10.${net}.0.1`))
    p.now += 2000
    const outcomes = Array.from({ length: 100 }, (_, i) => put(p, '10.66.0.1', [clear(BigInt(i + 1), 'spam')])[0])
    expect(outcomes.filter((o) => o === NO_ROOM).length).toBeGreaterThan(100 - Math.ceil(PUSHES.perSource / MAX_LISTENERS_PER_KEY) - 2)
    const since = p.sent.length
    expect([put(p, '10.7.7.7', [clear(7777n, 'news')]), p.requests('update', since).length]).toEqual([['ok'], MAX_LISTENERS_PER_KEY])
  })
})
