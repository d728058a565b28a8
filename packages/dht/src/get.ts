// One get: values as they come, each once, until the closest nodes of every family have answered. docs/protocol/01 §3.6.
// Proof: dht.test.ts, contract.test.ts.
import { type AsyncQueue, throwIfAborted } from '@jamikit/core/base'
import type { Clock, DhtValue, InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { MAX_VARIANTS, MAX_VARIANTS_PER_REPLY } from './defaults.ts'
import type { DhtEngine } from './engine/engine.ts'
import { type Filter, passes, whereOf } from './filter.ts'
import type { Opened, Opener } from './secure/opener.ts'
import { matches } from './wire/query.ts'
import { sameValue, type Value } from './wire/value.ts'

export interface GetShell {
  readonly clock: Clock
  readonly engine: DhtEngine
  readonly opener: Opener
  /** Waits for the first connection, for a while. */
  connected(signal: AbortSignal): Promise<void>
  schedule(): void
}

const MAX_IDS = 65_536

/** Values of one get, told once each, whoever has them and under however many ids. */
class Found {
  readonly #seen = new Map<bigint, Value[]>() // bounded by MAX_IDS and MAX_VARIANTS
  readonly #contents = new Set<string>() // bounded by MAX_IDS
  readonly #opening: Promise<void>[] = [] // bounded as #seen is
  readonly #shell: GetShell
  readonly #filter: Filter
  readonly #queue: AsyncQueue<DhtValue>

  constructor(shell: GetShell, filter: Filter, queue: AsyncQueue<DhtValue>) {
    this.#shell = shell
    this.#filter = filter
    this.#queue = queue
  }

  take(values: readonly Value[], from: SocketAddress | undefined): void {
    const { opener } = this.#shell
    const key = this.#filter.decryptWith
    const fresh = new Map<bigint, number>() // bounded by the values of one answer
    for (const value of values) {
      const clear = opener.clear(value)
      if (clear ? !passes(clear.value, this.#filter) : !key) continue // what is not asked for takes no place
      const known = this.#seen.get(value.id) ?? []
      const count = fresh.get(value.id) ?? 0
      if (known.some((v) => sameValue(v, value)) || count >= MAX_VARIANTS_PER_REPLY || known.length >= MAX_VARIANTS || this.#seen.size >= MAX_IDS) continue
      fresh.set(value.id, count + 1) // no single node may hide what others have
      this.#seen.set(value.id, [...known, value])
      if (clear) this.#tell(clear)
      else if (key) this.#opening.push(opener.open(value, key, from).then((opened) => {
        if (opened && opened !== 'dropped' && passes(opened.value, this.#filter)) this.#tell(opened)
      }))
    }
  }

  async opened(): Promise<void> {
    await this.#shell.clock.track(Promise.all(this.#opening))
  }

  #tell({ value, content }: Opened): void {
    if (this.#queue.ended || (content !== undefined && (this.#contents.has(content) || this.#contents.size >= MAX_IDS))) return
    if (content !== undefined) this.#contents.add(content)
    try {
      this.#queue.push(value)
    } catch (error) {
      this.#queue.fail(error)
    }
  }
}

/** Fills `queue`; resolves when the search is complete. */
export async function search(shell: GetShell, key: InfoHash, filter: Filter, queue: AsyncQueue<DhtValue>, signal: AbortSignal): Promise<void> {
  const { engine, clock } = shell
  const where = whereOf(filter)
  const found = new Found(shell, filter, queue)
  found.take(engine.ownValues(key).filter((v) => matches(where, v)), undefined)
  await shell.connected(signal)
  await new Promise<void>((resolve) => {
    let open = engine.enabledFamilies().length
    const finish = () => {
      cancel?.()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const onDone = () => {
      open--
      if (open === 0) finish()
    }
    signal.addEventListener('abort', finish, { once: true })
    let cancel: (() => void) | undefined
    cancel = engine.run(key, () => ({ kind: 'get', where, onValues: (values) => found.take(values, undefined), onDone }), clock.now())
    shell.schedule()
  })
  await found.opened()
  throwIfAborted(signal)
}
