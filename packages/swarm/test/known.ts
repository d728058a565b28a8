// What is here already of a story: all its commits up to now, as a history that validation asks. None of them is judged again.
import type { MessageId } from '@jamikit/core/contracts'
import { type Commit, parseCommit } from '../src/repo/commit.ts'
import type { Oid } from '../src/repo/object.ts'
import type { History } from '../src/repo/types.ts'
import { authorIn } from '../src/validation/author.ts'
import { receivedPack } from './received.ts'
import type { Story } from './story.ts'

export async function knownOf(story: Story): Promise<History> {
  const pack = receivedPack(new Map(story.objects))
  const commits = new Map<Oid, Commit>()
  const infos = new Map<Oid, unknown>()
  for (const [oid, { type, data }] of story.objects) if (type === 'commit') commits.set(oid, parseCommit(data))
  for (const [oid, commit] of commits) infos.set(oid, { oid: oid as MessageId, tree: commit.tree, author: await authorIn(commit, pack), device: commit.device })
  const isAncestor = (ancestor: Oid, of: Oid): boolean => ancestor === of || (commits.get(of)?.parents.some((parent) => isAncestor(ancestor, parent)) ?? false)
  return {
    head: story.head, read: pack.read, stat: pack.stat, has: (oid: Oid) => commits.has(oid), info: (oid: Oid) => infos.get(oid), commit: async (oid: Oid) => commits.get(oid), isAncestor,
  } as unknown as History
}
