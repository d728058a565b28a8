// An index on disk that only grows: records of a fixed width (a key, then a row) in sorted files, which are merged four at a time, so that
// writing costs the logarithm of what there is and asking costs what is found. New records wait in memory until `flush`. Blocks carry a
// checksum: what is damaged is noticed when it is read. Which files count is for the owner to keep. Proof: conversation/view/runs.test.ts.
import { crc32 } from 'node:zlib'
import { JamiError, Slices } from '@jamikit/core/base'
import type { Clock, FileTree } from '@jamikit/core/contracts'

/** Records in memory above which `flush` is due. */
export const FLUSH_RECORDS = 8_192
const BLOCK_BYTES = 4096
const CRC_BYTES = 4
const FAN_IN = 4
/** Records between two turns of the event loop. */
const RECORDS_AT_ONCE = 8_000
/** Blocks that are written, or read to be merged, at once. */
const BLOCKS_AT_ONCE = 32

/** A sorted file that counts. */
export interface Run {
  readonly name: string
  readonly records: number
}

/** Blocks that were read lately, of all indexes that share it. */
export class Blocks {
  readonly #blocks = new Map<string, string>() // bounded by #max
  readonly #max: number
  #parts = 0

  constructor(max: number) {
    this.#max = max
  }

  /** A name for one index. */
  part(): number {
    return this.#parts++
  }

  get(key: string): string | undefined {
    const block = this.#blocks.get(key)
    if (block === undefined) return undefined
    this.#blocks.delete(key)
    this.#blocks.set(key, block)
    return block
  }

  set(key: string, block: string): void {
    if (this.#blocks.size >= this.#max) for (const oldest of this.#blocks.keys()) {
      this.#blocks.delete(oldest)
      break
    }
    this.#blocks.set(key, block)
  }
}

/** A number as four characters of a record, and back. */
export const rowText = (value: number): string => String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)

export const textRow = (text: string): number => ((text.charCodeAt(0) << 24) | (text.charCodeAt(1) << 16) | (text.charCodeAt(2) << 8) | text.charCodeAt(3)) >>> 0

export interface RunsEnv {
  readonly files: FileTree
  readonly clock: Pick<Clock, 'track'>
  /** Folder of its files. */
  readonly folder: string
  /** First letter of their names. */
  readonly letter: string
  /** Bytes of a key. Keys are texts of characters below 256. */
  readonly keyBytes: number
  readonly blocks: Blocks
}

export class Runs {
  readonly #env: RunsEnv
  readonly #part: number
  readonly #width: number
  readonly #perBlock: number
  #fresh: string[] = [] // bounded by FLUSH_RECORDS and one message, as long as the owner flushes
  #sorted = true
  #runs: readonly Run[]
  #next: number

  constructor(env: RunsEnv, runs: readonly Run[] = []) {
    this.#env = env
    this.#part = env.blocks.part()
    this.#width = env.keyBytes + 4
    this.#perBlock = Math.floor((BLOCK_BYTES - CRC_BYTES) / this.#width)
    this.#runs = runs
    this.#next = Math.max(0, ...runs.map(({ name }) => Number(name.slice(1)) + 1))
  }

  get runs(): readonly Run[] {
    return this.#runs
  }

  /** Records that wait in memory. */
  get waiting(): number {
    return this.#fresh.length
  }

  /** @param key exactly as long as keys are @param value below 2^32 */
  add(key: string, value: number): void {
    this.#fresh.push(key + rowText(value))
    this.#sorted = false
  }

