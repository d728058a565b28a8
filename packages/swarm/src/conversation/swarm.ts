// The Conversations contract, one per account: joins which conversations there are, cloning, fetching, serving and the small messages about
// them. docs/protocol/04 §4.1, §4.5, §4.7, §4.8. Proof: conversation/conversations.test.ts (suite of the contract), interop.
import { abortError, JamiError, Source, Tasks } from '@jamikit/core/base'
import type {
  AccountUri, ConversationEntry, ConversationId, ConversationInfo, ConversationInvitation, ConversationMember, ConversationProfile, Conversations, ConversationsModule, DeviceId, MemberRole, MessageId, MessageQuery,
  MessageStatusEvent, MessageView, Op,
} from '@jamikit/core/contracts'
import { CACHE_BYTES, CLONE_RETRY_FIRST_MS, FETCH_RETRY_MS, STORAGE_RETRY_MAX_MS } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'
import { ObjectCache } from '../repo/object-cache.ts'
import { CLONE_LIMITS } from '../sync/pack-reader.ts'
import { Cloning } from './cloning.ts'
import { Conversation, type Change, type ConversationEnv } from './conversation.ts'
import { exportRepository } from './export.ts'
import { Fetching } from './fetching.ts'
import { Notices } from './notices.ts'
import { type Pending, Registry } from './registry.ts'
import { Serving } from './serving.ts'
import { MIME, printCommitNotice, printDisplayed, printTyping } from './small-payloads.ts'
import { Statuses } from './statuses.ts'
import { Typing } from './typing.ts'
import { Views } from './view/views.ts'

type Env = Parameters<ConversationsModule>[0]
const unsupported = (what: string) => new JamiError('ERR_UNSUPPORTED', `${what}: not in this version`)
/** Types that say nothing of what their author has seen: devices write them by themselves. */
const UNATTENDED: ReadonlySet<string> = new Set(['merge', 'member', 'initial'])

/** Conversations for createJamiNode(). */
export function swarm(): ConversationsModule {
  return (env) => new SwarmConversations(env)
}

export class SwarmConversations implements Conversations {
  readonly #env: Env
  readonly #tasks: Tasks
  readonly #registry: Registry
  readonly #cloning: Cloning
  readonly #fetching: Fetching
  readonly #serving: Serving
  readonly #statuses: Statuses
  readonly #typing: Typing
  readonly #notices: Notices
  readonly #views: Views
  readonly #announcing = new Map<ConversationId, Promise<void>>() // bounded by the conversations
  readonly #entries: Source<{ entry: ConversationEntry; own: boolean }>
  readonly #readies: Source<{ conversation: ConversationId }>
  readonly #removed: Source<{ conversation: ConversationId }>
  readonly #status: Source<MessageStatusEvent>
  readonly #typings: Source<{ conversation: ConversationId; from: AccountUri; active: boolean }>
  readonly #problems: Source<{ conversation: ConversationId; error: JamiError }>
  readonly #cache = new ObjectCache(CACHE_BYTES)
  readonly #off: (() => void)[] = []
  /** Time of the newest conversation made here: two of one second, with the same peer, would be one. */
  #createdS = 0
  #started: Promise<void> | undefined

