// Contacts of an account: records, local operations and the merge rule between devices; durable at once.
// docs/protocol/03 §5.2, §5.3, §6.4. Proof: account/contact-list.test.ts.
import { JamiError, limitError } from '../base/errors.ts'
import { asBool, asInt, asMap, asString } from '../codec/fields.ts'
import { decodeMsgpack, encodeMsgpack, type MsgpackInput } from '../codec/msgpack.ts'
import type { ContactBook } from '../contracts/account.ts'
import type { AccountUri, ConversationId, DeviceId } from '../contracts/ids.ts'
import type { Storage } from '../contracts/storage.ts'
import { parseAccountUri, parseConversationId } from '../identity/ids.ts'

/** Contacts per account, banned and removed ones included. */
export const MAX_CONTACTS = 10_000

/** Instants in Unix milliseconds. */
export interface ContactRecord {
  readonly addedMs: number
  /** 0 = never. */
  readonly removedMs: number
  readonly confirmed: boolean
  /** Meaningful only while not active. */
  readonly banned: boolean
  readonly conversation: ConversationId | undefined
  /** From the peer's vCard; local, not part of the wire form. */
  readonly displayName?: string
}

/** Active = added, and not removed since. */
export function isActive(r: ContactRecord): boolean {
  return r.addedMs > r.removedMs
}

/** What a record becomes when another device of the account reports `incoming` (spec 03 §6.4). Pure. */
export function mergeContact(stored: ContactRecord | undefined, incoming: ContactRecord): ContactRecord {
  if (!stored) return incoming
  if (Math.max(incoming.addedMs, incoming.removedMs) > Math.max(stored.addedMs, stored.removedMs))
    return stored.displayName === undefined ? incoming : { ...incoming, displayName: stored.displayName }
  if (isActive(stored) && stored.addedMs === incoming.addedMs) return { ...stored, confirmed: stored.confirmed || incoming.confirmed }
  return stored
}

function encodeRecord(r: ContactRecord): MsgpackInput {
  return {
    added: Math.floor(r.addedMs / 1000), removed: Math.floor(r.removedMs / 1000), confirmed: r.confirmed, banned: r.banned,
    conversationId: r.conversation ?? '', addedMs: r.addedMs, removedMs: r.removedMs, displayName: r.displayName,
  }
}

/** @throws ERR_CODEC */
export function decodeContact(bytes: Uint8Array): ContactRecord {
  const map = asMap(decodeMsgpack(bytes, { maxDepth: 2, maxItems: 32, maxBytes: 4096 }), 'contact')
  const ms = (name: 'added' | 'removed') => {
    const exact = map.get(`${name}Ms`)
    return exact === undefined ? asInt(map.get(name) ?? 0, name, 0, 1e12) * 1000 : asInt(exact, `${name}Ms`, 0)
  }
  const conversation = asString(map.get('conversationId') ?? '', 'conversationId', 64)
  const displayName = map.get('displayName')
  return {
    addedMs: ms('added'), removedMs: ms('removed'), confirmed: asBool(map.get('confirmed') ?? false, 'confirmed'), banned: asBool(map.get('banned') ?? false, 'banned'),
    conversation: conversation === '' ? undefined : parseConversationId(conversation),
    ...(displayName === undefined ? {} : { displayName: asString(displayName, 'displayName', 1000) }),
  }
}

/** The contact list of one account. Changes resolve when durable; memory changes first, so reads are synchronous. */
export class ContactList implements ContactBook {
  readonly #records = new Map<AccountUri, ContactRecord>() // bounded by MAX_CONTACTS
  readonly #storage: Storage
  readonly #prefix: string

  private constructor(storage: Storage, prefix: string) {
    this.#storage = storage
    this.#prefix = prefix
  }

  static async load(storage: Storage, prefix: string): Promise<ContactList> {
    const list = new ContactList(storage, `${prefix}/contacts/`)
    for await (const key of storage.keys(list.#prefix)) {
      const bytes = await storage.get(key)
      if (!bytes) continue
      try {
        list.#records.set(parseAccountUri(key.slice(list.#prefix.length)), decodeContact(bytes))
      } catch (cause) {
        throw new JamiError('ERR_STORAGE_CORRUPT', `contact record ${key} cannot be read`, { cause })
      }
    }
    return list
  }

  get(account: AccountUri): ContactRecord | undefined {
    return this.#records.get(account)
  }

  entries(): [AccountUri, ContactRecord][] {
    return [...this.#records]
  }

  isContact(account: AccountUri): boolean {
    const r = this.#records.get(account)
    return r !== undefined && isActive(r)
  }

  isConfirmed(account: AccountUri): boolean {
    const r = this.#records.get(account)
    return r !== undefined && isActive(r) && r.confirmed
  }

  isBanned(id: AccountUri | DeviceId): boolean {
    const r = this.#records.get(id as AccountUri)
    return r !== undefined && !isActive(r) && r.banned
  }

  conversationWith(account: AccountUri): ConversationId | undefined {
    const r = this.#records.get(account)
    return r && (isActive(r) || r.banned) ? r.conversation : undefined
  }

  /** Adds or confirms; unbans. False when nothing changed. */
  async add(account: AccountUri, nowMs: number, change: { confirmed: boolean; conversation: ConversationId | undefined; displayName?: string }): Promise<boolean> {
    const old = this.#records.get(account)
    const active = old !== undefined && isActive(old)
    const confirmed = change.confirmed || (active && old.confirmed)
    const conversation = change.conversation ?? old?.conversation
    const displayName = change.displayName ?? old?.displayName
    if (active && old.confirmed === confirmed && old.conversation === conversation && old.displayName === displayName) return false
    if (!old && this.#records.size >= MAX_CONTACTS) throw limitError('contacts', this.#records.size + 1, MAX_CONTACTS)
    await this.#put(account, {
      addedMs: active ? old.addedMs : Math.max(nowMs, (old?.removedMs ?? 0) + 1), removedMs: active ? old.removedMs : 0,
      confirmed, banned: old?.banned ?? false, conversation, ...(displayName === undefined ? {} : { displayName }),
    })
    return true
  }

  /** Removes or bans; a ban keeps the conversation. */
  async remove(account: AccountUri, nowMs: number, ban: boolean): Promise<void> {
    const old = this.#records.get(account)
    if (!old && this.#records.size >= MAX_CONTACTS) throw limitError('contacts', this.#records.size + 1, MAX_CONTACTS)
    await this.#put(account, {
      addedMs: old?.addedMs ?? 0, removedMs: Math.max(nowMs, (old?.addedMs ?? 0) + 1), confirmed: false, banned: ban,
      conversation: ban ? old?.conversation : undefined, ...(old?.displayName === undefined ? {} : { displayName: old.displayName }),
    })
  }

  async merge(account: AccountUri, incoming: ContactRecord): Promise<void> {
    const merged = mergeContact(this.#records.get(account), incoming)
    if (!this.#records.has(account) && this.#records.size >= MAX_CONTACTS) throw limitError('contacts', this.#records.size + 1, MAX_CONTACTS)
    await this.#put(account, merged)
  }

  async #put(account: AccountUri, record: ContactRecord): Promise<void> {
    this.#records.set(account, record)
    await this.#storage.batch([{ key: `${this.#prefix}${account}`, value: encodeMsgpack(encodeRecord(record)) }])
  }
}
