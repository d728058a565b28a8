// Storage in a directory: records in an append-only log that is held in memory and replayed at open, files as ordinary files.
// A batch is one appended frame and one fdatasync; batches that wait meanwhile share the next one.
//   <dir>/lock.<nonce>  <dir>/records.log  <dir>/files/<prefix>/…  <dir>/scratch/
// Proof: storage/file-storage.test.ts with testing/suites/storage.ts, and a process killed at random (kill -9).
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { JamiError } from '../base/errors.ts'
import { type Deferred, deferred } from '../base/operation.ts'
import { toHex } from '../codec/bytes.ts'
import type { Clock } from '../contracts/clock.ts'
import type { FileTree, Storage, StorageOp } from '../contracts/storage.ts'
import { sha256 } from '../crypto/hash.ts'
import { backgroundClock, systemClock } from '../io/system-clock.ts'
import { draftIn, ioError, makeDirectory, replaceFile, sweepScratch, syncDirectory, writeFully } from './disk.ts'
import { diskTree } from './disk-tree.ts'
import { KeyIndex } from './key-index.ts'
import { checkKey, checkOps, checkPrefix } from './keys.ts'
import { OpenFiles } from './open-files.ts'
import { takeLock } from './profile-lock.ts'
import { type Damage, encodeFrame, LOG_HEADER, OP_OVERHEAD, replay } from './record-log.ts'

/** The log is rewritten when more than half of it, and at least this much, is out of date. */
const MIN_GARBAGE_BYTES = 1 << 20
/** A log that was damaged, as it was found; a name of its own for each. */
const DAMAGED = 'records.damaged.'
/** Frames of a rewritten log. */
const REWRITE_FRAME_BYTES = 4 << 20

/** How a profile in a directory is watched. */
export interface FileStorageOptions {
  /** Told of what the owner should know and no call fails for: rights that let others read, a damaged part of the log, a lock that was lost. */
  onProblem?: (problem: JamiError) => void
  /** Replaces the system's; for tests. */
  clock?: Clock
}

/**
 * Opens at the first call; nothing is created before. @param directory made with mode 0700 when missing
 * @throws ERR_ARGUMENT for an empty name
 */
export function fileStorage(directory: string, options: FileStorageOptions = {}): Storage {
  if (typeof directory !== 'string' || directory === '' || directory.includes('\0')) throw new JamiError('ERR_ARGUMENT', `storage directory: got ${JSON.stringify(directory) ?? typeof directory}, allowed the path of a directory`)
  return new FileStorage(resolve(directory), options)
}

class FileStorage implements Storage {
  readonly #directory: string
  readonly #options: FileStorageOptions
  readonly #logPath: string
  readonly #records = new Map<string, Uint8Array>() // bounded by the disk's owner: mirrors the log
  #keys = new KeyIndex()
  readonly #files = new OpenFiles()
  readonly #waiting: { ops: StorageOp[]; purge?: string; done: Deferred<void> }[] = [] // bounded by the callers' own calls
  #opening: Promise<string> | undefined
  #log: FileHandle | undefined
  #end = 0
  #liveBytes = 0
  #rewriteFrom = 0
  #writing: Promise<void> | undefined
  #broken: JamiError | undefined
  #closing: Promise<void> | undefined
  #lock: AsyncDisposable | undefined

  constructor(directory: string, options: FileStorageOptions) {
    this.#directory = directory
    this.#options = options
    this.#logPath = join(directory, 'records.log')
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    checkKey(key)
    await this.#open()
    return this.#records.get(key)?.slice()
  }

  async batch(ops: readonly StorageOp[]): Promise<void> {
    checkOps(ops)
    const copy = ops.map(({ key, value }) => ({ key, value: value === null ? null : new Uint8Array(value) }))
    await this.#open()
    if (copy.length === 0) return
    return this.#enqueue(copy)
  }

  async purge(prefix: string): Promise<void> {
    checkPrefix(prefix)
    await this.#open()
    return this.#enqueue([], prefix)
  }

