// Whole overlays of some devices in virtual time: they find each other, floods reach all, bans, mobile devices, mass shutdowns.
import { describe, expect, it } from 'vitest'
import { DrtWorld, type SimDevice } from '../../test/drt-world.ts'
import { FIND_PERIOD_MS } from './limits.ts'

/** Devices that each know two others by chance. */
function started(world: DrtWorld, count: number): SimDevice[] {
  const devices = Array.from({ length: count }, () => world.add())
  for (const [i, device] of devices.entries()) {
    const others = devices.filter((other) => other !== device)
    const next = devices[(i + 1) % count] as SimDevice
    device.start([next, others[world.random.below(others.length)] as SimDevice])
  }
  return devices
}

describe('an overlay', () => {
  it.each([1, 2, 3, 4, 5])('SWM-27 of 10 devices with 2 known ones each is one within 5 s, and a flood reaches all (seed %i)', (seed) => {
    const world = new DrtWorld(`ten ${seed}`)
    const devices = started(world, 10)
    world.run(5_000)
    expect(world.islands()).toHaveLength(1)
    devices[3]?.receive(1)
    world.run(2_000)
    expect(devices.filter(({ has }) => !has.has(1))).toEqual([])
  })

  it('connected is told once, however many devices come and go while one stays', () => {
    const world = new DrtWorld('once')
    const [a, b, c] = started(world, 3) as [SimDevice, SimDevice, SimDevice]
    world.run(5_000)
    b.leave()
    world.run(60_000)
    b.start([a, c])
    world.run(60_000)
    expect(a.told).toEqual([true])
  })

  it('whoever loses everybody is told so, follows members, and is back when somebody is', () => {
    const world = new DrtWorld('alone')
    const [a, b, c] = started(world, 3) as [SimDevice, SimDevice, SimDevice]
    world.run(5_000)
    b.leave()
    c.leave()
    world.run(120_000)
    expect(a.told).toEqual([true, false])
    expect(a.tracking.tracked.size).toBe(2)
    b.start([])
    world.run(300_000)
    expect([a.told, a.tracking.tracked.size]).toEqual([[true, false, true], 0])
  })

  it('SWM-26 a banned account is out at once, is not dialled, and is not taken again', () => {
    const world = new DrtWorld('ban')
    const devices = started(world, 6)
    world.run(5_000)
    const out = devices[2] as SimDevice
    world.banned.add(out.account)
    for (const device of devices) device.do(() => device.engine.recheck(world.now))
    world.run(100)
    expect([out.engine.table.size, out.channels.size]).toEqual([0, 0])
    for (const device of devices) device.do(() => device.engine.learn([out], world.now))
    world.run(2 * FIND_PERIOD_MS)
    const staying = devices.filter((device) => device !== out)
    expect(staying.filter(({ engine }) => engine.table.node(out.device) || engine.table.candidate(out.device))).toEqual([])
    expect(world.islands((device) => staying.includes(device))).toHaveLength(1)
  })

  it('SWM-25 SWM-27 mobile devices that left are never dialled, are woken by two others or so, and come back by themselves', () => {
    const world = new DrtWorld('mobiles')
    const desktops = started(world, 9)
    world.run(5_000)
    const mobiles = Array.from({ length: 3 }, () => world.add({ isMobile: true }))
    for (const mobile of mobiles) mobile.start(desktops.slice(0, 4))
    world.run(30_000)
    for (const mobile of mobiles) mobile.leave()
    world.run(1_000)
    const dials = desktops.map((d) => d.dialsOfMobiles)
    world.run(1_000)
    desktops[0]?.receive(7)
    world.run(5_000)
    const wakers = mobiles.map(({ device }) => desktops.filter(({ engine }) => engine.toWake().some((lease) => lease.device === device)).length)
    expect(Math.min(...wakers)).toBeGreaterThanOrEqual(1)
    expect(mobiles.map(({ device }) => world.woken.get(`${device} 7`) ?? 0)).toEqual(wakers)
    const before = desktops.map(({ engine }) => [...engine.table.leases()].length)
    expect(Math.max(...before)).toBeGreaterThan(0)
    expect(desktops.map((d) => d.dialsOfMobiles)).toEqual(dials)
    mobiles[0]?.start(desktops.slice(0, 2))
    world.run(10_000)
    expect(mobiles[0]?.engine.table.size).toBeGreaterThan(0)
  })

  it('SWM-27 a mass shutdown of mobile devices leaves the others in one overlay', () => {
    const world = new DrtWorld('mass')
    const desktops = started(world, 8)
    const mobiles = Array.from({ length: 16 }, () => world.add({ isMobile: true }))
    for (const mobile of mobiles) mobile.start(desktops.filter(() => world.random.chance(0.4)))
    world.run(20_000)
    for (const mobile of mobiles) mobile.leave()
    world.run(5_000)
    expect(world.islands()).toHaveLength(1)
    desktops[1]?.receive(1)
    world.run(2_000)
    expect(desktops.filter(({ has }) => !has.has(1))).toEqual([])
  })

  it('islands that know nothing of each other are joined by what their members write', () => {
    const world = new DrtWorld('islands')
    const [left, right] = [started(world, 8), started(world, 8)]
    world.run(10_000)
    expect(world.islands()).toHaveLength(2)
    for (let message = 1; message <= 4; message++) {
      ;(message % 2 ? left : right)[message]?.receive(message)
      world.run(5_000)
    }
    expect(world.islands()).toHaveLength(1)
    expect([...left, ...right].filter(({ has }) => !has.has(4))).toEqual([])
  })

  it('SWM-26 a FIND is sent for each new device, and then every ten minutes only', () => {
    const world = new DrtWorld('finds')
    const devices = started(world, 6)
    world.run(60_000)
    const before = devices.map(({ engine }) => engine.finds)
    expect(devices.every(({ engine }) => engine.finds <= engine.table.size)).toBe(true)
    world.run(10 * FIND_PERIOD_MS)
    for (const [i, { engine }] of devices.entries()) {
      const more = engine.finds - (before[i] as number)
      expect(more).toBeGreaterThanOrEqual(8) // a question or two each time
      expect(more).toBeLessThanOrEqual(26)
    }
  })
})
