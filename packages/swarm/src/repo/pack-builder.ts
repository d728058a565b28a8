// Writes a pack of ready entries to a scratch file, then moves it among the packs and writes its index: there as a whole or not at all.
// docs/protocol/04 §1.1. Proof: repo/pack-store.test.ts (git verify-pack, git index-pack).
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { JamiError } from '@jamikit/core/base'
import { joinBytes, toHex } from '@jamikit/core/codec'
import type { Clock, FileTree } from '@jamikit/core/contracts'
import { entryHeader, packHeader } from '../sync/pack-format.ts'
import { Turns } from './turns.ts'
import type { Oid } from './object.ts'
import { PackFile } from './pack-file.ts'
import type { IndexedEntry } from './pack-index.ts'
import type { PackedObject } from './types.ts'

const CHUNK_BYTES = 1 << 20

export class PackBuilder {
  readonly #files: FileTree
  readonly #clock: Pick<Clock, 'track'>
  readonly #turns: Turns
  readonly #scratch: string
  readonly #count: number
  readonly #hash = createHash('sha1')
  readonly #entries: IndexedEntry[] = [] // bounded by #count
  #parts: Uint8Array[] = [] // bounded by CHUNK_BYTES and one entry
  #held = 0
  #size = 0

  /** @param scratch a path that nobody else uses @param count entries that will come */
  constructor(files: FileTree, clock: Pick<Clock, 'track'>, scratch: string, count: number) {
    this.#files = files
    this.#clock = clock
    this.#turns = new Turns(clock)
    this.#scratch = scratch
    this.#count = count
    this.#push(packHeader(count))
  }

  #push(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#parts.push(bytes)
    this.#held += bytes.length
    this.#size += bytes.length
  }

  async add(oid: Oid, { type, size, deflated }: PackedObject): Promise<void> {
    await this.addRaw(oid, entryHeader(type, size), deflated)
  }

  /** An entry that is no delta, as it lies in another pack. */
  async addRaw(oid: Oid, ...parts: readonly Uint8Array[]): Promise<void> {
    let crc = 0
    const offset = this.#size
    for (const part of parts) {
      crc = crc32(part, crc)
      this.#push(part)
    }
    this.#entries.push({ oid, offset, crc })
    if (this.#held >= CHUNK_BYTES) await this.#flush(false)
    const pause = this.#turns.object(this.#size - offset)
    if (pause) await pause
  }

  async #flush(durable: boolean): Promise<void> {
    if (this.#size === this.#held) await this.#files.remove(this.#scratch)
    const size = await this.#files.append(this.#scratch, joinBytes(this.#parts), { durable })
    if (size !== this.#size) throw new JamiError('ERR_STORAGE_CORRUPT', `scratch file ${this.#scratch}: got ${size} bytes, wrote ${this.#size}`)
    this.#parts = []
    this.#held = 0
  }

  /** Durable when it resolves. */
  async finish(): Promise<PackFile> {
    if (this.#entries.length !== this.#count) throw new JamiError('ERR_INTERNAL', `pack: got ${this.#entries.length} entries, declared ${this.#count}`)
    const trailer = this.#hash.digest()
    this.#parts.push(trailer)
    this.#held += trailer.length
    this.#size += trailer.length
    await this.#flush(true)
    const name = toHex(trailer)
    const pack = new PackFile(this.#files, this.#clock, name)
    await this.#files.rename(this.#scratch, pack.path)
    await pack.writeIndex(this.#entries, name)
    return pack
  }

  /** Takes the scratch file away. */
  abandon(): Promise<void> {
    return this.#files.remove(this.#scratch)
  }
}
