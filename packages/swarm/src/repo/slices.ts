// Long work in slices: counts what was done and lets the event loop breathe. Counted in work, not in time, so that a run in virtual
// time is always the same. Proof: repo/linear-order.test.ts.
import type { Clock } from '@jamikit/core/contracts'

/** Where waiting is told, so that virtual time does not run on meanwhile. */
export type Track = Pick<Clock, 'track'>

export class Slices {
  readonly #clock: Track
  readonly #units: number
  #left: number

  /** @param units of work between two breaths; choose them to take some 10 ms */
  constructor(clock: Track, units: number) {
    this.#clock = clock
    this.#units = units
    this.#left = units
  }

  /** Counts work. True when it is time to `rest()`, so that nothing is awaited before. */
  spend(units = 1): boolean {
    this.#left -= units
    return this.#left <= 0
  }

  /** One turn of the event loop: timers, sockets and other promises run. */
  rest(): Promise<void> {
    this.#left = this.#units
    return this.#clock.track(new Promise<void>((resolve) => setImmediate(resolve)))
  }
}
