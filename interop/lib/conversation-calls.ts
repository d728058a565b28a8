// What a node of interop/sdk-peer.ts does in conversations beyond texts: groups, members, edits, reactions, history as people see it.
import type { AccountUri, ConversationId, ConversationProfile, Conversations, MessageId, MessageView } from '@jamikit/core/contracts'
import type { SdkView } from './sdk.ts'

const viewOf = ({ entry, fields, deleted, editions, editedMs, reactions }: MessageView): SdkView => ({
  id: entry.id, type: entry.type, from: entry.author, timeS: Math.floor(entry.timeMs / 1000), fields, deleted, edited: editedMs !== undefined,
  editions: editions.map(({ id, body }) => ({ id, body })), reactions: reactions.map(({ id, author, body }) => ({ id, author, body })),
})

interface Card {
  readonly title?: string
  readonly description?: string
  /** Base64. */
  readonly avatar?: string
}

const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'))
const profileOf = ({ avatar, ...rest }: Card): ConversationProfile => ({ ...rest, ...(avatar !== undefined && { avatar: bytes(avatar) }) })

export function watchConversations(of: Conversations, signal: (name: string, ...args: unknown[]) => void): void {
  of.onInvitation(({ conversation, from, mode, profile: { title = '', description = '', avatar } }) =>
    signal('invitation', conversation, from, { mode, title, description, avatar: avatar === undefined ? '' : Buffer.from(avatar).toString('base64') }))
  of.onUpdated(({ conversation }) => signal('updated', conversation))
  of.onRemoved(({ conversation }) => signal('removed', conversation))
  of.onProblem(({ conversation, error }) => signal('problem', conversation, 'code' in error ? error.code : '', error.message))
  of.onEntry(({ entry, own }) => signal('entry', entry.conversation, { id: entry.id, type: entry.type, from: entry.author, own, fields: entry.fields }))
}

export function conversationCalls(get: () => Conversations): Readonly<Record<string, (...args: never[]) => unknown>> {
  const append = (conversation: string, type: string, fields: Record<string, string>) => get().append(conversation as ConversationId, { type, fields })
  return {
    'group.create': (profile: Card) => get().create({ mode: 2, profile: profileOf(profile) }),
    'group.invite': (conversation: string, uri: string) => get().invite(conversation as ConversationId, uri as AccountUri),
    'group.accept': (conversation: string) => {
      const invitation = get().invitations().find((one) => one.conversation === conversation)
      if (invitation === undefined) throw new Error(`no invitation to ${conversation}`)
      return get().accept(invitation)
    },
    'group.decline': (conversation: string) => get().decline(conversation as ConversationId),
    'group.ban': (conversation: string, uri: string) => get().ban(conversation as ConversationId, uri as AccountUri),
    'group.unban': (conversation: string, uri: string) => get().unban(conversation as ConversationId, uri as AccountUri),
    'group.leave': (conversation: string) => get().leave(conversation as ConversationId),
    'group.profile': async (conversation: string) => {
      const { avatar, ...rest } = await get().profile(conversation as ConversationId)
      return { ...rest, ...(avatar === undefined ? {} : { avatar: Buffer.from(avatar).toString('base64') }) }
    },
    'group.update': (conversation: string, change: Card) => get().updateProfile(conversation as ConversationId, profileOf(change)),
    'group.members': (conversation: string) => get().members(conversation as ConversationId),
    'group.remove': (conversation: string) => get().remove(conversation as ConversationId),
    conversations: () => get().list(),
    reply: (conversation: string, body: string, to: string) => append(conversation, 'text/plain', { body, 'reply-to': to }),
    edit: (conversation: string, message: string, body: string) => append(conversation, 'text/plain', { body, edit: message }),
    react: (conversation: string, message: string, body: string) => append(conversation, 'text/plain', { body, 'react-to': message }),
    displayed: (conversation: string, message: string) => get().markDisplayed(conversation as ConversationId, message as MessageId),
    status: (conversation: string, message: string, member: string) => get().statusOf(conversation as ConversationId, message as MessageId, member as AccountUri),
    sync: (conversation: string) => get().sync(conversation as ConversationId, { timeoutMs: 30_000 }),
    /** Newest first. */
    views: async (conversation: string) => {
      const all: SdkView[] = []
      for await (const view of get().messages(conversation as ConversationId)) all.push(viewOf(view))
      return all
    },
    search: async (conversation: string, query: { text?: string; author?: string; limit?: number }) => {
      const found: string[] = []
      for await (const view of get().search(conversation as ConversationId, query as Parameters<Conversations['search']>[1])) found.push(view.entry.id)
      return found
    },
    unread: (conversation: string) => get().unread(conversation as ConversationId),
  }
}
