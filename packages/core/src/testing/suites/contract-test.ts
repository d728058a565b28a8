// What a contract suite is: named functions that throw when an implementation breaks its contract. No test framework.
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { JamiErrorCode } from '../../contracts/errors.ts'
import { JamiError } from '../../base/errors.ts'

export interface ContractTest {
  readonly title: string
  run(): Promise<void>
}

/** Fails unless `work` rejects with this code. */
export async function rejectsWith(code: JamiErrorCode, work: Promise<unknown>): Promise<void> {
  const outcome = await work.then(
    () => 'resolved',
    (error: unknown) => error,
  )
  ok(JamiError.is(outcome, code), `expected ${code}, got ${String(outcome)}`)
}

/** Fails unless `fn` throws this code. */
export function throwsWith(code: JamiErrorCode, fn: () => unknown): void {
  let outcome: unknown = 'returned'
  try {
    fn()
  } catch (error) {
    outcome = error
  }
  ok(JamiError.is(outcome, code), `expected ${code}, got ${String(outcome)}`)
}

/** Compares contents, whatever subclass of Uint8Array holds them. */
export function sameBytes(got: Uint8Array | undefined, expected: Uint8Array): void {
  ok(got, 'expected bytes, got nothing')
  deepStrictEqual(Buffer.from(got), Buffer.from(expected))
}
