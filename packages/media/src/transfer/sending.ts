// One file that is brought into a conversation: read once, stored and hashed as it comes, durable before it is announced; what was about to
// be announced when the process ended is announced at the next start, once. docs/protocol/04 §7.1.
// Proof: transfer/sending.test.ts (sources, killed at every write).
import { argumentError, deferred, delay, JamiError, LinkedSignal, limitError, Slices, Source, type Tasks, throwIfAborted } from '@jamikit/core/base'
import { fileAnnouncementOf, FILE_TYPE, toHex } from '@jamikit/core/codec'
import type { Clock, ConversationId, FileTransfer, Logger, MessageId, OutgoingFile, Random } from '@jamikit/core/contracts'
import { sha3_512Stream } from '@jamikit/core/crypto'
import { BLOCK_BYTES, HASH_SLICE_BYTES, MAX_FILE_BYTES } from '../defaults.ts'
import type { FileConversations } from './conversations.ts'
import { openLocal } from './local-files.ts'
import { Progress } from './progress.ts'
import { blocksOf, type FileStore, type Outgoing, type Reference } from './store.ts'

const RETRY_FIRST_MS = 5_000

export interface SendingEnv {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly conversations: FileConversations
  readonly store: FileStore
  readonly tasks: Tasks
}

export class Sending implements FileTransfer {
  readonly direction = 'send'
  readonly conversation: ConversationId
  readonly path = undefined
  readonly done: Promise<MessageId>
  message: MessageId | undefined
  readonly #env: SendingEnv
  readonly #file: OutgoingFile
  readonly #progress: Progress
  readonly #life: LinkedSignal
  readonly #over = deferred<MessageId>()
  readonly #news = new Source<void>(() => {})
  #paused = false
  #resume = (): void => {}
  #settled: Promise<void> = Promise.resolve()

  constructor(env: SendingEnv, conversation: ConversationId, file: OutgoingFile) {
    this.#env = env
    this.conversation = conversation
    this.#file = file
    this.#life = new LinkedSignal(env.tasks.signal)
    this.#progress = new Progress(env.clock, file.sizeBytes, (err) => env.logger.error({ err }, 'a listener threw'))
    this.done = this.#over.promise
    this.done.catch(() => {}) // told to whoever waits
  }

  get onProgress() {
    return this.#progress.onProgress
  }

  progress() {
    return this.#progress.value()
  }

  start(): void {
    this.#progress.run(true)
    this.#settled = this.done.then(() => {}, () => {})
    const { tasks } = this.#env
    if (tasks.signal.aborted) return this.#over.reject(tasks.signal.reason)
    tasks.run('sending a file', async () => {
      try {
        this.message = await this.#send()
        this.#progress.end()
        this.#over.resolve(this.message)
      } catch (error) {
        this.#progress.end()
        this.#over.reject(this.#life.signal.aborted && !JamiError.is(error, 'ERR_STORAGE_IO') ? (this.#life.signal.reason ?? error) : JamiError.from(error))
      } finally {
        this.#life.release()
        this.#news.emit()
      }
    })
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#resume()
  }

  async cancel(): Promise<void> {
    this.#life.abort(new JamiError('ERR_ABORTED', 'the transfer was cancelled'))
    this.#resume()
    await this.#settled
  }

