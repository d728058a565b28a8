// Patterns in a thread: which texts match; one that does not come to its end is stopped, and the next one runs.
import { afterAll, describe, expect, it } from 'vitest'
import { PatternThread } from './pattern.ts'

const thread = new PatternThread()
afterAll(() => thread.stop())

describe('patterns', () => {
  it('say which texts match, by their flags, each from its beginning', async () => {
    expect((await thread.run({ pattern: /b$/giu, texts: ['ab', 'ba', 'AB'], timeMs: 5000 })).found).toEqual([0, 2])
    expect((await thread.run({ pattern: /x/y, texts: ['ax', 'xa'], timeMs: 5000 })).found).toEqual([0, 1])
    expect((await thread.run({ pattern: /x/, texts: [], timeMs: 5000 })).found).toEqual([])
  })

  it('SWM-S9 one that runs into a dead end is stopped when its time is over, and does not keep the next one waiting', async () => {
    const [slow, next] = await Promise.all([thread.run({ pattern: /(a+)+$/, texts: [`${'a'.repeat(50)}b`], timeMs: 50 }), thread.run({ pattern: /b/, texts: ['b'], timeMs: 5000 })])
    expect(slow.found).toBeUndefined()
    expect(next.found).toEqual([0])
  })

  it('what is under way fails when it is stopped; the next one starts a thread again', async () => {
    const running = thread.run({ pattern: /(a+)+$/, texts: [`${'a'.repeat(50)}b`], timeMs: 5000 })
    const refused = expect(running).rejects.toMatchObject({ code: 'ERR_CLOSED' })
    await thread.stop()
    await refused
    expect((await thread.run({ pattern: /b/, texts: ['b'], timeMs: 5000 })).found).toEqual([0])
  })
})
