// Random histories for tests of order and ancestry, and the plain definitions they are judged by: walks over everything.
import { sha1 } from '@jamikit/core/crypto'
import { toHex, utf8 } from '@jamikit/core/codec'
import type { AccountUri, DeviceId } from '@jamikit/core/contracts'
import fc from 'fast-check'
import type { NewCommit } from '../src/repo/types.ts'

export const AUTHOR = 'a'.repeat(40) as AccountUri
export const DEVICE = 'd'.repeat(64) as DeviceId
export const id = (n: number | string): string => toHex(sha1(utf8(`commit ${n}`)))

export interface Step {
  /** Earlier commits. */
  readonly parents: readonly number[]
  readonly timeS: number
  /** Main moves here when this builds on it. */
  readonly main: boolean
}

const step = fc.record({ a: fc.nat(), near: fc.boolean(), b: fc.option(fc.nat(), { nil: undefined }), timeS: fc.integer({ min: 1, max: 6 }), main: fc.boolean() })

/** Connected: every commit but the first has one or two earlier parents, often the latest. */
export const steps = (maxLength: number): fc.Arbitrary<readonly Step[]> => fc.array(step, { minLength: 1, maxLength }).map((list) => [
  { parents: [], timeS: 1, main: true },
  ...list.map(({ a, near, b, timeS, main }, i) => ({ parents: [...new Set([near ? i : a % (i + 1), ...(b === undefined ? [] : [b % (i + 1)])])], timeS, main })),
])

export const newCommit = ({ parents, timeS }: Step, n: number): NewCommit => ({ oid: id(n), tree: id(`tree ${n % 3}`), parents: parents.map(id), timeS, author: AUTHOR, device: DEVICE })

/** Everything a commit builds on, itself included. */
export function ancestors(history: readonly Step[], of: number): Set<number> {
  const seen = new Set<number>()
  const open = [of]
  for (let n = open.pop(); n !== undefined; n = open.pop()) {
    if (seen.has(n)) continue
    seen.add(n)
    open.push(...(history[n]?.parents ?? []))
  }
  return seen
}

/** Newest first: among commits all of whose children were shown, the one with the greatest time, then the greater id. */
export function linear(history: readonly Step[], head: number): number[] {
  const left = ancestors(history, head)
  const out: number[] = []
  while (left.size > 0) {
    const may = [...left].filter((n) => ![...left].some((other) => history[other]?.parents.includes(n)))
    may.sort((x, y) => (history[x]?.timeS ?? 0) - (history[y]?.timeS ?? 0) || (id(x) < id(y) ? -1 : 1))
    const next = may.at(-1) as number
    out.push(next)
    left.delete(next)
  }
  return out
}
