// The real connection manager on a simulated network, by the contract suites.
import type { Channel } from '@jamikit/core/contracts'
import { silentLogger } from '@jamikit/core/base'
import { channelSuite, connectionManagerSuite, serviceSuite, testIdentity, testStorage } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { Lab, trio } from '../../test/harness.ts'
import { Manager } from './connection-manager.ts'

describe('contract suites on the simulated network', () => {
  for (const { title, run } of connectionManagerSuite(async () => {
    const t = await trio()
    return { ...t, dispose: async () => expect(await t.lab.end()).toEqual([]) }
  })) it(title, run)

  for (const { title, run } of channelSuite(async () => {
    const { lab, a, b, drive } = await trio()
    const other = new Promise<Channel>((resolve) => b.manager.handle('test', { accept: () => true, open: resolve }))
    return { a: await drive(a.manager.openChannel(b.self.deviceId, 'test:1')), b: await drive(other), drive, rest: () => lab.clock.advance(10_000), dispose: async () => expect(await lab.end()).toEqual([]) }
  })) it(`channel: ${title}`, run)

  for (const { title, run } of serviceSuite(async () => {
    const lab = new Lab()
    const { manager } = await lab.side(0, { started: false })
    return { service: manager, drive: lab.drive, leaks: () => [...lab.network.openSockets(), ...lab.clock.pending(), ...lab.dhtNetwork.listeners] }
  })) it(`service: ${title}`, run)
})

it.each([[true, true, 'links are made over IPv4 and IPv6'], [false, true, 'links are made over IPv6 only: devices that have only the other one are out of reach'], [true, false, 'links are made over IPv4 only: devices that have only the other one are out of reach']])(
  'the start says over which families links are made (IPv4 %s, IPv6 %s)', async (ipv4, ipv6, expected) => {
    const lab = new Lab()
    const said: (string | undefined)[] = []
    const manager = new Manager({
      ...lab.env('other'), network: lab.network.host('six', { ipv4, ipv6 }), logger: { ...silentLogger, info: (_fields, message) => void said.push(message) },
      dht: await lab.dht(), identity: testIdentity(0).device, certificates: lab.certificates(), policy: { allowsLink: () => true }, storage: testStorage(), prefix: 'p',
    })
    lab.managers.push(manager)
    await lab.drive(manager.start())
    expect(said).toEqual([expected])
    expect(await lab.end()).toEqual([])
  })
