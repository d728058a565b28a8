// Whose presence is followed: how many, for how long, and that everybody has a turn.
import type { AccountUri } from '@jamikit/core/contracts'
import { SeededRandom } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { ROTATION_FIRST_MS, ROTATION_MAX_MS, trackedCount, Tracking } from './tracking.ts'

const members = Array.from({ length: 40 }, (_, i) => i.toString(16).padStart(40, '0') as AccountUri)

function lab(count = members.length) {
  const events: string[] = []
  const tracking = new Tracking(new SeededRandom('tracking'), { track: (a) => events.push(`+${a}`), untrack: (a) => events.push(`-${a}`) })
  tracking.start(members.slice(0, count), 0)
  return { tracking, events }
}

describe('following presence', () => {
  it('follows min(N, 3 + floor(log2 N)) members', () => {
    expect([0, 1, 2, 4, 8, 500].map(trackedCount)).toEqual([0, 1, 2, 4, 6, 11])
    expect(lab().tracking.tracked.size).toBe(8)
    expect(lab(2).tracking.tracked.size).toBe(2)
    expect([lab(0).tracking.tracked.size, lab(0).tracking.nextMs]).toEqual([0, Number.POSITIVE_INFINITY])
  })

  it('stops when somebody is connected, and begins again when nobody is', () => {
    const { tracking, events } = lab()
    tracking.stop()
    expect([tracking.tracked.size, events.filter((e) => e.startsWith('-')).length, tracking.nextMs]).toEqual([0, 8, Number.POSITIVE_INFINITY])
    tracking.tick(10 * ROTATION_MAX_MS)
    tracking.unreachable(members[0] as AccountUri, 0)
    expect(tracking.tracked.size).toBe(0)
    tracking.start(members, 0)
    expect(tracking.tracked.size).toBe(8)
  })

  it('another member takes the place of one that cannot be reached, unless 2 K devices are active, or there is nobody else', () => {
    const { tracking } = lab()
    const [gone] = tracking.tracked
    tracking.unreachable(gone as AccountUri, 16)
    expect(tracking.tracked.has(gone as AccountUri)).toBe(true)
    tracking.unreachable(gone as AccountUri, 15)
    expect([tracking.tracked.has(gone as AccountUri), tracking.tracked.size]).toEqual([false, 8])
    const few = lab(3)
    few.tracking.unreachable(members[0] as AccountUri, 0)
    expect([few.tracking.tracked.size, few.events.length]).toEqual([3, 3])
  })

  it('everybody has a turn: after a few rotations each of 40 members was followed once', () => {
    const { tracking, events } = lab()
    for (let round = 1; round < 5; round++) tracking.tick(tracking.nextMs)
    const followed = events.filter((e) => e.startsWith('+'))
    expect([followed.length, new Set(followed).size]).toEqual([40, 40])
  })

  it('looks again at those who are followed still, and less and less often while nobody is there', () => {
    const { tracking, events } = lab(3)
    const waits: number[] = []
    for (let round = 0; round < 10; round++) {
      const now = tracking.nextMs
      tracking.tick(now)
      waits.push(tracking.nextMs - now)
    }
    expect(events.filter((e) => e.startsWith('+'))).toHaveLength(3 * 11)
    expect(waits.map((wait, i) => wait / Math.min(ROTATION_FIRST_MS * 2 ** (i + 1), ROTATION_MAX_MS)).every((x) => x >= 0.8 && x <= 1.2)).toBe(true)
  })

  it('does not follow whoever is no member any more', () => {
    const { tracking } = lab()
    tracking.start(members.slice(0, 2), 0)
    expect([...tracking.tracked].every((account) => members.slice(0, 2).includes(account))).toBe(true)
    expect(tracking.tracked.size).toBe(2)
  })
})
