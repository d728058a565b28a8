// A step of a document: its attachments only ever grow, each under the id of its content. docs/protocol/04 §3.5.7.
// Proof: validation/rules.test.ts, validation/group-refusals.test.ts.
import { repoInvalid } from '../../repo/object.ts'
import { paths } from '../../repo/tree-paths.ts'
import { onlyChanges, ownDevice, type RuleContext } from './rule.ts'

export async function checkpointRule(ctx: RuleContext): Promise<void> {
  if (ctx.root.mode !== 4) throw repoInvalid('checkpoint: only in a document')
  await onlyChanges(ctx, 'checkpoint', [
    { path: /^attachments\/[^/]+$/, kinds: ['added'], check: ({ path, after }) => {
      if (after === undefined || path !== paths.attachment(after)) throw repoInvalid(`${path}: got content of the id ${after}, allowed the content that its name says`, { path })
    } },
    ownDevice(ctx),
  ])
}
