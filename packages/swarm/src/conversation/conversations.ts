// The Conversations contract: which conversations there are, cloning, fetching, serving, announcing. One per account.
// docs/protocol/04 §4.1, §4.2, §4.5, §4.7, §4.8. Proof: conversation/conversations.test.ts, interop.
import { abortError, delay, JamiError, limitError, Source, Tasks } from '@jamikit/core/base'
import { asInt, asMap, asString, decodeMsgpack, encodeMsgpack } from '@jamikit/core/codec'
import type {
  AccountUri, Channel, ConversationEntry, ConversationId, ConversationInfo, Conversations, ConversationsModule, DeviceId, MessageId, MessageStatusEvent, Op, PeerIdentity,
  PeerMessage, Timer,
} from '@jamikit/core/contracts'
import { parseConversationId } from '@jamikit/core/identity'
import {
  ASK_INVITE_MS, CLONE_RETRY_FIRST_MS, CLONE_RETRY_MAX_MS, FETCH_RETRIES, FETCH_RETRY_MS, MAX_WITH_ONE_PEER, MAX_CONVERSATIONS, MAX_HAVES, MAX_SERVED_CHANNELS, MAX_VALIDATION_FAILURES, MERGE_JITTER_MS, TYPING_MS,
} from '../defaults.ts'
import type { Oid } from '../repo/object.ts'
import { fetchFrom } from '../sync/fetch.ts'
import { GitStream } from '../sync/git-stream.ts'
import { serve } from '../sync/upload-pack.ts'
import { Conversation, type Change, type ConversationEnv } from './conversation.ts'
import { exportRepository } from './export.ts'
import {
  MIME, parseCommitNotice, parseDisplayed, parseInvitation, parseTyping, printCommitNotice, printDisplayed, printInvitation, printTyping,
} from './small-payloads.ts'

type Env = Parameters<ConversationsModule>[0]
const OPEN_TIMEOUT_MS = 60_000
const MAX_ASKED = 4096
const MAX_TYPERS = 1024
/** A peer that had more than we has merged after this, ms. */
const MERGED_BY_PEER_MS = 300

/** Conversations for createJamiNode(). */
export function swarm(): ConversationsModule {
  return (env) => new SwarmConversations(env)
}

interface Pending {
  readonly id: ConversationId
  readonly from: AccountUri
  failures: number
  waitMs: number
  retry: { cancel(): void } | undefined
  /** Devices that we are cloning from. */
  readonly busy: Set<DeviceId>
}

interface FetchState {
  running: boolean
  again: boolean
}

export class SwarmConversations implements Conversations {
  readonly #env: Env
  readonly #tasks: Tasks
  readonly #ready = new Map<ConversationId, Conversation>() // bounded by MAX_CONVERSATIONS
  readonly #pending = new Map<ConversationId, Pending>() // bounded by MAX_CONVERSATIONS
  readonly #git = new Map<string, GitStream>() // client side, by conversation and device; bounded by the devices
  readonly #fetches = new Map<string, FetchState>() // bounded like #git
  readonly #served = new Map<string, number>() // bounded like #git
  readonly #asked = new Map<string, number>() // bounded by MAX_ASKED
  readonly #typers = new Map<string, Timer>() // bounded by MAX_TYPERS
  readonly #entries: Source<{ entry: ConversationEntry; own: boolean }>
  readonly #readies: Source<{ conversation: ConversationId }>
  readonly #removed: Source<{ conversation: ConversationId }>
  readonly #statuses: Source<MessageStatusEvent>
  readonly #typings: Source<{ conversation: ConversationId; from: AccountUri; active: boolean }>
  readonly #off: (() => void)[] = []
  #started: Promise<void> | undefined

  constructor(env: Env) {
    this.#env = env
    this.#tasks = new Tasks(env.clock, (err, what) => env.logger.warn({ err, what }, 'conversation task failed'))
    const onError = (err: unknown) => env.logger.error({ err }, 'a listener threw')
    this.#entries = new Source(onError)
    this.#readies = new Source(onError)
    this.#removed = new Source(onError)
    this.#statuses = new Source(onError)
    this.#typings = new Source(onError)
  }

