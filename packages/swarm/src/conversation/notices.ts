// What peers say about conversations in small messages: there is a commit, join us, where is it, we have read it, we are typing. Nothing of
// it is believed beyond where to look. docs/protocol/04 §4.5, §5.2, §5.6, §5.8, traps S7, S17, S18. Proof: conversation/conversations.test.ts,
// conversation/invitations.test.ts, conversation/notices.test.ts (hostile).
import { JamiError, SummedWarning, TokenBucket } from '@jamikit/core/base'
import type { AccountUri, BaseEnv, CertificateStore, ContactBook, ConversationId, ConversationInvitation, DeviceId, MessageId, PeerMessage, PeerMessages } from '@jamikit/core/contracts'
import { parseConversationId } from '@jamikit/core/identity'
import { ASK_INVITE_MS, ELSEWHERE_RATE, MAX_RATED_DEVICES } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'
import type { Conversation } from './conversation.ts'
import type { Invitations } from './invitations.ts'
import type { Pending, Registry } from './registry.ts'
import { MIME, parseCommitNotice, parseDisplayed, parseInvitation, parseTyping } from './small-payloads.ts'

const MAX_ASKED = 4096

export interface NoticesEnv extends Pick<BaseEnv, 'clock' | 'logger'> {
  readonly contacts: ContactBook
  readonly certificates: CertificateStore
  readonly messages: PeerMessages
  readonly registry: Registry
  readonly invitations: Invitations
  readonly mayFetch: (conversation: Conversation, account: AccountUri, device?: DeviceId) => boolean
  readonly fetch: (conversation: Conversation, account: AccountUri, device: DeviceId, commit: Oid) => void
  /** A device announced what is here. */
  readonly onHint: (conversation: Conversation, account: AccountUri, device: DeviceId, commit: Oid) => void
  readonly clone: (pending: Pending, device: DeviceId) => void
  /** Follows to a 1:1. */
  readonly accept: (id: ConversationId, from: AccountUri) => Promise<void>
  readonly onInvitation: (invitation: ConversationInvitation) => void
  /** A member's device wants an invitation. */
  readonly onAsked: (conversation: Conversation, account: AccountUri, device: DeviceId) => void
  readonly onDisplayed: (conversation: Conversation, account: AccountUri, message: MessageId) => Promise<void>
  readonly onTyping: (conversation: ConversationId, account: AccountUri, active: boolean) => void
}

export class Notices {
  readonly #env: NoticesEnv
  readonly #asked = new Map<string, number>() // bounded by MAX_ASKED
  readonly #elsewhere = new Map<DeviceId, TokenBucket>() // of who names other devices, least used first; bounded by MAX_RATED_DEVICES
  readonly #tooMany: SummedWarning

  constructor(env: NoticesEnv) {
    this.#env = env
    this.#tooMany = new SummedWarning(env.clock, (fields) => env.logger.warn(fields, 'invitations were dropped: too many'))
  }

