// Storage that ends with the process: for tests and throw-away nodes. Same rules as the one on disk.
// Proof: storage/storage.test.ts with testing/suites/storage.ts; storage/memory-storage.test.ts (no walks over everything).
import { JamiError } from '../base/errors.ts'
import type { Storage } from '../contracts/storage.ts'
import { KeyIndex } from './key-index.ts'
import { checkKey, checkOps, checkPrefix } from './keys.ts'
import { MemoryDirectories, memoryTree } from './memory-tree.ts'

/** What a storage in memory keeps; bounded by its owner, as a disk is. */
export interface MemoryContents {
  /** By key. */
  readonly records: Map<string, Uint8Array>
  /** By prefix and path. */
  readonly files: Map<string, Uint8Array>
}

/** In memory, gone with the process. @param contents what an earlier storage kept: a second life of the same node in one process */
export function memoryStorage(contents: MemoryContents = { records: new Map(), files: new Map() }): Storage {
  const { records, files } = contents
  const directories = new MemoryDirectories(files)
  let index = new KeyIndex(records.keys())
  const keysWith = (prefix: string) => {
    checkPrefix(prefix)
    if (index.size !== records.size) index = new KeyIndex(records.keys()) // somebody changed them behind our back
    return index.startingWith(prefix)
  }
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
      checkOps(ops)
      for (const { key, value } of ops) {
        if (value === null) {
          if (records.delete(key)) index.delete(key)
          continue
        }
        if (!records.has(key)) index.add(key)
        records.set(key, new Uint8Array(value))
      }
    },
    async purge(prefix) {
      open()
      for (const key of keysWith(prefix)) {
        records.delete(key)
        index.delete(key)
      }
    },
    keys(prefix) {
      open()
      const found = keysWith(prefix)
      return (async function* () {
        yield* found
      })()
    },
    files(prefix) {
      checkKey(prefix, 'storage prefix')
      return memoryTree(files, directories, prefix, open)
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
