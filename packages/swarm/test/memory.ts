// Storage in memory, small: what the tests of this package need of the contract, with a hook that can fail any write.
import type { FileTree, Storage } from '@jamikit/core/contracts'

export interface MemoryFiles extends Storage {
  /** Called before each write; throwing is a crash. */
  onWrite: (what: string) => void
}

export function memoryFiles(shared: { records: Map<string, Uint8Array>; files: Map<string, Uint8Array> } = { records: new Map(), files: new Map() }): MemoryFiles {
  const { records, files } = shared
  const tree = (prefix: string): FileTree => ({
    read: async (path) => files.get(`${prefix}/${path}`),
    write: async (path, bytes) => {
      storage.onWrite(path)
      files.set(`${prefix}/${path}`, new Uint8Array(bytes))
    },
    list: async (path) => [...new Set([...files.keys()].filter((k) => k.startsWith(`${prefix}/${path}`)).map((k) => k.slice(prefix.length + 1)))],
    rename: async () => {},
    remove: async (path) => {
      for (const key of [...files.keys()]) if (key === `${prefix}/${path}` || key.startsWith(`${prefix}/${path}/`)) files.delete(key)
    },
  })
  const storage: MemoryFiles = {
    onWrite: () => {},
    get: async (key) => records.get(key),
    batch: async (ops) => {
      for (const { key } of ops) storage.onWrite(key)
      for (const { key, value } of ops) {
        if (value) records.set(key, new Uint8Array(value))
        else records.delete(key)
      }
    },
    async *keys(prefix) {
      yield* [...records.keys()].filter((k) => k.startsWith(prefix)).sort()
    },
    files: tree,
    lock: async () => ({ [Symbol.asyncDispose]: async () => {} }),
    close: async () => {},
  }
  return storage
}
