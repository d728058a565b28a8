// Which objects answer a request: the commits that the peer lacks, and of their trees only what differs from the parents'.
// docs/protocol/04 §4.3. Proof: sync/answer.test.ts.
import { JamiError, limitError } from '@jamikit/core/base'
import { MAX_SERVED_COMMITS, MAX_SERVED_OBJECTS, MAX_TREE_DEPTH, MAX_WALKED_ENTRIES } from '../defaults.ts'
import { decodeTree, type Oid, TREE_MODE, type TreeEntry } from '../repo/object.ts'
import type { History } from '../repo/types.ts'
import type { Turns } from '../repo/turns.ts'

/** After so many in vain, the next one is made in one piece. */
const MAX_WALKS = 4

export type Served = Pick<History, 'missing' | 'row' | 'info' | 'read' | 'packed' | 'head'>

/** Ids only; the objects are read one by one when they are sent. */
export interface Answer {
  /** Rows of commits, which take less than their ids. */
  readonly rows: readonly number[]
  readonly others: readonly Oid[]
}

export function answerSize(answer: Answer): number {
  return answer.rows.length + answer.others.length
}

export function* answerIds(history: Pick<History, 'row'>, answer: Answer): Generator<Oid> {
  for (const row of answer.rows) yield history.row(row).oid
  yield* answer.others
}

/** @throws ERR_STORAGE_CORRUPT, ERR_LIMIT */
export async function answerFor(history: Served, wants: readonly Oid[], haves: readonly Oid[], turns: Turns): Promise<Answer> {
  const rows = await missingRows(history, wants, haves, turns)
  // parents first: a tree that was found is whole, at the peer or in this answer, when a later commit has it again
  rows.reverse()
  const trees = new TreeDifference(history, turns)
  for (const row of rows) {
    const commit = history.row(row)
    await trees.add(commit.tree, commit.parents.map((parent) => history.row(parent).tree))
    const pause = turns.spend(256)
    if (pause) await pause
  }
  return { rows, others: [...trees.found] }
}

/** Children first. The walk goes by places in the linear order: when main moves while others run, it begins again. */
async function missingRows(history: Served, wants: readonly Oid[], haves: readonly Oid[], turns: Turns): Promise<number[]> {
  for (let tries = 1; ; tries++) {
    const { head } = history
    const rows: number[] = [] // bounded by MAX_SERVED_COMMITS
    for (const commit of history.missing(wants, haves, MAX_SERVED_COMMITS)) {
      rows.push(commit.row)
      const pause = turns.spend(256)
      if (!pause || tries > MAX_WALKS) continue
      await pause
      if (history.head !== head) break
    }
    if (history.head === head || tries > MAX_WALKS) return rows
  }
}

/** Trees and blobs that are not in the trees they are compared with. */
class TreeDifference {
  readonly found = new Set<Oid>() // bounded by MAX_SERVED_OBJECTS
  readonly #history: Pick<History, 'read'>
  readonly #turns: Turns
  readonly #known = new Map<Oid, Map<string, TreeEntry>>() // bounded by MAX_WALKED_ENTRIES
  #entries = 0

  constructor(history: Pick<History, 'read'>, turns: Turns) {
    this.#history = history
    this.#turns = turns
  }

  async add(tree: Oid, before: readonly Oid[], depth = 1): Promise<void> {
    if (before.includes(tree) || this.found.has(tree)) return
    if (depth > MAX_TREE_DEPTH) throw limitError('tree depth', depth, MAX_TREE_DEPTH)
    this.#find(tree)
    const entries = await this.#read(tree)
    const old: ReadonlyMap<string, TreeEntry>[] = []
    for (const oid of before) old.push(await this.#read(oid))
    for (const [name, { mode, oid }] of entries) {
      const same = old.map((o) => o.get(name)).filter((e) => e !== undefined)
      if (mode === TREE_MODE) await this.add(oid, same.filter((e) => e.mode === TREE_MODE).map((e) => e.oid), depth + 1)
      else if (!same.some((e) => e.oid === oid)) this.#find(oid)
    }
  }

  #find(oid: Oid): void {
    this.found.add(oid)
    if (this.found.size > MAX_SERVED_OBJECTS) throw limitError('objects of an answer', this.found.size, MAX_SERVED_OBJECTS)
  }

  async #read(oid: Oid): Promise<ReadonlyMap<string, TreeEntry>> {
    const known = this.#known.get(oid)
    if (known) return known
    const object = await this.#history.read(oid)
    if (object?.type !== 'tree') throw new JamiError('ERR_STORAGE_CORRUPT', `tree ${oid} is ${object ? `a ${object.type}` : 'missing'}`)
    const pause = this.#turns.object(object.data.length * 32) // an entry costs far more to parse and compare than to inflate
    if (pause) await pause
    const entries = new Map(decodeTree(object.data).map((e) => [e.name, e]))
    this.#known.set(oid, entries)
    this.#entries += entries.size + 1
    for (const [oldest, gone] of this.#known) {
      if (this.#entries <= MAX_WALKED_ENTRIES || oldest === oid) break
      this.#known.delete(oldest)
      this.#entries -= gone.size + 1
    }
    return entries
  }
}
