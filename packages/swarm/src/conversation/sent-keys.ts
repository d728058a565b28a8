// Idempotency keys and the commits that were sent under them: an append-only file, a line of msgpack for each, read at first use. The key is
// durable before main moves: after a crash in between, a commit that nobody reaches, and the key is used again.
// Proof: conversation/sent-keys.test.ts (torn ends, keys of every kind, a storage that fails at every write).
import { encodeMsgpack, joinBytes, readMsgpack } from '@jamikit/core/codec'
import type { FileTree } from '@jamikit/core/contracts'
import { MAX_KEYS } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'

const PATH = 'jamikit/sent-keys'

export class SentKeys {
  readonly #files: FileTree
  #known: Map<string, Oid> | undefined // bounded by 2 * MAX_KEYS

  constructor(files: FileTree) {
    this.#files = files
  }

  async get(key: string): Promise<Oid | undefined> {
    return (await this.#load()).get(key)
  }

  /** Durable when it resolves. */
  async set(key: string, oid: Oid): Promise<void> {
    const known = await this.#load()
    if (known.size >= 2 * MAX_KEYS) await this.#compact(known)
    const line = encodeMsgpack([key, oid])
    await this.#files.append(PATH, line)
    known.delete(key) // the newest last
    known.set(key, oid)
  }

  async #load(): Promise<Map<string, Oid>> {
    if (this.#known) return this.#known
    const bytes = (await this.#files.read(PATH)) ?? new Uint8Array(0)
    const known = new Map<string, Oid>()
    let at = 0
    while (at < bytes.length) {
      const item = readLine(bytes, at)
      if (!item) break
      known.delete(item.key)
      known.set(item.key, item.oid)
      at = item.end
    }
    if (at < bytes.length) await this.#files.truncate(PATH, at) // a line that was never finished
    this.#known = known
    return known
  }

  /** Keeps the newest ones. */
  async #compact(known: Map<string, Oid>): Promise<void> {
    const kept = [...known].slice(-MAX_KEYS)
    const bytes = joinBytes(kept.map((line) => encodeMsgpack(line)))
    await this.#files.write(PATH, bytes)
    known.clear()
    for (const [key, oid] of kept) known.set(key, oid)
  }
}

function readLine(bytes: Uint8Array, at: number): { key: string; oid: Oid; end: number } | undefined {
  try {
    const item = readMsgpack(bytes, at, { maxDepth: 2, maxItems: 4 })
    const [key, oid] = Array.isArray(item?.value) ? item.value : []
    return item && typeof key === 'string' && typeof oid === 'string' && /^[0-9a-f]{40}$/.test(oid) ? { key, oid, end: item.end } : undefined
  } catch {
    return undefined
  }
}
