// The history of one conversation: commits by id, flattened trees, refs/heads/main. Nothing enters that was not validated before.
// docs/protocol/04 §1, §4.10. Proof: repo/repository.test.ts.
import { JamiError, limitError } from '@jamikit/core/base'
import { fromUtf8, utf8 } from '@jamikit/core/codec'
import type { FileTree } from '@jamikit/core/contracts'
import { MAX_TREE_DEPTH, MAX_TREE_ENTRIES } from '../defaults.ts'
import { type Commit, parseCommit } from './commit.ts'
import { BLOB_MODE, decodeTree, encodeTree, type GitObject, objectId, type Oid, repoInvalid, TREE_MODE, type TreeEntry } from './object.ts'
import { ObjectStore } from './object-store.ts'

/** Path → blob. */
export type Paths = ReadonlyMap<string, Oid>
export type ReadObject = (oid: Oid) => Promise<GitObject | undefined>

const MAX_TREES = 64

/** Files of a tree by path. @throws ERR_REPO_INVALID when something is missing or of the wrong kind, ERR_LIMIT */
export async function flatten(read: ReadObject, tree: Oid): Promise<Map<string, Oid>> {
  const out = new Map<string, Oid>()
  const walk = async (oid: Oid, prefix: string, depth: number): Promise<void> => {
    if (depth > MAX_TREE_DEPTH) throw limitError('tree depth', depth, MAX_TREE_DEPTH)
    const object = await read(oid)
    if (object?.type !== 'tree') throw repoInvalid(`tree ${oid} is ${object ? `a ${object.type}` : 'missing'}`)
    for (const entry of decodeTree(object.data)) {
      if (entry.mode === TREE_MODE) await walk(entry.oid, `${prefix}${entry.name}/`, depth + 1)
      else out.set(`${prefix}${entry.name}`, entry.oid)
      if (out.size > MAX_TREE_ENTRIES) throw limitError('files of a tree', out.size, MAX_TREE_ENTRIES)
    }
  }
  await walk(tree, '', 1)
  return out
}

/** Tree objects for a set of paths; the first is the root. */
export function buildTrees(paths: Paths): { root: Oid; objects: GitObject[] } {
  const objects: GitObject[] = []
  const build = (entries: readonly [string, Oid][]): Oid => {
    const files: TreeEntry[] = []
    const folders = new Map<string, [string, Oid][]>()
    for (const [path, oid] of entries) {
      const slash = path.indexOf('/')
      if (slash < 0) files.push({ mode: BLOB_MODE, name: path, oid })
      else folders.set(path.slice(0, slash), [...(folders.get(path.slice(0, slash)) ?? []), [path.slice(slash + 1), oid]])
    }
    for (const [name, inner] of folders) files.push({ mode: TREE_MODE, name, oid: build(inner) })
    const object: GitObject = { type: 'tree', data: encodeTree(files) }
    objects.push(object)
    return objectId(object)
  }
  const root = build([...paths])
  return { root, objects }
}

export class Repository {
  readonly #files: FileTree
  readonly #objects: ObjectStore
  readonly #commits = new Map<Oid, Commit>() // the history itself
  readonly #children = new Map<Oid, Oid[]>() // the history itself
  readonly #trees = new Map<Oid, Paths>() // bounded by MAX_TREES
  #head: Oid

  private constructor(files: FileTree, objects: ObjectStore, head: Oid) {
    this.#files = files
    this.#objects = objects
    this.#head = head
  }

  /** A new repository with validated objects; `head` is durable last. */
  static async create(files: FileTree, head: Oid, objects: Iterable<GitObject>): Promise<Repository> {
    const repository = new Repository(files, new ObjectStore(files), head)
    await repository.#objects.write(objects)
    await files.write('config', utf8('[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n'))
    await files.write('HEAD', utf8('ref: refs/heads/main\n'))
    await files.write('refs/heads/main', utf8(`${head}\n`))
    await repository.#load(head)
    return repository
  }

  /** Undefined when there is none (or its creation was cut off). @throws ERR_STORAGE_CORRUPT */
  static async open(files: FileTree): Promise<Repository | undefined> {
    const ref = await files.read('refs/heads/main')
    if (!ref) return undefined
    const head = fromUtf8(ref).trim()
    if (!/^[0-9a-f]{40}$/.test(head)) throw new JamiError('ERR_STORAGE_CORRUPT', 'refs/heads/main is not a commit id')
    const repository = new Repository(files, new ObjectStore(files), head)
    await repository.#load(head)
    return repository
  }

