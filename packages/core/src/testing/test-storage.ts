// Storage in memory that a test looks into, shares between two lives of a node, and breaks at any write: how crash points are found.
// Proof: testing/test-storage.test.ts with testing/suites/storage.ts.
import type { FileTree, Storage } from '../contracts/storage.ts'
import { type MemoryContents, memoryStorage } from '../storage/memory-storage.ts'

/** A storage in memory that a test looks into. */
export interface TestStorage extends Storage {
  /** What it keeps; may be given to another one. */
  readonly contents: MemoryContents
  /** Called with the key or path before anything changes: what throws here is a crash, and nothing was written. */
  onWrite: (what: string) => void
}

/** Breaks where `onWrite` throws. @param contents of an earlier storage, or a copy of them */
export function testStorage(contents: MemoryContents = { records: new Map(), files: new Map() }): TestStorage {
  const storage = memoryStorage(contents)
  const tell = (what: string) => hooked.onWrite(what)
  const tree = (files: FileTree): FileTree => ({
    read: (path, range) => files.read(path, range),
    list: (path) => files.list(path),
    size: (path) => files.size(path),
    flush: (path) => files.flush(path),
    async write(path, bytes, options) {
      const own = new Uint8Array(bytes)
      tell(path)
      await files.write(path, own, options)
    },
    async append(path, bytes, options) {
      const own = new Uint8Array(bytes)
      tell(path)
      return files.append(path, own, options)
    },
    async truncate(path, size) {
      tell(path)
      await files.truncate(path, size)
    },
    async rename(from, to) {
      tell(to)
      await files.rename(from, to)
    },
    async remove(path) {
      tell(path)
      await files.remove(path)
    },
  })
  const hooked: TestStorage = {
    contents,
    onWrite: () => {},
    get: (key) => storage.get(key),
    async batch(ops) {
      const own = ops.map(({ key, value }) => ({ key, value: value instanceof Uint8Array ? new Uint8Array(value) : value }))
      for (const { key } of own) tell(key)
      await storage.batch(own)
    },
    async purge(prefix) {
      tell(prefix)
      await storage.purge(prefix)
    },
    keys: (prefix) => storage.keys(prefix),
    files: (prefix) => tree(storage.files(prefix)),
    lock: () => storage.lock(),
    close: () => storage.close(),
  }
  return hooked
}

/** The same bytes, to be changed without changing the original. */
export function copyOf({ records, files }: MemoryContents): MemoryContents {
  return { records: new Map(records), files: new Map(files) }
}
