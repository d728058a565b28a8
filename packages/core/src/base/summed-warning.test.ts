// A flood is one line.
import { expect, it } from 'vitest'
import { ManualClock } from '../testing/manual-clock.ts'
import { SummedWarning } from './summed-warning.ts'

it('100,000 times in a row are one line with the number of times; later ones are another', async () => {
  const clock = new ManualClock()
  const lines: Record<string, unknown>[] = []
  const warning = new SummedWarning(clock, (fields) => lines.push(fields))
  for (let i = 0; i < 100_000; i++) warning.hit({ from: i })
  expect(lines).toEqual([])
  await clock.advance(60_000)
  expect(lines).toEqual([{ from: 0, count: 100_000 }])
  warning.hit({ from: 7 })
  warning.flush()
  expect(lines[1]).toEqual({ from: 7, count: 1 })
  warning.flush()
  expect(lines).toHaveLength(2)
  expect(clock.pending()).toEqual([])
})
