// Entry points of the DHT: resolves their names whenever they are tried, again and again while there is no connection, and now and then
// while there is one, so that a part of the network that was cut off finds the rest. docs/protocol/01 §6.4. Proof: bootstrap.test.ts.
import { JamiError, limitError, type Tasks } from '@jamikit/core/base'
import type { Clock, Logger, Network, SocketAddress, Timer } from '@jamikit/core/contracts'
import type { BootstrapEntry } from '@jamikit/core/identity'
import { BOOTSTRAP_FIRST_MS, BOOTSTRAP_MAX_MS, CLOSEST } from './defaults.ts'

const MAX_ENTRIES = 256
/** A resolver that says nothing holds nobody up for longer. */
const RESOLVE_TIMEOUT_MS = 10_000
/** Between attempts while connected: with fewer nodes than a value wants, we may be an island; else just in case. */
const FEW_NODES_MS = 180_000
const MANY_NODES_MS = 600_000

export interface BootstrapEnv {
  readonly clock: Clock
  readonly network: Pick<Network, 'resolve'>
  readonly logger: Logger
  readonly tasks: Tasks
  connected(): boolean
  /** Known good nodes, of the family that knows more. */
  nodeCount(): number
  /** Where an entry point is, when that is new or somebody asked: to be tried at once. Known ones are tried by the engine itself. */
  found(addresses: readonly SocketAddress[]): void
}

export class Bootstrap {
  readonly #env: BootstrapEnv
  readonly #entries = new Map<string, BootstrapEntry>() // bounded by MAX_ENTRIES
  readonly #found = new Map<string, string>() // where each entry was last; bounded by the entries
  readonly #unresolved = new Set<string>() // told once per outage; bounded by the entries
  #timer: Timer | undefined
  #running = false
  #again = false
  #delayMs = BOOTSTRAP_FIRST_MS

  constructor(env: BootstrapEnv, entries: readonly BootstrapEntry[]) {
    this.#env = env
    this.add(entries)
  }

  get size(): number {
    return this.#entries.size
  }

  /** @throws ERR_LIMIT */
  add(entries: readonly BootstrapEntry[]): void {
    const all = new Map([...this.#entries, ...entries.map((entry) => [entry.text, entry] as const)])
    if (all.size > MAX_ENTRIES) throw limitError('bootstrap entries', all.size, MAX_ENTRIES)
    for (const [text, entry] of all) this.#entries.set(text, entry)
  }

  /** Tries all entry points now, connected or not; while an attempt runs, another one after it. */
  now(): void {
    if (this.#entries.size === 0) return
    this.#delayMs = BOOTSTRAP_FIRST_MS
    this.#found.clear()
    if (this.#running) this.#again = true
    else this.#attempt()
  }

  /** The connection came or went: an outage starts with short waits. */
  statusChanged(): void {
    if (this.#entries.size === 0 || this.#running) return
    this.#delayMs = BOOTSTRAP_FIRST_MS
    this.#schedule()
  }

  #attempt(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#running = true
    this.#env.tasks.run('bootstrap', async (signal) => {
      // Side by side: an entry that does not resolve, or takes its time, costs itself.
      await Promise.all([...this.#entries.values()].map((entry) => this.#resolve(entry, signal)))
      this.#running = false
      if (signal.aborted) return
      if (this.#again) {
        this.#again = false
        return this.#attempt()
      }
      this.#schedule()
    })
  }

  async #resolve({ host, port, text }: BootstrapEntry, signal: AbortSignal): Promise<void> {
    const { network, logger } = this.#env
    let failure: unknown
    const found = await network.resolve(host, { signal, timeoutMs: RESOLVE_TIMEOUT_MS }).catch((error: unknown) => {
      failure = error
      return []
    })
    if (signal.aborted) return
    if (found.length > 0) {
      this.#unresolved.delete(text)
      const addresses = found.map(({ host: address, family }) => ({ host: address, family, port }))
      const where = JSON.stringify(addresses)
      if (this.#found.get(text) !== where) this.#env.found(addresses)
      this.#found.set(text, where)
      return
    }
    if (this.#unresolved.has(text)) return
    this.#unresolved.add(text)
    logger.warn({ entry: text, ...(failure === undefined ? {} : { err: JamiError.from(failure) }) }, 'a bootstrap name does not resolve; it is tried again and again')
  }

  #schedule(): void {
    this.#timer?.cancel()
    const { tasks } = this.#env
    const connected = this.#env.connected()
    const waitMs = connected ? (this.#env.nodeCount() < CLOSEST ? FEW_NODES_MS : MANY_NODES_MS) : this.#delayMs
    this.#delayMs = connected ? BOOTSTRAP_FIRST_MS : Math.min(this.#delayMs * 2, BOOTSTRAP_MAX_MS)
    this.#timer = tasks.after(waitMs, 'bootstrap again', () => this.#attempt())
  }
}
