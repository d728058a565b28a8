// One routing table and what it does: questions and answers on the wire, dials, leases over real certificates, versions 1 and 2, bounds.
import { toHex } from '@jamikit/core/codec'
import type { AccountUri, ConversationId, DeviceId } from '@jamikit/core/contracts'
import { SeededRandom, testIdentity, testPeer } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { EngineBench, joined } from '../../test/drt-engine.ts'
import { compareDistance, idBeside } from './distance.ts'
import { BAD_MS, CERTIFICATE_TIMEOUT_MS, DIAL_RETRY_FIRST_MS, FIND_PERIOD_MS, LEASE_RENEWAL_S, MAX_DIALS, MAX_FAILED_DIALS, MAX_NODES_PER_ACCOUNT, PASS_RATE, SHORT_CHANNEL_MS } from './limits.ts'
import type { MobileLease } from './wire.ts'

const random = new SeededRandom('engine')
const randomId = () => toHex(random.bytes(32)) as DeviceId
const randomAccount = () => toHex(random.bytes(20)) as AccountUri
const alice = testIdentity(0).device
const bob = testIdentity(1).device
const carol = testIdentity(2).device

/** Alice's engine with some devices connected. */
function connected(count: number): { bench: EngineBench; devices: DeviceId[] } {
  const bench = new EngineBench(alice)
  const devices = Array.from({ length: count }, randomId)
  for (const [i, device] of devices.entries()) bench.up(i + 1, device, randomAccount())
  return { bench, devices }
}
const find = (target: DeviceId, count = 2) => ({ isMobile: false, request: { query: 1, count, target } })
const found = (...nodes: DeviceId[]) => ({ isMobile: false, response: { query: 2, nodes, mobileNodes: [], mobileInfos: [] } })

describe('questions and answers', () => {
  it('SWM-24 a FIND is answered with at most num connected ids, closest first, without the target', () => {
    const { bench, devices } = connected(12)
    bench.engine.learn([{ device: randomId(), account: randomAccount() }], 0)
    bench.take()
    for (const [target, count] of [[randomId(), 2], [devices[0] as DeviceId, 5], [randomId(), 0], [randomId(), -1]] as const) {
      bench.say(1, find(target, count))
      const sorted = devices.filter((d) => d !== target).sort((a, b) => compareDistance(target, a, b))
      expect(bench.take()).toEqual([{ version: 3, isMobile: false, response: { query: 2, nodes: sorted.slice(0, Math.max(0, count)), mobileNodes: [], mobileInfos: [] } }])
    }
    bench.say(1, find(randomId(), 1_000_000))
    expect(bench.take()[0]?.response?.nodes).toHaveLength(12)
    bench.say(1, { isMobile: false, request: { query: 3, count: 2, target: randomId() } })
    expect(bench.take()).toEqual([])
  })

  it('both ends ask for their own id when a channel is up; what is found is dialled, and asked in its turn', () => {
    const { bench, devices } = connected(1)
    expect(bench.take()).toEqual([{ version: 3, ...find(alice.deviceId) }])
    const other = randomId()
    bench.say(1, found(other, devices[0] as DeviceId, alice.deviceId))
    expect(bench.dials).toEqual([{ device: other, existing: false, account: undefined }])
    bench.up(2, other, randomAccount())
    expect(bench.take()).toEqual([{ version: 3, ...find(alice.deviceId) }])
    expect([bench.told, bench.nodes]).toEqual([[true], [`+${devices[0]}`, `+${other}`]])
  })

  it('a question of version 1 is answered, and the answer of version 1 is learnt from', () => {
    const { bench } = connected(1)
    const other = randomId()
    bench.engine.bytes(1, Uint8Array.from([0x84, 0xa1, 0x76, 1, 0xa9, ...new TextEncoder().encode('is_mobile'), 0xc2, 0xa7, ...new TextEncoder().encode('request'), 0xc0, 0xa8, ...new TextEncoder().encode('response'),
      0x83, 0xa1, 0x71, 2, 0xa5, ...new TextEncoder().encode('nodes'), 0x91, 0xc4, 32, ...Buffer.from(other, 'hex'), 0xac, ...new TextEncoder().encode('mobile_nodes'), 0x90]), 0)
    expect(bench.dials.map(({ device }) => device)).toEqual([other])
  })

  it('SWM-26 asks again every ten minutes or so, about any part of the space', () => {
    const { bench, devices } = connected(8)
    bench.take()
    const targets = new Set<DeviceId>()
    for (let i = 1; i <= 20; i++) {
      const before = bench.now
      bench.now = bench.engine.nextMs
      expect(bench.now - before).toBeGreaterThanOrEqual(0.8 * FIND_PERIOD_MS)
      expect(bench.now - before).toBeLessThanOrEqual(1.2 * FIND_PERIOD_MS)
      bench.engine.tick(bench.now)
      const target = bench.sent[0]?.message.request?.target as DeviceId
      targets.add(target)
      const closest = devices.slice().sort((a, b) => compareDistance(target, a, b)).slice(0, 2)
      expect(bench.sent.map(({ channel }) => devices[channel - 1])).toEqual(closest)
      bench.take()
    }
    expect(targets.size).toBeGreaterThan(3)
    expect(targets.has(alice.deviceId)).toBe(true)
  })
})

