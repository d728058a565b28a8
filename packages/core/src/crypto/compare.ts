// Comparison of secrets. Nothing else may enter: public data uses codec's equalBytes.
import { timingSafeEqual } from 'node:crypto'

/** Time depends on the lengths only. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
