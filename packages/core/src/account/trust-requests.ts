// Contact requests over the DHT inbox: sent (and sent again while unconfirmed), received, accepted, declined, confirmed.
// docs/protocol/03 §5.4, §5.5. Proof: account/trust-requests*.test.ts, interop echo-in and echo-out.
import { Source } from '../base/emitter.ts'
import { JamiError } from '../base/errors.ts'
import { delay } from '../base/operation.ts'
import { Tasks } from '../base/tasks.ts'
import { fromUtf8, utf8 } from '../codec/bytes.ts'
import { asBytes, asInt, asMap, asString } from '../codec/fields.ts'
import { decodeMsgpack, encodeMsgpack } from '../codec/msgpack.ts'
import type { DeviceDirectory } from '../contracts/account.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Dht, DhtValue } from '../contracts/dht.ts'
import type { CertificateStore, DeviceIdentity, PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, ConversationId, DeviceId } from '../contracts/ids.ts'
import type { Logger } from '../contracts/logger.ts'
import type { Service } from '../contracts/service.ts'
import type { Storage } from '../contracts/storage.ts'
import { deviceIdOf, inboxKey, parseAccountUri, parseConversationId } from '../identity/ids.ts'
import { type ContactList, isActive } from './contact-list.ts'
import { decodeTrustRequest, encodeTrustRequest, MAX_PAYLOAD_BYTES, TRUST_REQUEST_TYPE, type TrustRequestMessage } from './trust-request-wire.ts'
import { parseVcard } from './vcard.ts'

/** Requests waiting for an answer of ours. */
export const MAX_PENDING = 200
const MAX_DECLINED = 1000
const RELISTEN_MS = 5_000
/** Look-ups of a sender's certificate, and the wait after the first one. */
const SENDER_TRIES = 4
const SENDER_WAIT_MS = 3_000
/** Requests whose sender is looked up again at the same time. */
const MAX_UNKNOWN = 100
/** A claimed invitation date may lie this far in the future. */
const CLOCK_SKEW_MS = 300_000

export interface PendingRequest {
  readonly from: AccountUri
  readonly conversation: ConversationId | undefined
  readonly receivedMs: number
  readonly displayName: string | undefined
}

interface Stored extends PendingRequest {
  readonly declinedMs: number
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
}

export class TrustRequests implements Service {
  readonly #env: TrustRequestsEnv
  readonly #tasks: Tasks
  readonly #requests = new Map<AccountUri, Stored>() // bounded by MAX_PENDING + MAX_DECLINED
  readonly #received: Source<PendingRequest>
  readonly #confirmed: Source<{ account: AccountUri }>
  readonly #invited: Source<{ account: AccountUri; conversation: ConversationId }>
  readonly #sending = new Set<AccountUri>() // bounded by contacts
  #started = false
  #unknown = 0 // bounded by MAX_UNKNOWN

  constructor(env: TrustRequestsEnv) {
    this.#env = env
    this.#tasks = new Tasks(env.clock, (err, what) => env.logger.warn({ err, what }, 'trust request task failed'))
    const onError = (err: unknown) => env.logger.error({ err }, 'a listener threw')
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

  async load(): Promise<void> {
    const prefix = `${this.#env.prefix}/requests/`
    for await (const key of this.#env.storage.keys(prefix)) {
      const bytes = await this.#env.storage.get(key)
      if (bytes) this.#requests.set(parseAccountUri(key.slice(prefix.length)), decodeStored(bytes))
    }
  }

  async start(): Promise<void> {
    if (this.#started) return
    this.#started = true
    const { identity, dht, clock } = this.#env
    this.#tasks.run('inbox', async (signal) => {
      while (!signal.aborted) {
        try {
          const values = dht.listen(inboxKey(identity.deviceShortId), { decryptWith: identity.privateKey, type: TRUST_REQUEST_TYPE, signal })
          for await (const { value, expired } of values) if (!expired) this.#tasks.run('incoming trust request', () => this.#incoming(value))
        } catch (error) {
          if (!signal.aborted) this.#env.logger.debug({ err: JamiError.from(error) }, 'listening to the inbox again')
        }
        if (!signal.aborted) await delay(clock, RELISTEN_MS, signal).catch(() => {})
      }
    })
  }

  async stop(): Promise<void> {
    await this.#tasks.close()
  }