describe('dialling', () => {
  it('a link that is up is used whatever the buckets want; devices of nobody here are not', () => {
    const { bench } = connected(10)
    const [near, far, banned] = [idBeside(alice.deviceId, 40, random.bytes(32)), idBeside(alice.deviceId, 0, random.bytes(32)), randomId()]
    const account = randomAccount()
    bench.refused.add(banned)
    for (const device of [near, far, banned, far, alice.deviceId]) bench.engine.linkUp(device, account, 0)
    expect(bench.dials).toEqual([near, far].map((device) => ({ device, existing: true, account })))
    bench.dials.length = 0
    const linked = randomId()
    bench.links.add(linked)
    bench.engine.learn([{ device: linked, account }], 0)
    expect(bench.dials).toEqual([{ device: linked, existing: true, account }])
  })

  it('at most 8 attempts make links at once, however many members there are; two in the bucket of a lonely device', () => {
    const bench = new EngineBench(alice)
    bench.engine.learn(Array.from({ length: 500 }, () => ({ device: randomId(), account: randomAccount() })), 0)
    expect(bench.dials).toHaveLength(2)
    const full = connected(400)
    full.bench.engine.learn(Array.from({ length: 500 }, (_, i) => ({ device: idBeside(alice.deviceId, i % 12, random.bytes(32)), account: randomAccount() })), 0)
    expect(full.bench.dials.length).toBeLessThanOrEqual(MAX_DIALS)
  })

  it('a member who does not answer is tried again later and later; an id of nobody is forgotten and not tried for ten minutes', () => {
    const bench = new EngineBench(alice)
    const member = randomId()
    bench.engine.learn([{ device: member, account: bob.accountId }], 0)
    const waits: number[] = []
    for (let i = 0; i < 4; i++) {
      const before = bench.now
      bench.engine.dialFailed(member, false, bench.now)
      bench.now = bench.engine.nextMs
      bench.engine.tick(bench.now)
      waits.push((bench.now - before) / DIAL_RETRY_FIRST_MS)
    }
    expect(bench.dials).toHaveLength(5)
    expect(waits.map((w, i) => w >= 0.8 * 2 ** i && w <= 1.2 * 2 ** i)).toEqual([true, true, true, true])
    while (bench.engine.table.isConnecting(member)) {
      bench.engine.dialFailed(member, false, bench.now)
      bench.tickTo(bench.now + 3_600_000)
    }
    expect(bench.dials).toHaveLength(MAX_FAILED_DIALS) // then it must be seen again
    bench.engine.learn([{ device: member, account: bob.accountId }], bench.now)
    expect(bench.dials).toHaveLength(MAX_FAILED_DIALS + 1)
    const heard = connected(1)
    const nobody = randomId()
    heard.bench.say(1, found(nobody))
    heard.bench.engine.dialFailed(nobody, true, 0)
    const again = (ms: number) => {
      heard.bench.now = ms
      heard.bench.engine.channelDown(1, ms)
      heard.bench.up(1, heard.devices[0] as DeviceId, bob.accountId)
      heard.bench.say(1, found(nobody))
      return heard.bench.dials.filter(({ device }) => device === nobody).length
    }
    expect([again(BAD_MS - 1), again(BAD_MS + 1)]).toEqual([1, 2])
  })

  it('hope: after a change of address whoever waits is tried at once', () => {
    const bench = new EngineBench(alice)
    const member = randomId()
    bench.engine.learn([{ device: member, account: bob.accountId }], 0)
    bench.engine.dialFailed(member, false, 0)
    bench.engine.retry(1)
    expect(bench.dials).toHaveLength(2)
  })

  it('SWM-26 is told when nobody is left: not while somebody is dialled', () => {
    const { bench, devices } = connected(2)
    bench.now = SHORT_CHANNEL_MS
    bench.engine.channelDown(1, bench.now)
    bench.engine.channelDown(2, bench.now)
    expect([bench.told, bench.dials.map(({ device }) => device).sort()]).toEqual([[true], devices.slice().sort()])
    for (const device of devices) bench.engine.dialFailed(device, false, bench.now)
    expect(bench.told).toEqual([true, false])
  })
})

