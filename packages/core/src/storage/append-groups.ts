// Appends to one file that wait for one another become one write. Each is told the size after its own bytes; all of a group fail together.
// Proof: storage/open-files.test.ts, storage/storage.test.ts with testing/suites/storage.ts.
import { type Deferred, deferred } from '../base/operation.ts'
import { isWithin, type PathQueue } from './path-queue.ts'

/** Bytes that share one write. */
const MAX_GROUP_BYTES = 4 << 20

interface Group {
  readonly waiting: { bytes: Uint8Array; durable: boolean; done: Deferred<number> }[]
  bytes: number
}

export class AppendGroups {
  readonly #queue: PathQueue
  readonly #write: (path: string, parts: readonly Uint8Array[], durable: boolean) => Promise<number>
  readonly #groups = new Map<string, Group>() // those that still wait for their turn; bounded by the callers' own calls

  /** @param write gives the size afterwards */
  constructor(queue: PathQueue, write: (path: string, parts: readonly Uint8Array[], durable: boolean) => Promise<number>) {
    this.#queue = queue
    this.#write = write
  }

  append(path: string, bytes: Uint8Array, durable: boolean): Promise<number> {
    const entry = { bytes, durable, done: deferred<number>() }
    const group = this.#groups.get(path)
    if (group && group.bytes + bytes.length <= MAX_GROUP_BYTES) {
      group.waiting.push(entry)
      group.bytes += bytes.length
      return entry.done.promise
    }
    const fresh: Group = { waiting: [entry], bytes: bytes.length }
    this.#groups.set(path, fresh)
    void this.#queue.run(path, async () => {
      if (this.#groups.get(path) === fresh) this.#groups.delete(path)
      try {
        let size = await this.#write(path, fresh.waiting.map((one) => one.bytes), fresh.waiting.some((one) => one.durable))
        for (const one of [...fresh.waiting].reverse()) {
          one.done.resolve(size)
          size -= one.bytes.length
        }
      } catch (error) {
        for (const one of fresh.waiting) one.done.reject(error)
      }
    })
    return entry.done.promise
  }

  /** What is appended after this call comes after whatever is put into the queue now. */
  endGroup(path: string): void {
    this.#groups.delete(path)
  }

  endGroupsBelow(paths: readonly string[]): void {
    for (const path of this.#groups.keys()) if (paths.some((top) => isWithin(path, top))) this.#groups.delete(path)
  }
}
