// Getting what others have: one fetch per conversation and device at a time and a few in all, tried again while it makes sense: for ever while
// our own disk is the reason, a few times for a link, later and later for what a peer sent and we refused.
// docs/protocol/04 §4.5.3, B.3. Proof: conversation/fetching.test.ts, conversation/conversations.test.ts.
import { JamiError, type Tasks } from '@jamikit/core/base'
import type { AccountUri, BaseEnv, ConnectionManager, ConversationId, DeviceId, FileTree } from '@jamikit/core/contracts'
import { FETCH_JITTER_MS, FETCH_RETRIES, FETCH_RETRY_MS, MAX_HAVES, STORAGE_RETRY_MAX_MS } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'
import { type Fetched, fetchFrom } from '../sync/fetch.ts'
import { type FetchJob, FetchQueue } from '../sync/fetch-queue.ts'
import { GitStream } from '../sync/git-stream.ts'
import { CLONE_LIMITS, PACK_LIMITS } from '../sync/pack-reader.ts'
import type { PackLimits } from '../sync/pack-objects.ts'
import { headOf, isTransient, Refusals } from '../sync/refusals.ts'
import type { Change, Conversation } from './conversation.ts'
import type { Source } from './convergence.ts'
import { quotaError } from './quota.ts'

const OPEN_TIMEOUT_MS = 60_000

export interface FetchingEnv extends Pick<BaseEnv, 'clock' | 'random' | 'logger'> {
  readonly tasks: Tasks
  readonly connections: ConnectionManager
  /** A ready conversation. */
  readonly find: (id: ConversationId) => Conversation | undefined
  /** Something may be taken from this device of an account. */
  readonly mayFetch: (conversation: Conversation, account: AccountUri, device: DeviceId) => boolean
  /** The file tree of a conversation, also of one that is not here yet. */
  readonly files: (id: ConversationId) => FileTree
  /** The device can be reached without making a link. */
  readonly isConnected: (account: AccountUri, device: DeviceId) => boolean
  /** A peer is known to have a commit of a conversation. */
  readonly onHas: (conversation: Conversation, account: AccountUri, head: Oid) => Promise<void>
  readonly onChange: (conversation: Conversation, change: Change & { merged: boolean }, source: Source, head: Oid) => void
  /** A head that is here. */
  readonly onSame: (conversation: Conversation, source: Source, head: Oid) => void
  /** A head that does not build on ours: `whenMerged` takes it. @param what.shows it brings what people see @param what.tookMs to fetch it */
  readonly onDiverged: (conversation: Conversation, source: Source, head: Oid, what: { shows: boolean; tookMs: number }) => void
  readonly onProblem: (conversation: ConversationId, error: JamiError) => void
}

/** What is known of a conversation and a device while they are fetched again and again. */
interface Attempt {
  failures: number
  /** What does not build on ours is merged. */
  merge: boolean
  /** There is more than one fetch usually brings: as much as a clone may be. */
  far: boolean
  /** What was refused last is a head that was not refused before. */
  fresh: boolean
  retry: { cancel(): void } | undefined
}

export class Fetching {
  readonly #env: FetchingEnv
  readonly #queue = new FetchQueue()
  readonly #refusals = new Refusals()
  readonly #streams = new Map<string, GitStream>() // bounded by conversations and devices with a link
  readonly #attempts = new Map<string, Attempt>() // bounded like the queue: gone with the first success or the last failure
  readonly #waiting = new Map<string, (() => void)[]>() // callers of `whenFetched`
  /** Of these the next fetch merges. */
  readonly #merging = new Set<string>() // bounded by the devices that a conversation's convergence knows
  #scratch = 0

  constructor(env: FetchingEnv) {
    this.#env = env
  }

  /** Fetches from a device as soon as may be. @param commit what it announced; undefined when whatever it has is wanted */
  request(conversation: Conversation, account: AccountUri, device: DeviceId, commit?: Oid): void {
    const { clock, tasks, logger } = this.#env
    const source = keyOf(conversation.id, device)
    if (tasks.signal.aborted) return this.#settled(source) // who merges one after another would wait for ever
    const waitMs = this.#refusals.waitMs(source, commit, clock.now())
    if (waitMs > 0) {
      logger.debug({ conversation: conversation.id, device, waitMs }, 'not fetched: what this device sent was refused')
      return this.#settled(source)
    }
    this.#add({ conversation: conversation.id, device, account, commit })
  }

