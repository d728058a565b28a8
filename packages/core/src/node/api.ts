// The public surface: accounts and what is in them. Types only; implementations are beside this file. Arguments are checked at the call:
// ERR_ARGUMENT with field, got and allowed, thrown by methods that give no promise, as a rejection by those that do.
// Units: *Ms milliseconds, *Bytes bytes, instants Date, ids lower-case hex, binary Uint8Array. Every waiting method takes
// { signal, timeoutMs } and rejects with ERR_ABORTED or ERR_TIMEOUT.
import type { PresenceState } from '../contracts/account.ts'
import type { ConversationProfile, MemberRole } from '../contracts/groups.ts'
import type { AccountUri, ConversationId, DeviceId, MessageId } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'
import type { DownloadOptions, Files, FileSource, SendFileOptions, Transfer, TransferNews } from './api-files.ts'
import type { Channels, Contact, Emitter, PeerLike } from './api-peer.ts'

export type { Channel, Channels, Contact, Emitter, Peer, PeerLike } from './api-peer.ts'

/** How an account begins. */
export interface AccountInit extends Op {
  /** Up to 1,000 characters. `open()` of an account that is there already sets it: leave it out when people may change it. */
  displayName?: string
  /** Encrypts the account archive of a new account with a password. The key of this device is not in it: see `encryptionKey`. */
  password?: string
}

/**
 * The accounts of a profile, by label; also a loop over them. Everything here rejects with ERR_CLOSED once the node is closed.
 *
 * @example const account = await node.accounts.open('bot', { displayName: 'Bot' })
 */
export interface Accounts extends AsyncIterable<Account> {
  /** All that have started, in no promised order. */
  list(): Account[]
  /** @throws ERR_NOT_FOUND */
  get(label: string): Account
  /** A new account: three RSA keys, some seconds of another thread's time. @throws ERR_ARGUMENT when the label is taken, ERR_LIMIT above 1,000 accounts */
  create(options?: AccountInit & { label?: string }): Promise<Account>
  /** The account with this label (1 to 100 characters), created on first use. One that could not start is tried again. */
  open(label: string, options?: AccountInit): Promise<Account>
  /**
   * An account from an archive made here or by a Jami client; this node becomes a new device of it.
   * @throws ERR_PASSWORD, ERR_ARCHIVE_INVALID, ERR_ARGUMENT when the account is here already
   * @example const account = await node.accounts.import(await readFile('bot.gz'), { archivePassword: 'correct horse battery staple', label: 'bot' })
   */
  import(archive: Uint8Array, options?: { archivePassword?: string; label?: string } & AccountInit): Promise<Account>
  /** Stops an account and deletes everything kept about it. */
  remove(account: Account, op?: Op): Promise<void>
}

/**
 * Events of an account. What happens in conversations by others is one timeline, in the order of arrival within a conversation: `message`,
 * `message:edited`, `message:deleted`, `reaction` and `member`. It moves while the program listens to `message`, or reads any of the five
 * with `events()`: at least once, also what happened while the program was down. Something counts as handled when all listeners have settled
 * and all loops have asked for the next one, or when nobody listens to it; after a crash before that it comes again. Without a listener of
 * `message` and without a loop, the other four are told as they happen, once, and messages wait.
 */
export interface AccountEvents {
  /** A message of somebody else, as it stands now, also one that arrived while this program was down. */
  message: Message
  /** Its author changed it. `previous`: what it said before this change. */
  'message:edited': { message: Message; previous: string }
  /** Its author took it back. */
  'message:deleted': { message: Message }
  /** Somebody reacted to a message, or took that back. */
  reaction: { message: Message; emoji: string; from: AccountUri; removed: boolean }
  /** Somebody else changed the members of a conversation. */
  member: { conversation: Conversation; uri: AccountUri; action: 'invited' | 'joined' | 'left' | 'banned' | 'unbanned' }
  /** A member is known to have a message (`sent`: a device of theirs fetched it) or to have seen it (`displayed`), since `at`. */
  'message:status': { messageId: MessageId; conversation: Conversation; member: AccountUri; status: 'sent' | 'displayed'; at: Date }
  /** Somebody began or stopped typing. */
  typing: { conversation: Conversation; from: AccountUri; active: boolean }
  /** Somebody wants us in a conversation. Comes again at the next start while neither accepted nor declined. */
  invite: Invite
  /** Somebody wants to be a contact. Comes again at the next start while neither accepted nor declined. */
  'contact:request': ContactRequest
  /** The list of contacts changed, here or by the answer of a peer (`confirmed`). */
  contact: { contact: Contact; action: 'added' | 'confirmed' | 'removed' | 'banned' }
  /** The history of a conversation is here, its title, description, picture or preferences changed, or it is gone. */
  conversation: { conversation: Conversation; action: 'ready' | 'updated' | 'removed' }
  /** A contact appeared, disappeared, or has a link to us. */
  presence: { uri: AccountUri; state: PresenceState }
  /** Our own presence on the DHT. */
  online: { online: boolean }
  /** A file is on its way, asked for or by itself: when it begins, as it goes on, and when it is over. */
  transfer: TransferNews<FileMessage>
}

