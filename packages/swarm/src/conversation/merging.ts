// Where a fetched history meets ours, and the tree of the merge: by path, from what differs, never from whole trees.
// docs/protocol/04 §4.6. Proof: conversation/merging.test.ts, conversation/merging-groups.test.ts (whole histories, stock git), sync/merge.test.ts.
import { JamiError, limitError, Slices } from '@jamikit/core/base'
import { fromUtf8 } from '@jamikit/core/codec'
import type { BaseEnv, Clock, DeviceIdentity } from '@jamikit/core/contracts'
import { MAX_ENTRIES_PER_COMMIT, MAX_JOINTS, MAX_MERGE_BASES } from '../defaults.ts'
import { editTree } from '../repo/edit-tree.ts'
import { type GitObject, objectId, type Oid, repoInvalid } from '../repo/object.ts'
import type { Turns } from '../repo/turns.ts'
import type { History, NewCommit, ObjectReader, ReceivedPack } from '../repo/types.ts'
import { mergePaths, virtualBase } from '../sync/merge.ts'
import { mayWrite } from '../validation/author.ts'
import { Budget, Trees } from '../validation/trees.ts'

/** Commits that are looked up between two turns of the event loop. */
const COMMITS_AT_ONCE = 4_000

/** Those that are not here yet. */
export async function unknownOf(clock: Clock, history: History, commits: readonly NewCommit[]): Promise<NewCommit[]> {
  const out: NewCommit[] = []
  const slices = new Slices(clock, COMMITS_AT_ONCE)
  for (const commit of commits) {
    if (!history.has(commit.oid)) out.push(commit)
    const turn = slices.spend(1)
    if (turn) await turn
  }
  return out
}

/**
 * Commits of ours that new ones build on. All that we have is below our head: they are the common ancestors, and when our head is one of
 * them nothing of ours is missing there. @throws ERR_LIMIT
 */
export async function joints(clock: Clock, history: History, commits: readonly NewCommit[]): Promise<Set<Oid>> {
  const out = new Set<Oid>()
  const slices = new Slices(clock, COMMITS_AT_ONCE)
  for (const { parents } of commits) {
    for (const parent of parents) if (history.has(parent)) out.add(parent)
    const turn = slices.spend(1)
    if (turn) await turn
  }
  if (out.size > MAX_JOINTS) throw limitError('commits that a fetch builds on', out.size, MAX_JOINTS)
  return out
}

/** The best ones: those that no other one builds on. */
export function bestBases(history: History, all: ReadonlySet<Oid>): Oid[] {
  const rows = [...all].map((oid) => history.info(oid)).filter((info) => info !== undefined).sort((a, b) => b.row - a.row)
  const best: Oid[] = []
  for (const { oid } of rows) {
    if (best.length >= MAX_MERGE_BASES) break
    if (!best.some((other) => history.isAncestor(oid, other))) best.push(oid)
  }
  return best
}

export interface Sides {
  readonly ours: { readonly head: Oid; readonly tree: Oid }
  readonly theirs: { readonly head: Oid; readonly tree: Oid }
  readonly bases: readonly { readonly head: Oid; readonly tree: Oid }[]
}

/**
 * The tree of a merge of two heads, that `writer` may sign. @returns its id and the trees that are new
 * @throws ERR_REPO_INVALID when they have nothing in common, ERR_NOT_MEMBER when the writer is out in what comes of it: no peer would take the merge
 */
export async function mergeTrees(
  env: Pick<BaseEnv, 'clock'>,
  reader: ObjectReader,
  sides: Sides,
  writer?: Pick<DeviceIdentity, 'accountId' | 'deviceId'>,
): Promise<{ root: Oid; objects: GitObject[] }> {
  const merged = await treeOf(env, reader, sides)
  const made = new Map(merged.objects.map((object) => [objectId(object), object]))
  const read = async (oid: Oid) => made.get(oid) ?? reader.read(oid)
  if (writer && !(await mayWrite({ read }, merged.root, writer))) throw new JamiError('ERR_NOT_MEMBER', 'merge: we are no member any more in what the others wrote', { details: { head: sides.theirs.head } })
  return merged
}

async function treeOf(env: Pick<BaseEnv, 'clock'>, reader: ObjectReader, sides: Sides): Promise<{ root: Oid; objects: GitObject[] }> {
  const [base, ...others] = sides.bases
  if (!base) throw repoInvalid('the histories have nothing in common')
  if ((others.length === 0 && sides.theirs.tree === base.tree) || sides.theirs.tree === sides.ours.tree) return { root: sides.ours.tree, objects: [] }
  const trees = new Trees(reader, new Slices(env.clock, 2_000), new Budget('tree entries of a merge', (MAX_MERGE_BASES + 2) * MAX_ENTRIES_PER_COMMIT))
  const changes = async (tree: Oid) => trees.diff(base.tree, tree, new Budget('tree entries of a merge', MAX_ENTRIES_PER_COMMIT))
  const sideChanges = await Promise.all([sides.ours, sides.theirs, ...others].map(({ tree }) => changes(tree)))
  const before = new Map<string, Oid | undefined>()
  for (const list of sideChanges) for (const change of list) before.set(change.path, change.before)
  const paths = (list: readonly { path: string; after: Oid | undefined }[]): Map<string, Oid> => {
    const at = new Map(before)
    for (const { path, after } of list) at.set(path, after)
    return new Map([...at].filter((entry): entry is [string, Oid] => entry[1] !== undefined))
  }
  const [ours = [], theirs = [], ...rest] = sideChanges
  const common = virtualBase([{ head: base.head, paths: paths([]) }, ...rest.map((list, i) => ({ head: others[i]?.head ?? '', paths: paths(list) }))])
  const mine = paths(ours)
  const merged = mergePaths(common, mine, paths(theirs), sides.ours.head, sides.theirs.head)
  const edits = new Map<string, Oid | undefined>()
  for (const path of before.keys()) if (merged.get(path) !== mine.get(path)) edits.set(path, merged.get(path))
  return editTree(reader, sides.ours.tree, edits)
}

/** A long way: nobody merges in between. */
const MAX_WAY = 4096

/** Undefined when a fetched head builds on that of a history; else whether it brings what people see: anything but merges. */
export async function diverges(history: History, turns: Turns, head: Oid, pack: ReceivedPack): Promise<{ shows: boolean } | undefined> {
  const seen = new Set<Oid>() // bounded by MAX_WAY
  const open = [head]
  let shows = false
  while (open.length > 0) {
    const oid = open.pop() as Oid
    if (oid === history.head) return undefined
    if (seen.has(oid) || history.has(oid) || !pack.has(oid)) continue
    seen.add(oid)
    if (seen.size > MAX_WAY) return undefined
    const object = await pack.read(oid)
    const pause = object && turns.object(object.data.length)
    if (pause) await pause
    if (object?.type !== 'commit') continue
    const parents = parentsIn(object.data)
    if (parents.length < 2) shows = true
    open.push(...parents)
  }
  return { shows }
}

const HEADER_BYTES = 400

/** Parents of a commit object, from its first lines; whether they are well formed is for validation to say. */
function parentsIn(data: Uint8Array): Oid[] {
  const text = fromUtf8(data.subarray(0, HEADER_BYTES).map((byte) => (byte < 0x80 ? byte : 0x3f)))
  return [...text.matchAll(/^parent ([0-9a-f]{40})$/gm)].slice(0, 3).map((match) => match[1] as Oid)
}
