// An account as programs see it: events, contacts, conversations, channels. Wires the parts of LocalAccount to public objects.
import { JamiError } from '../base/errors.ts'
import { withOp } from '../base/operation.ts'
import { withSignals } from '../base/signals.ts'
import type { LocalAccount } from '../account/account.ts'
import { isActive } from '../account/contact-list.ts'
import type { PendingRequest } from '../account/trust-requests.ts'
import type { PresenceState } from '../contracts/account.ts'
import type { Channel as WireChannel } from '../contracts/channel.ts'
import type { Clock } from '../contracts/clock.ts'
import type { ConversationEntry } from '../contracts/conversations.ts'
import type { PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, ConversationId, DeviceId } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'
import type { Account, AccountEvents, Channel, Channels, Contact, ContactRequest, Contacts, Conversation, ConversationList, PeerLike } from './api.ts'
import { channelName, channelStream, PROTOCOL_SCHEME, protocolOf } from './channel-stream.ts'
import { EventHub } from './event-hub.ts'
import { MessagePump } from './message-pump.ts'
import { peerUri, PublicConversation } from './public-conversation.ts'

const MAX_CHANNELS_PER_PEER = 16
const MEMBER_ACTIONS: Readonly<Record<string, AccountEvents['member']['action']>> = { add: 'added', join: 'joined', remove: 'left', ban: 'banned', unban: 'unbanned' }

const ACCOUNT_EVENTS: Readonly<Record<keyof AccountEvents, true>> = {
  message: true, 'message:status': true, typing: true, 'contact:request': true, contact: true, conversation: true, member: true, presence: true, online: true,
}

interface ProtocolHandler {
  readonly fn: (channel: Channel) => unknown
  readonly allow: 'contacts' | 'own-devices' | ((peer: { uri: AccountUri; device: DeviceId }) => boolean | Promise<boolean>)
  readonly maxPerPeer: number
  /** Open channels per device; bounded by the links. */
  readonly open: Map<DeviceId, number>
}

export interface PublicAccountEnv {
  readonly clock: Clock
  readonly onError: (error: unknown, source: string) => void
  readonly exportArchive: (account: PublicAccount, options: { password?: string; currentPassword?: string }) => Promise<Uint8Array>
}

export class PublicAccount extends EventHub<AccountEvents> implements Account {
  readonly local: LocalAccount
  readonly contacts: Contacts
  readonly conversations: ConversationList
  readonly channels: Channels
  readonly presence: Account['presence']
  readonly profile: Account['profile']
  readonly #env: PublicAccountEnv
  readonly #pump: MessagePump
  /** Fires when the account stops: everything that waits ends with ERR_CLOSED. */
  readonly #life = new AbortController()
  readonly #shown = new Map<ConversationId, PublicConversation>() // bounded by the conversations
  readonly #protocols = new Map<string, ProtocolHandler>() // bounded by the program's registrations
  #stopped: Promise<void> | undefined

