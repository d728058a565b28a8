// An edit: its author wrote what it edits, before it, and that can be edited. docs/protocol/04 §3.5.8.
// Proof: validation/validate-history.test.ts, validation/rules.test.ts.
import { repoInvalid } from '../../repo/object.ts'
import type { RuleContext } from './rule.ts'
import { onlyOwnCertificates } from './ordinary.ts'

export async function editRule(ctx: RuleContext): Promise<void> {
  const target = await ctx.ancestor(ctx.body.fields.edit ?? '')
  if (!target) throw repoInvalid('edit: the edited commit is not among those before')
  if (target.author !== ctx.author.uri) throw repoInvalid('edit: of a message of somebody else')
  const { type, fields } = target.body
  const editable = type === 'text/plain' || type === 'application/collab-doc+json' || (type === 'application/data-transfer+json' && (fields.tid ?? '') !== '')
  if (!editable) throw repoInvalid(`edit: of a ${type.slice(0, 60)}`)
  await onlyOwnCertificates(ctx)
}
