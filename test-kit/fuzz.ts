// What the tests of all packages share and no program may import: fuzzing a decoder in one line. Found as `test-kit/fuzz`.
import { JamiError } from '@jamikit/core/base'
import fc from 'fast-check'
import { it } from 'vitest'

/** How decoders say that bytes or text from outside are bad. */
const BAD_INPUT: readonly string[] = ['ERR_CODEC', 'ERR_LIMIT', 'ERR_ADDRESS_INVALID', 'ERR_REPO_INVALID', 'ERR_CERTIFICATE', 'ERR_SIGNATURE']

/** A test: over 10,000 inputs `run` returns or throws a typed error of bad input. */
export function fuzz<T>(title: string, input: fc.Arbitrary<T>, run: (input: T) => void): void {
  it(`${title} (10,000 inputs)`, () => {
    fc.assert(
      fc.property(input, (value) => {
        try {
          run(value)
        } catch (error) {
          return JamiError.is(error) && BAD_INPUT.includes(error.code)
        }
        return true
      }),
      { numRuns: 10_000 },
    )
  })
}
