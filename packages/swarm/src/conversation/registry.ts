// Which conversations there are on this device: ready ones, those still being cloned, those that cannot be opened; and who is in which. One
// record for each; what is on disk is there before it is known, and gone from disk before it is forgotten.
// docs/protocol/04 §4.7. Proof: conversation/registry.test.ts.
import { JamiError, limitError } from '@jamikit/core/base'
import { asInt, asMap, asString, decodeMsgpack, encodeMsgpack } from '@jamikit/core/codec'
import type { AccountUri, ConversationId, DeviceId, FileTree, Storage } from '@jamikit/core/contracts'
import { CLONE_RETRY_FIRST_MS, MAX_CONVERSATIONS, MAX_WITH_ONE_PEER } from '../defaults.ts'
import type { Conversation } from './conversation.ts'

/** Accepted, not here yet. */
export interface Pending {
  readonly id: ConversationId
  readonly from: AccountUri
  failures: number
  waitMs: number
  retry: { cancel(): void } | undefined
  /** Devices that we are cloning from. */
  readonly busy: Set<DeviceId>
}

export interface RegistryEnv {
  readonly storage: Storage
  /** Of the account. */
  readonly prefix: string
  readonly open: (id: ConversationId) => Promise<Conversation | undefined>
  readonly onProblem: (conversation: ConversationId, error: JamiError) => void
}

export class Registry {
  readonly #env: RegistryEnv
  readonly #ready = new Map<ConversationId, Conversation>() // bounded by MAX_CONVERSATIONS, as the other ones
  readonly #pending = new Map<ConversationId, Pending>()
  readonly #damaged = new Set<ConversationId>()
  readonly #of = new Map<AccountUri, Set<ConversationId>>() // bounded by the members of all conversations
  readonly #indexed = new Map<ConversationId, readonly { uri: AccountUri }[]>()

  constructor(env: RegistryEnv) {
    this.#env = env
  }

  /** Opens what there is: one that cannot be opened is reported and kept as it is, the others start. */
  async load(): Promise<void> {
    const { storage, prefix, onProblem } = this.#env
    const known = new Set<string>()
    for await (const key of storage.keys(`${prefix}/conversation/`)) {
      const id = /\/conversation\/([0-9a-f]{40})\/info$/.exec(key)?.[1] as ConversationId | undefined
      if (!id) continue
      known.add(id)
      try {
        const from = readInfo((await storage.get(key)) ?? new Uint8Array(0))
        const conversation = await this.#env.open(id)
        if (conversation) this.add(conversation)
        else if (from) this.#pending.set(id, newPending(id, from))
        else throw new JamiError('ERR_STORAGE_CORRUPT', `conversation ${id}: its repository is gone`, { details: { conversation: id } })
      } catch (error) {
        this.#damaged.add(id)
        onProblem(id, JamiError.from(error, 'ERR_STORAGE_CORRUPT'))
      }
    }
    // what was begun and never entered, or removed halfway
    for (const name of await this.#folders().list('')) if (/^[0-9a-f]{40}\/$/.test(name) && !known.has(name.slice(0, 40))) await this.#folders().remove(name.slice(0, 40))
  }

  #folders(): FileTree {
    return this.#env.storage.files(`${this.#env.prefix}/conversations`)
  }

  get ready(): Iterable<Conversation> {
    return this.#ready.values()
  }

  get pending(): Iterable<Pending> {
    return this.#pending.values()
  }

  find(id: ConversationId): Conversation | undefined {
    return this.#ready.get(id)
  }

  findPending(id: ConversationId): Pending | undefined {
    return this.#pending.get(id)
  }

  has(id: ConversationId): boolean {
    return this.#ready.has(id) || this.#pending.has(id)
  }

