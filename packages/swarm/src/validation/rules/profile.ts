// The conversation's card: an admin changes it, whole. docs/protocol/04 §3.5.6, trap S5. Proof: validation/rules.test.ts, validation/group-refusals.test.ts.
import { paths } from '../../repo/tree-paths.ts'
import { mustBeAdmin, onlyChanges, ownDevice, type RuleContext } from './rule.ts'

export async function profileRule(ctx: RuleContext): Promise<void> {
  await mustBeAdmin(ctx, 'profile')
  await onlyChanges(ctx, 'profile', [{ path: paths.profile, kinds: ['added', 'replaced', 'removed'] }, ownDevice(ctx)])
}
