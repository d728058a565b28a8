// One account at run time: owns its parts and starts and stops them in order. No protocol of its own.
// docs/protocol/03 §2.4 (start-up sequence), §5.5 (accepting), §8.2 (what going online triggers). Proof: account/account.test.ts.
import { Source } from '../base/emitter.ts'
import { JamiError } from '../base/errors.ts'
import { delay } from '../base/operation.ts'
import { Tasks } from '../base/tasks.ts'
import type { ConnectionManager, PeerClass } from '../contracts/connection-manager.ts'
import type { Conversations } from '../contracts/conversations.ts'
import type { Dht } from '../contracts/dht.ts'
import type { AccountUri, ConversationId, DeviceId } from '../contracts/ids.ts'
import type { BaseEnv, Media, Modules } from '../contracts/module.ts'
import type { Storage } from '../contracts/storage.ts'
import { type AccountRecord, accountPrefix, checkDisplayName, saveAccount } from './account-record.ts'
import { CertificateDirectory } from './certificate-directory.ts'
import { ContactList, isActive } from './contact-list.ts'
import { DeviceAnnouncer } from './device-announcer.ts'
import { MessageEngine } from './message-engine.ts'
import { PresenceTracker } from './presence-tracker.ts'
import { Reconnector } from './reconnector.ts'
import { type PendingRequest, TrustRequests } from './trust-requests.ts'
import { Turns } from './turns.ts'
import { profileCard } from './vcard.ts'

const RETRY_FIRST_MS = 5_000
const RETRY_MAX_MS = 300_000

export interface AccountEnv extends BaseEnv {
  readonly dht: Dht
  readonly storage: Storage
  readonly modules: Modules
}

export interface ContactChange {
  readonly account: AccountUri
  readonly action: 'added' | 'confirmed' | 'removed' | 'banned'
}

/** What failed without a caller who could be told. */
export interface AccountTrouble {
  readonly error: JamiError
  readonly source: string
}

/** The parts of a running account. */
export class LocalAccount {
  readonly contacts: ContactList
  readonly certificates: CertificateDirectory
  readonly presence: PresenceTracker
  readonly announcer: DeviceAnnouncer
  readonly messages: MessageEngine
  readonly requests: TrustRequests
  readonly connections: ConnectionManager
  readonly conversations: Conversations
  /** Undefined when the node was made without. */
  readonly media: Media | undefined
  readonly #env: AccountEnv
  readonly #reconnector: Reconnector
  readonly #tasks: Tasks
  readonly #contactChanged: Source<ContactChange>
  readonly #problem: Source<AccountTrouble>
  readonly #turns = new Turns()
  readonly #prefix: string
  readonly #adding = new Map<AccountUri, Promise<ConversationId>>() // bounded by the program's calls
  #record: AccountRecord
  #started: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  private constructor(env: AccountEnv, record: AccountRecord, announcement: Uint8Array, contacts: ContactList) {
    const identity = record.device
    const { dht, storage, modules, clock, random, crypto, network } = env
    const logger = env.logger.child({ account: identity.accountId })
    const base = { clock, random, crypto, network, logger }
    const prefix = accountPrefix(identity.accountId)
    this.#env = env
    this.#record = record
    this.#prefix = prefix
    this.contacts = contacts
    const report = (error: unknown, source: string) => this.#problem.emit({ error: JamiError.from(error), source })
    this.#problem = new Source((err) => logger.error({ err }, 'a listener threw'))
    this.#tasks = new Tasks(clock, (err, what) => logger.warn({ err, what }, 'account task failed'))
    this.#contactChanged = new Source((err) => logger.error({ err }, 'a listener threw'))
    this.certificates = new CertificateDirectory({ clock, logger, dht, storage, prefix, own: identity, isKnown: (account) => contacts.isContact(account) })
    this.presence = new PresenceTracker({ clock, logger, dht, certificates: this.certificates, ownDevice: identity.deviceId })
    this.announcer = new DeviceAnnouncer({ clock, logger, dht, identity, announcement })
    const policy = {
      allowsLink: ({ accountId, deviceId }: { accountId: AccountUri; deviceId: DeviceId }) =>
        accountId === identity.accountId || ((contacts.isContact(accountId) || this.#isMember(accountId)) && !contacts.isBanned(deviceId)),
      classOf: ({ accountId }: { accountId: AccountUri }): PeerClass => this.#classOf(accountId),
    }
    this.connections = modules.connections({ ...base, dht, identity, certificates: this.certificates, policy, storage, prefix })
    this.messages = new MessageEngine({
      clock, random, logger, connections: this.connections, directory: this.presence, contacts, ownDevice: identity.deviceId, ownAccount: identity.accountId,
      onChannelCount: (account, by) => this.presence.countChannel(account, by), isMember: (account) => this.#isMember(account),
    })
    this.conversations = modules.conversations({
      ...base, identity, displayName: () => this.#record.displayName, connections: this.connections, certificates: this.certificates, contacts,
      directory: this.presence, presence: this.presence, messages: this.messages, storage, prefix,
    })
    this.media = modules.media?.({ ...base, identity, connections: this.connections, conversations: this.conversations, directory: this.presence, messages: this.messages, storage, prefix })
    this.requests = new TrustRequests({
      clock, logger, dht, identity, certificates: this.certificates, directory: this.presence, contacts, storage, prefix,
      profile: () => profileCard(this.#record.displayName),
      joined: (account) => this.#hasJoined(account, contacts.conversationWith(account)),
      report,
    })
    this.#reconnector = new Reconnector({ clock, random, logger, presence: this.presence, messages: this.messages, contacts })
  }

  #isMember(account: AccountUri): boolean {
    return !this.contacts.isBanned(account) && this.conversations.shares(account)
  }

  #classOf(account: AccountUri): PeerClass {
    return account === this.#record.device.accountId ? 'own' : this.contacts.isContact(account) ? 'contact' : this.#isMember(account) ? 'member' : 'stranger'
  }

