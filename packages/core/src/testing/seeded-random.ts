// Randomness that repeats: the same seed gives the same values on every machine. Never for secrets.
// Proof: testing/seeded-random.test.ts with testing/suites/random.ts.
import { JamiError } from '../base/errors.ts'
import { utf8 } from '../codec/bytes.ts'
import type { Random } from '../contracts/random.ts'
import { sha256 } from '../crypto/hash.ts'

const MAX_BYTES = 65_536

/** xoshiro128** over a state that is a hash of the seed. */
export class SeededRandom implements Random {
  readonly #seed: string
  #a: number
  #b: number
  #c: number
  #d: number

  constructor(seed: number | string) {
    this.#seed = String(seed)
    const state = sha256(utf8(`jamikit seed ${this.#seed}`))
    const view = new DataView(state.buffer, state.byteOffset)
    this.#a = view.getInt32(0)
    this.#b = view.getInt32(4)
    this.#c = view.getInt32(8)
    this.#d = view.getInt32(12) | 1 // never all zero
  }

  /** Another source that depends only on this one's seed and the label, not on how much was drawn. */
  fork(label: string): SeededRandom {
    return new SeededRandom(`${this.#seed}/${label}`)
  }

  bytes(length: number): Uint8Array {
    if (!Number.isInteger(length) || length < 0 || length > MAX_BYTES) throw new JamiError('ERR_ARGUMENT', `random bytes: got ${length}, allowed 0 to ${MAX_BYTES}`)
    const out = new Uint8Array(length)
    for (let i = 0; i < length; ) for (let word = this.#u32(), n = 0; n < 4 && i < length; n++, word >>>= 8) out[i++] = word & 0xff
    return out
  }

  below(limit: number): number {
    if (!Number.isInteger(limit) || limit < 1 || limit > 2 ** 53) throw new JamiError('ERR_ARGUMENT', `random limit: got ${limit}, allowed 1 to 2^53`)
    const range = 2 ** 53
    const usable = range - (range % limit) // values above would make small results likelier
    for (;;) {
      const value = (this.#u32() >>> 5) * 67_108_864 + (this.#u32() >>> 6)
      if (value < usable) return value % limit
    }
  }

  u64(): bigint {
    return (BigInt(this.#u32()) << 32n) | BigInt(this.#u32())
  }

  /** True with this probability, 0 … 1. Draws once, whatever the probability is. */
  chance(probability: number): boolean {
    return this.#u32() / 2 ** 32 < probability
  }

  #u32(): number {
    const scrambled = Math.imul(this.#b, 5)
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result
  }
}
