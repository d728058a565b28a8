// What has come of a file, on disk and hashed as it comes. Bytes of a source that was left while they were written are taken back by whoever
// writes next; a hash that has not seen all of it (an earlier run, bytes taken back) is made anew at the end, in slices.
// docs/protocol/04 §7.2. Proof: transfer/receiving.test.ts, transfer/transfers.test.ts (failing storage).
import type { Slices } from '@jamikit/core/base'
import { toHex } from '@jamikit/core/codec'
import { sha3_512Stream } from '@jamikit/core/crypto'
import { BLOCK_BYTES, FLUSH_BYTES } from '../defaults.ts'
import type { Part } from './store.ts'

export class PartWriter {
  readonly #part: Part
  readonly #sizeBytes: number
  readonly #slices: Slices
  readonly #onError: (error: unknown) => void
  /** What goes on with the part, one after the other. */
  #last: Promise<unknown> = Promise.resolve()
  #hash = sha3_512Stream()
  /** Bytes that `#hash` has seen. */
  #hashed = 0
  /** Bytes on disk. */
  #stored = 0
  #unflushed = 0

  constructor(part: Part, sizeBytes: number, slices: Slices, onError: (error: unknown) => void) {
    this.#part = part
    this.#sizeBytes = sizeBytes
    this.#slices = slices
    this.#onError = onError
  }

  /** Bytes that an earlier run left; what is longer than the file is thrown away. */
  async begin(): Promise<number> {
    this.#stored = await this.#part.size()
    if (this.#stored > this.#sizeBytes) {
      await this.#part.truncate(0)
      this.#stored = 0
    }
    return this.#stored
  }

  /** Writes behind the `counted()` bytes that count. @returns false when nobody wanted them any more: they do not count */
  async append(bytes: Uint8Array, counted: () => number, isWanted: () => boolean): Promise<boolean> {
    let taken = false
    const done = this.#last.then(async () => {
      if (!isWanted()) return
      const before = counted()
      if (this.#stored !== before) {
        await this.#part.truncate(before)
        this.#stored = before
      }
      if (this.#hashed !== before) this.#hashed = Number.NaN
      this.#stored = await this.#part.append(bytes)
      if (!isWanted()) return
      if (this.#hashed === before) {
        this.#hash.update(bytes)
        this.#hashed += bytes.length
      }
      taken = true
      this.#unflushed += bytes.length
      if (this.#unflushed < FLUSH_BYTES) return
      this.#unflushed = 0
      await this.#part.flush()
    })
    this.#last = done.catch(() => {}) // told to whoever wrote
    await done
    return taken
  }

  /** Throws away what came. */
  reset(): void {
    this.#hashed = 0
    this.#hash = sha3_512Stream()
    this.#last = this.#last.then(async () => {
      await this.#part.truncate(0)
      this.#stored = 0
    }).catch(this.#onError)
  }

  /** SHA3-512 of what is there, when nothing is written any more. */
  async digest(isOver: () => boolean): Promise<string> {
    await this.#last
    if (this.#hashed === this.#sizeBytes) return toHex(this.#hash.digest())
    const hash = sha3_512Stream()
    for (let at = 0; at < this.#sizeBytes && !isOver(); ) {
      const bytes = await this.#part.read(at, BLOCK_BYTES)
      if (bytes.length === 0) break
      hash.update(bytes)
      at += bytes.length
      const pause = this.#slices.spend(bytes.length)
      if (pause) await pause
    }
    return toHex(hash.digest())
  }

  /** Nothing is written any more. */
  async settled(): Promise<void> {
    await this.#last
  }
}
