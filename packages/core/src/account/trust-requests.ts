// Contact requests over the DHT inbox: sent (and sent again while unconfirmed), received, accepted, declined, confirmed.
// docs/protocol/03 §5.4, §5.5. Proof: account/trust-requests*.test.ts, interop echo-in and echo-out.
import { Source } from '../base/emitter.ts'
import { JamiError } from '../base/errors.ts'
import { delay } from '../base/operation.ts'
import { SummedWarning } from '../base/summed-warning.ts'
import { Tasks } from '../base/tasks.ts'
import { concatBytes, toHex, utf8 } from '../codec/bytes.ts'
import type { DeviceDirectory } from '../contracts/account.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Dht, DhtValue } from '../contracts/dht.ts'
import type { CertificateStore, DeviceIdentity, PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, ConversationId } from '../contracts/ids.ts'
import type { Logger } from '../contracts/logger.ts'
import type { Service } from '../contracts/service.ts'
import type { Storage } from '../contracts/storage.ts'
import { sha256 } from '../crypto/hash.ts'
import { deviceIdOf, inboxKey, shortIdOf } from '../identity/ids.ts'
import { type ContactList, isActive } from './contact-list.ts'
import { type PendingRequest, RequestStore } from './request-store.ts'
import { SenderLookups } from './sender-lookups.ts'
import { decodeTrustRequest, encodeTrustRequest, MAX_PAYLOAD_BYTES, TRUST_REQUEST_TYPE, type TrustRequestMessage } from './trust-request-wire.ts'
import { displayNameOf } from './vcard.ts'

export { MAX_DECLINED, MAX_PENDING, type PendingRequest } from './request-store.ts'

const RELISTEN_MS = 5_000
/** A claimed invitation date may lie this far in the future. */
const CLOCK_SKEW_MS = 300_000
/** An answer is on the DHT for so long: the same request, under whatever value id, needs no other one meanwhile. */
const SAME_MS = 600_000
/** Answers to one contact: at most one in this time. */
export const ANSWER_EVERY_MS = 60_000
const RESEND_EVERY_MS = 60_000
const MAX_ANSWERED = 10_000

/** What is kept of a request while its sender is looked up. */
interface Heard {
  /** Of the content: the same request is the same, whatever value it came in. */
  readonly key: string
  readonly conversation: ConversationId | undefined
  readonly confirm: boolean
  readonly invitedMs: number
  readonly displayName: string | undefined
}

/** The last answer to a contact. */
interface Answered {
  readonly key: string
  readonly atMs: number
  /** Another one is due, for the conversation of the request that came last. */
  next: { key: string; conversation: ConversationId | undefined } | undefined
}

export interface TrustRequestsEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly dht: Dht
  readonly identity: DeviceIdentity
  readonly certificates: CertificateStore
  readonly directory: DeviceDirectory
  readonly contacts: ContactList
  readonly storage: Storage
  readonly prefix: string
  /** Our vCard. */
  readonly profile: () => string
  /** True when a contact has joined the conversation that we have with them, or is the one who invited us. */
  readonly joined: (account: AccountUri) => boolean
  /** A request could not be kept, and is tried again. */
  readonly report?: (error: unknown, what: string) => void
}

export class TrustRequests implements Service {
  readonly #env: TrustRequestsEnv
  readonly #tasks: Tasks
  readonly #store: RequestStore
  readonly #senders: SenderLookups
  readonly #received: Source<PendingRequest>
  readonly #confirmed: Source<{ account: AccountUri }>
  readonly #invited: Source<{ account: AccountUri; conversation: ConversationId }>
  readonly #sending = new Set<AccountUri>() // bounded by contacts
  readonly #resent = new Map<AccountUri, number>() // bounded by MAX_ANSWERED
  readonly #answered = new Map<AccountUri, Answered>() // bounded by MAX_ANSWERED, oldest out
  readonly #dropped: SummedWarning
  readonly #refused: SummedWarning
  #started = false

