// What people see of a history that is a list in memory: the plain definition, read from the beginning each time. Part of
// fake-conversations.ts. docs/protocol/04 §5.10. Proof: testing/fake-conversations.test.ts with testing/suites/conversation-messages.ts.
import { JamiError } from '../base/errors.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { AccountUri, MessageId } from '../contracts/ids.ts'
import type { MessageEdition, MessageQuery, MessageReaction, MessageView } from '../contracts/messages.ts'

const FILE = 'application/data-transfer+json'
const HIDDEN: ReadonlySet<string> = new Set(['merge', 'vote', 'application/edited-message'])
const EVENTS: ReadonlySet<string> = new Set(['initial', 'member', 'application/update-profile'])

interface Draft {
  readonly entry: ConversationEntry
  body: string | undefined
  tid: string | undefined
  deleted: boolean
  readonly editions: MessageEdition[]
  editedMs: number | undefined
  /** What brought the text that stands. */
  newest: { readonly id: MessageId; readonly timeMs: number }
  reactions: MessageReaction[]
}

/** Messages as they stand, in the order of the history; and the message that each commit belongs to. @param history oldest first */
export function viewsOf(history: readonly ConversationEntry[]): { views: MessageView[]; rootOf: Map<MessageId, MessageId> } {
  const drafts = new Map<MessageId, Draft>() // bounded by the test, as the others
  const reactions = new Map<MessageId, MessageId>()
  const rootOf = new Map<MessageId, MessageId>()
  for (const entry of history) {
    const { id, fields, type, parents } = entry
    if (parents.length > 1) continue
    const target = (fields['react-to'] || fields.edit) as MessageId | undefined
    if (!target) {
      if (HIDDEN.has(type)) continue
      drafts.set(id, { entry, body: fields.body, tid: fields.tid, deleted: false, editions: [], editedMs: undefined, newest: entry, reactions: [] })
      rootOf.set(id, id)
      continue
    }
    const root = rootOf.get(target)
    const draft = root && drafts.get(root)
    if (!draft) continue
    rootOf.set(id, root)
    if (fields['react-to']) {
      if (target !== root || !fields.body) continue
      reactions.set(id, root)
      draft.reactions.push({ id, author: entry.author, body: fields.body, timeMs: entry.timeMs })
    } else if (reactions.has(target)) draft.reactions = draft.reactions.flatMap((reaction) => (reaction.id !== target ? reaction : fields.body ? { ...reaction, body: fields.body } : []))
    else if (target === root) edit(draft, entry)
  }
  const views = [...drafts.values()].map(({ entry, body, tid, deleted, editions, editedMs, reactions: list }): MessageView => ({
    entry, fields: { ...entry.fields, ...(body === undefined ? {} : { body }), ...(tid === undefined ? {} : { tid }) }, deleted, editions, editedMs, reactions: list,
  }))
  return { views, rootOf }
}

function edit(draft: Draft, { id, fields, timeMs }: ConversationEntry): void {
  draft.editedMs = timeMs
  if (draft.entry.type === FILE) draft.tid = fields.tid ?? ''
  else {
    draft.editions.unshift({ id: draft.newest.id, timeMs: draft.newest.timeMs, body: draft.body ?? '' })
    draft.body = fields.body ?? ''
  }
  draft.newest = { id, timeMs }
  draft.deleted = (draft.entry.type === FILE ? draft.tid : draft.body) === ''
  if (draft.deleted) draft.reactions = []
}

/** How many messages of others came after what we wrote or read last. @param read what we read last */
export function unreadIn(history: readonly ConversationEntry[], own: AccountUri, read: MessageId | undefined): number {
  let count = 0
  for (const { id, author, type, fields, parents } of history) {
    const written = parents.length <= 1 && !EVENTS.has(type) && !HIDDEN.has(type)
    if (author !== own && written && !fields.edit && !fields['react-to']) count++
    if (id === read || (author === own && written)) count = 0
  }
  return count
}

/** By the letter of the contract, but that words are split at spaces. */
export function matches(view: MessageView, { text, author, type, afterMs, beforeMs }: MessageQuery): boolean {
  const { entry, fields, deleted } = view
  const body = entry.type === FILE ? (fields.displayName ?? '') : (fields.body ?? '')
  if (text instanceof RegExp && text.source.length > 1000) throw new JamiError('ERR_ARGUMENT', 'text: got a long pattern')
  const holds = text === undefined || (!deleted && !EVENTS.has(entry.type) && (text instanceof RegExp ? new RegExp(text.source, text.flags.replace(/[gy]/g, '')).test(body) : hasWords(body, text)))
  return holds && (author === undefined || entry.author === author) && (type === undefined || entry.type === type) && entry.timeMs >= (afterMs ?? 0) && entry.timeMs < (beforeMs ?? Number.POSITIVE_INFINITY)
}

function hasWords(body: string, text: string): boolean {
  const words = body.toLowerCase().split(/[^\p{L}\p{N}]+/u)
  const wanted = text.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean)
  return text.trim() === '' || (wanted.length > 0 && wanted.every((one) => words.some((word) => word.startsWith(one))))
}
