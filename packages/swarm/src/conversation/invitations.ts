// Invitations that wait for an answer, and those that were declined: a record each, bounded by class and by inviter, on disk first.
// docs/protocol/04 §5.2 (table). Proof: conversation/invitations.test.ts.
import { JamiError } from '@jamikit/core/base'
import { asBytes, asInt, asMap, asString, decodeMsgpack, encodeMsgpack } from '@jamikit/core/codec'
import type { AccountUri, BaseEnv, ContactBook, ConversationId, ConversationInvitation, ConversationMode, ConversationProfile, Storage, StorageOp } from '@jamikit/core/contracts'
import { INVITED_AHEAD_MS, MAX_DECLINED, MAX_INVITATIONS, MAX_INVITATIONS_OF_ONE, STALE_INVITATION_MS } from '../defaults.ts'
import { recordsBelow } from './record.ts'
import type { Invitation } from './small-payloads.ts'

export interface InvitationsEnv extends Pick<BaseEnv, 'clock'> {
  readonly storage: Storage
  readonly prefix: string
  readonly contacts: ContactBook
  /** A record cannot be read: it is left as it is. */
  readonly onProblem: (conversation: ConversationId, error: JamiError) => void
}

/** What became of an invitation. */
export type Outcome = 'stored' | 'known' | 'full'

export class Invitations {
  readonly #env: InvitationsEnv
  readonly #prefix: string
  readonly #waiting = new Map<ConversationId, ConversationInvitation>() // bounded by MAX_INVITATIONS of both classes, oldest first
  readonly #declined = new Map<ConversationId, number>() // when; bounded by MAX_DECLINED, oldest first
  #list: readonly ConversationInvitation[] = []
  #turns: Promise<unknown> = Promise.resolve()

  constructor(env: InvitationsEnv) {
    this.#env = env
    this.#prefix = `${env.prefix}/invitations/`
  }

  async load(): Promise<void> {
    const found: { invitation: ConversationInvitation; declinedMs: number }[] = []
    for await (const { id, bytes } of recordsBelow(this.#env.storage, this.#prefix, /^([0-9a-f]{40})$/)) {
      try {
        found.push(decode(id, bytes))
      } catch (error) {
        this.#env.onProblem(id, JamiError.from(error, 'ERR_STORAGE_CORRUPT'))
      }
    }
    for (const { invitation, declinedMs } of found.sort((a, b) => (a.declinedMs || a.invitation.receivedMs) - (b.declinedMs || b.invitation.receivedMs))) {
      if (declinedMs > 0) this.#declined.set(invitation.conversation, declinedMs)
      else this.#waiting.set(invitation.conversation, invitation)
    }
    this.#show()
  }

  /** Oldest first. The same array until they change. */
  get list(): readonly ConversationInvitation[] {
    return this.#list
  }

  get(id: ConversationId): ConversationInvitation | undefined {
    return this.#waiting.get(id)
  }

  isDeclined(id: ConversationId): boolean {
    return this.#declined.has(id)
  }

  /** One that came over a channel: its sender is verified, its date is not. Durable when it is `stored`. @throws ERR_STORAGE_IO */
  offer(from: AccountUri, { conversation, mode, receivedMs: said, profile }: Invitation): Promise<{ outcome: Outcome; invitation: ConversationInvitation }> {
    return this.#turn(async () => {
      const now = this.#env.clock.wallTimeMs()
      const receivedMs = said === 0 || said > now + INVITED_AHEAD_MS ? now : Math.min(said, now)
      const invitation: ConversationInvitation = { conversation, from, mode, receivedMs, profile }
      const declinedMs = this.#declined.get(conversation)
      if (this.#waiting.has(conversation) || (declinedMs !== undefined && receivedMs <= declinedMs)) return { outcome: 'known', invitation }
      const gone = this.#room(from, now)
      if (!gone) return { outcome: 'full', invitation }
      await this.#env.storage.batch([{ key: this.#key(conversation), value: encode(invitation, 0) }, ...gone.map((id) => ({ key: this.#key(id), value: null }))])
      for (const id of gone) this.#waiting.delete(id)
      this.#declined.delete(conversation)
      this.#waiting.set(conversation, invitation)
      this.#show()
      return { outcome: 'stored', invitation }
    })
  }

