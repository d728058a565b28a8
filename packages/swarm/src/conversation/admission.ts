// Is a clone what we were invited to, and have we a place in it? Asked once everything in it was validated, before anything is kept.
// docs/protocol/04 §4.7, §5.2; 03 §11.2 item 10. Proof: conversation/conversation.test.ts, conversation/groups.test.ts.
import { JamiError } from '@jamikit/core/base'
import { fromUtf8 } from '@jamikit/core/codec'
import type { AccountUri, ConversationId, ConversationMode, MemberRole } from '@jamikit/core/contracts'
import { parseBody } from '../repo/commit-body.ts'
import type { Oid } from '../repo/object.ts'
import type { NewCommit, ReceivedPack } from '../repo/types.ts'
import { readInitial } from '../validation/rules/initial.ts'
import { Members } from './members.ts'

export interface Offered {
  readonly id: ConversationId
  readonly head: Oid
  readonly commits: readonly NewCommit[]
  readonly pack: ReceivedPack
  readonly inviter: AccountUri
  /** What we were invited to. */
  readonly expected: ConversationMode
}

/**
 * A 1:1 is between the inviter and us; in a group the inviter is a member and we have a place. Whoever follows to a 1:1 gets into nothing
 * else; among groups the repository is right about the mode, not the invitation. @throws ERR_NOT_MEMBER, ERR_REPO_INVALID
 */
export async function mayJoin(me: AccountUri, { id, head, commits, pack, inviter, expected }: Offered): Promise<void> {
  const root = commits.find(({ oid }) => oid === id)
  const first = fromUtf8((await pack.read(id))?.data ?? new Uint8Array(0))
  const { mode, invited } = readInitial(parseBody(first.slice(first.indexOf('\n\n') + 2)))
  const refuse = (why: string) => new JamiError('ERR_NOT_MEMBER', `conversation ${id}: ${why}`, { details: { conversation: id } })
  if (mode !== expected && (expected === 0 || mode === 4)) throw refuse(`got mode ${mode}, allowed ${expected}`)
  const between = [root?.author, invited].sort().join(' and ')
  if (mode === 0 && between !== [inviter, me].sort().join(' and ')) throw refuse(`got one between ${between}, allowed between ${inviter} and us`)
  const members = new Members(pack)
  await members.refresh(commits.find(({ oid }) => oid === head)?.tree ?? '', [])
  const has = (uri: AccountUri, ...allowed: MemberRole[]) => !members.isBanned(uri) && allowed.includes(members.roleOf(uri) ?? 'left')
  if (!has(me, 'admin', 'member', 'invited')) throw refuse('we are not invited')
  if (mode !== 0 && inviter !== me && !has(inviter, 'admin', 'member')) throw refuse(`${inviter}, who invited us, is not a member`)
}
