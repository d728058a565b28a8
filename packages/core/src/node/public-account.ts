// An account as programs see it: joins its parts (contacts, conversations, protocols, timeline) and tells what happens. Proof:
// node/jami-node.test.ts.
import type { LocalAccount } from '../account/account.ts'
import type { PendingRequest } from '../account/trust-requests.ts'
import { checkArgument, checkOptions, is, OP } from '../base/arguments.ts'
import { closedError, JamiError, notFoundError } from '../base/errors.ts'
import { INSPECT, shown } from '../base/inspect.ts'
import { abandonable, withOp } from '../base/operation.ts'
import { withSignals } from '../base/signals.ts'
import { wellFormed } from '../codec/text.ts'
import type { PresenceState } from '../contracts/account.ts'
import type { Clock } from '../contracts/clock.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { AccountUri, ConversationId, DeviceId } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'
import type { Account, AccountEvents, Channels, FileMessage, PeerLike } from './api.ts'
import { EventHub, MAX_BUFFER_SIZE } from './event-hub.ts'
import { GRACE_MS, MAX_NAME_LENGTH, MAX_PASSWORD_LENGTH } from './limits.ts'
import { Protocols } from './protocols.ts'
import { PublicContacts } from './public-contacts.ts'
import { PublicFiles } from './public-files.ts'
import { PublicConversation } from './public-conversation.ts'
import { PublicConversations } from './public-conversations.ts'
import { eventOf, TIMELINE_EVENTS, type TimelineEvents, type Told } from './public-events.ts'
import { peerUri } from './public-ids.ts'
import { Timeline } from './timeline.ts'

const EXPORT = { ...OP, password: is.text(0, MAX_PASSWORD_LENGTH), currentPassword: is.text(0, MAX_PASSWORD_LENGTH) }
const PROFILE = { displayName: is.text(0, MAX_NAME_LENGTH) }
const ACCOUNT_EVENTS: Readonly<Record<keyof AccountEvents, true>> = {
  ...TIMELINE_EVENTS, 'message:status': true, typing: true, invite: true, 'contact:request': true, contact: true, conversation: true, presence: true, online: true, transfer: true,
}

const OTHERS = (Object.keys(TIMELINE_EVENTS) as (keyof TimelineEvents)[]).filter((event) => event !== 'message')
const isOfTimeline = (event: keyof AccountEvents): event is keyof TimelineEvents => Object.hasOwn(TIMELINE_EVENTS, event)

export interface PublicAccountEnv {
  readonly clock: Clock
  readonly onError: (error: unknown, source: string) => void
  readonly warn: (code: string, message: string) => void
  readonly exportArchive: (account: PublicAccount, options: { password?: string; currentPassword?: string }) => Promise<Uint8Array>
}

export class PublicAccount extends EventHub<AccountEvents> implements Account {
  readonly local: LocalAccount
  readonly contacts: PublicContacts
  readonly conversations: PublicConversations
  readonly channels: Channels
  readonly files: PublicFiles<FileMessage>
  readonly presence: Account['presence']
  readonly profile: Account['profile']
  readonly #env: PublicAccountEnv
  readonly #timeline: Timeline<TimelineEvents>
  /** What is told as it happens, one after the other. */
  #live: Promise<void> = Promise.resolve()
  /** Fires when the account stops: everything that waits ends with ERR_CLOSED. */
  readonly #life = new AbortController()
  readonly #shown = new Map<ConversationId, PublicConversation>() // bounded by the conversations
  #stopped: Promise<void> | undefined

