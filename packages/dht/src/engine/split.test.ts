// A network that was cut in two becomes one again: by bootstrap hosts and by nodes that fell silent, both asked again and again; and
// who is cut off together with neighbours does not count as connected for ever. Engines in virtual time, and nodes on a simulated network.
import { silentLogger } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { Dht, InfoHash } from '@jamikit/core/contracts'
import { ManualClock, SeededRandom, SimNetwork, testCrypto } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { at, idOf, Probe } from '../../test/probe.ts'
import { BOOTSTRAP_KEEP_MS, BOOTSTRAP_MAX_MS, ISLAND_MS, VOTE_LIFE_MS } from '../defaults.ts'
import { dht } from '../dht.ts'
import { EntryPoints } from './entry-points.ts'
import { AddressVotes, MAX_VOTERS } from './votes.ts'

const MINUTE = 60_000

describe('two nodes in one house, cut off from the world', () => {
  const KEYS = ['ab'.repeat(20), '12'.repeat(20)] as unknown as InfoHash[]

  const world = async () => {
    const clock = new ManualClock()
    const random = new SeededRandom(1)
    const network = new SimNetwork({ clock, random: random.fork('network') })
    const node = (name: string) => dht()({
      clock, crypto: testCrypto(), random: random.fork(name), network: network.host(name), logger: silentLogger, port: 4222,
      bootstrap: name === 'hub' ? [] : ['hub:4222'],
    })
    const nodes: Record<string, Dht> = {}
    for (const name of ['hub', 'w1', 'w2', 'w3', 'x', 'y']) {
      nodes[name] = node(name)
      await nodes[name]?.start()
    }
    await clock.advance(2 * MINUTE)
    const found = async (key: InfoHash) => {
      const out: string[] = []
      await clock.run((async () => { for await (const v of (nodes.w2 as Dht).get(key)) out.push(new TextDecoder().decode(v.data)) })())
      return out
    }
    return { clock, network, nodes, found, stop: () => clock.run(Promise.all(Object.values(nodes).map((n) => n.stop()))) }
  }

  it.each([3, 10, 60])('after %i minutes they are part of it again within 10 minutes, and what they keep up is found', async (minutes) => {
    const { clock, network, nodes, found, stop } = await world()
    const [x, y] = [nodes.x as Dht, nodes.y as Dht]
    for (const [i, n] of [x, y].entries()) await clock.run(n.put(KEYS[i] as InfoHash, { data: utf8(`of ${i}`) }, { permanent: true }))
    await clock.advance(8 * MINUTE)
    network.partition(['x', 'y'], ['hub', 'w1', 'w2', 'w3'])
    await clock.advance(minutes * MINUTE)
    network.heal()
    await clock.advance(10 * MINUTE)
    expect([await found(KEYS[0] as InfoHash), await found(KEYS[1] as InfoHash)]).toEqual([['of 0'], ['of 1']])
    expect(x.nodeCount().ipv4).toBeGreaterThan(1)
    await stop()
  }, 60_000)
})

describe('an engine that loses the world', () => {
  /** Four nodes of other networks, one of the own, a bootstrap host. */
  const settled = (bootstrap = true) => {
    const p = new Probe()
    const far = [1, 2, 3, 4].map((n) => `10.${n}.0.1|5000`)
    const live = () => { for (const [i, host] of [...far, '10.0.0.2|5000', '10.99.0.1|4222'].entries()) p.answering.set(host, idOf(0xf000 + i * 0x1000)) }
    live()
    if (bootstrap) p.engine.addBootstrap([at('10.99.0.1', 4222)], p.now)
    for (const host of [...far, '10.0.0.2|5000']) p.ask('ping', { id: p.answering.get(host) as InfoHash }, at(host.split('|')[0] as string))
    p.run(10_000)
    expect([p.engine.status().ipv4, p.engine.nodeCount(p.now).ipv4]).toEqual(['connected', bootstrap ? 6 : 5])
    const cut = () => { for (const host of [...p.answering.keys()]) if (host !== '10.0.0.2|5000') p.answering.delete(host) }
    return { p, cut, live }
  }

  it('is connected with a neighbour only for some time, and again when somebody else answers', () => {
    const { p, cut, live } = settled()
    cut()
    p.run(ISLAND_MS)
    expect(p.engine.status().ipv4).toBe('connected')
    p.run(ISLAND_MS + 15 * MINUTE)
    expect([p.engine.status().ipv4, p.engine.nodeCount(p.now).ipv4]).toEqual(['connecting', 1])
    live()
    p.run(2 * MINUTE)
    expect(p.engine.status().ipv4).toBe('connected')
  })

  it('stays connected with a neighbour while a bootstrap host answers, and where it never knew more', () => {
    const { p, cut } = settled()
    cut()
    p.answering.set('10.99.0.1|4222', idOf(0xf000 + 5 * 0x1000))
    p.run(60 * MINUTE)
    expect(p.engine.status().ipv4).toBe('connected')
    const q = new Probe()
    q.answering.set('10.0.0.2|5000', idOf(9))
    q.ask('ping', { id: idOf(9) }, at('10.0.0.2'))
    q.run(60 * MINUTE)
    expect(q.engine.status().ipv4).toBe('connected')
  })

  it('without bootstrap hosts, too, finds nodes again that fell silent an hour ago', () => {
    const { p, cut, live } = settled(false)
    cut()
    p.run(60 * MINUTE)
    expect(p.engine.nodeCount(p.now).ipv4).toBe(1)
    live()
    p.run(10 * MINUTE)
    expect(p.engine.nodeCount(p.now).ipv4).toBe(5)
  })

  it('tells when bootstrap hosts are tried, so that their names can be resolved again: at most a minute apart while little is known', () => {
    const told: number[] = []
    const p: Probe = new Probe({ onBootstrap: () => void told.push(p.now) })
    p.engine.addBootstrap([at('10.99.0.1', 4222)], p.now)
    p.run(20 * MINUTE)
    const gaps = told.slice(1).map((t, i) => t - (told[i] ?? 0))
    expect([told.length > 18, Math.max(...gaps) <= BOOTSTRAP_MAX_MS]).toEqual([true, true])
  })
})

