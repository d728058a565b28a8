// Long work in slices: counts what was done and lets the event loop breathe. Units are whatever costs a few microseconds.
// Proof: repo/linear-order.test.ts.

export class Slices {
  readonly #units: number
  #left: number

  /** @param units of work between two breaths; choose them to take some 10 ms */
  constructor(units: number) {
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
    return new Promise((resolve) => setImmediate(resolve))
  }
}
