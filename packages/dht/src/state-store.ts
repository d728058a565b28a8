// What a DHT node keeps between runs: a snapshot that the engine makes and reads (plain bytes here). Written seldom, never by packet; soon
// only after something changed that a program asked for. docs/protocol/01 §6.3.1. Proof: state-store.test.ts.
import { JamiError, Tasks } from '@jamikit/core/base'
import { equalBytes } from '@jamikit/core/codec'
import type { Clock, Logger, Storage, Timer } from '@jamikit/core/contracts'

/** Between two writes, and before the first: a short run leaves something, too. */
export const SAVE_MS = 600_000
export const FIRST_SAVE_MS = 60_000
/** After `soon`: what changes meanwhile goes into the same write. */
export const SOON_MS = 5_000

export interface StateStoreEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly storage: Storage
  /** Of the record, no trailing slash. */
  readonly prefix: string
}

export class StateStore {
  readonly #env: StateStoreEnv
  readonly #tasks: Tasks
  readonly #key: string
  #snapshot: (() => Uint8Array) | undefined
  #written: Uint8Array | undefined
  #timer: Timer | undefined
  #dueMs = Number.POSITIVE_INFINITY
  #writing: Promise<void> = Promise.resolve()

  constructor(env: StateStoreEnv) {
    this.#env = env
    this.#key = `${env.prefix}/state`
    this.#tasks = new Tasks(env.clock, (error) => env.logger.error({ err: JamiError.from(error) }, 'the DHT could not keep its state; it is tried again'))
  }

  /** What was kept last. @throws storage errors */
  async load(): Promise<Uint8Array | undefined> {
    const { clock, storage } = this.#env
    this.#written = await clock.track(storage.get(this.#key))
    return this.#written
  }

  /** From now on the snapshot is written now and then, when it changed, and by `close`. */
  begin(snapshot: () => Uint8Array): void {
    this.#snapshot = snapshot
    this.#later(FIRST_SAVE_MS)
  }

  /** Something changed that must not wait for long. */
  soon(): void {
    if (this.#snapshot) this.#later(SOON_MS)
  }

  /** Writes the last snapshot. Never rejects. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    this.#tasks.run('last snapshot', () => this.#save())
    this.#snapshot = undefined
    await this.#tasks.close()
  }

  /** The earlier time holds. */
  #later(ms: number): void {
    const { clock } = this.#env
    if (this.#dueMs <= clock.now() + ms) return
    this.#timer?.cancel()
    this.#dueMs = clock.now() + ms
    this.#timer = this.#tasks.after(ms, 'snapshot', async () => {
      this.#dueMs = Number.POSITIVE_INFINITY
      try {
        await this.#save()
      } finally {
        this.#later(SAVE_MS)
      }
    })
  }

  /** One after the other, each the newest. */
  #save(): Promise<void> {
    const snapshot = this.#snapshot
    const saving = this.#writing.then(async () => {
      const bytes = snapshot?.()
      if (!bytes || (this.#written && equalBytes(this.#written, bytes))) return
      await this.#env.clock.track(this.#env.storage.batch([{ key: this.#key, value: bytes }]))
      this.#written = bytes
    })
    this.#writing = saving.catch(() => {})
    return saving
  }
}
