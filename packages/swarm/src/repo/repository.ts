// The history of one conversation on a file tree: an ordinary bare git repository beside a private folder with journal and commit graph.
// Nothing enters that was not validated before; disk first, memory after. Changes come one after the other (the caller's queue sees to it),
// reads at any time. docs/protocol/04 §1, §4.10. Proof: repo/repository.test.ts, repo/crash.test.ts, repo/damage.test.ts,
// repo/isomorphic-git.test.ts.
import { JamiError, limitError } from '@jamikit/core/base'
import type { Clock, FileTree, MessageId } from '@jamikit/core/contracts'
import { Turns } from './turns.ts'
import { isAncestor, mergeBases, missing } from './ancestry.ts'
import { type Commit, parseCommit } from './commit.ts'
import { exportFolder } from './export-folder.ts'
import { CONFIG, HEAD, readMain, writeFolder } from './git-folder.ts'
import { CommitGraph } from './graph.ts'
import { DERIVED_PATH, GRAPH_PATH, GraphFile } from './graph-file.ts'
import { HistoryStore, STORE_LIMITS, type StoreLimits } from './history-store.ts'
import { Journal } from './journal.ts'
import { Frame } from './journal-format.ts'
import { LinearOrder, type OrderPlan } from './linear-order.ts'
import { loadHistory } from './load-history.ts'
import type { GitObject, ObjectType, Oid } from './object.ts'
import type { ObjectCache } from './object-cache.ts'
import { PackStore } from './pack-store.ts'
import { type AuthorOf, rebuildGraph } from './rebuild.ts'
import type { Advance, CommitInfo, History, PackedObject } from './types.ts'

export { buildTrees, flatten, type Paths, type ReadObject } from './trees.ts'

export interface RepositoryOptions {
  readonly clock: Pick<Clock, 'track'>
  /** Asked when the commit graph has to be made anew from the objects. */
  readonly authorOf: AuthorOf
  /** What was found damaged and worked around, and what failed beside a change (sealing, merging of packs; tried again later). */
  readonly onProblem: (error: JamiError) => void
  /** Any number that others cannot know: hash tables are salted with it. */
  readonly seed?: number
  /** Of objects read lately, shared with other histories; by default an own one of 1 MiB. */
  readonly cache?: ObjectCache
  readonly limits?: Partial<StoreLimits>
}

const CLOSED = 'the history is closed'

export class Repository implements History {
  readonly #files: FileTree
  readonly #options: RepositoryOptions
  readonly #packs: PackStore
  readonly #graph: CommitGraph
  readonly #order: LinearOrder
  readonly #store: HistoryStore
  #running: Promise<unknown> | undefined
  #closing: Promise<void> | undefined

  private constructor(files: FileTree, options: RepositoryOptions, parts: { packs: PackStore; journal: Journal; graph: CommitGraph; graphFile: GraphFile; ref: Oid | undefined }) {
    this.#files = files
    this.#options = options
    this.#packs = parts.packs
    this.#graph = parts.graph
    this.#order = new LinearOrder(parts.graph, options.clock)
    this.#store = new HistoryStore({ ...parts, files, clock: options.clock, onProblem: options.onProblem, cache: options.cache, limits: { ...STORE_LIMITS, ...options.limits } })
  }

  /** A new history with its first commits; there when it resolves. What an earlier creation left that was cut off is replaced. @throws ERR_ARGUMENT when there is one */
  static async create(files: FileTree, change: Advance & { readonly head: Oid }, options: RepositoryOptions): Promise<Repository> {
    const { clock, onProblem, seed = 0 } = options
    const there = await loadHistory(files, seed, clock, onProblem)
    if (there?.head !== undefined || (await readMain(files)) !== undefined) throw new JamiError('ERR_ARGUMENT', 'a history is there already, allowed none', { details: { there: true } })
    await writeFolder(files)
    for (const path of [GRAPH_PATH, DERIVED_PATH]) await files.remove(path)
    const journal = new Journal(files, new Map(), 0, 0, 0)
    const frame = new Frame()
    frame.checkpoint({ bytes: 0, rows: 0 })
    await journal.reset(frame)
    const packs = await PackStore.open(files, options)
    const repository = new Repository(files, options, { packs, journal, graph: new CommitGraph(seed), graphFile: new GraphFile(files, clock), ref: undefined })
    await repository.advance(change)
    return repository
  }

