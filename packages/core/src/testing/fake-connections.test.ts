// Connections in memory, by the contract suites of the real ones.
import { describe, expect, it } from 'vitest'
import { FakeConnectionNetwork } from './fake-connections.ts'
import { ManualClock } from './manual-clock.ts'
import { channelSuite } from './suites/channel.ts'
import { connectionManagerSuite } from './suites/connection-manager.ts'
import { serviceSuite } from './suites/service.ts'
import { testIdentity } from './test-identities.ts'

const everybody = { allowsLink: () => true }

async function make() {
  const clock = new ManualClock()
  const network = new FakeConnectionNetwork({ clock })
  const identities = [0, 1, 2].map((i) => testIdentity(i).device)
  const friends = new Set(identities.slice(0, 2).map((identity) => identity.accountId))
  const managers = identities.map((identity, i) =>
    network.manager({ identity, policy: i === 2 ? everybody : { allowsLink: (peer) => friends.has(peer.accountId) } }))
  for (const manager of managers) await manager.start()
  const [a, b, stranger] = managers.map((manager) => ({ manager, self: manager.self }))
  if (!a || !b || !stranger) throw new Error('unreachable')
  const dispose = async () => {
    await clock.advance(1000)
    expect(clock.pending()).toEqual([])
  }
  return { clock, network, a, b, stranger, drive: <T>(work: Promise<T>) => clock.run(work), dispose }
}

describe('FakeConnectionNetwork', () => {
  for (const { title, run } of connectionManagerSuite(make)) it(title, run)

  for (const { title, run } of channelSuite(async () => {
    const { a, b, drive } = await make()
    const other = new Promise<Parameters<Parameters<typeof b.manager.handle>[1]['open']>[0]>((resolve) => b.manager.handle('test', { accept: () => true, open: resolve }))
    return { a: await drive(a.manager.openChannel(b.self.deviceId, 'test:1')), b: await drive(other), drive }
  })) it(`channels: ${title}`, run)

  for (const { title, run } of serviceSuite(() => {
    const clock = new ManualClock()
    const network = new FakeConnectionNetwork({ clock })
    const service = network.manager({ identity: testIdentity(0).device, policy: everybody })
    return { service, drive: (work) => clock.run(work), leaks: () => [...network.managers.keys(), ...clock.pending()] }
  })) it(`service: ${title}`, run)

  it('a partition breaks links and keeps new ones from being made until it heals', async () => {
    const { network, a, b, drive } = await make()
    b.manager.handle('test', { accept: () => true, open: () => {} })
    const channel = await drive(a.manager.openChannel(b.self.deviceId, 'test:1'))
    network.partition([a.self.deviceId], [b.self.deviceId])
    expect(await drive(channel.closed)).toMatchObject({ code: 'ERR_LINK_LOST' })
    expect([a.manager.links(), b.manager.links()]).toEqual([[], []])
    await expect(drive(a.manager.openChannel(b.self.deviceId, 'test:2'))).rejects.toMatchObject({ code: 'ERR_NO_ROUTE' })
    network.heal()
    await drive(a.manager.openChannel(b.self.deviceId, 'test:3'))
  })

  it('a device that goes off the net loses its links and is not announced until it comes back', async () => {
    const { a, b, drive } = await make()
    b.manager.handle('test', { accept: () => true, open: () => {} })
    const channel = await drive(a.manager.openChannel(b.self.deviceId, 'test:1'))
    b.manager.setOnline(false)
    expect(await drive(channel.closed)).toMatchObject({ code: 'ERR_LINK_LOST' })
    await expect(drive(a.manager.openChannel(b.self.deviceId, 'test:2'))).rejects.toMatchObject({ code: 'ERR_PEER_OFFLINE' })
    await expect(drive(b.manager.openChannel(a.self.deviceId, 'test:3'))).rejects.toMatchObject({ code: 'ERR_DHT_UNREACHABLE' })
    b.manager.setOnline(true)
    await drive(a.manager.openChannel(b.self.deviceId, 'test:4'))
  })
})
