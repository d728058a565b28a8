// Many searches at once: what happens to one costs nothing for the others, and nothing is lost by that.
import { toHex } from '@jamikit/core/codec'
import type { InfoHash } from '@jamikit/core/contracts'
import { SeededRandom } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { at, clear, idOf, KEY, Probe } from '../../test/probe.ts'
import { LISTEN_REFRESH_MS, MAX_SEARCHES, OFFERED_SEARCHES, REFUSED_MS } from '../defaults.ts'
import { compareDistance } from './id-index.ts'
import { newNode, type NodeRecord } from './nodes.ts'
import { Searches } from './searches.ts'
import type { ListenOp } from './search-ops.ts'

const random = new SeededRandom(8)
const anyKey = () => toHex(random.bytes(20)) as InfoHash
const listening = (): ListenOp => ({ kind: 'listen', query: { select: [], where: {} }, onPush: () => {}, onNodeLost: () => {} })

function searches(count: number, seeds: NodeRecord[] = []) {
  const asked: (InfoHash | undefined)[] = []
  const all = new Searches({
    family: 4, request: (_node, _name, args) => { asked.push(args.target); return { cancel: () => {} } },
    seeds: () => seeds, use: () => {}, unuse: () => {}, tid: () => 7, giveUp: () => {}, now: () => 0,
  }, new SeededRandom(1))
  const keys = Array.from({ length: count }, anyKey)
  for (const key of keys) all.open(key).add(listening())
  return { all, keys, asked }
}

describe('5,000 searches', () => {
  it('of which a new node is told to the closest ones only, and nothing is stepped but those', () => {
    const { all, asked } = searches(5000)
    all.step(0)
    expect(asked).toEqual([])
    const node = newNode(anyKey(), at('10.0.0.1'), 1)
    all.offer(node)
    all.step(0)
    expect(asked.length).toBe(OFFERED_SEARCHES)
    all.offer(node) // again
    all.step(0)
    expect(asked.length).toBe(OFFERED_SEARCHES)
  })

  it('of which all look again at what is known after a way back was found, spread over half a minute', () => {
    const seeds: NodeRecord[] = []
    const { all, asked } = searches(1000, seeds)
    all.step(0)
    seeds.push(newNode(anyKey(), at('10.0.0.1'), 1))
    all.reseed(1000)
    const early = () => { all.step(16_000); return asked.length }
    expect(early()).toBeGreaterThan(300)
    expect(asked.length).toBeLessThan(700)
    all.step(31_001)
    expect(asked.length).toBe(1000)
  })

  it('are the most that one has, and one that ends makes room', () => {
    const { all, keys } = searches(0)
    for (let i = 0; i < MAX_SEARCHES; i++) all.open(idOf(i + 1))
    expect(() => all.open(anyKey())).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
    all.wake(all.open(idOf(5)))
    all.step(0)
    expect([all.size, keys.length]).toEqual([MAX_SEARCHES - 1, 0])
  })
})

