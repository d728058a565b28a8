// A tree of ordinary files below a directory: what git repositories live on. contracts/storage.ts FileTree.
// Proof: storage/file-storage.test.ts with testing/suites/storage.ts.
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { JamiError } from '../base/errors.ts'
import type { FileTree } from '../contracts/storage.ts'
import { ioError, makeDirectory, replaceFile, syncDirectory } from './disk.ts'
import { checkKey, checkRange, checkSize } from './keys.ts'
import { missing, type OpenFiles } from './open-files.ts'

function wrongKind(path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (!['EISDIR', 'ENOTDIR', 'EEXIST', 'ENOTEMPTY', 'EINVAL'].includes(code)) return ioError(error)
  return new JamiError('ERR_ARGUMENT', `file ${path}: got ${code}, allowed a place where it fits`, { cause: error })
}

/** @param files of the whole storage @param open resolves when the storage is ready (and throws when it is closed); gives the scratch directory */
export function diskTree(root: string, files: OpenFiles, open: () => Promise<string>): FileTree {
  const full = (path: string) => {
    checkKey(path, 'file path')
    return join(root, path)
  }
  const told = (path: string) => (error: unknown) => {
    throw wrongKind(path, error)
  }
  return {
    async read(path, range) {
      const name = full(path)
      if (range) checkRange(range)
      await open()
      try {
        if (range) return await files.read(name, range.start, range.length)
        const bytes = files.visible(name) === undefined ? await readFile(name) : undefined
        if (!bytes || files.visible(name) !== undefined) return await files.read(name, 0, Number.MAX_SAFE_INTEGER) // an append may be under way
        return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
      } catch (error) {
        if (missing(error) || (error as NodeJS.ErrnoException).code === 'EISDIR') return undefined
        throw ioError(error)
      }
    },

    async write(path, bytes, options) {
      const name = full(path)
      const scratch = await open()
      await files.replace(name, () => replaceFile(name, bytes, scratch, options?.durable !== false)).catch(told(path))
    },

    async append(path, bytes, options) {
      const name = full(path)
      const own = new Uint8Array(bytes)
      await open()
      return files.append(name, own, options?.durable !== false).catch(told(path))
    },

    async flush(path) {
      const name = full(path)
      await open()
      await files.flush(name).catch(told(path))
    },

    async size(path) {
      const name = full(path)
      await open()
      try {
        const found = await stat(name)
        return found.isFile() ? (files.visible(name) ?? found.size) : undefined
      } catch (error) {
        if (missing(error)) return undefined
        throw ioError(error)
      }
    },

    async truncate(path, size) {
      const name = full(path)
      checkSize(size)
      await open()
      await files.truncate(name, size).catch(told(path))
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
      await files.restructure([source, target], async () => {
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
      })
    },

    async remove(path) {
      const name = full(path)
      await open()
      await files.restructure([name], async () => {
        try {
          await rm(name, { recursive: true, force: true })
          await syncDirectory(dirname(name))
        } catch (error) {
          if (!missing(error)) throw ioError(error)
        }
      }, true)
    },
  }
}
