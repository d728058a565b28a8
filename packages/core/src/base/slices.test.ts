// Slices: other work of the process gets its turn after each slice, and not in between.
import { expect, it } from 'vitest'
import { ManualClock } from '../testing/manual-clock.ts'
import { Slices } from './slices.ts'

it('other work runs between two slices, however long the whole takes', async () => {
  const slices = new Slices(new ManualClock(), 100)
  let turns = 0
  let over = false
  const other = () => setImmediate(() => {
    turns++
    if (!over) other()
  })
  other()
  let waited = 0
  for (let i = 0; i < 1000; i++) {
    const turn = slices.spend(10)
    if (turn) waited++
    await turn
  }
  over = true
  expect(waited).toBe(100)
  expect(turns).toBeGreaterThanOrEqual(99)
})
