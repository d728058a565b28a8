// The routing table against the definitions of the specification, written down again as plainly as they stand there.
import { toHex } from '@jamikit/core/codec'
import type { AccountUri, DeviceId } from '@jamikit/core/contracts'
import { SeededRandom } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { commonBits, compareDistance, idBeside } from './distance.ts'
import { BUCKET_SIZE, MAX_HEARD, MAX_KNOWN, MAX_MOBILE, MAX_MOBILE_PER_ACCOUNT, SHORT_CHANNEL_MS } from './limits.ts'
import { RoutingTable } from './routing-table.ts'
import type { MobileLease } from './wire.ts'

const random = new SeededRandom('routing table')
const randomId = () => toHex(random.bytes(32)) as DeviceId
const randomAccount = () => toHex(random.bytes(20)) as AccountUri
const someone = randomAccount()
const number = (id: DeviceId) => BigInt(`0x${id}`)
const distance = (a: DeviceId, b: DeviceId) => number(a) ^ number(b)
const lease = (device: DeviceId, issuer = randomAccount(), expiresAt = 1_000): MobileLease => ({ format: 1, conversation: 'c', issuer, device, issuedAt: 0, expiresAt, signature: new Uint8Array(1) })

/** Buckets with lower limits, split at the middle bit where they cover our id (spec 04 §6.1). */
class PlainTable {
  readonly buckets: { limit: bigint; nodes: DeviceId[] }[] = [{ limit: 0n, nodes: [] }]
  readonly #own: DeviceId

  constructor(own: DeviceId) {
    this.#own = own
  }

  find(id: DeviceId): number {
    return this.buckets.findLastIndex(({ limit }) => limit <= number(id))
  }

