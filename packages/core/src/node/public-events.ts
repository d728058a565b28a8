// What an entry of somebody else is to programs: the event that tells it, with the message it changes as it stands now. Proof:
// node/public-events.test.ts.
import { FILE_TYPE } from '../codec/file-announcement.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { Conversations } from '../contracts/conversations.ts'
import type { AccountUri } from '../contracts/ids.ts'
import type { MessageView } from '../contracts/messages.ts'
import type { AccountEvents, Conversation, Message } from './api.ts'
import { plainView } from './public-message.ts'

/** Events of the timeline. */
export type TimelineEvents = Pick<AccountEvents, 'message' | 'message:edited' | 'message:deleted' | 'reaction' | 'member'>
export const TIMELINE_EVENTS: Readonly<Record<keyof TimelineEvents, true>> = { message: true, 'message:edited': true, 'message:deleted': true, reaction: true, member: true }
/** One of them. */
export type Told = { [K in keyof TimelineEvents]: { readonly event: K; readonly payload: TimelineEvents[K] } }[keyof TimelineEvents]

const MEMBER_ACTIONS: Readonly<Record<string, AccountEvents['member']['action']>> = { add: 'invited', join: 'joined', remove: 'left', ban: 'banned', unban: 'unbanned' }
/** Told as messages; other kinds of events are only part of the history. */
const MESSAGES: ReadonlySet<Message['type']> = new Set(['text', 'file', 'document', 'unknown'])
const SILENT: ReadonlySet<string> = new Set(['merge', 'vote', 'application/edited-message'])

export interface EventsEnv {
  readonly conversations: Pick<Conversations, 'message' | 'entry'>
  readonly conversation: Conversation
  readonly show: (view: MessageView) => Message
}

/** Undefined: nothing that programs are told. */
export async function eventOf(entry: ConversationEntry, env: EventsEnv): Promise<Told | undefined> {
  const { fields, type } = entry
  if (entry.parents.length > 1) return undefined
  if (fields['react-to']) return reaction(entry, env)
  if (fields.edit) return change(entry, fields.edit, env)
  if (SILENT.has(type)) return undefined
  if (type === 'member') {
    const action = MEMBER_ACTIONS[fields.action ?? '']
    return action && { event: 'member', payload: { conversation: env.conversation, uri: (fields.uri ?? '') as AccountUri, action } }
  }
  const message = env.show(plainView(entry))
  if (!MESSAGES.has(message.type)) return undefined
  const view = await env.conversations.message(entry.conversation, entry.id)
  return { event: 'message', payload: view?.entry.id === entry.id ? env.show(view) : message }
}

/** The message that an entry belongs to; undefined when it belongs to none. */
async function rootOf(entry: ConversationEntry, { conversations }: EventsEnv): Promise<MessageView | undefined> {
  const view = await conversations.message(entry.conversation, entry.id)
  return view?.entry.id === entry.id ? undefined : view
}

async function reaction(entry: ConversationEntry, env: EventsEnv): Promise<Told | undefined> {
  const view = await rootOf(entry, env)
  if (!view || !entry.fields.body) return undefined
  return { event: 'reaction', payload: { message: env.show(view), emoji: entry.fields.body, from: entry.author, removed: false } }
}

async function change(entry: ConversationEntry, target: string, env: EventsEnv): Promise<Told | undefined> {
  const view = await rootOf(entry, env)
  if (!view) return undefined
  const { body = '', tid = '' } = entry.fields
  if (target !== view.entry.id) {
    const changed = await env.conversations.entry(entry.conversation, target as typeof entry.id)
    if (!changed?.fields['react-to']) return undefined
    const removed = body === ''
    return { event: 'reaction', payload: { message: env.show(view), emoji: removed ? (changed.fields.body ?? '') : body, from: entry.author, removed } }
  }
  const message = env.show(view)
  if ((view.entry.type === FILE_TYPE ? tid : body) === '') return { event: 'message:deleted', payload: { message } }
  const at = view.editions.findIndex(({ id }) => id === entry.id) // -1: it is the newest one
  return { event: 'message:edited', payload: { message, previous: view.editions[at + 1]?.body ?? '' } }
}