  get onEntry() { return this.#entries.listen }
  get onReady() { return this.#readies.listen }
  get onRemoved() { return this.#removed.listen }
  get onStatus() { return this.#statuses.listen }
  get onTyping() { return this.#typings.listen }

  // ---------------------------------------------------------------- life

  start(): Promise<void> {
    this.#started ??= (async () => {
      if (this.#tasks.signal.aborted) return
      await this.#load()
      if (this.#tasks.signal.aborted) return
      const { connections, messages, presence } = this.#env
      const on = (mime: string, fn: (m: PeerMessage) => void | Promise<void>) => this.#off.push(messages.handle(mime, fn))
      on(MIME.commit, (m) => this.#onNotice(m))
      on(MIME.invite, (m) => this.#onAsked(m))
      on(MIME.invitation, (m) => this.#onInvitation(m))
      on(MIME.displayed, (m) => this.#onDisplayed(m))
      on(MIME.typing, (m) => this.#onTypingMessage(m))
      this.#off.push(
        connections.handle('git', { accept: (name, peer) => this.#accepts(name, peer), open: (channel) => this.#serve(channel) }),
        messages.onPeerReady(({ account, device }) => this.#peerReady(account, device)),
        presence.onChange(({ account, state }) => {
          if (state === 'available') for (const p of this.#pending.values()) if (p.from === account) this.#cloneRound(p)
        }),
      )
      for (const p of this.#pending.values()) this.#cloneRound(p)
    })()
    return this.#started
  }

  async stop(): Promise<void> {
    await this.#started?.catch(() => {})
    for (const off of this.#off.splice(0)) off()
    for (const timer of this.#typers.values()) timer.cancel()
    this.#typers.clear()
    const reason = new JamiError('ERR_CLOSED', 'the account was stopped')
    for (const stream of this.#git.values()) stream.channel.abort(reason)
    await this.#tasks.close()
  }

  #conversationEnv(id: ConversationId): ConversationEnv {
    const { clock, crypto, logger, identity, displayName, storage, prefix } = this.#env
    return { clock, crypto, logger, identity, displayName, storage, files: storage.files(`${prefix}/conversations/${id}`), prefix: `${prefix}/conversation/${id}` }
  }

  async #load(): Promise<void> {
    const { storage, prefix, logger } = this.#env
    for await (const key of storage.keys(`${prefix}/conversation/`)) {
      const match = /\/conversation\/([0-9a-f]{40})\/info$/.exec(key)
      const bytes = match && (await storage.get(key))
      if (!bytes) continue
      const id = parseConversationId(match[1] ?? '')
      const info = asMap(decodeMsgpack(bytes), 'conversation record')
      const from = asString(info.get('from') ?? '', 'from', 40) as AccountUri
      asInt(info.get('version') ?? 1, 'version')
      try {
        const conversation = await Conversation.open(this.#conversationEnv(id), id)
        if (conversation) this.#ready.set(id, conversation)
        else if (from !== '') this.#pending.set(id, newPending(id, from))
      } catch (err) {
        logger.error({ err, conversation: id }, 'a conversation cannot be opened')
      }
    }
    for (const conversation of this.#ready.values()) if (conversation.roleOf(this.#env.identity.accountId) === 'invited') await this.#join(conversation)
  }

  async #record(id: ConversationId, from: AccountUri | ''): Promise<void> {
    const { storage, prefix } = this.#env
    await storage.batch([{ key: `${prefix}/conversation/${id}/info`, value: encodeMsgpack({ version: 1, from }) }])
  }

  // ---------------------------------------------------------------- contract

  list(): ConversationInfo[] {
    return [...[...this.#ready.values()].map((c) => c.info), ...[...this.#pending.values()].map((p) => this.#cloningInfo(p))]
  }

  get(id: ConversationId): ConversationInfo | undefined {
    const pending = this.#pending.get(id)
    return this.#ready.get(id)?.info ?? (pending && this.#cloningInfo(pending))
  }

  #cloningInfo(p: Pending): ConversationInfo {
    const me = this.#env.identity.accountId
    return { id: p.id, mode: 0, state: 'cloning', members: [{ uri: p.from, role: 'admin' }, { uri: me, role: 'invited' }], head: undefined }
  }

  #conversation(id: ConversationId): Conversation {
    const conversation = this.#ready.get(id)
    if (!conversation) throw new JamiError('ERR_NOT_FOUND', this.#pending.has(id) ? `conversation ${id} is still being fetched` : `no conversation ${id}`)
    return conversation
  }

  #checkRoom(): void {
    const count = this.#ready.size + this.#pending.size
    if (count >= MAX_CONVERSATIONS) throw limitError('conversations', count + 1, MAX_CONVERSATIONS)
  }

  async createOneToOne(peer: AccountUri): Promise<ConversationId> {
    this.#checkRoom()
    const { clock, crypto, logger, identity, displayName, storage } = this.#env
    const conversation = await Conversation.create((id) => this.#conversationEnv(id), { clock, crypto, logger, identity, displayName, storage }, peer)
    await this.#record(conversation.id, '')
    this.#ready.set(conversation.id, conversation)
    this.#readies.emit({ conversation: conversation.id })
    return conversation.id
  }

  async accept(id: ConversationId, from: AccountUri): Promise<void> {
    if (this.#ready.has(id)) return
    let pending = this.#pending.get(id)
    if (!pending) {
      this.#checkRoom()
      const count = this.list().filter((known) => known.members.some(({ uri }) => uri === from)).length
      if (count >= MAX_WITH_ONE_PEER) throw limitError(`conversations with ${from}`, count + 1, MAX_WITH_ONE_PEER)
      pending = newPending(id, from)
      this.#pending.set(id, pending)
      await this.#record(id, from)
    }
    pending.waitMs = CLONE_RETRY_FIRST_MS
    pending.failures = 0
    this.#cloneRound(pending)
  }

  async remove(id: ConversationId): Promise<void> {
    const { storage, prefix } = this.#env
    this.#pending.get(id)?.retry?.cancel()
    const known = this.#ready.delete(id) || this.#pending.delete(id)
    this.#pending.delete(id)
    const keys: string[] = []
    for await (const key of storage.keys(`${prefix}/conversation/${id}/`)) keys.push(key)
    await storage.batch(keys.map((key) => ({ key, value: null })))
    await storage.files(`${prefix}/conversations`).remove(id)
    for (const [key, stream] of this.#git) if (key.startsWith(id)) stream.channel.abort(new JamiError('ERR_NOT_FOUND', 'the conversation was removed'))
    if (known) this.#removed.emit({ conversation: id })
  }

  async append(id: ConversationId, body: { type: string; fields: Record<string, string> }, options: { key?: string } & Op = {}): Promise<MessageId> {
    if (options.signal?.aborted) throw abortError(options.signal)
    const conversation = this.#conversation(id)
    const { id: message, change } = await conversation.append(body, options.key)
    if (change) this.#changed(conversation, change, undefined)
    return message
  }

  async entry(id: ConversationId, message: MessageId): Promise<ConversationEntry | undefined> {
    return this.#conversation(id).entry(message)
  }

  async *history(id: ConversationId, options: Parameters<Conversations['history']>[1] = {}): AsyncIterable<ConversationEntry> {
    yield* this.#conversation(id).history(options)
  }

  async *unacknowledged(id: ConversationId): AsyncIterable<ConversationEntry> {
    yield* this.#conversation(id).unacknowledged()
  }

  acknowledge(id: ConversationId, message: MessageId): Promise<void> {
    const conversation = this.#ready.get(id)
    return conversation ? conversation.acknowledge(message) : Promise.reject(new JamiError('ERR_NOT_FOUND', `no conversation ${id}`))
  }

  statusOf(id: ConversationId, message: MessageId, member: AccountUri): 'sent' | 'displayed' | undefined {
    return this.#ready.get(id)?.statusOf(message, member)
  }

  async markDisplayed(id: ConversationId, message: MessageId): Promise<void> {
    const conversation = this.#conversation(id)
    if (!conversation.has(message)) throw new JamiError('ERR_NOT_FOUND', `message ${message} is not in conversation ${id}`)
    await conversation.note(this.#env.identity.accountId, message, 'displayed')
    this.#toMembers(conversation, MIME.displayed, printDisplayed(id, message))
  }

  setTyping(id: ConversationId, active: boolean): void {
    this.#toMembers(this.#conversation(id), MIME.typing, printTyping(id, active))
  }

  async sync(id: ConversationId, op?: Op): Promise<void> {
    const { messages, directory } = this.#env
    const pending = this.#pending.get(id)
    if (pending) return this.#cloneRound(pending)
    const conversation = this.#conversation(id)
    for (const uri of this.#others(conversation)) {
      const devices = new Set(messages.connectedDevices(uri))
      for await (const device of directory.devicesOf(uri, op)) devices.add(device)
      await Promise.allSettled([...devices].map((device) => this.#fetch(conversation, device)))
    }
  }

  exportTo(id: ConversationId, directory: string): Promise<void> {
    return exportRepository(this.#conversation(id).repository, directory)
  }

  // ---------------------------------------------------------------- announcing

  #others(conversation: Conversation): AccountUri[] {
    const me = this.#env.identity.accountId
    return conversation.info.members.filter((m) => m.uri !== me && m.role !== 'banned' && m.role !== 'left').map((m) => m.uri)
  }

  #toMembers(conversation: Conversation, mime: string, body: string): void {
    for (const uri of this.#others(conversation)) void this.#env.messages.send(uri, { mime, body }, { connectedOnly: true }).catch(() => {})
  }

  /** @param source the device that a change came from: it knows already */
  #changed(conversation: Conversation, change: Change, source: DeviceId | undefined): void {
    const me = this.#env.identity.accountId
    for (const entry of change.entries) this.#entries.emit({ entry, own: entry.author === me })
    const notice = printCommitNotice({ conversation: conversation.id, commit: change.head as MessageId, device: this.#env.identity.deviceId })
    const { messages, logger } = this.#env
    for (const uri of this.#others(conversation)) {
      const options = { replaces: `commit ${conversation.id}`, connType: `${MIME.commit}/${conversation.id}` }
      const failed = (err: unknown) => logger.debug({ err }, 'a commit was not announced')
      if (source === undefined) void messages.send(uri, { mime: MIME.commit, body: notice }, options).catch(failed)
      else for (const device of messages.connectedDevices(uri)) if (device !== source) void messages.send(device, { mime: MIME.commit, body: notice }, { connectedOnly: true }).catch(failed)
    }
  }

  // ---------------------------------------------------------------- messages of peers

  async #onNotice(m: PeerMessage): Promise<void> {
    const { conversation: id, commit, device } = parseCommitNotice(m.body)
    const pending = this.#pending.get(id)
    if (pending) {
      if (pending.from === m.from) this.#tasks.run('clone', () => this.#cloneFrom(pending, m.fromDevice))
      return
    }
    const conversation = this.#ready.get(id)
    if (!conversation) {
      if (this.#env.contacts.isConfirmed(m.from)) this.#ask(m.from, id)
      return
    }
    if (conversation.has(commit) || !this.#mayFetch(conversation, m.from)) return
    const source = device === m.fromDevice ? device : (await this.#isMembersDevice(conversation, device)) ? device : m.fromDevice
    this.#tasks.run('fetch', () => this.#fetch(conversation, source))
  }

  /** The device in a notice only says where to look; it must belong to a member. */
  async #isMembersDevice(conversation: Conversation, device: DeviceId): Promise<boolean> {
    const peer = await this.#env.certificates.get(device)
    return peer !== undefined && this.#mayFetch(conversation, peer.accountId)
  }

  #mayFetch(conversation: Conversation, uri: AccountUri): boolean {
    const role = conversation.roleOf(uri)
    return !this.#env.contacts.isBanned(uri) && (role === 'admin' || role === 'member' || role === 'invited')
  }

  #ask(peer: AccountUri, id: ConversationId): void {
    const key = `${peer} ${id}`
    const now = this.#env.clock.now()
    const last = this.#asked.get(key)
    if (last !== undefined && now - last < ASK_INVITE_MS) return
    if (this.#asked.size >= MAX_ASKED) this.#asked.clear()
    this.#asked.set(key, now)
    void this.#env.messages.send(peer, { mime: MIME.invite, body: id }, { connectedOnly: true }).catch(() => {})
  }

  #onAsked(m: PeerMessage): void {
    const conversation = this.#ready.get(parseConversationId(m.body.trim()))
    if (!conversation || !this.#mayFetch(conversation, m.from)) return
    void this.#env.messages.send(m.fromDevice, { mime: MIME.invitation, body: printInvitation(conversation.id, conversation.mode, this.#env.clock.wallTimeMs()) }, { connectedOnly: true }).catch(() => {})
  }

  /**
   * Only a confirmed contact can bring a 1:1 this way; everybody else goes through a contact request. Its own request for it may have
   * been lost: the clone shows whether it is between us.
   */
  async #onInvitation(m: PeerMessage): Promise<void> {
    const { conversation, mode } = parseInvitation(m.body)
    if (mode !== 0 || !this.#env.contacts.isConfirmed(m.from) || this.get(conversation)) return
    await this.accept(conversation, m.from)
  }

  async #onDisplayed(m: PeerMessage): Promise<void> {
    const { conversation: id, message } = parseDisplayed(m.body)
    const conversation = this.#ready.get(id)
    if (conversation) await this.#note(conversation, m.from, message, 'displayed')
  }

  async #note(conversation: Conversation, member: AccountUri, oid: Oid, status: 'sent' | 'displayed'): Promise<void> {
    if (member === this.#env.identity.accountId) return
    for (const message of await conversation.note(member, oid, status)) this.#statuses.emit({ conversation: conversation.id, message, member, status })
  }

  #onTypingMessage(m: PeerMessage): void {
    const { conversation: id, active } = parseTyping(m.body)
    const conversation = this.#ready.get(id)
    if (!conversation || !this.#mayFetch(conversation, m.from)) return
    const key = `${id} ${m.from}`
    const timer = this.#typers.get(key)
    timer?.cancel()
    this.#typers.delete(key)
    if (active && this.#typers.size < MAX_TYPERS) this.#typers.set(key, this.#env.clock.after(TYPING_MS, () => {
      this.#typers.delete(key)
      this.#typings.emit({ conversation: id, from: m.from, active: false })
    }))
    if (active !== (timer !== undefined)) this.#typings.emit({ conversation: id, from: m.from, active })
  }

  #peerReady(account: AccountUri, device: DeviceId): void {
    for (const conversation of this.#ready.values()) if (this.#mayFetch(conversation, account)) this.#tasks.run('fetch', () => this.#fetch(conversation, device))
    for (const pending of this.#pending.values()) if (pending.from === account) this.#tasks.run('clone', () => this.#cloneFrom(pending, device))
  }

  // ---------------------------------------------------------------- serving

  /** `git://<our device>/<conversation>`, from a member or an invited account. */
  #accepts(name: string, peer: PeerIdentity): boolean {
    const match = /^git:\/\/([0-9a-f]{64})\/([0-9a-f]{40})$/.exec(name)
    const { contacts, identity } = this.#env
    const conversation = this.#ready.get((match?.[2] ?? '') as ConversationId)
    if (!match || match[1] !== identity.deviceId || !conversation || contacts.isBanned(peer.accountId) || contacts.isBanned(peer.deviceId)) return false
    if (peer.accountId !== identity.accountId && !this.#mayFetch(conversation, peer.accountId)) return false
    return (this.#served.get(`${conversation.id}${peer.deviceId}`) ?? 0) < MAX_SERVED_CHANNELS
  }

  #serve(channel: Channel): void {
    const { remote } = channel
    const id = parseConversationId(channel.name.slice(-40))
    const key = `${id}${remote.deviceId}`
    if (!this.#accepts(channel.name, remote)) return channel.abort(new JamiError('ERR_PEER_REFUSED', 'not a member any more'))
    this.#served.set(key, (this.#served.get(key) ?? 0) + 1)
    this.#tasks.run('serving git', async (signal) => {
      try {
        await serve(new GitStream(channel, this.#env.clock), () => this.#conversation(id).repository, {
          signal,
          onFetched: (head) => {
            const conversation = this.#ready.get(id)
            if (conversation) this.#tasks.run('status', () => this.#note(conversation, remote.accountId, head, 'sent'))
          },
          onAhead: () => {
            const conversation = this.#ready.get(id)
            if (conversation) this.#tasks.after(MERGED_BY_PEER_MS, 'fetching what the peer merged', () => this.#fetch(conversation, remote.deviceId))
          },
        })
        await channel.close()
      } catch (error) {
        if (!signal.aborted) this.#env.logger.debug({ device: remote.deviceId, err: JamiError.from(error) }, 'a git session ended badly')
        channel.abort(JamiError.from(error))
      } finally {
        const left = (this.#served.get(key) ?? 1) - 1
        if (left > 0) this.#served.set(key, left)
        else this.#served.delete(key)
      }
    })
  }

  // ---------------------------------------------------------------- fetching

  async #stream(id: ConversationId, device: DeviceId, connType: string): Promise<GitStream> {
    const key = `${id}${device}`
    const known = this.#git.get(key)
    if (known) return known
    const channel = await this.#env.connections.openChannel(device, `git://${device}/${id}`, { connType, signal: this.#tasks.signal, timeoutMs: OPEN_TIMEOUT_MS })
    const stream = new GitStream(channel, this.#env.clock)
    this.#git.set(key, stream)
    void channel.closed.then(() => {
      if (this.#git.get(key) === stream) this.#git.delete(key)
    })
    return stream
  }

  /** One fetch per conversation and device at a time; requests that come meanwhile make one more. */
  async #fetch(conversation: Conversation, device: DeviceId): Promise<void> {
    const key = `${conversation.id}${device}`
    const state = this.#fetches.get(key) ?? { running: false, again: false }
    this.#fetches.set(key, state)
    if (state.running) {
      state.again = true
      return
    }
    state.running = true
    try {
      let failures = 0
      do {
        state.again = false
        const done = await this.#fetchOnce(conversation, device)
        failures = done ? 0 : failures + 1
        // a link that broke under the fetch: the peer may be here on another one, and nobody else would ask again
        if (done || failures > FETCH_RETRIES || !this.#isConnected(conversation, device)) continue
        await delay(this.#env.clock, FETCH_RETRY_MS * 2 ** (failures - 1), this.#tasks.signal)
        state.again = true
      } while (state.again && !this.#tasks.signal.aborted)
    } catch (error) {
      if (!this.#tasks.signal.aborted) throw error
    } finally {
      this.#fetches.delete(key)
    }
  }

  #isConnected(conversation: Conversation, device: DeviceId): boolean {
    const { identity, messages } = this.#env
    return [identity.accountId, ...this.#others(conversation)].some((uri) => messages.connectedDevices(uri).includes(device))
  }

  /**
   * @param waited a merge is due, and the other side had its chance to make it
   * @returns false when it may go better another time
   */
  async #fetchOnce(conversation: Conversation, device: DeviceId, waited = false): Promise<boolean> {
    const { clock, random, logger } = this.#env
    const { id } = conversation
    const stream = await this.#stream(id, device, '').catch((error) => {
      logger.debug({ device, conversation: id, err: JamiError.from(error) }, 'no git channel')
      return undefined
    })
    if (!stream) return false
    try {
      const fetched = await fetchFrom(stream, {
        conversation: id, server: device, haves: conversation.repository.recent(MAX_HAVES), has: (oid) => conversation.has(oid), signal: this.#tasks.signal,
      })
      const { accountId } = stream.channel.remote
      if (!waited && fetched.objects.size > 0 && diverged(fetched.objects, conversation)) {
        await delay(clock, random.below(MERGE_JITTER_MS), this.#tasks.signal)
        return await this.#fetchOnce(conversation, device, true)
      }
      const change = this.#ready.get(id) === conversation ? await conversation.receive(fetched.head, fetched.objects) : undefined
      await this.#note(conversation, accountId, fetched.head, 'sent')
      if (change) this.#changed(conversation, change, change.merged ? undefined : device)
      return true
    } catch (error) {
      if (this.#tasks.signal.aborted) return true
      logger.warn({ device, conversation: id, err: JamiError.from(error) }, 'a fetch failed')
      stream.channel.abort(JamiError.from(error))
      this.#git.delete(`${id}${device}`)
      return JamiError.is(error, 'ERR_REPO_INVALID') // what is refused once is refused again
    }
  }

  // ---------------------------------------------------------------- cloning

  #cloneRound(pending: Pending): void {
    pending.retry?.cancel()
    if (pending.failures >= MAX_VALIDATION_FAILURES) return
    this.#tasks.run(`clone of ${pending.id}`, async (signal) => {
      const attempts: Promise<void>[] = []
      try {
        for await (const device of this.#env.directory.devicesOf(pending.from, { signal })) attempts.push(this.#cloneFrom(pending, device))
      } catch (error) {
        this.#env.logger.debug({ err: JamiError.from(error) }, 'the inviter cannot be found')
      }
      await Promise.allSettled(attempts)
      if (this.#pending.get(pending.id) !== pending || signal.aborted) return
      pending.retry = this.#tasks.after(pending.waitMs, 'clone again', () => this.#cloneRound(pending))
      pending.waitMs = Math.min(pending.waitMs * 2, CLONE_RETRY_MAX_MS)
    })
  }

  async #cloneFrom(pending: Pending, device: DeviceId): Promise<void> {
    const { id, busy } = pending
    if (this.#pending.get(id) !== pending || busy.has(device)) return
    busy.add(device)
    const { logger } = this.#env
    try {
      const stream = await this.#stream(id, device, MIME.commit)
      const { head, objects } = await fetchFrom(stream, { conversation: id, server: device, haves: [], has: () => false, signal: this.#tasks.signal })
      if (this.#pending.get(id) !== pending) return
      const conversation = await Conversation.clone(this.#conversationEnv(id), id, head, objects, pending.from)
      if (this.#pending.get(id) !== pending) return
      this.#pending.delete(id)
      pending.retry?.cancel()
      this.#ready.set(id, conversation)
      const { accountId } = stream.channel.remote
      await this.#note(conversation, accountId, head, 'sent')
      await this.#join(conversation)
      logger.info({ conversation: id, device }, 'conversation cloned')
      this.#readies.emit({ conversation: id })
    } catch (error) {
      if (this.#tasks.signal.aborted) return
      if (JamiError.is(error, 'ERR_REPO_INVALID') || JamiError.is(error, 'ERR_NOT_MEMBER')) pending.failures++
      logger.warn({ device, conversation: id, err: JamiError.from(error) }, 'a clone failed')
      this.#git.get(`${id}${device}`)?.channel.abort(JamiError.from(error))
      this.#git.delete(`${id}${device}`)
    } finally {
      busy.delete(device)
    }
  }

  async #join(conversation: Conversation): Promise<void> {
    const change = await conversation.join()
    if (change) this.#changed(conversation, change, undefined)
  }
}

function newPending(id: ConversationId, from: AccountUri): Pending {
  return { id, from, failures: 0, waitMs: CLONE_RETRY_FIRST_MS, retry: undefined, busy: new Set() }
}

/** True when the fetched history does not build on our head: a merge is due. */
function diverged(objects: ReadonlyMap<Oid, { type: string; data: Uint8Array }>, conversation: Conversation): boolean {
  const text = new TextDecoder()
  for (const { type, data } of objects.values()) if (type === 'commit' && text.decode(data.subarray(0, 200)).includes(`parent ${conversation.head}`)) return false
  return true
}

