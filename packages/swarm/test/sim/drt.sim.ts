// 500 devices in one conversation in virtual time, a fifth of which come and go, a third of which are mobile: one overlay within a minute,
// every message reaches all that are there, questions as often as the protocol says, and a table that does not grow with the members.
import type { AccountUri } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { FIND_PERIOD_MS, MAX_HEARD, MAX_KNOWN } from '../../src/drt/limits.ts'
import { DrtWorld, type SimDevice } from '../drt-world.ts'

const SEEDS = process.env.JAMIKIT_SIM === 'ci' ? [1] : [1, 2, 3]
const MINUTE_MS = 60_000

interface Town {
  readonly world: DrtWorld
  readonly devices: SimDevice[]
  readonly desktops: SimDevice[]
  readonly mobiles: SimDevice[]
}

/** Devices of accounts with one to three of them, started within ten seconds. */
function town(seed: number, count: number): Town {
  const world = new DrtWorld(`town ${seed}`)
  const devices: SimDevice[] = []
  for (let account: AccountUri | undefined; devices.length < count; ) {
    const device = world.add({ ...(account && world.random.chance(0.4) ? { account } : {}), isMobile: world.random.chance(0.3) })
    account = device.account
    devices.push(device)
  }
  for (const device of devices) world.agenda.after(world.random.below(10_000), () => device.start())
  return { world, devices, desktops: devices.filter(({ isMobile }) => !isMobile), mobiles: devices.filter(({ isMobile }) => isMobile) }
}

/** Devices that are there and do not have a message. */
const missing = (devices: readonly SimDevice[], message: number) => devices.filter((device) => device.isOnline && !device.has.has(message)).length

describe('a conversation of 500 devices', () => {
  it.each(SEEDS)('SWM-27 is one overlay within 60 s, and messages reach all while a fifth come and go (seed %i)', (seed) => {
    const { world, desktops, mobiles } = town(seed, 500)
    world.run(MINUTE_MS)
    expect(world.islands()).toHaveLength(1)

    // mobile devices go to sleep: somebody wakes each of them for a message
    for (const mobile of mobiles) mobile.leave()
    world.run(MINUTE_MS)
    desktops[0]?.receive(1)
    world.run(10_000)
    expect(missing(desktops, 1)).toBe(0)
    const wakers = mobiles.map(({ device }) => world.woken.get(`${device} 1`) ?? 0)
    expect(Math.min(...wakers)).toBeGreaterThanOrEqual(1)
    expect(wakers.reduce((a, b) => a + b) / wakers.length).toBeLessThan(4)

    // some leave and others come all the time, for ten minutes, with a message every 20 s
    for (let message = 2; message < 32; message++) {
      for (const device of desktops) {
        if (world.random.chance(device.isOnline ? 0.02 : 0.08)) world.agenda.after(world.random.below(15_000), () => (device.isOnline ? device.leave() : device.start()))
      }
      world.run(15_000)
      const there = desktops.filter(({ isOnline, engine }) => isOnline && engine.table.size > 0)
      there[world.random.below(there.length)]?.receive(message)
      world.run(5_000)
      expect(missing(there, message)).toBe(0)
    }
    world.run(MINUTE_MS)
    expect(world.islands()).toHaveLength(1)
    for (let message = 1; message < 32; message++) expect(missing(desktops, message)).toBe(0)
  })

  it('SWM-27 work and memory of a device do not grow with the members beyond the routing table', () => {
    const measured = [125, 500].map((count) => {
      const { world, devices } = town(7, count)
      world.run(30 * MINUTE_MS)
      const finds = devices.map(({ engine }) => engine.finds)
      return {
        entries: Math.max(...devices.map((d) => d.maxEntries)), connected: Math.max(...devices.map(({ engine }) => engine.table.size)), dials: Math.max(...devices.map((d) => d.dials)),
        finds: Math.max(...finds), bytes: Math.max(...devices.map((d) => d.bytesOut)), buckets: Math.max(...devices.map(({ engine }) => engine.table.buckets)),
      }
    })
    const [small, large] = measured as [(typeof measured)[0], (typeof measured)[0]]
    for (const { entries, buckets, finds, connected } of measured) {
      expect(entries).toBeLessThan(buckets * (MAX_KNOWN + MAX_HEARD))
      expect(finds).toBeLessThan(3 * connected + 2 * (1 + (30 * MINUTE_MS) / (0.8 * FIND_PERIOD_MS)))
    }
    expect(large.connected).toBeLessThan(2.5 * small.connected)
    expect(large.dials).toBeLessThan(2.5 * small.dials)
  })
})
