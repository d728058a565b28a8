// Where the bytes of a pack wait while they are looked at: in memory while they are few, else in a scratch file. docs/protocol/04 §3.9.
// Proof: sync/spool.test.ts.
import { JamiError } from '@jamikit/core/base'
import type { FileTree } from '@jamikit/core/contracts'
import { SPOOL_MEMORY_BYTES } from '../defaults.ts'

/** What the spool asks of a conversation's file tree. */
export type ScratchFiles = Pick<FileTree, 'read' | 'append' | 'remove'>

/** A path that nobody else uses at the same time. What is left there of an earlier run is taken away. */
export interface Scratch {
  readonly files: ScratchFiles
  readonly path: string
}

export class Spool {
  readonly #scratch: Scratch
  #held = new Uint8Array(4096) // bounded by SPOOL_MEMORY_BYTES and one piece
  #length = 0
  #written = 0
  #touched = false

  constructor(scratch: Scratch) {
    this.#scratch = scratch
  }

  get size(): number {
    return this.#written + this.#length
  }

  /** Undefined while everything is in memory. */
  get path(): string | undefined {
    return this.#written > 0 ? this.#scratch.path : undefined
  }

  async append(bytes: Uint8Array): Promise<void> {
    const needed = this.#length + bytes.length
    if (needed > this.#held.length) {
      const grown = new Uint8Array(Math.max(needed, Math.min(this.#held.length * 2, SPOOL_MEMORY_BYTES)))
      grown.set(this.#held.subarray(0, this.#length))
      this.#held = grown
    }
    this.#held.set(bytes, this.#length)
    this.#length = needed
    if (this.#length >= SPOOL_MEMORY_BYTES) await this.#flush()
  }

  /** Nothing is appended any more. */
  async finish(): Promise<void> {
    if (this.#written > 0 && this.#length > 0) await this.#flush()
    this.#held = this.#held.slice(0, this.#length)
  }

  async #flush(): Promise<void> {
    const { files, path } = this.#scratch
    if (!this.#touched) await files.remove(path)
    this.#touched = true
    const size = await files.append(path, this.#held.subarray(0, this.#length), { durable: false })
    if (size !== this.size) throw new JamiError('ERR_STORAGE_CORRUPT', `scratch file ${path}: got ${size} bytes, wrote ${this.size}`)
    this.#written = size
    this.#length = 0
  }

  /** Exactly these bytes, after `finish()`. @throws ERR_STORAGE_CORRUPT when they are gone */
  async read(start: number, length: number): Promise<Uint8Array> {
    const bytes = this.#written > 0 ? await this.#scratch.files.read(this.#scratch.path, { start, length }) : this.#held.subarray(start, start + length)
    if (bytes?.length !== length) throw new JamiError('ERR_STORAGE_CORRUPT', `scratch file ${this.#scratch.path}: got ${bytes?.length ?? 0} bytes, wrote ${length} at ${start}`)
    return bytes
  }

  /** Idempotent. A file that was renamed stays. */
  async discard(): Promise<void> {
    this.#held = new Uint8Array(0)
    this.#length = 0
    if (this.#touched) await this.#scratch.files.remove(this.#scratch.path)
    this.#touched = false
  }
}
