// Merging two heads: by path, never inside a file, so that every path has the content of one parent and every peer takes the merge. It never
// fails: whatever both sides did, one of them is chosen, and what was over on one side does not come back. Pure.
// docs/protocol/04 §3.6, §4.6 (M). Proof: sync/merge.test.ts (brute force over small trees), conversation/merging-groups.test.ts (whole histories, git).
import type { Oid } from '../repo/object.ts'
import type { Paths } from '../repo/repository.ts'
import { parsePlace, parseVotePath, paths } from '../repo/tree-paths.ts'

/** Where both sides changed a file, the side of the greater id is taken, as peers do for `profile.vcf`. */
export function mergePaths(base: Paths, ours: Paths, theirs: Paths, ourHead: Oid, theirHead: Oid): Map<string, Oid> {
  const out = new Map<string, Oid>()
  for (const path of new Set([...base.keys(), ...ours.keys(), ...theirs.keys()])) {
    const [b, o, t] = [base.get(path), ours.get(path), theirs.get(path)]
    let chosen: Oid | undefined
    if (o === t || t === b) chosen = o
    else if (o === b) chosen = t
    else if (path !== paths.profile && (o === undefined || t === undefined)) chosen = undefined // a leave or ban is not undone by a renewal
    else chosen = theirHead > ourHead ? t : o
    if (chosen !== undefined) out.set(path, chosen)
  }
  for (const { path, by } of [...overtaken(base, out)]) { // all by what was merged before, in no order
    const has = [ours, theirs].filter((side) => side.has(path))
    if (has.length === 1 && has[0]?.has(by) === base.has(by)) out.delete(path) // the side that has it did not do the other; what both have, a merge cannot take away
  }
  return out
}

/**
 * What a ban, join or vote of one side (`by`: its file that came or went) takes from the other side: who is banned has no place (who joined while
 * an invitation was banned would be in), who joined is not invited, votes that came to something are gone.
 */
function* overtaken(base: Paths, merged: Paths): Iterable<{ path: string; by: string }> {
  const isNew = (path: string) => merged.has(path) && !base.has(path)
  const isGone = (path: string) => base.has(path) && !merged.has(path)
  for (const by of merged.keys()) {
    const place = parsePlace(by)
    if (place?.banned && isNew(by)) {
      if (place.kind === 'devices') yield { path: paths.device(place.target), by }
      else for (const path of [paths.member(place.target), paths.admin(place.target), paths.invited(place.target)]) yield { path, by }
    } else if (place?.kind === 'members' && isNew(by)) yield { path: paths.invited(place.target), by }
    const vote = parseVotePath(by)
    if (!vote) continue
    const banned = paths.banned(vote.kind, vote.target)
    if (vote.action === 'ban' ? isNew(banned) : isGone(banned)) yield { path: by, by: banned }
  }
}

/** One base out of several: merged pairwise with the same rules. */
export function virtualBase(bases: readonly { readonly head: Oid; readonly paths: Paths }[]): Paths {
  const [first, ...others] = bases
  return others.reduce<Paths>((base, other) => mergePaths(new Map(), base, other.paths, first?.head ?? '', other.head), first?.paths ?? new Map())
}
