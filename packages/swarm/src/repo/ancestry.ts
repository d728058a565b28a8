// Questions to the commit graph: ancestors, merge bases, what a peer misses. Pure over rows; each costs what lies between the commits
// asked about, not the history: cuts of the linear order answer for everything below them. docs/protocol/04 §4.3, §4.6.
// Proof: repo/ancestry.test.ts (against walks over everything, on random histories; stock git).
import type { CommitGraph } from './graph.ts'
import type { LinearOrder } from './linear-order.ts'
import { RowHeap } from './row-heap.ts'

const parentsOf = (graph: CommitGraph, row: number): number[] => [graph.parent(row), graph.otherParent(row)].filter((parent) => parent >= 0)

/** The same commit is its own ancestor. */
export function isAncestor(graph: CommitGraph, order: LinearOrder, ancestor: number, of: number): boolean {
  if (ancestor === of) return true
  const place = graph.position[ancestor] as number
  const floor = graph.generation(ancestor)
  const seen = new Set<number>() // bounded by the tangle
  const open = [of]
  let cut = -1
  let cutFor = -1 // `cut` is the nearest one for positions from it up to here
  for (let row = open.pop(); row !== undefined; row = open.pop()) {
    if (row === ancestor) return true
    if (graph.generation(row) <= floor || seen.has(row)) continue
    seen.add(row)
    const position = graph.position[row] as number
    if (position >= 0) {
      if (place < 0 || place > position) continue // all ancestors of what is on main are on main, below it
      if (position > cutFor || position < cut) {
        cut = order.cutAt(position)
        cutFor = position
      }
      if (place <= cut) return true
    }
    open.push(...parentsOf(graph, row))
  }
  return false
}

/** Generation, then row: every commit comes before its ancestors. */
const childrenFirst = (graph: CommitGraph) => (a: number, b: number): boolean => {
  const d = graph.generation(a) - graph.generation(b)
  return d > 0 || (d === 0 && a > b)
}

const A = 1
const B = 2
const BELOW = 4

/** Best common ancestors: those that no other common ancestor builds on. */
export function mergeBases(graph: CommitGraph, order: LinearOrder, a: number, b: number): number[] {
  if (isAncestor(graph, order, a, b)) return [a]
  if (isAncestor(graph, order, b, a)) return [b]
  const flags = new Map<number, number>([[a, A], [b, B]]) // bounded by the tangle
  const heap = new RowHeap(childrenFirst(graph))
  heap.push(a)
  heap.push(b)
  let undecided = 2 // in the heap and not below a base
  const out: number[] = []
  for (let row = heap.pop(); row !== undefined && undecided > 0; row = heap.pop()) {
    let mine = flags.get(row) as number
    if ((mine & BELOW) === 0) undecided--
    if (mine === (A | B)) {
      out.push(row)
      mine |= BELOW
    }
    for (const parent of parentsOf(graph, row)) {
      const before = flags.get(parent)
      const after = (before ?? 0) | mine
      flags.set(parent, after)
      if (before === undefined) heap.push(parent)
      if (before === undefined && (after & BELOW) === 0) undecided++
      if (before !== undefined && (before & BELOW) === 0 && (after & BELOW) !== 0) undecided--
    }
  }
  return out
}

const WANTED = 1
const HAD = 2

/** Rows that `wants` reach and `haves` do not, children first. */
export function* missing(graph: CommitGraph, order: LinearOrder, wants: Iterable<number>, haves: Iterable<number>): Generator<number> {
  const flags = new Map<number, number>() // in the heap; bounded by the tangle's width
  const heap = new RowHeap(childrenFirst(graph))
  let had = -1 // at this position of main and below, everything is had
  let wanted = 0 // in the heap, and not had
  for (const row of haves) {
    const position = graph.position[row] as number
    if (position > had) had = Math.max(had, order.cutAt(position))
    if (!flags.has(row)) heap.push(row)
    flags.set(row, HAD)
  }
  const want = (row: number): void => {
    const position = graph.position[row] as number
    if (position >= 0 && position <= had) return
    const before = flags.get(row)
    if (before !== undefined) return
    flags.set(row, WANTED)
    heap.push(row)
    wanted++
  }
  for (const row of wants) want(row)
  for (let row = heap.pop(); row !== undefined && wanted > 0; row = heap.pop()) {
    const mine = flags.get(row) as number
    flags.delete(row)
    if (mine === WANTED) {
      wanted--
      yield row
      for (const parent of parentsOf(graph, row)) want(parent)
      continue
    }
    const position = graph.position[row] as number
    if (position >= 0 && position <= had) continue
    for (const parent of parentsOf(graph, row)) {
      const before = flags.get(parent)
      if (before === WANTED) wanted--
      if (before === undefined) heap.push(parent)
      flags.set(parent, HAD)
    }
  }
}
