// What tests of decoders ask: how bytes are refused.
import { JamiError } from '@jamikit/core/base'

/** The code of the error that `fn` throws, `read` when it throws none; anything but our own error is not caught. */
export function refusal(fn: () => unknown): string {
  try {
    fn()
    return 'read'
  } catch (error) {
    if (JamiError.is(error)) return error.code
    throw error
  }
}