  /** Undefined when there is none (or its creation was cut off). @throws ERR_STORAGE_CORRUPT when main, or what leads to it, is lost */
  static async open(files: FileTree, options: RepositoryOptions): Promise<Repository | undefined> {
    const { clock, onProblem, seed = 0 } = options
    const found = await loadHistory(files, seed, clock, onProblem)
    if (found && found.head === undefined) return undefined
    const ref = await readMain(files).catch((error: unknown) => {
      if (!found) throw error
      return undefined
    })
    const head = found?.head ?? ref
    if (head === undefined) return undefined
    const packs = await PackStore.open(files, options)
    const journal = found?.journal ?? new Journal(files, new Map(), 0, 0, 0)
    let { graph, graphFile } = found ?? {}
    const lost = !graph || !graphFile || graph.find(head) < 0
    if (!graph || !graphFile || lost) {
      if (found || (await files.size(GRAPH_PATH)) !== undefined) onProblem(new JamiError('ERR_STORAGE_CORRUPT', 'the index of a history is lost or damaged; it is made anew from the objects', { details: { head } }))
      await files.remove(DERIVED_PATH)
      graphFile = new GraphFile(files, clock)
      graph = await rebuildGraph(new HistoryStore({ files, clock, packs, journal, graphFile, onProblem, ref, limits: STORE_LIMITS }), head, options.authorOf, seed, clock)
    }
    const repository = new Repository(files, options, { packs, journal, graph, graphFile, ref })
    repository.#order.apply(await repository.#order.plan(graph.find(head)))
    if ((await files.size('config')) === undefined) await files.write('config', CONFIG)
    if ((await files.size('HEAD')) === undefined) await files.write('HEAD', HEAD)
    if (lost) await repository.#seal()
    return repository
  }

  get head(): MessageId {
    return this.#graph.oid(this.#order.head)
  }

  get length(): number {
    return this.#order.length
  }

  get rows(): number {
    return this.#graph.known
  }

  has(oid: Oid): boolean {
    return this.#graph.find(oid) >= 0
  }

  info(oid: Oid): CommitInfo | undefined {
    const row = this.#graph.find(oid)
    return row < 0 ? undefined : this.#graph.info(row)
  }

  row(row: number): CommitInfo {
    if (!Number.isInteger(row) || row < 0 || row >= this.rows) throw new JamiError('ERR_INTERNAL', `row: got ${row}, allowed 0 to ${this.rows - 1}`)
    return this.#graph.info(row)
  }

  at(position: number): CommitInfo {
    if (!Number.isInteger(position) || position < 0 || position >= this.length) throw new JamiError('ERR_INTERNAL', `position: got ${position}, allowed 0 to ${this.length - 1}`)
    return this.#graph.info(this.#order.row(position))
  }