  /** Who has to make place for one more of this account; undefined when nobody has. */
  #room(from: AccountUri, nowMs: number): ConversationId[] | undefined {
    const of = this.#env.contacts.isContact(from) ? 'contact' : 'stranger'
    const ofClass = [...this.#waiting.values()].filter((other) => this.#env.contacts.isContact(other.from) === (of === 'contact'))
    const own = ofClass.filter((other) => other.from === from)
    if (own.length >= MAX_INVITATIONS_OF_ONE[of]) return undefined
    if (ofClass.length < MAX_INVITATIONS[of]) return []
    const oldest = ofClass.reduce((a, b) => (b.receivedMs < a.receivedMs ? b : a))
    return nowMs - oldest.receivedMs > STALE_INVITATION_MS ? [oldest.conversation] : undefined
  }

  /** Durable when it resolves: only a later one is heard. @throws ERR_NOT_FOUND, ERR_STORAGE_IO */
  decline(id: ConversationId): Promise<void> {
    return this.#turn(async () => {
      const invitation = this.#waiting.get(id)
      if (!invitation) throw new JamiError('ERR_NOT_FOUND', `there is no invitation to ${id}`, { details: { conversation: id } })
      const declinedMs = Math.max(this.#env.clock.wallTimeMs(), invitation.receivedMs)
      const oldest = this.#declined.size < MAX_DECLINED ? undefined : this.#declined.keys().next().value
      await this.#env.storage.batch([{ key: this.#key(id), value: encode({ ...invitation, profile: {} }, declinedMs) }, ...(oldest ? [{ key: this.#key(oldest), value: null }] : [])])
      if (oldest) this.#declined.delete(oldest)
      this.#waiting.delete(id)
      this.#declined.set(id, declinedMs)
      this.#show()
    })
  }

  /** Runs `work`, which makes durable that an invitation is answered; forgotten when it succeeds. */
  answered<T>(id: ConversationId, work: (ops: readonly StorageOp[]) => Promise<T>): Promise<T> {
    return this.#turn(async () => {
      const known = this.#waiting.has(id) || this.#declined.has(id)
      const done = await work(known ? [{ key: this.#key(id), value: null }] : [])
      this.#waiting.delete(id)
      this.#declined.delete(id)
      if (known) this.#show()
      return done
    })
  }

  #key(id: ConversationId): string {
    return `${this.#prefix}${id}`
  }

  #show(): void {
    this.#list = [...this.#waiting.values()]
  }

  #turn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turns.then(work)
    this.#turns = turn.catch(() => {})
    return turn
  }
}

function encode({ from, mode, receivedMs, profile }: ConversationInvitation, declinedMs: number): Uint8Array {
  const { title = '', description = '', avatar = new Uint8Array(0) } = profile
  return encodeMsgpack({ version: 1, from, mode, receivedMs, declinedMs, title, description, avatar })
}

/** @throws ERR_CODEC */
function decode(conversation: ConversationId, bytes: Uint8Array): { invitation: ConversationInvitation; declinedMs: number } {
  const map = asMap(decodeMsgpack(bytes), 'invitation')
  asInt(map.get('version') ?? 1, 'version')
  const title = asString(map.get('title') ?? '', 'title')
  const description = asString(map.get('description') ?? '', 'description')
  const avatar = asBytes(map.get('avatar') ?? new Uint8Array(0), 'avatar')
  const profile: ConversationProfile = { ...(title && { title }), ...(description && { description }), ...(avatar.length > 0 && { avatar }) }
  const from = asString(map.get('from') ?? '', 'from', 40) as AccountUri
  const mode = asInt(map.get('mode') ?? 0, 'mode', 0, 4) as ConversationMode
  return { invitation: { conversation, from, mode, receivedMs: asInt(map.get('receivedMs') ?? 0, 'receivedMs', 0), profile }, declinedMs: asInt(map.get('declinedMs') ?? 0, 'declinedMs', 0) }
}