  #enqueue(ops: StorageOp[], purge?: string): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken)
    const done = deferred<void>()
    this.#waiting.push({ ops, done, ...(purge === undefined ? {} : { purge }) })
    this.#writing ??= this.#writeAll()
    return done.promise
  }

  keys(prefix: string): AsyncIterable<string> {
    checkPrefix(prefix)
    const sorted = () => this.#keys.startingWith(prefix)
    const found = this.#log && !this.#closing ? Promise.resolve(sorted()) : this.#open().then(sorted)
    found.catch(() => {}) // reported by the iteration
    return (async function* () {
      yield* await found
    })()
  }

  files(prefix: string): FileTree {
    checkKey(prefix, 'storage prefix')
    return diskTree(join(this.#directory, 'files', prefix), this.#files, () => this.#open())
  }

  async lock(): Promise<AsyncDisposable> {
    if (this.#closing) throw closedError()
    const { clock } = this.#options
    const onLost = (error: JamiError) => {
      this.#broken = error
      this.#options.onProblem?.(error)
    }
    const taken = await takeLock(this.#directory, { clock: clock ?? systemClock(), background: clock ?? backgroundClock(), onLost }).catch((error: unknown) => {
      throw ioError(error)
    })
    this.#lock = taken
    await sweepScratch(join(this.#directory, 'scratch'))
    return taken
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#opening?.catch(() => {})
    await this.#writing
    await this.#files.close()
    await this.#log?.close()
    await this.#lock?.[Symbol.asyncDispose]()
  }

  #open(): Promise<string> {
    if (this.#closing) return Promise.reject(closedError())
    if (this.#broken) return Promise.reject(this.#broken)
    this.#opening ??= this.#load().catch((error: unknown) => {
      throw ioError(error)
    })
    return this.#opening
  }

  /** Gives the scratch directory. */
  async #load(): Promise<string> {
    const scratch = join(this.#directory, 'scratch')
    await makeDirectory(this.#directory, true)
    await mkdir(scratch, { recursive: true, mode: 0o700 })
    const bytes = await readFile(this.#logPath).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Uint8Array(0)
      throw error
    })
    const { end, damage } = replay(bytes, this.#records)
    this.#keys = new KeyIndex(this.#records.keys())
    for (const [key, value] of this.#records) this.#liveBytes += costOf(key, value)
    this.#log = await open(this.#logPath, 'a', 0o600)
    await this.#checkRights()
    if (damage.length > 0) {
      await this.#setAside(bytes, damage)
      return scratch
    }
    if (bytes.length > end) await this.#log.truncate(end) // a write that never finished
    this.#end = end
    if (end === 0) {
      await this.#log.write(LOG_HEADER)
      await this.#log.datasync()
      await syncDirectory(this.#directory)
      this.#end = LOG_HEADER.length
    }
    return scratch
  }

  /** Goes on with what can be read; the log as it is stays beside it. */
  async #setAside(bytes: Uint8Array, damage: readonly Damage[]): Promise<void> {
    const name = `${DAMAGED}${toHex(sha256(bytes)).slice(0, 8)}`
    await replaceFile(join(this.#directory, name), bytes, join(this.#directory, 'scratch'), true)
    this.#end = bytes.length
    await this.#rewrite()
    const places = damage.slice(0, 10).map(({ what, position }) => `${what} at byte ${position}`)
    this.#options.onProblem?.(
      new JamiError('ERR_STORAGE_CORRUPT', `record log of ${this.#directory}: damaged ${places.join(', ')}; what could be read is kept, the damaged log is in ${name}`, { details: { damage: damage.slice(0, 10), kept: name } }),
    )
  }

  async #checkRights(): Promise<void> {
    if (process.platform === 'win32') return
    const tell = (what: string, mode: number, allowed: string) =>
      this.#options.onProblem?.(new JamiError('ERR_STORAGE_IO', `${what} ${this.#directory}: got mode ${(mode & 0o777).toString(8)}, others can get at the keys in it, allowed ${allowed}`, { details: { mode: mode & 0o777 } }))
    const [directory, log] = [(await stat(this.#directory)).mode, (await stat(this.#logPath)).mode]
    if ((directory & 0o022) !== 0) tell('profile', directory, 'at most 755')
    if ((log & 0o077) !== 0) tell('record log of', log, '600')
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const purgeAt = this.#waiting.findIndex(({ purge }) => purge !== undefined)
      const group = this.#waiting.splice(0, purgeAt < 0 ? this.#waiting.length : Math.max(1, purgeAt)) // a purge goes alone
      try {
        if (group[0]?.purge === undefined) {
          const ops = group.flatMap((batch) => batch.ops)
          await this.#append(ops)
          this.#apply(ops)
        } else await this.#purge(group[0].purge)
        for (const batch of group) batch.done.resolve()
      } catch (error) {
        for (const batch of group) batch.done.reject(ioError(error))
      }
      if (this.#end - this.#liveBytes > Math.max(MIN_GARBAGE_BYTES, this.#liveBytes) && this.#end >= this.#rewriteFrom)
        await this.#rewrite().catch(() => (this.#rewriteFrom = 2 * this.#end)) // not again at once
    }
    this.#writing = undefined
  }

  async #append(ops: readonly StorageOp[]): Promise<void> {
    if (this.#broken) throw this.#broken
    const log = this.#log as FileHandle
    if ((await log.stat()).size !== this.#end) {
      this.#broken = new JamiError('ERR_STORAGE_CORRUPT', 'record log: its length changed, another program writes to this profile')
      throw this.#broken
    }
    const frame = encodeFrame(ops, this.#end)
    try {
      await writeFully(log, frame)
      await log.datasync()
      this.#end += frame.length
    } catch (error) {
      try {
        await log.truncate(this.#end) // a full disk: what was written must not stay
        await log.datasync()
      } catch {
        this.#broken = new JamiError('ERR_STORAGE_CORRUPT', 'record log: a write failed and could not be taken back', { cause: error })
      }
      throw error
    }
  }

  #apply(ops: readonly StorageOp[]): void {
    for (const { key, value } of ops) {
      const old = this.#records.get(key)
      if (old) this.#liveBytes -= costOf(key, old)
      if (value === null) {
        if (this.#records.delete(key)) this.#keys.delete(key)
      } else {
        if (!old) this.#keys.add(key)
        this.#records.set(key, value)
        this.#liveBytes += costOf(key, value)
      }
    }
  }

  async #purge(prefix: string): Promise<void> {
    await this.#rewrite(prefix)
    for (const name of await readdir(this.#directory)) if (name.startsWith(DAMAGED)) await rm(join(this.#directory, name), { force: true })
  }

  /** Writes a log without what is out of date and puts it in the old one's place. A failure leaves the old one. @param without keys that go, too */
  async #rewrite(without?: string): Promise<void> {
    if (this.#broken) throw this.#broken
    const gone = without === undefined ? [] : this.#keys.startingWith(without)
    const left = new Set(gone)
    const path = draftIn(join(this.#directory, 'scratch'))
    let handle: FileHandle | undefined
    try {
      handle = await open(path, 'ax', 0o600)
      let end = LOG_HEADER.length
      await writeFully(handle, LOG_HEADER)
      for (const ops of framesOf(this.#records, left)) {
        const frame = encodeFrame(ops, end)
        await writeFully(handle, frame)
        end += frame.length
      }
      await handle.sync()
      await rename(path, this.#logPath)
      const old = this.#log
      this.#log = handle
      this.#end = end
      handle = old
      this.#apply(gone.map((key) => ({ key, value: null })))
      await syncDirectory(this.#directory)
    } catch (error) {
      await rm(path, { force: true })
      throw error
    } finally {
      await handle?.close()
    }
  }
}

function* framesOf(records: ReadonlyMap<string, Uint8Array>, without: ReadonlySet<string>): Iterable<StorageOp[]> {
  let ops: StorageOp[] = []
  let size = 0
  for (const [key, value] of records) {
    if (without.has(key)) continue
    ops.push({ key, value })
    size += costOf(key, value)
    if (size < REWRITE_FRAME_BYTES) continue
    yield ops
    ops = []
    size = 0
  }
  if (ops.length > 0) yield ops
}

function costOf(key: string, value: Uint8Array): number {
  return key.length + value.length + OP_OVERHEAD
}

function closedError(): JamiError {
  return new JamiError('ERR_CLOSED', 'the storage is closed')
}
