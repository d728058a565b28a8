// The real connection manager over the real DHT, in virtual time and without a socket: the contract suite end to end below accounts.
import { silentLogger } from '@jamikit/core/base'
import type { AccountUri, BaseEnv, CertificateStore, Dht, PeerIdentity } from '@jamikit/core/contracts'
import { verifyPeerChain } from '@jamikit/core/identity'
import { connectionManagerSuite, ManualClock, SeededRandom, SimNetwork, testCrypto, testIdentity, testPeer } from '@jamikit/core/testing'
import { memoryStorage } from '@jamikit/core'
import { dht } from '@jamikit/dht'
import { ice } from '@jamikit/ice'
import { describe, expect, it } from 'vitest'

async function make() {
  const clock = new ManualClock()
  const random = new SeededRandom(1)
  const network = new SimNetwork({ clock, random: random.fork('network') })
  const crypto = testCrypto({ random: random.fork('crypto') })
  const envOf = (name: string): BaseEnv => ({ clock, crypto, logger: silentLogger, random: random.fork(name), network: network.host(name) })
  const nodes: Dht[] = []
  const node = async (name: string) => {
    const made = dht()({ ...envOf(name), bootstrap: name === 'hub' ? [] : ['hub:4222'], port: 4222 })
    nodes.push(made)
    await made.start()
    return made
  }
  await node('hub')
  const friends = new Set<AccountUri>([0, 1].map((i) => testIdentity(i).device.accountId))
  const side = async (i: number) => {
    const { device: identity } = testIdentity(i)
    const name = `host${i}`
    const certificates: CertificateStore = {
      get: async () => undefined,
      pin: async (chain) => verifyPeerChain(chain, { nowMs: clock.wallTimeMs() }),
      find: async (device) => [0, 1, 2].map((other) => testPeer(testIdentity(other))).find((peer: PeerIdentity) => peer.deviceId === device),
    }
    const policy = { allowsLink: (peer: PeerIdentity) => i === 2 || friends.has(peer.accountId) }
    const manager = ice()({ ...envOf(name), dht: await node(name), identity, certificates, policy, storage: memoryStorage(), prefix: 'a' })
    await manager.start()
    return { manager, self: testPeer(testIdentity(i)) }
  }
  const [a, b, stranger] = [await side(0), await side(1), await side(2)]
  await clock.runUntil(() => nodes.every((one) => one.status().ipv4 === 'connected'))
  const dispose = async () => {
    await clock.run(Promise.all(nodes.map((one) => one.stop())))
    await clock.advance(10_000)
    expect(network.openSockets()).toEqual([])
    expect(clock.pending()).toEqual([])
  }
  return { a, b, stranger, drive: <T>(work: Promise<T>) => clock.run(work), dispose }
}

describe('ice over dht on the simulated network', () => {
  for (const { title, run } of connectionManagerSuite(make)) it(title, run)
})
