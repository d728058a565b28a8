// The real Random: the operating system's generator. Proof: io/io.test.ts with testing/suites/random.ts.
import { randomFillSync } from 'node:crypto'
import { JamiError } from '../base/errors.ts'
import type { Random } from '../contracts/random.ts'

const MAX_BYTES = 65_536

export function nodeRandom(): Random {
  return random
}

const random: Random = {
  bytes(length) {
    if (!Number.isInteger(length) || length < 0 || length > MAX_BYTES) throw new JamiError('ERR_ARGUMENT', `random bytes: got ${length}, allowed 0 to ${MAX_BYTES}`)
    return randomFillSync(new Uint8Array(length))
  },
  below(limit) {
    if (!Number.isInteger(limit) || limit < 1 || limit > 2 ** 53) throw new JamiError('ERR_ARGUMENT', `random limit: got ${limit}, allowed 1 to 2^53`)
    const range = BigInt(limit)
    const usable = (1n << 64n) - ((1n << 64n) % range) // values above would make small results likelier
    let value = random.u64()
    while (value >= usable) value = random.u64()
    return Number(value % range)
  },
  u64() {
    const bytes = random.bytes(8)
    return new DataView(bytes.buffer).getBigUint64(0)
  },
}
