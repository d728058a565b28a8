// The Transfers contract: which files of an account are on their way, what is kept of them, and what conversations and devices say.
// docs/protocol/04 §7. Proof: transfer/transfers.test.ts (contract suite, restarts, failing storage).
import { JamiError, limitError, notFoundError, Source, Tasks } from '@jamikit/core/base'
import { deletedFileOf, fileAnnouncementOf, fileIdOf, ownName, plainName, toHex } from '@jamikit/core/codec'
import type {
  AccountUri, BaseEnv, ConnectionManager, ConversationId, DeviceDirectory, DeviceId, FileTransfer, MessageId, OutgoingFile, PeerMessages, Storage, TransferPolicy, Transfers,
} from '@jamikit/core/contracts'
import { MAX_FILE_BYTES, MAX_RECEIVING, MAX_RECEIVING_PER_ACCOUNT, MAX_WANTED } from '../defaults.ts'
import { type FileConversations, holdersOf } from './conversations.ts'
import { targetOf, writeLocal } from './local-files.ts'
import { Received } from './received.ts'
import { type Announced, goneError, Receiving } from './receiving.ts'
import { SCHEME } from './request.ts'
import { announce, Sending } from './sending.ts'
import { Serving } from './serving.ts'
import { Slots } from './slots.ts'
import { blocksOf, FileStore } from './store.ts'

export interface TransfersEnv extends Pick<BaseEnv, 'clock' | 'random' | 'logger'> {
  readonly identity: { readonly accountId: AccountUri; readonly deviceId: DeviceId }
  readonly connections: Pick<ConnectionManager, 'openChannel' | 'handle'>
  readonly conversations: FileConversations
  readonly directory: DeviceDirectory
  readonly messages: Pick<PeerMessages, 'onPeerReady' | 'connectedDevices'>
  readonly storage: Storage
  readonly prefix: string
}

/** A file that is wanted: one request on the network, any number of callers. */
interface Job {
  readonly conversation: ConversationId
  readonly message: MessageId
  readonly views: Set<Received> // bounded by the program's own calls
  receiving: Receiving | undefined
  to: string[]
  keep: boolean
  cancelled: boolean
}

