// Files as programs send and fetch them: checks what is given, turns it into what the Transfers contract takes, and tells what happens.
// Without @jamikit/media every transfer fails and says so. docs/protocol/04 §7. Proof: node/public-files.test.ts.
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Check, checkArgument, checkOptions, is, OP } from '../base/arguments.ts'
import { argumentError, closedError, JamiError } from '../base/errors.ts'
import { LinkedSignal } from '../base/signals.ts'
import { wellFormed } from '../codec/text.ts'
import type { Clock } from '../contracts/clock.ts'
import type { ConversationId, MessageId } from '../contracts/ids.ts'
import type { FileTransfer, OutgoingFile, Transfers } from '../contracts/transfers.ts'
import type { DownloadOptions, FilePolicy, Files, FileSource, Progress, SendFileOptions, Transfer, TransferNews } from './api-files.ts'
import { MAX_FILE_NAME_LENGTH, MAX_KEY_LENGTH, MAX_PATH_LENGTH } from './limits.ts'
import { MESSAGE_ID, parseMessageId } from './public-ids.ts'
import { PublicTransfer } from './public-transfer.ts'

const PATH = is.text(1, MAX_PATH_LENGTH)
const isStream = (value: unknown): value is AsyncIterable<Uint8Array> => typeof value === 'object' && value !== null && Symbol.asyncIterator in value
const SOURCE: Check = {
  allowed: 'a path, a file: URL, a Uint8Array, a Blob, or a stream of Uint8Arrays',
  test: (value) => PATH.test(value) || value instanceof Uint8Array || value instanceof Blob || (value instanceof URL && value.protocol === 'file:') || isStream(value),
}
const TARGET: Check = { allowed: 'a path, a WritableStream, or nothing', test: (value) => value === undefined || PATH.test(value) || value instanceof WritableStream }
const SEND = {
  ...OP, name: is.text(1, MAX_FILE_NAME_LENGTH), sizeBytes: is.whole(0, Number.MAX_SAFE_INTEGER), replyTo: MESSAGE_ID, idempotencyKey: is.text(1, MAX_KEY_LENGTH), keep: is.oneOf('copy', 'reference'),
}
const DOWNLOAD = { ...OP, keep: is.boolean }
const POLICY = { autoBytes: is.whole(0, Number.MAX_SAFE_INTEGER), maxBytes: is.whole(0, Number.MAX_SAFE_INTEGER), accept: is.function }

export interface FilesEnv<M> {
  /** Undefined without @jamikit/media. */
  readonly transfers: Transfers | undefined
  readonly clock: Clock
  /** Fires when the account stops. */
  readonly life: AbortSignal
  readonly message: (conversation: ConversationId, id: MessageId) => Promise<M>
  readonly tell: (news: TransferNews<M>) => void
}

export class PublicFiles<M> implements Files<M> {
  readonly #env: FilesEnv<M>
  /** What a program was given for a transfer, so that it gets the same again. */
  readonly #shown = new WeakMap<FileTransfer, Transfer<M>>()

