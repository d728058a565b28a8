// Who takes part in a conversation, and its life: made, invited to, joined, left, its profile and preferences. Types only. Part of the
// Conversations contract. Source: docs/protocol/04-swarm.md §1.2, §2, §5.2–5.7, §8.
import type { AccountUri, ConversationId } from './ids.ts'
import type { Listen } from './service.ts'

/** 0 one-to-one, 2 invites only, 4 document (spec 04 §1.2). 1 and 3 are read as 2. */
export type ConversationMode = 0 | 1 | 2 | 3 | 4
/** What a member may do: `invited` has not joined, `left` and `banned` are members no more. */
export type MemberRole = 'admin' | 'member' | 'invited' | 'banned' | 'left'

/** One of those who take part, or did. */
export interface ConversationMember {
  /** The account. */
  readonly uri: AccountUri
  /** By the tree of main. */
  readonly role: MemberRole
}

/** What a conversation calls itself (spec 04 §2.1). */
export interface ConversationProfile {
  /** One line, at most 1,000 characters. */
  readonly title?: string
  /** One line, at most 10,000 characters. */
  readonly description?: string
  /** A picture, as its file; we write at most 64 KiB, others may have written more. */
  readonly avatar?: Uint8Array
}

/** Somebody wants us in a conversation (spec 04 §5.2). Kept until it is accepted, declined or withdrawn. */
export interface ConversationInvitation {
  /** Which. */
  readonly conversation: ConversationId
  /** The verified account that invited us. */
  readonly from: AccountUri
  /** As the inviter says: the clone shows whether it is true. */
  readonly mode: ConversationMode
  /** When we were invited, Unix milliseconds; never in the future. */
  readonly receivedMs: number
  /** As the inviter says. */
  readonly profile: ConversationProfile
}

/** Part of `Conversations`. Methods that name a conversation reject with ERR_NOT_FOUND when there is none. */
export interface ConversationGroups {
  /** A new conversation, on disk when it resolves; nothing is sent. A 1:1 names the other person; a group begins with us alone. */
  create(options: { mode: 0; peer: AccountUri } | { mode: 2; profile?: ConversationProfile }): Promise<ConversationId>
  /** By the tree of main, in the order of roles; of a conversation that is being cloned, those that are known. Empty when there is none. The same array until they change. */
  members(id: ConversationId): readonly ConversationMember[]
  /** Of one account, without looking at all. */
  roleOf(id: ConversationId, account: AccountUri): MemberRole | undefined
  /** True when we and the account are members of one conversation, or one of us is invited: then links are allowed between contacts and others alike. */
  shares(account: AccountUri): boolean
  /** Invitations that wait for an answer. */
  invitations(): readonly ConversationInvitation[]
  /** Clones from the inviter's devices in the background, retried with back-off, then joins. Idempotent; durable when it resolves. */
  accept(invitation: { readonly conversation: ConversationId; readonly from: AccountUri; /** 0 unless it is said otherwise. */ readonly mode?: ConversationMode }): Promise<void>
  /** Forgets the invitation; only a later one is heard again. @throws ERR_NOT_FOUND */
  decline(id: ConversationId): Promise<void>
  /** Adds an account as invited and invites it; again for one that has not joined: only invites. Of a banned one by an admin: takes the ban back. @throws ERR_NOT_MEMBER, ERR_NOT_ADMIN, ERR_ARGUMENT (a third person in a 1:1) */
  invite(id: ConversationId, account: AccountUri): Promise<void>
  /** Votes for a ban, and bans when more than half of the admins did (spec 04 §3.5.5). @throws ERR_NOT_ADMIN, ERR_NOT_FOUND, ERR_ARGUMENT (oneself) */
  ban(id: ConversationId, account: AccountUri): Promise<void>
  /** Votes for taking a ban back, and does when more than half of the admins did. @throws as ban() */
  unban(id: ConversationId, account: AccountUri): Promise<void>
  /**
   * Leaves: writes it, forgets the conversation at once for the program, keeps serving its history until a device of another member has
   * fetched it, then erases it (spec 04 §8.1).
   */
  leave(id: ConversationId): Promise<void>
  /** Forgets a conversation and its repository; nobody is told. */
  remove(id: ConversationId): Promise<void>
  /** Of main; empty when it has none. Of what others wrote, texts are cut at their bounds. */
  profile(id: ConversationId): Promise<ConversationProfile>
  /** Changes what is given; `null` takes it away. @throws ERR_NOT_ADMIN, ERR_ARGUMENT, ERR_LIMIT */
  updateProfile(id: ConversationId, change: { readonly [K in keyof ConversationProfile]?: ConversationProfile[K] | null }): Promise<void>
  /** Private to this account (spec 04 §5.7). */
  preferences(id: ConversationId): Readonly<Record<string, string>>
  /** Replaces all of them: at most 100, keys up to 100 and values up to 1,000 characters. Durable when it resolves. @throws ERR_LIMIT */
  setPreferences(id: ConversationId, preferences: Readonly<Record<string, string>>): Promise<void>
  /** An invitation came, or a newer one for the same conversation. */
  readonly onInvitation: Listen<ConversationInvitation>
  /** Title, description, avatar or preferences are not what they were. */
  readonly onUpdated: Listen<{ conversation: ConversationId }>
}
