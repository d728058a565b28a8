// Conversations and messages as programs see them: thin objects over the conversations contract. No protocol.
import { JamiError } from '../base/errors.ts'
import { withOp } from '../base/operation.ts'
import { withSignals } from '../base/signals.ts'
import type { Clock } from '../contracts/clock.ts'
import type { ConversationEntry, Conversations } from '../contracts/conversations.ts'
import type { AccountUri, ConversationId, MessageId } from '../contracts/ids.ts'
import type { Listen, Op } from '../contracts/service.ts'
import { parseAccountUri, parseMessageId } from '../identity/ids.ts'
import type { Conversation, HistoryOptions, Message, PeerLike, SendOptions, TextMessage } from './api.ts'

/** One text on the wire; the message itself is a git commit. */
const MAX_TEXT_LENGTH = 1 << 16
const MAX_KEY_LENGTH = 200
const EVENT_TYPES = new Map<string, 'initial' | 'member' | 'merge' | 'profile' | 'vote' | 'call'>([
  ['initial', 'initial'], ['member', 'member'], ['merge', 'merge'], ['application/update-profile', 'profile'], ['vote', 'vote'],
  ['application/call-history+json', 'call'],
])

export interface ConversationEnv {
  readonly conversations: Conversations
  readonly clock: Clock
  readonly ownUri: AccountUri
  /** Fires when the account stops. */
  readonly life: AbortSignal
}

/** A contact or any text with an account id. @throws ERR_ADDRESS_INVALID */
export function peerUri(peer: PeerLike): AccountUri {
  return typeof peer === 'string' ? parseAccountUri(peer) : parseAccountUri(peer?.uri)
}

export class PublicConversation implements Conversation {
  readonly id: ConversationId
  readonly #env: ConversationEnv

  constructor(env: ConversationEnv, id: ConversationId) {
    this.#env = env
    this.id = id
  }

  #info() {
    const info = this.#env.conversations.get(this.id)
    if (!info) throw new JamiError('ERR_NOT_FOUND', `conversation ${this.id} is not here (any more)`)
    return info
  }

  get kind(): 'direct' | 'group' {
    return this.#info().mode === 0 ? 'direct' : 'group'
  }

  get ready(): boolean {
    return this.#env.conversations.get(this.id)?.state === 'ready'
  }

  get members() {
    return this.#info().members
  }

  get head(): MessageId | undefined {
    return this.#info().head
  }

  async send(text: string, options: SendOptions = {}): Promise<TextMessage> {
    if (typeof text !== 'string' || text.length === 0 || text.length > MAX_TEXT_LENGTH || text.includes('\0'))
      throw new JamiError('ERR_ARGUMENT', `text: got ${typeof text === 'string' ? `${text.length} characters` : typeof text}, allowed 1 to ${MAX_TEXT_LENGTH} characters without NUL`)
    const { replyTo, idempotencyKey: key, ...op } = options
    if (key !== undefined && (key.length === 0 || key.length > MAX_KEY_LENGTH)) throw new JamiError('ERR_ARGUMENT', `idempotencyKey: got ${key.length} characters, allowed 1 to ${MAX_KEY_LENGTH}`)
    const { conversations, clock } = this.#env
    const fields = { body: text, ...(replyTo === undefined ? {} : { 'reply-to': parseMessageId(replyTo) }) }
    const id = await withOp(clock, op, 'sending', (signal) => conversations.append(this.id, { type: 'text/plain', fields }, { signal, ...(key === undefined ? {} : { key }) }))
    const message = await this.message(id)
    if (message.type !== 'text') throw new JamiError('ERR_INTERNAL', `message ${id} is of type ${message.type}, expected text`)
    return message
  }

  async *history(options: HistoryOptions = {}): AsyncIterableIterator<Message> {
    for await (const entry of this.#env.conversations.history(this.id, options)) yield this.show(entry)
  }

  async message(id: MessageId): Promise<Message> {
    const entry = await this.#env.conversations.entry(this.id, parseMessageId(id))
    if (!entry) throw new JamiError('ERR_NOT_FOUND', `message ${id} is not in conversation ${this.id}`)
    return this.show(entry)
  }

  typing(active: boolean): void {
    this.#env.conversations.setTyping(this.id, active)
  }

  markRead(upTo: MessageId): Promise<void> {
    return this.#env.conversations.markDisplayed(this.id, parseMessageId(upTo))
  }

  sync(op?: Op): Promise<void> {
    return withOp(this.#env.clock, op, 'synchronising', (signal) => this.#env.conversations.sync(this.id, { signal }))
  }

  export(directory: string): Promise<void> {
    return this.#env.conversations.exportTo(this.id, directory)
  }

  /** Resolves when the history is here. */
  async whenReady(op: Op = {}): Promise<this> {
    const { conversations } = this.#env
    await this.#until(op, 'fetching the conversation', conversations.onReady, () => this.#info().state === 'ready')
    return this
  }

  /** An entry as a public message. */
  show(entry: ConversationEntry): Message {
    const replyTo = entry.fields['reply-to']
    const base = {
      id: entry.id,
      conversation: this,
      from: entry.author,
      device: entry.device,
      own: entry.author === this.#env.ownUri,
      sentAt: new Date(entry.timeMs),
      replyTo: replyTo === undefined ? undefined : (replyTo as MessageId),
      reply: (text: string, options?: SendOptions) => this.send(text, { ...options, replyTo: entry.id }),
      delivered: (options?: { to?: PeerLike; status?: 'sent' | 'displayed' } & Op) => this.#delivered(entry.id, options),
    }
    const event = EVENT_TYPES.get(entry.type)
    if (event) return { ...base, type: event, fields: entry.fields }
    if (entry.type === 'text/plain' && !('edit' in entry.fields) && !('react-to' in entry.fields)) return { ...base, type: 'text', text: entry.fields.body ?? '' }
    return { ...base, type: 'unknown', wireType: entry.type, fields: entry.fields }
  }

  async #delivered(message: MessageId, options: { to?: PeerLike; status?: 'sent' | 'displayed' } & Op = {}): Promise<void> {
    const { conversations, ownUri } = this.#env
    const { to, status = 'sent', ...op } = options
    const target = to === undefined ? undefined : peerUri(to)
    const reached = () =>
      (target ? [target] : this.members.map((m) => m.uri).filter((uri) => uri !== ownUri)).some((uri) => {
        const known = conversations.statusOf(this.id, message, uri)
        return known === 'displayed' || (known === 'sent' && status === 'sent')
      })
    await this.#until(op, `delivery of ${message}`, conversations.onStatus, reached)
  }

  /** Waits for an event of this conversation after which `reached` holds. @throws ERR_NOT_FOUND when it is removed, ERR_CLOSED */
  async #until(op: Op, what: string, listen: Listen<{ conversation: ConversationId }>, reached: () => boolean): Promise<void> {
    const { conversations, clock, life } = this.#env
    await withSignals([op.signal, life], (both) => withOp(clock, { ...op, signal: both }, what, (signal) =>
      new Promise<void>((resolve, reject) => {
        if (reached()) return resolve()
        const offs = [
          listen((event) => {
            if (event.conversation === this.id && reached()) end(resolve)
          }),
          conversations.onRemoved((event) => {
            if (event.conversation === this.id) end(() => reject(new JamiError('ERR_NOT_FOUND', `conversation ${this.id} was removed`)))
          }),
        ]
        const end = (settle: () => void) => {
          for (const off of offs) off()
          settle()
        }
        signal.addEventListener('abort', () => end(() => {}), { once: true })
      })))
  }
}
