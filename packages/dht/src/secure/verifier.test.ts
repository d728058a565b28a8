// Verifications are counted by source and second, never done twice, and what we ask for ourselves does not wait for strangers.
import { utf8 } from '@jamikit/core/codec'
import type { Crypto, SocketAddress } from '@jamikit/core/contracts'
import { ManualClock, spareKey, testCrypto } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import type { Value } from '../wire/value.ts'
import { Budget } from './budget.ts'
import { sealValue } from './envelope.ts'
import { Verifier } from './verifier.ts'

const from = (host: string): SocketAddress => ({ host, port: 4222, family: 4 })
const honest = testCrypto()
const signed = (text: string, id = 1n) => sealValue(honest, id, { data: utf8(text), sign: spareKey(0) })
/** With a signature of nobody. */
const forged = (text: string): Value => ({ id: 1n, priority: 0, pushType: '', cypher: undefined, body: { type: 0, data: utf8(text), userType: '', owner: spareKey(1).publicKey, seq: 0, to: undefined, signature: new Uint8Array(256) } })

function counting(clock = new ManualClock(), verify: Crypto['verify'] = honest.verify) {
  let calls = 0
  const crypto: Crypto = { ...honest, verify: (...args) => { calls++; return verify(...args) } }
  return { clock, verifier: new Verifier(crypto, clock), calls: () => calls }
}

describe('the verifier', () => {
  it('tells good from bad; values without owner are not its business, an owner without signature is bad', async () => {
    const { verifier } = counting()
    const good = await signed('x')
    const values = [good, forged('y'), { ...good, body: good.body && { ...good.body, owner: undefined } }, { ...good, body: good.body && { ...good.body, signature: undefined } }]
    const { bad, skipped } = await verifier.check(values, from('1.1.1.1'), false)
    expect([[...bad].map((v) => values.indexOf(v)).sort(), skipped.size]).toEqual([[1, 3], 0])
  })

  it('does nothing twice: the same value from eight nodes, under other ids, and again later', async () => {
    const { verifier, calls } = counting()
    const values = await Promise.all([1n, 2n, 3n].map((id) => signed('x', id)))
    for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 8 }, (_, i) => verifier.check(values, from(`1.1.${i}.1`), true)))
    expect(calls()).toBe(1)
  })

  it('bad signatures of one address: 400 a second cost a few verifications, and an honest neighbour is served within them', async () => {
    const { verifier, clock, calls } = counting()
    let served = 0
    for (let second = 0; second < 20; second++) {
      for (let i = 0; i < 400; i++) void verifier.check([forged(`${second} ${i}`)], from('1.1.1.1'), false)
      const { bad, skipped } = await verifier.check([await signed(`${second}`)], from('1.1.1.2'), false)
      if (bad.size + skipped.size === 0) served++
      await clock.advance(1000)
    }
    expect(served).toBe(20)
    expect(calls()).toBeLessThan(700) // of 8,020
  })

  it('the budget comes back, also for whoever spent it', async () => {
    const { verifier, clock } = counting()
    const flood = Array.from({ length: 400 }, (_, i) => forged(`${i}`))
    const first = await verifier.check(flood, from('1.1.1.1'), false)
    expect(first.skipped.size).toBeGreaterThan(100)
    expect((await verifier.check([await signed('now')], from('1.1.1.1'), false)).skipped.size).toBe(1)
    await clock.advance(10_000)
    expect(await verifier.check([await signed('later')], from('1.1.1.1'), false)).toEqual({ bad: new Set(), skipped: new Set() })
  })

  it('many addresses of one network share, and other networks have their own', async () => {
    const { verifier, calls } = counting()
    await Promise.all(Array.from({ length: 250 }, (_, host) => Promise.all(Array.from({ length: 40 }, (_, i) => verifier.check([forged(`${host} ${i}`)], from(`1.1.1.${host}`), false)))))
    expect(calls()).toBeLessThanOrEqual(1024 + 10)
    expect((await verifier.check([await signed('x')], from('2.2.2.2'), false)).skipped.size).toBe(0)
  })

  it('what answers our searches has a class of its own: puts that wait do not hold it up, nor use it up', async () => {
    const waiting: (() => void)[] = []
    const { verifier } = counting(undefined, async (owner, bytes, signature) => {
      if (owner !== spareKey(0).publicKey) await new Promise<void>((resolve) => waiting.push(resolve))
      return honest.verify(owner, bytes, signature)
    })
    const puts = Array.from({ length: 30 }, (_, i) => verifier.check([forged(`${i}`)], from(`9.9.${i}.9`), false))
    const mine = verifier.check([await signed('mine')], from('2.2.2.2'), true)
    await Promise.resolve()
    expect(waiting).toHaveLength(2) // the others wait in the queue, not in the threads
    waiting.shift()?.()
    expect((await mine).skipped.size).toBe(0) // after one piece of the others
    const all = Promise.all(puts)
    let done = false
    void all.then(() => { done = true })
    while (!done) {
      waiting.shift()?.()
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    await all
  })

  it('close() lets go of what waits', async () => {
    const { verifier } = counting(undefined, () => new Promise(() => {}))
    void verifier.check([forged('a'), forged('b')], from('1.1.1.1'), false)
    const waiting = verifier.check([forged('c')], from('1.1.1.1'), false)
    verifier.close()
    expect((await waiting).skipped.size).toBe(1)
  })
})

describe('budgets', () => {
  it('give so much at once, so much a second, and remember only so many', () => {
    const budget = new Budget(10, 20)
    const take = (key: string, now: number) => {
      if (!budget.has(key, now)) return false
      budget.spend(key, now)
      return true
    }
    const taken = (key: string, now: number) => {
      let n = 0
      while (take(key, now)) n++
      return n
    }
    expect([taken('a', 0), taken('a', 500), taken('a', 1500), taken('a', 60_000), taken('b', 0)]).toEqual([20, 5, 10, 20, 20])
    budget.spend('c', 0, 1000)
    expect([budget.has('c', 2000), budget.has('c', 2200)]).toEqual([false, true])
    for (let i = 0; i < 5000; i++) budget.spend(`k${i}`, 60_000)
    expect(taken('a', 60_000)).toBe(20)
  })
})
