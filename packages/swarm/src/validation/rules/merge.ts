// A merge has, for each path, the content of one of its two parents. Who was banned, or left, does not come back by it: of two sides the one that
// changed something has its way, and neither was that a merge of an old commit. docs/protocol/04 §3.6.
// Proof: validation/merge-rule.test.ts, conversation/merging-groups.test.ts (what honest people and stock git merge passes).
import { type Oid, repoInvalid } from '../../repo/object.ts'
import { parsePlace } from '../../repo/tree-paths.ts'
import type { Budget, Change, Trees } from '../trees.ts'

export interface MergeContext {
  readonly trees: Trees
  readonly budget: Budget
  readonly after: Oid
  /** What differs from the first parent, and the tree of the second one. */
  readonly changes: readonly Change[]
  readonly other: Oid
  /** Trees of the best common ancestors of the parents. */
  bases(): Promise<readonly Oid[]>
}

/** @throws ERR_REPO_INVALID, ERR_LIMIT */
export async function mergeRule({ trees, budget, after, changes, other, bases }: MergeContext): Promise<void> {
  const against = new Set(changes.map(({ path }) => path))
  const others = await trees.diff(other, after, budget)
  for (const { path } of others) if (against.has(path)) throw repoInvalid(`merge commit: ${path} has content of neither parent`, { path })
  for (const change of [...changes, ...others]) {
    const { path } = change
    const place = parsePlace(path)
    if (place?.banned && change.after === undefined) { // an unban of one side; without one, the ban of the other stays
      if (!(await anyBase((file) => file !== undefined))) throw repoInvalid(`merge commit: ${path} is gone, and neither side took it away`, { path })
    } else if (place && !place.banned && (place.kind === 'members' || place.kind === 'admins') && change.before === undefined) {
      if (!(await anyBase((file) => file !== change.after))) throw repoInvalid(`merge commit: ${path} is back, which one side took away`, { path })
    }
    async function anyBase(is: (file: Oid | undefined) => boolean): Promise<boolean> {
      for (const tree of await bases()) if (is(await trees.file(tree, path, budget))) return true
      return false
    }
  }
}