export interface Account extends Emitter<AccountEvents>, AsyncDisposable {
  /** The account's id; `jami:` before it makes a link of it. */
  readonly uri: AccountUri
  /** This device of it. */
  readonly deviceId: DeviceId
  /** Its name in this profile; nobody else sees it. */
  readonly label: string
  /** True while the device is announced on the DHT. */
  readonly online: boolean
  /** Contacts, bans and requests. */
  readonly contacts: Contacts
  /** Conversations that it takes part in. */
  readonly conversations: ConversationList
  /** Files on their way, and which of them come. */
  readonly files: Files<FileMessage>
  /** Protocols of your own that it serves. */
  readonly channels: Channels
  /** Whether a peer is there: known for contacts, `offline` for everybody else. */
  readonly presence: { get(peer: PeerLike): PresenceState }
  /** The display name: `set()` takes up to 1,000 characters, empty for none. It travels with contact requests only. */
  readonly profile: { readonly displayName: string; set(profile: { displayName: string }, op?: Op): Promise<void> }
  /** The account archive, for a Jami client or another node. With `password` it is encrypted. @throws ERR_PASSWORD when the stored one is locked and `currentPassword` does not open it */
  export(options?: { password?: string; currentPassword?: string } & Op): Promise<Uint8Array>
  /** Resolves when the device is announced on the DHT. */
  ready(op?: Op): Promise<void>
}

/** Somebody who is no contact yet and wants to be one. */
export interface ContactRequest {
  /** Who asks. */
  readonly from: Contact
  /** When it came here. */
  readonly receivedAt: Date
  /** Becomes a contact; resolves with the conversation once its history is here. */
  accept(op?: Op): Promise<Conversation>
  /** Forgets the request; the other side is not told. With `ban`, it is not heard again. */
  decline(options?: { ban?: boolean } & Op): Promise<void>
}

/** The contacts of an account, banned ones included. */
export interface Contacts {
  /** All of them. */
  list(): Contact[]
  /** @throws ERR_NOT_FOUND when the peer is neither a contact nor banned */
  get(peer: PeerLike): Contact
  /** Requests neither accepted nor declined. */
  requests(): ContactRequest[]
  /** Makes the 1:1 conversation and sends a contact request, again whenever a device of theirs appears until they answer. */
  add(peer: PeerLike, op?: Op): Promise<Conversation>
  /** No contact any more; links are closed. The conversation goes with it, unless `ban` keeps the peer out: then it stays. */
  remove(peer: PeerLike, options?: { ban?: boolean } & Op): Promise<void>
  /** Takes a ban back and makes it a contact again. */
  unban(peer: PeerLike, op?: Op): Promise<void>
}

/** Somebody wants us in a conversation. */
export interface Invite {
  /** Its id. */
  readonly conversation: ConversationId
  /** Who invites; cannot be forged. */
  readonly from: Contact
  /** As the inviter says; undefined when it has none. */
  readonly title: string | undefined
  /** As the inviter says. */
  readonly description: string | undefined
  /** When it came here. */
  readonly receivedAt: Date
  /** Joins; resolves with the conversation once its history is here. */
  accept(op?: Op): Promise<Conversation>
  /** Forgets the invitation; nobody is told. */
  decline(op?: Op): Promise<void>
}

