// A storage in which nobody reads anything without the key: not records, files, keys nor names. Over any other storage; its own records are
// `seal/header` (in clear: salt and a check of the key), `seal/r/…` (records), `seal/f/…` (least sizes of files), `seal/move`; its files lie
// in the tree `sealed`. What was changed, moved or exchanged is ERR_STORAGE_CORRUPT. docs/guides/storage.md.
// Proof: storage/sealed-storage.test.ts, storage/storage.test.ts with testing/suites/storage.ts.
import { JamiError } from '../base/errors.ts'
import { fromUtf8, utf8 } from '../codec/bytes.ts'
import type { FileTree, Storage, StorageOp } from '../contracts/storage.ts'
import { KeyIndex } from './key-index.ts'
import { checkKey, checkOps, checkPrefix, checkRange, checkSize } from './keys.ts'
import { checkEncryptionKey, type EncryptionKey, SealKeys } from './seal-keys.ts'
import { SealedFiles } from './sealed-files.ts'

export type { EncryptionKey }

const HEADER = 'seal/header'
const MOVE = 'seal/move'

/** How a sealed storage is watched, and ends. */
export interface SealedStorageOptions {
  /** Told of records that do not open; no call fails for them until somebody asks for that record. */
  onProblem?: (problem: JamiError) => void
  /** `close()` leaves `inner` open. */
  keepOpen?: boolean
}

/** True when only its key opens a storage. */
export async function isSealed(storage: Storage): Promise<boolean> {
  return (await storage.get(HEADER)) !== undefined
}

/**
 * Seals everything that goes into `inner`. Every call may reject with ERR_PASSWORD (another key than the one it was made with),
 * ERR_STORAGE_CORRUPT, or ERR_ARGUMENT when `inner` has records that are not sealed. @throws ERR_ARGUMENT for a key of another length
 * @example const storage = sealedStorage(fileStorage('./profile'), async () => readFile('/run/secrets/jami-key'))
 */
export function sealedStorage(inner: Storage, key: EncryptionKey, options: SealedStorageOptions = {}): Storage {
  checkEncryptionKey(key)
  return new SealedStorage(inner, key instanceof Uint8Array ? new Uint8Array(key) : key, options)
}

interface Opened {
  readonly keys: SealKeys
  readonly files: SealedFiles
}

class SealedStorage implements Storage {
  readonly #inner: Storage
  readonly #key: EncryptionKey
  readonly #options: SealedStorageOptions
  #index = new KeyIndex()
  #opening: Promise<Opened> | undefined
  #opened = false
  #closing: Promise<void> | undefined
  readonly #batches = new Set<Promise<void>>() // bounded by the callers' own calls under way
  #purging: Promise<void> = Promise.resolve()

  constructor(inner: Storage, key: EncryptionKey, options: SealedStorageOptions) {
    this.#inner = inner
    this.#key = key
    this.#options = options
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    checkKey(key)
    const { keys } = await this.#open()
    const name = keys.recordName('r', key)
    const sealed = await this.#inner.get(name)
    if (!sealed) return undefined
    const found = keys.openRecord(name, sealed)
    if (!found) throw new JamiError('ERR_STORAGE_CORRUPT', `sealed record ${key}: damaged or exchanged`, { details: { key } })
    return found.value
  }

