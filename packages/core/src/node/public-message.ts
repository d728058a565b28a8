// Messages of a conversation for programs, and what can be done with them. What a peer wrote is shown as it is, or not at all; nothing is
// dropped. docs/protocol/04 §1.6, §5.10. Proof: node/public-message.test.ts.
import { checkArgument, checkOptions, is, OP } from '../base/arguments.ts'
import { argumentError, JamiError } from '../base/errors.ts'
import { showing } from '../base/inspect.ts'
import { abandonable } from '../base/operation.ts'
import { FILE_TYPE, fileAnnouncementOf, fileIdOf, plainName } from '../codec/file-announcement.ts'
import { wellFormed } from '../codec/text.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { AccountUri, MessageId } from '../contracts/ids.ts'
import type { MessageView } from '../contracts/messages.ts'
import type { Op } from '../contracts/service.ts'
import type { Contact, Conversation, EventMessage, FileMessage, Message, PeerLike, SendOptions, TextMessage } from './api.ts'
import { MAX_EMOJI_LENGTH, MAX_KEY_LENGTH, MAX_TEXT_LENGTH } from './limits.ts'

const TEXT = is.text(1, MAX_TEXT_LENGTH)
const EMOJI = is.text(1, MAX_EMOJI_LENGTH)
export const REPLY = { ...OP, idempotencyKey: is.text(1, MAX_KEY_LENGTH) }
const DOCUMENT_TYPE = 'application/collab-doc+json'
const EVENT_TYPES = new Map<string, EventMessage['type']>([
  ['initial', 'initial'], ['member', 'member'], ['application/update-profile', 'profile'], ['application/call-history+json', 'call'], [DOCUMENT_TYPE, 'document'],
])
/** Kinds of messages on the wire. */
export const WIRE_TYPES: Readonly<Record<Exclude<Message['type'], 'unknown'>, string>> = {
  text: 'text/plain', file: FILE_TYPE, initial: 'initial', member: 'member', profile: 'application/update-profile', call: 'application/call-history+json', document: DOCUMENT_TYPE,
}

type Delivered = { to?: PeerLike; all?: boolean; status?: 'sent' | 'displayed' } & Op
type Body = { type: string; fields: Record<string, string> }

/** What a message asks of its conversation. */
export interface MessageEnv {
  readonly conversation: Conversation
  readonly author: Contact
  readonly ownUri: AccountUri
  readonly view: (message: MessageId) => Promise<MessageView | undefined>
  readonly append: (body: Body, signal: AbortSignal) => Promise<unknown>
  readonly statuses: (message: MessageId) => ReturnType<Message['statuses']>
  readonly delivered: (message: MessageId, options: Delivered | undefined) => Promise<void>
  /** Within the caller's limits, and until the account stops. */
  readonly within: <T>(op: Op | undefined, what: string, work: (signal: AbortSignal) => Promise<T>) => Promise<T>
  readonly download: FileMessage['download']
}

/** An entry as nobody has changed it. */
export const plainView = (entry: ConversationEntry): MessageView => ({ entry, fields: entry.fields, deleted: false, editions: [], editedMs: undefined, reactions: [] })

