// Slices of work with objects: bytes, and for each object what it costs beside them. docs/protocol/04 §3.9. Proof: repo/turns.test.ts.
import { Slices } from '@jamikit/core/base'
import type { Clock } from '@jamikit/core/contracts'
import { OBJECT_COST_BYTES, SLICE_BYTES } from '../defaults.ts'

export class Turns extends Slices {
  constructor(clock: Pick<Clock, 'track'>) {
    super(clock, SLICE_BYTES)
  }

  /** The same for one object of `bytes`. */
  object(bytes: number): Promise<void> | undefined {
    return this.spend(bytes + OBJECT_COST_BYTES)
  }
}
