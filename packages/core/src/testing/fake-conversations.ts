// Conversations without git and links: the Conversations contract in memory, with its histories, merges, marks and events. A device
// that is made again finds what it kept; groups are in fake-groups.ts. Not modelled: hostile members, waiting longer and longer before a clone is
// tried again, `exportTo`. docs/protocol/04 §4, §5.
// Proof: testing/fake-conversations.test.ts with testing/suites/{conversations,conversation-groups}.ts.
import { Source } from '../base/emitter.ts'
import { JamiError } from '../base/errors.ts'
import { delay, throwIfAborted, withOp } from '../base/operation.ts'
import { Tasks } from '../base/tasks.ts'
import type { Clock, Timer } from '../contracts/clock.ts'
import type { ConversationInfo, Conversations, MessageStatusEvent } from '../contracts/conversations.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { ConversationInvitation, ConversationMember, ConversationMode, ConversationProfile, MemberRole } from '../contracts/groups.ts'
import type { AccountUri, ConversationId, DeviceId, MessageId } from '../contracts/ids.ts'
import type { MessageQuery, MessageView } from '../contracts/messages.ts'
import type { ConversationsModule } from '../contracts/module.ts'
import type { Op } from '../contracts/service.ts'
import { infoHashOf } from '../identity/ids.ts'
import { FakeGroups, isIn, type KeptGroups, keptGroups, modeOf, profileIn, rolesIn } from './fake-groups.ts'
import { matches, unreadIn, viewsOf } from './fake-views.ts'

const TYPING_MS = 12_000

type Marks = Map<AccountUri, MessageId>

/** One device's copy of a conversation. */
interface Replica {
  readonly id: ConversationId
  readonly entries: Map<MessageId, ConversationEntry> // bounded by the test, as everything here
  head: MessageId
  readonly keys: Map<string, MessageId>
  readonly acknowledged: Set<MessageId>
  readonly fetched: Marks
  readonly read: Marks
}

/** What a device keeps while it does not run. */
interface Kept {
  readonly replicas: Map<ConversationId, Replica>
  readonly cloning: Map<ConversationId, { readonly from: AccountUri; readonly mode: ConversationMode }>
  /** Left, until somebody has that. */
  readonly left: Map<ConversationId, Replica>
  readonly groups: KeptGroups
}

interface Self {
  readonly accountId: AccountUri
  readonly deviceId: DeviceId
}

/** What connects the conversations of a test. */
export class FakeConversationNetwork {
  /** As given. */
  readonly clock: Clock
  /** From a message to its arrival. */
  readonly latencyMs: number
  /** Those that run, by device. */
  readonly running = new Map<DeviceId, FakeConversations>() // bounded by the test
  readonly #kept = new Map<DeviceId, Kept>() // bounded by the test

  constructor(options: { clock: Clock; /** From a message to its arrival. */ latencyMs?: number }) {
    this.clock = options.clock
    this.latencyMs = options.latencyMs ?? 20
  }

  /** Must be started; the others are reached unless `setReachable` says otherwise. */
  conversations(self: Self): FakeConversations {
    return new FakeConversations(this, self, this.keptBy(self.deviceId))
  }

  /** For createJamiNode() and accounts: the conversations of whatever identity comes. */
  module(): ConversationsModule {
    return ({ identity }) => this.conversations(identity)
  }

  /** What a device keeps while it does not run. */
  keptBy(device: DeviceId): Kept {
    const kept = this.#kept.get(device) ?? { replicas: new Map(), cloning: new Map(), left: new Map(), groups: keptGroups() }
    this.#kept.set(device, kept)
    return kept
  }
}