  constructor(env: FilesEnv<M>) {
    this.#env = env
    env.transfers?.onTransfer((inner) => queueMicrotask(() => this.#follow(inner))) // after whoever asked for it has it
  }

  active(): Transfer<M>[] {
    return (this.#env.transfers?.active() ?? []).map((inner) => this.#show(inner))
  }

  setPolicy(policy: FilePolicy): void {
    checkOptions(policy, POLICY, 'policy')
    const { autoBytes = 0, maxBytes = Number.MAX_SAFE_INTEGER, accept } = policy ?? {}
    this.#transfers().setPolicy({ autoBytes, maxBytes, ...(accept ? { accept } : {}) })
  }

  send(conversation: ConversationId, source: FileSource, options: SendFileOptions = {}): Transfer<M> {
    return this.#begin('send', options, () => {
      checkArgument('source', source, SOURCE)
      checkOptions(options, SEND)
      const { replyTo, idempotencyKey, keep } = options
      const file = outgoing(source, options)
      if (keep === 'reference' && typeof file.source !== 'string') throw argumentError('keep', 'reference', 'copy, for what is no path')
      return this.#transfers().send(conversation, {
        ...file, ...(replyTo === undefined ? {} : { replyTo: parseMessageId(replyTo, 'replyTo') }), ...(idempotencyKey === undefined ? {} : { key: wellFormed(idempotencyKey) }), ...(keep ? { keep } : {}),
      })
    })
  }

  download(conversation: ConversationId, message: MessageId, to: string | WritableStream<Uint8Array> | undefined, options: DownloadOptions = {}): Transfer<M> {
    const begin = () => {
      checkArgument('to', to, TARGET)
      checkOptions(options, DOWNLOAD)
      const { keep } = options
      return this.#transfers().receive(conversation, message, { ...(typeof to === 'string' ? { to } : {}), ...(keep === undefined ? {} : { keep }) })
    }
    return this.#begin('receive', options, begin, to instanceof WritableStream ? (transfer) => transfer.readable.pipeTo(to) : undefined)
  }

  /** @throws ERR_UNSUPPORTED, ERR_CLOSED */
  #transfers(): Transfers {
    const { transfers, life } = this.#env
    if (life.aborted) throw closedError('the account')
    if (!transfers) throw new JamiError('ERR_UNSUPPORTED', 'files need the package @jamikit/media: give createJamiNode() modules.media', { details: { package: '@jamikit/media' } })
    return transfers
  }

  #begin(direction: 'send' | 'receive', options: unknown, begin: () => FileTransfer, also?: (transfer: Transfer<M>) => Promise<unknown>): Transfer<M> {
    const { signal, timeoutMs } = (typeof options === 'object' && options !== null ? options : {}) as SendFileOptions
    const linked = new LinkedSignal(OP.signal?.test(signal) ? signal : undefined)
    const op = { signal: linked.signal, ...(OP.timeoutMs?.test(timeoutMs) ? { timeoutMs: timeoutMs as number } : {}) }
    let inner: FileTransfer | undefined
    const shown = new PublicTransfer<M>(this.#transferEnv(), direction, op, () => {
      inner = begin()
      return inner
    }, also)
    if (inner) this.#shown.set(inner, shown)
    const release = () => linked.release()
    shown.then(release, release)
    return shown
  }

  #show(inner: FileTransfer): Transfer<M> {
    const known = this.#shown.get(inner)
    if (known) return known
    const shown = new PublicTransfer<M>(this.#transferEnv(), inner.direction, {}, () => inner)
    this.#shown.set(inner, shown)
    return shown
  }

  #transferEnv() {
    const { clock, message } = this.#env
    return { clock, message: (transfer: FileTransfer, id: MessageId) => message(transfer.conversation, id) }
  }

  /** Tells the account's listeners about a transfer, whoever asked for it. */
  #follow(inner: FileTransfer): void {
    const transfer = this.#show(inner)
    const { conversation, direction } = inner
    const tell = (progress: Progress, state: TransferNews<M>['state'], error?: unknown) =>
      this.#env.tell({ transfer, conversation, direction, messageId: inner.message, ...progress, state, error: error === undefined ? undefined : JamiError.from(error) })
    tell(inner.progress(), 'active')
    const off = inner.onProgress((progress) => tell(progress, 'active'))
    transfer.then(
      () => (off(), tell(inner.progress(), 'done')),
      (error) => (off(), tell(inner.progress(), 'failed', error)),
    )
  }
}

function outgoing(source: FileSource, { name, sizeBytes }: SendFileOptions): OutgoingFile {
  const given = { ...(sizeBytes === undefined ? {} : { sizeBytes }) }
  const named = (fallback: string) => wellFormed(name ?? (fallback === '' ? 'file' : fallback)).slice(0, MAX_FILE_NAME_LENGTH)
  if (typeof source === 'string' || source instanceof URL) {
    const path = typeof source === 'string' ? source : fileURLToPath(source)
    return { source: path, name: named(basename(path)), ...given }
  }
  if (source instanceof Uint8Array) return { source: oneBlock(source), name: named('file'), sizeBytes: source.length, ...given }
  if (source instanceof Blob) return { source: source.stream(), name: named('name' in source && typeof source.name === 'string' ? source.name : 'file'), sizeBytes: source.size, ...given }
  return { source: source as AsyncIterable<Uint8Array>, name: named('file'), ...given }
}

async function* oneBlock(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