  add(id: DeviceId): void {
    const at = this.find(id)
    const bucket = this.buckets[at] as { limit: bigint; nodes: DeviceId[] }
    if (bucket.nodes.length === BUCKET_SIZE && at === this.find(this.#own)) {
      const next = this.buckets[at + 1]?.limit ?? 0n
      const depth = 1 + Math.max(lowestBit(bucket.limit), lowestBit(next))
      const limit = bucket.limit | (1n << BigInt(255 - depth))
      const nodes = bucket.nodes
      bucket.nodes = nodes.filter((n) => number(n) < limit)
      this.buckets.splice(at + 1, 0, { limit, nodes: nodes.filter((n) => number(n) >= limit) })
      return this.add(id)
    }
    bucket.nodes.push(id)
  }
}

/** Index of the lowest bit that is set, counted from the top; -1 for none. */
function lowestBit(limit: bigint): number {
  for (let i = 255; i >= 0; i--) if ((limit >> BigInt(255 - i)) & 1n) return i
  return -1
}

describe('distance', () => {
  it('orders ids by XOR and counts common bits, as numbers of 256 bits do', () => {
    for (let i = 0; i < 500; i++) {
      const target = randomId()
      const a = i % 3 === 0 ? idBeside(target, random.below(256), random.bytes(32)) : randomId()
      const b = i % 5 === 0 ? a : randomId()
      expect(Math.sign(compareDistance(target, a, b))).toBe(distance(target, a) === distance(target, b) ? 0 : distance(target, a) < distance(target, b) ? -1 : 1)
      const difference = distance(target, a)
      expect(commonBits(target, a)).toBe(difference === 0n ? 256 : 256 - difference.toString(2).length)
    }
  })

  it('makes ids that share exactly the bits asked for', () => {
    const own = randomId()
    for (const bits of [0, 1, 3, 4, 7, 8, 100, 254, 255]) expect(commonBits(own, idBeside(own, bits, random.bytes(32)))).toBe(bits)
  })
})

describe('the routing table', () => {
  it('splits its own bucket only: the same buckets as with lower limits, for 100 tables of 60 devices', () => {
    for (let round = 0; round < 100; round++) {
      const own = randomId()
      const table = new RoutingTable(own)
      const plain = new PlainTable(own)
      const ids = Array.from({ length: 60 }, (_, i) => (i % 4 === 0 ? idBeside(own, random.below(40), random.bytes(32)) : randomId()))
      for (const id of ids) {
        table.connect(id, someone)
        plain.add(id)
      }
      expect(table.buckets).toBe(plain.buckets.length)
      const pairs = new Set([...ids, own].map((id) => `${table.indexOf(id)} ${plain.find(id)}`))
      expect(pairs.size).toBe(new Set([...ids, own].map((id) => plain.find(id))).size) // each bucket of the one is one of the other
      expect(pairs.size).toBe(new Set([...ids, own].map((id) => table.indexOf(id))).size)
    }
  })

  it('SWM-24 the closest connected devices are those of a full sort, without the target, at most as many as asked for', () => {
    for (let round = 0; round < 30; round++) {
      const table = new RoutingTable(randomId())
      const ids = Array.from({ length: 1 + random.below(40) }, randomId)
      for (const id of ids) table.connect(id, someone)
      table.know(randomId(), someone)
      table.setMobile(lease(randomId()))
      const target = round % 2 ? (ids[0] as DeviceId) : randomId()
      const sorted = ids.filter((id) => id !== target).sort((a, b) => (distance(target, a) < distance(target, b) ? -1 : 1))
      for (const count of [0, 1, 2, 100, -3]) expect(table.closest(target, count)).toEqual(sorted.slice(0, Math.max(0, count)))
    }
  })

  it('SWM-25 SWM-27 the mobile devices to wake are those of brute force: 30 connected, 12 mobile, 5 rounds; alone it wakes all', () => {
    for (let round = 0; round < 5; round++) {
      const own = randomId()
      const table = new RoutingTable(own)
      const mobiles = Array.from({ length: 12 }, randomId)
      for (const mobile of mobiles) table.setMobile(lease(mobile))
      expect(new Set(table.toWake().map(({ device }) => device))).toEqual(new Set(mobiles))
      const connected = Array.from({ length: 30 }, randomId)
      for (const id of connected) table.connect(id, someone)
      const expected = mobiles.filter((m) => distance(own, m) < (connected.map((c) => distance(c, m)).sort((a, b) => (a < b ? -1 : 1))[1] as bigint))
      expect(new Set(table.toWake().map(({ device }) => device))).toEqual(new Set(expected))
    }
  })

  it('SWM-27 in a full mesh of 9 devices every mobile one of 3 is woken by exactly two', () => {
    const devices = Array.from({ length: 9 }, randomId)
    const mobiles = Array.from({ length: 3 }, randomId)
    const tables = devices.map((own) => {
      const table = new RoutingTable(own)
      for (const id of devices) if (id !== own) table.connect(id, someone)
      for (const mobile of mobiles) table.setMobile(lease(mobile))
      return table
    })
    for (const mobile of mobiles) expect(tables.filter((table) => table.isResponsible(mobile))).toHaveLength(2)
  })

  it('a device goes from known to connecting to connected and back, and is in one place at a time', () => {
    const table = new RoutingTable(randomId())
    const id = randomId()
    expect([table.know(id, someone), table.know(id, someone)]).toEqual([true, false])
    expect(table.dial(id)?.account).toBe(someone)
    expect([table.dial(id), table.know(id, someone), table.dialling]).toEqual([undefined, false, 1])
    table.failed(id, () => 500)
    expect([table.dialling, table.candidate(id)?.failures, table.nextRetryMs()]).toEqual([0, 1, 500])
    expect(table.wanted(0, 499, random)).toEqual([])
    expect(table.wanted(0, 500, random)).toEqual([id])
    table.dial(id)
    table.connect(id, someone)
    expect([table.size, table.dialling, table.candidate(id), table.entries]).toEqual([1, 0, undefined, 1])
    table.disconnect(id, SHORT_CHANNEL_MS, () => 9)
    expect([table.size, table.candidate(id)?.notBeforeMs]).toEqual([0, 0])
    table.forget(id)
    expect(table.entries).toBe(0)
  })

  it('a channel that ends at once is a failed attempt: whoever takes channels and ends them is not dialled in a loop', () => {
    const table = new RoutingTable(randomId())
    const id = randomId()
    const waits: number[] = []
    for (let round = 1; round <= 3; round++) {
      table.know(id, someone)
      table.dial(id)
      table.connect(id, someone, 0)
      table.disconnect(id, SHORT_CHANNEL_MS - 1, (failures) => 1_000 * failures)
      waits.push(table.candidate(id)?.notBeforeMs as number)
    }
    expect(waits).toEqual([1_000, 2_000, 3_000])
  })

  it('a device that was seen again is worth a try at once', () => {
    const table = new RoutingTable(randomId())
    const id = randomId()
    table.know(id, someone)
    table.dial(id)
    table.failed(id, () => 60_000)
    expect([table.know(id, someone), table.wanted(0, 0, random)]).toEqual([true, [id]])
  })

  it('SWM-25 mobile devices are never wanted; one with a lease stays to be woken, one that only says so is forgotten', () => {
    const table = new RoutingTable(randomId())
    const [leased, claimed] = [randomId(), randomId()]
    table.know(leased, someone)
    table.setMobile(lease(leased, someone))
    expect([table.wanted(0, 0, random), table.know(leased, someone)]).toEqual([[], false])
    table.connect(leased, someone)
    table.connect(claimed, someone).isMobile = true
    table.disconnect(leased)
    table.disconnect(claimed)
    expect(table.toWake().map(({ device }) => device)).toEqual([leased])
    expect([table.wanted(0, 0, random), table.candidate(claimed)]).toEqual([[], undefined])
  })

  it('leases expire, also of connected devices', () => {
    const table = new RoutingTable(randomId())
    const [early, late, connected] = [randomId(), randomId(), randomId()]
    table.setMobile(lease(early, someone, 100))
    table.setMobile(lease(late, someone, 200))
    table.connect(connected, someone)
    table.setMobile(lease(connected, someone, 150))
    expect(table.expire(99)).toBe(100)
    expect(table.expire(100)).toBe(150)
    expect(table.expire(150)).toBe(200)
    expect([...table.leases()].map(({ device }) => device)).toEqual([late])
    expect(table.node(connected)?.lease).toBeUndefined()
  })

  it('a bucket wants two connections; the connected ones of our own bucket do not count, dials do', () => {
    const own = randomId()
    const table = new RoutingTable(own)
    const far = Array.from({ length: 6 }, () => idBeside(own, 0, random.bytes(32)))
    const near = Array.from({ length: 6 }, (_, i) => idBeside(own, 4 + i, random.bytes(32)))
    for (const id of [...far, ...near]) table.know(id, someone)
    expect(table.wanted(0, 0, random)).toEqual([near[5], near[4]]) // one bucket: ours, the closest first
    for (const id of [far[0], far[1], near[0]] as DeviceId[]) table.connect(id, someone)
    expect(table.buckets).toBe(2)
    expect(table.wanted(0, 0, random)).toEqual([])
    table.disconnect(far[0] as DeviceId, SHORT_CHANNEL_MS)
    expect(table.wanted(0, 0, random)).toHaveLength(1)
    expect(table.wanted(1, 0, random)).toEqual([near[5], near[4]])
    table.dial(near[5] as DeviceId)
    expect(table.wanted(1, 0, random)).toHaveLength(1)
  })

  it('ids that peers named never take the place of members, and one peer cannot push out what others named', () => {
    const own = randomId()
    const table = new RoutingTable(own)
    const members = Array.from({ length: MAX_KNOWN }, () => idBeside(own, 2, random.bytes(32)))
    for (const id of members) table.know(id, someone)
    const [honest, hostile] = [randomId(), randomId()]
    const said = idBeside(own, 200, random.bytes(32))
    table.hear(said, honest)
    for (let i = 0; i < 1_000; i++) table.hear(idBeside(own, 220, random.bytes(32)), hostile)
    expect(table.entries).toBe(MAX_KNOWN + MAX_HEARD)
    expect(members.every((id) => table.candidate(id)?.account === someone)).toBe(true)
    expect(table.candidate(said)?.from).toBe(honest)
    const wanted = table.wanted(0, 0, random)
    expect(wanted.map((id) => table.candidate(id)?.account)).toEqual([someone, undefined])
    table.dial(wanted[1] as DeviceId)
    expect(table.wanted(0, 0, random).map((id) => table.candidate(id)?.account)).toEqual([someone])
  })

  it('every set has its bound: known, heard, mobile, mobile of one account', () => {
    const own = `7${'f'.repeat(63)}` as DeviceId
    const table = new RoutingTable(own)
    for (let i = 0; i < 1_000; i++) table.know(randomId(), someone)
    expect(table.entries).toBe(MAX_KNOWN)
    for (let i = 0; i < 100; i++) table.setMobile(lease(randomId(), someone))
    expect([...table.leases()]).toHaveLength(MAX_MOBILE_PER_ACCOUNT)
    for (let i = 0; i < 1_000; i++) table.setMobile(lease(randomId()))
    expect([...table.leases()]).toHaveLength(MAX_MOBILE)
    expect(table.setMobile(lease(randomId(), randomAccount(), 2_000))).toBe(true) // longer than the first to go
    expect([...table.leases()]).toHaveLength(MAX_MOBILE)
  })

  it('a full bucket keeps what is closer to us, or has failed less', () => {
    const own = randomId()
    const table = new RoutingTable(own)
    const far = Array.from({ length: MAX_KNOWN }, () => idBeside(own, 1, random.bytes(32)))
    for (const id of far) table.know(id, someone)
    const near = idBeside(own, 100, random.bytes(32))
    expect([table.know(near, someone), table.know(idBeside(own, 0, random.bytes(32)), someone)]).toEqual([true, false])
    table.dial(near)
    table.failed(near, () => 1)
    expect(table.know(idBeside(own, 0, random.bytes(32)), someone)).toBe(true)
    expect(table.candidate(near)).toBeUndefined()
  })
})
