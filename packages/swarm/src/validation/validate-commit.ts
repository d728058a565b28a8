// May this commit stand in this conversation? First who wrote it and the signature, then what it changes; nothing is written, repaired
// or fetched here. A refusal says which rule. docs/protocol/04 §3, traps S1–S5, S13, S16.
// Proof: validation/validate-commit.test.ts (one test for each refusal of §12.2), validation/group-refusals.test.ts, validation/rules.test.ts (table).
import { JamiError } from '@jamikit/core/base'
import type { AccountUri } from '@jamikit/core/contracts'
import type { Commit } from '../repo/commit.ts'
import { type CommitBody, parseBody } from '../repo/commit-body.ts'
import { type Oid, repoInvalid } from '../repo/object.ts'
import type { Author, Authors } from './author.ts'
import { banRule } from './rules/ban.ts'
import { checkpointRule } from './rules/checkpoint.ts'
import { editRule } from './rules/edit.ts'
import { initialRule, readInitial } from './rules/initial.ts'
import { addRule, joinRule, removeRule } from './rules/member.ts'
import { mergeRule } from './rules/merge.ts'
import { ordinaryRule } from './rules/ordinary.ts'
import { profileRule } from './rules/profile.ts'
import type { RootFacts, RuleContext, RuleName } from './rules/rule.ts'
import { voteRule } from './rules/vote.ts'
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
  /** Trees of the best common ancestors of a merge's parents. @throws ERR_LIMIT */
  bases(merge: Commit): Promise<readonly Oid[]>
  /** A commit below `commit`, with its author. */
  ancestor(commit: Commit, oid: Oid): Promise<{ author: AccountUri; body: CommitBody } | undefined>
}

/**
 * Checks one commit whose parents are known. @returns who wrote it
 * @throws ERR_REPO_INVALID with the rule that it breaks in `details.rule`, ERR_LIMIT
 */
export async function validateCommit(ctx: ValidationContext, id: Oid, commit: Commit): Promise<Author> {
  const budget = ctx.budget()
  const parents = await judged('history', () => placeOf(ctx, id, commit))
  const body = await judged('message', () => bodyOf(commit))
  const leaving = parents.length === 1 && body.type === 'member' && body.fields.action === 'remove'
  const author = await judged('author', () => ctx.authors.in(leaving ? (parents[0] as Oid) : commit.tree, commit, budget))
  await judged('signature', () => ctx.authors.verify(commit, author))
  const [before, other] = parents
  const changes = await judged('tree', () => ctx.trees.diff(before, commit.tree, budget))
  if (other !== undefined) {
    const { trees } = ctx
    await judged('merge', () => mergeRule({ trees, budget, after: commit.tree, changes, other, bases: () => ctx.bases(commit) }))
    return author
  }
  const root = parents.length === 0 ? await judged('initial', () => ({ ...readInitial(body), creator: author.uri })) : await ctx.root()
  const context: RuleContext = { trees: ctx.trees, budget, before, after: commit.tree, changes, commit, body, author, root, ancestor: (oid) => ctx.ancestor(commit, oid) }
  const { name, rule } = ruleOf(context)
  await judged(name, () => rule(context))
  return author
}

/** Trees of its parents. */
function placeOf(ctx: ValidationContext, id: Oid, commit: Commit): Oid[] {
  const parents = commit.parents.map((parent) => {
    const tree = ctx.treeOf(parent)
    if (tree === undefined) throw repoInvalid(`parent ${parent} is missing`)
    return tree
  })
  if (parents.length > 2) throw repoInvalid('merge commit: got more than two parents')
  if (parents.length === 0 && id !== ctx.conversation) throw repoInvalid('initial commit: a second root, or the root of another conversation')
  return parents
}

function bodyOf({ parents, message }: Commit): CommitBody {
  const body: CommitBody = parents.length === 2 ? { type: 'merge', fields: {} } : parseBody(message)
  if (parents.length === 1 && (body.type === '' || body.type === 'merge' || body.type === 'initial')) throw repoInvalid(`type: got ${JSON.stringify(body.type)} with one parent`)
  return body
}

interface Judge {
  readonly name: RuleName
  readonly rule: (ctx: RuleContext) => Promise<void>
}

const MEMBER: Readonly<Record<string, Judge>> = {
  add: { name: 'add', rule: addRule },
  join: { name: 'join', rule: joinRule },
  remove: { name: 'remove', rule: removeRule },
  ban: { name: 'ban', rule: (ctx) => banRule(ctx, 'ban') },
  unban: { name: 'unban', rule: (ctx) => banRule(ctx, 'unban') },
}

/** In the order in which peers ask. */
function ruleOf({ before, body: { type, fields }, root }: RuleContext): Judge {
  if (before === undefined) return { name: 'initial', rule: initialRule }
  if (type === 'vote') return { name: 'vote', rule: voteRule }
  if (type === 'member') {
    const { action = '' } = fields
    const known = Object.hasOwn(MEMBER, action) ? MEMBER[action] : undefined
    return known ?? { name: 'member', rule: async () => {
      throw repoInvalid(`member: got the action ${JSON.stringify(action.slice(0, 40))}, allowed ${Object.keys(MEMBER).join(', ')}`)
    } }
  }
  if (type === 'application/update-profile') return { name: 'profile', rule: profileRule }
  if (type === 'application/checkpoint') return { name: 'checkpoint', rule: checkpointRule }
  if (type === 'application/edited-message' || (fields.edit ?? '') !== '') return { name: 'edit', rule: editRule }
  return { name: root.mode === 4 ? 'document' : 'ordinary', rule: ordinaryRule }
}

/** What fails in here breaks this rule. */
async function judged<T>(rule: RuleName, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!JamiError.is(error, 'ERR_REPO_INVALID') || error.details.rule !== undefined) throw error
    throw new JamiError(error.code, error.message, { cause: error.cause ?? error, details: { ...error.details, rule } })
  }
}
