// Merging two heads: by path, never inside a file, so that every path has the content of one parent. Pure.
// docs/protocol/04 §4.6 (M). Proof: sync/merge.test.ts (brute force over small trees).
import type { Oid } from '../repo/object.ts'
import { repoInvalid } from '../repo/object.ts'
import type { Paths } from '../repo/repository.ts'

/**
 * @param ourHead, theirHead decide about `profile.vcf` when both changed it: the greater id wins
 * @throws ERR_REPO_INVALID when both sides changed a path that has no rule
 */
export function mergePaths(base: Paths, ours: Paths, theirs: Paths, ourHead: Oid, theirHead: Oid): Map<string, Oid> {
  const out = new Map<string, Oid>()
  for (const path of new Set([...base.keys(), ...ours.keys(), ...theirs.keys()])) {
    const [b, o, t] = [base.get(path), ours.get(path), theirs.get(path)]
    let chosen: Oid | undefined
    if (o === t || t === b) chosen = o
    else if (o === b) chosen = t
    else if (path === 'profile.vcf') chosen = theirHead > ourHead ? t : o
    else if (o === undefined || t === undefined) chosen = undefined // a leave or ban is not undone by a renewal
    else throw repoInvalid(`merge: both sides changed ${path}`, { path })
    if (chosen !== undefined) out.set(path, chosen)
  }
  return out
}

/** One base out of several: merged pairwise with the same rules, the first where that fails. */
export function virtualBase(bases: readonly { readonly head: Oid; readonly paths: Paths }[]): Paths {
  const [first, ...others] = bases
  if (!first) return new Map()
  return others.reduce<Paths>((base, other) => {
    try {
      return mergePaths(new Map(), base, other.paths, first.head, other.head)
    } catch {
      return base
    }
  }, first.paths)
}
