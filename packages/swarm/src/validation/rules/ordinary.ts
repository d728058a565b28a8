// Commits that leave the tree as it is but for the author's own certificates: messages, edits, profiles, everything unknown.
// docs/protocol/04 §3.5.6, §3.5.8, §3.5.9. Proof: validation/rules.test.ts.
import { repoInvalid } from '../../repo/object.ts'
import { accountFile, hasFile, onlyChanges, ownDevice, type RuleContext } from './rule.ts'

export async function ordinaryRule(ctx: RuleContext): Promise<void> {
  if (ctx.body.type === 'application/edited-message' || (ctx.body.fields.edit ?? '') !== '') await edit(ctx)
  const { uri } = ctx.author
  await onlyChanges(ctx, ctx.body.type, [ownDevice(ctx), accountFile(ctx, `admins/${uri}.crt`, ['replaced']), accountFile(ctx, `members/${uri}.crt`, ['replaced'])])
}

async function edit(ctx: RuleContext): Promise<void> {
  const target = await ctx.ancestor(ctx.body.fields.edit ?? '')
  if (!target) throw repoInvalid('edit: the edited commit is not among those before')
  if (target.author !== ctx.author.uri) throw repoInvalid('edit: of a message of somebody else')
  const { type, fields } = target.body
  const editable = type === 'text/plain' || type === 'application/collab-doc+json' || (type === 'application/data-transfer+json' && (fields.tid ?? '') !== '')
  if (!editable) throw repoInvalid(`edit: of a ${type.slice(0, 60)}`)
}

export async function profileRule(ctx: RuleContext): Promise<void> {
  if (!(await hasFile(ctx, ctx.before, `admins/${ctx.author.uri}.crt`))) throw repoInvalid('profile: its author is not an admin')
  await onlyChanges(ctx, 'profile', [{ path: 'profile.vcf', kinds: ['added', 'replaced', 'removed'] }, ownDevice(ctx)])
}
