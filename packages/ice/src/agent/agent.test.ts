// The ICE agent against another one and against scripted messages. Time is a number.
import { fromHex, toHex } from '@jamikit/core/codec'
import { SeededRandom } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { MAX_OUTGOING, NEGOTIATION_TIMEOUT_MS, PACING_MS, PASSIVE_GRACE_MS, STUN_PER_SECOND } from '../defaults.ts'
import type { Candidate, IceDescription } from '../wire/ice-text.ts'
import { BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, decodeStun, encodeStun, hasIntegrity, type ParsedStun } from '../wire/stun.ts'
import { IceAgent } from './agent.ts'

const PEER = { ufrag: 'peer', password: 'peer-password-1234' }
const OWN = { ufrag: 'own-', password: 'own-password-12345' }
const FROM = { address: fromHex('0a000002'), port: 5000 }
const TIE_LOW = new Uint8Array(8)
const TIE_HIGH = new Uint8Array(8).fill(0xff)

function candidate(i: number, more: Partial<Candidate> = {}): Candidate {
  return { foundation: `F${i}`, component: 1, priority: 1000 - i, host: `10.0.0.${i}`, port: 1000 + i, family: 4, type: 'host', tcpType: 'passive', ...more }
}

function scripted(options: { controlling?: boolean; families?: (4 | 6)[] } = {}) {
  const sent: { connection: number; m: ParsedStun; at: number }[] = []
  const connects: { connection: number; host: string; at: number }[] = []
  const outcome: string[] = []
  const proved: number[] = []
  const time = { now: 1000 }
  const agent = new IceAgent(
    { controlling: options.controlling ?? true, ...OWN, families: new Set(options.families ?? [4, 6]), mayConnect: (c) => c.host !== '127.0.0.1', random: new SeededRandom(5) },
    {
      connect: (connection, to) => connects.push({ connection, host: to.host, at: time.now }),
      send: (connection, stun) => sent.push({ connection, m: decodeStun(stun), at: time.now }),
      verified: (connection) => proved.push(connection),
      done: (connection) => outcome.push(`done ${connection}`),
      failed: (reason) => outcome.push(`failed: ${reason}`),
    },
  )
  const check = (connection: number, more: Partial<Parameters<typeof encodeStun>[0]> = {}, password = OWN.password) =>
    agent.stun(connection, encodeStun({ type: BINDING_REQUEST, transaction: new SeededRandom(sent.length).bytes(12), username: `${OWN.ufrag}:${PEER.ufrag}`, ...(options.controlling === false ? { controlling: TIE_LOW } : { controlled: TIE_LOW }), ...more }, password), time.now)
  /** Answers our last request on a connection. */
  const answer = (connection: number, more: Partial<Parameters<typeof encodeStun>[0]> = {}, password = PEER.password) => {
    const last = sent.filter((s) => s.connection === connection && s.m.type === BINDING_REQUEST).at(-1)
    if (!last) throw new Error('no request was sent')
    agent.stun(connection, encodeStun({ type: BINDING_SUCCESS, transaction: last.m.transaction, mapped: FROM, ...more }, password), time.now)
  }
  const advance = (ms: number) => {
    for (const end = time.now + ms; ; ) {
      const next = agent.nextMs
      if (next > end) {
        time.now = end
        return
      }
      time.now = Math.max(time.now, next)
      agent.tick(time.now)
    }
  }
  const start = (...candidates: Candidate[]) => agent.start({ ...PEER, candidates }, time.now)
  const requests = (connection: number) => sent.filter((s) => s.connection === connection && s.m.type === BINDING_REQUEST)
  const answers = (connection: number) => sent.filter((s) => s.connection === connection && s.m.type === BINDING_SUCCESS)
  return { agent, sent, connects, outcome, proved, time, check, answer, advance, start, requests, answers }
}

describe('ICE agent: whom it connects to', () => {
  it('connects to passive candidates of its families only, best first, families in turn, paced', () => {
    const t = scripted()
    t.start(candidate(1), candidate(2, { tcpType: 'active' }), candidate(3, { tcpType: 'so' }), candidate(4), candidate(5, { host: 'fd00::5', family: 6 }), candidate(6, { host: '127.0.0.1' }))
    t.advance(1000)
    expect(t.connects.map((c) => [c.host, c.at - 1000])).toEqual([['10.0.0.1', 0], ['fd00::5', PACING_MS], ['10.0.0.4', 2 * PACING_MS]])
    expect(PACING_MS).toBeGreaterThanOrEqual(20)
  })

  it('ICE-25 a dead family does not delay the other', () => {
    const t = scripted()
    t.start(candidate(1), candidate(2), candidate(3), candidate(9, { host: 'fd00::9', family: 6, priority: 1 }))
    t.advance(PACING_MS)
    expect(t.connects.map((c) => c.host)).toEqual(['10.0.0.1', 'fd00::9'])
  })

  it('an IPv4-only host leaves IPv6 candidates alone', () => {
    const t = scripted({ families: [4] })
    t.start(candidate(1, { host: 'fd00::1', family: 6 }), candidate(2))
    t.advance(500)
    expect(t.connects.map((c) => c.host)).toEqual(['10.0.0.2'])
  })

  it('ICE-S8 opens at most 16 connections, however many candidates a peer names', () => {
    const t = scripted()
    t.start(...Array.from({ length: 31 }, (_, i) => candidate(i + 1)))
    t.advance(5000)
    expect([t.connects.length, MAX_OUTGOING]).toEqual([16, 16])
  })

  it('no candidate at all fails at once', () => {
    const t = scripted()
    t.start()
    expect(t.outcome).toEqual(['failed: the peer offers no candidate'])
  })
})

