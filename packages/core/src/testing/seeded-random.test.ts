// Seeded randomness: the contract, and that it repeats.
import { describe, expect, it } from 'vitest'
import { toHex } from '../codec/bytes.ts'
import { SeededRandom } from './seeded-random.ts'
import { randomSuite } from './suites/random.ts'

describe('SeededRandom', () => {
  for (const { title, run } of randomSuite(() => new SeededRandom(7))) it(title, run)

  it('gives the same values for the same seed, on every machine', () => {
    const values = (seed: number) => {
      const random = new SeededRandom(seed)
      return [toHex(random.bytes(7)), random.below(1000), random.u64(), random.chance(0.5)]
    }
    expect(values(1)).toEqual(values(1))
    expect(values(1)).not.toEqual(values(2))
    expect(values(1)).toMatchInlineSnapshot(`
      [
        "8d81b1cb7f3395",
        916,
        4296971477065901093n,
        true,
      ]
    `)
  })

  it('forks do not depend on what was drawn before', () => {
    const [a, b] = [new SeededRandom(3), new SeededRandom(3)]
    a.bytes(100)
    expect(a.fork('x').u64()).toBe(b.fork('x').u64())
    expect(a.fork('x').u64()).not.toBe(a.fork('y').u64())
  })
})
