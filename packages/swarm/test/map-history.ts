// A history as a map of objects: as much of the real one as serving asks of it, and the means to write one.
import { deflateSync } from 'node:zlib'
import { limitError } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { AccountUri, DeviceId, MessageId } from '@jamikit/core/contracts'
import { type GitObject, objectId, type Oid } from '../src/repo/object.ts'
import { buildTrees } from '../src/repo/trees.ts'
import type { CommitInfo, PackedObject } from '../src/repo/types.ts'
import type { Served } from '../src/sync/answer.ts'

export class MapHistory implements Served {
  readonly objects = new Map<Oid, GitObject>()
  readonly rows: CommitInfo[] = []
  head = '' as MessageId
  /** Objects that were read, in order. */
  reads: Oid[] = []
  #time = 1_700_000_000

  /** A commit of these files (path → text) on these parents; moves head. */
  commit(files: Readonly<Record<string, string>>, parents: readonly Oid[] = this.head ? [this.head] : [], message = 'text'): Oid {
    const paths = new Map<string, Oid>()
    for (const [path, text] of Object.entries(files)) paths.set(path, this.#keep({ type: 'blob', data: utf8(text) }))
    const trees = buildTrees(paths)
    for (const tree of trees.objects) this.#keep(tree)
    const who = `A <${'d'.repeat(64)}> ${this.#time++} +0000`
    return this.add({ type: 'commit', data: utf8(`tree ${trees.root}\n${parents.map((p) => `parent ${p}\n`).join('')}author ${who}\ncommitter ${who}\n\n${message}`) })
  }

  /** A commit whose parents are here; moves head. */
  add(commit: GitObject): Oid {
    const oid = this.#keep(commit)
    const text = Buffer.from(commit.data).toString('latin1').split('\n\n')[0] ?? ''
    const parents = [...text.matchAll(/^parent ([0-9a-f]{40})$/gm)].map((m) => this.#byId.get(m[1] as Oid) as number)
    this.#byId.set(oid, this.rows.length)
    this.rows.push({
      oid: oid as MessageId, row: this.rows.length, tree: /^tree ([0-9a-f]{40})$/m.exec(text)?.[1] ?? '', parents, generation: Math.max(-1, ...parents.map((p) => (this.rows[p] as CommitInfo).generation)) + 1,
      timeS: 0, author: '' as AccountUri, device: '' as DeviceId, position: this.rows.length,
    })
    this.head = oid as MessageId
    return oid
  }

  /** All objects of another history. */
  static of(objects: ReadonlyMap<Oid, GitObject>, head: Oid): MapHistory {
    const history = new MapHistory()
    for (const object of objects.values()) history.#keep(object)
    const add = (oid: Oid) => {
      const commit = objects.get(oid)
      if (!commit || history.#byId.has(oid)) return
      for (const match of (Buffer.from(commit.data).toString('latin1').split('\n\n')[0] ?? '').matchAll(/^parent ([0-9a-f]{40})$/gm)) add(match[1] as Oid)
      history.add(commit)
    }
    add(head)
    return history
  }

  readonly #byId = new Map<Oid, number>()

  #keep(object: GitObject): Oid {
    const oid = objectId(object)
    this.objects.set(oid, object)
    return oid
  }

  has(oid: Oid): boolean {
    return this.objects.has(oid)
  }

  info(oid: Oid): CommitInfo | undefined {
    const row = this.#byId.get(oid)
    return row === undefined ? undefined : this.rows[row]
  }

  row(row: number): CommitInfo {
    return this.rows[row] as CommitInfo
  }

  /** Rows that some commits reach. */
  reach(of: readonly Oid[]): Set<number> {
    const out = new Set<number>()
    const open = of.map((oid) => this.#byId.get(oid)).filter((row) => row !== undefined)
    for (let row = open.pop(); row !== undefined; row = open.pop()) {
      if (out.has(row)) continue
      out.add(row)
      open.push(...this.row(row).parents)
    }
    return out
  }

  *missing(wants: readonly Oid[], haves: readonly Oid[], limit = Infinity): Generator<CommitInfo> {
    const theirs = this.reach(haves)
    const ours = [...this.reach(wants)].filter((row) => !theirs.has(row)).sort((a, b) => b - a)
    if (ours.length > limit) throw limitError('commits', ours.length, limit)
    for (const row of ours) yield this.row(row)
  }

  async read(oid: Oid): Promise<GitObject | undefined> {
    this.reads.push(oid)
    return this.objects.get(oid)
  }

  async packed(oid: Oid): Promise<PackedObject | undefined> {
    const object = this.objects.get(oid)
    return object && { type: object.type, size: object.data.length, deflated: deflateSync(object.data) }
  }
}
