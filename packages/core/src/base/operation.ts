// Cancelling and timing of everything that waits: one place, so that no call leaks a listener or a timer.
import type { Clock } from '../contracts/clock.ts'
import type { Op } from '../contracts/service.ts'
import { checkArgument, is, shown } from './arguments.ts'
import { JamiError } from './errors.ts'
import { manyMayWait } from './signals.ts'

/** ERR_ABORTED with the signal's reason as cause; the reason itself when it already is a JamiError. */
export function abortError(signal: AbortSignal): JamiError {
  if (JamiError.is(signal.reason)) return signal.reason
  return new JamiError('ERR_ABORTED', 'the operation was aborted', { cause: signal.reason, details: { reason: signal.reason instanceof Error ? signal.reason.message : shown(signal.reason) } })
}

/** @throws ERR_ABORTED when the signal has fired */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal)
}

/**
 * Runs `work` with a signal that fires on the caller's signal or time-out; rejects at once then, and lets `work` clean up.
 * @throws ERR_ABORTED, ERR_TIMEOUT (`details.timeoutMs`), ERR_ARGUMENT for a bad `timeoutMs`
 */
export async function withOp<T>(clock: Clock, op: Op | undefined, what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  throwIfAborted(op?.signal)
  const timeoutMs = op?.timeoutMs
  if (timeoutMs !== undefined) checkArgument('timeoutMs', timeoutMs, is.milliseconds)
  const controller = new AbortController()
  let fail: (error: JamiError) => void = () => {}
  const stopped = new Promise<never>((_, reject) => {
    fail = (error) => {
      controller.abort(error)
      reject(error)
    }
  })
  const onAbort = () => fail(abortError(op?.signal as AbortSignal))
  if (op?.signal) manyMayWait(op.signal).addEventListener('abort', onAbort, { once: true })
  const timer =
    timeoutMs === undefined || timeoutMs === Infinity
      ? undefined
      : clock.after(timeoutMs, () => fail(new JamiError('ERR_TIMEOUT', `${what}: no result within ${timeoutMs} ms`, { details: { what, timeoutMs } })))
  stopped.catch(() => {})
  try {
    const running = work(controller.signal)
    running.catch(() => {}) // when it loses the race its rejection is already reported by the winner
    return await Promise.race([running, stopped])
  } finally {
    timer?.cancel()
    op?.signal?.removeEventListener('abort', onAbort)
  }
}

/** For calls that only wait: a program that has left the promise must not die of its rejection. */
export function abandonable<T>(waiting: Promise<T>): Promise<T> {
  waiting.catch(() => {})
  return waiting
}

/** Resolves after `ms` on the clock. @throws ERR_ABORTED */
export function delay(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortError(signal))
    const onAbort = () => {
      timer.cancel()
      reject(abortError(signal as AbortSignal))
    }
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    if (signal) manyMayWait(signal).addEventListener('abort', onAbort, { once: true })
  })
}

/** A promise with its handles outside. */
export interface Deferred<T> {
  /** Settled by the two below. */
  readonly promise: Promise<T>
  /** Later calls do nothing. */
  resolve(value: T): void
  /** Later calls do nothing. */
  reject(error: unknown): void
}

/** A promise to be settled by whoever holds it. */
export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((res, rej) => {
    resolve = res
    reject = rej
  })
  return { promise, resolve, reject }
}