export class FileTransfers implements Transfers {
  readonly #env: TransfersEnv
  readonly #store: FileStore
  readonly #tasks: Tasks
  readonly #serving: Serving
  readonly #slots = new Slots(MAX_RECEIVING, MAX_RECEIVING_PER_ACCOUNT)
  readonly #jobs = new Map<string, Job>() // by conversation and message; bounded by MAX_WANTED
  readonly #sending = new Set<Sending>() // bounded by the program's own calls
  readonly #began: Source<FileTransfer>
  #policy: TransferPolicy = { autoBytes: 0, maxBytes: MAX_FILE_BYTES }
  #offs: (() => void)[] = []
  #started: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor(env: TransfersEnv) {
    this.#env = env
    const { clock, logger, conversations, identity } = env
    this.#store = new FileStore(env)
    this.#tasks = new Tasks(clock, (err, what) => logger.warn({ err, what }, 'file transfer failed'))
    this.#serving = new Serving({ clock, logger, conversations, store: this.#store, tasks: this.#tasks, ownDevice: identity.deviceId })
    this.#began = new Source((err) => logger.error({ err }, 'a listener threw'))
  }

  get onTransfer() {
    return this.#began.listen
  }

  start(): Promise<void> {
    this.#started ??= (async () => {
      if (this.#stopped) return
      const { connections, conversations, messages } = this.#env
      await this.#store.start()
      this.#offs = [
        connections.handle(SCHEME, this.#serving),
        conversations.onEntry(({ entry, own }) => this.#heard(entry, own)),
        conversations.onRemoved(({ conversation }) => this.#forget(conversation)),
        messages.onPeerReady(({ account, device }) => this.#appeared(account, device)),
      ]
      this.#tasks.run('files that were about to be announced', () => this.#announceRest())
      for await (const { conversation, message, to, keep } of this.#store.wanted()) {
        for (const path of to.length > 0 ? to : [undefined]) this.receive(conversation, message, { keep, ...(path === undefined ? {} : { to: path }) })
      }
    })()
    return this.#started
  }

  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      await this.#started?.catch(() => {})
      for (const off of this.#offs.splice(0)) off()
      await this.#tasks.close()
      await Promise.all([...this.#jobs.values()].map(({ receiving }) => receiving?.settled()))
      for (const job of this.#jobs.values()) for (const view of job.views) view.reject(this.#tasks.signal.reason)
      this.#jobs.clear()
    })()
    return this.#stopped
  }

  active(): FileTransfer[] {
    return [...this.#sending, ...[...this.#jobs.values()].flatMap(({ views }) => [...views])]
  }

  setPolicy(policy: TransferPolicy): void {
    this.#policy = policy
  }

  // ---------------------------------------------------------------- sending

  send(conversation: ConversationId, file: OutgoingFile): FileTransfer {
    const { clock, random, logger, conversations } = this.#env
    const sending = new Sending({ clock, random, logger, conversations, store: this.#store, tasks: this.#tasks }, conversation, { ...file, name: plainName(file.name) })
    this.#sending.add(sending)
    const over = () => void this.#sending.delete(sending)
    sending.done.then(over, over)
    sending.start()
    this.#began.emit(sending)
    return sending
  }

  /** What was stored for sending when the process ended, or when the disk refused. */
  async #announceRest(): Promise<void> {
    const { clock, conversations, logger } = this.#env
    for await (const out of this.#store.outgoing()) {
      if (this.#tasks.signal.aborted) return
      await announce({ clock, conversations, logger, store: this.#store, tasks: this.#tasks }, out).catch((err) => logger.warn({ err }, 'a file was not announced'))
    }
  }

  // ---------------------------------------------------------------- receiving

  receive(conversation: ConversationId, message: MessageId, { to, keep = true }: { to?: string; keep?: boolean } = {}): FileTransfer {
    const id = `${conversation}/${message}`
    const known = this.#jobs.get(id)
    const view = new Received(conversation, message, (self, keep) => this.#cancel(id, self, keep))
    if (this.#tasks.signal.aborted) view.reject(this.#tasks.signal.reason)
    else if (!known && this.#jobs.size >= MAX_WANTED) view.reject(limitError('files that are wanted', this.#jobs.size + 1, MAX_WANTED))
    else {
      const job: Job = known ?? { conversation, message, views: new Set(), receiving: undefined, to: [], keep: false, cancelled: false }
      this.#jobs.set(id, job)
      job.views.add(view)
      job.keep ||= keep
      if (to !== undefined && !job.to.includes(to)) job.to.push(to)
      this.#tasks.run('a wanted file', () => this.#bring(id, job, view, to))
      this.#began.emit(view)
    }
    return view
  }

  /** From being wanted to being where it is wanted. */
  async #bring(id: string, job: Job, view: Received, to: string | undefined): Promise<void> {
    const { conversation, message } = job
    try {
      const file = await this.#announced(conversation, message)
      if (job.cancelled) return
      await this.#store.want(job) // disk first: from here on it comes, also after a restart
      if (job.cancelled) return await this.#store.unwant(conversation, message)
      job.receiving ??= new Receiving(this.#receivingEnv(), file)
      view.attach(job.receiving)
      job.receiving.start()
      await job.receiving.kept
      if (to !== undefined) view.path = await this.#export(file, to)
      if (!job.cancelled) await this.#leave(id, job, view, undefined)
      view.resolve()
    } catch (error) {
      const kept = JamiError.is(error, 'ERR_CLOSED') || JamiError.is(error, 'ERR_STORAGE_IO') // it is wanted still, at the next start
      if (job.cancelled || this.#tasks.signal.aborted) return view.reject(this.#tasks.signal.aborted ? this.#tasks.signal.reason : error)
      await this.#leave(id, job, view, kept ? 'later' : 'never').catch((err) => this.#env.logger.error({ err }, 'a file that is not wanted any more stays noted'))
      view.reject(error)
    }
  }

  /** One caller has what it came for, or will not; the last one ends the job. */
  async #leave(id: string, job: Job, view: Received, failed: 'later' | 'never' | undefined): Promise<void> {
    if (job.views.size > 1) return void job.views.delete(view)
    const { conversation, message, receiving, keep } = job
    try {
      if (failed !== 'later') await this.#store.unwant(conversation, message)
      if (!failed && !keep && receiving && !receiving.wasHere) await this.#store.drop(receiving.file)
    } finally {
      job.views.delete(view)
      if (job.views.size === 0 && this.#jobs.get(id) === job) this.#jobs.delete(id)
    }
  }

  async #cancel(id: string, view?: Received, keepPart = false): Promise<void> {
    const job = this.#jobs.get(id)
    if (!job || this.#tasks.signal.aborted || (view && !job.views.has(view))) return // stopping is no cancelling: it comes at the next start
    if (view && keepPart && job.views.size > 1) {
      job.views.delete(view)
      return view.reject(new JamiError('ERR_ABORTED', 'whoever asked for the file has left'))
    }
    job.cancelled = true
    this.#jobs.delete(id)
    const error = new JamiError('ERR_ABORTED', 'the transfer was cancelled')
    job.receiving?.fail(error)
    for (const one of job.views) one.reject(error)
    await job.receiving?.settled()
    await this.#store.unwant(job.conversation, job.message, { keepPart })
  }

  /** @throws ERR_NOT_FOUND, ERR_FILE_GONE, ERR_LIMIT, ERR_PEER_REFUSED */
  async #announced(conversation: ConversationId, message: MessageId): Promise<Announced> {
    const { conversations } = this.#env
    if (!conversations.get(conversation)) throw notFoundError(`conversation ${conversation}`)
    const entry = await conversations.entry(conversation, message)
    const file = entry && fileAnnouncementOf(entry)
    if (!entry || !file) throw notFoundError(`file ${message}`, { conversation })
    const fileId = fileIdOf(message, file)
    if ((await this.#store.isDeleted(conversation, message)) || (await conversations.message(conversation, message))?.deleted) throw goneError(fileId)
    const { accept, maxBytes } = this.#policy
    if (file.sizeBytes > maxBytes) throw limitError('bytes of a file', file.sizeBytes, maxBytes)
    if (accept && !accept({ conversation, from: entry.author, name: plainName(file.displayName), sizeBytes: file.sizeBytes }))
      throw new JamiError('ERR_PEER_REFUSED', `file ${fileId.slice(0, 80)}: refused by the program's own policy`, { details: { fileId } })
    return { conversation, message, sha3: file.sha3, sizeBytes: file.sizeBytes, fileId, author: entry.author, device: entry.device }
  }

  #receivingEnv() {
    const { clock, logger, connections, identity } = this.#env
    return { clock, logger, connections, store: this.#store, slots: this.#slots, tasks: this.#tasks, ownDevice: identity.deviceId, devices: (file: Announced, signal: AbortSignal) => this.#devicesOf(file, signal) }
  }

  /** The device that announced it, those we have a link with, then all that are announced: of the author, of ours, of everybody who is in. */
  async *#devicesOf({ author, device, conversation }: Announced, signal: AbortSignal): AsyncGenerator<{ account: AccountUri; device: DeviceId }> {
    const { conversations, directory, messages, identity } = this.#env
    const holders = [...new Set([author, identity.accountId, ...holdersOf(conversations, conversation)])]
    if (device !== identity.deviceId) yield { account: author, device }
    for (const account of holders) for (const connected of messages.connectedDevices(account)) if (connected !== identity.deviceId) yield { account, device: connected }
    for (const account of holders) for await (const announced of directory.devicesOf(account, { signal })) if (announced !== identity.deviceId) yield { account, device: announced }
  }

  async #export(file: Announced, to: string): Promise<string> {
    const { clock, random, conversations } = this.#env
    const entry = await conversations.entry(file.conversation, file.message)
    const target = await clock.track(targetOf(to, ownName(file.message, entry?.fields.displayName ?? '')))
    const kept = await this.#store.open(file)
    if (!kept) throw goneError(file.fileId)
    try {
      await clock.track(writeLocal(target, toHex(random.bytes(8)), blocksOf(kept)))
    } finally {
      await kept.close()
    }
    return target
  }

  // ---------------------------------------------------------------- what happens around

  #heard(entry: Parameters<Parameters<FileConversations['onEntry']>[0]>[0]['entry'], own: boolean): void {
    const { conversation, id } = entry
    const deleted = deletedFileOf(entry)
    if (deleted !== undefined) return this.#tasks.run('a deleted file', () => this.#delete(conversation, deleted as MessageId, entry.author))
    if (!own) for (const job of this.#jobs.values()) if (job.conversation === conversation) job.receiving?.encouraged(entry.device, entry.author) // whoever writes is there
    const file = own ? undefined : fileAnnouncementOf(entry)
    if (file && file.sizeBytes <= this.#policy.autoBytes && file.sizeBytes <= this.#policy.maxBytes && this.#jobs.size < MAX_WANTED) this.receive(conversation, id)
  }

  async #delete(conversation: ConversationId, message: MessageId, author: AccountUri): Promise<void> {
    const entry = await this.#env.conversations.entry(conversation, message)
    const file = entry && fileAnnouncementOf(entry)
    if (!file || entry.author !== author) return
    await this.#store.delete(conversation, message)
    this.#serving.end(conversation, message)
    this.#jobs.get(`${conversation}/${message}`)?.receiving?.gone()
    await this.#store.drop({ conversation, message, sha3: file.sha3 })
  }

  #forget(conversation: ConversationId): void {
    this.#serving.end(conversation)
    const jobs = [...this.#jobs].filter(([, job]) => job.conversation === conversation)
    this.#tasks.run('files of a conversation that is gone', async () => {
      for (const [id, job] of jobs) {
        for (const view of job.views) view.reject(notFoundError(`conversation ${conversation}`))
        await this.#cancel(id)
      }
      await this.#store.forget(conversation)
    })
  }

  /** A device came: whatever is wanted and its account may have is worth a try there. */
  #appeared(account: AccountUri, device: DeviceId): void {
    for (const { receiving, conversation } of this.#jobs.values())
      if (receiving && !receiving.isOver && (receiving.file.author === account || holdersOf(this.#env.conversations, conversation).includes(account))) receiving.encouraged(device, account)
  }
}
