// What an account keeps of files: the bytes by what they are, which announcements they belong to, which files are wanted, which are about
// to be announced, and which are deleted. Nothing that a peer chose is part of a path. docs/protocol/04 §1.1, §7.
// Proof: transfer/transfers.test.ts, transfer/sending.test.ts (killed and refused at every write).
import { JamiError } from '@jamikit/core/base'
import { asInt, asMap, asString, decodeMsgpack, encodeMsgpack, type MsgpackInput } from '@jamikit/core/codec'
import type { Clock, ConversationId, FileTree, Logger, MessageId, Random, Storage, StorageOp } from '@jamikit/core/contracts'
import { BLOCK_BYTES } from '../defaults.ts'
import { type LocalFile, openLocal } from './local-files.ts'

/** Where the bytes of a file are, when not in the profile. */
export interface Reference {
  readonly path: string
  readonly mtimeMs: number
}

/** A file that is stored and about to be announced. */
export interface Outgoing {
  readonly conversation: ConversationId
  readonly name: string
  readonly sha3: string
  readonly sizeBytes: number
  readonly tid: string
  readonly key: string
  readonly replyTo: MessageId | undefined
  readonly reference: Reference | undefined
}

/** A file that a program asked for. */
export interface Wanted {
  readonly conversation: ConversationId
  readonly message: MessageId
  /** Paths of the program, each of which gets the file. */
  readonly to: readonly string[]
  /** Whether the profile keeps a copy after that. */
  readonly keep: boolean
}

