// Files that are appended to and read in parts, with handles that stay open between calls: a journal grows by thousands of appends, each
// costs one write and one fdatasync, and appends that wait for one another share them.
// Proof: storage/open-files.test.ts, storage/storage.test.ts with testing/suites/storage.ts, a process killed at random.
import { type FileHandle, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { JamiError } from '../base/errors.ts'
import { joinBytes } from '../codec/bytes.ts'
import { AppendGroups } from './append-groups.ts'
import { makeDirectory, syncDirectory, writeFully } from './disk.ts'
import { isWithin, PathQueue } from './path-queue.ts'

/** Handles kept open; the one not used for longest is closed first. */
const MAX_OPEN = 64

interface OpenFile {
  readonly handle: FileHandle
  readonly appends: boolean
  /** What readers may see: never half of an append under way. */
  size: number
  /** Its name may not be durable yet: a durable append sees to it, once. */
  fresh: boolean
  users: number
  dropped: boolean
}

export class OpenFiles {
  readonly queue = new PathQueue()
  readonly #open = new Map<string, OpenFile>() // bounded by MAX_OPEN, and one for each call under way
  readonly #groups = new AppendGroups(this.queue, (path, parts, durable) => this.#write(path, parts, durable))
  /** Files with half an append that could not be taken back yet, and where they end. Bounded by the files that failed. */
  readonly #torn = new Map<string, number>()

  append(path: string, bytes: Uint8Array, durable: boolean): Promise<number> {
    return this.#groups.append(path, bytes, durable)
  }

  async #write(path: string, parts: readonly Uint8Array[], durable: boolean): Promise<number> {
    await this.#mend(path)
    const file = await this.#take(path, true)
    try {
      const bytes = parts.length === 1 ? (parts[0] as Uint8Array) : joinBytes(parts)
      try {
        await writeFully(file.handle, bytes)
        if (durable) await file.handle.datasync()
        if (durable && file.fresh) {
          await syncDirectory(dirname(path))
          file.fresh = false
        }
      } catch (error) {
        this.#torn.set(path, file.size)
        await this.#mend(path).catch(() => {}) // at the next append, then
        throw error
      }
      file.size += bytes.length
      return file.size
    } finally {
      this.#give(file)
    }
  }

  /** Takes away what a failed append left. */
  async #mend(path: string): Promise<void> {
    const size = this.#torn.get(path)
    if (size === undefined) return
    await cut(path, size)
    this.#torn.delete(path)
  }

  /** Undefined when there is no such file. */
  async read(path: string, start: number, length: number): Promise<Uint8Array | undefined> {
    const file = this.#hold(path) ?? (await this.queue.run(path, () => this.#take(path, false)).catch(missingOnly))
    if (!file) return undefined
    try {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, file.size - start)))
      let at = 0
      while (at < bytes.length) {
        const { bytesRead } = await file.handle.read(bytes, at, bytes.length - at, start + at)
        if (bytesRead === 0) break
        at += bytesRead
      }
      return at < bytes.length ? bytes.slice(0, at) : bytes
    } finally {
      this.#give(file)
    }
  }

  flush(path: string): Promise<void> {
    this.#groups.endGroup(path)
    return this.queue.run(path, async () => {
      const file = await this.#take(path, false).catch(missingOnly)
      if (!file) return
      try {
        await file.handle.datasync()
        await syncDirectory(dirname(path))
        file.fresh = false
      } finally {
        this.#give(file)
      }
    })
  }

  async truncate(path: string, size: number): Promise<void> {
    this.#groups.endGroup(path)
    await this.queue.run(path, async () => {
      const found = await stat(path).catch(missingOnly)
      if (!found?.isFile()) throw new JamiError('ERR_NOT_FOUND', 'file: not there')
      await this.#mend(path)
      await this.#drop(path)
      await cut(path, size)
    })
  }

  /** How much of a file readers may see, when that may be less than the disk tells: then they read it here. */
  visible(path: string): number | undefined {
    return this.#torn.get(path) ?? this.#open.get(path)?.size
  }

  /** Runs what replaces a file, with no handle on the old one. */
  replace<T>(path: string, work: () => Promise<T>): Promise<T> {
    this.#groups.endGroup(path)
    return this.queue.run(path, async () => {
      await this.#drop(path)
      const result = await work()
      this.#torn.delete(path)
      return result
    })
  }

  /** Runs what moves or (`gone`) removes these paths and everything below them, with no handle there. */
  restructure<T>(paths: readonly string[], work: () => Promise<T>, gone = false): Promise<T> {
    this.#groups.endGroupsBelow(paths)
    return this.queue.runOnTrees(paths, async () => {
      const torn = [...this.#torn.keys()].filter((path) => paths.some((top) => isWithin(path, top)))
      if (!gone) for (const path of torn) await this.#mend(path)
      for (const path of [...this.#open.keys()]) if (paths.some((top) => isWithin(path, top))) await this.#drop(path)
      const result = await work()
      for (const path of torn) this.#torn.delete(path)
      return result
    })
  }

  async close(): Promise<void> {
    await this.queue.idle()
    for (const path of [...this.#torn.keys()]) await this.#mend(path).catch(() => {})
    await Promise.all([...this.#open.keys()].map((path) => this.#drop(path)))
  }

  #hold(path: string): OpenFile | undefined {
    const file = this.#open.get(path)
    if (!file) return undefined
    this.#open.delete(path)
    this.#open.set(path, file)
    file.users++
    return file
  }

  /** Only within the queue of the path. */
  async #take(path: string, appends: boolean): Promise<OpenFile> {
    const held = this.#open.get(path)
    if (held && (held.appends || !appends)) return this.#hold(path) as OpenFile
    if (held) await this.#drop(path)
    const handle = appends ? await openToAppend(path) : await open(path, 'r')
    try {
      const found = await handle.stat()
      if (!found.isFile()) throw Object.assign(new Error('a directory'), { code: 'EISDIR' })
      const file: OpenFile = { handle, appends, size: this.#torn.get(path) ?? found.size, fresh: appends, users: 1, dropped: false }
      this.#open.set(path, file)
      for (const [name, other] of this.#open) {
        if (this.#open.size <= MAX_OPEN) break
        if (other.users === 0) void this.#drop(name)
      }
      return file
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  #give(file: OpenFile): void {
    file.users--
    if (file.dropped && file.users === 0) void file.handle.close().catch(() => {})
  }

  async #drop(path: string): Promise<void> {
    const file = this.#open.get(path)
    if (!file) return
    this.#open.delete(path)
    file.dropped = true
    if (file.users === 0) await file.handle.close().catch(() => {})
  }
}

async function cut(path: string, size: number): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    if (size >= (await handle.stat()).size) return
    await handle.truncate(size)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function openToAppend(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'a+', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    await makeDirectory(dirname(path), true)
    return open(path, 'a+', 0o600)
  }
}

export function missing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENOTDIR'
}

function missingOnly(error: unknown): undefined {
  if (!missing(error) && (error as NodeJS.ErrnoException).code !== 'EISDIR') throw error
}
