// What was read lately, within its bound.
import { expect, it } from 'vitest'
import { id } from '../../test/histories.ts'
import { ObjectCache } from './object-cache.ts'

it('keeps what was used last, never more than its bound, nothing that would push out much else; histories that share it do not see each other', () => {
  const whole = new ObjectCache(100_000)
  const [cache, other] = [whole.part(), whole.part()]
  for (let n = 0; n < 500; n++) {
    cache.set(id(n), { type: 'blob', data: new Uint8Array(800) })
    cache.get(id(0))
    expect(whole.bytes).toBeLessThanOrEqual(100_000)
  }
  expect(whole.bytes).toBe(100_000)
  expect([0, 399, 401, 499].map((n) => cache.get(id(n)) !== undefined)).toEqual([true, false, true, true])
  cache.set(id('large'), { type: 'blob', data: new Uint8Array(13_000) })
  expect([cache.get(id('large')), other.get(id(499))]).toEqual([undefined, undefined])
  for (let n = 0; n < 200; n++) other.set(id(n), { type: 'blob', data: new Uint8Array(800) })
  expect([whole.bytes, cache.get(id(499)), other.get(id(199)) !== undefined]).toEqual([100_000, undefined, true])
})
