// A tree of ordinary files below a directory: what git repositories live on. contracts/storage.ts FileTree.
// Proof: storage/file-storage.test.ts with testing/suites/storage.ts.
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { JamiError } from '../base/errors.ts'
import type { FileTree } from '../contracts/storage.ts'
import { ioError, makeDirectory, replaceFile, syncDirectory } from './disk.ts'
import { checkKey } from './keys.ts'

function missing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENOTDIR'
}

function wrongKind(path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (!['EISDIR', 'ENOTDIR', 'EEXIST', 'ENOTEMPTY', 'EINVAL'].includes(code)) return ioError(error)
  return new JamiError('ERR_ARGUMENT', `file ${path}: got ${code}, allowed a place where it fits`, { cause: error })
}

/** @param open resolves when the storage is ready (and throws when it is closed); gives the scratch directory */
export function diskTree(root: string, open: () => Promise<string>): FileTree {
  const full = (path: string) => {
    checkKey(path, 'file path')
    return join(root, path)
  }
  return {
    async read(path) {
      const name = full(path)
      await open()
      try {
        const bytes = await readFile(name)
        return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
      } catch (error) {
        if (missing(error) || (error as NodeJS.ErrnoException).code === 'EISDIR') return undefined
        throw ioError(error)
      }
    },

    async write(path, bytes, options) {
      const name = full(path)
      const scratch = await open()
      await replaceFile(name, bytes, scratch, options?.durable !== false).catch((error: unknown) => {
        throw wrongKind(path, error)
      })
    },

    async list(path) {
      const name = path === '' ? root : full(path)
      await open()
      try {
        const entries = await readdir(name, { withFileTypes: true })
        return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
      } catch (error) {
        if (missing(error)) return []
        throw ioError(error)
      }
    },

    async rename(from, to) {
      const source = full(from)
      const target = full(to)
      await open()
      const kind = await stat(source).catch((error: unknown) => {
        throw missing(error) ? new JamiError('ERR_NOT_FOUND', `file ${from}: not there`) : ioError(error)
      })
      if (kind.isDirectory() && (await stat(target).catch(() => undefined))) throw new JamiError('ERR_ARGUMENT', `rename target ${to}: got something there, allowed nothing`)
      try {
        await makeDirectory(dirname(target), true)
        await rename(source, target)
      } catch (error) {
        throw wrongKind(to, error)
      }
      await syncDirectory(dirname(target))
      if (dirname(source) !== dirname(target)) await syncDirectory(dirname(source))
    },

    async remove(path) {
      const name = full(path)
      await open()
      try {
        await rm(name, { recursive: true, force: true })
        await syncDirectory(dirname(name))
      } catch (error) {
        if (!missing(error)) throw ioError(error)
      }
    },
  }
}