/** Conversations of one device, in memory. */
export class FakeConversations implements Conversations {
  /** Whose they are. */
  readonly accountId: AccountUri
  /** On which device. */
  readonly deviceId: DeviceId
  readonly #network: FakeConversationNetwork
  readonly #kept: Kept
  readonly #tasks: Tasks
  readonly #groups: FakeGroups
  readonly #typers = new Map<string, Timer>() // bounded by the members
  readonly #entries = source<{ entry: ConversationEntry; own: boolean }>()
  readonly #readies = source<{ conversation: ConversationId }>()
  readonly #removed = source<{ conversation: ConversationId }>()
  readonly #statuses = source<MessageStatusEvent>()
  readonly #typings = source<{ conversation: ConversationId; from: AccountUri; active: boolean }>()
  #reachable = true

  constructor(network: FakeConversationNetwork, self: Self, kept: Kept) {
    this.#network = network
    this.accountId = self.accountId
    this.deviceId = self.deviceId
    this.#kept = kept
    this.#tasks = new Tasks(network.clock, (error) => {
      throw error // a defect of this double
    })
    this.#groups = new FakeGroups({
      own: self.accountId, kept: kept.groups, nowMs: () => network.clock.wallTimeMs(),
      entries: (id) => storyOf(this.#replica(id)),
      write: (id, body) => void this.#write(this.#replica(id), [this.#replica(id).head], body),
      exchange: () => this.#exchangeAll(),
      isKnown: (id) => this.get(id) !== undefined,
    })
  }

  get onEntry() { return this.#entries.listen }
  /** Nothing goes wrong here. */
  readonly onProblem = () => () => {}
  get onReady() { return this.#readies.listen }
  get onRemoved() { return this.#removed.listen }
  get onStatus() { return this.#statuses.listen }
  get onTyping() { return this.#typings.listen }

  // Life.

  async start(): Promise<void> {
    if (this.#tasks.signal.aborted || this.#network.running.has(this.deviceId)) return
    this.#network.running.set(this.deviceId, this)
    this.#exchangeAll()
  }

  async stop(): Promise<void> {
    if (this.#network.running.get(this.deviceId) === this) this.#network.running.delete(this.deviceId)
    await this.#tasks.close()
  }

  /** Whoever is reachable again gets what it missed, and gives what the others missed. */
  setReachable(reachable: boolean): void {
    this.#reachable = reachable
    this.#exchangeAll()
  }

  /** Those who run and reach us, now. */
  #others(): FakeConversations[] {
    const { running } = this.#network
    if (!this.#reachable || running.get(this.deviceId) !== this) return []
    return [...running.values()].filter((other) => other !== this && other.#reachable)
  }

  // Reading.

  list(): ConversationInfo[] {
    return [...this.#kept.replicas.keys(), ...this.#kept.cloning.keys()].flatMap((id) => this.get(id) ?? [])
  }

  get(id: ConversationId): ConversationInfo | undefined {
    const replica = this.#kept.replicas.get(id)
    if (replica) return { id, mode: modeOf(storyOf(replica)), state: 'ready', title: profileIn(storyOf(replica)).title, head: replica.head }
    const cloning = this.#kept.cloning.get(id)
    return cloning && { id, mode: cloning.mode, state: 'cloning', title: undefined, head: undefined }
  }

  members(id: ConversationId): ConversationMember[] {
    const replica = this.#kept.replicas.get(id)
    if (replica) return [...rolesOf(replica)].map(([uri, role]) => ({ uri, role }))
    const { from, mode } = this.#kept.cloning.get(id) ?? {}
    return from ? [{ uri: from, role: mode === 0 ? 'admin' : 'member' }, { uri: this.accountId, role: 'invited' }] : []
  }

  roleOf(id: ConversationId, account: AccountUri): MemberRole | undefined {
    return this.members(id).find(({ uri }) => uri === account)?.role
  }

  shares(account: AccountUri): boolean {
    return this.list().some(({ id }) => isIn(this.roleOf(id, account)))
  }

  #replica(id: ConversationId): Replica {
    const replica = this.#kept.replicas.get(id)
    if (!replica) throw new JamiError('ERR_NOT_FOUND', this.#kept.cloning.has(id) ? `conversation ${id} is still being fetched` : `no conversation ${id}`)
    return replica
  }

  async entry(id: ConversationId, message: MessageId): Promise<ConversationEntry | undefined> {
    return this.#replica(id).entries.get(message)
  }

  async *history(id: ConversationId, options: Parameters<Conversations['history']>[1] = {}): AsyncIterable<ConversationEntry> {
    const replica = this.#replica(id)
    const { before, after, order, limit } = options
    for (const message of [before, after]) if (message !== undefined) known(replica, message)
    let list = linear(replica, reachable(replica, replica.head))
    if (before !== undefined) list = list.slice(list.findIndex((entry) => entry.id === before) + 1)
    if (after !== undefined) list = list.slice(0, list.findIndex((entry) => entry.id === after))
    if (order === 'oldest') list.reverse()
    yield* list.slice(0, limit)
  }

  async *unacknowledged(id: ConversationId): AsyncIterable<ConversationEntry> {
    const replica = this.#replica(id)
    const open = linear(replica, reachable(replica, replica.head)).reverse()
    yield* open.filter((entry) => entry.author !== this.accountId && !replica.acknowledged.has(entry.id))
  }

  async acknowledge(id: ConversationId, message: MessageId): Promise<void> {
    const replica = this.#replica(id)
    known(replica, message)
    for (const covered of reachable(replica, message)) replica.acknowledged.add(covered)
  }

  statusOf(id: ConversationId, message: MessageId, member: AccountUri): { status: 'sent' | 'displayed'; atMs: number } | undefined {
    const replica = this.#kept.replicas.get(id)
    const covers = (mark: MessageId | undefined) => replica !== undefined && mark !== undefined && reachable(replica, mark).has(message)
    const status = covers(replica?.read.get(member)) ? 'displayed' : covers(replica?.fetched.get(member)) ? 'sent' : undefined
    return status && { status, atMs: this.#network.clock.wallTimeMs() }
  }

  // Changing.

  async create(options: Parameters<Conversations['create']>[0]): Promise<ConversationId> {
    const fields: Record<string, string> = options.mode === 0 ? { mode: '0', invited: options.peer } : { mode: '2', made: `${this.#kept.replicas.size}` }
    const entry = this.#entryOf('' as ConversationId, [], { type: 'initial', fields })
    const id = entry.id as string as ConversationId
    if (this.#kept.replicas.has(id)) return id
    const replica = emptyReplica(id, entry.id)
    replica.entries.set(entry.id, { ...entry, conversation: id })
    this.#kept.replicas.set(id, replica)
    if (options.mode === 2 && options.profile) await this.#groups.updateProfile(id, options.profile)
    this.#readies.emit({ conversation: id })
    return id
  }

  async accept({ conversation: id, from, mode }: Parameters<Conversations['accept']>[0]): Promise<void> {
    const invitation = this.#groups.answered(id)
    if (this.#kept.replicas.has(id)) return
    this.#kept.cloning.set(id, { from, mode: mode ?? invitation?.mode ?? 0 })
    this.#exchangeAll()
  }

  async remove(id: ConversationId): Promise<void> {
    const { replicas, cloning } = this.#kept
    const wasHere = replicas.delete(id)
    this.#kept.groups.preferences.delete(id)
    if (cloning.delete(id) || wasHere) this.#removed.emit({ conversation: id })
  }

  async append(id: ConversationId, body: { type: string; fields: Record<string, string> }, options: { key?: string } & Op = {}): Promise<MessageId> {
    throwIfAborted(options.signal)
    const replica = this.#replica(id)
    const role = rolesOf(replica).get(this.accountId)
    if (role !== 'admin' && role !== 'member') throw new JamiError('ERR_NOT_MEMBER', `we are ${role ?? 'nobody'} in conversation ${id}`)
    if (Object.values(body.fields).some((value) => value.includes('\0'))) throw new JamiError('ERR_ARGUMENT', 'message: got a NUL character')
    const earlier = options.key === undefined ? undefined : replica.keys.get(options.key)
    if (earlier) return earlier
    const message = this.#write(replica, [replica.head], body)
    if (options.key !== undefined) replica.keys.set(options.key, message)
    return message
  }

  #entryOf(conversation: ConversationId, parents: MessageId[], body: { type: string; fields: Record<string, string> }): ConversationEntry {
    const timeMs = Math.floor(this.#network.clock.wallTimeMs() / 1000) * 1000
    const content = { conversation, parents, author: this.accountId, device: this.deviceId, timeMs, type: body.type, fields: { ...body.fields } }
    return { ...content, id: infoHashOf(JSON.stringify(content)) as string as MessageId }
  }

  #write(replica: Replica, parents: MessageId[], body: { type: string; fields: Record<string, string> }): MessageId {
    const entry = this.#entryOf(replica.id, parents, body)
    replica.entries.set(entry.id, entry)
    replica.head = entry.id
    this.#entries.emit({ entry, own: true })
    this.#groups.noted(entry)
    this.#exchangeAll()
    return entry.id
  }

  async markDisplayed(id: ConversationId, message: MessageId): Promise<void> {
    const replica = this.#replica(id)
    known(replica, message)
    replica.read.set(this.accountId, message)
    this.#toOthers((other) => other.#note(id, this.accountId, message, 'displayed'))
  }

  setTyping(id: ConversationId, active: boolean): void {
    this.#replica(id)
    this.#toOthers((other) => other.#heardTyping(id, this.accountId, active))
  }

  async sync(id: ConversationId, op?: Op): Promise<void> {
    const { clock, latencyMs } = this.#network
    await withOp(clock, op, 'sync', async (signal) => {
      if (!this.#kept.cloning.has(id)) this.#replica(id)
      await delay(clock, latencyMs, signal)
      for (const other of this.#others()) this.#pull(other, id)
    })
  }

  // Groups: fake-groups.ts.

  get onInvitation() { return this.#groups.onInvitation }
  get onUpdated() { return this.#groups.onUpdated }

  invitations(): ConversationInvitation[] {
    return this.#groups.invitations()
  }

  decline(id: ConversationId): Promise<void> {
    return this.#groups.decline(id)
  }

  invite(id: ConversationId, account: AccountUri): Promise<void> {
    return this.#groups.invite(id, account)
  }

  ban(id: ConversationId, account: AccountUri): Promise<void> {
    return this.#groups.ban(id, account)
  }

  unban(id: ConversationId, account: AccountUri): Promise<void> {
    return this.#groups.unban(id, account)
  }

  async leave(id: ConversationId): Promise<void> {
    if (this.#kept.cloning.has(id)) return this.remove(id)
    const replica = this.#replica(id)
    this.#write(replica, [replica.head], { type: 'member', fields: { action: 'remove', uri: this.accountId } })
    this.#kept.left.set(id, replica)
    await this.remove(id)
  }

  profile(id: ConversationId): Promise<ConversationProfile> {
    return this.#groups.profile(id)
  }

  updateProfile(id: ConversationId, change: Parameters<Conversations['updateProfile']>[1]): Promise<void> {
    return this.#groups.updateProfile(id, change)
  }

  preferences(id: ConversationId): Readonly<Record<string, string>> {
    return this.#groups.preferences(id)
  }

  setPreferences(id: ConversationId, preferences: Readonly<Record<string, string>>): Promise<void> {
    return this.#groups.setPreferences(id, preferences)
  }

  // What people see.

  /** Oldest first. */
  #oldestFirst(id: ConversationId): ConversationEntry[] {
    const replica = this.#replica(id)
    return linear(replica, reachable(replica, replica.head)).reverse()
  }

  async message(id: ConversationId, message: MessageId): Promise<MessageView | undefined> {
    const { views, rootOf } = viewsOf(this.#oldestFirst(id))
    const root = rootOf.get(message) ?? message
    const entry = await this.entry(id, root)
    return views.find((view) => view.entry.id === root) ?? (entry && { entry, fields: entry.fields, deleted: false, editions: [], editedMs: undefined, reactions: [] })
  }

  async *messages(id: ConversationId, { limit, ...range }: Parameters<Conversations['messages']>[1] = {}): AsyncIterable<MessageView> {
    const seen = new Map(viewsOf(this.#oldestFirst(id)).views.map((view) => [view.entry.id, view])) // bounded by the test
    let left = limit ?? Number.POSITIVE_INFINITY
    for await (const { id: message } of this.history(id, range)) {
      const view = seen.get(message)
      if (!view) continue
      if (left-- <= 0) return
      yield view
    }
  }

  async *search(id: ConversationId, query: MessageQuery): AsyncIterable<MessageView> {
    throwIfAborted(query.signal)
    yield* viewsOf(this.#oldestFirst(id)).views.reverse().filter((view) => matches(view, query)).slice(0, query.limit)
  }

  unread(id: ConversationId): number {
    return unreadIn(this.#oldestFirst(id), this.accountId, this.#replica(id).read.get(this.accountId))
  }

  lastRead(id: ConversationId, member: AccountUri): MessageId | undefined {
    return this.#replica(id).read.get(member)
  }

  async exportTo(id: ConversationId): Promise<void> {
    this.#replica(id)
    throw new JamiError('ERR_UNSUPPORTED', 'exportTo: a conversation of this double has no repository')
  }

  // Between devices.

  #toOthers(fn: (other: FakeConversations) => void): void {
    this.#tasks.after(this.#network.latencyMs, 'arrival', () => {
      for (const other of this.#others()) fn(other)
    })
  }

  /** Soon, everybody has what everybody has. */
  #exchangeAll(): void {
    this.#toOthers((other) => {
      for (const id of new Set([...other.#ids(), ...this.#ids()])) {
        other.#pull(this, id)
        this.#pull(other, id)
      }
    })
  }

  #ids(): ConversationId[] {
    return [...this.#kept.replicas.keys(), ...this.#kept.cloning.keys(), ...this.#kept.left.keys()]
  }

  /** Fetches, and merges when both sides have something new: everything at once, so that only one of two merges. */
  #pull(source: FakeConversations, id: ConversationId): void {
    const theirs = source.#kept.replicas.get(id) ?? source.#kept.left.get(id)
    if (!theirs || !isIn(rolesOf(theirs).get(this.accountId))) return
    const here = this.#kept.replicas.get(id)
    if (here && rolesOf(here).get(source.accountId) === 'banned') return
    const ours = here ?? this.#clone(source, theirs)
    if (!ours) return this.#offer(source, theirs)
    source.#kept.left.delete(id)
    const { head } = theirs
    const fresh = linear(theirs, reachable(theirs, head)).reverse().filter((entry) => !ours.entries.has(entry.id))
    for (const entry of fresh) ours.entries.set(entry.id, entry)
    source.#note(id, this.accountId, head, 'sent')
    if (fresh.length > 0 && reachable(ours, head).has(ours.head)) ours.head = head
    for (const entry of fresh) {
      this.#entries.emit({ entry, own: entry.author === this.accountId })
      this.#groups.noted(entry)
    }
    if (!reachable(ours, ours.head).has(head)) this.#write(ours, [ours.head, head], { type: 'merge', fields: { body: `Merge commit '${head}'` } })
    this.#note(id, source.accountId, head, 'sent')
  }

  #clone(source: FakeConversations, theirs: Replica): Replica | undefined {
    const { id, head, entries } = theirs
    if (this.#kept.cloning.get(id)?.from !== source.accountId) return undefined
    const ours = emptyReplica(id, head)
    for (const [message, entry] of entries) ours.entries.set(message, entry)
    this.#kept.cloning.delete(id)
    this.#kept.replicas.set(id, ours)
    if (rolesOf(ours).get(this.accountId) === 'invited') this.#write(ours, [head], { type: 'member', fields: { action: 'join', uri: this.accountId } })
    this.#readies.emit({ conversation: id })
    return ours
  }

  /** Whoever invited us to a group says so. */
  #offer(source: FakeConversations, theirs: Replica): void {
    const receivedMs = source.#kept.groups.invitedMs.get(`${theirs.id} ${this.accountId}`)
    const story = storyOf(theirs)
    if (receivedMs !== undefined && modeOf(story) !== 0) this.#groups.offered({ conversation: theirs.id, from: source.accountId, mode: modeOf(story), receivedMs, profile: profileIn(story) })
  }

  /** A member has (or has seen) an entry and all before it. */
  #note(id: ConversationId, member: AccountUri, message: MessageId, status: 'sent' | 'displayed'): void {
    const replica = this.#kept.replicas.get(id)
    if (!replica?.entries.has(message) || member === this.accountId || !rolesOf(replica).has(member) || rolesOf(replica).get(member) === 'banned') return
    const marks = status === 'sent' ? replica.fetched : replica.read
    const old = marks.get(member)
    const before = old ? reachable(replica, old) : new Set<MessageId>()
    const now = reachable(replica, message)
    if (before.has(message) || (old && !now.has(old))) return
    marks.set(member, message)
    for (const entry of linear(replica, now).reverse()) {
      if (entry.author === this.accountId && !before.has(entry.id)) this.#statuses.emit({ conversation: id, message: entry.id, member, status, atMs: this.#network.clock.wallTimeMs() })
    }
  }

  #heardTyping(id: ConversationId, from: AccountUri, active: boolean): void {
    const replica = this.#kept.replicas.get(id)
    if (!replica || !isIn(rolesOf(replica).get(from))) return
    const key = `${id} ${from}`
    const timer = this.#typers.get(key)
    timer?.cancel()
    this.#typers.delete(key)
    if (active) this.#typers.set(key, this.#tasks.after(TYPING_MS, 'typing', () => this.#heardTyping(id, from, false)))
    if (active !== (timer !== undefined)) this.#typings.emit({ conversation: id, from, active })
  }
}

const source = <Event>() => new Source<Event>(() => {}) // a listener's error is its own

function emptyReplica(id: ConversationId, head: MessageId): Replica {
  return { id, entries: new Map(), head, keys: new Map(), acknowledged: new Set(), fetched: new Map(), read: new Map() }
}

/** @throws ERR_NOT_FOUND */
function known(replica: Replica, message: MessageId): void {
  if (!replica.entries.has(message)) throw new JamiError('ERR_NOT_FOUND', `message ${message} is not in conversation ${replica.id}`)
}

/** An entry and everything before it. */
function reachable(replica: Replica, from: MessageId): Set<MessageId> {
  const seen = new Set<MessageId>()
  const open = [from]
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (seen.has(id)) continue
    seen.add(id)
    open.push(...(replica.entries.get(id)?.parents ?? []))
  }
  return seen
}

/** Newest first: among the entries whose children are all out, the one with the latest time (spec 04 §4.10). */
function linear(replica: Replica, of: ReadonlySet<MessageId>): ConversationEntry[] {
  const rest = new Map([...of].flatMap((id) => replica.entries.get(id) ?? []).map((entry) => [entry.id, entry]))
  const out: ConversationEntry[] = []
  while (rest.size > 0) {
    const parents = new Set([...rest.values()].flatMap((entry) => entry.parents))
    const [next] = [...rest.values()].filter(({ id }) => !parents.has(id)).sort((a, b) => b.timeMs - a.timeMs || (a.id < b.id ? 1 : -1))
    if (!next) throw new JamiError('ERR_INTERNAL', 'a history with a ring')
    rest.delete(next.id)
    out.push(next)
  }
  return out
}

function storyOf(replica: Replica): ConversationEntry[] {
  return linear(replica, reachable(replica, replica.head)).reverse()
}

function rolesOf(replica: Replica): Map<AccountUri, MemberRole> {
  return rolesIn(storyOf(replica))
}
