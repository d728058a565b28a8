// The first commit: who made the conversation, its mode, for a 1:1 the other person, for a document its conversation.
// docs/protocol/04 §1.2, §1.3, §3.4. Proof: validation/group-refusals.test.ts, validation/validate-commit.test.ts, validation/rules.test.ts.
import type { CommitBody } from '../../repo/commit-body.ts'
import { repoInvalid } from '../../repo/object.ts'
import { isAccountUri, paths } from '../../repo/tree-paths.ts'
import { type Allowed, accountFile, hasFile, mustBeEmpty, onlyChanges, ownDevice, type RuleContext } from './rule.ts'

/** A mode and what belongs to it. 1 and 3 are read as 2. */
export interface InitialFacts {
  /** 0 one-to-one, 1 to 3 groups, 4 document. */
  readonly mode: number
  /** Mode 0: the other person. */
  readonly invited?: string
  /** Mode 4: the conversation it belongs to, and what is written in it. */
  readonly parent?: string
  readonly mimeType?: string
}

/** What a first commit says. @throws ERR_REPO_INVALID */
export function readInitial(body: CommitBody): InitialFacts {
  if (body.type !== 'initial') throw repoInvalid(`initial commit: got type ${JSON.stringify(body.type.slice(0, 40))}`)
  const { mode: text = '', invited = '', parent = '', mimeType } = body.fields
  if (!/^[0-4]$/.test(text)) throw repoInvalid(`initial commit: got mode ${text.slice(0, 20) || 'none'}, allowed 0 to 4`)
  const mode = Number(text)
  if (mode === 0 && !isAccountUri(invited)) throw repoInvalid('initial commit: the invited account is missing')
  if (mode === 4 && !/^[0-9a-f]{40}$/.test(parent)) throw repoInvalid('initial commit: the conversation of a document is missing')
  return { mode, ...(mode === 0 && { invited }), ...(mode === 4 && { parent, ...(mimeType !== undefined && { mimeType }) }) }
}

export async function initialRule(ctx: RuleContext): Promise<void> {
  const { author, root: { invited } } = ctx
  const rows: Allowed[] = [accountFile(ctx, paths.admin(author.uri), ['added']), ownDevice(ctx)]
  if (invited !== undefined) rows.push({ path: paths.invited(invited), kinds: ['added'], check: mustBeEmpty })
  if (!(await hasFile(ctx, ctx.after, paths.admin(author.uri)))) throw repoInvalid('initial commit: its author is not the admin')
  await onlyChanges(ctx, 'initial commit', rows)
  if (invited !== undefined && !(await hasFile(ctx, ctx.after, paths.invited(invited)))) throw repoInvalid('initial commit: the invitation is missing')
}
