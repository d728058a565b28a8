// Contract suite of Clock: the system's and the manual one.
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { Clock } from '../../contracts/clock.ts'
import type { ContractTest } from './contract-test.ts'

/** A clock, and how its time passes. */
export interface ClockUnderTest {
  /** The one under test. */
  readonly clock: Clock
  /** Lets at least `ms` milliseconds of the clock pass and everything that is due run. */
  advance(ms: number): Promise<void>
}

/** What a Clock must do, as tests to run one by one. @param make makes a fresh one for each test */
export function clockSuite(make: () => ClockUnderTest | Promise<ClockUnderTest>): ContractTest[] {
  const test = (title: string, run: (t: ClockUnderTest) => Promise<void>): ContractTest => ({ title, run: async () => run(await make()) })
  return [
    test('now() never goes back and follows time that passes', async ({ clock, advance }) => {
      const before = clock.now()
      ok(clock.now() >= before)
      await advance(20)
      ok(clock.now() - before >= 20, `passed: ${clock.now() - before}`)
    }),
    test('wallTimeMs() is Unix time in milliseconds and moves with the clock', async ({ clock, advance }) => {
      const before = clock.wallTimeMs()
      ok(Number.isFinite(before) && before >= 0)
      await advance(20)
      ok(clock.wallTimeMs() - before >= 19)
    }),
    test('after() runs once, never synchronously and never early', async ({ clock, advance }) => {
      const started = clock.now()
      const ran: number[] = []
      clock.after(15, () => ran.push(clock.now() - started))
      clock.after(0, () => ran.push(-1))
      deepStrictEqual(ran, [])
      await advance(60)
      deepStrictEqual(ran.length, 2)
      deepStrictEqual(ran[0], -1)
      ok((ran[1] ?? 0) >= 15, `ran after ${ran[1]} ms`)
    }),
    test('timers run in the order of their time', async ({ clock, advance }) => {
      const ran: string[] = []
      clock.after(40, () => ran.push('late'))
      clock.after(5, () => ran.push('early'))
      await advance(100)
      deepStrictEqual(ran, ['early', 'late'])
    }),
    test('a cancelled timer does not run, and cancel() may be called again', async ({ clock, advance }) => {
      let ran = 0
      const timer = clock.after(5, () => ran++)
      timer.cancel()
      timer.cancel()
      await advance(40)
      deepStrictEqual(ran, 0)
    }),
    test('cancel() after the timer ran does nothing', async ({ clock, advance }) => {
      let ran = 0
      const timer = clock.after(1, () => ran++)
      await advance(20)
      timer.cancel()
      deepStrictEqual(ran, 1)
    }),
    test('a negative delay counts as none, a very long one does not run now', async ({ clock, advance }) => {
      let negative = 0
      let long = 0
      clock.after(-5, () => negative++)
      const timer = clock.after(2 ** 40, () => long++)
      await advance(20)
      timer.cancel()
      deepStrictEqual([negative, long], [1, 0])
    }),
    test('a timer may start and cancel timers', async ({ clock, advance }) => {
      const ran: string[] = []
      const never = clock.after(10, () => ran.push('never'))
      clock.after(1, () => {
        never.cancel()
        clock.after(1, () => ran.push('inner'))
      })
      await advance(50)
      deepStrictEqual(ran, ['inner'])
    }),
    test('track() returns the same promise', async ({ clock }) => {
      const work = Promise.resolve(7)
      deepStrictEqual(clock.track(work) === work, true)
      deepStrictEqual(await clock.track(work), 7)
    }),
  ]
}
