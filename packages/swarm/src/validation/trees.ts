// Trees of commits as validation reads them: one path, or what differs between two trees, within a budget. A tree that two commits
// share is never opened twice, and every entry that is looked at counts, directories too.
// docs/protocol/04 §2, §3.7, trap S3. Proof: validation/trees.test.ts (against flattened trees, budgets).
import { limitError, type Slices } from '@jamikit/core/base'
import { BLOB_MODE, decodeTree, type Oid, repoInvalid, TREE_MODE, type TreeEntry } from '../repo/object.ts'
import type { ObjectReader } from '../repo/types.ts'
import { MAX_TREE_DEPTH } from '../defaults.ts'

/** Entries of opened trees that are compared for one unit of a budget. */
const COMPARED_PER_UNIT = 8
/** Decoded entries kept, all trees together. */
const CACHED_ENTRIES = 50_000

/** A file that is not the same in two trees. */
export interface Change {
  readonly path: string
  readonly before: Oid | undefined
  readonly after: Oid | undefined
}

interface Tree {
  readonly entries: readonly TreeEntry[]
  readonly byName: ReadonlyMap<string, TreeEntry>
}

/** What may be looked at: counted down, over many trees. */
export class Budget {
  readonly #what: string
  readonly #limit: number
  #left: number

  constructor(what: string, limit: number) {
    this.#what = what
    this.#limit = limit
    this.#left = limit
  }

  /** @throws ERR_LIMIT */
  spend(units: number): void {
    this.#left -= units
    if (this.#left < 0) throw limitError(this.#what, this.#limit - this.#left, this.#limit)
  }
}

export class Trees {
  readonly #reader: ObjectReader
  readonly #slices: Slices
  readonly #whole: Budget
  readonly #cache = new Map<Oid, Tree>() // bounded by CACHED_ENTRIES, oldest out
  #cached = 0
  /** Trees that were opened: what is new of them has to be kept with the commits. */
  readonly opened = new Set<Oid>() // bounded by the whole budget
  /** Files that were found to be there after a change. */
  readonly files = new Set<Oid>() // bounded by the whole budget

  /** @param whole entries that may be looked at in all */
  constructor(reader: ObjectReader, slices: Slices, whole: Budget) {
    this.#reader = reader
    this.#slices = slices
    this.#whole = whole
  }

  async #tree(oid: Oid, budget: Budget): Promise<Tree> {
    const known = this.#cache.get(oid)
    if (known) return known
    const object = await this.#reader.read(oid)
    if (object?.type !== 'tree') throw repoInvalid(`tree ${oid} is ${object ? `a ${object.type}` : 'missing'}`)
    const entries = decodeTree(object.data)
    this.#count(entries.length + 1, budget)
    const byName = new Map(entries.map((entry) => [entry.name, entry]))
    if (byName.size !== entries.length) throw repoInvalid('tree: a file and a directory of the same name')
    const tree = { entries, byName }
    this.opened.add(oid)
    this.#cache.set(oid, tree)
    this.#cached += entries.length + 1
    for (const [old, { entries: { length } }] of this.#cache) {
      if (this.#cached <= CACHED_ENTRIES) break
      this.#cache.delete(old)
      this.#cached -= length + 1
    }
    return tree
  }

  #count(units: number, budget: Budget): void {
    this.#whole.spend(units)
    budget.spend(units)
  }