describe('channels', () => {
  it('two of one device are one node: it is gone with the last one', () => {
    const { bench, devices } = connected(1)
    const node = bench.engine.table.node(devices[0] as DeviceId)
    bench.up(2, devices[0] as DeviceId, node?.account as AccountUri)
    bench.take()
    bench.engine.channelDown(1, 0)
    expect(bench.engine.table.size).toBe(1)
    bench.say(2, find(randomId()))
    expect(bench.sent.map(({ channel }) => channel)).toEqual([2])
    bench.engine.channelDown(2, 0)
    expect([bench.engine.table.size, bench.nodes]).toEqual([0, [`+${devices[0]}`, `-${devices[0]}`]])
    for (let i = 10; i < 15; i++) bench.up(i, devices[0] as DeviceId, node?.account as AccountUri)
    expect([...bench.closed]).toEqual([[14, 'ERR_LIMIT']])
  })

  it('whoever is no member is not taken, nor our own device, nor a device as of another account', () => {
    const { bench, devices } = connected(1)
    bench.refused.add(bob.accountId)
    bench.up(7, randomId(), bob.accountId)
    bench.up(8, alice.deviceId, alice.accountId)
    bench.up(9, devices[0] as DeviceId, carol.accountId)
    expect([...bench.closed]).toEqual([[7, 'ERR_PEER_REFUSED'], [8, 'ERR_PEER_REFUSED'], [9, 'ERR_PEER_REFUSED']])
    expect(bench.engine.table.size).toBe(1)
  })

  it('one account takes so many places and no more', () => {
    const bench = new EngineBench(alice)
    for (let i = 1; i <= MAX_NODES_PER_ACCOUNT + 3; i++) bench.up(i, randomId(), bob.accountId)
    bench.up(99, randomId(), carol.accountId)
    expect([bench.engine.table.size, [...bench.closed.values()]]).toEqual([MAX_NODES_PER_ACCOUNT + 1, ['ERR_LIMIT', 'ERR_LIMIT', 'ERR_LIMIT']])
    expect([bench.engine.hasRoom(randomId(), bob.accountId), bench.engine.hasRoom(randomId(), carol.accountId)]).toEqual([false, true])
  })

  it('SWM-26 a ban closes the channels at once and forgets all devices; closing the conversation closes all', () => {
    const { bench, devices } = connected(3)
    const account = bench.engine.table.node(devices[1] as DeviceId)?.account as AccountUri
    const other = randomId()
    bench.engine.learn([{ device: other, account }], 0)
    bench.refused.add(account)
    bench.engine.recheck(0)
    expect([[...bench.closed], bench.engine.table.size, bench.engine.table.candidate(other)]).toEqual([[[2, 'ERR_PEER_REFUSED']], 2, undefined])
    bench.engine.stop(0)
    expect([bench.closed.size, bench.engine.table.size, bench.engine.nextMs, bench.told]).toEqual([3, 0, Number.POSITIVE_INFINITY, [true, false]])
  })
})