/** What a group calls itself. */
export interface GroupInfo {
  /** One line, up to 1,000 characters. */
  title?: string
  /** One line, up to 10,000 characters. */
  description?: string
  /** A picture, as its file: up to 64 KiB. */
  avatar?: Uint8Array
}

/** The conversations of an account; also a loop over them. */
export interface ConversationList extends AsyncIterable<Conversation> {
  /** All of them, also those that are still being fetched. */
  list(): Conversation[]
  /** @throws ERR_NOT_FOUND */
  get(id: string): Conversation
  /** The 1:1 with a peer; made, and the contact requested, when there is none. */
  with(peer: PeerLike, op?: Op): Promise<Conversation>
  /**
   * A new group, with us as its admin; `members` (up to 500) are invited. An invitation reaches who takes links from us: contacts, and members of a conversation that we share.
   * @example const group = await account.conversations.create({ title: 'Team', members: [contact] })
   */
  create(options?: GroupInfo & { members?: readonly PeerLike[] } & Op): Promise<Conversation>
  /** Invitations neither accepted nor declined. */
  invites(): Invite[]
}

/** What may go with a message. */
export interface SendOptions extends Op {
  /** Id of a message that is in the history. */
  replyTo?: string
  /**
   * The same key again, also after a restart, sends nothing and gives the first message; with another text it does so, too, and warns.
   * 1 to 200 characters.
   */
  idempotencyKey?: string
}

/** Which part of a history; ids of messages as bounds, themselves left out. Without options: everything that people see, newest first. */
export interface HistoryOptions extends Op {
  /** Ids of messages. */
  before?: string
  /** Only what is newer than this message. */
  after?: string
  /** Which end comes first; default `newest`. */
  order?: 'newest' | 'oldest'
  /** Ends after so many. */
  limit?: number
}

/** What to look for; everything given must hold. */
export interface SearchOptions extends Op {
  /** Words of a text or a file's name, in any order, each as the beginning of a word, without regard to case. Or a pattern, which may run for 2 s. */
  text?: string | RegExp
  /** Who wrote it. */
  from?: PeerLike
  /** Kind of message. */
  type?: Exclude<Message['type'], 'unknown'>
  /** Not before this time. */
  after?: Date
  /** Before this time. */
  before?: Date
  /** Ends after so many. */
  limit?: number
}

/** One of those who take part in a conversation, or did. */
export interface ConversationMemberInfo {
  /** The account. */
  readonly uri: AccountUri
  /** `invited` has not joined; `left` and `banned` are members no more. */
  readonly role: MemberRole
  /** The newest message that this member is known to have read. */
  readonly lastRead: MessageId | undefined
}

/**
 * A conversation: a signed history that every member has a copy of. Everything that waits rejects with ERR_NOT_FOUND once it is removed,
 * and with ERR_CLOSED once the account stops.
 */