describe('ICE agent: controlling', () => {
  it('checks a connection that it opened, then nominates it, then is done', () => {
    const t = scripted()
    t.start(candidate(1))
    t.agent.connected(1, FROM, t.time.now)
    expect(t.requests(1).map((r) => [r.m.username, r.m.useCandidate, r.m.controlled, r.m.priority])).toEqual([[`${PEER.ufrag}:${OWN.ufrag}`, undefined, undefined, 1_862_270_975]])
    expect(hasIntegrity(t.requests(1)[0]?.m as ParsedStun, PEER.password)).toBe(true)
    t.answer(1)
    expect(t.requests(1).map((r) => r.m.useCandidate)).toEqual([undefined, true])
    expect(t.outcome).toEqual([])
    t.answer(1)
    expect(t.outcome).toEqual(['done 1'])
  })

  it('ICE-20 nominates only what its own check proved (regular nomination), one at a time', () => {
    const t = scripted()
    t.start(candidate(1), candidate(2))
    t.advance(PACING_MS)
    t.agent.connected(1, FROM, t.time.now)
    t.agent.connected(2, FROM, t.time.now)
    t.check(2)
    expect(t.sent.some((s) => s.m.useCandidate)).toBe(false)
    t.answer(2)
    t.answer(1)
    expect(t.sent.filter((s) => s.m.useCandidate).map((s) => s.connection)).toEqual([2])
  })

  it('ICE-15 answers a check on an accepted connection and sends its own back on the same one', () => {
    const t = scripted()
    t.start(candidate(1))
    const id = t.agent.accepted(FROM)
    t.check(id)
    expect(t.answers(id).map((s) => [toHex(s.m.mapped?.address ?? new Uint8Array(0)), s.m.mapped?.port])).toEqual([['0a000002', 5000]])
    expect(t.requests(id).length).toBe(1)
    t.answer(id)
    t.answer(id)
    expect(t.outcome).toEqual([`done ${id}`])
  })

  it('tries again when the nominated connection breaks', () => {
    const t = scripted()
    t.start(candidate(1), candidate(2))
    t.advance(PACING_MS)
    t.agent.connected(1, FROM, t.time.now)
    t.agent.connected(2, FROM, t.time.now)
    t.answer(1)
    t.agent.closed(1, t.time.now)
    t.answer(2)
    t.answer(2)
    expect(t.outcome).toEqual(['done 2'])
  })
})

describe('ICE agent: controlled', () => {
  it.each([['nominated first', true], ['checked first', false]])('is done when nominated on a connection that its own check proved (%s)', (_, early) => {
    const t = scripted({ controlling: false })
    t.start(candidate(1))
    const id = t.agent.accepted(FROM)
    t.check(id, early ? { useCandidate: true } : {})
    expect(t.outcome).toEqual([])
    t.answer(id)
    if (!early) {
      expect(t.outcome).toEqual([])
      t.check(id, { useCandidate: true })
    }
    expect(t.outcome).toEqual([`done ${id}`])
    expect(t.sent.some((s) => s.m.useCandidate)).toBe(false)
  })

  it('ICE-16 further silent connections change nothing: the nominated one is used', () => {
    const t = scripted({ controlling: false })
    t.start(candidate(1))
    const first = t.agent.accepted(FROM)
    t.check(first)
    t.answer(first)
    const silent = t.agent.accepted({ ...FROM, port: 5001 })
    t.check(first, { useCandidate: true })
    expect(t.outcome).toEqual([`done ${first}`])
    expect(t.sent.some((s) => s.connection === silent)).toBe(false)
  })

  it('ICE-19 checks that come before the description are answered, and checked back once it is there', () => {
    const t = scripted({ controlling: false })
    const id = t.agent.accepted(FROM)
    t.check(id, { useCandidate: true })
    expect([t.answers(id).length, t.requests(id).length]).toEqual([1, 0])
    t.start(candidate(1))
    expect(t.requests(id).length).toBe(1)
    t.answer(id)
    expect(t.outcome).toEqual([`done ${id}`])
  })

  it('ICE-18 answers checks after nomination, too', () => {
    const t = scripted({ controlling: false })
    t.start(candidate(1))
    const id = t.agent.accepted(FROM)
    t.check(id, { useCandidate: true })
    t.answer(id)
    const before = t.answers(id).length
    t.advance(3_600_000)
    t.check(id)
    expect(t.answers(id).length).toBe(before + 1)
    expect(t.outcome).toEqual([`done ${id}`])
  })
})