describe('bootstrap hosts', () => {
  it('whose names are resolved again whenever they are tried are not tried more often for that; an explicit bootstrap acts at once', () => {
    const told: number[] = []
    const hosts = [at('10.99.0.1', 4222), at('10.99.0.2', 4222)]
    const p: Probe = new Probe({ onBootstrap: () => void told.push(p.now) })
    p.engine.addBootstrap(hosts, p.now)
    for (let i = 0; i < 600; i++) {
      const before = told.length
      p.run(1000)
      if (told.length > before) p.engine.addBootstrap(hosts, p.now)
    }
    expect(told.length).toBeLessThan(15)
    p.answering.set('10.99.0.1|4222', idOf(9))
    p.run(60_000)
    expect(p.engine.status().ipv4).toBe('connected')
    p.run(20_000)
    const since = p.sent.length
    p.engine.addBootstrap(hosts, p.now)
    p.run(10)
    expect(p.requests('ping', since).length).toBe(2)
  })
})

describe('ways in', () => {
  it('are tried at once, then after 10, 20, 40 and every 60 s while there is nobody; every minute while few; else every ten minutes', () => {
    const entries = new EntryPoints()
    expect(entries.nextMs('none', false)).toBe(Number.POSITIVE_INFINITY)
    entries.add(at('10.0.0.1'))
    const times: number[] = []
    let now = 0
    for (let i = 0; i < 6; i++) {
      now = Math.max(now, entries.nextMs('none', false))
      times.push(now)
      expect(entries.take(now, 'none').length).toBe(1)
    }
    expect(times).toEqual([0, 10_000, 30_000, 70_000, 130_000, 190_000])
    expect([entries.nextMs('few', false), entries.nextMs('enough', false)]).toEqual([now + BOOTSTRAP_MAX_MS, now + BOOTSTRAP_KEEP_MS])
    entries.hurry()
    expect(entries.nextMs('enough', true)).toBe(Number.NEGATIVE_INFINITY) // an explicit bootstrap always acts
  })

  it('new addresses of bootstrap hosts take the place of old ones; of lost nodes no network has all places', () => {
    const entries = new EntryPoints()
    for (let i = 0; i < 300; i++) entries.add(at('10.0.0.1', i + 1))
    expect([entries.size, entries.isBootstrap(at('10.0.0.1', 1)), entries.isBootstrap(at('10.0.0.1', 300))]).toEqual([256, false, true])
    const lost = new EntryPoints()
    lost.lost(at('10.7.0.1'), 0)
    for (let i = 0; i < 300; i++) lost.lost(at(`10.6.0.${i % 250}`, i + 1), 0)
    expect([lost.size, lost.isLost(at('10.7.0.1'))]).toEqual([9, true])
    for (let i = 0; i < 100; i++) lost.lost(at(`10.${i}.0.1`, 7), 0)
    expect(lost.size).toBe(32)
    lost.take(25 * 60 * MINUTE, 'few')
    expect(lost.size).toBe(0) // after a day
  })
})

describe('votes on our address', () => {
  const say = (votes: AddressVotes, host: string, last: number, now = 0) => votes.count(at(host), Uint8Array.of(10, 0, 0, last), now)

  it('one of each network: who talks much decides nothing', () => {
    const votes = new AddressVotes()
    for (const n of [1, 2, 3]) say(votes, `10.${n}.0.1`, 1)
    for (let i = 0; i < 500; i++) say(votes, `10.66.0.${i % 250}`, 66)
    expect(votes.best(0)).toEqual(Uint8Array.of(10, 0, 0, 1))
  })

  it('they expire, the latest of a network counts, and there are so many at most', () => {
    const votes = new AddressVotes()
    for (const n of [1, 2, 3]) say(votes, `10.${n}.0.1`, 1)
    say(votes, '10.4.0.1', 2, VOTE_LIFE_MS - 1)
    expect([votes.best(VOTE_LIFE_MS - 1), votes.best(VOTE_LIFE_MS), votes.best(3 * VOTE_LIFE_MS)]).toEqual([Uint8Array.of(10, 0, 0, 1), Uint8Array.of(10, 0, 0, 2), undefined])
    for (const n of [1, 2, 3]) say(votes, `10.${n}.0.9`, 3, VOTE_LIFE_MS)
    expect(votes.best(VOTE_LIFE_MS)).toEqual(Uint8Array.of(10, 0, 0, 3))
    for (let i = 0; i < MAX_VOTERS; i++) say(votes, `11.0.${i}.1`, 4, VOTE_LIFE_MS)
    say(votes, '10.1.0.1', 5, VOTE_LIFE_MS)
    expect(votes.best(VOTE_LIFE_MS)).toEqual(Uint8Array.of(10, 0, 0, 4))
    votes.count(at('10.9.0.1'), new Uint8Array(16), 0) // not of this family
    votes.clear()
    expect(votes.best(0)).toBeUndefined()
  })
})
