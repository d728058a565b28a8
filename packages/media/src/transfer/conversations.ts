// What file transfer asks of conversations, and nothing else: who is a member, what was announced, and how to announce. Types and one
// reader. docs/protocol/04 §7. Proof: transfer/serving.test.ts (roles).
import type { AccountUri, ConversationEntry, ConversationId, ConversationInfo, ConversationMember, Conversations, MemberRole, MessageId } from '@jamikit/core/contracts'

/** The part of the contract that is used. */
export type FileConversations = Pick<Conversations, 'append' | 'entry' | 'message' | 'onEntry' | 'onRemoved'> & {
  get(id: ConversationId): Pick<ConversationInfo, 'state'> | undefined
  members(id: ConversationId): readonly ConversationMember[]
  roleOf(id: ConversationId, account: AccountUri): MemberRole | undefined
}

/** Who may ask for files, and may have them: those who are in. */
export function holdersOf(conversations: FileConversations, id: ConversationId): AccountUri[] {
  return conversations.members(id).filter(({ role }) => isIn(role)).map(({ uri }) => uri)
}

/** @returns false for those who are invited, banned, gone, or never were members */
export function isHolder(conversations: FileConversations, id: ConversationId, account: AccountUri): boolean {
  const role = conversations.roleOf(id, account)
  return role !== undefined && isIn(role)
}

const isIn = (role: MemberRole) => role === 'admin' || role === 'member'

/** An announcement with where it stands. */
export type Entry = Pick<ConversationEntry, 'id' | 'author' | 'device' | 'type' | 'fields'> & { readonly id: MessageId }