  isAncestor(ancestor: Oid, of: Oid): boolean {
    return isAncestor(this.#graph, this.#order, this.#known(ancestor), this.#known(of))
  }

  mergeBases(a: Oid, b: Oid): Oid[] {
    return mergeBases(this.#graph, this.#order, this.#known(a), this.#known(b)).map((row) => this.#graph.oid(row))
  }

  *missing(wants: readonly Oid[], haves: readonly Oid[], limit = Number.POSITIVE_INFINITY): Generator<CommitInfo> {
    const had = haves.map((oid) => this.#graph.find(oid)).filter((row) => row >= 0)
    let count = 0
    for (const row of missing(this.#graph, this.#order, wants.map((oid) => this.#known(oid)), had)) {
      if (++count > limit) throw limitError('missing commits', count, limit)
      yield this.#graph.info(row)
    }
  }

  /** Of its objects on disk, about: packs and journal. */
  bytes(): Promise<number> {
    return this.#store.bytes()
  }

  #known(oid: Oid): number {
    const row = this.#graph.find(oid)
    if (row < 0) throw new JamiError('ERR_INTERNAL', `commit ${oid}: not in this history`, { details: { oid } })
    return row
  }

  async read(oid: Oid): Promise<GitObject | undefined> {
    this.#open()
    return (await this.#store.read(oid)) ?? this.#absent(oid)
  }

  async stat(oid: Oid): Promise<{ type: ObjectType; size: number } | undefined> {
    this.#open()
    return (await this.#store.stat(oid)) ?? this.#absent(oid)
  }

  async packed(oid: Oid): Promise<PackedObject | undefined> {
    this.#open()
    return (await this.#store.packed(oid)) ?? this.#absent(oid)
  }

  async commit(oid: Oid): Promise<Commit | undefined> {
    if (!this.has(oid)) return undefined
    const object = await this.read(oid)
    return object?.type === 'commit' ? parseCommit(object.data) : undefined
  }

  /** @throws ERR_STORAGE_CORRUPT when the graph knows that it must be there */
  #absent(oid: Oid): undefined {
    if (this.#graph.find(oid) >= 0 || this.#graph.trees.find(oid) >= 0) throw new JamiError('ERR_STORAGE_CORRUPT', `git object ${oid} is missing`, { details: { oid } })
    return undefined
  }

  #open(): void {
    if (this.#closing) throw new JamiError('ERR_CLOSED', CLOSED)
  }

  advance(change: Advance): Promise<{ onMain: readonly CommitInfo[]; changedFrom: number }> {
    return this.#alone(() => this.#advance(change))
  }

  async #alone<T>(work: () => Promise<T>): Promise<T> {
    this.#open()
    if (this.#running) throw new JamiError('ERR_INTERNAL', 'history: two changes at once, allowed one after the other')
    const running = work()
    this.#running = running
    try {
      return await running
    } finally {
      this.#running = undefined
    }
  }

  async #advance(change: Advance): Promise<{ onMain: readonly CommitInfo[]; changedFrom: number }> {
    const graph = this.#graph
    const turns = new Turns(this.#options.clock)
    const mark = graph.mark()
    let plan: OrderPlan | undefined
    try {
      for (const commit of change.commits) {
        if (graph.commits.find(commit.oid) < 0) graph.append(commit)
        const pause = turns.spend(400)
        if (pause) await pause
      }
      const head = change.head === undefined ? this.#order.head : graph.commits.find(change.head)
      if (head < 0) throw new JamiError('ERR_INTERNAL', `head ${change.head}: not in this history`)
      if (head !== this.#order.head) plan = await this.#order.plan(head)
      await this.#store.keep(change, graph, mark, plan && graph.oid(head))
    } catch (error) {
      if (plan) this.#order.discard(plan)
      graph.rollback(mark)
      throw JamiError.from(error)
    }
    graph.publish()
    const changedFrom = plan?.changedFrom ?? this.#order.length
    if (plan) this.#order.apply(plan)
    if (this.#store.full) await this.#seal()
    const onMain: CommitInfo[] = [] // bounded by the change
    for (const row of plan?.added ?? []) {
      onMain.push(graph.info(row))
      const pause = turns.spend(400)
      if (pause) await pause
    }
    return { onMain, changedFrom }
  }

  /** What goes wrong is told; nothing is lost, and the next seal tries again. */
  async #seal(): Promise<void> {
    await this.#store.seal(this.#graph, this.head).catch((error: unknown) => this.#options.onProblem(JamiError.from(error)))
  }

  /** Resolves when packs are not being merged. */
  settled(): Promise<void> {
    return this.#packs.rest()
  }

  /** Leaves a folder that git can work on. Idempotent; nothing is lost when it fails (told to `onProblem`). */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#running?.catch(() => undefined)
      await this.#seal()
      await this.#packs.close()
    })()
    return this.#closing
  }

  /** Writes a bare git repository elsewhere: of storage that git cannot read. Counts as a change. */
  exportTo(write: (path: string, chunks: AsyncIterable<Uint8Array>) => Promise<void>): Promise<void> {
    return this.#alone(async () => {
      await this.#store.seal(this.#graph, this.head)
      await exportFolder({ files: this.#files, packs: this.#packs, head: this.head }, write)
    })
  }
}
