import { ManualClock } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { Progress } from './progress.ts'

const setUp = (total?: number) => {
  const clock = new ManualClock()
  const progress = new Progress(clock, total, () => {})
  const told: number[] = []
  progress.onProgress(({ doneBytes }) => told.push(doneBytes))
  return { clock, progress, told }
}

it('however often something comes, it is told at most 20 times a second', async () => {
  const { clock, progress, told } = setUp(1e6)
  progress.run(true)
  for (let i = 1; i <= 1000; i++) {
    progress.moved(10, 10 * i)
    await clock.advance(1)
  }
  progress.end()
  expect(told.length).toBeLessThanOrEqual(21)
  expect(told.length).toBeGreaterThanOrEqual(8)
  expect([told.at(-1), clock.pending()]).toEqual([10_000, []])
})

it('while nothing comes it is told at least 4 times a second, and not at all when it rests', async () => {
  const { clock, progress, told } = setUp()
  progress.run(true)
  await clock.advance(1000)
  expect(told.length).toBeGreaterThanOrEqual(4)
  progress.run(false)
  await clock.advance(1000)
  const before = told.length
  await clock.advance(10_000)
  expect([told.length, clock.pending()]).toEqual([before, []])
})

it('never goes backwards when a file begins anew', async () => {
  const { clock, progress } = setUp(1000)
  progress.moved(900, 900)
  progress.moved(100, 100)
  expect(progress.value().doneBytes).toBe(900)
  await clock.advance(100)
})

it('the rate is that of the last seconds, and 0 when nothing came in them', async () => {
  const { clock, progress } = setUp()
  for (let i = 1; i <= 40; i++) {
    progress.moved(10_000, 10_000 * i)
    await clock.advance(100)
  }
  expect(progress.value().bytesPerSec).toBeGreaterThan(90_000)
  expect(progress.value().bytesPerSec).toBeLessThan(115_000)
  await clock.advance(5_000)
  expect(progress.value().bytesPerSec).toBe(0)
})
