// Fuzzing in one line: a decoder returns or throws a typed error of bad input, over 10,000 inputs.
import { JamiError } from '@jamikit/core/base'
import fc from 'fast-check'
import { it as test } from 'vitest'

const ALLOWED = ['ERR_CODEC', 'ERR_LIMIT', 'ERR_REPO_INVALID', 'ERR_CERTIFICATE', 'ERR_SIGNATURE']

export function it<T>(title: string, input: fc.Arbitrary<T>, run: (input: T) => void): void {
  test(`${title} (10,000 inputs)`, () => {
    fc.assert(
      fc.property(input, (value) => {
        try {
          run(value)
        } catch (error) {
          return JamiError.is(error) && ALLOWED.includes(error.code)
        }
        return true
      }),
      { numRuns: 10_000 },
    )
  })
}

export { fc }
