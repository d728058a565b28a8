// The public surface: what createJamiNode() gives. Types only; implementations are beside this file. Arguments are checked at the call:
// ERR_ARGUMENT with field, got and allowed, thrown by methods that give no promise, as a rejection by those that do.
// Units: *Ms milliseconds, *Bytes bytes, instants Date, ids lower-case hex, binary Uint8Array. Every waiting method takes
// { signal, timeoutMs } and rejects with ERR_ABORTED or ERR_TIMEOUT.
import type { Duplex } from 'node:stream'
import type { JamiError } from '../base/errors.ts'
import type { PresenceState } from '../contracts/account.ts'
import type { ChannelPath } from '../contracts/channel.ts'
import type { Clock } from '../contracts/clock.ts'
import type { MemberRole } from '../contracts/conversations.ts'
import type { Crypto } from '../contracts/crypto.ts'
import type { DhtStatus } from '../contracts/dht.ts'
import type { AccountUri, ConversationId, DeviceId, InfoHash, MessageId } from '../contracts/ids.ts'
import type { Logger, LogLevel } from '../contracts/logger.ts'
import type { Modules } from '../contracts/module.ts'
import type { Random } from '../contracts/random.ts'
import type { Op } from '../contracts/service.ts'
import type { Network } from '../contracts/socket.ts'
import type { Storage } from '../contracts/storage.ts'

/** An account id, a `jami:` URI, or a contact. */
export type PeerLike = AccountUri | Contact | string

/** What `console` has; its lines begin with the message. */
export type ConsoleLike = Record<'trace' | 'debug' | 'info' | 'warn' | 'error', (...args: unknown[]) => void>

/**
 * Typed events. What a listener throws or rejects with becomes the node's `error` event, never an uncaught exception. Names of events
 * that there are not are refused.
 */
export interface Emitter<M> {
  /** Registers a listener; the result takes it away, so does the signal. */
  on<K extends keyof M>(event: K, listener: (payload: M[K]) => unknown, options?: { signal?: AbortSignal }): () => void
  /** The next event (that passes `filter`). A promise that nobody waits for any more is no uncaught rejection. */
  once<K extends keyof M>(event: K, options?: Op & { filter?: (payload: M[K]) => boolean }): Promise<M[K]>
  /**
   * All events from now on. @throws ERR_LIMIT from the iterator when more than `bufferSize` (1,000) wait unread. `message` is different:
   * it begins with what is not handled, waits in storage without a limit, and is handled when the loop asks for the next one.
   */
  events<K extends keyof M>(event: K, options?: { signal?: AbortSignal; bufferSize?: number }): AsyncIterableIterator<M[K]>
}

/** Which network to join. `core` has no default; the package `jamikit` exports `jamiNetwork` and `isolated()`. */
export interface NetworkOptions {
  /** DHT entry points, `host`, `host:port` or `[v6]:port` (port 4222 when left out); empty = contact nobody. Checked at the call, resolved again and again. */
  readonly bootstrap: readonly string[]
}

export interface NodeOptions {
  /** A directory, or a storage adapter. Default: memory, gone at the end. */
  storage?: Storage | string
  /** Seals everything that the storage keeps: 32 random bytes, or a function that gives them. The profile opens with this key only, and is lost without it. */
  encryptionKey?: Uint8Array | (() => Uint8Array | Promise<Uint8Array>)
  network: NetworkOptions
  dht?: { /** UDP port, default any. */ port?: number; networkId?: number; maxStoreBytes?: number }
  /** A pino-like logger, `console`, or a level (then JSON lines go to stderr). Default: silent. */
  logger?: Logger | ConsoleLike | LogLevel
  /** Closes the node when it fires. */
  signal?: AbortSignal
  modules: Modules
  /** Replaces time, randomness, cryptography and sockets; for the testing kit. */
  runtime?: { clock?: Clock; random?: Random; crypto?: Crypto; network?: Network }
}

export type NodeState = 'connecting' | 'online' | 'offline' | 'closed'

