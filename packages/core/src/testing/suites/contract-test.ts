// What a contract suite is: named functions that throw when an implementation breaks its contract. No test framework.
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { JamiErrorCode } from '../../contracts/errors.ts'
import { JamiError } from '../../base/errors.ts'

/** One test of a suite, for any framework. */
export interface ContractTest {
  /** What it states. */
  readonly title: string
  /** Rejects when it does not hold. */
  run(): Promise<void>
}

/**
 * Makes the tests of a suite. Each gets something fresh, with what `prepare` adds to it, and ends it also when it failed: by `end` (whose
 * own checks count), then by its `dispose`.
 */
export function testsOf<T extends { dispose?(): Promise<void> }, Tools extends object = object>(
  make: () => T | Promise<T>,
  end: (t: T) => Promise<unknown> = async () => {},
  prepare: (t: T) => Tools = () => ({}) as Tools,
): (title: string, run: (t: T & Tools) => Promise<void>) => ContractTest {
  return (title, run) => ({
    title,
    run: async () => {
      const t = await make()
      try {
        await run({ ...t, ...prepare(t) })
      } finally {
        await end(t)
        await t.dispose?.()
      }
    },
  })
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
