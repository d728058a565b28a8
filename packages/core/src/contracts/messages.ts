// What people see of a history: messages with their edits and reactions, paged and searched, and how many are unread. Types only. Part of
// the Conversations contract. Source: docs/protocol/04-swarm.md §1.6, §5.10.
import type { ConversationEntry } from './entry.ts'
import type { AccountUri, ConversationId, MessageId } from './ids.ts'
import type { Op } from './service.ts'

/** A reaction to a message; taken back ones are left out. */
export interface MessageReaction {
  /** The commit, by which its author takes it back (an edit with an empty body). */
  readonly id: MessageId
  /** Who reacted. */
  readonly author: AccountUri
  /** An emoji, or any short text. */
  readonly body: string
  /** Committer time, Unix milliseconds. */
  readonly timeMs: number
}

/** A former text of a message. */
export interface MessageEdition {
  /** The commit that brought it: the message itself, or an edit. */
  readonly id: MessageId
  /** Committer time of that, Unix milliseconds. */
  readonly timeMs: number
  /** What it said. */
  readonly body: string
}

/** A message as it stands now. */
export interface MessageView {
  /** The commit that began it. */
  readonly entry: ConversationEntry
  /** Its fields with the newest text; of a deleted one, `body` and `tid` are empty. */
  readonly fields: Readonly<Record<string, string>>
  /** Its author has taken it back. */
  readonly deleted: boolean
  /** Former texts, newest first; at most 100. */
  readonly editions: readonly MessageEdition[]
  /** Time of the newest edit; undefined when there is none. */
  readonly editedMs: number | undefined
  /** In the order of the history; at most 1,000. */
  readonly reactions: readonly MessageReaction[]
}

/** What to look for; everything given must hold. */
export interface MessageQuery extends Op {
  /** Words of the text or the file's name, in any order, each as the beginning of a word, without regard to case; or a pattern, run under limits of length and time. */
  readonly text?: string | RegExp
  /** Whose. */
  readonly author?: AccountUri
  /** Wire type, such as `text/plain`. */
  readonly type?: string
  /** Not before this time, Unix milliseconds. */
  readonly afterMs?: number
  /** Before this time, Unix milliseconds. */
  readonly beforeMs?: number
  /** Ends after so many. */
  readonly limit?: number
}

/** Part of `Conversations`. Methods that name a conversation reject with ERR_NOT_FOUND when there is none. */
export interface ConversationMessages {
  /** A message as it stands; of an edit or a reaction, the message that it belongs to. Undefined when it is not here. */
  message(id: ConversationId, message: MessageId): Promise<MessageView | undefined>
  /** What people see: the linearised history without merges, votes, edits and reactions, which are part of what they change (spec 04 §5.10). Newest first unless `order` says otherwise. */
  messages(id: ConversationId, options?: { before?: MessageId; after?: MessageId; order?: 'newest' | 'oldest'; limit?: number }): AsyncIterable<MessageView>
  /** Newest first. Costs what the index gives, not the history; a pattern reads all texts that the other conditions leave, in slices. @throws ERR_LIMIT when the pattern takes too long, ERR_ABORTED, ERR_TIMEOUT */
  search(id: ConversationId, query: MessageQuery): AsyncIterable<MessageView>
  /** Messages of others after what we have read or written last. */
  unread(id: ConversationId): number
  /** How far a member has read. */
  lastRead(id: ConversationId, member: AccountUri): MessageId | undefined
}