  constructor(env: TrustRequestsEnv) {
    this.#env = env
    const { clock, logger } = env
    this.#tasks = new Tasks(clock, (err, what) => logger.warn({ err, what }, 'trust request task failed'))
    this.#store = new RequestStore(env.storage, env.prefix)
    this.#dropped = new SummedWarning(clock, (fields) => logger.warn(fields, 'contact requests were dropped'))
    this.#refused = new SummedWarning(clock, (fields) => logger.warn(fields, 'trust requests were refused'))
    this.#senders = new SenderLookups({
      clock, tasks: this.#tasks,
      find: (device, shortId, signal) => env.certificates.find(device, { sole: true, shortId, signal }),
      onDropped: (_key, device, why) => this.#dropped.hit({ device, why }),
      onFailed: (err, again) => {
        logger.warn({ err }, again ? 'a contact request could not be taken yet' : 'a contact request could not be taken')
        if (JamiError.is(err, 'ERR_STORAGE_IO')) env.report?.(err, 'contact request')
      },
    })
    const onError = (err: unknown) => logger.error({ err }, 'a listener threw')
    this.#received = new Source(onError)
    this.#confirmed = new Source(onError)
    this.#invited = new Source(onError)
  }

  /** A new or renewed request. */
  get onRequest() {
    return this.#received.listen
  }

  /** A contact confirmed us: by its answer, or by asking us, too. */
  get onConfirmed() {
    return this.#confirmed.listen
  }

  /** A contact invites us to a conversation that is not the one we have with them. */
  get onInvited() {
    return this.#invited.listen
  }

  load(): Promise<void> {
    return this.#store.load()
  }

  /** What of the kept requests could not be read. */
  get problems(): readonly JamiError[] {
    return this.#store.problems
  }

  async start(): Promise<void> {
    if (this.#started) return
    this.#started = true
    const { identity, dht, clock } = this.#env
    this.#tasks.run('inbox', async (signal) => {
      while (!signal.aborted) {
        try {
          const values = dht.listen(inboxKey(identity.deviceShortId), { decryptWith: identity.privateKey, type: TRUST_REQUEST_TYPE, signal })
          for await (const { value, expired } of values) if (!expired) this.#incoming(value)
        } catch (error) {
          if (!signal.aborted) this.#env.logger.debug({ err: JamiError.from(error) }, 'listening to the inbox again')
        }
        if (!signal.aborted) await delay(clock, RELISTEN_MS, signal).catch(() => {})
      }
    })
  }

  async stop(): Promise<void> {
    for (const warning of [this.#dropped, this.#refused]) warning.flush()
    await this.#tasks.close()
  }

  pending(): PendingRequest[] {
    return this.#store.pending()
  }

  /**
   * Sends our request for a contact's conversation to all its announced devices, with the first invitation's date; nothing when they
   * have confirmed it and joined, unless it is `asked` for: they may have removed us, which nobody tells.
   */
  send(to: AccountUri, asked = false): void {
    const contact = this.#env.contacts.get(to)
    if (!contact || !isActive(contact) || this.#sending.has(to) || (!asked && contact.confirmed && this.#env.joined(to))) return
    this.#sending.add(to)
    this.#tasks.run('trust request', async (signal) => {
      try {
        const card = utf8(this.#env.profile())
        const payload = card.length >= MAX_PAYLOAD_BYTES ? new Uint8Array(0) : card
        await this.#put(to, { conversation: contact.conversation, payload, confirm: false, invitedMs: contact.addedMs }, signal)
      } finally {
        this.#sending.delete(to)
      }
    })
  }

  /** A contact can be reached: it may have missed our request while it could not. Not more than once a minute, whatever it does. */
  sendMissed(to: AccountUri): void {
    const now = this.#env.clock.now()
    if (now - (this.#resent.get(to) ?? Number.NEGATIVE_INFINITY) < RESEND_EVERY_MS) return
    if (this.#resent.size >= MAX_ANSWERED) this.#resent.clear()
    this.#resent.set(to, now)
    this.send(to)
  }

  /** Tells all devices of a peer that we accepted. */
  confirm(to: AccountUri, conversation: ConversationId | undefined): void {
    this.#tasks.run('confirmation', (signal) => this.#put(to, { conversation, payload: new Uint8Array(0), confirm: true, invitedMs: 0 }, signal))
  }

  /** The request of an account that waits for an answer. */
  get(from: AccountUri): PendingRequest | undefined {
    return this.#store.get(from)
  }

  /** Takes the request away: it was accepted. */
  take(from: AccountUri): Promise<void> {
    return this.#store.take(from)
  }

  /** Remembers that this invitation was declined, so that its repetitions stay silent. Nothing is sent. */
  decline(from: AccountUri): Promise<void> {
    return this.#store.decline(from, this.#env.clock.wallTimeMs())
  }

  async #put(to: AccountUri, message: TrustRequestMessage, signal: AbortSignal): Promise<void> {
    const { identity, dht, certificates, logger } = this.#env
    const data = encodeTrustRequest(message)
    for await (const device of this.#env.directory.devicesOf(to, { signal })) {
      const peer = await certificates.get(device, to)
      if (!peer || device === identity.deviceId) continue
      const leaf = peer.chain[0]
      this.#tasks.run('trust request to a device', async () => {
        try {
          await dht.put(inboxKey(leaf.shortId as Parameters<typeof inboxKey>[0]), { data, type: TRUST_REQUEST_TYPE, sign: identity.privateKey, encryptTo: leaf.publicKey }, { signal })
          logger.debug({ to, device, confirm: message.confirm }, 'trust request put')
        } catch (error) {
          if (!signal.aborted) logger.debug({ to, device, err: JamiError.from(error) }, 'trust request not put')
        }
      })
    }
  }

  #incoming(value: DhtValue): void {
    if (!value.signer || !value.encrypted || this.#tasks.signal.aborted) return
    let message: TrustRequestMessage | undefined
    try {
      message = decodeTrustRequest(value.data)
    } catch (err) {
      this.#refused.hit({ err })
      return
    }
    const [device, shortId] = [deviceIdOf(value.signer), shortIdOf(value.signer)]
    if (!message || this.#env.contacts.isBanned(device)) return
    const key = toHex(sha256(concatBytes(value.signer, value.data)))
    if (this.#senders.has(key)) return
    const { conversation, confirm, invitedMs, payload } = message
    const heard: Heard = { key, conversation, confirm, invitedMs, displayName: displayNameOf(payload) }
    this.#tasks.run('incoming trust request', async () => {
      const claimed = await this.#env.certificates.get(device) // whose place it takes while it waits: no more than that
      const of = claimed && this.#env.contacts.isContact(claimed.accountId) ? 'contact' : 'stranger'
      this.#senders.offer(key, { device, shortId }, of, (peer) => this.#heard(peer, heard))
    })
  }

  /** A request or confirmation whose sender is known. Every step may be repeated. */
  async #heard(peer: PeerIdentity, { key, conversation, confirm, invitedMs, displayName }: Heard): Promise<void> {
    const { contacts, clock } = this.#env
    const from = peer.accountId
    if (from === this.#env.identity.accountId || contacts.isBanned(from) || contacts.isBanned(peer.deviceId)) return
    const contact = contacts.get(from)
    if (contact && isActive(contact)) {
      if (!contact.confirmed) {
        await contacts.add(from, clock.wallTimeMs(), { confirmed: true, conversation: undefined })
        this.#confirmed.emit({ account: from })
        if (!confirm) this.send(from) // both asked: they may not know of our conversation yet
      }
      if (!confirm) this.#answer(from, key, conversation)
      if (!confirm && conversation && conversation !== contact.conversation) this.#invited.emit({ account: from, conversation })
      return
    }
    if (confirm) return // a confirmation of something we never asked for
    const now = clock.wallTimeMs()
    const receivedMs = invitedMs > 0 && invitedMs <= now + CLOCK_SKEW_MS ? invitedMs : now
    const request: PendingRequest = { from, conversation, receivedMs, displayName }
    if (await this.#store.offer(request, now, () => this.#dropped.hit({ from, why: 'too many are pending' }))) this.#received.emit(request)
  }

  /** Confirms a contact who asks again, at once or when its turn comes: many requests draw one answer. */
  #answer(to: AccountUri, key: string, conversation: ConversationId | undefined): void {
    const now = this.#env.clock.now()
    const last = this.#answered.get(to)
    if (last && last.key === key && now - last.atMs < SAME_MS) return
    if (last && now - last.atMs < ANSWER_EVERY_MS) {
      const due = last.next === undefined
      last.next = { key, conversation }
      if (due) this.#tasks.after(last.atMs + ANSWER_EVERY_MS - now, 'confirmation', () => last.next && this.#answer(to, last.next.key, last.next.conversation))
      return
    }
    this.#answered.delete(to)
    if (this.#answered.size >= MAX_ANSWERED) this.#answered.delete(this.#answered.keys().next().value as AccountUri)
    this.#answered.set(to, { key, atMs: now, next: undefined })
    this.confirm(to, conversation)
  }
}
