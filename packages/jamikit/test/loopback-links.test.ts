// The connection manager on real sockets of this machine, over a shared table instead of a DHT: contract suites, and a bulk transfer.
import { memoryStorage } from '@jamikit/core'
import { silentLogger } from '@jamikit/core/base'
import type { AccountUri, CertificateStore, Channel, Network, PeerIdentity } from '@jamikit/core/contracts'
import { nodeCrypto } from '@jamikit/core/crypto'
import { verifyPeerChain } from '@jamikit/core/identity'
import { channelSuite, connectionManagerSuite, FakeDhtNetwork, testIdentity, testPeer } from '@jamikit/core/testing'
import { ice } from '@jamikit/ice'
import { describe, expect, it } from 'vitest'
import { nodeNetwork, nodeRandom, systemClock } from '../../core/src/io/index.ts'

/** Never anything but this machine. */
const network: Network = { ...nodeNetwork(), addresses: () => [{ host: '127.0.0.1', family: 4 }] }

async function make() {
  const clock = systemClock()
  const base = { clock, crypto: nodeCrypto(), random: nodeRandom(), logger: silentLogger, network }
  const table = new FakeDhtNetwork({ clock, crypto: base.crypto, latencyMs: 0 })
  const friends = new Set<AccountUri>([0, 1].map((i) => testIdentity(i).device.accountId))
  const nodes: { stop(): Promise<void> }[] = []
  const side = async (i: number) => {
    const certificates: CertificateStore = {
      get: async () => undefined,
      pin: async (chain) => verifyPeerChain(chain, { nowMs: clock.wallTimeMs() }),
      find: async (device) => [0, 1, 2].map((other) => testPeer(testIdentity(other))).find((peer: PeerIdentity) => peer.deviceId === device),
    }
    const dht = table.node()
    await dht.start()
    nodes.push(dht)
    const policy = { allowsLink: (peer: PeerIdentity) => i === 2 || friends.has(peer.accountId) }
    const manager = ice()({ ...base, dht, identity: testIdentity(i).device, certificates, policy, storage: memoryStorage(), prefix: 'a' })
    await manager.start()
    return { manager, self: testPeer(testIdentity(i)) }
  }
  const [a, b, stranger] = [await side(0), await side(1), await side(2)]
  const dispose = async () => {
    await Promise.all([a, b, stranger].map(({ manager }) => manager.stop()))
    await Promise.all(nodes.map((node) => node.stop()))
  }
  return { a, b, stranger, drive: <T>(work: Promise<T>) => work, dispose }
}

/** Wait 30 s for an answer that does not come: those run in virtual time only. */
const SLOW = /stranger/

describe('links on real sockets', () => {
  for (const { title, run } of connectionManagerSuite(make)) if (!SLOW.test(title)) it(title, run)

  const pair = async () => {
    const t = await make()
    const other = new Promise<Channel>((resolve) => t.b.manager.handle('test', { accept: () => true, open: resolve }))
    return { ...t, a: await t.a.manager.openChannel(t.b.self.deviceId, 'test:1'), b: await other, managers: t }
  }
  for (const { title, run } of channelSuite(pair)) it(`channel: ${title}`, run)

  it('64 MiB go through a channel with bounded memory', async () => {
    const { a, b, dispose } = await pair()
    const size = 64 << 20
    const piece = new Uint8Array(65_535).fill(7)
    const startedMs = performance.now()
    const writing = (async () => {
      for (let at = 0; at < size; at += piece.length) await a.write(piece.subarray(0, Math.min(piece.length, size - at)))
      await a.close()
    })()
    let got = 0
    let peak = 0
    for await (const bytes of b) {
      got += bytes.length
      if ((got & 0xfff) < 70) peak = Math.max(peak, process.memoryUsage().arrayBuffers)
    }
    await writing
    const seconds = (performance.now() - startedMs) / 1000
    if (process.env['JAMIKIT_SHOW_SPEED']) console.log(`${(size / 1e6 / seconds).toFixed(0)} MB/s, peak ${(peak / 1e6).toFixed(0)} MB`)
    expect(got).toBe(size)
    expect(peak).toBeLessThan(200e6)
    await dispose()
  })
})
