// Contract suite of Random: the system's and the seeded one.
import { deepStrictEqual, notDeepStrictEqual, ok } from 'node:assert/strict'
import type { Random } from '../../contracts/random.ts'
import { type ContractTest, throwsWith } from './contract-test.ts'

/** What a Random must do, as tests to run one by one. @param make makes a fresh one for each test */
export function randomSuite(make: () => Random): ContractTest[] {
  const test = (title: string, run: (random: Random) => void): ContractTest => ({ title, run: async () => run(make()) })
  return [
    test('bytes() gives as many as asked for, fresh each time', (random) => {
      for (const length of [0, 1, 20, 65_536]) deepStrictEqual(random.bytes(length).length, length)
      notDeepStrictEqual(random.bytes(32), random.bytes(32))
      const one = random.bytes(16)
      const copy = one.slice()
      random.bytes(16)
      deepStrictEqual(one, copy)
    }),
    test('bytes() refuses lengths outside 0 to 65,536', (random) => {
      for (const length of [-1, 1.5, 65_537, Number.NaN]) throwsWith('ERR_ARGUMENT', () => random.bytes(length))
    }),
    test('bytes() uses all values', (random) => {
      deepStrictEqual(new Set(random.bytes(65_536)).size, 256)
    }),
    test('below() stays below and reaches every value evenly', (random) => {
      const counts = [0, 0, 0, 0, 0, 0]
      for (let i = 0; i < 6000; i++) {
        const value = random.below(6)
        ok(Number.isInteger(value) && value >= 0 && value < 6)
        counts[value] = (counts[value] ?? 0) + 1
      }
      for (const count of counts) ok(count > 800 && count < 1200, counts.join(' ')) // 1000 ± 7 standard deviations
      deepStrictEqual(random.below(1), 0)
    }),
    test('below() reaches beyond 32 bits', (random) => {
      const values = Array.from({ length: 64 }, () => random.below(2 ** 53))
      ok(values.every((v) => Number.isSafeInteger(v) && v >= 0))
      ok(values.some((v) => v > 2 ** 51))
    }),
    test('below() refuses limits outside 1 to 2^53', (random) => {
      for (const limit of [0, -1, 1.5, 2 ** 54, Number.NaN]) throwsWith('ERR_ARGUMENT', () => random.below(limit))
    }),
    test('u64() covers 64 bits', (random) => {
      const values = Array.from({ length: 64 }, () => random.u64())
      ok(values.every((v) => v >= 0n && v < 1n << 64n))
      ok(values.some((v) => v >= 1n << 63n) && values.some((v) => v < 1n << 63n))
      deepStrictEqual(new Set(values).size, 64)
    }),
  ]
}
