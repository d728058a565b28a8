// The shared table, by the contract suites of the real DHT.
import { describe, expect, it } from 'vitest'
import { utf8 } from '../codec/bytes.ts'
import type { InfoHash } from '../contracts/ids.ts'
import { FakeDhtNetwork } from './fake-dht.ts'
import { ManualClock } from './manual-clock.ts'
import { dhtSuite } from './suites/dht.ts'
import { serviceSuite } from './suites/service.ts'
import { spareKey, testCrypto } from './test-crypto.ts'

const KEY = 'ab'.repeat(20) as InfoHash

function make() {
  const clock = new ManualClock()
  const network = new FakeDhtNetwork({ clock, crypto: testCrypto() })
  return { clock, network }
}

describe('FakeDhtNetwork', () => {
  for (const { title, run } of dhtSuite(async () => {
    const { clock, network } = make()
    const nodes = [network.node(), network.node(), network.node()] as const
    for (const node of nodes) await node.start()
    return {
      nodes, crypto: network.crypto, keys: [spareKey(0), spareKey(1)],
      drive: (work) => clock.run(work),
      advance: (ms) => clock.advance(ms),
      dispose: async () => {
        await clock.advance(1000)
        expect(clock.pending()).toEqual([])
        expect(network.listeners.size).toBe(0)
      },
    }
  })) it(title, run)

  for (const { title, run } of serviceSuite(() => {
    const { clock, network } = make()
    return { service: network.node(), drive: (work) => clock.run(work), leaks: () => [...network.nodes, ...clock.pending()] }
  })) it(`service: ${title}`, run)

  it('a node that is cut off finds nothing and cannot put', async () => {
    const { clock, network } = make()
    const [a, b] = [network.node(), network.node()]
    await a.start()
    await b.start()
    const states: string[] = []
    a.onStatus(({ ipv4 }) => states.push(ipv4))
    a.setOnline(false)
    await expect(clock.run(a.put(KEY, { data: utf8('x') }))).rejects.toMatchObject({ code: 'ERR_DHT_UNREACHABLE' })
    a.setOnline(true)
    expect((await clock.run(a.put(KEY, { data: utf8('x') }))).storedBy).toBe(1)
    expect(states).toEqual(['disconnected', 'connected'])
  })
})
