// Deltas of packs: an object as copies out of another one and new bytes. Pure. docs/protocol/04 §3.9, trap S11.
// Proof: sync/delta.test.ts (git as oracle, refusal table, fuzz).
import { limitError } from '@jamikit/core/base'
import { MAX_DELTA_OPERATIONS, MAX_OBJECT_BYTES } from '../defaults.ts'
import { repoInvalid } from '../repo/object.ts'

/** What a delta declares, and where its instructions begin. Believe neither before `applyDelta`. */
export interface DeltaSizes {
  readonly base: number
  readonly result: number
  readonly at: number
}

/** @throws ERR_REPO_INVALID, ERR_LIMIT when one of the sizes is above `max` */
export function deltaSizes(delta: Uint8Array, max: number = MAX_OBJECT_BYTES): DeltaSizes {
  let at = 0
  const size = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const b = delta[at++]
      if (b === undefined || at > 16) throw repoInvalid('delta: truncated')
      value += (b & 0x7f) * scale
      if (value > max) throw limitError('object bytes', value, max)
      if ((b & 0x80) === 0) return value
    }
  }
  return { base: size(), result: size(), at }
}

/** Walks the instructions twice: first only counts, so that what is allocated is what they really make. @throws ERR_REPO_INVALID, ERR_LIMIT */
export function applyDelta(base: Uint8Array, delta: Uint8Array, max: number = MAX_OBJECT_BYTES): { data: Uint8Array; operations: number } {
  const sizes = deltaSizes(delta, max)
  if (sizes.base !== base.length) throw repoInvalid('delta: made for another base', { got: sizes.base, allowed: base.length })
  let operations = 0
  let made = 0
  walk(delta, sizes.at, (from, count, copies) => {
    if (++operations > MAX_DELTA_OPERATIONS) throw limitError('instructions of a delta', operations, MAX_DELTA_OPERATIONS)
    if (copies && from + count > base.length) throw repoInvalid('delta: a copy outside the base')
    made += count
  })
  if (made !== sizes.result) throw repoInvalid('delta: another size than it declares', { got: made, allowed: sizes.result })
  const data = new Uint8Array(made)
  let at = 0
  walk(delta, sizes.at, (from, count, copies) => {
    data.set((copies ? base : delta).subarray(from, from + count), at)
    at += count
  })
  return { data, operations }
}

function walk(delta: Uint8Array, start: number, step: (from: number, count: number, copies: boolean) => void): void {
  let at = start
  const byte = (): number => {
    const b = delta[at++]
    if (b === undefined) throw repoInvalid('delta: truncated')
    return b
  }
  while (at < delta.length) {
    const op = byte()
    if (op === 0) throw repoInvalid('delta: a reserved instruction')
    if (op & 0x80) {
      let from = 0
      let count = 0
      for (let i = 0; i < 4; i++) if (op & (1 << i)) from += byte() * 256 ** i
      for (let i = 0; i < 3; i++) if (op & (0x10 << i)) count += byte() * 256 ** i
      step(from, count === 0 ? 0x10000 : count, true)
    } else {
      if (at + op > delta.length) throw repoInvalid('delta: truncated')
      step(at, op, false)
      at += op
    }
  }
}
