// The Conversations contract, one per account: joins which conversations there are, cloning, fetching, serving, invitations, groups and the
// small messages about them. docs/protocol/04 §4.1, §4.5, §4.7, §4.8, §5, §8. Proof: conversation/conversations.test.ts, conversation/groups.test.ts
// (suites of the contract), interop.
import { abortError, JamiError, Tasks } from '@jamikit/core/base'
import type {
  AccountUri, ConversationEntry, ConversationId, ConversationInfo, ConversationInvitation, ConversationMember, ConversationProfile, Conversations, ConversationsModule, DeviceId, MemberRole, MessageId, MessageQuery,
  MessageView, Op,
} from '@jamikit/core/contracts'
import { CACHE_BYTES, CLONE_RETRY_FIRST_MS, MAX_CONVERSATION_BYTES } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'
import { ObjectCache } from '../repo/object-cache.ts'
import { Routing } from '../drt/routing.ts'
import { Announcing } from './announcing.ts'
import { Cloning } from './cloning.ts'
import { type Change, Conversation, type ConversationEnv } from './conversation.ts'
import { Converging } from './converging.ts'
import { Creating } from './creating.ts'
import { Events } from './events.ts'
import { exportRepository } from './export.ts'
import { Fetching } from './fetching.ts'
import { Groups } from './groups.ts'
import { Invitations } from './invitations.ts'
import { Joining } from './joining.ts'
import { Leaving } from './leaving.ts'
import { Notices } from './notices.ts'
import { Preferences } from './preferences.ts'
import { type Pending, Registry } from './registry.ts'
import { Serving } from './serving.ts'
import { MIME, printDisplayed, printTyping } from './small-payloads.ts'
import { Statuses } from './statuses.ts'
import { Typing } from './typing.ts'
import { Views } from './view/views.ts'