/** Bytes to read. */
export interface Readable {
  readonly sizeBytes: number
  /** Shorter at the end. */
  read(start: number, length: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** What an announcement is of. */
export interface FileKey {
  readonly conversation: ConversationId
  readonly message: MessageId
  readonly sha3: string
  readonly sizeBytes: number
}

export class FileStore {
  readonly #storage: Storage
  readonly #files: FileTree
  readonly #prefix: string
  readonly #clock: Clock
  readonly #random: Random
  readonly #logger: Logger
  #last: Promise<unknown> = Promise.resolve()

  constructor(env: { readonly storage: Storage; readonly prefix: string; readonly clock: Clock; readonly random: Random; readonly logger: Logger }) {
    this.#storage = env.storage
    this.#prefix = `${env.prefix}/transfers`
    this.#files = env.storage.files(this.#prefix)
    this.#clock = env.clock
    this.#random = env.random
    this.#logger = env.logger
  }

  /** Sweeps what was being written. */
  async start(): Promise<void> {
    await this.#files.remove('new').catch((err) => this.#logger.warn({ err }, 'what was being written is not swept')) // at the next start, then
  }

  // ---------------------------------------------------------------- whole files

  /** The bytes of an announced file that are here and unchanged; undefined otherwise. Costs no hashing. */
  async open({ conversation, message, sha3, sizeBytes }: FileKey): Promise<Readable | undefined> {
    const record = await this.#get(this.#have(conversation, sha3, message))
    if (!record) return undefined
    const reference = referenceOf(record)
    if (reference) {
      const local = await this.#clock.track(openLocal(reference.path)).catch(() => undefined)
      if (!local) return undefined
      if (local.sizeBytes === sizeBytes && local.mtimeMs === reference.mtimeMs) return this.#tracked(local)
      await this.#clock.track(local.close())
      return undefined
    }
    const path = `${conversation}/${sha3}`
    if ((await this.#files.size(path)) !== sizeBytes) return undefined
    return {
      sizeBytes,
      read: async (start, length) => (await this.#files.read(path, { start, length })) ?? new Uint8Array(0),
      close: async () => {},
    }
  }

  #tracked(local: LocalFile): Readable {
    return { sizeBytes: local.sizeBytes, read: (start, length) => this.#clock.track(local.read(start, length)), close: () => this.#clock.track(local.close()) }
  }

  /** The announcement is deleted, or no copy is wanted: the bytes go when no other announcement has the same. */
  async drop({ conversation, message, sha3 }: Pick<FileKey, 'conversation' | 'message' | 'sha3'>): Promise<void> {
    await this.#turn(async () => {
      const key = this.#have(conversation, sha3, message)
      if (await this.#storage.get(key)) await this.#storage.batch([{ key, value: null }])
      await this.#sweep(conversation, sha3)
    })
  }

  async #sweep(conversation: ConversationId, sha3: string): Promise<void> {
    for await (const _ of this.#storage.keys(`${this.#prefix}/have/${conversation}/${sha3}/`)) return
    for await (const out of this.outgoing()) if (out.conversation === conversation && out.sha3 === sha3) return
    await this.#files.remove(`${conversation}/${sha3}`)
  }

  /** The conversation is gone, and all that was kept of it. */
  async forget(conversation: ConversationId): Promise<void> {
    await this.#turn(async () => {
      const ops: StorageOp[] = []
      for (const kind of ['have', 'wanted', 'gone']) for await (const key of this.#storage.keys(`${this.#prefix}/${kind}/${conversation}/`)) ops.push({ key, value: null })
      for await (const { conversation: of, tid } of this.outgoing()) if (of === conversation) ops.push({ key: this.#out(tid), value: null })
      if (ops.length > 0) await this.#storage.batch(ops)
      await this.#files.remove(conversation)
      await this.#files.remove(`part/${conversation}`)
    })
  }

  // ---------------------------------------------------------------- sending

  /** A file that is being written; nobody sees it before `announce`. */
  writer(): { append(bytes: Uint8Array): Promise<void>; finish(): Promise<void>; discard(): Promise<void>; readonly path: string } {
    const path = `new/${Buffer.from(this.#random.bytes(16)).toString('hex')}`
    return {
      path,
      append: async (bytes) => void (await this.#files.append(path, bytes, { durable: false })),
      finish: async () => {
        if ((await this.#files.size(path)) === undefined) await this.#files.write(path, new Uint8Array(0))
        await this.#files.flush(path)
      },
      discard: () => this.#files.remove(path),
    }
  }

  /** Puts the bytes in place (`written`: path of a writer) and notes what is to be announced: from here on it is, also after a crash. */
  async prepare(out: Outgoing, written: string | undefined): Promise<void> {
    await this.#turn(async () => {
      const path = `${out.conversation}/${out.sha3}`
      if (written !== undefined) await this.#files.rename(written, path)
      const { tid, reference, replyTo, ...rest } = out
      try {
        await this.#put(this.#out(tid), { v: 1, ...rest, ...(replyTo === undefined ? {} : { replyTo }), ...(reference ? { path: reference.path, mtimeMs: reference.mtimeMs } : {}) })
      } catch (error) {
        await this.#sweep(out.conversation, out.sha3).catch(() => {}) // else it goes with the conversation
        throw error
      }
    })
  }

  /** It is announced as `message`; undefined: it will not be. */
  async settle(out: Outgoing, message: MessageId | undefined): Promise<void> {
    await this.#turn(async () => {
      const done: StorageOp = { key: this.#out(out.tid), value: null }
      const have = message && { key: this.#have(out.conversation, out.sha3, message), value: encode({ v: 1, ...(out.reference ? { path: out.reference.path, mtimeMs: out.reference.mtimeMs } : {}) }) }
      await this.#storage.batch(have ? [done, have] : [done])
      if (!message) await this.#sweep(out.conversation, out.sha3)
    })
  }

  /** What is to be announced still. */
  async *outgoing(): AsyncGenerator<Outgoing> {
    for await (const key of this.#storage.keys(`${this.#prefix}/out/`)) {
      const record = await this.#get(key)
      if (!record) continue
      const out = this.#decoded(key, record)
      if (out) yield out
    }
  }

  #decoded(key: string, record: ReturnType<typeof asMap>): Outgoing | undefined {
    try {
      const replyTo = record.get('replyTo')
      return {
        tid: key.slice(key.lastIndexOf('/') + 1),
        conversation: asString(record.get('conversation'), 'conversation', 40) as ConversationId,
        name: asString(record.get('name'), 'name', 1024),
        sha3: asString(record.get('sha3'), 'sha3', 128),
        sizeBytes: asInt(record.get('sizeBytes'), 'sizeBytes'),
        key: asString(record.get('key'), 'key', 1024),
        replyTo: replyTo === undefined ? undefined : (asString(replyTo, 'replyTo', 40) as MessageId),
        reference: referenceOf(record),
      }
    } catch (err) {
      this.#logger.error({ err, key }, 'a record of files')
      return undefined
    }
  }

  // ---------------------------------------------------------------- receiving

  /** Durable: it is fetched, also after a restart. */
  want({ conversation, message, to, keep }: Wanted): Promise<void> {
    return this.#turn(() => this.#put(this.#wantedKey(conversation, message), { v: 1, to: [...to], keep }))
  }

  async *wanted(): AsyncGenerator<Wanted> {
    for await (const key of this.#storage.keys(`${this.#prefix}/wanted/`)) {
      const [conversation = '', message = ''] = key.slice(`${this.#prefix}/wanted/`.length).split('/')
      const record = await this.#get(key)
      const to = record?.get('to')
      if (record) yield { conversation: conversation as ConversationId, message: message as MessageId, to: Array.isArray(to) ? to.filter((path): path is string => typeof path === 'string') : [], keep: record.get('keep') !== false }
    }
  }

  async unwant(conversation: ConversationId, message: MessageId, options: { keepPart?: boolean } = {}): Promise<void> {
    await this.#turn(async () => {
      if (!options.keepPart) await this.#files.remove(partPath(conversation, message))
      const key = this.#wantedKey(conversation, message)
      if (await this.#storage.get(key)) await this.#storage.batch([{ key, value: null }])
    })
  }

  /** What has come of a file. */
  part({ conversation, message, sha3 }: Pick<FileKey, 'conversation' | 'message' | 'sha3'>): Part {
    const path = partPath(conversation, message)
    const files = this.#files
    return {
      size: async () => (await files.size(path)) ?? 0,
      append: (bytes) => files.append(path, bytes, { durable: false }),
      read: async (start, length) => (await files.read(path, { start, length })) ?? new Uint8Array(0),
      truncate: async (size) => {
        if (size === 0) await files.remove(path)
        else if ((await files.size(path)) !== undefined) await files.truncate(path, size)
      },
      flush: () => files.flush(path),
      complete: () =>
        this.#turn(async () => {
          if ((await files.size(path)) === undefined) await files.write(path, new Uint8Array(0))
          await files.flush(path)
          await files.rename(path, `${conversation}/${sha3}`)
          await this.#put(this.#have(conversation, sha3, message), { v: 1 })
        }),
    }
  }

  // ---------------------------------------------------------------- deletions

  async delete(conversation: ConversationId, message: MessageId): Promise<void> {
    await this.#turn(() => this.#put(this.#gone(conversation, message), { v: 1 }))
  }

  async isDeleted(conversation: ConversationId, message: MessageId): Promise<boolean> {
    return (await this.#storage.get(this.#gone(conversation, message))) !== undefined
  }

  // ---------------------------------------------------------------- records

  #have = (conversation: ConversationId, sha3: string, message: MessageId) => `${this.#prefix}/have/${conversation}/${sha3}/${message}`
  #wantedKey = (conversation: ConversationId, message: MessageId) => `${this.#prefix}/wanted/${conversation}/${message}`
  #gone = (conversation: ConversationId, message: MessageId) => `${this.#prefix}/gone/${conversation}/${message}`
  #out = (tid: string) => `${this.#prefix}/out/${tid}`

  async #get(key: string) {
    const bytes = await this.#storage.get(key)
    if (!bytes) return undefined
    try {
      return asMap(decodeMsgpack(bytes), key)
    } catch (error) {
      this.#logger.error({ err: new JamiError('ERR_STORAGE_CORRUPT', `record ${key} cannot be read`, { cause: error, details: { key } }) }, 'a record of files') // it costs itself
      return undefined
    }
  }

  #put(key: string, value: Record<string, MsgpackInput>): Promise<void> {
    return this.#storage.batch([{ key, value: encode(value) }])
  }

  /** Changes of which bytes belong to what, one after the other. */
  #turn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return turn
  }
}

