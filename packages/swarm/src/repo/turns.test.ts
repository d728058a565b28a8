// Slices of long work: others run in between, and a manual clock waits for them. docs/protocol/04 §3.9.
import { ManualClock } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { OBJECT_COST_BYTES, SLICE_BYTES } from '../defaults.ts'
import { Turns } from './turns.ts'

describe('turns', () => {
  it('work goes on until a slice is used up, then others run first', async () => {
    const turns = new Turns(new ManualClock())
    let others = 0
    setImmediate(() => others++)
    expect(turns.spend(SLICE_BYTES - 1)).toBeUndefined()
    await turns.spend(0)
    expect(others).toBe(0)
    await turns.spend(1)
    expect(others).toBe(1)
    expect(turns.spend(SLICE_BYTES - 1)).toBeUndefined()
  })

  it('an object counts for more than its bytes', () => {
    const turns = new Turns(new ManualClock())
    let objects = 1
    while (!turns.object(0)) objects++
    expect(objects).toBe(SLICE_BYTES / OBJECT_COST_BYTES)
  })

  it('a manual clock does not go on before sliced work is done', async () => {
    const clock = new ManualClock()
    const turns = new Turns(clock)
    let done = false
    clock.after(10, () => expect(done).toBe(true))
    void (async () => {
      for (let i = 0; i < 20; i++) await turns.spend(SLICE_BYTES)
      done = true
    })()
    await clock.advance(20)
    expect(done).toBe(true)
  })
})
