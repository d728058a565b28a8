// Files of conversations without channels and disk: the Transfers contract in memory; whoever announced a file gives it while it runs and is
// reached. Not modelled: resuming, several holders, wrong bytes, restarts, paths of the program. docs/protocol/04 §7.
// Proof: testing/fake-transfers.test.ts with testing/suites/transfers.ts.
import { Source } from '../base/emitter.ts'
import { argumentError, closedError, JamiError, limitError, notFoundError } from '../base/errors.ts'
import { deferred, delay, throwIfAborted } from '../base/operation.ts'
import { Tasks } from '../base/tasks.ts'
import { joinBytes, toHex } from '../codec/bytes.ts'
import { FILE_TYPE, fileAnnouncementOf, plainName } from '../codec/file-announcement.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Conversations } from '../contracts/conversations.ts'
import type { ConversationId, DeviceId, MessageId } from '../contracts/ids.ts'
import type { MediaModule } from '../contracts/module.ts'
import type { FileTransfer, OutgoingFile, TransferPolicy, TransferProgress, Transfers } from '../contracts/transfers.ts'
import { sha3_512 } from '../crypto/hash.ts'

/** What connects the files of a test. */
export class FakeTransferNetwork {
  /** As given. */
  readonly clock: Clock
  /** From asking for a file to having it. */
  readonly latencyMs: number
  /** Those that run, by device. */
  readonly running = new Map<DeviceId, FakeTransfers>() // bounded by the test

  constructor(options: { clock: Clock; /** From asking for a file to having it. */ latencyMs?: number }) {
    this.clock = options.clock
    this.latencyMs = options.latencyMs ?? 50
  }

  /** Must be started. */
  transfers(device: DeviceId, conversations: Conversations): FakeTransfers {
    return new FakeTransfers(this, device, conversations)
  }

  /** For createJamiNode(). */
  module(): MediaModule {
    return ({ identity, conversations }) => {
      const transfers = this.transfers(identity.deviceId, conversations)
      return { transfers, start: () => transfers.start(), stop: () => transfers.stop() }
    }
  }
}

class FakeTransfer implements FileTransfer {
  readonly path = undefined
  readonly over = deferred<MessageId>()
  readonly done = this.over.promise
  readonly ending = new AbortController()
  bytes: Uint8Array | undefined
  paused = false
  readonly #told = new Source<TransferProgress>(() => {}) // a listener's error is its own

  constructor(readonly direction: 'send' | 'receive', readonly conversation: ConversationId, public message: MessageId | undefined, private readonly onResume: () => void) {
    this.done.catch(() => {})
  }

  get onProgress() {
    return this.#told.listen
  }

  progress(): TransferProgress {
    return { doneBytes: this.bytes?.length ?? 0, totalBytes: this.bytes?.length, bytesPerSec: 0 }
  }

  finish(message: MessageId, bytes: Uint8Array): void {
    this.bytes = bytes
    this.message = message
    this.#told.emit(this.progress())
    this.over.resolve(message)
  }

  async *read(): AsyncGenerator<Uint8Array> {
    await this.done
    if (this.bytes?.length) yield this.bytes
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.onResume()
  }

  async cancel(): Promise<void> {
    const error = new JamiError('ERR_ABORTED', 'the transfer was cancelled')
    this.over.reject(error)
    this.ending.abort(error)
  }
}

/** Files of one device, in memory. */
export class FakeTransfers implements Transfers {
  /** What it has, by announcement. */
  readonly kept = new Map<MessageId, Uint8Array>() // bounded by the test, as everything here
  /** False: nobody gets anything from it. */
  reachable = true
  readonly #network: FakeTransferNetwork
  readonly #device: DeviceId
  readonly #conversations: Conversations
  readonly #tasks: Tasks
  readonly #active = new Set<FakeTransfer>()
  readonly #began = new Source<FileTransfer>(() => {}) // a listener's error is its own
  #policy: TransferPolicy = { autoBytes: 0, maxBytes: Number.MAX_SAFE_INTEGER }
  #off = (): void => {}

  constructor(network: FakeTransferNetwork, device: DeviceId, conversations: Conversations) {
    this.#network = network
    this.#device = device
    this.#conversations = conversations
    this.#tasks = new Tasks(network.clock, () => {}) // told by the transfer
  }

