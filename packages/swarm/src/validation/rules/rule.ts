// What the rules of all commit types share: which files a commit may touch, in which way, and the rule about certificates.
// A change that no row allows is refused, whatever it is. docs/protocol/04 §2, §3.5.10. Proof: validation/rules.test.ts (table).
import { equalBytes } from '@jamikit/core/codec'
import type { AccountUri } from '@jamikit/core/contracts'
import type { Commit } from '../../repo/commit.ts'
import type { CommitBody } from '../../repo/commit-body.ts'
import { EMPTY_BLOB, objectId, type Oid, repoInvalid } from '../../repo/object.ts'
import { paths } from '../../repo/tree-paths.ts'
import { type Author, MAX_CERTIFICATE_FILE, readCertificate, readChain } from '../author.ts'
import type { Budget, Change, Trees } from '../trees.ts'

/**
 * What a commit was refused for, as programs see it in `details.rule`: the bytes of its object, its place in the history, its message, who wrote
 * it, or the rule of its type.
 */
export type RuleName =
  | 'commit' | 'history' | 'message' | 'author' | 'signature' | 'tree' | 'merge'
  | 'initial' | 'member' | 'add' | 'join' | 'remove' | 'ban' | 'unban' | 'vote' | 'profile' | 'checkpoint' | 'edit' | 'document' | 'ordinary'

export type ChangeKind = 'added' | 'removed' | 'replaced'

/** What every commit of a conversation can be judged by: facts of its first commit. */
export interface RootFacts {
  readonly mode: number
  readonly creator: AccountUri
  /** The other person of a 1:1; nobody in other modes. */
  readonly invited?: string
}

export interface RuleContext {
  readonly trees: Trees
  readonly budget: Budget
  /** Tree of the parent; undefined for the first commit. */
  readonly before: Oid | undefined
  readonly after: Oid
  readonly changes: readonly Change[]
  readonly commit: Commit
  readonly body: CommitBody
  readonly author: Author
  readonly root: RootFacts
  /** The edited commit when it is an ancestor: who wrote it, and what. */
  ancestor(oid: Oid): Promise<{ author: AccountUri; body: CommitBody } | undefined>
}

/** One row: a file, how it may change, and what else must hold. */
export interface Allowed {
  readonly path: string | RegExp
  readonly kinds: readonly ChangeKind[]
  readonly check?: (change: Change) => Promise<void> | void
}

export function kindOf(change: Change): ChangeKind {
  return change.before === undefined ? 'added' : change.after === undefined ? 'removed' : 'replaced'
}

/** @throws ERR_REPO_INVALID naming the file and what is allowed */
export async function onlyChanges(ctx: RuleContext, what: string, rows: readonly Allowed[]): Promise<void> {
  for (const change of ctx.changes) {
    const kind = kindOf(change)
    const row = rows.find(({ path, kinds }) => kinds.includes(kind) && (typeof path === 'string' ? path === change.path : path.test(change.path)))
    if (!row) {
      const allowed = rows.map(({ path, kinds }) => `${typeof path === 'string' ? path : path.source} ${kinds.join(' or ')}`)
      throw repoInvalid(`${what}: got ${change.path} ${kind}, allowed ${allowed.join(', ') || 'nothing'}`, { path: change.path, kind, allowed })
    }
    await row.check?.(change)
  }
}

export const EMPTY_ID: Oid = objectId({ type: 'blob', data: EMPTY_BLOB })

export function mustBeEmpty({ path, after }: Change): void {
  if (after !== EMPTY_ID) throw repoInvalid(`${path}: got content, allowed an empty file`, { path })
}

/** @throws ERR_REPO_INVALID unless the author was an admin before this commit (trap S5). */
export async function mustBeAdmin(ctx: RuleContext, what: string): Promise<void> {
  if (!(await hasFile(ctx, ctx.before, paths.admin(ctx.author.uri)))) throw repoInvalid(`${what}: its author is not an admin`)
}

/** True when the file is there in a tree. */
export async function hasFile(ctx: RuleContext, tree: Oid | undefined, path: string): Promise<boolean> {
  return tree !== undefined && (await ctx.trees.file(tree, path, ctx.budget)) !== undefined
}

/** The author's device certificate: new, or renewed with the same key. That it is of the author's account, `Authors` proved in the same tree. */
export function ownDevice(ctx: RuleContext): Allowed {
  return { path: paths.device(ctx.commit.device), kinds: ['added', 'replaced'], check: (change) => checkDevice(ctx, change) }
}

async function checkDevice(ctx: RuleContext, { path, before, after }: Change): Promise<void> {
  if (after === undefined) return
  const next = readCertificate(await ctx.trees.blob(after, MAX_CERTIFICATE_FILE), path)
  if (next.longId !== path.slice('devices/'.length, -'.crt'.length)) throw repoInvalid(`${path}: the certificate of another device`, { path })
  if (before !== undefined) sameKey(path, readCertificate(await ctx.trees.blob(before, MAX_CERTIFICATE_FILE), path).publicKey, next.publicKey)
}

/** An account certificate of the author, in `members/` or `admins/`. */
export function accountFile(ctx: RuleContext, path: string, kinds: readonly ChangeKind[]): Allowed {
  return {
    path, kinds, check: async ({ before, after }) => {
      if (after === undefined) return
      const [next] = readChain(await ctx.trees.blob(after, MAX_CERTIFICATE_FILE), path)
      const name = path.slice(path.lastIndexOf('/') + 1, -'.crt'.length)
      if (next.shortId !== name || next.shortId !== ctx.author.uri) throw repoInvalid(`${path}: the certificate of another account`, { path })
      if (before !== undefined) sameKey(path, readChain(await ctx.trees.blob(before, MAX_CERTIFICATE_FILE), path)[0].publicKey, next.publicKey)
    },
  }
}

function sameKey(path: string, old: Uint8Array, next: Uint8Array): void {
  if (!equalBytes(old, next)) throw repoInvalid(`${path}: renewed with another key`, { path })
}