  constructor(env: Env) {
    const { clock, random, logger, identity, contacts, connections, directory, storage, prefix } = env
    this.#env = env
    this.#tasks = new Tasks(clock, (err, what) => logger.warn({ err, what }, 'conversation task failed'))
    const onError = (err: unknown) => logger.error({ err }, 'a listener threw')
    this.#entries = new Source(onError)
    this.#readies = new Source(onError)
    this.#removed = new Source(onError)
    this.#status = new Source(onError)
    this.#typings = new Source(onError)
    this.#problems = new Source(onError)
    const onProblem = (conversation: ConversationId, error: JamiError) => this.#tellProblem(conversation, error)
    const tasks = this.#tasks
    const registry = new Registry({ storage, prefix, open: (id) => Conversation.open(this.#conversationEnv(id), id), onProblem })
    const find = (id: ConversationId) => registry.find(id)
    const mayFetch = (conversation: Conversation, uri: AccountUri) => this.#mayFetch(conversation, uri)
    const onHas = (conversation: Conversation, account: AccountUri, head: Oid) => this.#statuses.note(conversation, account, head, 'sent')
    this.#registry = registry
    this.#fetching = new Fetching({
      clock, random, logger, tasks, connections, find, onHas, onProblem,
      files: (id) => storage.files(`${prefix}/conversations/${id}`),
      isConnected: (account, device) => this.#env.messages.connectedDevices(account).includes(device),
      onChange: (conversation, change, device) => this.#changed(conversation, change, change.merged ? undefined : device),
    })
    this.#serving = new Serving({
      clock, logger, tasks, identity, contacts, find, mayFetch, onHas,
      onAhead: (conversation, peer) => this.#fetching.request(conversation, peer.accountId, peer.deviceId),
    })
    this.#cloning = new Cloning({
      registry, tasks, directory, logger, onProblem,
      clone: (pending, device) => this.#clone(pending, device),
      onCloned: (conversation, from, head) => this.#cloned(conversation, from, head),
    })
    this.#statuses = new Statuses({
      clock, own: identity.accountId, emit: (event) => this.#status.emit(event),
      isHere: ({ id }) => !tasks.signal.aborted && registry.find(id) !== undefined,
    })
    this.#views = new Views({
      clock, tasks, own: identity.accountId, files: (id) => storage.files(`${prefix}/conversations/${id}`), get: (id) => registry.get(id), onProblem,
    })
    this.#typing = new Typing(clock, (event) => this.#typings.emit(event))
    this.#notices = new Notices({
      clock, logger, contacts, certificates: env.certificates, messages: env.messages, registry, mayFetch,
      fetch: (conversation, account, device, commit) => this.#fetching.request(conversation, account, device, commit),
      clone: (pending, device) => this.#cloneFrom(pending, device),
      accept: (id, from) => this.accept({ conversation: id, from }),
      onDisplayed: (conversation, account, message) => this.#statuses.note(conversation, account, message, 'displayed'),
      onTyping: (conversation, account, active) => this.#typing.heard(conversation, account, active),
    })
  }

  get onEntry() { return this.#entries.listen }
  get onReady() { return this.#readies.listen }
  get onRemoved() { return this.#removed.listen }
  get onStatus() { return this.#status.listen }
  get onTyping() { return this.#typings.listen }
  get onProblem() { return this.#problems.listen }

  // ---------------------------------------------------------------- life

  start(): Promise<void> {
    this.#started ??= (async () => {
      if (this.#tasks.signal.aborted) return
      await this.#registry.load()
      for (const conversation of this.#registry.ready) await this.#views.opened(conversation)
      if (this.#tasks.signal.aborted) return
      const { connections, messages, presence } = this.#env
      this.#off.push(
        ...this.#notices.listen(),
        connections.handle('git', { accept: (name, peer) => this.#serving.accepts(name, peer), open: (channel) => this.#serving.serve(channel) }),
        messages.onPeerReady(({ account, device }) => this.#peerReady(account, device)),
        presence.onChange(({ account, state }) => {
          if (state === 'available') for (const p of this.#registry.pending) if (p.from === account) this.#cloning.round(p)
        }),
      )
      for (const p of this.#registry.pending) this.#cloning.round(p)
      for (const conversation of this.#registry.ready) if (conversation.roleOf(this.#env.identity.accountId) === 'invited') this.#tasks.run('joining', () => this.#join(conversation))
    })()
    return this.#started
  }

  async stop(): Promise<void> {
    await this.#started?.catch(() => {})
    for (const off of this.#off.splice(0)) off()
    this.#typing.stop()
    this.#notices.stop()
    this.#fetching.stop()
    await this.#views.stop()
    await this.#tasks.close()
    await Promise.all([...this.#registry.ready].map((conversation) => conversation.close().catch((err: unknown) => this.#env.logger.warn({ err, conversation: conversation.id }, 'a conversation was not closed in order'))))
  }

  #conversationEnv(id: ConversationId): ConversationEnv {
    const { clock, random, crypto, logger, identity, displayName, storage, prefix } = this.#env
    return {
      clock, random, crypto, logger, identity, displayName, storage, files: storage.files(`${prefix}/conversations/${id}`), prefix: `${prefix}/conversation/${id}`,
      cache: this.#cache, onProblem: (error) => this.#tellProblem(id, error),
    }
  }

  #tellProblem(conversation: ConversationId, error: JamiError): void {
    this.#env.logger.error({ conversation, err: error }, 'a conversation has a problem')
    this.#problems.emit({ conversation, error })
  }

  // ---------------------------------------------------------------- contract

  list(): ConversationInfo[] {
    return [...[...this.#registry.ready].map((c) => c.info), ...[...this.#registry.pending].map((p) => this.#cloningInfo(p))]
  }

  get(id: ConversationId): ConversationInfo | undefined {
    const pending = this.#registry.findPending(id)
    return this.#registry.find(id)?.info ?? (pending && this.#cloningInfo(pending))
  }

  #cloningInfo(p: Pending): ConversationInfo {
    return { id: p.id, mode: 0, state: 'cloning', title: undefined, head: undefined }
  }

  members(id: ConversationId): readonly ConversationMember[] {
    const pending = this.#registry.findPending(id)
    if (pending) return [{ uri: pending.from, role: 'admin' }, { uri: this.#env.identity.accountId, role: 'invited' }]
    return this.#registry.find(id)?.members ?? []
  }

  roleOf(id: ConversationId, account: AccountUri): MemberRole | undefined {
    return this.#registry.find(id)?.roleOf(account) ?? this.members(id).find(({ uri }) => uri === account)?.role
  }

  shares(account: AccountUri): boolean {
    for (const conversation of this.#registry.of(account)) if (this.#mayFetch(conversation, account)) return true
    return false
  }

  async create(options: Parameters<Conversations['create']>[0]): Promise<ConversationId> {
    if (options.mode !== 0) throw unsupported('groups')
    const { peer } = options
    this.#registry.checkRoom()
    const conversation = await Conversation.create((id) => this.#conversationEnv(id), this.#env, peer, this.#createdS + 1)
    this.#createdS = conversation.createdS
    await this.#registry.record(conversation.id)
    this.#registry.add(conversation)
    this.#readies.emit({ conversation: conversation.id })
    return conversation.id
  }

  async accept({ conversation: id, from }: Parameters<Conversations['accept']>[0]): Promise<void> {
    if (this.#registry.find(id)) return
    const pending = await this.#registry.expect(id, from)
    pending.waitMs = CLONE_RETRY_FIRST_MS
    pending.failures = 0
    this.#cloning.round(pending)
  }

  async remove(id: ConversationId): Promise<void> {
    await this.#views.forget(id)
    const known = await this.#registry.remove(id)
    this.#fetching.forget(id)
    this.#serving.forget(id)
    this.#announcing.delete(id)
    if (known) this.#removed.emit({ conversation: id })
  }

  async append(id: ConversationId, body: { type: string; fields: Record<string, string> }, options: { key?: string } & Op = {}): Promise<MessageId> {
    if (options.signal?.aborted) throw abortError(options.signal)
    const conversation = this.#registry.get(id)
    const { id: message, change } = await conversation.append(body, options.key)
    if (change) this.#changed(conversation, change, undefined)
    return message
  }

  async entry(id: ConversationId, message: MessageId): Promise<ConversationEntry | undefined> {
    return this.#registry.get(id).entry(message)
  }

  async *history(id: ConversationId, options: Parameters<Conversations['history']>[1] = {}): AsyncIterable<ConversationEntry> {
    yield* this.#registry.get(id).read(options)
  }

  async *unacknowledged(id: ConversationId): AsyncIterable<ConversationEntry> {
    yield* this.#registry.get(id).unacknowledged()
  }

  async acknowledge(id: ConversationId, message: MessageId): Promise<void> {
    await this.#registry.get(id).acknowledge(message)
  }

  statusOf(id: ConversationId, message: MessageId, member: AccountUri): { status: 'sent' | 'displayed'; atMs: number } | undefined {
    return this.#registry.find(id)?.statusOf(message, member)
  }

  async markDisplayed(id: ConversationId, message: MessageId): Promise<void> {
    const conversation = this.#registry.get(id)
    if (!conversation.has(message)) throw new JamiError('ERR_NOT_FOUND', `message ${message} is not in conversation ${id}`, { details: { message, conversation: id } })
    await conversation.note(this.#env.identity.accountId, message, 'displayed')
    this.#toMembers(conversation, MIME.displayed, printDisplayed(id, message))
  }

  setTyping(id: ConversationId, active: boolean): void {
    this.#toMembers(this.#registry.get(id), MIME.typing, printTyping(id, active))
  }

  async sync(id: ConversationId, op?: Op): Promise<void> {
    const { messages, directory } = this.#env
    const pending = this.#registry.findPending(id)
    if (pending) return this.#cloning.round(pending)
    const conversation = this.#registry.get(id)
    for (const uri of this.#others(conversation)) {
      const devices = new Set(messages.connectedDevices(uri))
      for await (const device of directory.devicesOf(uri, op)) devices.add(device)
      await Promise.all([...devices].map((device) => this.#fetching.whenFetched(conversation, uri, device)))
    }
  }

  async exportTo(id: ConversationId, directory: string): Promise<void> {
    await exportRepository(this.#registry.get(id), directory)
  }

  // ---------------------------------------------------------------- to come

  readonly onInvitation = () => () => {}
  readonly onUpdated = () => () => {}

  invitations(): ConversationInvitation[] {
    return []
  }

  async decline(id: ConversationId): Promise<void> {
    throw new JamiError('ERR_NOT_FOUND', `there is no invitation to ${id}`)
  }

  async invite(): Promise<void> {
    throw unsupported('groups')
  }

  async ban(): Promise<void> {
    throw unsupported('groups')
  }

  async unban(): Promise<void> {
    throw unsupported('groups')
  }

  async leave(): Promise<void> {
    throw unsupported('groups')
  }

  async profile(id: ConversationId): Promise<ConversationProfile> {
    this.#registry.get(id)
    return {}
  }

  async updateProfile(): Promise<void> {
    throw unsupported('groups')
  }

  preferences(): Record<string, string> {
    return {}
  }

  async setPreferences(): Promise<void> {
    throw unsupported('groups')
  }

  // ---------------------------------------------------------------- what people see

  message(id: ConversationId, message: MessageId): Promise<MessageView | undefined> {
    return this.#views.message(id, message)
  }

  messages(id: ConversationId, options: Parameters<Conversations['messages']>[1] = {}): AsyncIterable<MessageView> {
    return this.#views.messages(id, options)
  }

  search(id: ConversationId, query: MessageQuery): AsyncIterable<MessageView> {
    return this.#views.search(id, query)
  }

  unread(id: ConversationId): number {
    return this.#views.unread(id)
  }

  lastRead(id: ConversationId, member: AccountUri): MessageId | undefined {
    return this.#views.lastRead(id, member)
  }

  // ---------------------------------------------------------------- announcing

  #others(conversation: Conversation): AccountUri[] {
    const me = this.#env.identity.accountId
    return conversation.members.filter((m) => m.uri !== me && m.role !== 'banned' && m.role !== 'left').map((m) => m.uri)
  }

  #toMembers(conversation: Conversation, mime: string, body: string): void {
    for (const uri of this.#others(conversation)) void this.#env.messages.send(uri, { mime, body }, { connectedOnly: true }).catch(() => {})
  }

  /** @param source the device that a change came from: it knows already */
  #changed(conversation: Conversation, change: Change, source: DeviceId | undefined): void {
    this.#registry.index(conversation)
    this.#views.changed(conversation)
    const before = this.#announcing.get(conversation.id) ?? Promise.resolve()
    const running = before.then(() => this.#tell(conversation, change)).catch((error: unknown) => {
      if (!this.#tasks.signal.aborted) this.#tellProblem(conversation.id, JamiError.from(error))
    })
    this.#announcing.set(conversation.id, running)
    this.#tasks.run('new entries', () => running)
    const notice = printCommitNotice({ conversation: conversation.id, commit: change.head as MessageId, device: this.#env.identity.deviceId })
    const { messages, logger } = this.#env
    for (const uri of this.#others(conversation)) {
      const options = { replaces: `commit ${conversation.id}`, connType: `${MIME.commit}/${conversation.id}` }
      const failed = (err: unknown) => logger.debug({ err }, 'a commit was not announced')
      if (source === undefined) void messages.send(uri, { mime: MIME.commit, body: notice }, options).catch(failed)
      else for (const device of messages.connectedDevices(uri)) if (device !== source) void messages.send(device, { mime: MIME.commit, body: notice }, { connectedOnly: true }).catch(failed)
    }
  }

  /** New entries in the order of arrival, then what they say of their authors: whoever writes has seen what is before. */
  async #tell(conversation: Conversation, change: Change): Promise<void> {
    const me = this.#env.identity.accountId
    const wrote = new Map<AccountUri, MessageId>() // bounded by the members
    for (const { oid } of change.commits) {
      if (this.#tasks.signal.aborted || this.#registry.find(conversation.id) !== conversation) return
      const entry = await conversation.entry(oid)
      if (!entry) continue
      if (entry.author !== me && !UNATTENDED.has(entry.type)) wrote.set(entry.author, oid)
      this.#entries.emit({ entry, own: entry.author === me })
    }
    for (const [member, oid] of wrote) await this.#statuses.note(conversation, member, oid, 'displayed')
    for (const { member, oid, kind } of conversation.dueMarks()) await this.#statuses.note(conversation, member, oid, kind)
  }

  // ---------------------------------------------------------------- who may, who has

  #mayFetch(conversation: Conversation, uri: AccountUri): boolean {
    const role = conversation.roleOf(uri)
    return !this.#env.contacts.isBanned(uri) && (role === 'admin' || role === 'member' || role === 'invited')
  }

  #peerReady(account: AccountUri, device: DeviceId): void {
    for (const conversation of this.#registry.of(account)) if (this.#mayFetch(conversation, account)) this.#fetching.request(conversation, account, device)
    for (const pending of this.#registry.pending) if (pending.from === account) this.#cloneFrom(pending, device)
  }

  // ---------------------------------------------------------------- cloning

  #cloneFrom(pending: Pending, device: DeviceId): void {
    this.#tasks.run('clone', () => this.#cloning.from(pending, device))
  }

  async #clone(pending: Pending, device: DeviceId): Promise<{ conversation: Conversation; from: AccountUri; head: Oid }> {
    const { id, from } = pending
    const { head, pack } = await this.#fetching.fetch(id, { device, account: from }, MIME.commit, { haves: [], has: () => false, limits: CLONE_LIMITS })
    if (!pack) throw new JamiError('ERR_REPO_INVALID', `conversation ${id}: nothing came`)
    try {
      if (this.#registry.findPending(id) !== pending) throw new JamiError('ERR_NOT_FOUND', `conversation ${id} is not waited for any more`)
      const peer = await this.#env.certificates.get(device)
      return { conversation: await Conversation.clone(this.#conversationEnv(id), id, head, pack, from), from: peer?.accountId ?? from, head }
    } catch (error) {
      this.#fetching.drop(id, device, JamiError.from(error))
      throw error
    } finally {
      await pack.discard()
    }
  }

  async #cloned(conversation: Conversation, from: AccountUri, head: Oid): Promise<void> {
    await this.#statuses.note(conversation, from, head, 'sent')
    await this.#join(conversation)
    this.#readies.emit({ conversation: conversation.id })
  }

  /** Takes our place when we are invited: again and again while the disk does not take it. */
  async #join(conversation: Conversation, attempt = 0): Promise<void> {
    try {
      const change = conversation.roleOf(this.#env.identity.accountId) === 'invited' ? await conversation.join() : undefined
      if (change) this.#changed(conversation, change, undefined)
    } catch (error) {
      if (this.#tasks.signal.aborted || this.#registry.find(conversation.id) !== conversation) return
      if (attempt === 0) this.#tellProblem(conversation.id, JamiError.from(error))
      this.#tasks.after(Math.min(FETCH_RETRY_MS * 2 ** attempt, STORAGE_RETRY_MAX_MS), 'joining again', () => this.#join(conversation, attempt + 1))
    }
  }
}