export interface NodeEvents {
  state: { state: NodeState }
  /**
   * Something failed where nobody waits: a listener threw, storage failed, an account could not start. Without a listener each kind is
   * printed once, as a process warning.
   */
  error: { error: JamiError; source: string }
}

export interface JamiNode extends Emitter<NodeEvents>, AsyncDisposable {
  readonly state: NodeState
  readonly accounts: Accounts
  readonly dht: Dht
  /** A peer as seen by an account (the only one when left out). Synchronous: works on first use. */
  connect(peer: PeerLike, options?: { account?: Account; device?: string }): Peer
  stats(): NodeStats
  /** Lets running listeners finish for up to `graceMs` (2,000), then closes everything. Idempotent. */
  close(options?: { graceMs?: number }): Promise<void>
}

export interface NodeStats {
  links: number
  channels: number
  dhtNodes: { ipv4: number; ipv6: number }
  bytesIn: number
  bytesOut: number
}

export interface AccountInit extends Op {
  /** Up to 1,000 characters. `open()` of an account that is there already sets it: leave it out when people may change it. */
  displayName?: string
  /** Encrypts the account archive of a new account with a password. The key of this device is not in it: see `encryptionKey`. */
  password?: string
}

export interface Accounts extends AsyncIterable<Account> {
  list(): Account[]
  /** @throws ERR_NOT_FOUND */
  get(label: string): Account
  /** A new account: three RSA keys, some seconds of another thread's time. */
  create(options?: AccountInit & { label?: string }): Promise<Account>
  /** The account with this label (1 to 100 characters), created on first use. One that could not start is tried again. */
  open(label: string, options?: AccountInit): Promise<Account>
  /** An account from an archive made here or by a Jami client; this node becomes a new device of it. @throws ERR_PASSWORD, ERR_ARCHIVE_INVALID */
  import(archive: Uint8Array, options?: { archivePassword?: string; label?: string } & AccountInit): Promise<Account>
  /** Stops an account and deletes everything kept about it. */
  remove(account: Account, op?: Op): Promise<void>
}

export interface AccountEvents {
  /**
   * A message of somebody else, in the order of arrival within a conversation, also those that arrived while this program was down.
   * At least once: it counts as handled when all listeners have settled and all loops over `events('message')` have asked for the next
   * one; after a crash before that it comes again.
   */
  message: Message
  'message:status': { messageId: MessageId; conversation: Conversation; member: AccountUri; status: 'sent' | 'displayed' }
  typing: { conversation: Conversation; from: AccountUri; active: boolean }
  /** Somebody wants to be a contact. Comes again at the next start while neither accepted nor declined. */
  'contact:request': ContactRequest
  contact: { contact: Contact; action: 'added' | 'confirmed' | 'removed' | 'banned' }
  conversation: { conversation: Conversation; action: 'ready' | 'removed' }
  member: { conversation: Conversation; uri: AccountUri; action: 'added' | 'joined' | 'left' | 'banned' | 'unbanned' }
  presence: { uri: AccountUri; state: PresenceState }
  /** Our own presence on the DHT. */
  online: { online: boolean }
}

export interface Account extends Emitter<AccountEvents>, AsyncDisposable {
  readonly uri: AccountUri
  readonly deviceId: DeviceId
  readonly label: string
  /** True while the device is announced on the DHT. */
  readonly online: boolean
  readonly contacts: Contacts
  readonly conversations: ConversationList
  readonly channels: Channels
  readonly presence: { get(peer: PeerLike): PresenceState }
  readonly profile: { readonly displayName: string; set(profile: { displayName: string }, op?: Op): Promise<void> }
  /** The account archive, for a Jami client or another node. With `password` it is encrypted. @throws ERR_PASSWORD when the stored one is locked and `currentPassword` does not open it */
  export(options?: { password?: string; currentPassword?: string } & Op): Promise<Uint8Array>
  /** Resolves when the device is announced on the DHT. */
  ready(op?: Op): Promise<void>
}

