import { describe, expect, it } from 'vitest'
import { ManualClock } from '../testing/manual-clock.ts'
import { Resolver } from './resolver.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function world() {
  const clock = new ManualClock()
  const asked: string[] = []
  const answers: ((fail: boolean) => void)[] = []
  const resolver = new Resolver(clock, (host) => new Promise((resolve, reject) => {
    asked.push(host)
    answers.push((fail) => (fail ? reject(new Error('EAI_AGAIN')) : resolve([{ address: '192.0.2.1', family: 4 }, { address: '2001:db8::1', family: 6 }])))
  }))
  const answer = async (fail = false) => {
    answers.shift()?.(fail)
    await turn()
  }
  return { clock, resolver, asked, answer, open: () => answers.length }
}

describe('the resolver', () => {
  it('holds at most two threads, however many names are asked for, and answers all in their turn', async () => {
    const { resolver, asked, answer, open } = world()
    const all = Array.from({ length: 10 }, (_, i) => resolver.resolve(`h${i}`, undefined))
    await turn()
    expect([asked, open()]).toEqual([['h0', 'h1'], 2])
    for (let i = 0; i < 10; i++) {
      expect(open()).toBeLessThanOrEqual(2)
      await answer(i % 3 === 0)
    }
    expect((await Promise.all(all)).map(({ length }) => length)).toEqual([0, 2, 2, 0, 2, 2, 0, 2, 2, 0])
    expect((await Promise.all(all))[1]).toEqual([{ host: '192.0.2.1', family: 4 }, { host: '2001:db8::1', family: 6 }])
  })

  it('asks once for all who want the same name, and again for who comes later', async () => {
    const { resolver, asked, answer } = world()
    const [one, two] = [resolver.resolve('hub', undefined), resolver.resolve('hub', undefined)]
    await turn()
    await answer()
    expect(await one).toEqual(await two)
    expect(await one).not.toBe(await two)
    void resolver.resolve('hub', undefined)
    await turn()
    expect(asked).toEqual(['hub', 'hub'])
  })

  it('retries of callers that gave up do not pile up behind a resolver that says nothing', async () => {
    const { clock, resolver, asked, answer } = world()
    for (let i = 0; i < 500; i++) {
      const asking = resolver.resolve('hub', { timeoutMs: 1000 }).catch((error: { code: string }) => error.code)
      await clock.advance(1000)
      expect(await asking).toBe('ERR_TIMEOUT')
    }
    expect(asked).toEqual(['hub'])
    await expect(resolver.resolve('hub', { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    await answer()
    const again = resolver.resolve('hub', undefined)
    await turn()
    await answer()
    expect(await again).toHaveLength(2)
    expect(clock.pending()).toEqual([])
  })

  it('no more than 256 names wait', async () => {
    const { resolver, asked } = world()
    for (let i = 0; i < 256; i++) void resolver.resolve(`h${i}`, undefined)
    await turn()
    expect(await resolver.resolve('one more', undefined)).toEqual([])
    expect(asked).toHaveLength(2)
  })
})
