// Whom we ask for links again, and how soon. Two real managers, virtual time.
import { JamiError } from '@jamikit/core/base'
import { testIdentity } from '@jamikit/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { Lab } from '../../test/harness.ts'
import { REDIAL_MAX_MS } from '../defaults.ts'

let lab = new Lab()

afterEach(async () => {
  expect(await lab.end()).toEqual([])
  lab = new Lab()
})

/** A program that asks again as soon as it is refused, for so long; gives how often it was refused. */
async function insist(open: () => Promise<unknown>, forMs: number): Promise<number> {
  const end = lab.clock.now() + forMs
  let refused = 0
  const work = (async () => {
    while (lab.clock.now() < end && refused < 500) await open().then(() => { throw new Error('opened') }, () => refused++)
  })()
  await lab.drive(work)
  return refused
}

describe('a peer that refuses us', () => {
  it('after TLS is not asked in a loop, however often a program tries; when it comes itself, everything is at once', async () => {
    let refuses = true
    const known = lab.certificates()
    const a = await lab.side(0)
    const b = await lab.side(1, { certificates: { pin: (chain) => (refuses ? Promise.reject(new JamiError('ERR_CERTIFICATE', 'not you')) : known.pin(chain)) } })
    for (const { manager } of [a, b]) manager.handle('msg', { accept: () => true, open: () => {} })
    const refused = await insist(() => a.manager.openChannel(b.self.deviceId, 'msg:x'), 600_000)
    expect(refused).toBeLessThan(600_000 / REDIAL_MAX_MS + 10)
    expect(refused).toBeGreaterThan(600_000 / REDIAL_MAX_MS / 2)
    refuses = false
    await lab.drive(b.manager.openChannel(a.self.deviceId, 'msg:y'))
    await lab.drive(b.manager.closePeer(a.self.deviceId))
    const before = lab.clock.now()
    await lab.drive(a.manager.openChannel(b.self.deviceId, 'msg:x'))
    expect(lab.clock.now() - before).toBeLessThan(3000)
  })

  it('or whom we refuse when TLS shows who it is, is not asked in a loop', async () => {
    const a = await lab.side(0, { certificates: { pin: () => Promise.reject(new JamiError('ERR_DEVICE_REVOKED', 'gone')) } })
    const b = await lab.side(1)
    const refused = await insist(() => a.manager.openChannel(b.self.deviceId, 'msg:x'), 300_000)
    expect(refused).toBeLessThan(300_000 / REDIAL_MAX_MS + 10)
  })

  it('by closing each new link at once is not asked in a loop, either', async () => {
    const a = await lab.side(0)
    const b = await lab.side(1)
    b.manager.onLink(({ up }) => up && void b.manager.closePeer(a.self.deviceId))
    const refused = await insist(() => a.manager.openChannel(b.self.deviceId, 'msg:x'), 300_000)
    expect(refused).toBeLessThan(300_000 / REDIAL_MAX_MS + 10)
  })

  it('is asked at once when the network has changed', async () => {
    const a = await lab.side(0)
    const b = await lab.side(1, { certificates: { pin: () => Promise.reject(new JamiError('ERR_CERTIFICATE', 'not you')) } })
    await insist(() => a.manager.openChannel(b.self.deviceId, 'msg:x'), 60_000)
    const before = lab.clock.now()
    const opening = a.manager.openChannel(b.self.deviceId, 'msg:x').catch(() => {})
    await lab.clock.advance(100)
    a.manager.connectivityChanged()
    await lab.drive(opening)
    expect(lab.clock.now() - before).toBeLessThan(3000)
  })

  it('does not delay a link to another device', async () => {
    const a = await lab.side(0)
    const b = await lab.side(1, { certificates: { pin: () => Promise.reject(new JamiError('ERR_CERTIFICATE', 'not you')) } })
    const c = await lab.side(2)
    c.manager.handle('msg', { accept: () => true, open: () => {} })
    await insist(() => a.manager.openChannel(b.self.deviceId, 'msg:x'), 60_000)
    const before = lab.clock.now()
    await lab.drive(a.manager.openChannel(testIdentity(2).device.deviceId, 'msg:x'))
    expect(lab.clock.now() - before).toBeLessThan(3000)
  })
})

it('a device is looked up as one of the account that the caller expects', async () => {
  const known = lab.certificates()
  const asked: unknown[] = []
  const a = await lab.side(0, { certificates: {
    pin: (chain) => known.pin(chain),
    find: (device, op) => {
      asked.push([device, op?.account])
      return known.find(device, op)
    },
  } })
  const b = await lab.side(1)
  b.manager.handle('msg', { accept: () => true, open: () => {} })
  await lab.drive(a.manager.openChannel(b.self.deviceId, 'msg:x', { account: b.self.accountId }))
  expect(asked).toContainEqual([b.self.deviceId, b.self.accountId])
})