export interface Conversation {
  /** Its id; keep it as a string and give it to `conversations.get()`. */
  readonly id: ConversationId
  /** Between two, or of a group. */
  readonly kind: 'direct' | 'group'
  /** False while an accepted conversation is still being fetched. */
  readonly ready: boolean
  /** What a group calls itself; undefined when it has no title, and for a conversation between two. */
  readonly title: string | undefined
  /** Messages of others after what we have read or written last. */
  readonly unread: number
  /** Of this account only, on all its devices: colour, notifications and the like. */
  readonly preferences: Readonly<Record<string, string>>
  /** Who takes part, as of now; `invited` have not joined yet. */
  readonly members: readonly ConversationMemberInfo[]
  /** Git id of the newest commit. */
  readonly head: MessageId | undefined
  /**
   * Signs and stores the message; it travels when a device that has it meets a device of the receiver: see `delivered()`. 1 to 65,536
   * characters without NUL; half a surrogate pair becomes U+FFFD, here and in keys and names.
   * @throws ERR_ARGUMENT, ERR_NOT_MEMBER, ERR_STORAGE_IO: then nothing was sent, and the same key sends it
   * @example await chat.send('disk full', { idempotencyKey: 'alert-17' })
   */
  send(text: string, options?: SendOptions): Promise<TextMessage>
  /**
   * What people see, from storage, one after the other; costs what is read. Edits and reactions are part of the message that they change.
   * @example for await (const message of chat.history({ limit: 50 })) if (message.type === 'text') console.log(message.text)
   * @throws ERR_NOT_FOUND from the iterator when `before` or `after` is not on the main line
   */
  history(options?: HistoryOptions): AsyncIterableIterator<Message>
  /**
   * Newest first; costs what is found, but for patterns.
   * @example for await (const message of chat.search({ text: 'invoice', from: contact, limit: 20 })) console.log(message.sentAt)
   * @throws ERR_LIMIT from the iterator when a pattern takes too long
   */
  search(options: SearchOptions): AsyncIterableIterator<Message>
  /** As it stands now; of an edit or a reaction, the message that it belongs to. @throws ERR_NOT_FOUND */
  message(id: string, op?: Op): Promise<Message>
  /**
   * Brings a file into the conversation: read once, kept in the profile, then announced; the transfer is done when it is. Members fetch it
   * from any device that has it, so it arrives as messages do. Fails with ERR_ARGUMENT, ERR_NOT_FOUND (no such path), ERR_NOT_MEMBER,
   * ERR_STORAGE_IO, ERR_UNSUPPORTED (without the package @jamikit/media).
   * @example const message = await chat.sendFile('report.pdf', { idempotencyKey: 'report-17' })
   */
  sendFile(source: FileSource, options?: SendFileOptions): Transfer<FileMessage>
  /** Tells members who are connected now that we are (not) typing. Nothing waits for it. */
  typing(active: boolean): void
  /** Tells members that we have read up to this message. @throws ERR_NOT_FOUND */
  markRead(upTo: string, op?: Op): Promise<void>
  /** Title, description and picture, as everybody sees them. */
  profile(op?: Op): Promise<ConversationProfile>
  /** Changes what is given; null takes it away. @throws ERR_NOT_ADMIN */
  update(change: { [K in keyof GroupInfo]?: GroupInfo[K] | null }, op?: Op): Promise<void>
  /** Replaces all preferences: up to 100, keys of 1 to 100 and values of up to 1,000 characters. */
  setPreferences(preferences: Readonly<Record<string, string>>, op?: Op): Promise<void>
  /** Invites somebody to a group, contact or not; again for one that has not joined. Of a banned one by an admin: takes the ban back. @throws ERR_NOT_MEMBER, ERR_NOT_ADMIN, ERR_ARGUMENT (a conversation between two) */
  invite(peer: PeerLike, op?: Op): Promise<void>
  /** Votes for a ban, which holds when more than half of the admins did. @throws ERR_NOT_ADMIN, ERR_NOT_FOUND */
  ban(peer: PeerLike, op?: Op): Promise<void>
  /** Votes for taking a ban back. @throws ERR_NOT_ADMIN, ERR_NOT_FOUND */
  unban(peer: PeerLike, op?: Op): Promise<void>
  /** Leaves for good: the others are told, and the history is gone here. */
  leave(op?: Op): Promise<void>
  /** Fetches from every reachable device now. */
  sync(op?: Op): Promise<void>
  /** Writes a bare git repository that passes `git fsck --strict`. */
  export(directory: string, op?: Op): Promise<void>
}

