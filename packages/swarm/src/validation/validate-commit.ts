// May this commit stand in this conversation? First who wrote it and the signature, then what it changes; nothing is written, repaired
// or fetched here. The rules of 1:1 conversations; what only groups and documents have is refused. docs/protocol/04 §3.
// Proof: validation/validate-commit.test.ts (one test for each refusal of §12.2), validation/rules.test.ts (table).
import type { AccountUri } from '@jamikit/core/contracts'
import type { Commit } from '../repo/commit.ts'
import { type CommitBody, parseBody } from '../repo/commit-body.ts'
import { type Oid, repoInvalid } from '../repo/object.ts'
import type { Author, Authors } from './author.ts'
import { initialRule, readInitial } from './rules/initial.ts'
import { memberRule } from './rules/member.ts'
import { ordinaryRule, profileRule } from './rules/ordinary.ts'
import type { RootFacts, RuleContext } from './rules/rule.ts'
import type { Budget, Trees } from './trees.ts'

export interface ValidationContext {
  readonly conversation: Oid
  readonly trees: Trees
  readonly authors: Authors
  /** Entries of trees that one commit may make us look at. */
  budget(): Budget
  /** Tree of a commit that was there before or comes earlier in this round. */
  treeOf(oid: Oid): Oid | undefined
  /** Facts of the first commit; known once that is validated. */
  root(): Promise<RootFacts>
  /** A commit below `commit`, with its author. */
  ancestor(commit: Commit, oid: Oid): Promise<{ author: AccountUri; body: CommitBody } | undefined>
}

/**
 * Checks one commit whose parents are known. @returns who wrote it
 * @throws ERR_REPO_INVALID with the rule that it breaks, ERR_LIMIT
 */
export async function validateCommit(ctx: ValidationContext, id: Oid, commit: Commit): Promise<Author> {
  const budget = ctx.budget()
  const parents = commit.parents.map((parent) => {
    const tree = ctx.treeOf(parent)
    if (tree === undefined) throw repoInvalid(`parent ${parent} is missing`)
    return tree
  })
  if (parents.length > 2) throw repoInvalid('merge commit: got more than two parents')
  if (parents.length === 0 && id !== ctx.conversation) throw repoInvalid('initial commit: a second root, or the root of another conversation')
  const body: CommitBody = parents.length === 2 ? { type: 'merge', fields: {} } : parseBody(commit.message)
  if (parents.length === 1 && (body.type === '' || body.type === 'merge' || body.type === 'initial')) throw repoInvalid(`type: got ${JSON.stringify(body.type)} with one parent`)
  const leaving = parents.length === 1 && body.type === 'member' && body.fields.action === 'remove'
  const author = await ctx.authors.in(leaving ? (parents[0] as Oid) : commit.tree, commit, budget)
  await ctx.authors.verify(commit, author)
  const [before, other] = parents
  const changes = await ctx.trees.diff(before, commit.tree, budget)
  if (other !== undefined) {
    const against = new Set(changes.map(({ path }) => path))
    for (const { path } of await ctx.trees.diff(other, commit.tree, budget)) if (against.has(path)) throw repoInvalid(`merge commit: ${path} has content of neither parent`, { path })
    return author
  }
  const root = parents.length === 0 ? { ...readInitial(body), creator: author.uri } : await ctx.root()
  await rule({ trees: ctx.trees, budget, before, after: commit.tree, changes, commit, body, author, root, ancestor: (oid) => ctx.ancestor(commit, oid) })
  return author
}

function rule(ctx: RuleContext): Promise<void> {
  const { type } = ctx.body
  if (ctx.before === undefined) return initialRule(ctx)
  if (type === 'member') return memberRule(ctx)
  if (type === 'vote' || type === 'application/checkpoint') throw repoInvalid(`${type}: not in a one-to-one conversation`)
  if (type === 'application/update-profile') return profileRule(ctx)
  return ordinaryRule(ctx)
}
