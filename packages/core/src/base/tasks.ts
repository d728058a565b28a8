// Background work of a service: nothing floats. Every task is tracked, its failure reported, and `close()` waits for all.
import type { Clock, Timer } from '../contracts/clock.ts'
import { closedError } from './errors.ts'

/** Work in the background that its owner can wait for and end. */
export class Tasks {
  readonly #running = new Set<Promise<void>>() // bounded by the service's own calls, as the timers are
  readonly #timers = new Set<Timer>()
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
  after(delayMs: number, what: string, fn: () => void | Promise<void>): Timer {
    if (this.#controller.signal.aborted) return { cancel() {} }
    const timer = this.#clock.after(delayMs, () => {
      this.#timers.delete(timer)
      this.run(what, async () => fn())
    })
    this.#timers.add(timer)
    return {
      cancel: () => {
        this.#timers.delete(timer)
        timer.cancel()
      },
    }
  }

  /** Aborts the signal, cancels the timers and waits for every task. Idempotent. A task must not wait for it. */
  async close(): Promise<void> {
    if (!this.#controller.signal.aborted) this.#controller.abort(closedError('the service'))
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}