/** A file that is not complete. */
export interface Part {
  size(): Promise<number>
  append(bytes: Uint8Array): Promise<number>
  read(start: number, length: number): Promise<Uint8Array>
  truncate(size: number): Promise<void>
  flush(): Promise<void>
  /** All of it is here and right: it becomes the file. */
  complete(): Promise<void>
}

const partPath = (conversation: ConversationId, message: MessageId) => `part/${conversation}/${message}`
const encode = (value: Record<string, MsgpackInput>) => encodeMsgpack(value)

function referenceOf(record: ReturnType<typeof asMap>): Reference | undefined {
  const [path, mtimeMs] = [record.get('path'), record.get('mtimeMs')]
  return typeof path === 'string' && typeof mtimeMs === 'number' ? { path, mtimeMs } : undefined
}

/** All of it, block by block. */
export async function* blocksOf(file: Pick<Readable, 'read' | 'sizeBytes'>): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.sizeBytes; ) {
    const bytes = await file.read(at, Math.min(BLOCK_BYTES, file.sizeBytes - at))
    if (bytes.length === 0) throw new JamiError('ERR_STORAGE_IO', `a file ends after ${at} bytes, expected ${file.sizeBytes}`, { details: { got: at, allowed: file.sizeBytes } })
    yield bytes
    at += bytes.length
  }
}
