// Background work of a service: nothing floats. Every task is tracked, its failure reported, and `close()` waits for all.
import type { Clock } from '../contracts/clock.ts'
import { JamiError } from './errors.ts'

export class Tasks {
  readonly #running = new Set<Promise<void>>()
  readonly #controller = new AbortController()
  readonly #clock: Clock
  readonly #onError: (error: unknown, what: string) => void

  /** @param onError gets failures other than the abort that `close()` causes */
  constructor(clock: Clock, onError: (error: unknown, what: string) => void) {
    this.#clock = clock
    this.#onError = onError
  }

  /** Fires when `close()` is called. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Starts `work` now; ignored after `close()`. */
  run(what: string, work: (signal: AbortSignal) => Promise<unknown>): void {
    if (this.#controller.signal.aborted) return
    const task = (async () => {
      try {
        await work(this.#controller.signal)
      } catch (error) {
        if (!this.#controller.signal.aborted) this.#onError(error, what)
      }
    })()
    this.#running.add(task)
    void task.then(() => this.#running.delete(task))
  }

  /** Runs `fn` after a delay unless closed before. */
  after(delayMs: number, what: string, fn: () => void | Promise<void>): { cancel(): void } {
    if (this.#controller.signal.aborted) return { cancel() {} }
    const cancel = () => {
      timer.cancel()
      this.#controller.signal.removeEventListener('abort', cancel)
    }
    const timer = this.#clock.after(delayMs, () => {
      this.#controller.signal.removeEventListener('abort', cancel)
      this.run(what, async () => fn())
    })
    this.#controller.signal.addEventListener('abort', cancel, { once: true })
    return { cancel }
  }

  /** Aborts the signal and waits for every task. Idempotent. */
  async close(): Promise<void> {
    if (!this.#controller.signal.aborted) this.#controller.abort(new JamiError('ERR_CLOSED', 'the service was stopped'))
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}
