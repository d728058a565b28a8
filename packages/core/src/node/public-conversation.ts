// A conversation as programs see it: a thin object over the conversations contract. No protocol. Proof: node/jami-node.test.ts,
// node/public-message.test.ts.
import { type Check, checkArgument, checkOptions, is, OP } from '../base/arguments.ts'
import { argumentError, closedError, JamiError, notFoundError } from '../base/errors.ts'
import { INSPECT, shown } from '../base/inspect.ts'
import { withOp } from '../base/operation.ts'
import { withSignals } from '../base/signals.ts'
import { wellFormed } from '../codec/text.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Conversations } from '../contracts/conversations.ts'
import type { ConversationProfile } from '../contracts/groups.ts'
import type { AccountUri, ConversationId, MessageId } from '../contracts/ids.ts'
import type { MessageQuery, MessageView } from '../contracts/messages.ts'
import type { Listen, Op } from '../contracts/service.ts'
import type { FileSource, SendFileOptions, Transfer } from './api-files.ts'
import type { Contact, Conversation, ConversationMemberInfo, FileMessage, GroupInfo, HistoryOptions, Message, PeerLike, SearchOptions, SendOptions, TextMessage } from './api.ts'
import { GROUP_CHANGE, MAX_PATH_LENGTH, MAX_PREFERENCE_KEY, MAX_PREFERENCE_LENGTH, MAX_PREFERENCES, MAX_QUERY_LENGTH, MAX_TEXT_LENGTH } from './limits.ts'
import type { PublicFiles } from './public-files.ts'
import { MESSAGE_ID, parseMessageId, PEER, peerUri } from './public-ids.ts'
import { messageOf, plainView, REPLY, WIRE_TYPES } from './public-message.ts'