type Env = Parameters<ConversationsModule>[0]

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
  readonly #converging: Converging
  readonly #serving: Serving
  readonly #statuses: Statuses
  readonly #typing: Typing
  readonly #notices: Notices
  readonly #views: Views
  readonly #routing: Routing
  /** Members as the routing table knows them, to see whether they are others. */
  readonly #routed = new Map<ConversationId, readonly ConversationMember[]>() // bounded by the conversations
  readonly #announcing: Announcing
  readonly #invitations: Invitations
  readonly #groups: Groups
  readonly #leaving: Leaving
  readonly #preferences: Preferences
  readonly #creating: Creating
  readonly #joining: Joining
  readonly #events: Events
  readonly #cache = new ObjectCache(CACHE_BYTES)
  readonly #maxBytes: number
  readonly #off: (() => void)[] = []
  #started: Promise<void> | undefined

  constructor(env: Env) {
    const { clock, random, logger, identity, contacts, connections, directory, storage, prefix } = env
    this.#env = env
    this.#maxBytes = env.maxBytes ?? MAX_CONVERSATION_BYTES
    this.#tasks = new Tasks(clock, (err, what) => logger.warn({ err, what }, 'conversation task failed'))
    const events = new Events(logger)
    this.#events = events
    const onProblem = (conversation: ConversationId, error: JamiError) => events.tellProblem(conversation, error)
    const tasks = this.#tasks
    const registry = new Registry({ storage, prefix, open: (id) => Conversation.open(this.#conversationEnv(id), id), onProblem })
    const find = (id: ConversationId) => registry.find(id)
    const mayFetch = (conversation: Conversation, uri: AccountUri, device?: DeviceId) => this.#mayFetch(conversation, uri, device)
    const own = identity.accountId
    const onHas = (conversation: Conversation, account: AccountUri, head: Oid) => this.#statuses.note(conversation, account, head, 'sent')
    const isConnected = (account: AccountUri, device: DeviceId) => this.#env.messages.connectedDevices(account).includes(device)
    const wrote = (conversation: Conversation, change: Change) => this.#wrote(conversation, change)
    this.#registry = registry
    this.#fetching = new Fetching({
      clock, random, logger, tasks, connections, find, mayFetch, onHas, onProblem,
      files: (id) => storage.files(`${prefix}/conversations/${id}`),
      isConnected,
      onChange: (conversation, change, source, head) => {
        this.#announcing.changed(conversation, change)
        this.#converging.changed(conversation, source, head, change)
      },
      onSame: (conversation, source, head) => this.#converging.same(conversation, source, head),
      onDiverged: (conversation, source, head, what) => this.#converging.diverged(conversation, source, head, what),
    })
    this.#converging = new Converging({
      clock, random, tasks, own: identity.deviceId, find, isConnected, fetching: this.#fetching,
      linked: (conversation) => this.#announcing.told(conversation),
      tell: (conversation, knows) => this.#announcing.tell(conversation, knows),
    })
    this.#serving = new Serving({
      clock, logger, tasks, identity, contacts, mayFetch,
      find: (id) => registry.findServed(id),
      onHas: async (conversation, { accountId, deviceId }, head) => {
        this.#leaving.fetched(conversation, accountId, head)
        this.#converging.served(conversation, { account: accountId, device: deviceId })
        await onHas(conversation, accountId, head)
      },
      onAhead: (conversation, peer, commit) => this.#converging.ahead(conversation, { account: peer.accountId, device: peer.deviceId }, commit),
    })
    this.#cloning = new Cloning({
      registry, tasks, directory, logger, onProblem,
      connected: (account) => env.messages.connectedDevices(account),
      clone: (pending, device) => this.#joining.clone(pending, device),
      onCloned: (conversation, from, head) => this.#joining.cloned(conversation, from, head),
    })
    this.#creating = new Creating({ clock, crypto: env.crypto, identity, displayName: env.displayName, registry, conversationEnv: (id) => this.#conversationEnv(id) })
    this.#joining = new Joining({
      tasks, own, registry, onHas, onProblem, maxBytes: this.#maxBytes, certificates: env.certificates, fetching: this.#fetching,
      conversationEnv: (id) => this.#conversationEnv(id),
      onChange: wrote,
      onReady: (conversation) => events.ready.emit({ conversation }),
    })
    this.#statuses = new Statuses({
      clock, own: identity.accountId, emit: (event) => this.#events.status.emit(event),
      isHere: ({ id }) => !tasks.signal.aborted && registry.find(id) !== undefined,
    })
    this.#views = new Views({
      clock, tasks, own, files: (id) => storage.files(`${prefix}/conversations/${id}`), get: (id) => registry.get(id), isHere: ({ id }) => find(id) !== undefined, onProblem,
    })
    this.#routing = new Routing({
      clock, random, crypto: env.crypto, logger, identity, connections, certificates: env.certificates, directory, storage, prefix,
      withMember: (account) => [...registry.of(account)].map(({ id }) => id),
    })
    this.#announcing = new Announcing({
      clock, random, logger, tasks, identity, messages: env.messages, registry, statuses: this.#statuses, onProblem,
      targets: (conversation, options) => this.#routing.noticeTargets(conversation.id, options),
      onChange: (conversation) => {
        this.#views.changed(conversation)
        this.#routeAnew(conversation)
      },
      onEntry: (event) => this.#events.entry.emit(event),
      onBanned: (conversation, account) => this.#ban(conversation, account),
      onUpdated: (conversation) => this.#events.updated.emit({ conversation }),
    })
    this.#invitations = new Invitations({ clock, storage, prefix, contacts, onProblem })
    this.#preferences = new Preferences({ clock, storage, prefix, onProblem })
    this.#groups = new Groups({ clock, logger, own, messages: env.messages, registry, onChange: wrote })
    this.#leaving = new Leaving({
      clock, tasks, own, registry, onProblem, others: (conversation) => this.#announcing.others(conversation),
      announce: (conversation) => this.#announcing.announce(conversation),
      onLeft: (id) => this.#forgotten(id),
    })
    this.#typing = new Typing(clock, (event) => this.#events.typing.emit(event))
    this.#notices = new Notices({
      clock, logger, contacts, certificates: env.certificates, messages: env.messages, registry, invitations: this.#invitations, mayFetch,
      fetch: (conversation, account, device, commit) => this.#converging.announced(conversation, { account, device }, commit),
      onHint: (conversation, account, device, commit) => this.#converging.hinted(conversation, { account, device }, commit),
      clone: (pending, device) => this.#cloning.start(pending, device),
      accept: (id, from) => this.accept({ conversation: id, from }),
      onInvitation: (invitation) => this.#events.invitation.emit(invitation),
      onAsked: (conversation, account, device) => this.#groups.asked(conversation, account, device),
      onDisplayed: (conversation, account, message) => this.#statuses.note(conversation, account, message, 'displayed'),
      onTyping: (conversation, account, active) => this.#typing.heard(conversation, account, active),
    })
  }

  get onEntry() { return this.#events.entry.listen }
  get onReady() { return this.#events.ready.listen }
  get onRemoved() { return this.#events.removed.listen }
  get onStatus() { return this.#events.status.listen }
  get onTyping() { return this.#events.typing.listen }
  get onProblem() { return this.#events.problem.listen }
  get onInvitation() { return this.#events.invitation.listen }
  get onUpdated() { return this.#events.updated.listen }
  /** Not part of the contract: whoever keeps links and nodes for members of a conversation ends those of this account. */
  get onBanned() { return this.#events.banned.listen }

  // ---------------------------------------------------------------- life

  start(): Promise<void> {
    this.#started ??= (async () => {
      if (this.#tasks.signal.aborted) return
      await this.#registry.load()
      await this.#invitations.load()
      await this.#preferences.load()
      for (const conversation of this.#registry.ready) await this.#views.opened(conversation)
      if (this.#tasks.signal.aborted) return
      const { connections, messages, presence } = this.#env
      this.#off.push(
        ...this.#notices.listen(),
        connections.handle('git', { accept: (name, peer) => this.#serving.accepts(name, peer), limit: (name) => this.#serving.limit(name), open: (channel) => this.#serving.serve(channel) }),
        messages.onPeerReady(({ account, device }) => this.#peerReady(account, device)),
        presence.onChange(({ account, state }) => {
          if (state !== 'available') return
          this.#routing.memberAppeared(account)
          for (const p of this.#registry.pending) if (p.from === account) this.#cloning.round(p)
        }),
      )
      this.#routing.start()
      this.#off.push(
        this.#events.ready.listen(({ conversation }) => this.#route(conversation)),
        this.#routing.onNode(({ conversation: id, device, account, up }) => {
          if (!up || this.#env.messages.connectedDevices(account).includes(device)) return // whoever has a message channel was asked when that opened
          const conversation = this.#registry.find(id)
          if (conversation && this.#mayFetch(conversation, account, device)) this.#fetching.request(conversation, account, device) // what was written before we met
        }),
      )
      for (const { id } of this.#registry.ready) this.#route(id)
      this.#routing.memberAppeared(this.#env.identity.accountId) // our other devices
      for (const p of this.#registry.pending) this.#cloning.round(p)
      for (const conversation of this.#registry.ready) if (conversation.roleOf(this.#env.identity.accountId) === 'invited') this.#tasks.run('joining', () => this.#joining.join(conversation))
    })()
    return this.#started
  }

  async stop(): Promise<void> {
    await this.#started?.catch(() => {})
    for (const off of this.#off.splice(0)) off()
    this.#typing.stop()
    this.#notices.stop()
    this.#fetching.stop()
    await this.#routing.stop()
    await this.#views.stop()
    await this.#tasks.close()
    await Promise.all([...this.#registry.ready].map((conversation) => conversation.close().catch((err: unknown) => this.#env.logger.warn({ err, conversation: conversation.id }, 'a conversation was not closed in order'))))
  }

  #conversationEnv(id: ConversationId): ConversationEnv {
    const { clock, random, crypto, logger, identity, displayName, storage, prefix } = this.#env
    return {
      clock, random, crypto, logger, identity, displayName, storage, files: storage.files(`${prefix}/conversations/${id}`), prefix: `${prefix}/conversation/${id}`,
      cache: this.#cache, maxBytes: this.#maxBytes, onProblem: (error) => this.#events.tellProblem(id, error),
    }
  }

  /** A conversation is here: whoever is in it may connect, and is looked for. Of a 1:1 the presence of contacts does that. */
  #route(id: ConversationId): void {
    const conversation = this.#registry.find(id)
    if (!conversation) return
    this.#routed.set(id, conversation.members)
    this.#routing.open(id, {
      isAllowed: (account, device) => this.#mayFetch(conversation, account, device),
      isMember: (account) => !this.#env.contacts.isBanned(account) && ['admin', 'member'].includes(conversation.roleOf(account) ?? ''),
      members: () => (conversation.mode === 0 ? [] : this.#announcing.others(conversation)),
    })
  }

  /** Members may have come or gone. */
  #routeAnew({ id, members }: Conversation): void {
    const before = this.#routed.get(id)
    if (before === undefined || before === members) return
    this.#routed.set(id, members)
    this.#routing.membersChanged(id)
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
    return { id: p.id, mode: p.mode, state: 'cloning', title: undefined, head: undefined }
  }

  members(id: ConversationId): readonly ConversationMember[] {
    const pending = this.#registry.findPending(id)
    if (pending) return [{ uri: pending.from, role: pending.mode === 0 ? 'admin' : 'member' }, { uri: this.#env.identity.accountId, role: 'invited' }]
    return this.#registry.find(id)?.members ?? []
  }

  roleOf(id: ConversationId, account: AccountUri): MemberRole | undefined {
    return this.#registry.find(id)?.roleOf(account) ?? this.members(id).find(({ uri }) => uri === account)?.role
  }

  shares(account: AccountUri): boolean {
    for (const conversation of this.#registry.of(account)) if (this.#mayFetch(conversation, account)) return true
    for (const { from } of this.#registry.pending) if (from === account) return !this.#env.contacts.isBanned(account)
    for (const conversation of this.#registry.leaving) if (this.#mayFetch(conversation, account)) return true
    return false
  }

  async create(options: Parameters<Conversations['create']>[0]): Promise<ConversationId> {
    const conversation = await this.#creating.create(options)
    this.#events.ready.emit({ conversation })
    return conversation
  }

  async accept({ conversation: id, from, mode }: Parameters<Conversations['accept']>[0]): Promise<void> {
    const invitation = this.#invitations.get(id)
    const pending = await this.#invitations.answered(id, async (also) => {
      if (this.#registry.find(id)) return void (also.length > 0 && (await this.#env.storage.batch(also)))
      const nowMs = this.#env.clock.wallTimeMs()
      return this.#registry.expect(id, from, { mode: mode ?? invitation?.mode ?? 0, nowMs, acceptedMs: invitation?.receivedMs ?? 0, also })
    })
    if (!pending) return
    pending.waitMs = CLONE_RETRY_FIRST_MS
    pending.failures = 0
    this.#cloning.round(pending)
  }

  async remove(id: ConversationId): Promise<void> {
    await this.#views.forget(id)
    if (await this.#registry.remove(id, this.#env.clock.wallTimeMs())) this.#forgotten(id)
  }

  /** The program has it no more. */
  #forgotten(id: ConversationId): void {
    this.#tasks.run('forgetting the index', () => this.#views.forget(id))
    this.#routing.close(id)
    this.#routed.delete(id)
    this.#fetching.forget(id)
    this.#converging.forget(id)
    this.#serving.forget(id)
    this.#announcing.forget(id)
    this.#preferences.forget(id)
    this.#events.removed.emit({ conversation: id })
  }

  async append(id: ConversationId, body: { type: string; fields: Record<string, string> }, options: { key?: string } & Op = {}): Promise<MessageId> {
    if (options.signal?.aborted) throw abortError(options.signal)
    const conversation = this.#registry.get(id)
    const { id: message, change } = await conversation.append(body, options.key)
    if (change) this.#wrote(conversation, change)
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
    this.#announcing.toMembers(conversation, MIME.displayed, printDisplayed(id, message))
  }

  setTyping(id: ConversationId, active: boolean): void {
    this.#announcing.toMembers(this.#registry.get(id), MIME.typing, printTyping(id, active))
  }

  async sync(id: ConversationId, op?: Op): Promise<void> {
    const { messages, directory } = this.#env
    const pending = this.#registry.findPending(id)
    if (pending) return this.#cloning.round(pending)
    const conversation = this.#registry.get(id)
    for (const uri of this.#announcing.others(conversation)) await this.#fetching.fromAll(conversation, uri, messages.connectedDevices(uri), directory.devicesOf(uri, op))
  }

  async exportTo(id: ConversationId, directory: string): Promise<void> {
    await exportRepository(this.#registry.get(id), directory)
  }

  invitations(): readonly ConversationInvitation[] {
    return this.#invitations.list
  }

  decline(id: ConversationId): Promise<void> {
    return this.#invitations.decline(id)
  }

  async invite(id: ConversationId, account: AccountUri): Promise<void> {
    await this.#groups.invite(this.#registry.get(id), account)
  }

  async ban(id: ConversationId, account: AccountUri): Promise<void> {
    await this.#groups.ban(this.#registry.get(id), account)
  }

  async unban(id: ConversationId, account: AccountUri): Promise<void> {
    await this.#groups.unban(this.#registry.get(id), account)
  }

  async leave(id: ConversationId): Promise<void> {
    if (this.#registry.findPending(id)) return this.remove(id)
    await this.#leaving.leave(this.#registry.get(id))
  }

  async profile(id: ConversationId): Promise<ConversationProfile> {
    const { title, description, avatar } = await this.#registry.get(id).profile()
    return { ...(title !== undefined && { title }), ...(description !== undefined && { description }), ...(avatar !== undefined && { avatar }) }
  }

  async updateProfile(id: ConversationId, change: Parameters<Conversations['updateProfile']>[1]): Promise<void> {
    await this.#groups.updateProfile(this.#registry.get(id), change)
  }

  preferences(id: ConversationId): Readonly<Record<string, string>> {
    return this.#preferences.of(id)
  }

  async setPreferences(id: ConversationId, preferences: Readonly<Record<string, string>>): Promise<void> {
    await this.#registry.whileHere(id, () => this.#preferences.set(id, preferences))
    this.#events.updated.emit({ conversation: id })
  }

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

  // ---------------------------------------------------------------- who may, who has

  /** A change of ours: the program and the members hear of it at once. */
  #wrote(conversation: Conversation, change: Change): void {
    this.#announcing.changed(conversation, change)
    this.#converging.wrote(conversation)
    this.#announcing.announce(conversation)
  }

  /** By the tree of main, and by our own bans. */
  #mayFetch(conversation: Conversation, uri: AccountUri, device?: DeviceId): boolean {
    const { contacts } = this.#env
    const role = conversation.roleOf(uri)
    return (role === 'admin' || role === 'member' || role === 'invited') && !contacts.isBanned(uri) && !(device && contacts.isBanned(device)) && !conversation.isBanned(uri, device)
  }

  /** Nothing more is given to an account, or taken from it. */
  #ban(conversation: Conversation, account: AccountUri): void {
    const { id } = conversation
    this.#serving.drop(id, account)
    this.#fetching.dropAccount(id, account, new JamiError('ERR_PEER_REFUSED', `${account} was banned from conversation ${id}`))
    this.#typing.gone(id, account)
    this.#events.banned.emit({ conversation: id, account })
  }

  #peerReady(account: AccountUri, device: DeviceId): void {
    for (const conversation of this.#registry.of(account)) if (this.#mayFetch(conversation, account, device)) this.#fetching.request(conversation, account, device)
    for (const pending of this.#registry.pending) if (pending.from === account) this.#cloning.start(pending, device)
    this.#groups.appeared(account, device)
  }
}
