// The DHT as programs see it: text keys, accounts as signers and readers, and every argument checked at the call.
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { utf8 } from '../codec/bytes.ts'
import type { DeviceIdentity } from '../contracts/identity.ts'
import type { DeviceId, InfoHash } from '../contracts/ids.ts'
import { FakeDhtNetwork } from '../testing/fake-dht.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { testCrypto } from '../testing/test-crypto.ts'
import { testIdentity } from '../testing/test-identities.ts'
import type { Account } from './api.ts'
import { PublicDht } from './public-dht.ts'

const clock = new ManualClock()
const network = new FakeDhtNetwork({ clock, crypto: testCrypto() })
const identities = new Map<unknown, DeviceIdentity>()
const account = (i: number): Account => {
  const one = {} as Account
  identities.set(one, testIdentity(i).device)
  return one
}
const [alice, bob] = [account(0), account(1)]
const face = () => {
  const dht = network.node()
  const shown = new PublicDht({
    dht, clock, random: new SeededRandom('face'),
    identityOf: (of) => {
      const identity = identities.get(of)
      if (!identity) throw new JamiError('ERR_CLOSED', 'the account is not of this node')
      return identity
    },
    publicKeyOf: async (_, device) => {
      for (const { deviceId, chain } of identities.values()) if (deviceId === device) return chain[0].publicKey
      throw new JamiError('ERR_NOT_FOUND', 'no certificate')
    },
  })
  return { dht, shown }
}
const [one, two] = [face(), face()]
for (const { dht } of [one, two]) await dht.start()
const node = one.shown
const key = node.key('place')
const all = async <T>(values: AsyncIterable<T>) => {
  const out: T[] = []
  for await (const value of values) out.push(value)
  return out
}
const idOf = (of: Account) => identities.get(of) as DeviceIdentity

describe('the DHT of a program', () => {
  it('puts and gets texts and bytes; keys may be written in capitals', async () => {
    await clock.run(node.put(key.toUpperCase() as InfoHash, 'text', { id: 1n, userType: 'note' }))
    await clock.run(node.put(key, utf8('bytes'), { id: 2n }))
    const found = await clock.run(all(two.shown.get(key)))
    expect(found.map(({ id, data, userType, signer, encrypted }) => [id, new TextDecoder().decode(data), userType, signer, encrypted])).toEqual([[1n, 'text', 'note', undefined, false], [2n, 'bytes', '', undefined, false]])
    expect(await clock.run(all(node.get(key, { filter: ({ id }) => id === 2n })))).toHaveLength(1)
  })

  it('signed values name their signer, and are replaced by a higher seq', async () => {
    const place = node.key('signed')
    for (const [seq, text] of [[1, 'one'], [5, 'five'], [3, 'three']] as const) await clock.run(node.put(place, text, { sign: alice, id: 9n, seq }))
    const [value, ...more] = await clock.run(all(two.shown.get(place)))
    expect([more, value?.signer, value && new TextDecoder().decode(value.data)]).toEqual([[], idOf(alice).deviceShortId, 'five'])
  })

  it('encrypted values are for one device', async () => {
    const place = node.key('encrypted')
    await clock.run(node.put(place, 'secret', { sign: alice, encryptTo: idOf(bob).deviceId.toUpperCase() as DeviceId }))
    expect(await clock.run(all(two.shown.get(place)))).toEqual([])
    expect(await clock.run(all(two.shown.get(place, { as: alice })))).toEqual([])
    expect(await clock.run(all(two.shown.get(place, { as: bob })))).toMatchObject([{ encrypted: true, signer: idOf(alice).deviceShortId }])
    await expect(clock.run(node.put(place, 'x', { sign: alice, encryptTo: 'ab'.repeat(32) as DeviceId }))).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    await expect(clock.run(node.put(place, 'x', { sign: {} as Account }))).rejects.toMatchObject({ code: 'ERR_CLOSED' })
  })
})

