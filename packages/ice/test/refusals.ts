// What every decoder's refusal and fuzz tests share.
import { JamiError } from '@jamikit/core/base'

/** The code that `fn` refuses with, or 'accepted'. Anything but ERR_CODEC and ERR_LIMIT is a failure of the test. */
export function refusal(fn: () => unknown): string {
  try {
    fn()
    return 'accepted'
  } catch (error) {
    if (JamiError.is(error, 'ERR_CODEC') || JamiError.is(error, 'ERR_LIMIT')) return error.code
    throw error
  }
}
