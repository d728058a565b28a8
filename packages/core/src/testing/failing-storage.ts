// A storage whose writes fail when a test says so, before or after they happened: what proves that memory changes after the disk, that
// failures are told, and that whatever comes later works again. Proof: testing/failing-storage.test.ts with testing/suites/storage.ts.
import { JamiError } from '../base/errors.ts'
import type { FileTree, Storage } from '../contracts/storage.ts'

/** A write, as the plan sees it. */
export interface StorageWrite {
  /** The call. */
  readonly kind: 'batch' | 'purge' | 'write' | 'append' | 'flush' | 'truncate' | 'rename' | 'remove'
  /** Keys of a batch or the prefix of a purge; the tree's prefix and the path of a file (the new one of a rename). */
  readonly names: readonly string[]
}

/** Which writes fail. Writes are counted from 1; those that `only` leaves out are not counted and never fail. */
export interface FailurePlan {
  /** This one. */
  readonly at?: number
  /** This one and all that follow. */
  readonly from?: number
  /** The write happened, and its promise rejects all the same (a crash just after it). Default: nothing happened. */
  readonly applied?: boolean
  /** Which writes are meant; default all. */
  readonly only?: (write: StorageWrite) => boolean
}

export interface FailingStorage extends Storage {
  /** May be replaced at any time; the count begins anew then. `{}` heals. */
  plan: FailurePlan
  /** Counted since the plan was set. */
  readonly writes: number
  /** What failed since the plan was set. */
  readonly failed: readonly StorageWrite[]
}

/** Everything reaches `inner`, except what the plan makes fail with ERR_STORAGE_IO. */
export function failingStorage(inner: Storage, plan: FailurePlan = {}): FailingStorage {
  let current = plan
  let writes = 0
  let failed: StorageWrite[] = []

  async function passed<T>(write: StorageWrite, work: () => Promise<T>): Promise<T> {
    if (current.only && !current.only(write)) return work()
    writes++
    const { at, from, applied } = current
    if (writes !== at && !(from !== undefined && writes >= from)) return work()
    const error = new JamiError('ERR_STORAGE_IO', `storage: write ${writes} (${write.kind} ${write.names.join(' ').slice(0, 200)}) fails as planned`, { details: { code: 'ENOSPC', write: writes } })
    failed.push(write)
    if (applied) await work()
    throw error
  }

  const tree = (prefix: string, files: FileTree): FileTree => {
    const write = (kind: StorageWrite['kind'], path: string): StorageWrite => ({ kind, names: [`${prefix}/${path}`] })
    return {
      read: (path, range) => files.read(path, range),
      size: (path) => files.size(path),
      list: (path) => files.list(path),
      write: (path, bytes, options) => passed(write('write', path), () => files.write(path, bytes, options)),
      append: (path, bytes, options) => passed(write('append', path), () => files.append(path, bytes, options)),
      flush: (path) => passed(write('flush', path), () => files.flush(path)),
      truncate: (path, size) => passed(write('truncate', path), () => files.truncate(path, size)),
      rename: (from, to) => passed(write('rename', to), () => files.rename(from, to)),
      remove: (path) => passed(write('remove', path), () => files.remove(path)),
    }
  }
  return {
    get plan() {
      return current
    },
    set plan(next) {
      current = next
      writes = 0
      failed = []
    },
    get writes() {
      return writes
    },
    get failed() {
      return failed
    },
    get: (key) => inner.get(key),
    keys: (prefix) => inner.keys(prefix),
    batch: (ops) => passed({ kind: 'batch', names: ops.map(({ key }) => key) }, () => inner.batch(ops)),
    purge: (prefix) => passed({ kind: 'purge', names: [prefix] }, () => inner.purge(prefix)),
    files: (prefix) => tree(prefix, inner.files(prefix)),
    lock: () => inner.lock(),
    close: () => inner.close(),
  }
}
