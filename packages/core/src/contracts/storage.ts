// What the SDK keeps between runs: records and files. Types only.
// Real: core/storage/{memory,file}-storage.ts. Doubles: testing/{test,failing}-storage.ts. Suite: testing/suites/storage.ts.

/** One change of a batch; `null` removes the record. Records are small state: at most 8 MiB each (ERR_LIMIT). */
export interface StorageOp {
  /** 1 to 512 characters of `[A-Za-z0-9._/-]`, no empty, `.` or `..` segment between slashes. */
  key: string
  /** The new bytes, or `null`. */
  value: Uint8Array | null
}

/**
 * A tree of files below a prefix. Paths are relative, same alphabet as record keys, and never leave the prefix; the empty
 * path is the tree itself (`list` only). Records and files are separate: the same name may be used in both.
 */
export interface FileTree {
  /** The whole file, or the part of it that lies in the range (shorter at its end, empty beyond it); undefined when there is none. */
  read(path: string, range?: { readonly start: number; readonly length: number }): Promise<Uint8Array | undefined>
  /** Replaces the file atomically (readers see the old or the new bytes) and durably when `durable` is not false. */
  write(path: string, bytes: Uint8Array, options?: { durable?: boolean }): Promise<void>
  /**
   * Adds bytes at the end of a file, which is made when there is none; those of one file in the order of the calls. Bytes and size are
   * durable when it resolves, unless `durable` is false (then at `flush`). After a failure the file has its old size. A crash may leave the
   * beginning of an append that had not resolved: whoever appends writes in frames. @returns the size afterwards
   */
  append(path: string, bytes: Uint8Array, options?: { durable?: boolean }): Promise<number>
  /** Makes durable what was appended before; nothing happens when there is no such file. */
  flush(path: string): Promise<void>
  /** Bytes of a file; undefined when there is none. */
  size(path: string): Promise<number | undefined>
  /** Cuts a file to `size` bytes, durably; one that is not longer stays as it is. @throws ERR_NOT_FOUND */
  truncate(path: string, size: number): Promise<void>
  /** Names in a directory, directories with a trailing slash; empty when there is none. Order not specified. */
  list(path: string): Promise<string[]>
  /** Moves a file or a whole directory; the target is replaced when it is a file and must not exist when a directory. @throws ERR_NOT_FOUND */
  rename(from: string, to: string): Promise<void>
  /** Removes a file or a whole directory; nothing happens when there is none. */
  remove(path: string): Promise<void>
}

/** Records (small state) and files of one profile. What was removed or refused leaves nothing half done; failures are ERR_STORAGE_IO. */
export interface Storage {
  /** Undefined when there is none. @throws ERR_STORAGE_CORRUPT */
  get(key: string): Promise<Uint8Array | undefined>
  /** All or none of the changes are visible and durable when this resolves, also after kill -9. */
  batch(ops: readonly StorageOp[]): Promise<void>
  /**
   * Removes the records whose keys start with `prefix`, all or none. When it resolves, neither their bytes nor those of anything removed
   * or replaced earlier are in the storage any more (keys, secrets); costs a rewrite of what stays.
   */
  purge(prefix: string): Promise<void>
  /** Keys that start with `prefix`, in code unit order, as of the call. */
  keys(prefix: string): AsyncIterable<string>
  /** A tree of files; the same prefix gives the same tree. */
  files(prefix: string): FileTree
  /** Takes the profile for this process. @throws ERR_STORAGE_LOCKED when another living process holds it. */
  lock(): Promise<AsyncDisposable>
  /** Ends what is under way; further calls reject with ERR_CLOSED. */
  close(): Promise<void>
}
