// How often something is done for, or asked of, each device: a bucket for each, the least used one is forgotten first. Time is an argument. Pure.
// docs/protocol/04 §7.2. Proof: transfer/serving.test.ts (hostile requesters), transfer/transfers.test.ts (somebody who announces without end).
import { TokenBucket } from '@jamikit/core/base'
import type { DeviceId } from '@jamikit/core/contracts'
import { MAX_RATED_DEVICES } from '../defaults.ts'

export class DeviceRates {
  readonly #rate: { readonly burst: number; readonly perSecond: number }
  readonly #buckets = new Map<DeviceId, TokenBucket>() // bounded by MAX_RATED_DEVICES

  constructor(rate: { readonly burst: number; readonly perSecond: number }) {
    this.#rate = rate
  }

  tryTake(device: DeviceId, nowMs: number): boolean {
    const bucket = this.#buckets.get(device) ?? new TokenBucket(this.#rate, nowMs)
    this.#buckets.delete(device)
    this.#buckets.set(device, bucket)
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= MAX_RATED_DEVICES) break
      this.#buckets.delete(oldest)
    }
    return bucket.tryTake(nowMs)
  }
}
