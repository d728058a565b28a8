// Best common ancestors of two commits, whether they were there before or come in the same fetch: what a merge may take away is asked of them.
// Costs what lies between the commits and their bases, within a budget. Pure. docs/protocol/04 §3.6.
// Proof: validation/merge-bases.test.ts (brute force).
import type { Slices } from '@jamikit/core/base'
import { RowHeap } from '../repo/row-heap.ts'
import type { Budget } from './trees.ts'

const FIRST = 1
const SECOND = 2
const BELOW = 4

/**
 * @param parentsOf of a commit by its number; a parent's number is below that of its child
 * @throws ERR_LIMIT
 */
export async function basesOf(first: number, second: number, parentsOf: (commit: number) => readonly number[], budget: Budget, slices: Slices): Promise<number[]> {
  const flags = new Map<number, number>([[first, FIRST]]) // bounded by the budget
  flags.set(second, (flags.get(second) ?? 0) | SECOND)
  const heap = new RowHeap((a, b) => a > b)
  for (const commit of flags.keys()) heap.push(commit)
  let undecided = flags.size // in the heap and not below a base
  const out: number[] = []
  for (let commit = heap.pop(); commit !== undefined && undecided > 0; commit = heap.pop()) {
    budget.spend(1)
    const turn = slices.spend(1)
    if (turn) await turn
    let mine = flags.get(commit) as number
    flags.delete(commit) // all its children were seen
    if ((mine & BELOW) === 0) undecided--
    if (mine === (FIRST | SECOND)) {
      out.push(commit)
      mine |= BELOW
    }
    for (const parent of parentsOf(commit)) {
      const known = flags.get(parent)
      const both = (known ?? 0) | mine
      if (known === undefined) heap.push(parent)
      if (known === undefined && (both & BELOW) === 0) undecided++
      if (known !== undefined && (known & BELOW) === 0 && (both & BELOW) !== 0) undecided--
      flags.set(parent, both)
    }
  }
  return out
}
