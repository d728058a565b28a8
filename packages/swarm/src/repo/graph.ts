// The commit graph of one history: rows of numbers in typed arrays, some 70 bytes a commit and no object. Rows come parents first.
// Rows beyond `known` are on their way to disk: nobody sees them until `publish`, and `rollback` takes them back.
// docs/protocol/04 §4.10. Proof: repo/graph.test.ts.
import { JamiError } from '@jamikit/core/base'
import type { AccountUri, DeviceId, MessageId } from '@jamikit/core/contracts'
import type { Oid } from './object.ts'
import { OidTable } from './oid-table.ts'
import type { CommitInfo, NewCommit } from './types.ts'

/** A place in the graph's three lists. */
export interface GraphMark {
  readonly rows: number
  readonly authors: number
  readonly trees: number
}

export interface Author {
  readonly author: AccountUri
  readonly device: DeviceId
}

export const NOT_ON_MAIN = -1
const FIRST_CAPACITY = 64

export class CommitGraph {
  readonly commits: OidTable
  readonly trees: OidTable
  readonly authors: Author[] = [] // bounded by the devices that wrote validated commits
  readonly #authorIndex = new Map<string, number>() // as `authors`
  #known = 0
  // bounded by the history itself; grow by doubling
  #parents = new Int32Array(2 * FIRST_CAPACITY)
  #generation = new Int32Array(FIRST_CAPACITY)
  #time = new Float64Array(FIRST_CAPACITY)
  #author = new Int32Array(FIRST_CAPACITY)
  #tree = new Int32Array(FIRST_CAPACITY)
  /** Place in the linear order, below 0 while not on main. Kept by linear-order.ts. */
  position = new Int32Array(FIRST_CAPACITY)
  /** Children on main. Kept by linear-order.ts. */
  children = new Int32Array(FIRST_CAPACITY)

  constructor(seed: number) {
    this.commits = new OidTable(seed)
    this.trees = new OidTable(seed)
  }

  /** Rows that are durable and visible. */
  get known(): number {
    return this.#known
  }

  /** All rows, also those on their way. */
  get rows(): number {
    return this.commits.size
  }

  mark(): GraphMark {
    return { rows: this.commits.size, authors: this.authors.length, trees: this.trees.size }
  }

  publish(): void {
    this.#known = this.commits.size
  }

  rollback(mark: GraphMark): void {
    this.commits.truncate(mark.rows)
    this.trees.truncate(mark.trees)
    for (const { author, device } of this.authors.splice(mark.authors)) this.#authorIndex.delete(`${author}${device}`)
  }

  /** Row of a visible commit, -1 when it is not known. */
  find(oid: Oid): number {
    const row = this.commits.find(oid)
    return row < this.#known ? row : -1
  }

  /** @throws ERR_INTERNAL when a parent has no row, or there are more than two */
  append(commit: NewCommit): number {
    const parents = commit.parents.map((oid) => this.commits.find(oid))
    if (parents.length > 2 || parents.includes(-1)) throw new JamiError('ERR_INTERNAL', `commit ${commit.oid}: got ${parents.length} parents, allowed at most two that are known`, { details: { oid: commit.oid, parents: commit.parents } })
    let tree = this.trees.find(commit.tree)
    if (tree < 0) tree = this.trees.add(commit.tree)
    let author = this.#authorIndex.get(`${commit.author}${commit.device}`)
    author ??= this.addAuthor(commit)
    const row = this.commits.add(commit.oid)
    if (row < 0 || tree < 0) throw new JamiError('ERR_INTERNAL', `commit ${commit.oid} with tree ${commit.tree}: not object ids`)
    this.#fill(row, parents[0] ?? -1, parents[1] ?? -1, commit.timeS, author, tree)
    return row
  }

  addAuthor({ author, device }: Author): number {
    this.#authorIndex.set(`${author}${device}`, this.authors.length)
    return this.authors.push({ author, device }) - 1
  }

  /** A row as it was persisted; indexes were checked. */
  appendRow(bytes: Uint8Array, at: number, parent: number, other: number, timeS: number, author: number, tree: number): void {
    this.#fill(this.commits.addBytes(bytes, at), parent, other, timeS, author, tree)
  }

  #fill(row: number, parent: number, other: number, timeS: number, author: number, tree: number): void {
    if (row >= this.#time.length) this.#grow()
    this.#parents[2 * row] = parent
    this.#parents[2 * row + 1] = other
    this.#generation[row] = 1 + Math.max(parent < 0 ? -1 : this.generation(parent), other < 0 ? -1 : this.generation(other))
    this.#time[row] = timeS
    this.#author[row] = author
    this.#tree[row] = tree
    this.position[row] = NOT_ON_MAIN
    this.children[row] = 0
  }

  #grow(): void {
    const twice = <T extends Int32Array | Float64Array>(old: T, make: new (length: number) => T): T => {
      const next = new make(old.length * 2)
      next.set(old)
      return next
    }
    this.#parents = twice(this.#parents, Int32Array)
    this.#generation = twice(this.#generation, Int32Array)
    this.#time = twice(this.#time, Float64Array)
    this.#author = twice(this.#author, Int32Array)
    this.#tree = twice(this.#tree, Int32Array)
    this.position = twice(this.position, Int32Array)
    this.children = twice(this.children, Int32Array)
  }

  /** First parent's row, -1 when there is none. */
  parent(row: number): number {
    return this.#parents[2 * row] as number
  }

  /** Second parent's row, -1 when there is none. */
  otherParent(row: number): number {
    return this.#parents[2 * row + 1] as number
  }

  generation(row: number): number {
    return this.#generation[row] as number
  }

  time(row: number): number {
    return this.#time[row] as number
  }

  authorOf(row: number): number {
    return this.#author[row] as number
  }

  treeOf(row: number): number {
    return this.#tree[row] as number
  }

  oid(row: number): MessageId {
    return this.commits.oid(row) as MessageId
  }

  info(row: number): CommitInfo {
    const parent = this.parent(row)
    const other = this.otherParent(row)
    const { author, device } = this.authors[this.authorOf(row)] as Author
    return {
      oid: this.oid(row), row, tree: this.trees.oid(this.treeOf(row)), parents: parent < 0 ? [] : other < 0 ? [parent] : [parent, other], generation: this.generation(row),
      timeS: this.time(row), author, device, position: Math.max(NOT_ON_MAIN, this.position[row] as number),
    }
  }
}