  constructor(env: PublicAccountEnv, local: LocalAccount) {
    super({ clock: env.clock, what: 'the account', events: ACCOUNT_EVENTS, onError: (error, event) => env.onError(JamiError.from(error, 'ERR_LISTENER'), `listener of ${event}`) })
    this.#env = env
    this.local = local
    this.#timeline = new Timeline<TimelineEvents>({
      conversations: local.conversations,
      clock: env.clock,
      moving: 'message',
      listeners: (event) => this.count(event),
      show: (entry) => this.#eventOf(entry),
      tell: (told) => this.#tell(told),
      onError: (error) => env.onError(error, 'messages'),
    })
    this.contacts = new PublicContacts({ local, within: (op, what, work) => this.within(op, what, work), conversation: (id) => this.conversation(id) })
    this.files = new PublicFiles<FileMessage>({
      transfers: local.media?.transfers, clock: env.clock, life: this.#life.signal,
      message: async (conversation, id) => {
        const message = await this.#show(conversation).message(id)
        if (message.type !== 'file') throw new JamiError('ERR_ARGUMENT', `message ${id} is of type ${message.type}: something else was sent under this idempotencyKey before`, { details: { field: 'idempotencyKey', got: message.type, allowed: 'file' } })
        return message
      },
      tell: (news) => void this.emit('transfer', news),
    })
    this.channels = new Protocols({
      connections: local.connections, ownUri: this.uri, isContact: (uri) => local.contacts.isContact(uri), onError: env.onError,
    })
    this.presence = { get: (peer: PeerLike): PresenceState => local.presence.state(peerUri(peer)) }
    this.profile = {
      get displayName() {
        return local.record.displayName
      },
      set: async (profile, op) => {
        checkOptions(profile, PROFILE, 'profile')
        checkArgument('profile.displayName', profile?.displayName, PROFILE.displayName)
        checkOptions(op, OP)
        await this.within(op, 'setting the profile', () => local.setDisplayName(wellFormed(profile.displayName)))
      },
    }
    this.conversations = new PublicConversations({ local, contacts: this.contacts, within: (op, what, work) => this.within(op, what, work), show: (id) => this.#show(id) })
    this.#wire()
  }

  [INSPECT](): string {
    return shown('Account', { uri: this.uri, label: this.label, displayName: this.profile.displayName, deviceId: this.deviceId, online: this.online })
  }

  get uri(): AccountUri {
    return this.local.record.device.accountId
  }

  get deviceId(): DeviceId {
    return this.local.record.device.deviceId
  }

  get label(): string {
    return this.local.record.label
  }

  get online(): boolean {
    return this.local.announcer.announced
  }

  /** @throws ERR_NOT_FOUND */
  conversation(id: ConversationId): PublicConversation {
    if (!this.local.conversations.get(id)) throw notFoundError(`conversation ${id}`)
    return this.#show(id)
  }

  override on<K extends keyof AccountEvents>(event: K, listener: (payload: AccountEvents[K]) => unknown, options?: { signal?: AbortSignal }): () => void {
    let listening = true
    const off = super.on(event, listener, options)
    // what arrived before anybody listened; after the current turn, so that all listeners of a program are in place
    if (event === 'message') queueMicrotask(() => this.#timeline.wakeAll())
    if (event === 'contact:request' && !this.#life.signal.aborted && !options?.signal?.aborted) {
      for (const request of this.local.requests.pending()) queueMicrotask(() => {
        if (!listening || options?.signal?.aborted || this.local.requests.get(request.from) !== request) return
        void this.call('contact:request', listener as (payload: AccountEvents['contact:request']) => unknown, this.contacts.showRequest(request))
      })
    }
    if (event === 'invite' && !this.#life.signal.aborted && !options?.signal?.aborted) {
      for (const invitation of this.local.conversations.invitations()) queueMicrotask(() => {
        if (!listening || options?.signal?.aborted || !this.conversations.waits(invitation)) return
        void this.call('invite', listener as (payload: AccountEvents['invite']) => unknown, this.conversations.showInvite(invitation))
      })
    }
    return () => {
      listening = false
      off()
    }
  }

  override events<K extends keyof AccountEvents>(event: K, options?: { signal?: AbortSignal; bufferSize?: number }): AsyncIterableIterator<AccountEvents[K]> {
    if (!isOfTimeline(event)) return super.events(event, options)
    checkOptions(options, { signal: is.signal, bufferSize: is.whole(1, MAX_BUFFER_SIZE) })
    return this.#timeline.read(event, options?.signal) as AsyncIterableIterator<AccountEvents[K]>
  }

  async export(options: { password?: string; currentPassword?: string } & Op = {}): Promise<Uint8Array> {
    checkOptions(options, EXPORT)
    const { signal: _, timeoutMs: __, ...passwords } = options
    return this.within(options, 'exporting the account', () => this.#env.exportArchive(this, passwords))
  }

  ready(op?: Op): Promise<void> {
    return abandonable(this.#ready(op))
  }

  async #ready(op: Op | undefined): Promise<void> {
    checkOptions(op, OP)
    return this.within(op, 'announcing the device', (signal) =>
      new Promise<void>((resolve) => {
        if (this.online) return resolve()
        const off = this.local.announcer.onChange((announced) => {
          if (!announced) return
          off()
          resolve()
        })
        signal.addEventListener('abort', off, { once: true })
      }))
  }

  /** Within the caller's limits, and until the account stops. @throws ERR_CLOSED, ERR_ABORTED, ERR_TIMEOUT */
  within<T>(op: Op | undefined, what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal, timeoutMs } = op ?? {}
    return withSignals([signal, this.#life.signal], (both) => withOp(this.#env.clock, { signal: both, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, what, work))
  }

  /** Lets running listeners and loops finish, then stops. */
  stop(graceMs: number): Promise<void> {
    this.#stopped ??= (async () => {
      await withOp(this.#env.clock, { timeoutMs: graceMs }, 'running listeners', () => this.#timeline.stop()).catch(() => {})
      this.#life.abort(closedError('the account'))
      await this.local.stop()
      this.close()
    })()
    return this.#stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(GRACE_MS)
  }

  #show(id: ConversationId): PublicConversation {
    let shown = this.#shown.get(id)
    if (!shown) {
      const { clock, warn } = this.#env
      shown = new PublicConversation({ conversations: this.local.conversations, clock, warn, ownUri: this.uri, life: this.#life.signal, contact: (uri) => this.contacts.show(uri), files: this.files }, id)
      this.#shown.set(id, shown)
    }
    return shown
  }

  async #announce(request: PendingRequest): Promise<void> {
    if (!this.local.requests.pending().some((r) => r.from === request.from)) return
    await this.emit('contact:request', this.contacts.showRequest(request))
  }

  #eventOf(entry: ConversationEntry): Promise<Told | undefined> {
    const conversation = this.#show(entry.conversation)
    return eventOf(entry, { conversations: this.local.conversations, conversation, show: (view) => conversation.show(view) })
  }

  #tell(told: Told): Promise<void> {
    return this.emit(told.event, told.payload)
  }

  /** For who does not want messages: told as it happens. Messages wait on disk. */
  #tellNow(entry: ConversationEntry): void {
    if (!OTHERS.some((event) => this.count(event) > 0)) return
    this.#live = this.#live.then(async () => {
      const told = await this.#eventOf(entry)
      if (told && told.event !== 'message') void this.#tell(told)
    }).catch((error: unknown) => {
      if (!JamiError.is(error, 'ERR_NOT_FOUND') && !JamiError.is(error, 'ERR_CLOSED')) this.#env.onError(error, 'events')
    })
  }

  #wire(): void {
    const { conversations, requests, presence, announcer } = this.local
    conversations.onEntry(({ entry, own }) => {
      if (own) return
      if (!this.#timeline.wanted) this.#tellNow(entry)
      this.#timeline.wake(entry.conversation)
    })
    conversations.onReady(({ conversation }) => {
      void this.emit('conversation', { conversation: this.#show(conversation), action: 'ready' })
      this.#timeline.wake(conversation)
    })
    conversations.onRemoved(({ conversation }) => {
      void this.emit('conversation', { conversation: this.#show(conversation), action: 'removed' })
      this.#shown.delete(conversation)
      this.#timeline.forget(conversation)
    })
    conversations.onUpdated(({ conversation }) => void this.emit('conversation', { conversation: this.#show(conversation), action: 'updated' }))
    conversations.onInvitation((invitation) => {
      if (this.conversations.waits(invitation)) void this.emit('invite', this.conversations.showInvite(invitation))
    })
    conversations.onStatus(({ conversation, message, member, status, atMs }) =>
      void this.emit('message:status', { conversation: this.#show(conversation), messageId: message, member, status, at: new Date(atMs) }))
    conversations.onTyping(({ conversation, from, active }) => void this.emit('typing', { conversation: this.#show(conversation), from, active }))
    requests.onRequest((request) => void this.#announce(request))
    presence.onChange(({ account, state }) => void this.emit('presence', { uri: account, state }))
    announcer.onChange((online) => void this.emit('online', { online }))
    this.local.onContact(({ account, action }) => void this.emit('contact', { contact: this.contacts.show(account), action }))
  }
}
