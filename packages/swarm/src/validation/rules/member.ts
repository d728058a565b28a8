// Member events: add, join, remove (leaving). docs/protocol/04 §3.5.2–3.5.4, trap S4. Proof: validation/rules.test.ts.
import { repoInvalid } from '../../repo/object.ts'
import { issuerOf, MAX_CERTIFICATE_FILE, readCertificate } from '../author.ts'
import type { Change } from '../trees.ts'
import { accountFile, hasFile, mustBeEmpty, onlyChanges, ownDevice, type RuleContext } from './rule.ts'

export async function memberRule(ctx: RuleContext): Promise<void> {
  const { action = '', uri = '' } = ctx.body.fields
  if (!/^[0-9a-f]{40}$/.test(uri) || /^0+$/.test(uri)) throw repoInvalid(`member: got the uri ${JSON.stringify(uri.slice(0, 80))}, allowed an account id`)
  if (action === 'add') return add(ctx, uri)
  if (action === 'join') return join(ctx, uri)
  if (action === 'remove') return remove(ctx, uri)
  throw repoInvalid(`member: got the action ${JSON.stringify(action.slice(0, 40))}, allowed add, join or remove in a one-to-one conversation`)
}

async function add(ctx: RuleContext, uri: string): Promise<void> {
  const { root, author } = ctx
  const invited = `invited/${uri}`
  if (root.mode === 0 && uri !== root.invited && uri !== root.creator) throw repoInvalid('add: a third person in a one-to-one conversation')
  if (uri === author.uri) throw repoInvalid('add: of oneself')
  if (ctx.changes.length === 0) throw repoInvalid('add: nothing is added')
  await onlyChanges(ctx, 'add', [ownDevice(ctx), { path: invited, kinds: ['added', 'replaced'], check: mustBeEmpty }])
  if (!(await hasFile(ctx, ctx.after, invited))) throw repoInvalid('add: no invitation')
  if (await hasFile(ctx, ctx.before, `banned/members/${uri}.crt`)) throw repoInvalid('add: of a banned member')
}

async function join(ctx: RuleContext, uri: string): Promise<void> {
  const [invited, member] = [`invited/${uri}`, `members/${uri}.crt`]
  if (ctx.author.uri !== uri) throw repoInvalid('join: of somebody else')
  await onlyChanges(ctx, 'join', [{ path: invited, kinds: ['removed'] }, accountFile(ctx, member, ['added']), ownDevice(ctx)])
  const changed = (path: string) => ctx.changes.some((change) => change.path === path)
  if (!changed(invited)) throw repoInvalid('join: without an invitation, or leaving it behind')
  if (!changed(member)) throw repoInvalid('join: member already, or no certificate')
}

/** Leaving: a person takes away its own files, and nothing else. */
async function remove(ctx: RuleContext, uri: string): Promise<void> {
  if (ctx.author.uri !== uri) throw repoInvalid('remove: of somebody else')
  const ownedBy = async ({ path, before }: Change) => {
    if (before !== undefined && issuerOf(readCertificate(await ctx.trees.blob(before, MAX_CERTIFICATE_FILE), path)) !== uri) throw repoInvalid(`remove: got the device of somebody else, ${path}`, { path })
  }
  await onlyChanges(ctx, 'remove', [
    { path: `admins/${uri}.crt`, kinds: ['removed'] },
    { path: `members/${uri}.crt`, kinds: ['removed'] },
    { path: `invited/${uri}`, kinds: ['removed'] },
    { path: /^devices\/[0-9a-f]{64}\.crt$/, kinds: ['removed'], check: ownedBy },
  ])
}
