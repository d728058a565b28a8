// Ciphertexts at our keys: each is opened once, in turn, and nobody's flood keeps others waiting or is kept for ever.
import { JamiError } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { Crypto, SocketAddress } from '@jamikit/core/contracts'
import { ManualClock, spareKey, testCrypto } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import type { Value } from '../wire/value.ts'
import { sealValue } from './envelope.ts'
import { Opener } from './opener.ts'

const from = (host: string): SocketAddress => ({ host, port: 4222, family: 4 })
const crypto = testCrypto()
const [me, friend, stranger] = [spareKey(0), spareKey(1), spareKey(2)] as const
const letter = (text: string, id = 1n) => sealValue(crypto, id, { data: utf8(text), sign: friend, encryptTo: me.publicKey })
/** A ciphertext of nothing. */
const junk = (n: number, id = BigInt(n + 1)): Value => ({ id, priority: 0, pushType: '', body: undefined, cypher: Uint8Array.of(n >> 16, n >> 8, n, ...new Uint8Array(253)) })

/** Each decryption waits for `next()`. */
function slow() {
  const waiting: { cypher: Uint8Array; go: () => void }[] = []
  const slowCrypto: Crypto = {
    ...crypto,
    decrypt: async (key, cypher) => {
      await new Promise<void>((go) => waiting.push({ cypher, go }))
      return cypher.length === 256 && cypher[3] === 0 ? Promise.reject(new JamiError('ERR_SIGNATURE', 'junk')) : crypto.decrypt(key, cypher)
    },
  }
  const opener = new Opener(slowCrypto, new ManualClock())
  let done = 0
  const next = async () => {
    waiting.shift()?.go()
    done++
    for (let i = 0; i < 20; i++) await Promise.resolve()
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  return { opener, waiting, next, done: () => done }
}

function counting() {
  let calls = 0
  const opener = new Opener({ ...crypto, decrypt: (...args) => { calls++; return crypto.decrypt(...args) } }, new ManualClock())
  return { opener, calls: () => calls }
}

describe('opening', () => {
  it('gives what was written, to whom it was written; clear values need no key', async () => {
    const { opener } = counting()
    const value = await letter('hello', 7n)
    expect(await opener.open(value, me, from('1.1.1.1'))).toMatchObject({ value: { id: 7n, encrypted: true, signer: friend.publicKey, data: utf8('hello') } })
    expect(await opener.open(value, stranger, from('1.1.1.1'))).toBeUndefined()
    expect(await opener.open(junk(5), me, undefined)).toBeUndefined()
    expect(opener.clear(value)).toBeUndefined()
    expect(opener.clear(await sealValue(crypto, 3n, { data: utf8('x') }))).toMatchObject({ content: undefined, value: { id: 3n } })
  })

  it('a ciphertext and a signed value have one name each, whatever their ids; who encrypts the same content again means it again', async () => {
    const { opener } = counting()
    const nameOf = async (value: Value) => {
      const opened = await opener.open(value, me, undefined)
      return opened && opened !== 'dropped' ? opened.content : undefined
    }
    const first = await letter('hello')
    const clear = await sealValue(crypto, 1n, { data: utf8('hello'), sign: friend })
    for (const value of [first, clear]) expect(await nameOf({ ...value, id: 9n })).toBe(await nameOf(value))
    const others = [first, await letter('hello'), await letter('other'), clear, await sealValue(crypto, 1n, { data: utf8('hello'), sign: friend, seq: 1 }), await sealValue(crypto, 1n, { data: utf8('hello'), sign: stranger })]
    expect(new Set(await Promise.all(others.map(nameOf))).size).toBe(others.length)
  })

  it('one ciphertext under 5,000 ids is opened once, for us and for nobody, at the same time and later', async () => {
    const { opener, calls } = counting()
    const good = await letter('hello')
    await Promise.all(Array.from({ length: 5000 }, (_, i) => Promise.all([opener.open({ ...good, id: BigInt(i + 1) }, me, from('1.1.1.1')), opener.open(junk(7, BigInt(i + 1)), me, from('1.1.1.1'))])))
    expect(await opener.open({ ...good, id: 77_777n }, me, from('2.2.2.2'))).toMatchObject({ value: { id: 77_777n } })
    expect(calls()).toBe(2)
  })

  it('a flood of different ones waits in its own share: one from elsewhere is opened after two pieces, the newest of the same place soon', async () => {
    const { opener, next, done } = slow()
    const outcomes = Array.from({ length: 1000 }, (_, i) => opener.open(junk(i), me, from('1.1.1.1')))
    const elsewhere = opener.open(await letter('elsewhere'), me, from('2.2.2.2'))
    const same = opener.open(await letter('same place'), me, from('1.1.1.1'))
    let answered = 0
    void elsewhere.then(() => { answered++ })
    while (answered < 1) await next()
    expect(done()).toBeLessThanOrEqual(5)
    void same.then(() => { answered++ })
    while (answered < 2) await next()
    expect(done()).toBeLessThanOrEqual(10)
    expect([await elsewhere, await same]).toMatchObject([{ value: { data: utf8('elsewhere') } }, { value: { data: utf8('same place') } }])
    opener.close()
    for (let i = 0; i < 4; i++) await next()
    const all = await Promise.all(outcomes)
    expect(all.filter((outcome) => outcome === 'dropped').length).toBeGreaterThan(900)
  })

  it('what is being opened is never pushed out', async () => {
    const { opener, waiting, next } = slow()
    const first = opener.open(await letter('first'), me, from('1.1.1.1'))
    for (let i = 0; i < 10_000; i++) void opener.open(junk(i), me, from(`1.${i % 7}.${i % 11}.${i % 13}`))
    expect(waiting.length).toBe(2)
    await next()
    expect(await first).toMatchObject({ value: { data: utf8('first') } })
    opener.close()
    for (let i = 0; i < 4; i++) await next()
  })

  it('a dropped one can be asked for again', async () => {
    const { opener, next } = slow()
    const value = await letter('again')
    void opener.open(junk(1), me, undefined)
    void opener.open(junk(2), me, undefined)
    const dropped = opener.open(value, me, from('1.1.1.1'))
    opener.close()
    expect(await dropped).toBe('dropped')
    const again = opener.open(value, me, from('1.1.1.1'))
    for (let i = 0; i < 4; i++) await next()
    expect(await again).toMatchObject({ value: { data: utf8('again') } })
  })

  it('what it remembers is bounded: after 8,192 others the first one costs a decryption again', async () => {
    const { opener, calls } = counting()
    const count = async (n: number) => {
      for (let i = 0; i < n; i += 100) await Promise.all(Array.from({ length: 100 }, (_, k) => opener.open({ ...junk(i + k), cypher: Uint8Array.of(i + k, (i + k) >> 8) }, me, undefined)))
    }
    await count(8000)
    await opener.open({ ...junk(0), cypher: Uint8Array.of(0, 0) }, me, undefined)
    expect(calls()).toBe(8000)
    await count(8300)
    expect(calls()).toBe(8300)
    await opener.open({ ...junk(0), cypher: Uint8Array.of(0, 0) }, me, undefined)
    expect(calls()).toBe(8301)
  })
})