export interface Contact {
  readonly uri: AccountUri
  readonly displayName: string | undefined
  /** The other side has accepted (or added us). */
  readonly confirmed: boolean
  readonly banned: boolean
}

export interface ContactRequest {
  readonly from: Contact
  readonly receivedAt: Date
  /** Becomes a contact; resolves with the conversation once its history is here. */
  accept(op?: Op): Promise<Conversation>
  decline(options?: { ban?: boolean } & Op): Promise<void>
}

export interface Contacts {
  list(): Contact[]
  /** @throws ERR_NOT_FOUND when the peer is neither a contact nor banned */
  get(peer: PeerLike): Contact
  requests(): ContactRequest[]
  /** Makes the 1:1 conversation and sends a contact request, again whenever a device of theirs appears until they answer. */
  add(peer: PeerLike, op?: Op): Promise<Conversation>
  remove(peer: PeerLike, options?: { ban?: boolean } & Op): Promise<void>
  unban(peer: PeerLike, op?: Op): Promise<void>
}

export interface ConversationList extends AsyncIterable<Conversation> {
  list(): Conversation[]
  /** @throws ERR_NOT_FOUND */
  get(id: string): Conversation
  /** The 1:1 with a peer; made, and the contact requested, when there is none. */
  with(peer: PeerLike, op?: Op): Promise<Conversation>
}

export interface SendOptions extends Op {
  /** Id of a message. */
  replyTo?: string
  /**
   * The same key again, also after a restart, sends nothing and gives the first message; with another text it does so, too, and warns.
   * 1 to 200 characters.
   */
  idempotencyKey?: string
}

export interface HistoryOptions extends Op {
  /** Ids of messages. */
  before?: string
  after?: string
  order?: 'newest' | 'oldest'
  limit?: number
}

export interface Conversation {
  readonly id: ConversationId
  readonly kind: 'direct' | 'group'
  /** False while an accepted conversation is still being fetched. */
  readonly ready: boolean
  readonly members: readonly { uri: AccountUri; role: MemberRole }[]
  /** Git id of the newest commit. */
  readonly head: MessageId | undefined
  /**
   * Signs and stores the message; it travels when a device that has it meets a device of the receiver: see `delivered()`. 1 to 65,536
   * characters without NUL; half a surrogate pair becomes U+FFFD, here and in keys and names.
   */
  send(text: string, options?: SendOptions): Promise<TextMessage>
  history(options?: HistoryOptions): AsyncIterableIterator<Message>
  /** @throws ERR_NOT_FOUND */
  message(id: string, op?: Op): Promise<Message>
  typing(active: boolean): void
  markRead(upTo: string, op?: Op): Promise<void>
  /** Fetches from every reachable device now. */
  sync(op?: Op): Promise<void>
  /** Writes a bare git repository that passes `git fsck --strict`. */
  export(directory: string, op?: Op): Promise<void>
}

interface MessageBase {
  readonly id: MessageId
  readonly conversation: Conversation
  readonly from: AccountUri
  /** Who wrote it, with the name when it is known. */
  readonly author: Contact
  readonly device: DeviceId
  readonly own: boolean
  readonly sentAt: Date
  /** What the peer wrote was longer than 65,536 characters or had too many parts: the rest is left out here. */
  readonly cut: boolean
  readonly replyTo: MessageId | undefined
  reply(text: string, options?: Omit<SendOptions, 'replyTo'>): Promise<TextMessage>
  /**
   * Resolves when a device of `to` (any other member) is known to have the message (`sent`, the default) or its user has seen
   * it (`displayed`). Jami has no server: until then it waits here. @throws ERR_TIMEOUT
   */
  delivered(options?: { to?: PeerLike; status?: 'sent' | 'displayed' } & Op): Promise<void>
}

export interface TextMessage extends MessageBase {
  readonly type: 'text'
  readonly text: string
}
/** Something happened in the conversation. */
export interface EventMessage extends MessageBase {
  readonly type: 'initial' | 'member' | 'merge' | 'profile' | 'vote' | 'call'
  readonly fields: Readonly<Record<string, string>>
}
/** A type this version does not know (also files, edits and reactions for now); never dropped. */
export interface UnknownMessage extends MessageBase {
  readonly type: 'unknown'
  readonly wireType: string
  readonly fields: Readonly<Record<string, string>>
}
export type Message = TextMessage | EventMessage | UnknownMessage