  /** What is announced, from our own copy. */
  async *read(): AsyncGenerator<Uint8Array> {
    const message = await this.done
    const entry = await this.#env.conversations.entry(this.conversation, message)
    const announced = entry && fileAnnouncementOf(entry)
    const file = announced && (await this.#env.store.open({ conversation: this.conversation, message, ...announced }))
    if (!file) throw new JamiError('ERR_FILE_GONE', 'the file is not here any more')
    try {
      yield* blocksOf(file)
    } finally {
      await file.close()
    }
  }

  async #send(): Promise<MessageId> {
    const { store, random } = this.#env
    const { name, key, replyTo } = this.#file
    const { sha3, sizeBytes, written, reference } = await this.#stored()
    const tid = String(1 + random.below(2 ** 53 - 1))
    const out: Outgoing = { conversation: this.conversation, name, sha3, sizeBytes, tid, key: key ?? `file:${tid}`, replyTo, reference }
    try {
      throwIfAborted(this.#life.signal)
      await store.prepare(out, written?.path)
    } catch (error) {
      await written?.discard().catch(() => {}) // swept at the next start
      throw error
    }
    return announce(this.#env, out)
  }

  /** Reads the source once. */
  async #stored(): Promise<{ sha3: string; sizeBytes: number; written?: { path: string; discard(): Promise<void> }; reference: Reference | undefined }> {
    const { clock, store } = this.#env
    const { source, keep } = this.#file
    const signal = this.#life.signal
    const local = typeof source === 'string' ? await clock.track(openLocal(source)) : undefined
    try {
      if (local) this.#expect(local.sizeBytes)
      const blocks = local ? blocksOf({ sizeBytes: local.sizeBytes, read: (start, length) => clock.track(local.read(start, length)) }) : evened(source as AsyncIterable<Uint8Array>)
      const writer = local && keep === 'reference' ? undefined : store.writer()
      const hash = sha3_512Stream()
      const slices = new Slices(clock, HASH_SLICE_BYTES)
      let sizeBytes = 0
      try {
        for await (const bytes of blocks) {
          throwIfAborted(signal)
          if (this.#paused) await this.#rest()
          sizeBytes += bytes.length
          if (sizeBytes > (this.#file.sizeBytes ?? MAX_FILE_BYTES)) this.#expect(sizeBytes)
          hash.update(bytes)
          await writer?.append(bytes)
          this.#progress.moved(bytes.length, sizeBytes)
          const pause = slices.spend(bytes.length)
          if (pause) await pause
        }
        throwIfAborted(signal)
        this.#expect(sizeBytes)
        await writer?.finish()
      } catch (error) {
        await writer?.discard().catch(() => {}) // swept at the next start
        throw error
      }
      const reference = !writer && local ? { path: source as string, mtimeMs: local.mtimeMs } : undefined
      return { sha3: toHex(hash.digest()), sizeBytes, reference, ...(writer ? { written: writer } : {}) }
    } finally {
      if (local) await clock.track(local.close())
    }
  }

  #expect(sizeBytes: number): void {
    const given = this.#file.sizeBytes
    if (given !== undefined && given !== sizeBytes) throw argumentError('sizeBytes', given, `what the source has: ${sizeBytes > given ? 'more' : sizeBytes} bytes`)
    if (sizeBytes > MAX_FILE_BYTES) throw limitError('bytes of a file', sizeBytes, MAX_FILE_BYTES)
    this.#progress.totalBytes ??= given
  }

  async #rest(): Promise<void> {
    while (this.#paused && !this.#life.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#resume = resolve
        this.#life.signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    throwIfAborted(this.#life.signal)
  }
}

/** Appends the commit and notes what it is of. The same key again gives the first commit: then nothing of this one stays. */
export async function announce({ clock, conversations, store, logger, tasks }: Omit<SendingEnv, 'random'>, out: Outgoing): Promise<MessageId> {
  const { conversation, name, sha3, tid, sizeBytes, key, replyTo } = out
  const fields = { displayName: name, sha3sum: sha3, tid, totalSize: String(sizeBytes), ...(replyTo === undefined ? {} : { 'reply-to': replyTo }) }
  const noted = deferred<void>() // tried once
  let message: MessageId
  try {
    message = await conversations.append(conversation, { type: FILE_TYPE, fields }, { key })
  } catch (error) {
    await store.settle(out, undefined).catch((err) => logger.error({ err }, 'a file that could not be announced is announced at the next start'))
    throw error
  }
  tasks.run('noting an announced file', async (signal) => {
    for (let waitMs = RETRY_FIRST_MS; ; waitMs *= 2) {
      try {
        const entry = await conversations.entry(conversation, message)
        return await store.settle(out, entry && fileAnnouncementOf(entry)?.tid === tid ? message : undefined)
      } catch (err) {
        logger.error({ err }, 'an announced file could not be noted: nobody gets it before that is done')
        await delay(clock, waitMs, signal)
      } finally {
        noted.resolve()
      }
    }
  })
  await noted.promise
  return message
}

/** What a source of the program throws is its own: ERR_LISTENER. */
async function* told(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* source
  } catch (error) {
    throw JamiError.from(error, 'ERR_LISTENER')
  }
}

/** The same bytes in blocks of one size: whoever gives them one by one costs no write for each. @throws ERR_ARGUMENT for what are no bytes */
async function* evened(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = [] // bounded by BLOCK_BYTES
  let length = 0
  for await (const bytes of told(source)) {
    if (!(bytes instanceof Uint8Array)) throw argumentError('source', typeof bytes, 'chunks that are Uint8Arrays')
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.slice(at, at + BLOCK_BYTES - length) // a copy: its owner may use it again
      waiting.push(part)
      length += part.length
      at += part.length
      if (length < BLOCK_BYTES) continue
      yield Buffer.concat(waiting)
      waiting = []
      length = 0
    }
    if (waiting.length > 1_024) waiting = [Buffer.concat(waiting)]
  }
  if (length > 0) yield Buffer.concat(waiting)
}
