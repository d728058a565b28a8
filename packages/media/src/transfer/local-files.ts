// Files of the program: what it sends by path, and where it wants what comes. The only user of the file system here; every path was given
// by the program. docs/protocol/04 §7 (never a path of a peer). Proof: transfer/sending.test.ts (paths of the program).
import { open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { JamiError, notFoundError } from '@jamikit/core/base'
import { BLOCK_BYTES } from '../defaults.ts'

/** A file of the program that is read. */
export interface LocalFile {
  readonly sizeBytes: number
  /** Whole milliseconds: what a record can hold. */
  readonly mtimeMs: number
  read(start: number, length: number): Promise<Uint8Array>
  close(): Promise<void>
}

function told(path: string, error: unknown): JamiError {
  if (JamiError.is(error)) return error
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return notFoundError(`file ${path}`)
  return new JamiError('ERR_STORAGE_IO', `file ${path}: ${(error as Error).message}`, { cause: error, details: { path, code } })
}

/** @throws ERR_NOT_FOUND, ERR_ARGUMENT for what is no file, ERR_STORAGE_IO */
export async function openLocal(path: string): Promise<LocalFile> {
  try {
    const found = await stat(path)
    if (!found.isFile()) throw new JamiError('ERR_ARGUMENT', `${path}: got no ordinary file, allowed one`, { details: { field: 'source', got: path, allowed: 'an ordinary file' } }) // a pipe would wait for ever
    const handle = await open(path, 'r')
    return {
      sizeBytes: found.size,
      mtimeMs: Math.trunc(found.mtimeMs),
      async read(start, length) {
        const bytes = new Uint8Array(length)
        let got = 0
        while (got < length) {
          const { bytesRead } = await handle.read(bytes, got, length - got, start + got).catch((error) => {
            throw told(path, error)
          })
          if (bytesRead === 0) break
          got += bytesRead
        }
        return bytes.subarray(0, got)
      },
      close: () => handle.close().catch(() => {}),
    }
  } catch (error) {
    throw told(path, error)
  }
}

/** The path itself, or a file of this name in it when it is a directory. */
export async function targetOf(to: string, name: string): Promise<string> {
  const found = await stat(to).catch(() => undefined)
  return found?.isDirectory() ? join(to, name) : to
}

/** Writes beside the target, durably, then puts it in its place: who looks there sees the old file or the whole new one. */
export async function writeLocal(target: string, unique: string, blocks: AsyncIterable<Uint8Array>): Promise<void> {
  const beside = join(dirname(target), `.${basename(target).slice(0, 100)}.${unique}.part`)
  try {
    const handle = await open(beside, 'wx', 0o666)
    try {
      for await (const bytes of blocks) {
        for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at, Math.min(BLOCK_BYTES, bytes.length - at))).bytesWritten
      }
      await handle.datasync()
    } finally {
      await handle.close()
    }
    await rename(beside, target)
  } catch (error) {
    await rm(beside, { force: true }).catch(() => {})
    throw told(target, error)
  }
}
