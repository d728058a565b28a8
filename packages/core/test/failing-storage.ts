// Storage whose n-th write fails, once or from then on: what a full disk does. What is kept can be looked into.
import { JamiError } from '../src/base/errors.ts'
import { testStorage, type TestStorage } from '../src/testing/test-storage.ts'

export interface FailingStorage extends TestStorage {
  /** Writes until now. */
  writes(): number
  /** The write with this number (from 1, counted from now) fails, and all after it until `heal`. */
  failAt(n: number): void
  heal(): void
}

export function failingStorage(contents?: TestStorage['contents']): FailingStorage {
  let writes = 0
  let failing = Number.POSITIVE_INFINITY
  const inner = testStorage(contents)
  const failed = () => new JamiError('ERR_STORAGE_IO', 'storage: got ENOSPC, allowed a disk with room', { details: { code: 'ENOSPC' } })
  return Object.assign(inner, {
    batch: ((batch) => async (ops: Parameters<TestStorage['batch']>[0]) => {
      if (++writes >= failing) throw failed()
      await batch(ops)
    })(inner.batch),
    failAt(n: number) {
      failing = writes + n
    },
    heal() {
      failing = Number.POSITIVE_INFINITY
    },
    writes: () => writes,
  })
}
