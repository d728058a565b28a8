// A conversation as programs see it: a thin object over the conversations contract. No protocol. Proof: node/jami-node.test.ts.
import { checkArgument, checkOptions, is, OP } from '../base/arguments.ts'
import { closedError, JamiError, notFoundError } from '../base/errors.ts'
import { INSPECT, shown } from '../base/inspect.ts'
import { abandonable, withOp } from '../base/operation.ts'
import { withSignals } from '../base/signals.ts'
import { wellFormed } from '../codec/text.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Conversations } from '../contracts/conversations.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { AccountUri, ConversationId, MessageId } from '../contracts/ids.ts'
import type { Listen, Op } from '../contracts/service.ts'
import type { FileSource, SendFileOptions, Transfer } from './api-files.ts'
import type { Contact, Conversation, FileMessage, HistoryOptions, Message, PeerLike, SendOptions, TextMessage } from './api.ts'
import { MAX_KEY_LENGTH, MAX_PATH_LENGTH, MAX_TEXT_LENGTH } from './limits.ts'
import type { PublicFiles } from './public-files.ts'
import { MESSAGE_ID, parseMessageId, PEER, peerUri } from './public-ids.ts'
import { messageOf } from './public-message.ts'

const TEXT = is.text(1, MAX_TEXT_LENGTH)
const REPLY = { ...OP, idempotencyKey: is.text(1, MAX_KEY_LENGTH) }
const SEND = { ...REPLY, replyTo: MESSAGE_ID }
const HISTORY = { ...OP, before: MESSAGE_ID, after: MESSAGE_ID, order: is.oneOf('newest', 'oldest'), limit: is.whole(0, Number.MAX_SAFE_INTEGER) }
const DELIVERED = { ...OP, to: PEER, status: is.oneOf('sent', 'displayed') }

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

  get members() {
    this.#info()
    return this.#env.conversations.members(this.id)
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
      const message = await this.#message(id)
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
    if (signal === undefined && timeoutMs === undefined) {
      for await (const entry of conversations.history(this.id, range)) yield this.show(entry)
      return
    }
    const entries = conversations.history(this.id, range)[Symbol.asyncIterator]()
    try {
      for (;;) {
        const left = end === Number.POSITIVE_INFINITY ? {} : { timeoutMs: Math.max(0, end - clock.now()) }
        const { value, done } = await this.#within({ ...left, ...(signal ? { signal } : {}) }, 'reading the history', () => entries.next())
        if (done) return
        yield this.show(value)
      }
    } finally {
      void Promise.resolve(entries.return?.()).catch(() => {}) // what is under way must not hold up whoever leaves
    }
  }

  async message(id: string, op?: Op): Promise<Message> {
    const message = parseMessageId(id)
    checkOptions(op, OP)
    return this.#within(op, 'reading a message', () => this.#message(message))
  }

  async #message(id: MessageId): Promise<Message> {
    const entry = await this.#env.conversations.entry(this.id, id)
    if (!entry) throw notFoundError(`message ${id}`, { conversation: this.id })
    return this.show(entry)
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

  /** An entry as a public message. */
  show(entry: ConversationEntry): Message {
    return messageOf(entry, {
      conversation: this,
      author: this.#env.contact(entry.author),
      own: entry.author === this.#env.ownUri,
      reply: async (text, options) => {
        checkOptions(options, REPLY)
        return this.send(text, { ...options, replyTo: entry.id })
      },
      download: (to, options) => this.#env.files.download(this.id, entry.id, to, options),
      delivered: (options) => abandonable(this.#delivered(entry.id, options)),
    })
  }

  async #delivered(message: MessageId, options: { to?: PeerLike; status?: 'sent' | 'displayed' } & Op = {}): Promise<void> {
    checkOptions(options, DELIVERED)
    const { conversations, ownUri } = this.#env
    const { to, status = 'sent', ...op } = options
    const target = to === undefined ? undefined : peerUri(to, 'to')
    if (target !== undefined && (target === ownUri || !this.members.some(({ uri }) => uri === target)))
      throw new JamiError('ERR_NOT_MEMBER', `delivered: got ${target}, allowed another member of conversation ${this.id}`, { details: { field: 'to', got: target, allowed: 'another member' } })
    const reached = () =>
      (target ? [target] : this.members.map((m) => m.uri).filter((uri) => uri !== ownUri)).some((uri) => {
        const known = conversations.statusOf(this.id, message, uri)?.status
        return known === 'displayed' || (known === 'sent' && status === 'sent')
      })
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
