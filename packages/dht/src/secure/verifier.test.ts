// Verifications take turns by source, are never done twice, and what we ask for ourselves does not wait for strangers.
import { concatBytes, utf8 } from '@jamikit/core/codec'
import type { Crypto, SocketAddress } from '@jamikit/core/contracts'
import { ManualClock, spareKey, testCrypto, testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import type { Value } from '../wire/value.ts'
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
  it('tells good from bad; an owner without signature is bad', async () => {
    const { verifier } = counting()
    const good = await signed('x')
    const values = [good, forged('y'), { ...good, body: good.body && { ...good.body, signature: undefined } }]
    const { bad, skipped } = await verifier.check(values, from('1.1.1.1'), false)
    expect([[...bad].map((v) => values.indexOf(v)).sort(), skipped.size]).toEqual([[1, 2], 0])
  })

  it('does nothing twice: the same value from eight nodes, under other ids, and again later', async () => {
    const { verifier, calls } = counting()
    const values = await Promise.all([1n, 2n, 3n].map((id) => signed('x', id)))
    for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 8 }, (_, i) => verifier.check(values, from(`1.1.${i}.1`), true)))
    expect(calls()).toBe(1)
  })

  it('a certificate is vouched for when its issuer, which comes with it, has signed it: made-up signatures are not', async () => {
    const { verifier } = counting()
    const data = utf8(testIdentity(0).device.chain.map((c) => c.pem).join(''))
    const certificate = (bytes: Uint8Array): Value => ({ id: 1n, priority: 0, pushType: '', cypher: undefined, body: { type: 8, data: bytes, userType: '', owner: undefined, seq: 0, to: undefined, signature: undefined } })
    const der = testIdentity(0).device.chain.map((c) => c.der.slice())
    const leaf = der[0] as Uint8Array
    leaf[leaf.length - 1] = (leaf[leaf.length - 1] ?? 0) ^ 1
    const values = [certificate(data), certificate(concatBytes(...der)), certificate(utf8('no certificate'))]
    const { bad, vouched, skipped } = await verifier.check(values, from('1.1.1.1'), false)
    expect([[...vouched].map((v) => values.indexOf(v)), bad.size, skipped.size]).toEqual([[0], 0, 0])
  })

  it('what one address has waiting is bounded: what exceeds it is not looked at, and an honest one from elsewhere is, at once', async () => {
    const go: (() => void)[] = []
    const { verifier, calls } = counting(undefined, async (owner, bytes, signature) => {
      await new Promise<void>((resolve) => go.push(resolve))
      return honest.verify(owner, bytes, signature)
    })
    const flood = verifier.check(Array.from({ length: 3000 }, (_, i) => forged(`${i}`)), from('1.1.1.1'), false)
    const mine = verifier.check([await signed('mine')], from('2.2.2.2'), false)
    let done = 0
    void mine.then(() => { done++ })
    while (done < 1) {
      go.shift()?.()
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    expect(await mine).toEqual({ bad: new Set(), vouched: new Set(), skipped: new Set() })
    expect(calls()).toBeLessThan(8)
    verifier.close()
    while (go.length > 0) {
      go.shift()?.()
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    expect((await flood).skipped.size).toBeGreaterThan(2900)
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

  it('a value that we ask for is verified for us, even while a stranger put the same one and lost its place in the queue', async () => {
    const go: (() => void)[] = []
    const { verifier } = counting(undefined, async (owner, bytes, signature) => {
      await new Promise<void>((resolve) => go.push(resolve))
      return honest.verify(owner, bytes, signature)
    })
    void verifier.check([forged('a'), forged('b')], from('1.1.1.1'), false) // both threads
    const value = await signed('wanted')
    const theirs = verifier.check([value], from('1.1.1.1'), false)
    const ours = verifier.check([value], from('2.2.2.2'), true)
    void verifier.check(Array.from({ length: 1100 }, (_, i) => forged(`${i}`)), from('1.1.1.1'), false)
    expect((await theirs).skipped.size).toBe(1)
    let done = false
    void ours.then(() => { done = true })
    while (!done) {
      go.shift()?.()
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    expect(await ours).toEqual({ bad: new Set(), vouched: new Set(), skipped: new Set() })
    verifier.close()
  })

  it('close() lets go of what waits', async () => {
    const { verifier } = counting(undefined, () => new Promise(() => {}))
    void verifier.check([forged('a'), forged('b')], from('1.1.1.1'), false)
    const waiting = verifier.check([forged('c')], from('1.1.1.1'), false)
    verifier.close()
    expect((await waiting).skipped.size).toBe(1)
  })
})
