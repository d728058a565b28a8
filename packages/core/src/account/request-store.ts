// Contact requests that wait for an answer, and those that were declined: records, bounds, on disk first.
// docs/protocol/03 §5.4, §5.5. Proof: account/trust-requests.test.ts, account/disk-first.test.ts.
import { JamiError } from '../base/errors.ts'
import { asBytes, asInt, asMap, asString } from '../codec/fields.ts'
import { decodeMsgpack, encodeMsgpack } from '../codec/msgpack.ts'
import { cutText } from '../codec/text.ts'
import type { AccountUri, ConversationId } from '../contracts/ids.ts'
import type { Storage } from '../contracts/storage.ts'
import { parseAccountUri, parseConversationId } from '../identity/ids.ts'
import { Turns } from './turns.ts'

/** Requests waiting for an answer of ours. */
export const MAX_PENDING = 200
export const MAX_DECLINED = 1000
/** A request that nobody answered for so long makes place for another one, when there is none. */
const STALE_MS = 30 * 86_400_000
const MAX_NAME = 400

export interface PendingRequest {
  readonly from: AccountUri
  readonly conversation: ConversationId | undefined
  readonly receivedMs: number
  readonly displayName: string | undefined
}

interface Stored extends PendingRequest {
  readonly declinedMs: number
}

export class RequestStore {
  readonly #storage: Storage
  readonly #prefix: string
  readonly #turns = new Turns()
  readonly #pending = new Map<AccountUri, Stored>() // bounded by MAX_PENDING, oldest first
  readonly #declined = new Map<AccountUri, Stored>() // bounded by MAX_DECLINED, oldest first
  /** Records that cannot be read: left as they are, and told. */
  readonly problems: JamiError[] = [] // bounded by the records

  constructor(storage: Storage, prefix: string) {
    this.#storage = storage
    this.#prefix = `${prefix}/requests/`
  }

  async load(): Promise<void> {
    const read: Stored[] = []
    for await (const key of this.#storage.keys(this.#prefix)) {
      try {
        const bytes = await this.#storage.get(key)
        if (bytes) read.push(decodeStored(bytes, parseAccountUri(key.slice(this.#prefix.length))))
      } catch (cause) {
        this.problems.push(new JamiError('ERR_STORAGE_CORRUPT', `request record ${key} cannot be read`, { cause, details: { key } }))
      }
    }
    for (const request of read.sort((a, b) => (a.declinedMs || a.receivedMs) - (b.declinedMs || b.receivedMs))) this.#note(request)
  }

  pending(): PendingRequest[] {
    return [...this.#pending.values()]
  }

  get(from: AccountUri): PendingRequest | undefined {
    return this.#pending.get(from)
  }

  /** A request, or its renewal by a later invitation. False: it is known, was declined, or there is no place (`full`). */
  offer(request: PendingRequest, nowMs: number, onFull: () => void): Promise<boolean> {
    return this.#turns.take(async () => {
      const { from, receivedMs } = request
      const declined = this.#declined.get(from)
      const known = this.#pending.get(from)
      if ((declined && receivedMs <= declined.declinedMs) || (known && receivedMs <= known.receivedMs)) return false
      const gone: AccountUri[] = []
      if (!known && this.#pending.size >= MAX_PENDING) {
        const [oldest] = this.#pending.values()
        if (!oldest || nowMs - oldest.receivedMs < STALE_MS) {
          onFull()
          return false
        }
        gone.push(oldest.from)
      }
      await this.#write({ ...request, declinedMs: 0 }, gone)
      return true
    })
  }

  /** Takes the request away: it was accepted. */
  take(from: AccountUri): Promise<void> {
    return this.#turns.take(async () => {
      if (!this.#pending.has(from)) return
      await this.#storage.batch([{ key: `${this.#prefix}${from}`, value: null }])
      this.#pending.delete(from)
    })
  }

  /** Remembers that this invitation was declined, so that its repetitions stay silent. */
  decline(from: AccountUri, nowMs: number): Promise<void> {
    return this.#turns.take(async () => {
      const request = this.#pending.get(from)
      if (!request) return
      const [oldest] = this.#declined.keys()
      await this.#write({ ...request, declinedMs: nowMs }, oldest && this.#declined.size >= MAX_DECLINED ? [oldest] : [])
    })
  }

  async #write(request: Stored, gone: readonly AccountUri[]): Promise<void> {
    const { from, conversation, receivedMs, declinedMs, displayName } = request
    const value = encodeMsgpack({ from, conversationId: conversation ?? '', receivedMs, declinedMs, displayName })
    await this.#storage.batch([...gone.map((other) => ({ key: `${this.#prefix}${other}`, value: null })), { key: `${this.#prefix}${from}`, value }])
    for (const other of gone) for (const map of [this.#pending, this.#declined]) map.delete(other)
    this.#note(request)
  }

  #note(request: Stored): void {
    for (const map of [this.#pending, this.#declined]) map.delete(request.from)
    ;(request.declinedMs === 0 ? this.#pending : this.#declined).set(request.from, request)
  }
}

function decodeStored(bytes: Uint8Array, from: AccountUri): Stored {
  const map = asMap(decodeMsgpack(asBytes(bytes, 'request record')), 'request record')
  const conversation = asString(map.get('conversationId'), 'conversationId', 40)
  const displayName = map.get('displayName')
  return {
    from,
    conversation: conversation === '' ? undefined : parseConversationId(conversation),
    receivedMs: asInt(map.get('receivedMs'), 'receivedMs'), declinedMs: asInt(map.get('declinedMs'), 'declinedMs'),
    displayName: typeof displayName === 'string' ? cutText(displayName, MAX_NAME) : undefined, // a name that is odd costs itself
  }
}
