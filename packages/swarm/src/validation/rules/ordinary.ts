// Commits that leave the tree as it is but for the author's own certificates: messages, reactions, files, calls, everything unknown.
// docs/protocol/04 §1.2, §3.5.9. Proof: validation/rules.test.ts, validation/group-refusals.test.ts.
import { repoInvalid } from '../../repo/object.ts'
import { paths } from '../../repo/tree-paths.ts'
import { accountFile, onlyChanges, ownDevice, type RuleContext } from './rule.ts'

export async function ordinaryRule(ctx: RuleContext): Promise<void> {
  if (ctx.root.mode === 4) throw repoInvalid(`${ctx.body.type.slice(0, 60)}: not in a document`)
  await onlyOwnCertificates(ctx)
}

/** New or renewed device certificate, renewed account certificate where it is. */
export async function onlyOwnCertificates(ctx: RuleContext): Promise<void> {
  const { uri } = ctx.author
  await onlyChanges(ctx, ctx.body.type.slice(0, 60), [ownDevice(ctx), accountFile(ctx, paths.admin(uri), ['replaced']), accountFile(ctx, paths.member(uri), ['replaced'])])
}