  /** The file at a path of at most MAX_TREE_DEPTH segments. */
  async file(root: Oid, path: string, budget: Budget): Promise<Oid | undefined> {
    let at: Oid | undefined = root
    const names = path.split('/')
    for (const [i, name] of names.entries()) {
      if (at === undefined) return undefined
      this.#count(1, budget)
      const entry: TreeEntry | undefined = (await this.#tree(at, budget)).byName.get(name)
      at = entry?.mode === (i === names.length - 1 ? BLOB_MODE : TREE_MODE) ? entry.oid : undefined
    }
    return at
  }

  /** Names of the files in a directory at the top. */
  async names(root: Oid, directory: string, budget: Budget): Promise<string[]> {
    const entry = (await this.#tree(root, budget)).byName.get(directory)
    if (entry?.mode !== TREE_MODE) return []
    const { entries } = await this.#tree(entry.oid, budget)
    this.#count(entries.length + 1, budget) // known or not: the walk costs it
    return entries.filter(({ mode }) => mode === BLOB_MODE).map(({ name }) => name)
  }

  /** How many entries a directory at the top has. */
  async size(root: Oid, directory: string, budget: Budget): Promise<number> {
    this.#count(1, budget)
    const entry = (await this.#tree(root, budget)).byName.get(directory)
    return entry?.mode === TREE_MODE ? (await this.#tree(entry.oid, budget)).entries.length : 0
  }

  /**
   * Files that differ, by path. Directories that are the same are not opened.
   * @throws ERR_REPO_INVALID for empty directories and missing or wrong objects, ERR_LIMIT
   */
  async diff(before: Oid | undefined, after: Oid, budget: Budget): Promise<Change[]> {
    const out: Change[] = []
    await this.#diff(before, after, '', 1, budget, out)
    return out
  }

  async #diff(before: Oid | undefined, after: Oid | undefined, prefix: string, depth: number, budget: Budget, out: Change[]): Promise<void> {
    if (before === after) return
    if (depth > MAX_TREE_DEPTH) throw limitError('tree depth', depth, MAX_TREE_DEPTH)
    const from = before === undefined ? undefined : await this.#tree(before, budget)
    const now = after === undefined ? undefined : await this.#tree(after, budget)
    if (now && now.entries.length === 0 && depth > 1) throw repoInvalid(`tree: the directory ${prefix} is empty`)
    const one = async (name: string, was: TreeEntry | undefined, is: TreeEntry | undefined): Promise<void> => {
      this.#count(1, budget)
      const file = (entry: TreeEntry | undefined) => (entry?.mode === BLOB_MODE ? entry.oid : undefined)
      const directory = (entry: TreeEntry | undefined) => (entry?.mode === TREE_MODE ? entry.oid : undefined)
      const [old, next] = [file(was), file(is)]
      if (next !== undefined) await this.#require(next)
      if (old !== undefined || next !== undefined) out.push({ path: `${prefix}${name}`, before: old, after: next })
      if (directory(was) !== undefined || directory(is) !== undefined) await this.#diff(directory(was), directory(is), `${prefix}${name}/`, depth + 1, budget, out)
    }
    // opening a tree counted its entries: comparing them costs a small part of that
    this.#count(Math.ceil(((from?.entries.length ?? 0) + (now?.entries.length ?? 0)) / COMPARED_PER_UNIT), budget)
    for (const was of from?.entries ?? []) {
      const turn = this.#slices.spend(1)
      if (turn) await turn
      const is = now?.byName.get(was.name)
      if (was.oid !== is?.oid || was.mode !== is.mode) await one(was.name, was, is)
    }
    for (const is of now?.entries ?? []) {
      if (from?.byName.has(is.name)) continue
      const turn = this.#slices.spend(1)
      if (turn) await turn
      await one(is.name, undefined, is)
    }
  }

  /** Content of a small file. @throws ERR_REPO_INVALID when it is missing or no file, ERR_LIMIT above `maxBytes` */
  async blob(oid: Oid, maxBytes: number): Promise<Uint8Array> {
    const found = await this.#reader.stat(oid)
    if (found?.type !== 'blob') throw repoInvalid(`blob ${oid} is ${found ? `a ${found.type}` : 'missing'}`)
    if (found.size > maxBytes) throw limitError('bytes of a file', found.size, maxBytes)
    return (await this.#reader.read(oid))?.data ?? new Uint8Array(0)
  }

  async #require(oid: Oid): Promise<void> {
    if (this.files.has(oid)) return
    const found = await this.#reader.stat(oid)
    if (found?.type !== 'blob') throw repoInvalid(`blob ${oid} is ${found ? `a ${found.type}` : 'missing'}`)
    this.files.add(oid)
  }
}