describe('mobile devices', () => {
  /** Alice and Carol are desktops, Bob's device is mobile and has met Alice. */
  async function met() {
    const [a, b] = [new EngineBench(alice), new EngineBench(bob)]
    b.engine.setMobile(true, 0)
    await b.rest()
    a.store.set(bob.deviceId, testPeer(bob)) // a link pins it
    joined(a, b, [alice, bob], [1, 2])
    await a.rest()
    return { a, b }
  }

  it('SWM-23 a mobile device says so with a lease that it signed; who met it wakes it when it is gone, and does not dial it', async () => {
    const { a } = await met()
    expect(a.engine.table.node(bob.deviceId)?.lease?.issuer).toBe(bob.accountId)
    expect(a.engine.toWake()).toEqual([])
    a.dials.length = 0
    a.engine.channelDown(1, 0)
    a.engine.learn([{ device: bob.deviceId, account: bob.accountId }], 0)
    a.tickTo(3_600_000)
    expect([a.engine.toWake().map(({ device }) => device), a.dials]).toEqual([[bob.deviceId], []])
  })

  it('SWM-25 others learn it by gossip, with the certificate from whoever told them', async () => {
    const { a } = await met()
    a.engine.channelDown(1, 0)
    const c = new EngineBench(carol)
    joined(a, c, [alice, carol], [3, 4])
    await c.rest()
    await a.rest()
    await c.rest()
    expect(c.found).toEqual([`here ${bob.deviceId}`])
    expect(c.sent.some(({ message }) => message.certificateRequest?.[0] === bob.deviceId)).toBe(true)
    expect([...c.engine.table.leases()].map(({ device }) => device)).toEqual([bob.deviceId])
  })

  it('a peer without the certificate leaves the DHT; when that has none, the lease is dropped', async () => {
    const { a } = await met()
    a.engine.channelDown(1, 0)
    a.store.clear()
    const c = new EngineBench(carol)
    joined(a, c, [alice, carol], [3, 4])
    for (let i = 0; i < 3; i++) {
      await c.rest()
      await a.rest()
    }
    expect(c.found).toEqual([`here ${bob.deviceId}`, `dht ${bob.deviceId}`])
    expect([...c.engine.table.leases()]).toEqual([])
  })

  it('a peer that does not answer is not waited for beyond ten seconds', async () => {
    const { a } = await met()
    const [lease] = a.engine.table.leases() as Iterable<MobileLease>
    const { bench } = connected(1)
    bench.dht.set(bob.deviceId, testPeer(bob))
    bench.say(1, { isMobile: false, response: { query: 2, nodes: [], mobileNodes: [bob.deviceId], mobileInfos: [{ id: bob.deviceId, lease }] } })
    await bench.rest()
    bench.tickTo(CERTIFICATE_TIMEOUT_MS)
    await bench.rest()
    expect(bench.found).toEqual([`here ${bob.deviceId}`, `dht ${bob.deviceId}`])
    expect([...bench.engine.table.leases()]).toHaveLength(1)
  })

  it('certificates are given of our own device and of mobile ones that we named, of nobody else: not an oracle', async () => {
    const { a } = await met()
    a.engine.channelDown(1, 0)
    a.store.set(carol.deviceId, testPeer(carol))
    a.up(5, randomId(), randomAccount())
    a.take()
    a.say(5, { isMobile: false, certificateRequest: [bob.deviceId, carol.deviceId, alice.deviceId] })
    await a.rest()
    expect(a.take().map(({ certificates }) => certificates?.length)).toEqual([1]) // its own; Bob was not named yet
    a.say(5, find(bob.deviceId))
    expect(a.take()[0]?.response?.mobileInfos?.map(({ id }) => id)).toEqual([bob.deviceId])
    a.say(5, { isMobile: false, certificateRequest: [bob.deviceId, carol.deviceId, alice.deviceId] })
    await a.rest()
    expect(a.take().map(({ certificates }) => certificates?.length)).toEqual([2])
  })

  it('SWM-23 is not believed: a lease of another conversation, of a stranger, of somebody else, without one, after the sunset', async () => {
    const { b } = await met()
    const lease = b.sent.find(({ message }) => message.self)?.message.self?.lease as MobileLease
    const refusing = async (prepare: (bench: EngineBench) => { id: DeviceId; lease: MobileLease | undefined }, conversation?: ConversationId) => {
      const bench = new EngineBench(alice, conversation)
      bench.store.set(bob.deviceId, testPeer(bob))
      bench.up(1, bob.deviceId, bob.accountId)
      bench.say(1, { isMobile: true, self: prepare(bench) })
      await bench.rest()
      bench.engine.channelDown(1, 0)
      bench.tickTo(60_000)
      return [...bench.engine.table.leases()].length + bench.dials.length
    }
    expect(await refusing(() => ({ id: bob.deviceId, lease }))).toBe(1) // the good one
    expect(await refusing(() => ({ id: bob.deviceId, lease }), 'd'.repeat(40) as ConversationId)).toBe(0)
    expect(await refusing((bench) => (bench.strangers.add(bob.accountId), { id: bob.deviceId, lease }))).toBe(0)
    expect(await refusing(() => ({ id: carol.deviceId, lease: { ...lease, device: carol.deviceId } }))).toBe(0)
    expect(await refusing(() => ({ id: bob.deviceId, lease: { ...lease, expiresAt: lease.expiresAt - 1 } }))).toBe(0)
    expect(await refusing(() => ({ id: bob.deviceId, lease: undefined }))).toBe(0)
  })

  it('a device that says it is not mobile any more is dialled again, whatever others still tell', async () => {
    const { a } = await met()
    const [lease] = a.engine.table.leases() as Iterable<MobileLease>
    a.say(1, { ...find(bob.deviceId), isMobile: false })
    a.up(6, randomId(), randomAccount())
    a.say(6, { isMobile: false, response: { query: 2, nodes: [], mobileNodes: [bob.deviceId], mobileInfos: [{ id: bob.deviceId, lease }] } })
    await a.rest()
    expect(a.found.filter((f) => f === `here ${bob.deviceId}`)).toHaveLength(2) // it was looked at
    a.now = SHORT_CHANNEL_MS
    a.engine.channelDown(1, a.now)
    expect([[...a.engine.table.leases()], a.dials.at(-1)?.device]).toEqual([[], bob.deviceId])
  })

  it('leases expire within a minute, and our own is renewed two weeks before its end', async () => {
    const { a, b } = await met()
    a.engine.channelDown(1, 0)
    expect(a.engine.toWake()).toHaveLength(1)
    const [first] = a.engine.table.leases() as Iterable<MobileLease>
    b.take()
    b.tickTo((30 * 86_400 - LEASE_RENEWAL_S - 7_200) * 1000)
    await b.rest()
    expect(new Set(b.take().map(({ self }) => self?.lease?.issuedAt))).toEqual(new Set([first?.issuedAt]))
    b.tickTo((30 * 86_400 - LEASE_RENEWAL_S + 7_200) * 1000)
    await b.rest() // and whoever is connected gets the new one with a question
    expect((b.take().at(-1)?.self?.lease?.issuedAt ?? 0) - (first?.issuedAt ?? 0)).toBeGreaterThan(30 * 86_400 - LEASE_RENEWAL_S)
    a.tickTo(30 * 86_400_000 + 60_000)
    expect(a.engine.toWake()).toEqual([])
  })

  it('SWM-25 a mobile device that falls asleep is told to the two who are closest, unless it is ours to wake; what comes with it unasked is not learnt', async () => {
    const { a } = await met()
    const near = [250, 251, 252].map((bits) => idBeside(bob.deviceId, bits, random.bytes(32)))
    for (const [i, device] of near.entries()) a.up(10 + i, device, randomAccount())
    a.take()
    const [lease] = a.engine.table.leases() as Iterable<MobileLease>
    a.engine.channelDown(1, 0)
    expect(a.sent.map(({ channel, message }) => [channel, message.response])).toEqual([12, 11].map((channel) => [channel, { query: 2, nodes: [], mobileNodes: [bob.deviceId], mobileInfos: [{ id: bob.deviceId, lease }] }]))
    const { bench } = connected(1)
    bench.store.set(bob.deviceId, testPeer(bob))
    bench.say(1, found())
    bench.say(1, { isMobile: false, response: { query: 2, nodes: [randomId()], mobileNodes: [bob.deviceId], mobileInfos: [{ id: bob.deviceId, lease }] } })
    await bench.rest()
    expect([[...bench.engine.table.leases()].length, bench.dials]).toEqual([1, []])
    const alone = (await met()).a
    alone.take()
    alone.up(5, randomId(), randomAccount())
    alone.take()
    alone.engine.channelDown(1, 0)
    expect(alone.take()).toEqual([])
  })

  it('leases are passed on at a rate, and a newer one of a device that is known is not', async () => {
    const { bench } = connected(0)
    for (let i = 0; i < 4; i++) bench.up(100 + i, idBeside(bob.deviceId, 240 + i, random.bytes(32)), randomAccount())
    bench.take()
    const wallS = Math.floor(bench.wallMs / 1000)
    const leases = Array.from({ length: 3 * PASS_RATE.burst }, (): MobileLease => ({
      format: 1, conversation: bench.conversation, issuer: randomAccount(), device: idBeside(bob.deviceId, 200, random.bytes(32)), issuedAt: wallS, expiresAt: wallS + 1_000, signature: new Uint8Array(1),
    }))
    for (const lease of leases) bench.engine.leaseChecked(lease, true, 0)
    expect(bench.take()).toHaveLength(2 * PASS_RATE.burst)
    bench.now = 60_000
    bench.engine.leaseChecked({ ...(leases[0] as MobileLease), expiresAt: wallS + 2_000 }, true, bench.now)
    expect(bench.take()).toEqual([])
  })

  it('what was checked in an earlier run is woken after a cold start', async () => {
    const { a } = await met()
    const leases = [...a.engine.table.leases()]
    const again = new EngineBench(alice)
    again.engine.restore(leases, 0)
    expect(again.engine.toWake().map(({ device }) => device)).toEqual([bob.deviceId])
    again.strangers.add(bob.accountId)
    expect(again.engine.toWake()).toEqual([])
  })
})
