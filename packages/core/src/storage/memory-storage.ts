// Storage that ends with the process: for tests and throw-away nodes. Same rules as the one on disk.
// Proof: storage/storage.test.ts with testing/suites/storage.ts.
import { JamiError } from '../base/errors.ts'
import type { FileTree, Storage } from '../contracts/storage.ts'
import { checkKey, checkPrefix } from './keys.ts'

/** What a storage in memory keeps; bounded by its owner, as a disk is. */
export interface MemoryContents {
  readonly records: Map<string, Uint8Array>
  readonly files: Map<string, Uint8Array>
}

/** @param contents what an earlier storage kept: a second life of the same node in one process */
export function memoryStorage(contents: MemoryContents = { records: new Map(), files: new Map() }): Storage {
  const { records, files } = contents
  let locked = false
  let closed = false
  const open = () => {
    if (closed) throw new JamiError('ERR_CLOSED', 'the storage is closed')
  }
  return {
    async get(key) {
      open()
      checkKey(key)
      return records.get(key)?.slice()
    },
    async batch(ops) {
      open()
      for (const op of ops) checkKey(op.key)
      for (const { key, value } of ops) {
        if (value === null) records.delete(key)
        else records.set(key, new Uint8Array(value))
      }
    },
    keys(prefix) {
      open()
      checkPrefix(prefix)
      const found = [...records.keys()].filter((key) => key.startsWith(prefix)).sort()
      return (async function* () {
        yield* found
      })()
    },
    files(prefix) {
      checkKey(prefix, 'storage prefix')
      return memoryTree(files, `${prefix}/`, open)
    },
    async lock() {
      open()
      if (locked) throw new JamiError('ERR_STORAGE_LOCKED', 'the profile is in use', { details: { pid: process.pid } })
      locked = true
      let held = true
      return {
        async [Symbol.asyncDispose]() {
          if (held) locked = false
          held = false
        },
      }
    },
    async close() {
      closed = true
    },
  }
}

function memoryTree(files: Map<string, Uint8Array>, root: string, open: () => void): FileTree {
  const full = (path: string) => {
    open()
    checkKey(path, 'file path')
    return root + path
  }
  const below = (directory: string) => [...files.keys()].filter((name) => name.startsWith(directory))
  const checkFree = (name: string) => {
    if (below(`${name}/`).length > 0) throw new JamiError('ERR_ARGUMENT', `file ${name}: got a directory of that name, allowed a file or nothing`)
    for (let at = name.indexOf('/', root.length); at > 0; at = name.indexOf('/', at + 1)) {
      if (files.has(name.slice(0, at))) throw new JamiError('ERR_ARGUMENT', `file ${name}: got a file in the place of a directory, allowed a directory or nothing`)
    }
  }
  return {
    async read(path) {
      return files.get(full(path))?.slice()
    },
    async write(path, bytes) {
      const name = full(path)
      checkFree(name)
      files.set(name, new Uint8Array(bytes))
    },
    async list(path) {
      const directory = path === '' ? root : `${full(path)}/`
      open()
      const names = new Set<string>()
      for (const name of below(directory)) {
        const rest = name.slice(directory.length)
        const slash = rest.indexOf('/')
        names.add(slash < 0 ? rest : rest.slice(0, slash + 1))
      }
      return [...names]
    },
    async rename(from, to) {
      const source = full(from)
      const target = full(to)
      const file = files.get(source)
      if (file) {
        if (source === target) return
        checkFree(target)
        files.set(target, file)
        files.delete(source)
        return
      }
      const moved = below(`${source}/`)
      if (moved.length === 0) throw new JamiError('ERR_NOT_FOUND', `file ${from}: not there`)
      if (target === source || target.startsWith(`${source}/`)) throw new JamiError('ERR_ARGUMENT', `rename target ${to}: got a place inside the source, allowed another one`)
      if (files.has(target)) throw new JamiError('ERR_ARGUMENT', `rename target ${to}: got a file, allowed nothing there`)
      checkFree(target)
      for (const name of moved) {
        files.set(target + name.slice(source.length), files.get(name) as Uint8Array)
        files.delete(name)
      }
    },
    async remove(path) {
      const name = full(path)
      files.delete(name)
      for (const inside of below(`${name}/`)) files.delete(inside)
    },
  }
}
