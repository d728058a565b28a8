// One listen against whatever storing nodes push: junk takes no place and pushes nothing out, nobody takes another's place, replays are one.
import { Tasks } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { Crypto, SocketAddress } from '@jamikit/core/contracts'
import { ManualClock, spareKey, testCrypto } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { MAX_LISTENED_VALUES, MAX_VARIANTS } from './defaults.ts'
import type { NodeRecord } from './engine/nodes.ts'
import type { Filter } from './filter.ts'
import { Listening } from './listening.ts'
import { sealValue } from './secure/envelope.ts'
import { Opener } from './secure/opener.ts'
import type { Value } from './wire/value.ts'

const crypto = testCrypto()
const [me, friend, stranger] = [spareKey(0), spareKey(1), spareKey(2)] as const
const NODE = 'ab'.repeat(20)
const plain = (text: string, id: bigint, userType = ''): Value => ({ id, priority: 0, pushType: '', cypher: undefined, body: { type: 0, data: utf8(text), userType, owner: undefined, seq: 0, to: undefined, signature: undefined } })
/** Not verified here: that happened on arrival. */
const signed = (text: string, id: bigint, seq = 0, key = friend, userType = ''): Value => ({ id, priority: 0, pushType: '', cypher: undefined, body: { type: 0, data: utf8(text), userType, owner: key.publicKey, seq, to: undefined, signature: utf8(text) } })
/** Made-up keys: as many signers as anybody likes. */
const signer = (n: number) => ({ pem: '', publicKey: Uint8Array.of(n >> 8, n) })

function listen(filter: Filter = {}) {
  const clock = new ManualClock()
  let decryptions = 0
  const counting: Crypto = { ...crypto, decrypt: (...args) => { decryptions++; return crypto.decrypt(...args) } }
  const opener = new Opener(counting, clock)
  const tasks = new Tasks(clock, (error) => { throw error })
  const listening = new Listening({ clock, opener, tasks }, filter)
  const events: string[] = []
  const seen: bigint[] = []
  void (async () => {
    for await (const { value, expired } of listening.events) {
      events.push(`${expired ? '-' : '+'}${new TextDecoder().decode(value.data)}`)
      seen.push(value.id)
    }
  })()
  const node = (n = 1): NodeRecord => ({ id: `${n}`.padStart(40, '0'), family: 4, address: { host: `1.1.${n >> 8}.${n & 255}`, port: 4222, family: 4 } as SocketAddress }) as unknown as NodeRecord
  const push = (values: readonly Value[], from = 1, more: { refreshed?: bigint[]; expired?: bigint[] } = {}) => listening.push(node(from), { id: NODE as never, values, ...more })
  const settle = async () => {
    await clock.settle()
  }
  const end = async () => {
    listening.close()
    opener.close()
    await clock.run(tasks.close())
    expect(clock.pending()).toEqual([])
  }
  return { clock, listening, push, events, seen, settle, end, node, decryptions: () => decryptions }
}

describe('junk at a key we listen on', () => {
  it('5,000 unsigned values of the wanted kind do not expire what somebody signed', async () => {
    const { push, events, settle, end, clock } = listen({ type: 0 })
    push([signed('announcement', 1n)])
    for (let i = 0; i < 5000; i++) push([plain(`junk ${i}`, BigInt(i + 10))])
    push([signed('later', 2n)])
    await settle()
    expect(events.filter((e) => !e.includes('junk'))).toEqual(['+announcement', '+later'])
    expect(events.filter((e) => e.startsWith('-')).length).toBeGreaterThan(900) // the bound is reached, the oldest junk goes
    push([], 1, { refreshed: [1n] })
    await clock.advance(60_000)
    expect(events).not.toContain('-announcement')
    await end()
  })

  it('5,000 values that are not asked for take no place, and what is asked for is told', async () => {
    const { push, events, settle, end } = listen({ userType: 'news' })
    push([plain('first', 1n, 'news')])
    for (let i = 0; i < 5000; i++) push([i % 2 ? plain(`junk ${i}`, BigInt(i + 10)) : signed(`junk ${i}`, BigInt(i + 10), 0, stranger)])
    push([plain('second', 2n, 'news')])
    await settle()
    expect(events).toEqual(['+first', '+second'])
    await end()
  })

  it('5,000 signed values of one stranger, or of as many strangers, push out their own and not the first one', async () => {
    for (const many of [false, true]) {
      const { push, events, settle, end } = listen()
      push([signed('announcement', 1n), signed('second device', 2n)])
      for (let i = 0; i < 5000; i++) push([signed(`junk ${i}`, BigInt(i + 10), 0, many ? signer(i) : stranger)])
      await settle()
      expect(events.filter((e) => !e.includes('junk'))).toEqual(['+announcement', '+second device'])
      await end()
    }
  })

  it('5,000 ciphertexts for nobody do not keep a letter from being opened, and none is opened twice', async () => {
    const { push, events, settle, end, decryptions } = listen({ decryptWith: me })
    const letter = await sealValue(crypto, 1n, { data: utf8('letter'), sign: friend, encryptTo: me.publicKey })
    const junk = (i: number): Value => ({ id: BigInt(i + 10), priority: 0, pushType: '', body: undefined, cypher: Uint8Array.of(i >> 8, i) })
    for (let i = 0; i < 5000; i++) push([junk(i % 100), { ...junk(i), cypher: junk(7).cypher }], 1 + (i % 8))
    push([letter], 9)
    await settle()
    expect(events).toEqual(['+letter'])
    expect(decryptions()).toBeLessThanOrEqual(101)
    await end()
  })
})

