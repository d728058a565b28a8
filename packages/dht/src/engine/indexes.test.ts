// Indexes against looking at everything: what is due, which ids are closest, who has how many places.
import type { SocketAddress } from '@jamikit/core/contracts'
import { SeededRandom } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { DueQueue } from './due-queue.ts'
import { compareDistance, IdIndex } from './id-index.ts'
import { RateLimiter } from './rate-limiter.ts'
import { Shares } from './shares.ts'

const at = (host: string): SocketAddress => ({ host, port: 1, family: host.includes(':') ? 6 : 4 })

describe('what is due', () => {
  it('comes out in order, whatever was added, moved and taken out before', () => {
    const random = new SeededRandom(1)
    const queue = new DueQueue<number>()
    const oracle = new Map<number, number>()
    for (let i = 0; i < 5000; i++) {
      const item = random.below(300)
      const time = random.below(5) === 0 ? Number.POSITIVE_INFINITY : random.below(10_000)
      if (random.below(4) === 0) {
        queue.delete(item)
        oracle.delete(item)
      } else {
        queue.set(item, time)
        if (time === Number.POSITIVE_INFINITY) oracle.delete(item)
        else oracle.set(item, time)
      }
      expect([queue.size, queue.nextAt]).toEqual([oracle.size, Math.min(...oracle.values(), Number.POSITIVE_INFINITY)])
    }
    const out: number[] = []
    expect(queue.take(-1)).toBeUndefined()
    for (let item = queue.take(20_000); item !== undefined; item = queue.take(20_000)) out.push(oracle.get(item) as number)
    expect(out).toEqual([...oracle.values()].sort((a, b) => a - b))
  })
})

describe('ids', () => {
  it('the closest ones are those of sorting everything, and few others are looked at', () => {
    const random = new SeededRandom(2)
    const index = new IdIndex<{ idBytes: Uint8Array }>()
    const all: { idBytes: Uint8Array }[] = []
    for (let i = 0; i < 2000; i++) {
      const item = { idBytes: random.bytes(20) }
      if (i % 3 === 0) item.idBytes.set(all[0]?.idBytes.subarray(0, 16) ?? new Uint8Array(0)) // crowds
      all.push(item)
      index.add(item)
    }
    for (const gone of all.splice(100, 300)) index.delete(gone)
    expect(index.size).toBe(all.length)
    for (let i = 0; i < 100; i++) {
      const target = i % 2 === 0 ? random.bytes(20) : (all[random.below(all.length)] as { idBytes: Uint8Array }).idBytes
      let looked = 0
      const found = index.closest(target, 14, () => ++looked > 0)
      expect(found).toEqual([...all].sort((a, b) => compareDistance(target, a.idBytes, b.idBytes)).slice(0, 14))
      expect(looked).toBe(14)
    }
  })
})

describe('shares', () => {
  const limits = { perSource: 2, perNetwork: 4, total: 8 }
  const fill = (shares: Shares<string>, host: string, count: number) => {
    let got = 0
    for (let i = 0; i < count; i++) {
      const room = shares.room(at(host))
      if (!room) continue
      if (room.displaces !== undefined) shares.delete(room.displaces)
      shares.add(`${host} ${i}`, at(host))
      got++
    }
    return got
  }

  it('no source and no network takes more than its share', () => {
    const shares = new Shares<string>(limits)
    expect([fill(shares, '10.0.0.1', 9), fill(shares, '10.0.0.2', 9), fill(shares, '10.0.0.3', 9), fill(shares, '10.0.1.1', 9)]).toEqual([2, 2, 0, 2])
  })

  it('when all places are taken, whoever has most makes room for who has less, its oldest first; among equals nobody does', () => {
    const shares = new Shares<string>(limits)
    for (const host of ['10.0.0.1', '10.0.0.2', '10.0.1.1', '10.0.1.2']) fill(shares, host, 2)
    shares.touch('10.0.0.1 0')
    expect(shares.room(at('10.0.2.1'))).toEqual({ displaces: '10.0.0.1 1' })
    expect(fill(shares, '10.0.2.1', 2)).toBe(2)
    expect([shares.size, fill(shares, '10.0.3.1', 2), fill(shares, '10.0.4.1', 2), fill(shares, '10.0.5.1', 2)]).toEqual([8, 2, 1, 1])
    expect(shares.size).toBe(8)
    for (const host of ['10.1.1.1', '10.1.2.1', '10.1.3.1', '10.1.4.1', '10.1.5.1']) fill(shares, host, 1)
    expect(fill(shares, '10.2.1.1', 1)).toBe(0) // everybody has one
  })

  it('of IPv6 a /64 is a source and a /48 a network', () => {
    const shares = new Shares<string>(limits)
    expect([fill(shares, '2001:db8::1', 3), fill(shares, '2001:db8::2', 3), fill(shares, '2001:db8:0:1::1', 3), fill(shares, '2001:db8:0:2::1', 3), fill(shares, '2001:db8:1::1', 3)]).toEqual([2, 0, 2, 0, 2])
  })

  it('a rate is shared in the same way, and a part of what is wanted may be had', () => {
    const limiter = new RateLimiter({ perSource: 10, perNetwork: 15, total: 20 })
    expect([limiter.take(at('10.0.0.1'), 12, 0), limiter.take(at('10.0.0.2'), 12, 0), limiter.take(at('10.0.1.1'), 12, 0), limiter.take(at('10.0.2.1'), 12, 0), limiter.take(at('10.0.0.1'), 12, 2500)]).toEqual([10, 5, 5, 0, 10])
  })
})
