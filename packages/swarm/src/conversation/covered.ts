// A growing set of commits that is closed under ancestors: what a member has, has seen, what the program has handled. Kept as a floor (every
// row below is in) and the few rows above it, so that asking costs nothing and growing costs what is new.
// docs/protocol/04 §5.6. Proof: conversation/covered.test.ts (brute force over random histories).
import type { CommitInfo, History } from '../repo/types.ts'
import type { Oid } from '../repo/object.ts'

/** Rows that are walked over between two turns of the event loop: about 10 ms. */
const ROWS_AT_ONCE = 8_000

/** What is kept of the set between runs. */
export interface CoveredState {
  /** Commits of the set that no other one of it builds on. */
  readonly heads: readonly Oid[]
  /** Rows below this are in, if the row before it is the commit `at`; else the set is made again from its heads. */
  readonly floor: number
  readonly at: Oid | undefined
}

export interface Growth {
  /** New in the set, ascending. */
  readonly rows: readonly number[]
  readonly heads: readonly Oid[]
}

export class Covered {
  readonly #history: History
  /** Rows that are in by themselves once everything below is: what needs nobody's word. */
  readonly #selfEvident: (commit: CommitInfo) => boolean
  #heads: Set<Oid>
  #floor = 0
  readonly #above = new Set<number>() // rows that came after one that is not in

  constructor(history: History, state: CoveredState | undefined, selfEvident: (commit: CommitInfo) => boolean = () => false) {
    this.#history = history
    this.#selfEvident = selfEvident
    this.#heads = new Set(state?.heads.filter((oid) => history.has(oid)))
    if (state && state.floor > 0 && state.floor <= history.rows && history.row(state.floor - 1).oid === state.at) this.#floor = state.floor
    const rows = new Set<number>()
    for (const head of this.#heads) {
      const row = history.info(head)?.row
      if (row !== undefined) for (const _ of this.#below(row, rows, new Set()));
    }
    for (const row of rows) this.#above.add(row)
  }

  /** Takes in what is self-evident from the start; it comes to rest where another turn of the event loop is due. */
  *settling(): Generator<void, void> {
    for (let more = true; more; ) {
      more = this.#rise(this.#floor + ROWS_AT_ONCE)
      if (more) yield
    }
  }

  has(row: number): boolean {
    return row < this.#floor || this.#above.has(row)
  }

  /** The first row that is not in. */
  get floor(): number {
    this.#rise()
    return this.#floor
  }

  /** Rows that are in above the floor. */
  get extra(): number {
    return this.#above.size
  }

  /** What the set gains with known commits; nothing is changed. Undefined when all are in already. */
  growth(...oids: readonly Oid[]): Growth | undefined {
    const growing = this.growing(...oids)
    for (;;) {
      const { done, value } = growing.next()
      if (done) return value
    }
  }

  /** The same for many: comes to rest where another turn of the event loop is due. */
  *growing(...oids: readonly Oid[]): Generator<void, Growth | undefined> {
    const rows = new Set<number>()
    const met = new Set<Oid>()
    const added: Oid[] = []
    // from the newest: an ancestor of another one is met on the way
    const found = oids.map((oid) => this.#history.info(oid)).filter((info) => info !== undefined).sort((a, b) => b.row - a.row)
    for (const { oid, row } of found) if (!rows.has(row) && !this.has(row)) {
      added.push(oid)
      yield* this.#below(row, rows, met)
    }
    if (rows.size === 0) return undefined
    return { rows: [...rows].sort((a, b) => a - b), heads: [...[...this.#heads].filter((head) => !met.has(head)), ...added] }
  }

  /** What to keep so that the set has grown. */
  stateWith({ rows, heads }: Growth): CoveredState {
    let floor = this.#floor
    for (let next = 0; floor < this.#history.rows; floor++) {
      while (next < rows.length && (rows[next] as number) < floor) next++
      if (rows[next] !== floor && !this.#isNext(floor)) break
    }
    return { heads, floor, at: floor > 0 ? this.#history.row(floor - 1).oid : undefined }
  }

  grow({ rows, heads }: Growth): void {
    for (const row of rows) {
      if (row === this.#floor) this.#floor++ // most of them, so that a long chain costs no set
      else if (row > this.#floor) this.#above.add(row)
    }
    this.#heads = new Set(heads)
    this.#rise()
  }

  #isNext(row: number): boolean {
    return this.#above.has(row) || this.#selfEvident(this.#history.row(row))
  }

  /** False when the floor is where it belongs. */
  #rise(limit = Number.POSITIVE_INFINITY): boolean {
    while (this.#floor < limit && this.#floor < this.#history.rows && this.#isNext(this.#floor)) this.#above.delete(this.#floor++)
    return this.#floor >= limit
  }

  /** Adds the rows of a commit and its ancestors that are not in; `met` gets the commits of the set that they build on. */
  *#below(start: number, rows: Set<number>, met: Set<Oid>): Generator<void, void> {
    const open = [start]
    while (open.length > 0) {
      const row = open.pop() as number
      if (rows.has(row)) continue
      if (this.has(row)) {
        met.add(this.#history.row(row).oid)
        continue
      }
      rows.add(row)
      if (rows.size % ROWS_AT_ONCE === 0) yield
      open.push(...this.#history.row(row).parents)
    }
  }
}