describe('one place each', () => {
  it('a stranger that puts something under the id of a value, before or after, unsigned or signed with any number, neither hides nor replaces it', async () => {
    for (const junk of [plain('junk', 5n), signed('junk', 5n, 65_535, stranger), signed('junk', 5n, 0, stranger)]) for (const first of [true, false]) {
      const { push, events, settle, end } = listen()
      const values = [signed('mine', 5n, 1), junk]
      for (const [i, value] of (first ? values : values.toReversed()).entries()) push([value], i + 1)
      push([signed('mine, edited', 5n, 2)], 3)
      push([signed('too late', 5n, 1)], 4)
      await settle()
      expect(events.filter((e) => e !== '+junk')).toEqual(['+mine', '+mine, edited'])
      await end()
    }
  })

  it('of two contents that one signer gives the same number the first is kept', async () => {
    const { push, events, settle, end } = listen()
    push([signed('first', 5n, 1)], 1)
    push([signed('second', 5n, 1)], 2)
    push([signed('first', 5n, 1)], 1)
    await settle()
    expect(events).toEqual(['+first'])
    await end()
  })

  it(`at most ${MAX_VARIANTS} signers have a value under one id`, async () => {
    const { push, events, settle, end } = listen()
    for (let i = 0; i < 200; i++) push([signed(`${i}`, 5n, 0, signer(i))])
    await settle()
    expect(events).toHaveLength(MAX_VARIANTS)
    await end()
  })

  it('only a node that has a value can say that it is gone, or still there', async () => {
    const { push, events, settle, end, clock } = listen()
    push([plain('x', 5n)], 1)
    push([], 2, { expired: [5n] })
    await clock.advance(9 * 60_000)
    push([], 2, { refreshed: [5n] })
    await settle()
    expect(events).toEqual(['+x'])
    await clock.advance(2 * 60_000)
    expect(events).toEqual(['+x', '-x'])
    push([plain('x', 5n)], 1)
    push([plain('x', 5n)], 2)
    push([], 1, { expired: [5n] })
    await settle()
    expect(events).toEqual(['+x', '-x', '+x'])
    push([], 2, { expired: [5n] })
    await settle()
    expect(events).toEqual(['+x', '-x', '+x', '-x'])
    await end()
  })

  it('a node that is lost gives back what others have, too, and not the last one', async () => {
    const { push, events, settle, end, listening, node } = listen()
    push([plain('x', 5n), plain('y', 6n)], 1)
    push([plain('x', 5n)], 2)
    listening.nodeLost(node(1))
    push([], 2, { expired: [5n] })
    await settle()
    expect(events).toEqual(['+x', '+y', '-x'])
    await end()
  })
})

describe('replays', () => {
  it.each([true, false])('under 5,000 ids are told once, take 64 places, and end with the last id (encrypted: %s)', async (encrypted) => {
    const { push, events, seen, settle, end, clock, decryptions } = listen(encrypted ? { decryptWith: me } : {})
    const original = await sealValue(crypto, 1n, { data: utf8('request'), sign: friend, ...(encrypted ? { encryptTo: me.publicKey } : {}) })
    push([plain('other', 2n)])
    push([original])
    await settle()
    for (let i = 0; i < 5000; i++) push([{ ...original, id: BigInt(i + 10) }])
    push([plain('news', 3n)])
    await settle()
    expect(events).toEqual(['+other', '+request', '+news'])
    expect(decryptions()).toBe(encrypted ? 1 : 0)
    await clock.advance(50_000)
    push([{ ...original, id: 99_999n }])
    await clock.advance(10 * 60_000 - 20_000)
    expect(events.toSorted()).toEqual(['+news', '+other', '+request', '-news', '-other'])
    await clock.advance(25_000)
    expect([events.at(-1), seen.at(-1)]).toEqual(['-request', 1n])
    push([original])
    await settle()
    expect(events.at(-1)).toBe('+request')
    await end()
  })

  it('of a ciphertext never count as news; of a signed value they do once a minute, since a device that starts anew says the same again', async () => {
    for (const encrypted of [true, false]) {
      const { push, events, seen, end, clock, settle } = listen(encrypted ? { decryptWith: me } : {})
      const original = await sealValue(crypto, 1n, { data: utf8('x'), sign: friend, ...(encrypted ? { encryptTo: me.publicKey } : {}) })
      for (let i = 0; i < 300; i++) {
        push([{ ...original, id: BigInt(i + 1) }])
        await clock.advance(1000)
      }
      expect(events.filter((e) => e === '+x')).toHaveLength(encrypted ? 1 : 5)
      expect(events.filter((e) => e === '-x').length).toBeLessThan(encrypted ? 1 : 5) // it is there all the time
      for (let i = 0; i < 300; i++) push([], 1, { expired: [BigInt(i + 1)] })
      await settle()
      expect([events.filter((e) => e === '-x').length, new Set(seen).size]).toEqual([encrypted ? 1 : 5, encrypted ? 1 : 5]) // each that came has gone
      await end()
    }
  })

  it('of unsigned content are not: two people may say the same', async () => {
    const { push, events, settle, end } = listen()
    push([plain('hello', 1n), plain('hello', 2n)])
    await settle()
    expect(events).toEqual(['+hello', '+hello'])
    await end()
  })
})

it(`no more than ${MAX_LISTENED_VALUES} values are kept: of signed ones, too, the oldest of the busiest goes`, async () => {
  const { push, events, settle, end } = listen()
  for (let i = 0; i < MAX_LISTENED_VALUES + 10; i++) push([signed(`${i}`, BigInt(i + 1))])
  await settle()
  expect(events.filter((e) => e.startsWith('-'))).toEqual(Array.from({ length: 10 }, (_, i) => `-${i}`))
  await end()
})
