// Entries of a conversation as messages for programs. What a peer wrote is shown as it is, or not at all; nothing is dropped.
// docs/protocol/04 §1.6. Proof: node/jami-node.test.ts.
import { showing } from '../base/inspect.ts'
import { fileAnnouncementOf, fileIdOf, plainName } from '../codec/file-announcement.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { MessageId } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'
import type { Contact, Conversation, EventMessage, FileMessage, Message, PeerLike, SendOptions, TextMessage } from './api.ts'

const EVENT_TYPES = new Map<string, EventMessage['type']>([
  ['initial', 'initial'], ['member', 'member'], ['merge', 'merge'], ['application/update-profile', 'profile'], ['vote', 'vote'],
  ['application/call-history+json', 'call'],
])

export interface MessageEnv {
  readonly conversation: Conversation
  readonly author: Contact
  readonly own: boolean
  readonly reply: (text: string, options?: Omit<SendOptions, 'replyTo'>) => Promise<TextMessage>
  readonly download: FileMessage['download']
  readonly delivered: (options?: { to?: PeerLike; status?: 'sent' | 'displayed' } & Op) => Promise<void>
}

export function messageOf(entry: ConversationEntry, env: MessageEnv): Message {
  const replyTo = entry.fields['reply-to']
  const base = {
    id: entry.id,
    conversation: env.conversation,
    from: entry.author,
    author: env.author,
    device: entry.device,
    own: env.own,
    sentAt: new Date(entry.timeMs),
    cut: entry.cut ?? false,
    replyTo: replyTo !== undefined && /^[0-9a-f]{40}$/.test(replyTo) ? (replyTo as MessageId) : undefined,
    reply: env.reply,
    delivered: env.delivered,
  }
  const event = EVENT_TYPES.get(entry.type)
  const show = <T extends Message>(message: T): T => showing(message, 'Message', () => ({
    id: message.id, type: message.type, from: message.from, name: message.author.displayName, sentAt: message.sentAt.toISOString(), ...(message.type === 'text' ? { text: message.text } : {}),
  }))
  if (event) return show({ ...base, type: event, fields: entry.fields })
  if (entry.type === 'text/plain' && !('edit' in entry.fields) && !('react-to' in entry.fields)) return show({ ...base, type: 'text', text: entry.fields.body ?? '' })
  const file = fileAnnouncementOf(entry)
  if (file) return show({ ...base, type: 'file', fileId: fileIdOf(entry.id, file), name: plainName(file.displayName), sizeBytes: file.sizeBytes, sha3: file.sha3, download: env.download })
  return show({ ...base, type: 'unknown', wireType: entry.type, fields: entry.fields })
}