  /** Reads what is kept; nothing is sent yet. `announcement` comes from the verified receipt. */
  static async load(env: AccountEnv, record: AccountRecord, announcement: Uint8Array): Promise<LocalAccount> {
    const contacts = await ContactList.load(env.storage, accountPrefix(record.device.accountId))
    const account = new LocalAccount(env, record, announcement, contacts)
    await account.certificates.load()
    await account.requests.load()
    return account
  }

  get record(): AccountRecord {
    return this.#record
  }

  get onContact() {
    return this.#contactChanged.listen
  }

  /** What failed in the background: storage that refuses to write, first of all. It is tried again. */
  get onProblem() {
    return this.#problem.listen
  }

  /** What of this account could not be read when it was loaded. */
  get problems(): readonly JamiError[] {
    return [...this.contacts.problems, ...this.certificates.problems, ...this.requests.problems]
  }

  /** @throws ERR_ARGUMENT */
  async setDisplayName(displayName: string): Promise<void> {
    const checked = checkDisplayName(displayName)
    await this.#turns.take(async () => {
      const record = { ...this.#record, displayName: checked }
      await saveAccount(this.#env.storage, record)
      this.#record = record
    })
  }

  start(): Promise<void> {
    this.#started ??= (async () => {
      this.requests.onConfirmed(({ account }) => {
        this.#contactChanged.emit({ account, action: 'confirmed' })
        this.messages.connect(account)
      })
      this.requests.onInvited(({ account, conversation }) => this.#persist('invitation', () => this.conversations.accept({ conversation, from: account })))
      this.conversations.onReady(({ conversation }) => this.#persist('linking a conversation', () => this.#link(conversation)))
      this.conversations.onRemoved(({ conversation }) => this.#persist('replacing a conversation', () => this.#replace(conversation)))
      this.presence.onRevoked((device) => this.#tasks.run('revoked device', () => this.connections.closePeer(device, new JamiError('ERR_DEVICE_REVOKED', 'the device was revoked'))))
      this.presence.onDevice(({ account, device }) => {
        this.requests.send(account)
        this.messages.peerAppeared(account, device)
      })
      this.messages.onPeerReady(({ account }) => this.requests.sendMissed(account))
      await this.messages.start()
      await this.conversations.start()
      await this.media?.start()
      await this.connections.start()
      await this.requests.start()
      await this.announcer.start()
      this.#reconnector.start()
      const off = this.announcer.onChange((online) => {
        if (online) this.#reconnector.retry()
      })
      this.#tasks.signal.addEventListener('abort', off, { once: true })
      for (const [account, contact] of this.contacts.entries()) {
        if (!isActive(contact)) continue
        this.presence.watch(account)
        // accepted, and then the process ended before the clone was noted
        const { conversation, confirmed } = contact
        if (conversation && confirmed && !this.conversations.get(conversation)) this.#persist('unfinished acceptance', () => this.conversations.accept({ conversation, from: account }))
      }
    })()
    return this.#started
  }

  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      await this.#started?.catch(() => {})
      this.#reconnector.stop()
      await this.#tasks.close()
      await this.requests.stop()
      await this.announcer.stop()
      await this.presence.close()
      await this.media?.stop()
      await this.conversations.stop()
      await this.messages.stop()
      await this.connections.stop()
    })()
    return this.#stopped
  }

  /** Makes (or finds) the 1:1 conversation and asks the peer to be a contact; accepts when the peer has asked. */
  addContact(peer: AccountUri): Promise<ConversationId> {
    return this.#once(peer, () => this.#add(peer))
  }

  /** The same conversation again when it was accepted before. @throws ERR_NOT_FOUND when there is no such request (any more) */
  acceptRequest(from: AccountUri): Promise<ConversationId> {
    return this.#once(from, async () => {
      const request = this.requests.get(from)
      const accepted = request ? undefined : this.contacts.isContact(from) ? this.contacts.conversationWith(from) : undefined
      if (accepted) return accepted
      if (!request) throw new JamiError('ERR_NOT_FOUND', `no contact request from ${from}`)
      return this.#accept(request)
    })
  }

  /** Work that nobody waits for: when the disk refuses, that is told once, and it is tried again. */
  #persist(what: string, work: () => Promise<unknown>): void {
    this.#tasks.run(what, async (signal) => {
      for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(2 * waitMs, RETRY_MAX_MS)) {
        try {
          return await work()
        } catch (error) {
          if (!JamiError.is(error, 'ERR_STORAGE_IO')) throw error
          if (waitMs === RETRY_FIRST_MS) this.#problem.emit({ error, source: what })
          await delay(this.#env.clock, waitMs, signal)
        }
      }
    })
  }

  /** Two calls at once make one contact and one conversation. */
  #once(peer: AccountUri, work: () => Promise<ConversationId>): Promise<ConversationId> {
    const running = this.#adding.get(peer)
    if (running) return running
    const promise = work().finally(() => this.#adding.delete(peer))
    this.#adding.set(peer, promise)
    return promise
  }

  async #add(peer: AccountUri): Promise<ConversationId> {
    const now = this.#env.clock.wallTimeMs()
    const pending = this.requests.get(peer)
    if (pending) return this.#accept(pending)
    const known = this.contacts.conversationWith(peer)
    const conversation = known && this.conversations.get(known) ? known : (this.#unlinked(peer) ?? (await this.conversations.create({ mode: 0, peer })))
    if (await this.contacts.add(peer, now, { confirmed: false, conversation })) this.#contactChanged.emit({ account: peer, action: 'added' })
    this.presence.watch(peer)
    this.requests.send(peer, true)
    return conversation
  }

  /** A conversation that was made for a contact which could then not be written: it is used the next time. */
  #unlinked(peer: AccountUri): ConversationId | undefined {
    if (this.contacts.get(peer)) return undefined
    return this.conversations.list().find(({ id, state }) => state === 'ready' && this.#otherOf(id) === peer)?.id
  }

  /** Every step may be repeated, and the request goes last: a crash in between loses nothing. */
  async #accept(request: PendingRequest): Promise<ConversationId> {
    const { from, displayName } = request
    const conversation = request.conversation ?? (await this.conversations.create({ mode: 0, peer: from }))
    await this.contacts.add(from, this.#env.clock.wallTimeMs(), { confirmed: true, conversation, ...(displayName === undefined ? {} : { displayName }) })
    if (request.conversation) await this.conversations.accept({ conversation: request.conversation, from })
    await this.requests.take(from)
    this.presence.watch(from)
    this.requests.confirm(from, request.conversation)
    this.#contactChanged.emit({ account: from, action: 'added' })
    return conversation
  }

  /** The contact has joined this conversation with us, or is the one who invited us to it. */
  #hasJoined(account: AccountUri, conversation: ConversationId | undefined): boolean {
    if (conversation === undefined || !this.conversations.get(conversation)) return true
    return (this.conversations.roleOf(conversation, account) ?? 'invited') !== 'invited'
  }

  /**
   * A 1:1 conversation with a contact is here: is it the one to speak in? When both asked each other there are two, and both sides must
   * choose the same: the smaller id. When one of us began anew (a conversation is younger than the contact's stay in the other), the
   * new one.
   */
  async #link(conversation: ConversationId): Promise<void> {
    const { contacts, conversations } = this
    const account = this.#otherOf(conversation)
    const contact = account && contacts.get(account)
    if (!account || !contact || !isActive(contact) || contact.conversation === conversation) return
    const old = contact.conversation && conversations.get(contact.conversation)
    if (old?.state === 'ready') {
      const anew = (await this.#beganMs(conversation)) > (await this.#joinedMs(old.id, account))
      const stale = (await this.#beganMs(old.id)) > (await this.#joinedMs(conversation, account))
      if (!anew && (stale || old.id < conversation)) return
    }
    await contacts.add(account, this.#env.clock.wallTimeMs(), { confirmed: contact.confirmed, conversation })
  }

  /** A conversation was removed or left here. The contact who was spoken to in it stays: in another one with them, a new one when there is none (spec 04 §8.1). */
  async #replace(conversation: ConversationId): Promise<void> {
    const { contacts, conversations, requests } = this
    const found = contacts.entries().find(([, contact]) => contact.conversation === conversation && isActive(contact))
    if (!found) return
    const [account, { confirmed }] = found
    const other = conversations.list().find(({ id, state }) => state === 'ready' && this.#otherOf(id) === account)?.id ?? (await conversations.create({ mode: 0, peer: account }))
    await contacts.add(account, this.#env.clock.wallTimeMs(), { confirmed, conversation: other })
    requests.send(account, true)
  }

  /** Whom a 1:1 conversation is with. */
  #otherOf(conversation: ConversationId): AccountUri | undefined {
    if (this.conversations.get(conversation)?.mode !== 0) return undefined
    return this.conversations.members(conversation).find(({ uri }) => uri !== this.#record.device.accountId)?.uri
  }

  async #beganMs(conversation: ConversationId): Promise<number> {
    for await (const entry of this.conversations.history(conversation, { order: 'oldest', limit: 1 })) return entry.timeMs
    return 0
  }

  /** When the contact joined or created it; infinite when it has not. */
  async #joinedMs(conversation: ConversationId, account: AccountUri): Promise<number> {
    for await (const { type, author, fields, timeMs } of this.conversations.history(conversation, { order: 'oldest' })) {
      if (author === account && (type === 'initial' || (type === 'member' && fields.action === 'join'))) return timeMs
    }
    return Number.POSITIVE_INFINITY
  }

  async removeContact(peer: AccountUri, ban: boolean): Promise<void> {
    await this.contacts.remove(peer, this.#env.clock.wallTimeMs(), ban)
    this.presence.unwatch(peer)
    try {
      await this.requests.decline(peer)
      for (const { conversation, from } of this.conversations.invitations()) if (from === peer) await this.conversations.decline(conversation)
      if (!ban) for (const { id } of this.conversations.list()) if (this.#otherOf(id) === peer) await this.conversations.remove(id)
    } finally {
      await this.connections.closePeer(peer, new JamiError('ERR_PEER_REFUSED', 'the contact was removed')) // whatever the disk says
    }
    this.#contactChanged.emit({ account: peer, action: ban ? 'banned' : 'removed' })
  }

  get prefix(): string {
    return this.#prefix
  }
}