/** What all messages have. */
interface MessageBase {
  /** Its id; keep it as a string and give it to `conversation.message()`. */
  readonly id: MessageId
  /** Where it was written. */
  readonly conversation: Conversation
  /** The account that wrote and signed it. */
  readonly from: AccountUri
  /** Who wrote it, with the name when it is known. */
  readonly author: Contact
  /** The device that did. */
  readonly device: DeviceId
  /** Written by this account, on this device or another one. */
  readonly own: boolean
  /** When its author says it was written, in whole seconds. */
  readonly sentAt: Date
  /** What the peer wrote was longer than 65,536 characters or had too many parts: the rest is left out here. */
  readonly cut: boolean
  /** The message it answers. */
  readonly replyTo: MessageId | undefined
  /** Its author has taken it back: text and reactions are gone. */
  readonly deleted: boolean
  /** Who reacted, by emoji, in the order of the history; at most 1,000 reactions. */
  readonly reactions: ReadonlyMap<string, readonly AccountUri[]>
  /** `conversation.send()` with `replyTo` set to this message. */
  reply(text: string, options?: Omit<SendOptions, 'replyTo'>): Promise<TextMessage>
  /** Reacts, with an emoji or up to 64 characters; nothing happens when we have done so. @throws ERR_NOT_FOUND when its author took it back */
  react(emoji: string, op?: Op): Promise<void>
  /** Takes our reaction back; nothing happens when there is none. */
  unreact(emoji: string, op?: Op): Promise<void>
  /** Takes an own text, file or document back, for everybody; nothing happens when that was done. @throws ERR_ARGUMENT for what is not ours or cannot be taken back */
  delete(op?: Op): Promise<void>
  /** Who is known to have it or to have seen it, as of now, of the other members. */
  statuses(): { member: AccountUri; status: 'sent' | 'displayed'; at: Date }[]
  /**
   * Resolves when a device of `to` (any other member; with `all`, of every other member that has joined) is known to have the message
   * (`sent`, the default: the last byte of it was given to that device, which checks it then; a link that breaks at that very moment may cost one
   * more round) or its user has seen it (`displayed`). Jami has no server: until then it waits here. @throws ERR_TIMEOUT
   * @example await message.delivered({ to: contact, status: 'displayed', timeoutMs: 3_600_000 })
   */
  delivered(options?: { to?: PeerLike; all?: boolean; status?: 'sent' | 'displayed' } & Op): Promise<void>
}

/** Somebody wrote something. */
export interface TextMessage extends MessageBase {
  /** Tells the kinds of messages apart. */
  readonly type: 'text'
  /** As it stands now; empty when it is deleted. At most 65,536 characters; see `cut`. */
  readonly text: string
  /** When it was changed last. */
  readonly editedAt: Date | undefined
  /** Changes an own text, for everybody; 1 to 65,536 characters. @throws ERR_ARGUMENT for a text of somebody else, ERR_NOT_FOUND for one that was taken back */
  edit(text: string, op?: Op): Promise<void>
}
/** Somebody announced a file. */
export interface FileMessage extends MessageBase {
  /** Tells the kinds of messages apart. */
  readonly type: 'file'
  /** Its id on the wire. */
  readonly fileId: string
  /** What its sender calls it, as a plain file name: no directories, nothing that a shell or a terminal takes for something else. Anybody can take any name. */
  readonly name: string
  /** As announced; a file of another size is not taken. */
  readonly sizeBytes: number
  /** SHA3-512 as announced, 128 hex digits; what does not have it is not taken. */
  readonly sha3: string
  /**
   * Fetches it from any device that has it, and goes on where an earlier try stopped; a file that is here is not fetched again. `to`: a path
   * (of a directory: the file gets a name of ours in it), or a stream, which gets the bytes before all are checked; without, it is kept in
   * the profile. Waits for somebody who has it, as long as `timeoutMs` allows: what came then stays for the next try. Fails with
   * ERR_FILE_HASH, ERR_FILE_GONE, ERR_LIMIT and ERR_PEER_REFUSED (`files.setPolicy`), ERR_STORAGE_IO.
   * A listener that waits for it holds up the other messages of that conversation, for as long as nobody who has the file is there.
   * @example account.on('message', (message) => { if (message.type === 'file') message.download('./inbox').then(({ name }) => console.log(name), console.error) })
   */
  download(to?: string | WritableStream<Uint8Array>, options?: DownloadOptions): Transfer<FileMessage>
}
/** Something happened in the conversation. */
export interface EventMessage extends MessageBase {
  /** What happened. */
  readonly type: 'initial' | 'member' | 'profile' | 'call' | 'document'
  /** The members of the commit, as text. */
  readonly fields: Readonly<Record<string, string>>
}
/** A type this version does not know; never dropped. */
export interface UnknownMessage extends MessageBase {
  /** Tells the kinds of messages apart. */
  readonly type: 'unknown'
  /** Its type on the wire. */
  readonly wireType: string
  /** The members of the commit, as text. */
  readonly fields: Readonly<Record<string, string>>
}
/** What a history consists of; `type` tells them apart. The event `message` brings texts, files, documents and unknown ones. */
export type Message = TextMessage | FileMessage | EventMessage | UnknownMessage
