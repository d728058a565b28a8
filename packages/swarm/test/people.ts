// Identities of the pool as people, and the clock of tests that need one.
import { ManualClock, testIdentity } from '@jamikit/core/testing'

export const clock = new ManualClock()
export const alice = testIdentity(0).device
export const bob = testIdentity(1).device
export const carol = testIdentity(2).device
