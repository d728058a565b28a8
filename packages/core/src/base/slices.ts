// Long work in slices: so many units, then other work of the process gets its turn. Counted in work done, not in time, so that a run in
// virtual time is always the same. Proof: base/slices.test.ts.
import type { Clock } from '../contracts/clock.ts'

/** Counts units of work and lets other work of the process run after each `size` of them. */
export class Slices {
  readonly #clock: Pick<Clock, 'track'>
  readonly #size: number
  #spent = 0

  /** @param size units between two turns of the event loop: about 10 ms of work */
  constructor(clock: Pick<Clock, 'track'>, size: number) {
    this.#clock = clock
    this.#size = size
  }

  /** Work was done: something to wait for when the slice is used up. `await slices.spend(n)` is right, waiting only for what is returned is faster. */
  spend(units: number): Promise<void> | undefined {
    this.#spent += units
    if (this.#spent < this.#size) return undefined
    this.#spent = 0
    return this.#clock.track(new Promise<void>((resolve) => setImmediate(resolve)))
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