  /** @returns what takes the handlers away again */
  listen(): (() => void)[] {
    const { messages } = this.#env
    return [
      messages.handle(MIME.commit, (m) => this.#commit(m)),
      messages.handle(MIME.invite, (m) => this.#asks(m)),
      messages.handle(MIME.invitation, (m) => this.#invites(m)),
      messages.handle(MIME.displayed, (m) => this.#displayed(m)),
      messages.handle(MIME.typing, (m) => this.#types(m)),
    ]
  }

  /** The end of everything that waits. */
  stop(): void {
    this.#tooMany.flush()
  }

  async #commit(m: PeerMessage): Promise<void> {
    const { registry, invitations, contacts, certificates, mayFetch, fetch, clone } = this.#env
    const { conversation: id, commit, device } = parseCommitNotice(m.body)
    const pending = registry.findPending(id)
    if (pending) {
      if (pending.from === m.from) clone(pending, m.fromDevice)
      return
    }
    const conversation = registry.find(id)
    if (!conversation) {
      if (registry.gone(id)) {
        if (this.#isBack(m.from, id)) await this.#follow(id, m.from)
      } else if (contacts.isConfirmed(m.from) && !invitations.get(id) && !invitations.isDeclined(id)) this.#ask(m.from, id)
      return
    }
    if (!mayFetch(conversation, m.from, m.fromDevice)) return
    if (conversation.has(commit)) return this.#env.onHint(conversation, m.from, m.fromDevice, commit)
    // the device in a notice only says where to look; it must belong to a member, whose sessions are not for others to use up
    const named = device === m.fromDevice || !this.#mayName(m.fromDevice) ? undefined : await certificates.get(device)
    if (named && mayFetch(conversation, named.accountId, device)) fetch(conversation, named.accountId, device, commit)
    else fetch(conversation, m.from, m.fromDevice, commit)
  }

  /** Once in a while: else we look with the teller, who has it as well. */
  #mayName(teller: DeviceId): boolean {
    const bucket = this.#elsewhere.get(teller) ?? new TokenBucket(ELSEWHERE_RATE, this.#env.clock.now())
    this.#elsewhere.delete(teller)
    this.#elsewhere.set(teller, bucket)
    for (const oldest of this.#elsewhere.keys()) {
      if (this.#elsewhere.size <= MAX_RATED_DEVICES) break
      this.#elsewhere.delete(oldest)
    }
    return bucket.tryTake(this.#env.clock.now())
  }

  /** A 1:1 that we removed, with a contact who came back since and speaks to us in another one: what they wrote in the old one is not lost. */
  #isBack(from: AccountUri, id: ConversationId): boolean {
    const { contacts, registry } = this.#env
    const current = contacts.conversationWith(from)
    return registry.gone(id)?.mode === 0 && contacts.isConfirmed(from) && current !== undefined && current !== id
  }

  /** Asks for an invitation to what we do not know, once in a while. */
  #ask(peer: AccountUri, id: ConversationId): void {
    const { clock, messages } = this.#env
    const key = `${peer} ${id}`
    const now = clock.now()
    const last = this.#asked.get(key)
    if (last !== undefined && now - last < ASK_INVITE_MS) return
    this.#asked.delete(key)
    for (const oldest of this.#asked.keys()) {
      if (this.#asked.size < MAX_ASKED) break
      this.#asked.delete(oldest)
    }
    this.#asked.set(key, now)
    void messages.send(peer, { mime: MIME.invite, body: id }, { connectedOnly: true }).catch(() => {})
  }

  #asks(m: PeerMessage): void {
    const conversation = this.#env.registry.find(parseConversationId(m.body.trim()))
    if (conversation && conversation.mode !== 4 && this.#env.mayFetch(conversation, m.from, m.fromDevice)) this.#env.onAsked(conversation, m.from, m.fromDevice)
  }

  /**
   * To a group: kept until it is answered. Only a confirmed contact can bring a 1:1 this way; everybody else goes through a contact request.
   * Its own request for it may have been lost: the clone shows whether it is between us.
   */
  async #invites(m: PeerMessage): Promise<void> {
    const { contacts, registry, invitations, onInvitation } = this.#env
    const invited = parseInvitation(m.body)
    const { conversation: id, mode, receivedMs } = invited
    const gone = registry.gone(id)
    if (registry.has(id) || mode === 4) return
    if (mode === 0) {
      if (contacts.isConfirmed(m.from) && (!gone || this.#isBack(m.from, id))) await this.#follow(id, m.from)
      return
    }
    if (gone && (gone.mode === 0 || (receivedMs > 0 && receivedMs <= gone.acceptedMs))) return // the invitation that we had accepted
    const { outcome, invitation } = await invitations.offer(m.from, invited)
    if (outcome === 'full') this.#tooMany.hit({ from: m.from })
    if (outcome === 'stored') onInvitation(invitation)
  }

  async #follow(id: ConversationId, from: AccountUri): Promise<void> {
    try {
      await this.#env.accept(id, from)
    } catch (error) {
      if (!JamiError.is(error, 'ERR_LIMIT')) throw error
      this.#tooMany.hit({ from })
    }
  }

  async #displayed(m: PeerMessage): Promise<void> {
    const { conversation: id, message } = parseDisplayed(m.body)
    const conversation = this.#env.registry.find(id)
    if (conversation && this.#env.mayFetch(conversation, m.from, m.fromDevice)) await this.#env.onDisplayed(conversation, m.from, message)
  }

  #types(m: PeerMessage): void {
    const { conversation: id, active } = parseTyping(m.body)
    const conversation = this.#env.registry.find(id)
    if (conversation && this.#env.mayFetch(conversation, m.from, m.fromDevice)) this.#env.onTyping(id, m.from, active)
  }
}
