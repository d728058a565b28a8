// Which conversations there are on this device: ready ones, those still being cloned, those that cannot be opened, those that we left and
// still serve, those that are gone; and who is in which. What is on disk is there before it is known, and gone from disk before it is
// forgotten. docs/protocol/04 §4.7, §5.1, §8.1, B.1. Proof: conversation/registry.test.ts, conversation/leaving.test.ts.
import { JamiError, limitError } from '@jamikit/core/base'
import type { AccountUri, ConversationId, ConversationMode, DeviceId, FileTree, Storage, StorageOp } from '@jamikit/core/contracts'
import { CLONE_RETRY_FIRST_MS, MAX_CONVERSATIONS, MAX_GONE, MAX_WITH_ONE_PEER } from '../defaults.ts'
import type { Conversation } from './conversation.ts'
import { type ConversationRecord, decodeRecord, keys, NEW_RECORD, put, recordsBelow } from './record.ts'

/** Accepted, not here yet. */
export interface Pending {
  readonly id: ConversationId
  readonly from: AccountUri
  readonly mode: ConversationMode
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
  /** Left, and served until somebody has the leave. */
  readonly #leaving = new Map<ConversationId, Conversation>() // bounded by our own calls
  readonly #gone = new Map<ConversationId, ConversationRecord>() // bounded by MAX_GONE, oldest first
  readonly #records = new Map<ConversationId, ConversationRecord>() // of those above
  #turns: Promise<unknown> = Promise.resolve()
  readonly #of = new Map<AccountUri, Set<ConversationId>>() // bounded by the members of all conversations
  readonly #indexed = new Map<ConversationId, readonly { uri: AccountUri }[]>()

  constructor(env: RegistryEnv) {
    this.#env = env
  }