const TEXT = is.text(1, MAX_TEXT_LENGTH)
const SEND = { ...REPLY, replyTo: MESSAGE_ID }
const HISTORY = { ...OP, before: MESSAGE_ID, after: MESSAGE_ID, order: is.oneOf('newest', 'oldest'), limit: is.whole(0, Number.MAX_SAFE_INTEGER) }
const DELIVERED = { ...OP, to: PEER, all: is.boolean, status: is.oneOf('sent', 'displayed') }
const PATTERN: Check = { allowed: `a RegExp of up to ${MAX_QUERY_LENGTH} characters`, test: (value) => value instanceof RegExp && value.source.length <= MAX_QUERY_LENGTH }
const DATE: Check = { allowed: 'a valid Date', test: (value) => value instanceof Date && !Number.isNaN(value.getTime()) }
const SEARCH = { ...OP, text: is.either(is.text(0, MAX_QUERY_LENGTH), PATTERN), from: PEER, type: is.oneOf(...Object.keys(WIRE_TYPES)), after: DATE, before: DATE, limit: is.whole(0, Number.MAX_SAFE_INTEGER) }
const PREFERENCES: Check = {
  allowed: `an object of up to ${MAX_PREFERENCES} texts, keys of 1 to ${MAX_PREFERENCE_KEY} and values of up to ${MAX_PREFERENCE_LENGTH} characters`,
  test: (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length <= MAX_PREFERENCES
    && Object.entries(value).every(([key, text]) => key.length >= 1 && key.length <= MAX_PREFERENCE_KEY && typeof text === 'string' && text.length <= MAX_PREFERENCE_LENGTH),
}

export interface ConversationEnv {
  readonly conversations: Conversations
  readonly clock: Clock
  readonly ownUri: AccountUri
  /** Fires when the account stops. */
  readonly life: AbortSignal
  readonly contact: (uri: AccountUri) => Contact
  readonly files: PublicFiles<FileMessage>
  /** Something that the program's author should know. */
  readonly warn: (code: string, message: string) => void
}

export class PublicConversation implements Conversation {
  readonly id: ConversationId
  readonly #env: ConversationEnv

  constructor(env: ConversationEnv, id: ConversationId) {
    this.#env = env
    this.id = id
  }

  [INSPECT](): string {
    const { conversations } = this.#env
    return shown('Conversation', { id: this.id, ready: this.ready, members: conversations.members(this.id).length, head: conversations.get(this.id)?.head })
  }

  #info() {
    const info = this.#env.conversations.get(this.id)
    if (!info) throw notFoundError(`conversation ${this.id}`)
    return info
  }

  get kind(): 'direct' | 'group' {
    return this.#info().mode === 0 ? 'direct' : 'group'
  }

  get ready(): boolean {
    return this.#env.conversations.get(this.id)?.state === 'ready'
  }

  get title(): string | undefined {
    return this.#info().title
  }

  get unread(): number {
    return this.ready ? this.#env.conversations.unread(this.#info().id) : 0
  }

  get preferences(): Readonly<Record<string, string>> {
    return this.#env.conversations.preferences(this.#info().id)
  }

  get members(): readonly ConversationMemberInfo[] {
    const { conversations } = this.#env
    const { state } = this.#info()
    const read = (uri: AccountUri) => (state === 'ready' ? conversations.lastRead(this.id, uri) : undefined)
    return conversations.members(this.id).map(({ uri, role }) => ({ uri, role, get lastRead() { return read(uri) } }))
  }

  get head(): MessageId | undefined {
    return this.#info().head
  }

  async send(text: string, options: SendOptions = {}): Promise<TextMessage> {
    checkArgument('text', text, TEXT)
    checkOptions(options, SEND)
    const { replyTo, idempotencyKey, ...op } = options
    const { conversations } = this.#env
    const fields = { body: wellFormed(text), ...(replyTo === undefined ? {} : { 'reply-to': parseMessageId(replyTo) }) }
    const key = idempotencyKey === undefined ? undefined : wellFormed(idempotencyKey)
    return this.#within(op, 'sending', async (signal) => {
      const id = await conversations.append(this.id, { type: 'text/plain', fields }, { signal, ...(key === undefined ? {} : { key }) })
      const entry = await conversations.entry(this.id, id)
      if (!entry) throw notFoundError(`message ${id}`, { conversation: this.id })
      const message = this.show(plainView(entry))
      if (message.type !== 'text') throw new JamiError('ERR_INTERNAL', `message ${id} is of type ${message.type}, expected text`, { details: { got: message.type, allowed: 'text' } })
      if (message.text !== fields.body || message.replyTo !== fields['reply-to'])
        this.#env.warn('JAMI_KEY_REUSED', `send() to conversation ${this.id}: another text has been sent under this idempotencyKey before (message ${id}); nothing was sent now`)
      return message
    })
  }

  sendFile(source: FileSource, options?: SendFileOptions): Transfer<FileMessage> {
    return this.#env.files.send(this.id, source, options)
  }

  history(options: HistoryOptions = {}): AsyncIterableIterator<Message> {
    checkOptions(options, HISTORY)
    return this.#history(options)
  }

  async *#history({ before, after, signal, timeoutMs, ...rest }: HistoryOptions): AsyncGenerator<Message> {
    const { clock, conversations } = this.#env
    const end = timeoutMs === undefined ? Number.POSITIVE_INFINITY : clock.now() + timeoutMs
    const range = { ...rest, ...(before === undefined ? {} : { before: parseMessageId(before) }), ...(after === undefined ? {} : { after: parseMessageId(after) }) }
    yield* this.#shown(conversations.messages(this.id, range), end, signal, 'reading the history')
  }

  search(options: SearchOptions): AsyncIterableIterator<Message> {
    checkArgument('options', options, { allowed: 'what to look for', test: (value) => value !== undefined })
    checkOptions(options, SEARCH)
    const { text, from, type, after, before, limit, signal, timeoutMs } = options
    const query: MessageQuery = {
      ...(text === undefined ? {} : { text }), ...(from === undefined ? {} : { author: peerUri(from, 'from') }), ...(type === undefined ? {} : { type: WIRE_TYPES[type] }),
      ...(after ? { afterMs: after.getTime() } : {}), ...(before ? { beforeMs: before.getTime() } : {}), ...(limit === undefined ? {} : { limit }),
    }
    const { clock, conversations } = this.#env
    const end = timeoutMs === undefined ? Number.POSITIVE_INFINITY : clock.now() + timeoutMs
    return this.#shown(conversations.search(this.id, query), end, signal, 'searching')
  }

  /** One after the other, within the caller's limits. */
  async *#shown(views: AsyncIterable<MessageView>, end: number, signal: AbortSignal | undefined, what: string): AsyncGenerator<Message> {
    const { clock } = this.#env
    if (signal === undefined && end === Number.POSITIVE_INFINITY) {
      for await (const view of views) yield this.show(view)
      return
    }
    const items = views[Symbol.asyncIterator]()
    try {
      for (;;) {
        const left = end === Number.POSITIVE_INFINITY ? {} : { timeoutMs: Math.max(0, end - clock.now()) }
        const { value, done } = await this.#within({ ...left, ...(signal ? { signal } : {}) }, what, () => items.next())
        if (done) return
        yield this.show(value)
      }
    } finally {
      void Promise.resolve(items.return?.()).catch(() => {}) // what is under way must not hold up whoever leaves
    }
  }

  async message(id: string, op?: Op): Promise<Message> {
    const message = parseMessageId(id)
    checkOptions(op, OP)
    return this.#within(op, 'reading a message', () => this.#message(message))
  }

  async #message(id: MessageId): Promise<Message> {
    const view = await this.#env.conversations.message(this.id, id)
    if (!view) throw notFoundError(`message ${id}`, { conversation: this.id })
    return this.show(view)
  }

  typing(active: boolean): void {
    checkArgument('active', active, is.boolean)
    this.#env.conversations.setTyping(this.id, active)
  }

  async markRead(upTo: string, op?: Op): Promise<void> {
    const message = parseMessageId(upTo, 'upTo')
    checkOptions(op, OP)
    return this.#within(op, 'marking as read', () => this.#env.conversations.markDisplayed(this.id, message))
  }

  async profile(op?: Op): Promise<ConversationProfile> {
    checkOptions(op, OP)
    return this.#within(op, 'reading the profile', () => this.#env.conversations.profile(this.id))
  }

  async update(change: { [K in keyof GroupInfo]?: GroupInfo[K] | null }, op?: Op): Promise<void> {
    checkArgument('change', change, { allowed: 'what to change', test: (value) => value !== undefined })
    checkOptions(change, GROUP_CHANGE, 'change')
    checkOptions(op, OP)
    const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined).map(([name, value]) => [name, typeof value === 'string' ? wellFormed(value) : value]))
    return this.#within(op, 'changing the profile', () => this.#env.conversations.updateProfile(this.id, given))
  }

  async setPreferences(preferences: Readonly<Record<string, string>>, op?: Op): Promise<void> {
    checkArgument('preferences', preferences, PREFERENCES)
    checkOptions(op, OP)
    return this.#within(op, 'keeping preferences', () => this.#env.conversations.setPreferences(this.id, { ...preferences }))
  }

  async invite(peer: PeerLike, op?: Op): Promise<void> {
    await this.#toMember('inviting', peer, op, (uri) => this.#env.conversations.invite(this.id, uri))
  }

  async ban(peer: PeerLike, op?: Op): Promise<void> {
    await this.#toMember('banning', peer, op, (uri) => this.#env.conversations.ban(this.id, uri))
  }

  async unban(peer: PeerLike, op?: Op): Promise<void> {
    await this.#toMember('taking a ban back', peer, op, (uri) => this.#env.conversations.unban(this.id, uri))
  }

  async #toMember(what: string, peer: PeerLike, op: Op | undefined, work: (uri: AccountUri) => Promise<void>): Promise<void> {
    const uri = peerUri(peer)
    checkOptions(op, OP)
    if (uri === this.#env.ownUri) throw argumentError('peer', 'our own account', 'another one')
    await this.#within(op, what, () => work(uri))
  }

  async leave(op?: Op): Promise<void> {
    checkOptions(op, OP)
    return this.#within(op, 'leaving', () => this.#env.conversations.leave(this.id))
  }

  async sync(op?: Op): Promise<void> {
    checkOptions(op, OP)
    return this.#within(op, 'synchronising', (signal) => this.#env.conversations.sync(this.id, { signal }))
  }

  async export(directory: string, op?: Op): Promise<void> {
    checkArgument('directory', directory, is.text(1, MAX_PATH_LENGTH))
    checkOptions(op, OP)
    return this.#within(op, 'exporting', () => this.#env.conversations.exportTo(this.id, directory))
  }

  /** Resolves when the history is here. */
  async whenReady(op: Op = {}): Promise<this> {
    const { conversations } = this.#env
    await this.#until(op, 'fetching the conversation', conversations.onReady, () => this.#info().state === 'ready')
    return this
  }

  /** A message as it stands, for programs. */
  show(view: MessageView): Message {
    const { conversations, ownUri, contact } = this.#env
    return messageOf(view, {
      conversation: this, ownUri, author: contact(view.entry.author),
      view: (id) => conversations.message(this.id, id),
      append: (body, signal) => conversations.append(this.id, body, { signal }),
      statuses: (id) => this.members.flatMap(({ uri }) => {
        const known = uri === ownUri ? undefined : conversations.statusOf(this.id, id, uri)
        return known ? [{ member: uri, status: known.status, at: new Date(known.atMs) }] : []
      }),
      download: (to, options) => this.#env.files.download(this.id, view.entry.id, to, options),
      delivered: (id, options) => this.#delivered(id, options),
      within: (op, what, work) => this.#within(op, what, work),
    })
  }

  async #delivered(message: MessageId, options: { to?: PeerLike; all?: boolean; status?: 'sent' | 'displayed' } & Op = {}): Promise<void> {
    checkOptions(options, DELIVERED)
    const { conversations, ownUri } = this.#env
    const { to, all = false, status = 'sent', ...op } = options
    if (to !== undefined && all) throw argumentError('all', 'true together with to', 'one of them')
    const target = to === undefined ? undefined : peerUri(to, 'to')
    if (target !== undefined && (target === ownUri || conversations.roleOf(this.#info().id, target) === undefined))
      throw new JamiError('ERR_NOT_MEMBER', `delivered: got ${target}, allowed another member of conversation ${this.id}`, { details: { field: 'to', got: target, allowed: 'another member' } })
    const has = (uri: AccountUri) => {
      const known = conversations.statusOf(this.id, message, uri)?.status
      return known === 'displayed' || (known === 'sent' && status === 'sent')
    }
    const reached = () => {
      if (target) return has(target)
      const others = conversations.members(this.id).filter(({ uri }) => uri !== ownUri)
      return all ? others.filter(({ role }) => role === 'admin' || role === 'member').every(({ uri }) => has(uri)) : others.some(({ uri }) => has(uri))
    }
    await this.#until(op, `delivery of ${message}`, conversations.onStatus, reached)
  }

  /** Within the caller's limits, and until the account stops. */
  #within<T>(op: Op | undefined, what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, life } = this.#env
    if (life.aborted) return Promise.reject(closedError('the account'))
    return withSignals([op?.signal, life], (both) => withOp(clock, { ...op, signal: both }, what, work))
  }

  /** Waits for an event of this conversation after which `reached` holds. @throws ERR_NOT_FOUND when it is removed, ERR_CLOSED */
  #until(op: Op, what: string, listen: Listen<{ conversation: ConversationId }>, reached: () => boolean): Promise<void> {
    const { conversations } = this.#env
    return this.#within(op, what, (signal) =>
      new Promise<void>((resolve, reject) => {
        if (reached()) return resolve()
        const offs = [
          listen((event) => {
            if (event.conversation === this.id && reached()) end(resolve)
          }),
          conversations.onRemoved((event) => {
            if (event.conversation === this.id) end(() => reject(notFoundError(`conversation ${this.id}`)))
          }),
        ]
        const end = (settle: () => void) => {
          for (const off of offs) off()
          settle()
        }
        signal.addEventListener('abort', () => end(() => {}), { once: true })
      }))
  }
}