  /** Values of all records whose key begins with `prefix`, in the order of the keys. @throws ERR_STORAGE_CORRUPT */
  async find(prefix: string): Promise<number[]> {
    const out: number[] = [] // bounded by what is found
    const slices = new Slices(this.#env.clock, RECORDS_AT_ONCE)
    if (!this.#sorted) this.#fresh.sort()
    this.#sorted = true
    const fresh = this.#fresh
    for (let at = lowerBound(fresh.length, (i) => fresh[i] as string, prefix); fresh[at]?.startsWith(prefix); at++) out.push(this.#value(fresh[at] as string))
    for (const run of this.#runs) {
      const blocks = Math.ceil(run.records / this.#perBlock)
      let [low, high] = [0, blocks] // the last block whose first record is before the prefix
      while (high - low > 1) {
        const middle = (low + high) >> 1
        if ((await this.#block(run, middle)).slice(0, this.#width) < prefix) low = middle
        else high = middle
      }
      for (let index = low; index < blocks; index++) {
        const block = await this.#block(run, index)
        const count = block.length / this.#width
        let at = lowerBound(count, (i) => block.slice(i * this.#width, (i + 1) * this.#width), prefix)
        for (; at < count && block.startsWith(prefix, at * this.#width); at++) out.push(this.#value(block, at * this.#width))
        if (at < count) break
        const turn = slices.spend(count)
        if (turn) await turn
      }
    }
    return out
  }

  /** Gives every key there is, some more than once. @throws ERR_STORAGE_CORRUPT */
  async keys(visit: (key: string) => void): Promise<void> {
    const slices = new Slices(this.#env.clock, RECORDS_AT_ONCE)
    const { keyBytes } = this.#env
    for (const record of [...this.#fresh]) visit(record.slice(0, keyBytes))
    for (const run of this.#runs) for await (const records of this.#records(run)) {
      for (const record of records) visit(record.slice(0, keyBytes))
      const turn = slices.spend(records.length)
      if (turn) await turn
    }
  }

  /** Of the records of a key whose values are from `low` up to but not `high` the greatest ones, ascending: costs those, however many there are. @throws ERR_STORAGE_CORRUPT */
  async greatest(key: string, low: number, high: number, max: number): Promise<number[]> {
    const [from, to] = [key + rowText(low), key + rowText(high)]
    const out: number[] = [] // bounded by `max` for each file
    if (!this.#sorted) this.#fresh.sort()
    this.#sorted = true
    const fresh = this.#fresh
    for (let at = lowerBound(fresh.length, (i) => fresh[i] as string, to) - 1, n = 0; n < max && at >= 0 && (fresh[at] as string) >= from; at--, n++) out.push(this.#value(fresh[at] as string))
    for (const run of this.#runs) {
      let [before, after] = [-1, Math.ceil(run.records / this.#perBlock)] // the last block whose first record is below `to`
      while (after - before > 1) {
        const middle = (before + after) >> 1
        if ((await this.#block(run, middle)).slice(0, this.#width) < to) before = middle
        else after = middle
      }
      for (let index = before, n = 0; index >= 0 && n < max; index--) {
        const block = await this.#block(run, index)
        const record = (i: number) => block.slice(i * this.#width, (i + 1) * this.#width)
        let at = lowerBound(block.length / this.#width, record, to) - 1
        for (; n < max && at >= 0 && record(at) >= from; at--, n++) out.push(this.#value(record(at)))
        if (at >= 0) break
      }
    }
    return out.sort((a, b) => a - b).slice(-max)
  }

  /** Of the record that begins at `from`. */
  #value(record: string, from = 0): number {
    const at = from + this.#env.keyBytes
    return ((record.charCodeAt(at) << 24) | (record.charCodeAt(at + 1) << 16) | (record.charCodeAt(at + 2) << 8) | record.charCodeAt(at + 3)) >>> 0
  }

  #path(name: string): string {
    return `${this.#env.folder}/${name}`
  }

  async #block(run: Run, index: number): Promise<string> {
    const key = `${this.#part} ${run.name} ${index}`
    const known = this.#env.blocks.get(key)
    if (known !== undefined) return known
    const [block = ''] = await this.#read(run, index, 1)
    this.#env.blocks.set(key, block)
    return block
  }

  /** Blocks one after the other, checked. */
  async #read(run: Run, index: number, count: number): Promise<string[]> {
    const full = this.#perBlock * this.#width + CRC_BYTES
    const records = Math.min(count * this.#perBlock, run.records - index * this.#perBlock)
    const length = records * this.#width + Math.ceil(records / this.#perBlock) * CRC_BYTES
    const bytes = await this.#env.files.read(this.#path(run.name), { start: index * full, length })
    if (bytes?.length !== length) throw corrupt(run.name, `got ${bytes?.length ?? 0} bytes, allowed ${length}`)
    const out: string[] = []
    for (let at = 0; at < length; at += full) {
      const body = Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(full, length - at) - CRC_BYTES)
      if (crc32(body) !== new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(body.length)) throw corrupt(run.name, 'the checksum is wrong')
      out.push(body.toString('latin1'))
    }
    return out
  }

  /**
   * Writes what waits in memory, and merges files when there are many of a size. Nothing counts before the owner has kept `runs`.
   * @returns files that do not count any more, to be removed after that
   */
  async flush(): Promise<string[]> {
    const fresh = this.#fresh
    if (fresh.length === 0) return []
    const run = await this.#write(once(fresh.sort()))
    let runs = [...this.#runs, run]
    const gone: string[] = []
    for (let last = runs.slice(-FAN_IN); last.length === FAN_IN && last.every((r) => level(r) <= level(last[FAN_IN - 1] as Run)); last = runs.slice(-FAN_IN)) {
      runs = [...runs.slice(0, -FAN_IN), await this.#write(this.#merged(last))]
      gone.push(...last.map(({ name }) => name))
    }
    this.#fresh = this.#fresh === fresh ? [] : this.#fresh
    this.#sorted = true
    this.#runs = runs
    return gone.map((name) => this.#path(name))
  }

  async *#records(run: Run): AsyncGenerator<string[]> {
    for (let index = 0; index * this.#perBlock < run.records; index += BLOCKS_AT_ONCE)
      for (const block of await this.#read(run, index, BLOCKS_AT_ONCE)) {
        const out: string[] = []
        for (let at = 0; at < block.length; at += this.#width) out.push(block.slice(at, at + this.#width))
        yield out
      }
  }

  /** Batches of records in order. */
  async *#merged(runs: readonly Run[]): AsyncGenerator<readonly string[]> {
    const slices = new Slices(this.#env.clock, RECORDS_AT_ONCE)
    const inputs = await Promise.all(runs.map(async (run) => {
      const blocks = this.#records(run)
      const first = await blocks.next()
      return { blocks, records: first.done ? [] : first.value, at: 0 }
    }))
    let out: string[] = []
    for (;;) {
      let best: (typeof inputs)[number] | undefined
      for (const input of inputs) {
        if (input.at >= input.records.length) continue
        if (!best || (input.records[input.at] as string) < (best.records[best.at] as string)) best = input
      }
      if (!best) break
      out.push(best.records[best.at++] as string)
      if (best.at === best.records.length) {
        const next = await best.blocks.next()
        best.records = next.done ? [] : next.value
        best.at = 0
      }
      if (out.length < this.#perBlock) continue
      yield out
      const turn = slices.spend(out.length)
      if (turn) await turn
      out = []
    }
    if (out.length > 0) yield out
  }

  async #write(batches: AsyncIterable<readonly string[]> | Iterable<readonly string[]>): Promise<Run> {
    const { files } = this.#env
    const name = `${this.#env.letter}${this.#next++}`
    const path = this.#path(name)
    await files.remove(path) // of a flush that was cut off
    let records = 0
    let waiting: string[] = []
    let blocks: Uint8Array[] = []
    for await (const batch of batches) {
      waiting = waiting.length === 0 ? [...batch] : waiting.concat(batch)
      records += batch.length
      while (waiting.length >= this.#perBlock) blocks.push(blockOf(waiting.splice(0, this.#perBlock)))
      if (blocks.length >= BLOCKS_AT_ONCE) await files.append(path, Buffer.concat(blocks.splice(0)), { durable: false })
    }
    if (waiting.length > 0) blocks.push(blockOf(waiting))
    if (blocks.length > 0) await files.append(path, Buffer.concat(blocks), { durable: false })
    blocks = []
    await files.flush(path)
    return { name, records }
  }
}

function* once(records: readonly string[]): Generator<readonly string[]> {
  for (let at = 0; at < records.length; at += 1000) yield records.slice(at, at + 1000)
}

const level = ({ records }: Run): number => Math.floor(Math.log2(Math.max(1, records / FLUSH_RECORDS)) / 2)

function blockOf(records: readonly string[]): Uint8Array {
  const body = Buffer.from(records.join(''), 'latin1')
  const out = Buffer.allocUnsafe(body.length + CRC_BYTES)
  out.set(body)
  out.writeUInt32BE(crc32(body), body.length)
  return out
}

/** The first index whose record is not before `prefix`. */
function lowerBound(count: number, record: (index: number) => string, prefix: string): number {
  let [low, high] = [0, count]
  while (low < high) {
    const middle = (low + high) >> 1
    if (record(middle) < prefix) low = middle + 1
    else high = middle
  }
  return low
}

const corrupt = (name: string, what: string) => new JamiError('ERR_STORAGE_CORRUPT', `index ${name}: ${what}`)
