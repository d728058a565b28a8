// The first commit: who made the conversation, its mode, and for a 1:1 the other person. docs/protocol/04 §1.3, §3.4.
// Proof: validation/validate-commit.test.ts, validation/rules.test.ts.
import { repoInvalid } from '../../repo/object.ts'
import type { CommitBody } from '../../repo/commit-body.ts'
import { accountFile, hasFile, mustBeEmpty, onlyChanges, ownDevice, type RuleContext } from './rule.ts'

/** Modes that this version takes part in. */
const MODES: ReadonlySet<string> = new Set(['0'])

/** Mode and invited person of a first commit. @throws ERR_REPO_INVALID */
export function readInitial(body: CommitBody): { mode: number; invited: string } {
  if (body.type !== 'initial') throw repoInvalid(`initial commit: got type ${JSON.stringify(body.type.slice(0, 40))}`)
  const { mode, invited = '' } = body.fields
  if (!/^[0-4]$/.test(mode ?? '')) throw repoInvalid(`initial commit: got mode ${String(mode).slice(0, 20)}, allowed 0 to 4`)
  if (!MODES.has(mode ?? '')) throw repoInvalid(`initial commit: got mode ${mode}, supported is 0 (one-to-one)`)
  if (!/^[0-9a-f]{40}$/.test(invited)) throw repoInvalid('initial commit: the invited account is missing')
  return { mode: Number(mode), invited }
}

export async function initialRule(ctx: RuleContext): Promise<void> {
  const admin = `admins/${ctx.author.uri}.crt`
  const invited = `invited/${ctx.root.invited}`
  if (!(await hasFile(ctx, ctx.after, admin))) throw repoInvalid('initial commit: its author is not the admin')
  await onlyChanges(ctx, 'initial commit', [accountFile(ctx, admin, ['added']), ownDevice(ctx), { path: invited, kinds: ['added'], check: mustBeEmpty }])
  if (!(await hasFile(ctx, ctx.after, invited))) throw repoInvalid('initial commit: the invitation is missing')
}