describe('ICE agent: role conflicts', () => {
  it('ICE-20 with the greater tie-breaker it keeps its role and says 487', () => {
    const t = scripted()
    t.start(candidate(1))
    const id = t.agent.accepted(FROM)
    t.check(id, { controlled: undefined as never, controlling: TIE_LOW })
    expect([t.agent.controlling, t.sent.at(-1)?.m.type, t.sent.at(-1)?.m.errorCode]).toEqual([true, BINDING_ERROR, 487])
  })

  it('ICE-20 with the smaller one it takes the other role', () => {
    const t = scripted()
    t.start(candidate(1))
    const id = t.agent.accepted(FROM)
    t.check(id, { controlled: undefined as never, controlling: TIE_HIGH })
    expect([t.agent.controlling, t.answers(id).length]).toEqual([false, 1])
  })

  it('a 487 answer turns its role and repeats the check', () => {
    const t = scripted()
    t.start(candidate(1))
    t.agent.connected(1, FROM, t.time.now)
    t.answer(1, { type: BINDING_ERROR, errorCode: 487, mapped: undefined as never })
    expect(t.agent.controlling).toBe(false)
    expect(t.requests(1).map((r) => [r.m.controlling !== undefined, r.m.controlled !== undefined])).toEqual([[true, false], [false, true]])
  })

  it('two agents that both believe to be controlling agree, and only one of them is', () => {
    const { a, b, outcome } = facing(true, true)
    expect(outcome.length).toBe(2)
    expect(a.controlling).not.toBe(b.controlling)
  })
})

describe('ICE agent: what does not count', () => {
  it.each([
    ['a wrong password', { }, 'another-password-1'],
    ['another user name', { username: 'other:peer' }, OWN.password],
    ['no user name', { username: undefined as never }, OWN.password],
    ['a user name without a colon', { username: OWN.ufrag }, OWN.password],
    ['no integrity', {}, undefined as never],
  ])('ICE-17 a check with %s is not answered', (_, more, password) => {
    const t = scripted()
    t.start(candidate(1))
    const id = t.agent.accepted(FROM)
    if (password === undefined) t.agent.stun(id, encodeStun({ type: BINDING_REQUEST, transaction: new Uint8Array(12), username: `${OWN.ufrag}:${PEER.ufrag}`, controlled: TIE_LOW }), t.time.now)
    else t.check(id, more, password)
    expect([t.answers(id), t.requests(id)]).toEqual([[], []])
  })

  it.each([
    ['of a wrong password', {}, 'another-password-1'],
    ['to another transaction', { transaction: new Uint8Array(12) }, PEER.password],
    ['without an address', { mapped: undefined as never }, PEER.password],
  ])('ICE-17 an answer %s proves nothing', (_, more, password) => {
    const t = scripted()
    t.start(candidate(1))
    t.agent.connected(1, FROM, t.time.now)
    t.answer(1, more, password)
    expect(t.sent.some((s) => s.m.useCandidate)).toBe(false)
  })

  it('garbage and messages on connections that do not exist are ignored', () => {
    const t = scripted()
    t.start(candidate(1))
    const id = t.agent.accepted(FROM)
    t.agent.stun(id, new Uint8Array(40), t.time.now)
    t.agent.stun(id, fromHex('000100002112a442000000000000000000000000'), t.time.now)
    t.agent.stun(99, encodeStun({ type: BINDING_REQUEST, transaction: new Uint8Array(12) }), t.time.now)
    t.agent.connected(99, FROM, t.time.now)
    t.agent.closed(99, t.time.now)
    expect(t.sent).toEqual([])
  })
})

