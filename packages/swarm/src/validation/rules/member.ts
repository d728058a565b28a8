// Member events of persons about places of their own: add, join, remove (leaving). docs/protocol/04 §3.5.2–3.5.4, trap S4.
// Proof: validation/rules.test.ts, validation/group-refusals.test.ts.
import { MAX_INVITED_AT_ONCE } from '../../defaults.ts'
import { repoInvalid } from '../../repo/object.ts'
import { isAccountUri, paths } from '../../repo/tree-paths.ts'
import { issuerOf, MAX_CERTIFICATE_FILE, readCertificate } from '../author.ts'
import type { Change } from '../trees.ts'
import { accountFile, hasFile, mustBeEmpty, onlyChanges, ownDevice, type RuleContext } from './rule.ts'

/** The account that a member event is about: bare hex. @throws ERR_REPO_INVALID */
function subject(ctx: RuleContext): string {
  const { uri = '' } = ctx.body.fields
  if (!isAccountUri(uri)) throw repoInvalid(`member: got the uri ${JSON.stringify(uri.slice(0, 80))}, allowed an account id`)
  return uri
}

/** Any member invites anybody who is not banned. Who is a member already can be invited, as for the peers: nothing comes of it. */
export async function addRule(ctx: RuleContext): Promise<void> {
  const { root, author } = ctx
  const uri = subject(ctx)
  const invited = paths.invited(uri)
  if (root.mode === 0 && uri !== root.invited && uri !== root.creator) throw repoInvalid('add: a third person in a one-to-one conversation')
  if (uri === author.uri) throw repoInvalid('add: of oneself')
  if (ctx.changes.length === 0) throw repoInvalid('add: nothing is added')
  await onlyChanges(ctx, 'add', [ownDevice(ctx), { path: invited, kinds: ['added', 'replaced'], check: mustBeEmpty }])
  if (!(await hasFile(ctx, ctx.after, invited))) throw repoInvalid('add: no invitation')
  const waiting = await ctx.trees.size(ctx.after, 'invited', ctx.budget) // each costs everybody who clones, at every commit about members
  if (waiting > MAX_INVITED_AT_ONCE) throw repoInvalid(`add: got ${waiting} people who are invited, allowed ${MAX_INVITED_AT_ONCE}`, { got: waiting, allowed: MAX_INVITED_AT_ONCE })
  for (const kind of ['members', 'admins', 'invited'] as const) if (await hasFile(ctx, ctx.before, paths.banned(kind, uri))) throw repoInvalid('add: of a banned member')
}

export async function joinRule(ctx: RuleContext): Promise<void> {
  const uri = subject(ctx)
  const [invited, member] = [paths.invited(uri), paths.member(uri)]
  if (ctx.author.uri !== uri) throw repoInvalid('join: of somebody else')
  await onlyChanges(ctx, 'join', [{ path: invited, kinds: ['removed'] }, accountFile(ctx, member, ['added']), ownDevice(ctx)])
  const changed = (path: string) => ctx.changes.some((change) => change.path === path)
  if (!changed(invited)) throw repoInvalid('join: without an invitation, or leaving it behind')
  if (!changed(member)) throw repoInvalid('join: member already, or no certificate')
}

/** Leaving: a person takes away its own files, and nothing else. */
export async function removeRule(ctx: RuleContext): Promise<void> {
  const uri = subject(ctx)
  if (ctx.author.uri !== uri) throw repoInvalid('remove: of somebody else')
  const ownedBy = async ({ path, before }: Change) => {
    if (before !== undefined && issuerOf(readCertificate(await ctx.trees.blob(before, MAX_CERTIFICATE_FILE), path)) !== uri) throw repoInvalid(`remove: got the device of somebody else, ${path}`, { path })
  }
  await onlyChanges(ctx, 'remove', [
    { path: paths.admin(uri), kinds: ['removed'] },
    { path: paths.member(uri), kinds: ['removed'] },
    { path: paths.invited(uri), kinds: ['removed'] },
    { path: /^devices\/[0-9a-f]{64}\.crt$/, kinds: ['removed'], check: ownedBy },
  ])
}