  constructor(env: PublicAccountEnv, local: LocalAccount) {
    super({ clock: env.clock, what: 'the account', events: ACCOUNT_EVENTS, onError: (error, event) => env.onError(error, `listener of ${event}`) })
    this.#env = env
    this.local = local
    this.#pump = new MessagePump({
      conversations: local.conversations,
      wanted: () => this.count('message') > 0,
      deliver: (entry) => this.#deliver(entry),
      onError: (error) => env.onError(error, 'message delivery'),
    })
    const state = (peer: PeerLike): PresenceState => local.presence.state(peerUri(peer))
    this.presence = { get: state }
    this.profile = {
      get displayName() {
        return local.record.displayName
      },
      set: ({ displayName }) => local.setDisplayName(displayName),
    }
    this.contacts = {
      list: () => local.contacts.entries().filter(([, r]) => isActive(r) || r.banned).map(([uri]) => this.#contact(uri)),
      requests: () => local.requests.pending().map((r) => this.#request(r)),
      add: async (peer, op) => this.conversation(await this.#alive(op, 'adding a contact', () => local.addContact(this.#other(peer)))),
      remove: (peer, options) => local.removeContact(peerUri(peer), options?.ban ?? false),
      unban: async (peer) => void (await local.addContact(this.#other(peer))),
    }
    this.conversations = {
      get: (id) => this.conversation(id),
      with: async (peer, op) => {
        const uri = this.#other(peer)
        const known = local.contacts.isContact(uri) ? local.contacts.conversationWith(uri) : undefined
        const id = known && local.conversations.get(known) ? known : await this.#alive(op, 'adding a contact', () => local.addContact(uri))
        return this.conversation(id).whenReady(op)
      },
      [Symbol.asyncIterator]: () => this.#list(),
    }
    this.channels = { handle: (protocol, fn, options) => this.#handle(protocol, fn, options) }
    this.#wire()
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
    if (!this.local.conversations.get(id)) throw new JamiError('ERR_NOT_FOUND', `no conversation ${id}`)
    return this.#show(id)
  }

  override on<K extends keyof AccountEvents>(event: K, listener: (payload: AccountEvents[K]) => unknown, options?: { signal?: AbortSignal }): () => void {
    let listening = true
    const off = super.on(event, listener, options)
    // what arrived before anybody listened; after the current turn, so that all listeners of a program are in place
    if (event === 'message') queueMicrotask(() => this.#pump.wakeAll())
    if (event === 'contact:request' && !this.#life.signal.aborted && !options?.signal?.aborted) {
      for (const request of this.local.requests.pending()) queueMicrotask(() => {
        if (!listening || options?.signal?.aborted || this.local.requests.get(request.from) !== request) return
        void this.call('contact:request', listener as (payload: ContactRequest) => unknown, this.#request(request))
      })
    }
    return () => {
      listening = false
      off()
    }
  }

  export(options: { password?: string; currentPassword?: string } = {}): Promise<Uint8Array> {
    return this.#env.exportArchive(this, options)
  }

  ready(op?: Op): Promise<void> {
    return this.#alive(op, 'announcing the device', (signal) =>
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
  #alive<T>(op: Op | undefined, what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return withSignals([op?.signal, this.#life.signal], (signal) => withOp(this.#env.clock, { ...op, signal }, what, work))
  }

  /** Lets running listeners finish, then stops. */
  stop(graceMs: number): Promise<void> {
    this.#stopped ??= (async () => {
      await withOp(this.#env.clock, { timeoutMs: graceMs }, 'running listeners', () => this.#pump.stop()).catch(() => {})
      this.#life.abort(new JamiError('ERR_CLOSED', 'the account was stopped'))
      await this.local.stop()
      this.close()
    })()
    return this.#stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(2000)
  }

  #other(peer: PeerLike): AccountUri {
    const uri = peerUri(peer)
    if (uri === this.uri) throw new JamiError('ERR_ARGUMENT', 'peer: got our own account, allowed another one')
    return uri
  }

  #show(id: ConversationId): PublicConversation {
    let shown = this.#shown.get(id)
    if (!shown) this.#shown.set(id, (shown = new PublicConversation({ conversations: this.local.conversations, clock: this.#env.clock, ownUri: this.uri, life: this.#life.signal }, id)))
    return shown
  }

  async *#list(): AsyncGenerator<Conversation> {
    for (const { id } of this.local.conversations.list()) yield this.#show(id)
  }

  #contact(uri: AccountUri, displayName?: string): Contact {
    const record = this.local.contacts.get(uri)
    return { uri, displayName: record?.displayName ?? displayName, confirmed: this.local.contacts.isConfirmed(uri), banned: this.local.contacts.isBanned(uri) }
  }

  #request(request: PendingRequest): ContactRequest {
    return {
      from: this.#contact(request.from, request.displayName),
      receivedAt: new Date(request.receivedMs),
      accept: async (op) => this.#show(await this.#alive(op, 'accepting', () => this.local.acceptRequest(request.from))).whenReady(op),
      decline: async (options) => {
        if (options?.ban) await this.local.removeContact(request.from, true)
        else await this.local.requests.decline(request.from)
      },
    }
  }

  async #announce(request: PendingRequest): Promise<void> {
    if (!this.local.requests.pending().some((r) => r.from === request.from)) return
    await this.emit('contact:request', this.#request(request))
  }

  async #deliver(entry: ConversationEntry): Promise<void> {
    const message = this.#show(entry.conversation).show(entry)
    if (message.type === 'text' || message.type === 'unknown') await this.emit('message', message)
  }

  /** Membership is told as it happens, whether or not anybody reads messages. */
  #tellMember(entry: ConversationEntry): void {
    const action = entry.type === 'member' ? MEMBER_ACTIONS[entry.fields.action ?? ''] : undefined
    if (action) void this.emit('member', { conversation: this.#show(entry.conversation), uri: (entry.fields.uri ?? '') as AccountUri, action })
  }

  #wire(): void {
    const { conversations, requests, presence, announcer } = this.local
    conversations.onEntry(({ entry, own }) => {
      if (!own) this.#tellMember(entry)
      this.#pump.wake(entry.conversation)
    })
    conversations.onReady(({ conversation }) => {
      void this.emit('conversation', { conversation: this.#show(conversation), action: 'ready' })
      this.#pump.wake(conversation)
    })
    conversations.onRemoved(({ conversation }) => {
      void this.emit('conversation', { conversation: this.#show(conversation), action: 'removed' })
      this.#shown.delete(conversation)
    })
    conversations.onStatus(({ conversation, message, member, status }) =>
      void this.emit('message:status', { conversation: this.#show(conversation), messageId: message, member, status }))
    conversations.onTyping(({ conversation, from, active }) => void this.emit('typing', { conversation: this.#show(conversation), from, active }))
    requests.onRequest((request) => void this.#announce(request))
    presence.onChange(({ account, state }) => void this.emit('presence', { uri: account, state }))
    announcer.onChange((online) => void this.emit('online', { online }))
    this.local.onContact(({ account, action }) => void this.emit('contact', { contact: this.#contact(account), action }))
    this.local.connections.handle(PROTOCOL_SCHEME, { accept: (name, peer) => this.#allows(name, peer), open: (channel) => this.#serve(channel) })
  }

  #handle(protocol: string, fn: (channel: Channel) => unknown, options: Parameters<Channels['handle']>[2] = {}): () => void {
    channelName(protocol)
    if (this.#protocols.has(protocol)) throw new JamiError('ERR_ARGUMENT', `protocol ${protocol} has a handler already`)
    const handler: ProtocolHandler = { fn, allow: options.allow ?? 'contacts', maxPerPeer: options.maxPerPeer ?? MAX_CHANNELS_PER_PEER, open: new Map() }
    this.#protocols.set(protocol, handler)
    return () => {
      if (this.#protocols.get(protocol) === handler) this.#protocols.delete(protocol)
    }
  }

  async #allows(name: string, peer: PeerIdentity): Promise<boolean> {
    const handler = this.#protocols.get(protocolOf(name))
    if (!handler || (handler.open.get(peer.deviceId) ?? 0) >= handler.maxPerPeer) return false
    const own = peer.accountId === this.uri
    if (handler.allow === 'own-devices') return own
    if (handler.allow === 'contacts') return own || this.local.contacts.isContact(peer.accountId)
    return handler.allow({ uri: peer.accountId, device: peer.deviceId })
  }

  #serve(channel: WireChannel): void {
    const handler = this.#protocols.get(protocolOf(channel.name))
    if (!handler) return channel.abort(new JamiError('ERR_CHANNEL_DECLINED', 'the protocol has no handler any more'))
    const device = channel.remote.deviceId
    handler.open.set(device, (handler.open.get(device) ?? 0) + 1)
    void channel.closed.then(() => {
      const left = (handler.open.get(device) ?? 1) - 1
      if (left > 0) handler.open.set(device, left)
      else handler.open.delete(device)
    })
    const stream = channelStream(channel)
    stream.on('error', (error) => this.#env.onError(error, `channel ${channel.name}`))
    void (async () => {
      try {
        await handler.fn(stream)
      } catch (error) {
        stream.destroy()
        this.#env.onError(error, `protocol ${protocolOf(channel.name)}`)
      }
    })()
  }
}