describe('ICE agent: how it fails', () => {
  it('when nothing of its own worked, the peer has 10 s to connect', () => {
    const t = scripted()
    t.start(candidate(1))
    t.advance(100)
    t.agent.closed(1, t.time.now)
    t.advance(PASSIVE_GRACE_MS - 1)
    expect(t.outcome).toEqual([])
    t.advance(1)
    expect(t.outcome).toEqual(['failed: no pair of candidates worked in time'])
    expect(t.agent.nextMs).toBe(Number.POSITIVE_INFINITY)
  })

  it('a check of the peer within that time still makes the link', () => {
    const t = scripted()
    t.start(candidate(1))
    t.agent.closed(1, t.time.now)
    t.advance(9000)
    const id = t.agent.accepted(FROM)
    t.check(id)
    t.advance(3000)
    t.answer(id)
    t.answer(id)
    expect(t.outcome).toEqual([`done ${id}`])
  })

  it('in the end it fails whatever happens, once', () => {
    const t = scripted({ controlling: false })
    t.start(candidate(1))
    t.agent.connected(1, FROM, t.time.now)
    t.answer(1) // valid, but never nominated
    t.advance(NEGOTIATION_TIMEOUT_MS * 3)
    expect(t.outcome.length).toBe(1)
    expect(t.outcome[0]).toMatch(/^failed/)
  })
})

describe('ICE agent: what a connection costs', () => {
  it('only a message with our password proves that the other end is the peer, once', () => {
    const t = scripted()
    const [wrong, right] = [t.agent.accepted(FROM), t.agent.accepted(FROM)]
    t.check(wrong, {}, 'another-password-1')
    t.check(wrong, { username: `xxxx:${PEER.ufrag}` })
    t.agent.stun(wrong, new Uint8Array(40), t.time.now)
    expect(t.proved).toEqual([])
    t.check(right)
    t.check(right)
    expect(t.proved).toEqual([right])
  })

  it('a success response to our own check proves it, too', () => {
    const t = scripted()
    t.start(candidate(1))
    t.agent.connected(1, FROM, t.time.now)
    t.answer(1, {}, 'another-password-1')
    expect(t.proved).toEqual([])
    t.answer(1)
    expect(t.proved).toEqual([1])
  })

  it('ICE-18 so many checks in a second are looked at and answered, before and after nomination; the connection goes on', () => {
    const t = scripted()
    const id = t.agent.accepted(FROM)
    t.start(candidate(1))
    for (let i = 0; i < 600; i++) t.check(id)
    expect(t.answers(id).length).toBe(STUN_PER_SECOND)
    t.advance(1000)
    t.check(id)
    expect(t.answers(id).length).toBe(STUN_PER_SECOND + 1)
  })

  it('a connection that is gone is forgotten: any number of them leaves nothing behind', () => {
    const t = scripted()
    t.start(candidate(1))
    const ids = Array.from({ length: 1000 }, () => t.agent.accepted(FROM))
    for (const id of ids) t.agent.closed(id, t.time.now)
    for (const id of ids) t.check(id)
    expect(t.sent.filter((s) => ids.includes(s.connection))).toEqual([])
  })
})

/** Two agents whose connections join directly. */
function facing(aControlling: boolean, bControlling: boolean) {
  const outcome: string[] = []
  const queue: (() => void)[] = []
  const agents: IceAgent[] = []
  const joined = new Map<string, [number, number]>() // side:id → other side, id
  const make = (side: number, controlling: boolean, own: typeof OWN) =>
    new IceAgent({ controlling, ...own, families: new Set([4]), mayConnect: () => true, random: new SeededRandom(side + 1) }, {
      connect: (id) => queue.push(() => {
        const other = agents[1 - side] as IceAgent
        const theirs = other.accepted(FROM)
        joined.set(`${side}:${id}`, [1 - side, theirs])
        joined.set(`${1 - side}:${theirs}`, [side, id])
        agents[side]?.connected(id, FROM, 0)
      }),
      send: (id, bytes) => queue.push(() => {
        const to = joined.get(`${side}:${id}`)
        if (to) agents[to[0]]?.stun(to[1], bytes, 0)
      }),
      verified: () => {},
      done: (id) => outcome.push(`${side} done ${id}`),
      failed: () => outcome.push(`${side} failed`),
    })
  agents.push(make(0, aControlling, OWN), make(1, bControlling, PEER))
  const [a, b] = agents as [IceAgent, IceAgent]
  const describe_ = (own: typeof OWN, i: number): IceDescription => ({ ...own, candidates: [candidate(i)] })
  a.start(describe_(PEER, 2), 0)
  b.start(describe_(OWN, 1), 0)
  for (let i = 0; queue.length > 0 && i < 10_000; i++) queue.shift()?.()
  return { a, b, outcome, joined }
}

describe('ICE agent: two of them', () => {
  it.each([[true, false], [false, true]])('agree on one connection (%s, %s)', (x, y) => {
    const { outcome, joined } = facing(x, y)
    expect(outcome.length).toBe(2)
    const [first, second] = outcome.map((o) => /^(\d) done (\d+)$/.exec(o)?.slice(1).map(Number))
    expect(joined.get(`${first?.[0]}:${first?.[1]}`)).toEqual(second)
  })
})