describe('a node that listens at many keys', () => {
  it('renews each listen after 20 s, and a datagram of somebody else renews none', () => {
    const p = new Probe()
    p.answering.set('10.9.0.1|4222', idOf(77))
    p.engine.addBootstrap([at('10.9.0.1', 4222)], p.now)
    p.run(1000)
    for (let i = 0; i < 500; i++) p.engine.run(anyKey(), listening, p.now)
    p.run(10_000)
    expect(p.requests('listen').length).toBe(500)
    const next = p.engine.nextMs
    const since = p.sent.length
    for (let i = 0; i < 50; i++) p.ask('ping', { id: idOf(77) }, at('10.9.0.1', 4222))
    expect([p.engine.nextMs, p.sent.length - since]).toEqual([next, 50])
    p.run(LISTEN_REFRESH_MS)
    expect(p.requests('listen').length).toBe(1000)
  })

  it('finds a node that appears next to a key without being told, at the next look at the tokens', () => {
    const p = new Probe()
    p.answering.set('10.9.0.1|4222', idOf(77))
    p.engine.addBootstrap([at('10.9.0.1', 4222)], p.now)
    p.run(1000)
    const keys = Array.from({ length: 100 }, anyKey)
    for (const key of keys) p.engine.run(key, listening, p.now)
    p.run(1000)
    p.answering.set('10.9.1.1|4222', idOf(78))
    p.ask('ping', { id: idOf(78) }, at('10.9.1.1', 4222))
    p.run(700_000)
    const heard = new Set(p.requests('listen').filter(({ to }) => to.host === '10.9.1.1').map(({ m }) => m.args.h))
    expect(keys.every((key) => heard.has(key))).toBe(true)
  })

  const six = () => {
    const p = new Probe()
    for (let i = 0; i < 6; i++) {
      p.answering.set(`10.9.${i}.1|4222`, `${KEY.slice(0, 38)}0${i}` as InfoHash)
      p.engine.addBootstrap([at(`10.9.${i}.1`, 4222)], p.now)
    }
    p.run(5000)
    const asked = (name: 'put' | 'listen', since = 0) => p.requests(name, since).map(({ to }) => to.host.split('.')[2]).sort().join('')
    const closest = [...p.answering].sort((a, b) => compareDistance(Buffer.from(KEY, 'hex'), Buffer.from(a[1], 'hex'), Buffer.from(b[1], 'hex'))).map(([host]) => host.split('.')[2] as string)
    return { p, asked, closest }
  }

  it('takes another node in place of one that has no room for it, and asks that one again after a minute', () => {
    const { p, asked, closest } = six()
    p.refusing.add(`10.9.${closest[0]}.1`)
    p.engine.run(KEY, listening, p.now)
    p.run(5000)
    expect(asked('listen')).toBe(closest.slice(0, 5).sort().join(''))
    const since = p.sent.length
    p.refusing.clear()
    p.run(REFUSED_MS)
    expect(asked('listen', since)).toContain(closest[0])
  })

  it('does not count a node that refused a value for want of room, and puts a permanent one there again later', () => {
    const { p, asked, closest } = six()
    p.refusing.add(`10.9.${closest[0]}.1`)
    const announced: number[] = []
    p.engine.run(KEY, () => ({ kind: 'put', value: clear(1n, 'x'), permanent: true, onAnnounced: (count) => void announced.push(count) }), p.now)
    p.run(5000)
    expect([announced, asked('put').length, p.engine.nodeCount(p.now).ipv4]).toEqual([[5], 6, 6])
    const since = p.sent.length
    p.refusing.clear()
    p.run(REFUSED_MS)
    expect(asked('put', since)).toBe(closest[0])
  })

  it('does not listen any more to one that answers a search without a token', () => {
    const p = new Probe()
    p.answering.set('10.9.0.1|4222', idOf(77))
    p.engine.addBootstrap([at('10.9.0.1', 4222)], p.now)
    p.run(1000)
    p.answering.clear()
    p.engine.run(anyKey(), listening, p.now)
    const find = p.requests('find').at(-1)?.m
    expect(p.outcome('ping', { id: idOf(77) }, at('10.9.0.1', 4222))).toBe('ok')
    p.pong(find ?? { tid: 0 }, at('10.9.0.1', 4222), idOf(77), { token: new Uint8Array(0) })
    expect(p.outcome('ping', { id: idOf(77) }, at('10.9.0.1', 4222))).toBe('silence')
  })

  it('the closest searches are those by distance', () => {
    const { all, keys, asked } = searches(300)
    const node = newNode(anyKey(), at('10.0.0.1'), 1)
    all.offer(node)
    const closest = [...keys].sort((a, b) => compareDistance(node.idBytes, Buffer.from(a, 'hex'), Buffer.from(b, 'hex'))).slice(0, OFFERED_SEARCHES)
    all.step(0)
    expect(new Set(asked)).toEqual(new Set(closest))
  })
})
