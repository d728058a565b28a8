// Announcements and presence in memory, by the contract suites of the real tracker.
import { describe, expect, it } from 'vitest'
import { FakeCertificates } from './fake-certificates.ts'
import { FakeDirectory } from './fake-directory.ts'
import { ManualClock } from './manual-clock.ts'
import { deviceDirectorySuite } from './suites/device-directory.ts'
import { presenceSuite } from './suites/presence.ts'
import { testIdentity } from './test-identities.ts'

describe('FakeDirectory', () => {
  for (const { title, run } of deviceDirectorySuite(() => {
    const clock = new ManualClock()
    const certificates = new FakeCertificates({ clock })
    const directory = new FakeDirectory({ clock, certificates })
    return {
      directory, certificates,
      publish: async ({ device }) => certificates.publish(device.chain),
      announce: async (account, { device }) => directory.announce(account.device.accountId, device.deviceId),
      revoke: async ({ device }) => certificates.revoke(device.deviceId),
      drive: (work) => clock.run(work),
      dispose: async () => {
        await clock.advance(1000)
        expect(clock.pending()).toEqual([])
      },
    }
  })) it(`devices: ${title}`, run)

  for (const { title, run } of presenceSuite(() => {
    const directory = new FakeDirectory({ clock: new ManualClock() })
    return {
      presence: directory,
      announce: async ({ device }) => directory.announce(device.accountId, device.deviceId),
      withdraw: async ({ device }) => directory.withdraw(device.accountId, device.deviceId),
      channel: (account, by) => directory.countChannel(account, by),
    }
  })) it(`presence: ${title}`, run)

  it('without certificates, every announced device counts; all of an account go at once', async () => {
    const clock = new ManualClock()
    const directory = new FakeDirectory({ clock })
    const [{ accountId, deviceId }, second] = [testIdentity(0).device, testIdentity(0, 1).device]
    const look = async () => {
      const out: string[] = []
      for await (const device of directory.devicesOf(accountId)) out.push(device)
      return out
    }
    directory.announce(accountId, deviceId)
    directory.announce(accountId, second.deviceId)
    expect(await clock.run(look())).toEqual([deviceId, second.deviceId])
    directory.withdraw(accountId)
    expect([await clock.run(look()), directory.state(accountId)]).toEqual([[], 'offline'])
  })
})
