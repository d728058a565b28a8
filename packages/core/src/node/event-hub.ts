// The public emitter: typed events with async listeners. A failing listener is reported to the node, never uncaught.
// Proof: node/event-hub.test.ts.
import { checkArgument, checkOptions, is, OP } from '../base/arguments.ts'
import { closedError } from '../base/errors.ts'
import { abandonable, withOp } from '../base/operation.ts'
import { AsyncQueue } from '../base/queue.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Op } from '../contracts/service.ts'
import type { Emitter } from './api.ts'

/** Events that wait in `events()` for a reader. */
export const BUFFER_SIZE = 1000
export const MAX_BUFFER_SIZE = 1_000_000

type Listener<M> = { [K in keyof M]?: Set<(payload: M[K]) => unknown> }

export interface EventHubOptions<M> {
  readonly clock: Clock
  /** What closes it, for errors: `the node`. */
  readonly what: string
  /** Every event there is. */
  readonly events: Readonly<Record<keyof M, true>>
  readonly onError: (error: unknown, event: keyof M) => void
}

export class EventHub<M> implements Emitter<M> {
  readonly #listeners: Listener<M> = {} // bounded by the program's own registrations
  readonly #options: EventHubOptions<M>
  readonly #names: ReturnType<typeof is.oneOf>
  readonly #ends = new Set<() => void>() // bounded by the program's own calls
  #closed = false

  constructor(options: EventHubOptions<M>) {
    this.#options = options
    this.#names = is.oneOf(...Object.keys(options.events))
  }

  count<K extends keyof M>(event: K): number {
    return this.#listeners[event]?.size ?? 0
  }

  on<K extends keyof M>(event: K, listener: (payload: M[K]) => unknown, options?: { signal?: AbortSignal }): () => void {
    checkArgument('event', event, this.#names)
    checkArgument('listener', listener, is.function)
    checkOptions(options, { signal: is.signal })
    return this.#add(event, listener, options?.signal)
  }

  #add<K extends keyof M>(event: K, listener: (payload: M[K]) => unknown, signal: AbortSignal | undefined): () => void {
    if (this.#closed) throw closedError(this.#options.what)
    if (signal?.aborted) return () => {}
    const entry = (payload: M[K]) => listener(payload)
    const own = this.#listeners[event] ?? new Set<(payload: M[K]) => unknown>()
    this.#listeners[event] = own
    own.add(entry)
    const off = () => {
      own.delete(entry)
      signal?.removeEventListener('abort', off)
    }
    signal?.addEventListener('abort', off, { once: true })
    return off
  }

  once<K extends keyof M>(event: K, options?: Op & { filter?: (payload: M[K]) => boolean }): Promise<M[K]> {
    try {
      checkArgument('event', event, this.#names)
      checkOptions(options, { ...OP, filter: is.function })
    } catch (error) {
      return Promise.reject(error)
    }
    return abandonable(this.#waitFor(event, options))
  }

  #waitFor<K extends keyof M>(event: K, options?: Op & { filter?: (payload: M[K]) => boolean }): Promise<M[K]> {
    const { clock, what } = this.#options
    return withOp(clock, options, `waiting for ${String(event)}`, (signal) =>
      new Promise<M[K]>((resolve, reject) => {
        if (this.#closed) return reject(closedError(what))
        const end = () => {
          off()
          this.#ends.delete(end)
          reject(closedError(what))
        }
        const off = this.on(event, (payload) => {
          if (options?.filter && !options.filter(payload)) return
          off()
          this.#ends.delete(end)
          resolve(payload)
        }, { signal })
        this.#ends.add(end)
        signal.addEventListener('abort', () => this.#ends.delete(end), { once: true })
      }))
  }

  events<K extends keyof M>(event: K, options?: { signal?: AbortSignal; bufferSize?: number }): AsyncIterableIterator<M[K]> {
    checkArgument('event', event, this.#names)
    checkOptions(options, { signal: is.signal, bufferSize: is.whole(1, MAX_BUFFER_SIZE) })
    let off = (): void => {}
    const queue: AsyncQueue<M[K]> = new AsyncQueue<M[K]>(options?.bufferSize ?? BUFFER_SIZE, () => {
      off()
      this.#ends.delete(end)
      options?.signal?.removeEventListener('abort', end)
    })
    const end = () => queue.end()
    if (this.#closed || options?.signal?.aborted) {
      queue.end()
      return queue
    }
    off = this.on(event, (payload) => {
      try {
        queue.push(payload)
      } catch (error) {
        queue.fail(error)
      }
    })
    this.#ends.add(end)
    options?.signal?.addEventListener('abort', end, { once: true })
    return queue
  }

  /** Calls the listeners and resolves when all have settled; failures are reported. */
  async emit<K extends keyof M>(event: K, payload: M[K]): Promise<void> {
    await Promise.all([...(this.#listeners[event] ?? [])].map((listener) => this.call(event, listener, payload)))
  }

  /** Calls one listener; a failure is reported. */
  protected async call<K extends keyof M>(event: K, listener: (payload: M[K]) => unknown, payload: M[K]): Promise<void> {
    try {
      await listener(payload)
    } catch (error) {
      this.#options.onError(error, event)
    }
  }

  /** Ends `once` and `events`; no more events. */
  close(): void {
    this.#closed = true
    for (const end of [...this.#ends]) end()
    for (const key of Object.keys(this.#listeners) as (keyof M)[]) this.#listeners[key]?.clear()
  }
}