  /** @throws ERR_NOT_FOUND, ERR_STORAGE_CORRUPT */
  get(id: ConversationId): Conversation {
    const conversation = this.#ready.get(id)
    if (conversation) return conversation
    const details = { conversation: id }
    if (this.#damaged.has(id)) throw new JamiError('ERR_STORAGE_CORRUPT', `conversation ${id} cannot be opened: what is kept of it is damaged`, { details })
    throw new JamiError('ERR_NOT_FOUND', this.#pending.has(id) ? `conversation ${id} is still being fetched` : `no conversation ${id}`, { details })
  }

  /** Ready conversations that an account is in, in any role. */
  *of(account: AccountUri): Iterable<Conversation> {
    for (const id of this.#of.get(account) ?? []) {
      const conversation = this.#ready.get(id)
      if (conversation) yield conversation
    }
  }

  /** @throws ERR_LIMIT */
  checkRoom(): void {
    const count = this.#ready.size + this.#pending.size + this.#damaged.size
    if (count >= MAX_CONVERSATIONS) throw limitError('conversations', count + 1, MAX_CONVERSATIONS)
  }

  /** Enters an accepted invitation. @throws ERR_LIMIT, ERR_STORAGE_IO */
  async expect(id: ConversationId, from: AccountUri): Promise<Pending> {
    const known = this.#pending.get(id)
    if (known) return known
    this.checkRoom()
    let count = this.#of.get(from)?.size ?? 0
    for (const pending of this.#pending.values()) if (pending.from === from) count++
    if (count >= MAX_WITH_ONE_PEER) throw limitError(`conversations with ${from}`, count + 1, MAX_WITH_ONE_PEER)
    await this.#keepDamaged(id)
    await this.record(id, from)
    const pending = this.#pending.get(id) ?? newPending(id, from)
    this.#pending.set(id, pending)
    return pending
  }

  /** What cannot be opened is never cloned over: it moves aside, for people to look at. */
  async #keepDamaged(id: ConversationId): Promise<void> {
    if (!this.#damaged.has(id)) return
    const names = new Set(await this.#folders().list(''))
    let n = 1
    while (names.has(`${id}.damaged-${n}/`)) n++
    if (names.has(`${id}/`)) await this.#folders().rename(id, `${id}.damaged-${n}`)
    this.#damaged.delete(id)
  }

  /** Durable when it resolves. @param from the inviter while it is not here yet */
  async record(id: ConversationId, from?: AccountUri): Promise<void> {
    const { storage, prefix } = this.#env
    await storage.batch([{ key: `${prefix}/conversation/${id}/info`, value: encodeMsgpack({ version: 1, from: from ?? '' }) }])
  }

  /** A conversation is here. */
  add(conversation: Conversation): void {
    this.#pending.get(conversation.id)?.retry?.cancel()
    this.#pending.delete(conversation.id)
    this.#ready.set(conversation.id, conversation)
    this.index(conversation)
  }

  /** Members may have changed. */
  index(conversation: Conversation): void {
    const { id, members } = conversation
    const before = this.#indexed.get(id)
    if (before === members) return
    for (const { uri } of before ?? []) this.#forget(uri, id)
    for (const { uri } of members) this.#of.set(uri, (this.#of.get(uri) ?? new Set()).add(id))
    this.#indexed.set(id, members)
  }

  #forget(uri: AccountUri, id: ConversationId): void {
    const ids = this.#of.get(uri)
    ids?.delete(id)
    if (ids?.size === 0) this.#of.delete(uri)
  }

  /** Removes records, then files; forgotten when the records are gone. @returns false when there was none */
  async remove(id: ConversationId): Promise<boolean> {
    const conversation = this.#ready.get(id)
    const known = this.has(id) || this.#damaged.has(id)
    if (conversation) await conversation.end(() => this.#removeRecords(id))
    else await this.#removeRecords(id)
    this.#pending.get(id)?.retry?.cancel()
    this.#pending.delete(id)
    this.#damaged.delete(id)
    this.#ready.delete(id)
    for (const { uri } of this.#indexed.get(id) ?? []) this.#forget(uri, id)
    this.#indexed.delete(id)
    await this.#folders().remove(id)
    return known
  }

  async #removeRecords(id: ConversationId): Promise<void> {
    const { storage, prefix } = this.#env
    await storage.purge(`${prefix}/conversation/${id}/`) // their bytes, too
  }
}

function readInfo(bytes: Uint8Array): AccountUri | undefined {
  const info = asMap(decodeMsgpack(bytes), 'conversation record')
  asInt(info.get('version') ?? 1, 'version')
  const from = asString(info.get('from') ?? '', 'from', 40)
  return from === '' ? undefined : (from as AccountUri)
}

function newPending(id: ConversationId, from: AccountUri): Pending {
  return { id, from, failures: 0, waitMs: CLONE_RETRY_FIRST_MS, retry: undefined, busy: new Set() }
}
