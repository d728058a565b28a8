// Virtual time: order, rest between timers, tracked work, leak check.
import { sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { delay } from '../base/operation.ts'
import { ManualClock } from './manual-clock.ts'
import { SeededRandom } from './seeded-random.ts'
import { clockSuite } from './suites/clock.ts'
import { spareKey } from './test-crypto.ts'

describe('ManualClock', () => {
  for (const { title, run } of clockSuite(() => {
    const clock = new ManualClock()
    return { clock, advance: (ms) => clock.advance(ms) }
  })) it(title, run)

  it('runs timers of the same instant in the order of their making, whatever was cancelled in between', async () => {
    const clock = new ManualClock()
    const random = new SeededRandom(1)
    const expected: { due: number; sequence: number }[] = []
    const ran: { due: number; sequence: number }[] = []
    for (let sequence = 0; sequence < 500; sequence++) {
      const due = random.below(20)
      const entry = { due, sequence }
      const timer = clock.after(due, () => ran.push(entry))
      if (random.chance(0.3)) timer.cancel()
      else expected.push(entry)
    }
    await clock.advance(20)
    expect(ran).toEqual(expected.sort((a, b) => a.due - b.due || a.sequence - b.sequence))
    expect(clock.pending()).toEqual([])
  })

  it('lets promise jobs and immediates settle between two timers', async () => {
    const clock = new ManualClock()
    const ran: string[] = []
    clock.after(1, () => {
      ran.push('first')
      setImmediate(async () => {
        await Promise.resolve()
        process.nextTick(() => setImmediate(() => ran.push('its work')))
      })
    })
    clock.after(1, () => ran.push('second'))
    await clock.advance(1)
    expect(ran).toEqual(['first', 'its work', 'second'])
  })

  it('does not advance while tracked work is under way', async () => {
    const clock = new ManualClock()
    const ran: string[] = []
    const inThread = () => new Promise<void>((resolve) => sign('sha512', Buffer.from('x'), spareKey(0).pem, () => resolve()))
    clock.after(1, async () => {
      for (let i = 0; i < 5; i++) await clock.track(inThread())
      ran.push(`signed at ${clock.now()}`)
    })
    const later = clock.now() + 1
    clock.after(2, () => ran.push('second'))
    await clock.advance(5)
    expect(ran).toEqual([`signed at ${later}`, 'second'])
  })

  it('names tracked work that waits for the clock it holds up', async () => {
    const clock = new ManualClock({ trackLimitMs: 50 })
    void clock.track(delay(clock, 10))
    await expect(clock.advance(20)).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
  })

  it('run() lets time pass until work settles, and stops there', async () => {
    const clock = new ManualClock()
    const start = clock.now()
    clock.after(1000, () => {})
    await clock.run(delay(clock, 250))
    expect(clock.now() - start).toBe(250)
    expect(clock.pending()).toEqual([750])
    await expect(clock.run(Promise.reject(new Error('no')))).rejects.toThrow('no')
  })

  it('run() says when nothing is left that could settle the work', async () => {
    const clock = new ManualClock()
    await expect(clock.run(new Promise(() => {}))).rejects.toMatchObject({ code: 'ERR_TIMEOUT' })
    clock.after(2000, () => {})
    await expect(clock.run(new Promise(() => {}), 1000)).rejects.toMatchObject({ code: 'ERR_TIMEOUT', details: { pending: 1 } })
  })

  it('serialises drivers that run at the same time', async () => {
    const clock = new ManualClock()
    const start = clock.now()
    await Promise.all([clock.advance(10), clock.advance(10), clock.run(delay(clock, 5))])
    expect(clock.now() - start).toBe(20)
  })
})