  async #load(head: Oid): Promise<void> {
    const open = [head]
    while (open.length > 0) {
      const oid = open.pop() as Oid
      if (this.#commits.has(oid)) continue
      const object = await this.#objects.read(oid)
      if (object?.type !== 'commit') throw new JamiError('ERR_STORAGE_CORRUPT', `commit ${oid} is missing`)
      open.push(...this.#note(oid, parseCommit(object.data)).parents)
    }
  }

  #note(oid: Oid, commit: Commit): Commit {
    const kept = { ...commit, signed: new Uint8Array(0) } // verified already; the object has the bytes
    this.#commits.set(oid, kept)
    for (const parent of commit.parents) this.#children.set(parent, [...(this.#children.get(parent) ?? []), oid])
    return kept
  }

  get head(): Oid {
    return this.#head
  }

  get size(): number {
    return this.#commits.size
  }

  has(oid: Oid): boolean {
    return this.#commits.has(oid)
  }

  commit(oid: Oid): Commit | undefined {
    return this.#commits.get(oid)
  }

  readonly read: ReadObject = (oid) => this.#objects.read(oid)

  async paths(tree: Oid): Promise<Paths> {
    const known = this.#trees.get(tree)
    if (known) return known
    const paths = await flatten(this.read, tree)
    if (this.#trees.size >= MAX_TREES) this.#trees.delete(this.#trees.keys().next().value as Oid)
    this.#trees.set(tree, paths)
    return paths
  }

  headPaths(): Promise<Paths> {
    return this.paths((this.#commits.get(this.#head) as Commit).tree)
  }

  async blob(oid: Oid): Promise<Uint8Array> {
    const object = await this.#objects.read(oid)
    if (object?.type !== 'blob') throw new JamiError('ERR_STORAGE_CORRUPT', `blob ${oid} is missing`)
    return object.data
  }

  /** Keeps validated objects and commits, then moves main. Objects are durable before the ref is. */
  async advance(head: Oid, objects: Iterable<GitObject>, commits: ReadonlyMap<Oid, Commit>): Promise<void> {
    await this.#objects.write(objects)
    for (const [oid, commit] of commits) if (!this.#commits.has(oid)) this.#note(oid, commit)
    await this.#files.write('refs/heads/main', utf8(`${head}\n`))
    this.#head = head
  }

  /** True when `ancestor` is `of` or reachable from it. */
  isAncestor(ancestor: Oid, of: Oid): boolean {
    if (ancestor === of) return true
    const target = this.#commits.get(ancestor)
    if (!target) return false
    return this.reachable([of]).has(ancestor)
  }

  /** All commits reachable from some, themselves included; stops at `without`. */
  reachable(from: Iterable<Oid>, without: ReadonlySet<Oid> = new Set()): Set<Oid> {
    const seen = new Set<Oid>()
    const open = [...from]
    while (open.length > 0) {
      const oid = open.pop() as Oid
      if (seen.has(oid) || without.has(oid)) continue
      const commit = this.#commits.get(oid)
      if (!commit) continue
      seen.add(oid)
      open.push(...commit.parents)
    }
    return seen
  }

  /** Newest first: among commits all of whose children were shown, the one with the greatest time, then the greater id. */
  linear(of: ReadonlySet<Oid>): Oid[] {
    const waiting = new Map<Oid, number>()
    for (const oid of of) waiting.set(oid, (this.#children.get(oid) ?? []).filter((c) => of.has(c)).length)
    const ready = [...waiting].filter(([, n]) => n === 0).map(([oid]) => oid)
    const time = (oid: Oid) => this.#commits.get(oid)?.committerTimeS ?? 0
    const later = (a: Oid, b: Oid) => time(a) - time(b) || (a < b ? -1 : 1)
    ready.sort(later)
    const out: Oid[] = []
    for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
      out.push(next)
      for (const parent of this.#commits.get(next)?.parents ?? []) {
        const left = waiting.get(parent)
        if (left === undefined) continue
        waiting.set(parent, left - 1)
        if (left !== 1) continue
        let at = ready.length
        while (at > 0 && later(ready[at - 1] as Oid, parent) > 0) at--
        ready.splice(at, 0, parent)
      }
    }
    return out
  }

  /** Best common ancestors of two commits. */
  mergeBases(a: Oid, b: Oid): Oid[] {
    const ofA = this.reachable([a])
    const common = [...this.reachable([b])].filter((oid) => ofA.has(oid))
    const set = new Set(common)
    return common.filter((oid) => !(this.#children.get(oid) ?? []).some((child) => set.has(child)))
  }

  /** Commits by time, newest first: what we tell a peer that we have. */
  recent(count: number): Oid[] {
    const all = [...this.#commits.keys()].filter((oid) => oid !== this.#head)
    all.sort((x, y) => (this.#commits.get(y)?.committerTimeS ?? 0) - (this.#commits.get(x)?.committerTimeS ?? 0))
    return [this.#head, ...all.slice(0, count - 1)]
  }
}
