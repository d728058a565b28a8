// Contacts of an account: records, local operations and the merge rule between devices; on disk first, in memory after.
// docs/protocol/03 §5.2, §5.3, §6.4. Proof: account/contact-list.test.ts, account/disk-first.test.ts.
import { JamiError, limitError } from '../base/errors.ts'
import { asBool, asInt, asMap, asString } from '../codec/fields.ts'
import { decodeMsgpack, encodeMsgpack, type MsgpackInput } from '../codec/msgpack.ts'
import type { ContactBook } from '../contracts/account.ts'
import type { AccountUri, ConversationId, DeviceId } from '../contracts/ids.ts'
import type { Storage } from '../contracts/storage.ts'
import { cutText } from '../codec/text.ts'
import { parseAccountUri, parseConversationId, parseDeviceId } from '../identity/ids.ts'
import { Turns } from './turns.ts'

/** Contacts per account, banned and removed ones included. */
export const MAX_CONTACTS = 10_000
/** Devices that were banned one by one. */
export const MAX_BANNED_DEVICES = 10_000
const MAX_NAME_LENGTH = 1000

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
    ...(typeof displayName === 'string' ? { displayName: cutText(displayName, MAX_NAME_LENGTH) } : {}), // a name that is odd costs itself
  }
}

/** The contact list of one account. Reads are synchronous and say what a restart would say: changes are durable before they show. */
export class ContactList implements ContactBook {
  readonly #records = new Map<AccountUri, ContactRecord>() // bounded by MAX_CONTACTS
  readonly #bannedDevices = new Set<DeviceId>() // bounded by MAX_BANNED_DEVICES
  readonly #turns = new Turns()
  /** Records that cannot be read: left as they are, and told. */
  readonly problems: JamiError[] = [] // bounded by the records
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
        const id = key.slice(list.#prefix.length)
        if (id.length === 64) list.#bannedDevices.add(parseDeviceId(id))
        else list.#records.set(parseAccountUri(id), decodeContact(bytes))
      } catch (cause) {
        list.problems.push(new JamiError('ERR_STORAGE_CORRUPT', `contact record ${key} cannot be read`, { cause, details: { key } }))
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
    return (r !== undefined && !isActive(r) && r.banned) || this.#bannedDevices.has(id as DeviceId)
  }

  conversationWith(account: AccountUri): ConversationId | undefined {
    const r = this.#records.get(account)
    return r && (isActive(r) || r.banned) ? r.conversation : undefined
  }

  /** Adds or confirms; unbans. False when nothing changed. */
  add(account: AccountUri, nowMs: number, change: { confirmed: boolean; conversation: ConversationId | undefined; displayName?: string }): Promise<boolean> {
    return this.#change(account, (old) => {
      const active = old !== undefined && isActive(old)
      const confirmed = change.confirmed || (active && old.confirmed)
      const conversation = change.conversation ?? old?.conversation
      const displayName = change.displayName === undefined ? old?.displayName : cutText(change.displayName, MAX_NAME_LENGTH)
      if (active && old.confirmed === confirmed && old.conversation === conversation && old.displayName === displayName) return undefined
      return {
        addedMs: active ? old.addedMs : Math.max(nowMs, (old?.removedMs ?? 0) + 1), removedMs: active ? old.removedMs : 0,
        confirmed, banned: old?.banned ?? false, conversation, ...(displayName === undefined ? {} : { displayName }),
      }
    })
  }

  /** Removes or bans; a ban keeps the conversation. */
  async remove(account: AccountUri, nowMs: number, ban: boolean): Promise<void> {
    await this.#change(account, (old) => ({
      addedMs: old?.addedMs ?? 0, removedMs: Math.max(nowMs, (old?.addedMs ?? 0) + 1), confirmed: false, banned: ban,
      conversation: ban ? old?.conversation : undefined, ...(old?.displayName === undefined ? {} : { displayName: old.displayName }),
    }))
  }

  async merge(account: AccountUri, incoming: ContactRecord): Promise<void> {
    await this.#change(account, (old) => {
      const merged = mergeContact(old, incoming)
      return merged === old ? undefined : merged
    })
  }

  /** One device of an account, whoever it belongs to; its account stays what it is. */
  banDevice(device: DeviceId, banned: boolean): Promise<void> {
    return this.#turns.take(async () => {
      if (this.#bannedDevices.has(device) === banned) return
      if (banned && this.#bannedDevices.size >= MAX_BANNED_DEVICES) throw limitError('banned devices', this.#bannedDevices.size + 1, MAX_BANNED_DEVICES)
      await this.#storage.batch([{ key: `${this.#prefix}${device}`, value: banned ? encodeMsgpack({ banned: true }) : null }])
      if (banned) this.#bannedDevices.add(device)
      else this.#bannedDevices.delete(device)
    })
  }

  /** False when there is nothing to change. */
  #change(account: AccountUri, decide: (old: ContactRecord | undefined) => ContactRecord | undefined): Promise<boolean> {
    return this.#turns.take(async () => {
      const old = this.#records.get(account)
      const record = decide(old)
      if (!record) return false
      if (!old && this.#records.size >= MAX_CONTACTS) throw limitError('contacts', this.#records.size + 1, MAX_CONTACTS)
      await this.#storage.batch([{ key: `${this.#prefix}${account}`, value: encodeMsgpack(encodeRecord(record)) }])
      this.#records.set(account, record)
      return true
    })
  }
}
