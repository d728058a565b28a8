// The linear order of main, kept incrementally: newest first, among commits all of whose children on main were shown the one with
// the greatest time, then the greater id. Positions count from the oldest = 0. A commit on top costs O(1); a merge is ordered anew
// from the new head down, only until what was shown is the new commits and a whole end of the old order: below, nothing changes.
// A position is a cut when every line of descent from above passes through it: everything above descends from it, everything below
// is its ancestor. docs/protocol/04 §4.10. Proof: repo/linear-order.test.ts (against the plain definition, on random histories).
import { JamiError } from '@jamikit/core/base'
import type { Clock } from '@jamikit/core/contracts'
import { Turns } from './turns.ts'
import { type CommitGraph, NOT_ON_MAIN } from './graph.ts'
import { RowHeap } from './row-heap.ts'

/** What a commit counts for in a slice of work: some 10,000 between two turns of the event loop. */
const COMMIT_COST = 200
const ON_ITS_WAY = -2

/** How main will look; `apply` or `discard` it before the next one. */
export interface OrderPlan {
  readonly head: number
  /** Rows that are new on main, parents first. */
  readonly added: Int32Array
  /** What lies at `from` and above, newest first, and which of it are cuts. */
  readonly shown: readonly number[]
  readonly cuts: readonly boolean[]
  readonly from: number
  /** No cut between this position and `from` any more: a new commit reaches past them. */
  readonly reach: number
  /** Lowest position whose commit is another one. */
  readonly changedFrom: number
}

export class LinearOrder {
  readonly #graph: CommitGraph
  readonly #clock: Pick<Clock, 'track'>
  #rows = new Int32Array(64) // bounded by the history, as the graph
  #cuts = new Uint8Array(64)
  #length = 0
  #head = -1

  constructor(graph: CommitGraph, clock: Pick<Clock, 'track'>) {
    this.#graph = graph
    this.#clock = clock
  }

  get length(): number {
    return this.#length
  }

  /** Row of main's head, -1 before the first one. */
  get head(): number {
    return this.#head
  }

  row(position: number): number {
    return this.#rows[position] as number
  }

  /** The nearest cut at or below a position, -1 when there is none. */
  cutAt(position: number): number {
    return this.#cuts.lastIndexOf(1, position)
  }

  /** @throws ERR_INTERNAL unless `head` builds on the head there is; nothing has changed then */
  async plan(head: number): Promise<OrderPlan> {
    const graph = this.#graph
    const turns = new Turns(this.#clock)
    const added: number[] = []
    let reach = this.#length
    let builds = this.#head < 0
    const open = [head]
    try {
      for (let row = open.pop(); row !== undefined; row = open.pop()) {
        const position = graph.position[row] as number
        if (position === ON_ITS_WAY) continue
        if (position >= 0) {
          reach = Math.min(reach, position)
          builds ||= row === this.#head
          continue
        }
        graph.position[row] = ON_ITS_WAY
        added.push(row)
        for (const parent of [graph.parent(row), graph.otherParent(row)]) {
          if (parent < 0) continue
          graph.children[parent]!++
          open.push(parent)
        }
        const pause = turns.spend(COMMIT_COST)
        if (pause) await pause
      }
      if (!builds || added.length === 0) throw new JamiError('ERR_INTERNAL', `main: got ${graph.oid(head)}, allowed a commit that builds on ${graph.oid(this.#head)}`)
      return { head, added: Int32Array.from(added).sort(), reach, ...(await this.#show(head, added.length, turns)) }
    } catch (error) {
      this.#undo(added)
      throw error
    }
  }

  async #show(head: number, added: number, turns: Turns): Promise<Pick<OrderPlan, 'shown' | 'cuts' | 'from' | 'changedFrom'>> {
    const graph = this.#graph
    const ready = new RowHeap((a, b) => graph.time(a) > graph.time(b) || (graph.time(a) === graph.time(b) && graph.commits.compare(a, b) > 0))
    const seen = new Map<number, number>() // bounded by the commits with several children that are open
    const shown: number[] = []
    const cuts: boolean[] = []
    let edges = 0 // from what is shown into what is not
    let missing = added
    let from = this.#length
    let old = 0
    ready.push(head)
    for (let row = ready.pop(); row !== undefined; row = ready.pop()) {
      const children = graph.children[row] as number
      cuts.push(edges === children)
      shown.push(row)
      edges -= children
      const position = graph.position[row] as number
      if (position < 0) missing--
      else {
        old++
        from = Math.min(from, position)
      }
      for (const parent of [graph.parent(row), graph.otherParent(row)]) {
        if (parent < 0) continue
        edges++
        const of = graph.children[parent] as number
        const count = of === 1 ? 1 : (seen.get(parent) ?? 0) + 1
        if (count === of) {
          seen.delete(parent)
          ready.push(parent)
        } else seen.set(parent, count)
      }
      if (missing === 0 && old === this.#length - from) break
      const pause = turns.spend(COMMIT_COST)
      if (pause) await pause
    }
    let changedFrom = from
    while (changedFrom < this.#length && this.#rows[changedFrom] === shown[shown.length - 1 - (changedFrom - from)]) changedFrom++
    return { shown, cuts, from, changedFrom }
  }

  apply({ head, shown, cuts, from, reach }: OrderPlan): void {
    const length = from + shown.length
    if (length > this.#rows.length) {
      const size = Math.max(length, this.#rows.length * 2)
      const rows = new Int32Array(size)
      rows.set(this.#rows)
      this.#rows = rows
      const flags = new Uint8Array(size)
      flags.set(this.#cuts)
      this.#cuts = flags
    }
    if (reach + 1 < from) this.#cuts.fill(0, reach + 1, from)
    for (let i = 0, position = length - 1; i < shown.length; i++, position--) {
      const row = shown[i] as number
      this.#rows[position] = row
      this.#cuts[position] = cuts[i] ? 1 : 0
      this.#graph.position[row] = position
    }
    this.#length = length
    this.#head = head
  }

  /** What was planned does not happen. */
  discard(plan: OrderPlan): void {
    this.#undo(plan.added)
  }

  #undo(added: Iterable<number>): void {
    const graph = this.#graph
    for (const row of added) {
      graph.position[row] = NOT_ON_MAIN
      for (const parent of [graph.parent(row), graph.otherParent(row)]) if (parent >= 0) graph.children[parent]!--
    }
  }
}
