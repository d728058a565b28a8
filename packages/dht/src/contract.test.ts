// Three DHT nodes on the simulated network, by the contract suites.
import { silentLogger } from '@jamikit/core/base'
import { dhtSuite, ManualClock, SeededRandom, serviceSuite, SimNetwork, spareKey, testCrypto } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { dht } from './dht.ts'

function world() {
  const clock = new ManualClock()
  const random = new SeededRandom(1)
  const network = new SimNetwork({ clock, random: random.fork('network') })
  const crypto = testCrypto({ random: random.fork('crypto') })
  const node = (name: string) =>
    dht()({ clock, crypto, random: random.fork(name), network: network.host(name), logger: silentLogger, bootstrap: name === 'first' ? [] : ['first:4222'], port: 4222 })
  return { clock, network, crypto, node }
}

describe('dht by its contract', () => {
  for (const { title, run } of dhtSuite(async () => {
    const { clock, network, crypto, node } = world()
    const nodes = [node('first'), node('second'), node('third')] as const
    for (const one of nodes) await one.start()
    await clock.runUntil(() => nodes.every((one) => one.status().ipv4 === 'connected' && one.status().ipv6 === 'connected' && one.nodeCount().ipv4 === 2))
    const dispose = async () => {
      await clock.advance(5000)
      expect(network.openSockets()).toEqual([])
      expect(clock.pending()).toEqual([])
    }
    return { nodes, crypto, keys: [spareKey(0), spareKey(1)], drive: (work) => clock.run(work), advance: (ms) => clock.advance(ms), dispose }
  })) it(title, run)

  for (const { title, run } of serviceSuite(() => {
    const { clock, network, node } = world()
    return { service: node('second'), drive: (work) => clock.run(work), leaks: () => [...network.openSockets(), ...clock.pending()] }
  })) it(`service: ${title}`, run)
})