  async batch(ops: readonly StorageOp[]): Promise<void> {
    checkOps(ops)
    const copy = ops.map(({ key, value }) => ({ key, value: value === null ? null : new Uint8Array(value) }))
    const { keys } = await this.#open()
    const work = this.#purging.then(async () => {
      await this.#inner.batch(copy.map(({ key, value }) => {
        const name = keys.recordName('r', key)
        return { key: name, value: value && keys.sealRecord(name, key, value) }
      }))
      for (const { key, value } of copy) {
        if (value === null) this.#index.delete(key)
        else this.#index.add(key)
      }
    })
    this.#batches.add(work)
    return work.finally(() => this.#batches.delete(work))
  }

  async purge(prefix: string): Promise<void> {
    checkPrefix(prefix)
    const { keys } = await this.#open()
    const before = [this.#purging, ...this.#batches]
    const work = Promise.allSettled(before).then(async () => {
      const gone = this.#index.startingWith(prefix)
      await this.#inner.batch(gone.map((key) => ({ key: keys.recordName('r', key), value: null })))
      for (const key of gone) this.#index.delete(key)
      await this.#inner.purge('seal/purged/') // there is none: only the bytes of what was removed go
    })
    this.#purging = work.catch(() => {})
    return work
  }

  keys(prefix: string): AsyncIterable<string> {
    checkPrefix(prefix)
    const found = this.#opened && !this.#closing ? Promise.resolve(this.#index.startingWith(prefix)) : this.#open().then(() => this.#index.startingWith(prefix))
    found.catch(() => {}) // reported by the iteration
    return (async function* () {
      yield* await found
    })()
  }

  files(prefix: string): FileTree {
    checkKey(prefix, 'storage prefix')
    const full = (path: string) => {
      checkKey(path, 'file path')
      return `${prefix}/${path}`
    }
    const open = async () => (await this.#open()).files
    return {
      async read(path, range) {
        const name = full(path)
        if (range) checkRange(range)
        return range ? (await open()).readRange(name, range.start, range.length) : (await open()).read(name)
      },
      async write(path, bytes, options) {
        const name = full(path)
        await (await open()).write(name, bytes, options?.durable !== false)
      },
      async append(path, bytes, options) {
        const name = full(path)
        const own = new Uint8Array(bytes)
        return (await open()).append(name, own, options?.durable !== false)
      },
      async flush(path) {
        const name = full(path)
        await (await open()).flush(name)
      },
      async size(path) {
        const name = full(path)
        return (await open()).size(name)
      },
      async truncate(path, size) {
        const name = full(path)
        checkSize(size)
        await (await open()).truncate(name, size)
      },
      async list(path) {
        const name = path === '' ? prefix : full(path)
        return (await open()).list(name)
      },
      async rename(from, to) {
        const [source, target] = [full(from), full(to)]
        await (await open()).rename(source, target)
      },
      async remove(path) {
        const name = full(path)
        await (await open()).remove(name)
      },
    }
  }

  lock(): Promise<AsyncDisposable> {
    return this.#inner.lock()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const opened = await this.#opening?.catch(() => undefined)
    await Promise.allSettled([this.#purging, ...this.#batches])
    try {
      await opened?.files.close()
    } finally {
      if (!this.#options.keepOpen) await this.#inner.close()
    }
  }

  #open(): Promise<Opened> {
    if (this.#closing) return Promise.reject(new JamiError('ERR_CLOSED', 'the storage is closed'))
    this.#opening ??= this.#load()
    return this.#opening
  }

  /** @throws ERR_ARGUMENT with what the function threw as cause */
  async #given(): Promise<unknown> {
    if (typeof this.#key !== 'function') return this.#key
    try {
      return await this.#key()
    } catch (cause) {
      throw JamiError.is(cause) ? cause : new JamiError('ERR_ARGUMENT', 'encryptionKey: the function that gives it failed', { cause, details: { field: 'encryptionKey' } })
    }
  }

  async #load(): Promise<Opened> {
    const key = await this.#given()
    checkEncryptionKey(key)
    if (!(key instanceof Uint8Array)) throw new JamiError('ERR_ARGUMENT', 'encryptionKey: got a function from a function, allowed 32 bytes')
    const header = await this.#inner.get(HEADER)
    const keys = header ? SealKeys.open(key, header) : await this.#make(key)
    const names: string[] = []
    for await (const name of this.#inner.keys('seal/r/')) {
      const found = keys.openRecord(name, (await this.#inner.get(name)) ?? new Uint8Array(0))
      if (found) names.push(found.key)
      else this.#options.onProblem?.(new JamiError('ERR_STORAGE_CORRUPT', `sealed record ${name}: it does not open and is left out`, { details: { name } }))
    }
    this.#index = new KeyIndex(names)
    const files = new SealedFiles(this.#inner.files('sealed'), keys, this.#notes(keys), await this.#leastSizes(keys))
    await files.start(await this.#readMove(keys))
    this.#opened = true
    return { keys, files }
  }

  async #make(key: Uint8Array): Promise<SealKeys> {
    for await (const name of this.#inner.keys(''))
      throw name.startsWith('seal/')
        ? new JamiError('ERR_STORAGE_CORRUPT', 'sealed storage: its header is missing')
        : new JamiError('ERR_ARGUMENT', 'encryptionKey: got one for a profile that is not sealed, allowed none, or a new profile')
    const { keys, header } = SealKeys.make(key)
    await this.#inner.batch([{ key: HEADER, value: header }])
    return keys
  }

  #notes(keys: SealKeys) {
    const sealed = (name: string, key: string, value: object) => ({ key: name, value: keys.sealRecord(name, key, utf8(JSON.stringify(value))) })
    return {
      setMove: (move: { from: string; to: string } | undefined) => this.#inner.batch([move ? sealed(MOVE, 'move', move) : { key: MOVE, value: null }]),
      setLeast: (sizes: readonly { path: string; size: number | undefined }[]) =>
        this.#inner.batch(sizes.map(({ path, size }) => {
          const name = keys.recordName('f', path)
          return size === undefined ? { key: name, value: null } : sealed(name, path, { size })
        })),
    }
  }

  async #leastSizes(keys: SealKeys): Promise<Map<string, number>> {
    const out = new Map<string, number>() // bounded by the records
    for await (const name of this.#inner.keys('seal/f/')) {
      const found = keys.openRecord(name, (await this.#inner.get(name)) ?? new Uint8Array(0))
      if (found) out.set(found.key, (JSON.parse(fromUtf8(found.value, 'size')) as { size: number }).size)
      else this.#options.onProblem?.(new JamiError('ERR_STORAGE_CORRUPT', `sealed record ${name}: it does not open and is left out`, { details: { name } }))
    }
    return out
  }

  async #readMove(keys: SealKeys): Promise<{ from: string; to: string } | undefined> {
    const sealed = await this.#inner.get(MOVE)
    if (!sealed) return undefined
    const found = keys.openRecord(MOVE, sealed)
    if (found) return JSON.parse(fromUtf8(found.value, 'move')) as { from: string; to: string }
    throw new JamiError('ERR_STORAGE_CORRUPT', 'sealed storage: the note of a move does not open')
  }
}