export function messageOf(view: MessageView, env: MessageEnv): Message {
  const { entry, fields } = view
  const { id, type } = entry
  const own = entry.author === env.ownUri
  const replyTo = fields['reply-to']
  const { within, append } = env
  /** An empty edit, by which its author takes something back. */
  const removal = (of: MessageId): Body => ({ type: 'text/plain', fields: { body: '', edit: of } })
  /** What its author took back stays so. */
  const standing = async (): Promise<MessageView | undefined> => {
    const now = await env.view(id)
    if (now?.deleted) throw new JamiError('ERR_NOT_FOUND', `message ${id} was taken back by its author`, { details: { message: id, conversation: env.conversation.id, deleted: true } })
    return now
  }
  const ownReactions = async (body: string) => (await env.view(id))?.reactions.filter((reaction) => reaction.author === env.ownUri && reaction.body === body) ?? []
  const base = {
    id,
    conversation: env.conversation,
    from: entry.author,
    author: env.author,
    device: entry.device,
    own,
    sentAt: new Date(entry.timeMs),
    cut: entry.cut ?? false,
    replyTo: replyTo !== undefined && /^[0-9a-f]{40}$/.test(replyTo) ? (replyTo as MessageId) : undefined,
    deleted: view.deleted,
    reactions: byEmoji(view),
    async reply(text: string, options?: Omit<SendOptions, 'replyTo'>): Promise<TextMessage> {
      checkArgument('text', text, TEXT)
      checkOptions(options, REPLY)
      return env.conversation.send(text, { ...options, replyTo: id })
    },
    async react(emoji: string, op?: Op): Promise<void> {
      checkArgument('emoji', emoji, EMOJI)
      checkOptions(op, OP)
      const body = wellFormed(emoji)
      await within(op, 'reacting', async (signal) => {
        await standing()
        if ((await ownReactions(body)).length === 0) await append({ type: 'text/plain', fields: { body, 'react-to': id } }, signal)
      })
    },
    async unreact(emoji: string, op?: Op): Promise<void> {
      checkArgument('emoji', emoji, EMOJI)
      checkOptions(op, OP)
      await within(op, 'taking a reaction back', async (signal) => {
        for (const reaction of await ownReactions(wellFormed(emoji))) await append(removal(reaction.id), signal)
      })
    },
    async delete(op?: Op): Promise<void> {
      checkOptions(op, OP)
      if (!own) throw argumentError('message', 'a message of somebody else', 'an own one')
      const body: Body | undefined = type === 'text/plain' ? removal(id) : type === FILE_TYPE ? { type, fields: { edit: id, tid: '' } } : type === DOCUMENT_TYPE ? { type, fields: { edit: id } } : undefined
      if (!body) throw argumentError('message', `a message of type ${type.slice(0, 80)}`, 'a text, a file or a document')
      await within(op, 'taking a message back', async (signal) => {
        if (!(await env.view(id))?.deleted) await append(body, signal)
      })
    },
    statuses: () => env.statuses(id),
    delivered: (options?: Delivered) => abandonable(env.delivered(id, options)),
  }
  const show = <T extends Message>(message: T): T => showing(message, 'Message', () => ({
    id, type: message.type, from: message.from, name: message.author.displayName, sentAt: message.sentAt.toISOString(), ...(message.type === 'text' ? { text: message.text } : {}),
  }))
  const changes = 'edit' in fields || 'react-to' in fields
  if (type === 'text/plain' && !changes) return show({
    ...base, type: 'text', text: fields.body ?? '', editedAt: view.editedMs === undefined ? undefined : new Date(view.editedMs),
    async edit(text: string, op?: Op): Promise<void> {
      checkArgument('text', text, TEXT)
      checkOptions(op, OP)
      if (!own) throw argumentError('message', 'a message of somebody else', 'an own one')
      await within(op, 'editing', async (signal) => {
        await standing()
        await append({ type: 'text/plain', fields: { body: wellFormed(text), edit: id } }, signal)
      })
    },
  } satisfies TextMessage)
  const file = changes ? undefined : fileAnnouncementOf(entry) // as announced: one that is deleted is a file still
  if (file) return show({ ...base, type: 'file', fileId: fileIdOf(id, file), name: plainName(file.displayName), sizeBytes: file.sizeBytes, sha3: file.sha3, download: env.download } satisfies FileMessage)
  const event = changes ? undefined : EVENT_TYPES.get(type)
  return event ? show({ ...base, type: event, fields }) : show({ ...base, type: 'unknown', wireType: type, fields })
}

function byEmoji({ reactions }: MessageView): ReadonlyMap<string, readonly AccountUri[]> {
  const out = new Map<string, AccountUri[]>() // bounded by the reactions of a view
  for (const { body, author } of reactions) {
    const who = out.get(body) ?? []
    out.set(body, who)
    if (!who.includes(author)) who.push(author)
  }
  return out
}
