// What a DHT node keeps between runs: its id, a snapshot of the nodes it knows (plain bytes of the engine) and the permanent values of
// its programs. Written seldom, never by packet; what cannot be read costs itself. docs/protocol/01 §3.6, §6. Proof: state-store.test.ts.
import { JamiError, Tasks } from '@jamikit/core/base'
import { asBytes, asInt, asMap, decodeMsgpack, encodeMsgpack, equalBytes, fromHex, toHex } from '@jamikit/core/codec'
import type { Clock, InfoHash, Logger, Storage, Timer } from '@jamikit/core/contracts'
import { parseInfoHash } from '@jamikit/core/identity'
import { MAX_PACKED_BYTES } from './wire/value.ts'

const VERSION = 1
/** Between two writes of the snapshot, and before the first: a short run leaves something, too. */
export const SAVE_MS = 600_000
export const FIRST_SAVE_MS = 60_000
export const MAX_STATE_BYTES = 1 << 20
/** Permanent values that are kept. */
export const MAX_KEPT_PUTS = 4096

export interface KeptState {
  readonly nodeId: InfoHash
  /** The engine's own form; empty when there is none. */
  readonly nodes: Uint8Array
}

export interface KeptPut {
  readonly key: InfoHash
  readonly id: bigint
  readonly packed: Uint8Array
}

export interface StateStoreEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly storage: Storage
  /** Of all records here, no trailing slash. */
  readonly prefix: string
}

export class StateStore {
  readonly #env: StateStoreEnv
  readonly #tasks: Tasks
  readonly #puts = new Set<string>() // records that are there; bounded by MAX_KEPT_PUTS
  #snapshot: (() => KeptState) | undefined
  #written: Uint8Array | undefined
  #timer: Timer | undefined
  #order: Promise<unknown> = Promise.resolve()

  constructor(env: StateStoreEnv) {
    this.#env = env
    this.#tasks = new Tasks(env.clock, (error, what) => env.logger.error({ err: JamiError.from(error), what }, 'the DHT could not keep its state; it is tried again'))
  }

  /** What was kept last; undefined when there is nothing, or nothing readable. @throws storage errors */
  async load(): Promise<KeptState | undefined> {
    const { storage, logger } = this.#env
    const bytes = await this.#env.clock.track(storage.get(this.#stateKey))
    if (!bytes) return undefined
    try {
      const map = asMap(decodeMsgpack(bytes, { maxDepth: 2, maxItems: 16, maxBytes: MAX_STATE_BYTES + 256 }), 'DHT state')
      asInt(map.get('v'), 'version', VERSION, VERSION)
      const state = { nodeId: toHex(asBytes(map.get('id'), 'node id', { length: 20 })) as InfoHash, nodes: asBytes(map.get('nodes'), 'nodes', { max: MAX_STATE_BYTES }) }
      this.#written = bytes
      return state
    } catch (error) {
      logger.warn({ err: JamiError.from(error) }, 'the kept state of the DHT cannot be read: starting without it')
      return undefined
    }
  }

  /** Permanent values to go on with. One that cannot be read is left out. @throws storage errors */
  async loadPuts(): Promise<KeptPut[]> {
    const { clock, storage, logger, prefix } = this.#env
    return clock.track((async () => {
      const kept: KeptPut[] = []
      for await (const record of storage.keys(`${prefix}/puts/`)) {
        if (this.#puts.size >= MAX_KEPT_PUTS) break
        try {
          const [key = '', id = ''] = record.slice(`${prefix}/puts/`.length).split('-')
          const packed = await storage.get(record)
          if (!packed || packed.length > MAX_PACKED_BYTES || !/^[0-9a-f]{16}$/.test(id)) throw new JamiError('ERR_STORAGE_CORRUPT', `record ${record}: got something else, allowed a packed value`)
          kept.push({ key: parseInfoHash(key), id: BigInt(`0x${id}`), packed })
          this.#puts.add(record)
        } catch (error) {
          if (!JamiError.is(error) || (error.code !== 'ERR_CODEC' && error.code !== 'ERR_STORAGE_CORRUPT')) throw error
          logger.warn({ record, err: error }, 'a kept value cannot be read: it is left out')
        }
      }
      return kept
    })())
  }

  /** From now on the snapshot is written now and then, when it changed, and by `close`. */
  begin(snapshot: () => KeptState): void {
    this.#snapshot = snapshot
    this.#later(FIRST_SAVE_MS)
  }

  /** Durable when this resolves. @throws ERR_LIMIT, storage errors */
  async keepPut({ key, id, packed }: KeptPut): Promise<void> {
    const record = this.#record(key, id)
    if (!this.#puts.has(record) && this.#puts.size >= MAX_KEPT_PUTS)
      throw new JamiError('ERR_LIMIT', `permanent values with an id: got ${this.#puts.size + 1}, allowed at most ${MAX_KEPT_PUTS}`, { details: { what: 'permanent values', got: this.#puts.size + 1, allowed: MAX_KEPT_PUTS } })
    await this.#write(record, packed)
    this.#puts.add(record)
  }

  /** A failure is told, and tried again at the next start: the value then goes on until it is cancelled. */
  dropPut(key: InfoHash, id: bigint): void {
    const record = this.#record(key, id)
    if (this.#puts.delete(record)) this.#tasks.run('ending a permanent value', () => this.#write(record, null))
  }

  /** Writes the last snapshot and waits for what is under way. Never rejects. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    this.#tasks.run('last snapshot', () => this.#save())
    await this.#order.catch(() => {})
    await this.#tasks.close()
  }

  get #stateKey(): string {
    return `${this.#env.prefix}/state`
  }

  #record(key: InfoHash, id: bigint): string {
    return `${this.#env.prefix}/puts/${key}-${id.toString(16).padStart(16, '0')}`
  }

  #later(ms: number): void {
    this.#timer = this.#tasks.after(ms, 'snapshot', async () => {
      try {
        await this.#save()
      } finally {
        this.#later(SAVE_MS)
      }
    })
  }

  async #save(): Promise<void> {
    const state = this.#snapshot?.()
    if (!state || state.nodes.length > MAX_STATE_BYTES) return
    const bytes = encodeMsgpack({ v: VERSION, id: fromHex(state.nodeId), nodes: state.nodes })
    if (this.#written && equalBytes(this.#written, bytes)) return
    await this.#write(this.#stateKey, bytes)
    this.#written = bytes
  }

  /** In the order of the calls. */
  #write(key: string, value: Uint8Array | null): Promise<void> {
    const done = this.#order.then(() => this.#env.storage.batch([{ key, value }]))
    this.#order = done.catch(() => {})
    return this.#env.clock.track(done)
  }
}