  /** The same, and waits until that fetch is over, well or badly. */
  whenFetched(conversation: Conversation, account: AccountUri, device: DeviceId): Promise<void> {
    const key = keyOf(conversation.id, device)
    return new Promise((resolve) => {
      this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), resolve])
      this.request(conversation, account, device)
    })
  }

  /** The same, and merges what does not build on ours. */
  whenMerged(conversation: Conversation, account: AccountUri, device: DeviceId): Promise<void> {
    this.#merging.add(keyOf(conversation.id, device))
    return this.whenFetched(conversation, account, device)
  }

  /** Waits for a fetch from every device of an account, and merges what it brings. */
  async fromAll(conversation: Conversation, account: AccountUri, connected: Iterable<DeviceId>, announced: AsyncIterable<DeviceId>): Promise<void> {
    const devices = new Set(connected)
    for await (const device of announced) devices.add(device)
    await Promise.all([...devices].map((device) => this.whenMerged(conversation, account, device)))
  }

  #add(job: FetchJob): void {
    const dropped = this.#queue.add(job)
    if (dropped) {
      this.#env.logger.warn({ conversation: dropped.conversation, device: dropped.device }, 'a fetch was dropped: too many of this account wait')
      this.#settled(keyOf(dropped.conversation, dropped.device))
    }
    this.#pump()
  }

  #pump(): void {
    for (let job = this.#queue.take(); job !== undefined; job = this.#queue.take()) {
      const taken = job
      this.#env.tasks.run('fetch', async () => {
        try {
          await this.#run(taken)
        } finally {
          const more = this.#queue.done(taken.conversation, taken.device)
          const key = keyOf(taken.conversation, taken.device)
          if (!more && !this.#attempts.get(key)?.retry) this.#settled(key)
          this.#pump()
        }
      })
    }
  }

  #settled(key: string): void {
    this.#merging.delete(key)
    const waiting = this.#waiting.get(key) ?? []
    this.#waiting.delete(key)
    for (const resolve of waiting) resolve()
  }

  async #run(job: FetchJob): Promise<void> {
    const { tasks, logger } = this.#env
    const conversation = this.#env.find(job.conversation)
    const key = keyOf(job.conversation, job.device)
    if (!conversation || (job.commit !== undefined && conversation.has(job.commit)) || !this.#env.mayFetch(conversation, job.account, job.device)) return void this.#attempts.delete(key)
    const attempt = this.#attempts.get(key) ?? { failures: 0, merge: false, far: false, fresh: true, retry: undefined }
    attempt.retry?.cancel()
    attempt.retry = undefined
    if (this.#merging.delete(key)) attempt.merge = true
    this.#attempts.set(key, attempt)
    try {
      const again = await this.#fetch(conversation, job, attempt)
      if (again) this.#later(job, attempt, this.#env.random.below(FETCH_JITTER_MS))
      else this.#attempts.delete(key)
    } catch (caught) {
      if (tasks.signal.aborted) return
      const error = JamiError.from(caught)
      this.drop(job.conversation, job.device, error)
      attempt.failures++
      if (!isTransient(error)) {
        logger.warn({ device: job.device, conversation: job.conversation, err: error }, 'what a peer sent was refused')
        this.#attempts.delete(key)
        if (error.details.remembered !== true && attempt.fresh) this.#env.onProblem(job.conversation, error) // once for a head
        return
      }
      this.#failed(job, attempt, error)
    }
  }

  #failed(job: FetchJob, attempt: Attempt, error: JamiError): void {
    const { logger, onProblem, isConnected } = this.#env
    const own = error.code.startsWith('ERR_STORAGE')
    logger.debug({ device: job.device, conversation: job.conversation, err: error }, 'a fetch failed')
    if (own && attempt.failures === 1) onProblem(job.conversation, error)
    // a link that broke under the fetch: the peer may be here on another one, and nobody else would ask again
    if (!isConnected(job.account, job.device) || (!own && attempt.failures > FETCH_RETRIES)) return void this.#attempts.delete(keyOf(job.conversation, job.device))
    this.#later(job, attempt, Math.min(FETCH_RETRY_MS * 2 ** (attempt.failures - 1), STORAGE_RETRY_MAX_MS))
  }

  #later(job: FetchJob, attempt: Attempt, delayMs: number): void {
    attempt.retry = this.#env.tasks.after(delayMs, 'fetch again', () => {
      attempt.retry = undefined
      this.#add(job)
    })
  }

  /** @returns true when it is to be done again soon */
  async #fetch(conversation: Conversation, job: FetchJob, attempt: Attempt): Promise<boolean> {
    const { clock, find, mayFetch, onHas, onChange, onSame, onDiverged } = this.#env
    const { device, account } = job
    const source = keyOf(conversation.id, device)
    const beganMs = clock.now()
    const refuse = (error: unknown, head: Oid | undefined) => {
      if (isTransient(error) || (JamiError.is(error) && error.details.remembered === true)) return
      attempt.fresh = this.#refusals.refuse(source, head ?? job.commit ?? '', clock.now())
    }
    const room = await conversation.room()
    const usual = attempt.far ? CLONE_LIMITS : PACK_LIMITS
    const limits = { ...usual, bytes: Math.min(usual.bytes, room) }
    let fetched: Fetched
    try {
      fetched = await this.fetch(conversation.id, { device, account }, '', {
        limits, haves: conversation.haves(account, MAX_HAVES), has: (oid) => conversation.has(oid),
        refused: (oid) => this.#refusals.waitMs(source, oid, clock.now()) > 0,
      })
    } catch (error) {
      const allowed = JamiError.is(error, 'ERR_LIMIT') ? error.details.allowed : undefined
      const full = room < usual.bytes && allowed === room
      if (!full && !attempt.far && (allowed === limits.bytes || allowed === limits.objects || allowed === limits.inflatedBytes)) {
        attempt.far = true
        return true
      }
      const head = headOf(error)
      refuse(error, head)
      throw full ? quotaError(conversation.id, conversation.maxBytes, { head, cause: error }) : error
    }
    const { head, pack } = fetched
    const from = { account, device }
    let change: (Change & { merged: boolean }) | undefined
    if (pack) {
      let apart: { shows: boolean } | undefined
      try {
        apart = attempt.merge ? undefined : await conversation.diverged(head, pack)
        if (!apart && find(conversation.id) === conversation && mayFetch(conversation, account, device)) change = await conversation.receive(head, pack)
      } catch (error) {
        refuse(error, head)
        throw error
      } finally {
        await pack.discard()
      }
      if (apart) {
        onDiverged(conversation, from, head, { shows: apart.shows, tookMs: clock.now() - beganMs })
        return false
      }
    }
    if (change) onChange(conversation, change, from, head)
    else onSame(conversation, from, head)
    this.#refusals.accept(source)
    await onHas(conversation, account, head)
    return false
  }

  /** One session with a device. Whoever gets a pack discards it. @throws whatever ends it: the stream is gone then */
  async fetch(
    id: ConversationId, { device, account }: { device: DeviceId; account: AccountUri }, connType: string,
    options: { haves: readonly Oid[]; has: (oid: Oid) => boolean; refused?: (oid: Oid) => boolean; limits?: Partial<PackLimits> },
  ): Promise<Fetched> {
    const stream = await this.#stream(id, device, account, connType)
    try {
      return await fetchFrom(stream, {
        ...options, conversation: id, server: device, signal: this.#env.tasks.signal,
        scratch: { files: this.#env.files(id), path: `jamikit/incoming/${device.slice(0, 16)}-${this.#scratch++}` },
      })
    } catch (error) {
      this.drop(id, device, JamiError.from(error))
      throw error
    }
  }

  async #stream(id: ConversationId, device: DeviceId, account: AccountUri, connType: string): Promise<GitStream> {
    const { connections, clock, tasks } = this.#env
    const key = keyOf(id, device)
    const known = this.#streams.get(key)
    if (known) return known
    const channel = await connections.openChannel(device, `git://${device}/${id}`, { account, connType, signal: tasks.signal, timeoutMs: OPEN_TIMEOUT_MS })
    const stream = new GitStream(channel, clock)
    this.#streams.set(key, stream)
    void channel.closed.then(() => {
      if (this.#streams.get(key) === stream) this.#streams.delete(key)
    })
    return stream
  }

  /** The stream to a device is of no use any more. */
  drop(id: ConversationId, device: DeviceId, reason: JamiError): void {
    const key = keyOf(id, device)
    this.#streams.get(key)?.channel.abort(reason)
    this.#streams.delete(key)
  }

  /** Nothing is fetched from an account any more. */
  dropAccount(id: ConversationId, account: AccountUri, reason: JamiError): void {
    for (const [key, { channel }] of [...this.#streams]) {
      if (!key.startsWith(id) || channel.remote.accountId !== account) continue
      this.#attempts.get(key)?.retry?.cancel()
      this.drop(id, channel.remote.deviceId, reason)
    }
  }

  /** A conversation is gone. */
  forget(id: ConversationId): void {
    this.#queue.forget(id)
    for (const [key, stream] of this.#streams) if (key.startsWith(id)) stream.channel.abort(new JamiError('ERR_NOT_FOUND', 'the conversation was removed'))
    for (const [key, attempt] of this.#attempts) if (key.startsWith(id)) attempt.retry?.cancel()
  }

  stop(): void {
    const reason = new JamiError('ERR_CLOSED', 'the account was stopped')
    for (const stream of this.#streams.values()) stream.channel.abort(reason)
    for (const key of [...this.#waiting.keys()]) this.#settled(key)
  }
}

function keyOf(id: ConversationId, device: DeviceId): string {
  return `${id}${device}`
}