  /** Opens what there is: one that cannot be opened is reported and kept as it is, the others start. */
  async load(): Promise<void> {
    const { storage, prefix, onProblem } = this.#env
    const known = new Set<string>()
    await this.#loadGone()
    for await (const { id, bytes } of recordsBelow(storage, keys.all(prefix), /^([0-9a-f]{40})\/info$/)) {
      if (this.#gone.has(id)) continue
      known.add(id)
      try {
        const record = decodeRecord(bytes)
        const conversation = await this.#env.open(id)
        this.#records.set(id, record)
        if (conversation) this.add(conversation)
        else if (record.from) this.#pending.set(id, newPending(id, record.from, record.mode))
        else throw new JamiError('ERR_STORAGE_CORRUPT', `conversation ${id}: its repository is gone`, { details: { conversation: id } })
      } catch (error) {
        this.#damaged.add(id)
        onProblem(id, JamiError.from(error, 'ERR_STORAGE_CORRUPT'))
      }
    }
    // left or removed, and the process ended before the last of it was erased: nobody is waited for any more
    for (const [id, { erasedMs }] of this.#gone) if (erasedMs === 0) await this.erase(id).catch((error: unknown) => onProblem(id, JamiError.from(error)))
    // what was begun and never entered, or removed halfway
    for (const name of await this.#folders().list('')) if (/^[0-9a-f]{40}\/$/.test(name) && !known.has(name.slice(0, 40))) await this.#folders().remove(name.slice(0, 40))
  }

  async #loadGone(): Promise<void> {
    const { storage, prefix, onProblem } = this.#env
    const found: [ConversationId, ConversationRecord][] = []
    for await (const { id, bytes } of recordsBelow(storage, keys.allGone(prefix), /^([0-9a-f]{40})$/)) {
      try {
        found.push([id, decodeRecord(bytes)])
      } catch (error) {
        onProblem(id, JamiError.from(error, 'ERR_STORAGE_CORRUPT'))
      }
    }
    for (const [id, record] of found.sort(([, a], [, b]) => a.removedMs - b.removedMs)) this.#gone.set(id, record)
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

  /** Left, and still served. */
  get leaving(): Iterable<Conversation> {
    return this.#leaving.values()
  }

  /** One that others may fetch: also one that we have left. */
  findServed(id: ConversationId): Conversation | undefined {
    return this.#ready.get(id) ?? this.#leaving.get(id)
  }

  /** Left or removed, and not accepted again since. */
  gone(id: ConversationId): ConversationRecord | undefined {
    return this.#gone.get(id)
  }

  /** Of one that is ready or being cloned. */
  recordOf(id: ConversationId): ConversationRecord {
    return this.#records.get(id) ?? NEW_RECORD
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

  /**
   * Enters an accepted invitation, also to what was left or removed before. @param also what becomes durable with it
   * @throws ERR_LIMIT, ERR_STORAGE_IO
   */
  async expect(id: ConversationId, from: AccountUri, options: { mode?: ConversationMode; nowMs?: number; acceptedMs?: number; also?: readonly StorageOp[] } = {}): Promise<Pending> {
    const { mode = 0, nowMs = 0, acceptedMs = 0, also = [] } = options
    const { storage, prefix } = this.#env
    const known = this.#pending.get(id)
    if (known) {
      if (also.length > 0) await storage.batch(also)
      return known
    }
    this.checkRoom()
    if (mode === 0) this.#checkShare(from)
    await this.#keepDamaged(id)
    if (this.#leaving.has(id) || this.#gone.get(id)?.erasedMs === 0) await this.erase(id)
    const record = { ...NEW_RECORD, from, mode, createdMs: nowMs, acceptedMs }
    await storage.batch([put(keys.record(prefix, id), record), { key: keys.gone(prefix, id), value: null }, ...also])
    const pending = this.#pending.get(id) ?? newPending(id, from, mode)
    this.#gone.delete(id)
    this.#records.set(id, record)
    this.#pending.set(id, pending)
    return pending
  }

  /** One-to-one conversations with one account. @throws ERR_LIMIT */
  #checkShare(from: AccountUri): void {
    let count = 0
    for (const { mode } of this.of(from)) if (mode === 0) count++
    for (const pending of this.#pending.values()) if (pending.from === from && pending.mode === 0) count++
    if (count >= MAX_WITH_ONE_PEER) throw limitError(`conversations with ${from}`, count + 1, MAX_WITH_ONE_PEER)
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

  /** One that was made here: known when its record is on disk. */
  async enter(conversation: Conversation, nowMs: number): Promise<void> {
    const record = { ...NEW_RECORD, mode: conversation.mode, createdMs: nowMs }
    await this.#env.storage.batch([put(keys.record(this.#env.prefix, conversation.id), record)])
    this.#records.set(conversation.id, record)
    this.add(conversation)
  }

  /** Changes a record; durable when it resolves. */
  update(id: ConversationId, change: (record: ConversationRecord) => ConversationRecord): Promise<void> {
    return this.whileHere(id, async () => {
      const record = change(this.recordOf(id))
      await this.#env.storage.batch([put(keys.record(this.#env.prefix, id), record)])
      this.#records.set(id, record)
    })
  }

  /** Writes records of a conversation, ready or being cloned, never of one that is gone meanwhile. @throws ERR_NOT_FOUND, ERR_STORAGE_CORRUPT */
  whileHere<T>(id: ConversationId, work: () => Promise<T>): Promise<T> {
    return this.#turn(async () => {
      if (!this.#pending.has(id)) this.get(id)
      return work()
    })
  }

  #turn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turns.then(work)
    this.#turns = turn.catch(() => {})
    return turn
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

  /** What makes it gone, durable when it resolves; the oldest that is gone is forgotten when there are too many. */
  async #recordGone(id: ConversationId, nowMs: number): Promise<void> {
    const { storage, prefix } = this.#env
    const { from: _from, ...record } = this.recordOf(id)
    const gone = { ...record, from: undefined, removedMs: Math.max(nowMs, record.createdMs), erasedMs: 0 }
    const oldest = this.#gone.size < MAX_GONE ? undefined : [...this.#gone].find(([, { erasedMs }]) => erasedMs > 0)?.[0]
    await storage.batch([put(keys.gone(prefix, id), gone), ...(oldest ? [{ key: keys.gone(prefix, oldest), value: null }] : [])])
    if (oldest) this.#gone.delete(oldest)
    this.#gone.set(id, gone)
  }

  #forgetAll(id: ConversationId): void {
    this.#pending.get(id)?.retry?.cancel()
    this.#pending.delete(id)
    this.#damaged.delete(id)
    this.#ready.delete(id)
    for (const { uri } of this.#indexed.get(id) ?? []) this.#forget(uri, id)
    this.#indexed.delete(id)
  }

  /** We have left: invisible from now on, and served until `erase`. Called as the last step of leaving. */
  async left(conversation: Conversation, nowMs: number): Promise<void> {
    await this.#recordGone(conversation.id, nowMs)
    this.#forgetAll(conversation.id)
    this.#leaving.set(conversation.id, conversation)
  }

  /** Gone when the record says so, then erased. @returns false when there was none. @throws ERR_STORAGE_IO: the next call, or start, goes on */
  async remove(id: ConversationId, nowMs: number): Promise<boolean> {
    const conversation = this.#ready.get(id)
    const known = this.has(id) || this.#damaged.has(id)
    if (conversation) await conversation.end(() => this.#recordGone(id, nowMs))
    else if (known) await this.#recordGone(id, nowMs)
    this.#forgetAll(id)
    if (this.#gone.get(id)?.erasedMs === 0) await this.erase(id, nowMs)
    return known
  }

  /** The repository and every record of it, so that nothing of it is left on disk. */
  erase(id: ConversationId, nowMs = 1): Promise<void> {
    return this.#turn(() => this.#erase(id, nowMs))
  }

  async #erase(id: ConversationId, nowMs: number): Promise<void> {
    const { storage, prefix } = this.#env
    await this.#leaving.get(id)?.close()
    this.#leaving.delete(id)
    await this.#folders().remove(id)
    await storage.purge(keys.of(prefix, id))
    this.#records.delete(id)
    const gone = this.#gone.get(id)
    if (!gone) return
    const erased = { ...gone, erasedMs: Math.max(nowMs, gone.removedMs, 1) }
    await storage.batch([put(keys.gone(prefix, id), erased)])
    this.#gone.set(id, erased)
  }
}

function newPending(id: ConversationId, from: AccountUri, mode: ConversationMode): Pending {
  return { id, from, mode, failures: 0, waitMs: CLONE_RETRY_FIRST_MS, retry: undefined, busy: new Set() }
}
