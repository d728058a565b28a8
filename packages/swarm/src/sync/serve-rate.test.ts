// What one device may be served: bounds reached, refilled, and not washed out by others. docs/protocol/04 §4.3.
import { describe, expect, it } from 'vitest'
import { MAX_RATED_DEVICES, SERVED_BYTES, SERVED_BYTES_PER_MIN, SERVED_SESSIONS, SERVED_SESSIONS_PER_MIN } from '../defaults.ts'
import { ServeRate } from './serve-rate.ts'

describe('the rate of serving', () => {
  it('sessions: so many at once, then so many a minute; another device is not concerned', () => {
    const rate = new ServeRate()
    for (let i = 0; i < SERVED_SESSIONS; i++) expect(rate.session('a', 0)).toBe(true)
    expect(rate.session('a', 0)).toBe(false)
    expect(rate.session('b', 0)).toBe(true)
    let more = 0
    while (rate.session('a', 60_000)) more++
    expect(more).toBe(SERVED_SESSIONS_PER_MIN)
  })

  it('bytes: the pack that goes over the bound comes through, the next one waits', () => {
    const rate = new ServeRate()
    rate.sent('a', SERVED_BYTES - 1, 0)
    expect(rate.mayPack('a', 0)).toBe(true)
    rate.sent('a', SERVED_BYTES_PER_MIN, 0)
    expect([rate.mayPack('a', 0), rate.mayPack('a', 59_000), rate.mayPack('a', 60_001), rate.mayPack('b', 0)]).toEqual([false, false, true, true])
    rate.sent('a', SERVED_BYTES * 1000, 60_001)
    expect(rate.mayPack('a', 60_001 + ((SERVED_BYTES / SERVED_BYTES_PER_MIN) * 60_000 + 1000))).toBe(true) // a debt has a bound, too
  })

  it('many new devices do not make us forget one that used much', () => {
    const rate = new ServeRate()
    rate.sent('heavy', SERVED_BYTES * 1.5, 0)
    for (let i = 0; i < MAX_RATED_DEVICES * 3; i++) rate.session(`${i}`, 1)
    expect(rate.mayPack('heavy', 1)).toBe(false)
  })

  it('a clock that goes back gives nothing away', () => {
    const rate = new ServeRate()
    rate.sent('a', SERVED_BYTES, 1000)
    expect(rate.mayPack('a', 0)).toBe(false)
  })
})
