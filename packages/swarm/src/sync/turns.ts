// Long work in slices: other things run in between. Counted in work done, not in time, so that a run in virtual time is always the same.
// docs/protocol/04 §3.9. Proof: sync/turns.test.ts.
import type { Clock } from '@jamikit/core/contracts'
import { OBJECT_COST_BYTES, SLICE_BYTES } from '../defaults.ts'

export class Turns {
  readonly #clock: Pick<Clock, 'track'>
  #spent = 0

  constructor(clock: Pick<Clock, 'track'>) {
    this.#clock = clock
  }

  /** Work was done: something to wait for when the slice is used up. `await turns.spend(n)` is right, waiting only for what is returned is faster. */
  spend(bytes: number): Promise<void> | undefined {
    this.#spent += bytes
    if (this.#spent < SLICE_BYTES) return undefined
    this.#spent = 0
    return this.#clock.track(new Promise<void>((resolve) => setImmediate(resolve)))
  }

  /** The same for one object of `bytes`. */
  object(bytes: number): Promise<void> | undefined {
    return this.spend(bytes + OBJECT_COST_BYTES)
  }
}
