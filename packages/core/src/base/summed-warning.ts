// A warning that strangers can cause as often as they like: one line per window, with how often it happened. The first one opens the
// window, so that nothing is written while nothing happens. Proof: base/summed-warning.test.ts.
import type { Clock, Timer } from '../contracts/clock.ts'

const WINDOW_MS = 10_000

/** One line per 10 s, however often it happens. */
export class SummedWarning {
  readonly #clock: Clock
  readonly #write: (fields: Record<string, unknown>) => void
  #count = 0
  #first: Record<string, unknown> = {}
  #timer: Timer | undefined

  /** @param write gets the fields of the first time and `count` */
  constructor(clock: Clock, write: (fields: Record<string, unknown>) => void) {
    this.#clock = clock
    this.#write = write
  }

  /** It happened. */
  hit(fields: Record<string, unknown> = {}): void {
    if (this.#count++ > 0) return
    this.#first = fields
    this.#timer = this.#clock.after(WINDOW_MS, () => this.flush())
  }

  /** Writes what was counted now; the end of its owner. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#count > 0) this.#write({ ...this.#first, count: this.#count })
    this.#count = 0
  }
}