  get onTransfer() {
    return this.#began.listen
  }

  async start(): Promise<void> {
    if (this.#tasks.signal.aborted) return
    this.#network.running.set(this.#device, this)
    this.#off = this.#conversations.onEntry(({ entry, own }) => {
      const file = own ? undefined : fileAnnouncementOf(entry)
      if (file && file.sizeBytes <= this.#policy.autoBytes) this.receive(entry.conversation, entry.id)
    })
  }

  async stop(): Promise<void> {
    this.#off()
    if (this.#network.running.get(this.#device) === this) this.#network.running.delete(this.#device)
    for (const transfer of this.#active) transfer.over.reject(closedError('the service'))
    await this.#tasks.close()
  }

  active(): FileTransfer[] {
    return [...this.#active]
  }

  setPolicy(policy: TransferPolicy): void {
    this.#policy = policy
  }

  send(conversation: ConversationId, file: OutgoingFile): FileTransfer {
    return this.#run(new FakeTransfer('send', conversation, undefined, () => {}), async (transfer, signal) => {
      if (typeof file.source === 'string') throw new JamiError('ERR_UNSUPPORTED', 'this double reads no paths')
      const parts: Uint8Array[] = []
      for await (const part of file.source) parts.push(part)
      const bytes = joinBytes(parts)
      if (file.sizeBytes !== undefined && file.sizeBytes !== bytes.length) throw argumentError('sizeBytes', file.sizeBytes, `what the source has: ${bytes.length}`)
      throwIfAborted(signal)
      const fields = { displayName: plainName(file.name), sha3sum: toHex(sha3_512(bytes)), tid: String(1 + this.kept.size), totalSize: String(bytes.length), ...(file.replyTo ? { 'reply-to': file.replyTo } : {}) }
      const message = await this.#conversations.append(conversation, { type: FILE_TYPE, fields }, file.key === undefined ? {} : { key: file.key })
      if (!this.kept.has(message)) this.kept.set(message, bytes)
      transfer.finish(message, bytes)
    })
  }

  receive(conversation: ConversationId, message: MessageId): FileTransfer {
    let resumed = deferred<void>()
    const transfer = new FakeTransfer('receive', conversation, message, () => resumed.resolve())
    return this.#run(transfer, async (_, signal) => {
      const entry = this.#conversations.get(conversation) && (await this.#conversations.entry(conversation, message))
      const file = entry && fileAnnouncementOf(entry)
      if (!entry || !file) throw notFoundError(`file ${message}`)
      const { maxBytes, accept } = this.#policy
      if (file.sizeBytes > maxBytes) throw limitError('bytes of a file', file.sizeBytes, maxBytes)
      if (accept && !accept({ conversation, from: entry.author, name: plainName(file.displayName), sizeBytes: file.sizeBytes })) throw new JamiError('ERR_PEER_REFUSED', 'refused by the policy')
      for (;;) {
        const bytes = this.kept.get(message) ?? [...this.#network.running.values()].find((other) => other.reachable && other.kept.has(message))?.kept.get(message)
        await delay(this.#network.clock, this.#network.latencyMs, signal)
        if (transfer.paused) {
          resumed = deferred<void>()
          await Promise.race([resumed.promise, new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))])
          throwIfAborted(signal)
        } else if (bytes) {
          this.kept.set(message, bytes)
          return transfer.finish(message, bytes)
        }
      }
    })
  }

  #run(transfer: FakeTransfer, work: (transfer: FakeTransfer, signal: AbortSignal) => Promise<void>): FileTransfer {
    if (this.#tasks.signal.aborted) transfer.over.reject(closedError('the service'))
    this.#active.add(transfer)
    const over = () => void this.#active.delete(transfer)
    transfer.done.then(over, over)
    this.#tasks.signal.addEventListener('abort', () => transfer.ending.abort(closedError('the service')), { once: true })
    this.#tasks.run('a transfer', async () => work(transfer, transfer.ending.signal).catch((error) => transfer.over.reject(JamiError.from(error))))
    this.#began.emit(transfer)
    return transfer
  }
}
