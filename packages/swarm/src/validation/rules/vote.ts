// A vote of an admin for or against a ban: one empty file in its own name. docs/protocol/04 §3.5.1, Appendix B.5, trap S5.
// Proof: validation/group-refusals.test.ts, validation/rules.test.ts.
import { repoInvalid } from '../../repo/object.ts'
import { parseVotePath, paths } from '../../repo/tree-paths.ts'
import { hasFile, mustBeAdmin, mustBeEmpty, onlyChanges, ownDevice, type RuleContext } from './rule.ts'

export async function voteRule(ctx: RuleContext): Promise<void> {
  const { author, body: { fields: { uri = '' } } } = ctx
  if (ctx.root.mode === 0) throw repoInvalid('vote: not in a one-to-one conversation')
  if (ctx.changes.length === 0) return // a vote that was there already; it counts for nothing
  await mustBeAdmin(ctx, 'vote')
  const vote = ctx.changes.map(({ path }) => parseVotePath(path)).find((found) => found?.voter === author.uri)
  if (!vote) throw repoInvalid(`vote: no vote of its author, got ${ctx.changes.map(({ path }) => path).join(', ').slice(0, 200)}`)
  const { action, kind, target } = vote
  if (target !== uri) throw repoInvalid(`vote: got the uri ${JSON.stringify(uri.slice(0, 80))}, allowed ${target} whom it names`)
  if (target === author.uri || target === ctx.commit.device) throw repoInvalid('vote: about oneself')
  await onlyChanges(ctx, 'vote', [{ path: paths.vote(action, kind, target, author.uri), kinds: ['added'], check: mustBeEmpty }, ownDevice(ctx)])
  const where = action === 'ban' || kind === 'devices' ? paths.place(kind, target) : paths.banned(kind, target)
  if (!(await hasFile(ctx, ctx.before, where))) throw repoInvalid(`vote: nobody to ${action}, ${where} is missing`, { path: where })
}
