// Conversations as accounts, the public API and media use them: what there is, writing, raw history, what was handled, who has what. Types
// only. Members and life are in groups.ts, what people see in messages.ts. Real: @jamikit/swarm. Double: core/testing/fake-conversations.ts.
// Suite: testing/suites/conversations.ts. Source: docs/protocol/04-swarm.md.
import type { ConversationEntry } from './entry.ts'
import type { ConversationGroups, ConversationMode } from './groups.ts'
import type { AccountUri, ConversationId, MessageId } from './ids.ts'
import type { ConversationMessages } from './messages.ts'
import type { Listen, Op, Service } from './service.ts'

/** A conversation, as of the call. */
export interface ConversationInfo {
  /** Git id of its first commit. */
  readonly id: ConversationId
  /** Who may take part. */
  readonly mode: ConversationMode
  /** `cloning`: known (accepted), its repository not here yet. */
  readonly state: 'ready' | 'cloning'
  /** From its profile; a 1:1 and a group without one have none. */
  readonly title: string | undefined
  /** Commit id of refs/heads/main; undefined while cloning. */
  readonly head: MessageId | undefined
}

/** What a member's devices are known to have (spec 04 §5.6). `sent` = some device fetched it, `displayed` = read. */
export interface MessageStatusEvent {
  /** Where. */
  readonly conversation: ConversationId
  /** Up to which commit; those before it are covered. */
  readonly message: MessageId
  /** Whose devices. */
  readonly member: AccountUri
  /** A member that has displayed a message has it. */
  readonly status: 'sent' | 'displayed'
  /** When that became known here, Unix milliseconds. */
  readonly atMs: number
}

/** The conversations of one account. Methods that name a conversation reject with ERR_NOT_FOUND when there is none. */
export interface Conversations extends Service, ConversationGroups, ConversationMessages {
  /** All, also those that are being cloned. */
  list(): ConversationInfo[]
  /** Undefined when there is none. */
  get(id: ConversationId): ConversationInfo | undefined
  /**
   * Signs and appends a commit, moves main, announces it. `key`: the same key again returns the first commit's id and writes nothing.
   * What `reply-to`, `react-to` and `edit` name must be here, and what is edited our own and of a type that can be (spec 04 §3.5.8).
   * @throws ERR_NOT_FOUND, ERR_NOT_MEMBER, ERR_ARGUMENT, ERR_LIMIT, ERR_STORAGE_IO: then nothing was written, and the same key writes it
   */
  append(id: ConversationId, body: { type: string; fields: Record<string, string> }, options?: { key?: string } & Op): Promise<MessageId>
  /** Undefined when the commit is not here. */
  entry(id: ConversationId, message: MessageId): Promise<ConversationEntry | undefined>
  /** Every commit of the linearised history (spec 04 §4.10), newest first unless `order` says otherwise. */
  history(id: ConversationId, options?: { before?: MessageId; after?: MessageId; order?: 'newest' | 'oldest'; limit?: number }): AsyncIterable<ConversationEntry>
  /** Entries not yet acknowledged by the application, in the order of arrival (parents first); survives restarts. Own entries never appear. */
  unacknowledged(id: ConversationId): AsyncIterable<ConversationEntry>
  /** Marks an entry, with all that it builds on, as handled by the application; durable when it resolves, several at once share a write. @throws ERR_NOT_FOUND, ERR_STORAGE_IO */
  acknowledge(id: ConversationId, message: MessageId): Promise<void>
  /** Status of a message for a member: undefined = not known to have it. */
  statusOf(id: ConversationId, message: MessageId, member: AccountUri): { readonly status: 'sent' | 'displayed'; readonly atMs: number } | undefined
  /** Tells members we have read up to a message (spec 04 §5.6). */
  markDisplayed(id: ConversationId, message: MessageId): Promise<void>
  /** Announces that we are (not) typing to connected devices (spec 04 §5.8). */
  setTyping(id: ConversationId, active: boolean): void
  /** Fetches now from every reachable device of the members. */
  sync(id: ConversationId, op?: Op): Promise<void>
  /** Writes an ordinary bare git repository that passes `git fsck --strict`. */
  exportTo(id: ConversationId, directory: string): Promise<void>
  /** New entries after validation, parents first, own ones too. */
  readonly onEntry: Listen<{ entry: ConversationEntry; own: boolean }>
  /** The history of an accepted conversation is here. */
  readonly onReady: Listen<{ conversation: ConversationId }>
  /** It was forgotten here. */
  readonly onRemoved: Listen<{ conversation: ConversationId }>
  /** A member is known to have, or to have seen, more than before. */
  readonly onStatus: Listen<MessageStatusEvent>
  /** A member began or stopped typing. */
  readonly onTyping: Listen<{ conversation: ConversationId; from: AccountUri; active: boolean }>
  /** Something is wrong with a conversation that nobody waits for: our disk, what is kept, a history of a peer that was refused. */
  readonly onProblem: Listen<{ conversation: ConversationId; error: Error }>
}
