// Long work in slices: so many units, then the event loop gets a turn. No clock: the units are what the caller counts (entries, objects,
// bytes), so that the same input is cut at the same places. Proof: base/slices.test.ts.
import type { Clock } from '../contracts/clock.ts'

/** Counts units of work and lets other work of the process run after each `size` of them. */
export class Slices {
  readonly #clock: Clock
  readonly #size: number
  #done = 0

  /** @param size units between two turns of the event loop: about 10 ms of work */
  constructor(clock: Clock, size: number) {
    this.#clock = clock
    this.#size = size
  }

  /** True when a turn is due: `await slices.turn()` then. Kept apart, so that the usual case costs no promise. */
  spend(units: number): boolean {
    this.#done += units
    return this.#done >= this.#size
  }

  async turn(): Promise<void> {
    this.#done = 0
    await this.#clock.track(new Promise<void>((resolve) => setImmediate(resolve)))
  }
}

/** Runs work that comes to rest (`yield`) where a turn of the event loop is due. */
export async function inSlices<T>(clock: Pick<Clock, 'track'>, work: Generator<void, T>): Promise<T> {
  for (;;) {
    const { done, value } = work.next()
    if (done) return value
    await clock.track(new Promise<void>((resolve) => setImmediate(resolve)))
  }
}
