// Files written so that they are there or not, with the rights of a private profile (0600, directories 0700).
// Proof: storage/file-storage.test.ts.
import { getRandomValues } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { JamiError } from '../base/errors.ts'
import { toHex } from '../codec/bytes.ts'

/** Drafts of this process; a number alone would mean another process with the same one, too (each container has a process 1). */
const TAG = toHex(getRandomValues(new Uint8Array(8)))
let counter = 0

/** A name for what becomes a file later. */
export function draftIn(scratch: string): string {
  return join(scratch, `${TAG}.${counter++}`)
}

/** Takes away what others left half written. Only the owner of the profile may. */
export async function sweepScratch(scratch: string): Promise<void> {
  const names = await readdir(scratch).catch(() => [])
  for (const name of names) if (!name.startsWith(`${TAG}.`)) await rm(join(scratch, name), { recursive: true, force: true })
}

/** ERR_STORAGE_IO around what the file system throws; ours stay as they are. */
export function ioError(error: unknown): JamiError {
  const { code, path } = error as NodeJS.ErrnoException
  if (JamiError.is(error)) return error
  return new JamiError('ERR_STORAGE_IO', `storage: ${code ?? String(error)}${path === undefined ? '' : ` at ${path}`}`, { cause: error, details: { code } })
}

/** Makes the name of a file (or its disappearance) durable. */
export async function syncDirectory(path: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, 'r')
    await handle.sync()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'EISDIR' && code !== 'EPERM' && code !== 'EINVAL' && code !== 'EBADF') throw error // systems without it
  } finally {
    await handle?.close()
  }
}

/** Makes a directory with its parents; with `durable`, their names too, up to the first one that was there. */
export async function makeDirectory(path: string, durable: boolean): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 })
  if (first === undefined || !durable) return
  for (let at = path; at.length >= first.length; at = dirname(at)) await syncDirectory(dirname(at))
}

/** Replaces `path` in one step: readers see the old or the new bytes. @param scratch a directory on the same file system */
export async function replaceFile(path: string, bytes: Uint8Array, scratch: string, durable: boolean): Promise<void> {
  const draft = draftIn(scratch)
  try {
    const handle = await open(draft, 'w', 0o600)
    try {
      await handle.writeFile(bytes)
      if (durable) await handle.sync()
    } finally {
      await handle.close()
    }
    try {
      await rename(draft, path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      await makeDirectory(dirname(path), durable)
      await rename(draft, path)
    }
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  if (durable) await syncDirectory(dirname(path))
}

export async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten
}