describe('arguments', () => {
  const anything: unknown[] = [null, 5, 5n, 'text', true, {}, [], () => {}]
  const not = (...good: unknown[]) => anything.filter((value) => !good.includes(value) && !good.some((g) => typeof g === 'string' && g.startsWith('type:') && typeof value === g.slice(5)))
  /** Of every option of every method: values it may not have. */
  const OP_BAD = { signal: anything, timeoutMs: [...not('type:number'), -1, Number.NaN] }
  const BAD: Record<'get' | 'listen' | 'put' | 'ready', Record<string, unknown[]>> = {
    ready: OP_BAD,
    get: { ...OP_BAD, as: not('type:object').concat(null), filter: not('type:function') },
    listen: { signal: anything, as: not('type:object').concat(null) },
    put: {
      ...OP_BAD, permanent: not('type:boolean'), sign: not('type:object').concat(null), encryptTo: ['ab', ...not('type:string')], userType: ['x'.repeat(1025), '\ud800', ...not('type:string')],
      id: [-1n, 1n << 64n, ...not('type:bigint')], seq: [-1, 65_536, 1.5, ...not('type:number')],
    },
  }
  const call = {
    ready: (options: unknown) => node.ready(options as never),
    get: (options: unknown) => node.get(key, options as never),
    listen: (options: unknown) => node.listen(key, options as never),
    put: (options: unknown) => node.put(key, 'x', options as never),
  }
  /** What the call itself says: iterations refuse at once, promises by rejecting. */
  const outcome = async (work: () => unknown): Promise<unknown> => {
    try {
      const result = work()
      if (result instanceof Promise) await clock.run(result)
      return 'taken'
    } catch (error) {
      return error
    }
  }
  const refused = (field: string) => expect.objectContaining({ code: 'ERR_ARGUMENT', details: { field, got: expect.anything() as unknown, allowed: expect.any(String) as string } }) as object

  const cases = Object.entries(BAD).flatMap(([method, options]) => Object.entries(options).flatMap(([option, values]) => values.map((value) => [method, option, value] as const)))
  it.each(cases)('%s refuses %s: %o', async (method, option, value) => {
    expect(await outcome(() => call[method as keyof typeof call]({ [option]: value }))).toEqual(refused(option))
  })

  it.each(Object.keys(call))('%s refuses options it does not have, and options that are none', async (method) => {
    expect(await outcome(() => call[method as keyof typeof call]({ timeout: 5 }))).toEqual(refused('timeout'))
    for (const options of [5, 'text', []]) expect(await outcome(() => call[method as keyof typeof call](options))).toEqual(refused('options'))
    expect(await outcome(() => call[method as keyof typeof call](Object.fromEntries(Object.keys(BAD[method as keyof typeof call]).map((name) => [name, undefined]))))).toBe('taken')
  })

  it.each([null, undefined, '', 'ab', 'zz'.repeat(20), 'ab'.repeat(32), 5, {}, new Uint8Array(20)])('no method takes the key %o', async (bad) => {
    for (const work of [() => node.get(bad as never), () => node.listen(bad as never), () => node.put(bad as never, 'x')]) expect(await outcome(work)).toEqual(refused('key'))
  })

  it.each([undefined, null, 5, {}, [1, 2], new ArrayBuffer(5), 'x'.repeat(65_537), 'é'.repeat(32_769), new Uint8Array(65_537)])('put refuses the data %#', async (bad) => {
    expect(await outcome(() => node.put(key, bad as never))).toEqual(refused('data'))
  })

  it('key() takes texts only; bootstrap() names the entry; encryptTo and seq need sign', async () => {
    expect(await outcome(() => node.key(5 as never))).toEqual(refused('text'))
    expect(await outcome(() => node.bootstrap('a:1', 'b:99999'))).toEqual(refused('bootstrap[1]'))
    expect(await outcome(() => node.put(key, 'x', { encryptTo: idOf(bob).deviceId }))).toEqual(refused('encryptTo'))
    expect(await outcome(() => node.put(key, 'x', { seq: 1 }))).toEqual(refused('seq'))
  })
})