  pending(): PendingRequest[] {
    return [...this.#requests.values()].filter((r) => r.declinedMs === 0)
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

  /** Tells all devices of a peer that we accepted. */
  confirm(to: AccountUri, conversation: ConversationId | undefined): void {
    this.#tasks.run('confirmation', (signal) => this.#put(to, { conversation, payload: new Uint8Array(0), confirm: true, invitedMs: 0 }, signal))
  }

  /** The request of an account that waits for an answer. */
  get(from: AccountUri): PendingRequest | undefined {
    const request = this.#requests.get(from)
    return request?.declinedMs === 0 ? request : undefined
  }

  /** Takes the request away: it was accepted. */
  async take(from: AccountUri): Promise<void> {
    if (!this.get(from)) return
    this.#requests.delete(from)
    await this.#env.storage.batch([{ key: this.#key(from), value: null }])
  }

  /** Remembers that this invitation was declined, so that its repetitions stay silent. Nothing is sent. */
  async decline(from: AccountUri): Promise<void> {
    const request = this.#requests.get(from)
    if (request?.declinedMs !== 0) return
    const declined = [...this.#requests.values()].filter((r) => r.declinedMs !== 0)
    const oldest = declined.length >= MAX_DECLINED ? declined.sort((a, b) => a.declinedMs - b.declinedMs)[0] : undefined
    if (oldest) {
      this.#requests.delete(oldest.from)
      await this.#env.storage.batch([{ key: this.#key(oldest.from), value: null }])
    }
    await this.#store({ ...request, declinedMs: this.#env.clock.wallTimeMs() })
  }

  async #put(to: AccountUri, message: TrustRequestMessage, signal: AbortSignal): Promise<void> {
    const { identity, dht, certificates, logger } = this.#env
    const data = encodeTrustRequest(message)
    for await (const device of this.#env.directory.devicesOf(to, { signal })) {
      const peer = await certificates.get(device)
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

  async #incoming(value: DhtValue): Promise<void> {
    const { contacts, clock, logger } = this.#env
    if (!value.signer || !value.encrypted) return
    let message: TrustRequestMessage | undefined
    try {
      message = decodeTrustRequest(value.data)
    } catch (error) {
      logger.warn({ err: error }, 'a trust request was refused')
      return
    }
    if (!message) return
    const peer = await this.#sender(deviceIdOf(value.signer))
    if (!peer || peer.accountId === this.#env.identity.accountId) return
    const from = peer.accountId
    if (contacts.isBanned(from) || contacts.isBanned(peer.deviceId)) return
    const contact = contacts.get(from)
    if (contact && isActive(contact)) {
      const { conversation } = message
      if (!message.confirm) this.confirm(from, conversation)
      if (!contact.confirmed) {
        await contacts.add(from, clock.wallTimeMs(), { confirmed: true, conversation: undefined })
        this.#confirmed.emit({ account: from })
        if (!message.confirm) this.send(from) // both asked: they may not know of our conversation yet
      }
      if (!message.confirm && conversation && conversation !== contact.conversation) this.#invited.emit({ account: from, conversation })
      return
    }
    if (message.confirm) return // a confirmation of something we never asked for
    const now = clock.wallTimeMs()
    const receivedMs = message.invitedMs > 0 && message.invitedMs <= now + CLOCK_SKEW_MS ? message.invitedMs : now
    const known = this.#requests.get(from)
    if (known && (known.declinedMs !== 0 ? receivedMs <= known.declinedMs : receivedMs <= known.receivedMs)) return
    if (!known && this.pending().length >= MAX_PENDING) {
      logger.warn({ from }, 'a contact request was dropped: too many are pending')
      return
    }
    const request: Stored = { from, conversation: message.conversation, receivedMs, displayName: nameOf(message.payload), declinedMs: 0 }
    await this.#store(request)
    this.#received.emit(request)
  }

  /** Who sent it: asked for several times, since the request itself comes only once. */
  async #sender(device: DeviceId): Promise<PeerIdentity | undefined> {
    const { certificates, clock } = this.#env
    const { signal } = this.#tasks
    for (let attempt = 1; ; attempt++) {
      const peer = await certificates.find(device, { signal })
      if (peer || attempt >= SENDER_TRIES || this.#unknown >= MAX_UNKNOWN) return peer
      this.#unknown++
      try {
        await delay(clock, SENDER_WAIT_MS * attempt, signal)
      } finally {
        this.#unknown--
      }
    }
  }

  async #store(request: Stored): Promise<void> {
    this.#requests.set(request.from, request)
    const { conversation, receivedMs, declinedMs, displayName } = request
    const value = encodeMsgpack({ from: request.from, conversationId: conversation ?? '', receivedMs, declinedMs, displayName })
    await this.#env.storage.batch([{ key: this.#key(request.from), value }])
  }

  #key(from: AccountUri): string {
    return `${this.#env.prefix}/requests/${from}`
  }
}

function nameOf(payload: Uint8Array): string | undefined {
  try {
    const name = parseVcard(fromUtf8(payload)).get('FN')?.trim().slice(0, 200)
    return name === '' ? undefined : name
  } catch {
    return undefined // a broken card is no name
  }
}

function decodeStored(bytes: Uint8Array): Stored {
  const map = asMap(decodeMsgpack(asBytes(bytes, 'request record')), 'request record')
  const conversation = asString(map.get('conversationId'), 'conversationId', 40)
  const displayName = map.get('displayName')
  return {
    from: parseAccountUri(asString(map.get('from'), 'from', 40)),
    conversation: conversation === '' ? undefined : parseConversationId(conversation),
    receivedMs: asInt(map.get('receivedMs'), 'receivedMs'), declinedMs: asInt(map.get('declinedMs'), 'declinedMs'),
    displayName: displayName === undefined ? undefined : asString(displayName, 'displayName', 400),
  }
}
