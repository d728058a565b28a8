// The real connection manager on a simulated network, by the contract suites.
import type { Channel } from '@jamikit/core/contracts'
import { channelSuite, connectionManagerSuite, serviceSuite } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { Lab, trio } from '../../test/harness.ts'

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