/** The other end of links and channels. */
export interface Peer {
  readonly uri: AccountUri
  /** Devices announced now. */
  devices(op?: Op): Promise<DeviceId[]>
  /**
   * A byte channel of an SDK protocol to one of the peer's devices (the first that takes it).
   * @throws ERR_PEER_OFFLINE, ERR_PEER_REFUSED, ERR_CHANNEL_DECLINED (a stock client declines SDK protocols), ERR_TIMEOUT
   */
  openChannel(protocol: string, options?: { device?: string } & Op): Promise<Channel>
  /** Closes all links with the peer. */
  close(op?: Op): Promise<void>
}

/** A Node stream over a channel. There is no half-close on this wire: `end()` ends both directions. */
export interface Channel extends Duplex {
  readonly protocol: string
  readonly remote: { readonly uri: AccountUri; readonly device: DeviceId }
  readonly path: ChannelPath
  /** The same channel as Web Streams; use either face, not both. */
  web(): { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> }
}

export interface Channels {
  /**
   * Serves an SDK protocol: `fn` gets each channel. Name: 1 to 100 of `[A-Za-z0-9._/-]`.
   * `allow` (default `contacts`) decides per peer; strangers get no link at all, whatever it says.
   */
  handle(
    protocol: string,
    fn: (channel: Channel) => unknown,
    options?: {
      allow?: 'contacts' | 'own-devices' | ((peer: { uri: AccountUri; device: DeviceId }) => boolean | Promise<boolean>)
      /** Open channels of this protocol per device, default 16. */
      maxPerPeer?: number
    },
  ): () => void
}

export interface DhtEntry {
  readonly id: bigint
  readonly data: Uint8Array
  readonly type: number
  readonly userType: string
  /** Key id of the signing key (an account id or a device's short id); undefined when unsigned. */
  readonly signer: InfoHash | undefined
  readonly encrypted: boolean
}

export interface Dht {
  readonly nodeId: InfoHash
  /** SHA-1 of a text. */
  key(text: string): InfoHash
  random(): InfoHash
  status(): { ipv4: DhtStatus; ipv6: DhtStatus }
  /** Resolves when at least one family is connected. */
  ready(op?: Op): Promise<void>
  /** Adds entry points (`host`, `host:port`, `[v6]:port`) and tries all there are at once, connected or not. @throws ERR_ARGUMENT naming the entry */
  bootstrap(...hosts: string[]): Promise<void>
  /** Values at a key, each once, until the search is complete. @param options.as also opens values encrypted for this account's device. @throws ERR_ARGUMENT at the call */
  get(key: InfoHash, options?: { as?: Account; filter?: (value: DhtEntry) => boolean } & Op): AsyncIterableIterator<DhtEntry>
  /** @param options.as also opens values encrypted for this account's device */
  listen(key: InfoHash, options?: { as?: Account; signal?: AbortSignal }): AsyncIterableIterator<{ value: DhtEntry; expired: boolean }>
  /**
   * Puts at most 65,536 bytes; nodes keep them for ten minutes, or, when `permanent`, for as long as this node runs (and an hour after a restart, for
   * programs to put them again under the same `id`). A signed value is replaced under its `id` by one of the same account with a higher `seq`.
   * @throws ERR_DHT_UNREACHABLE when no node took it, ERR_NOT_FOUND when the device to encrypt to has no certificate on the DHT, ERR_ARGUMENT
   */
  put(
    key: InfoHash,
    data: Uint8Array | string,
    options?: { permanent?: boolean; sign?: Account; encryptTo?: DeviceId; userType?: string; id?: bigint; seq?: number } & Op,
  ): Promise<{ id: bigint; storedBy: number; cancel(): void }>
}
