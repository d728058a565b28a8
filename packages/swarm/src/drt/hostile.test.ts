// A member that uses the routing table against others: ids of nobody, floods of questions, leases, certificates and bytes. What it can make
// us do is bounded, and members keep what they need.
import { toHex } from '@jamikit/core/codec'
import type { AccountUri, DeviceId } from '@jamikit/core/contracts'
import { SeededRandom, testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { EngineBench } from '../../test/drt-engine.ts'
import { DrtWorld, type SimDevice } from '../../test/drt-world.ts'
import { idBeside } from './distance.ts'
import { CERTIFICATE_TIMEOUT_MS, EXCESS_RATE, FIND_RATE, HEARD_RATE, MAX_BAD, MAX_MESSAGE_BYTES, MAX_PENDING_LEASES, MAX_REMEMBERED_PEERS } from './limits.ts'
import type { MobileLease } from './wire.ts'

const random = new SeededRandom('hostile')
const randomId = () => toHex(random.bytes(32)) as DeviceId
const randomAccount = () => toHex(random.bytes(20)) as AccountUri
const alice = testIdentity(0).device
const found = (nodes: DeviceId[]) => ({ isMobile: false, response: { query: 2, nodes, mobileNodes: [], mobileInfos: [] } })

/** Alice's engine, and a hostile device that is connected on channel 1. */
function attacked() {
  const bench = new EngineBench(alice)
  const hostile = randomId()
  const account = randomAccount()
  bench.up(1, hostile, account)
  bench.take()
  return { bench, hostile, account }
}

describe('a hostile member', () => {
  it('is not listened to when nobody asked it, and of an answer only as many ids count as were asked for', () => {
    const { bench } = attacked()
    bench.say(1, found(Array.from({ length: 1_000 }, randomId)))
    expect(bench.dials).toHaveLength(2)
    for (let i = 0; i < 100; i++) bench.say(1, found(Array.from({ length: 1_000 }, randomId)))
    expect([bench.dials.length, bench.engine.table.entries]).toEqual([2, 3])
  })

  it('costs so many look-ups of ids of nobody and no more, however often it comes back; members are dialled meanwhile', () => {
    const { bench, hostile, account } = attacked()
    const members = Array.from({ length: 4 }, (_, i) => ({ device: idBeside(alice.deviceId, 4 * i, random.bytes(32)), account: randomAccount() }))
    for (let i = 0; i < 500; i++) {
      bench.say(1, found([idBeside(alice.deviceId, 200, random.bytes(32)), idBeside(alice.deviceId, 201, random.bytes(32))]))
      for (const { device } of bench.dials.splice(0)) bench.engine.dialFailed(device, true, bench.now)
      bench.engine.channelDown(1, bench.now)
      bench.up(1, hostile, account)
    }
    let lookups = 0
    for (let minute = 0; minute < 60; minute++) {
      bench.now += 60_000
      bench.say(1, found([idBeside(alice.deviceId, 200, random.bytes(32)), idBeside(alice.deviceId, 201, random.bytes(32))]))
      for (const { device } of bench.dials.splice(0).filter((d) => d.device !== hostile)) {
        lookups++
        bench.engine.dialFailed(device, true, bench.now)
      }
      bench.engine.channelDown(1, bench.now)
      bench.up(1, hostile, account)
    }
    expect(lookups).toBeLessThanOrEqual(2 * 60)
    bench.say(1, found([idBeside(alice.deviceId, 202, random.bytes(32)), idBeside(alice.deviceId, 203, random.bytes(32))]))
    bench.engine.learn(members, bench.now)
    expect(bench.dials.some(({ device }) => members.some((m) => m.device === device))).toBe(true)
    expect(bench.engine.table.entries).toBeLessThan(100)
  })

  it('the burst of ids of one device is bounded', () => {
    const { bench, hostile, account } = attacked()
    let lookups = 0
    for (let i = 0; i < 200; i++) {
      bench.say(1, found([randomId(), randomId()]))
      for (const { device } of bench.dials.splice(0).filter((d) => d.device !== hostile)) {
        lookups++
        bench.engine.dialFailed(device, true, 0)
      }
      bench.engine.channelDown(1, 0)
      bench.up(1, hostile, account)
    }
    expect(lookups).toBe(HEARD_RATE.burst)
  })

  it('a flood of questions is answered at a rate, and ends the channel when it goes on', () => {
    const { bench } = attacked()
    let asked = 0
    for (; !bench.closed.has(1) && asked < 10_000; asked++) bench.say(1, { isMobile: false, request: { query: 1, count: 2, target: randomId() } })
    expect(bench.take()).toHaveLength(FIND_RATE.burst)
    expect([asked, bench.closed.get(1), bench.engine.table.size]).toEqual([FIND_RATE.burst + EXCESS_RATE.burst + 1, 'ERR_LIMIT', 0])
  })

  it.each<[string, (bench: EngineBench) => void]>([
    ['questions for certificates', (bench) => bench.say(1, { isMobile: false, certificateRequest: [randomId()] })],
    ['certificates that nobody asked for', (bench) => bench.say(1, { isMobile: false, certificates: [random.bytes(1_000)] })],
    ['answers to nothing', (bench) => bench.say(1, found([]))],
    ['messages that say nothing', (bench) => bench.say(1, { isMobile: false })],
  ])('a flood of %s ends the channel', (_, send) => {
    const { bench } = attacked()
    for (let i = 0; !bench.closed.has(1) && i < 10_000; i++) send(bench)
    expect(bench.closed.get(1)).toBe('ERR_LIMIT')
  })

  it('bytes that are no messages, and a message without end, end the channel, and nothing else', () => {
    const bench = new EngineBench(alice)
    for (let i = 1; i <= 3; i++) bench.up(i, randomId(), randomAccount())
    bench.engine.bytes(1, Uint8Array.of(0xc1), 0)
    bench.engine.bytes(2, Uint8Array.of(0xde, 0x10, 0), 0)
    for (let sent = 0; !bench.closed.has(2) && sent <= MAX_MESSAGE_BYTES; sent += 60_000) bench.engine.bytes(2, Uint8Array.from([0xc5, 0xea, 0x5d, ...new Uint8Array(59_997)]), 0)
    expect([[...bench.closed], bench.engine.table.size]).toEqual([[[1, 'ERR_CODEC'], [2, 'ERR_LIMIT']], 1])
  })

  it('leases without end wait in 64 places, and lead to a bounded number of look-ups', async () => {
    const { bench } = attacked()
    const wallS = Math.floor(bench.wallMs / 1000)
    const lease = (): MobileLease => ({ format: 1, conversation: bench.conversation, issuer: randomAccount(), device: randomId(), issuedAt: wallS, expiresAt: wallS + 1_000 + random.below(1_000), signature: new Uint8Array(256) })
    const mobileInfos = Array.from({ length: 128 }, lease).map((l) => ({ id: l.device, lease: l }))
    bench.say(1, { isMobile: false, response: { query: 2, nodes: [], mobileNodes: [], mobileInfos } })
    await bench.rest()
    expect(bench.found.filter((f) => f.startsWith('here')).length).toBeLessThanOrEqual(128)
    const lookups = () => bench.found.filter((f) => f.startsWith('dht')).length
    for (let i = 1; i <= 5; i++) {
      bench.tickTo(i * CERTIFICATE_TIMEOUT_MS)
      await bench.rest()
    }
    expect(lookups()).toBeGreaterThan(0)
    expect(lookups()).toBeLessThanOrEqual(HEARD_RATE.burst + 5 * CERTIFICATE_TIMEOUT_MS / 1000 * HEARD_RATE.perSecond)
    expect([...bench.engine.table.leases()]).toEqual([])
    expect(bench.sent.flatMap(({ message }) => message.certificateRequest ?? []).length).toBeLessThanOrEqual(MAX_PENDING_LEASES)
  })

  it('what is remembered of devices that came and went, and of ids of nobody, is bounded', () => {
    const bench = new EngineBench(alice)
    for (let i = 1; i <= MAX_REMEMBERED_PEERS + 200; i++) {
      bench.up(i, randomId(), randomAccount())
      bench.say(i, found([randomId(), randomId()]))
      for (const { device } of bench.dials.splice(0)) bench.engine.dialFailed(device, true, 0)
      bench.engine.channelDown(i, 0)
    }
    expect(bench.engine.remembered).toEqual({ peers: MAX_REMEMBERED_PEERS, bad: MAX_BAD })
    expect(bench.engine.table.entries).toBeLessThan(600)
  })

  it('an overlay with hostile answers becomes one all the same', () => {
    const world = new DrtWorld('hostile overlay')
    const devices = Array.from({ length: 30 }, () => world.add())
    const hostile = new Set(devices.slice(0, 6))
    for (const device of devices) device.start()
    for (const device of hostile) {
      const engine = device.engine
      const bytes = engine.bytes.bind(engine)
      // answers every question with ids of nobody, as close to whoever asks as it likes
      device.engine.bytes = (channel, chunk, now) => {
        bytes(channel, chunk, now)
        const peer = device.channels.get(channel)?.peer
        if (peer) device.say(channel, found([idBeside(peer.device, 100 + world.random.below(100), world.random.bytes(32)), idBeside(peer.device, 100, world.random.bytes(32))]))
      }
    }
    world.run(60_000)
    const honest = (device: SimDevice) => !hostile.has(device)
    expect(world.islands(honest)).toHaveLength(1)
    expect(Math.max(...devices.filter(honest).map(({ dials }) => dials))).toBeLessThan(150)
  })
})
