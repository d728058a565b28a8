// Conversations as accounts, the public API and media use them. Types only. Real: @jamikit/swarm.
// Double: core/testing/fake-conversations.ts. Suite: testing/suites/conversations.ts. Source: docs/protocol/04-swarm.md.
import type { AccountUri, ConversationId, DeviceId, MessageId } from './ids.ts'
import type { Listen, Op, Service } from './service.ts'

/** 0 one-to-one, 2 invites only, 4 document (spec 04 §1.2). */
export type ConversationMode = 0 | 1 | 2 | 3 | 4
/** What a member may do: `invited` has not joined, `left` and `banned` are members no more. */
export type MemberRole = 'admin' | 'member' | 'invited' | 'banned' | 'left'

/** One commit, as shown to people: validated, author resolved to an account. */
export interface ConversationEntry {
  /** Git id of the commit. */
  readonly id: MessageId
  /** Where it stands. */
  readonly conversation: ConversationId
  /** What it builds on; two of a merge. */
  readonly parents: readonly MessageId[]
  /** Account of the device that signed it. */
  readonly author: AccountUri
  /** The device that signed it. */
  readonly device: DeviceId
  /** Committer time, Unix milliseconds (whole seconds on the wire). */
  readonly timeMs: number
  /** Wire type: `text/plain`, `member`, `initial`, `merge`, … ; unknown types are passed on. */
  readonly type: string
  /** The commit's JSON members as text (spec 04 §1.6), without `type`: well formed, ids are ids, unknown members few and short. */
  readonly fields: Readonly<Record<string, string>>
  /** Something of it was left out: a text above 65,536 characters was cut, or there were too many members. */
  readonly cut?: boolean
}

/** A conversation, as of the call. */
export interface ConversationInfo {
  /** Git id of its first commit. */
  readonly id: ConversationId
  /** Who may take part. */
  readonly mode: ConversationMode
  /** `cloning`: known (accepted), its repository not here yet. */
  readonly state: 'ready' | 'cloning'
  /** Of `refs/heads/main`; while cloning, those that are known. */
  readonly members: readonly { uri: AccountUri; role: MemberRole }[]
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
}

/** The conversations of one account. Methods that name a conversation reject with ERR_NOT_FOUND when there is none. */
export interface Conversations extends Service {
  /** All, also those that are being cloned. */
  list(): ConversationInfo[]
  /** Undefined when there is none. */
  get(id: ConversationId): ConversationInfo | undefined
  /** Creates the 1:1 conversation on disk: nothing is sent. */
  createOneToOne(peer: AccountUri): Promise<ConversationId>
  /** Accepts an invitation: clones from the inviter's devices in the background, retried with back-off, joins. Idempotent. */
  accept(id: ConversationId, from: AccountUri): Promise<void>
  /** Forgets a conversation and its repository. */
  remove(id: ConversationId): Promise<void>
  /** Signs and appends a commit, moves main, announces it. `key`: the same key again returns the first commit's id and writes nothing. */
  append(id: ConversationId, body: { type: string; fields: Record<string, string> }, options?: { key?: string } & Op): Promise<MessageId>
  /** Undefined when the commit is not here. */
  entry(id: ConversationId, message: MessageId): Promise<ConversationEntry | undefined>
  /** Linearised history (spec 04 §4.10), newest first unless `order` says otherwise. */
  history(id: ConversationId, options?: { before?: MessageId; after?: MessageId; order?: 'newest' | 'oldest'; limit?: number }): AsyncIterable<ConversationEntry>
  /** Entries not yet acknowledged by the application, in the order of arrival (parents first); survives restarts. Own entries never appear. */
  unacknowledged(id: ConversationId): AsyncIterable<ConversationEntry>
  /** Marks an entry, with all that it builds on, as handled by the application; durable when it resolves, several at once share a write. @throws ERR_NOT_FOUND, ERR_STORAGE_IO */
  acknowledge(id: ConversationId, message: MessageId): Promise<void>
  /** Status of a message for a member: undefined = not known to have it. */
  statusOf(id: ConversationId, message: MessageId, member: AccountUri): 'sent' | 'displayed' | undefined
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
