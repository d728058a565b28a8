// The public emitter: typed events with async listeners. A failing listener is reported to the node, never uncaught.
// Proof: node/event-hub.test.ts.
import { JamiError } from '../base/errors.ts'
import { withOp } from '../base/operation.ts'
import { AsyncQueue } from '../base/queue.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Op } from '../contracts/service.ts'
import type { Emitter } from './api.ts'

const BUFFER_SIZE = 1000

type Listener<M> = { [K in keyof M]?: Set<(payload: M[K]) => unknown> }

export class EventHub<M> implements Emitter<M> {
  readonly #listeners: Listener<M> = {} // bounded by the program's own registrations
  readonly #clock: Clock
  readonly #onError: (error: unknown) => void
  readonly #ends = new Set<(error: JamiError | undefined) => void>()
  #closed = false

  constructor(clock: Clock, onError: (error: unknown) => void) {
    this.#clock = clock
    this.#onError = onError
  }

  count<K extends keyof M>(event: K): number {
    return this.#listeners[event]?.size ?? 0
  }

  on<K extends keyof M>(event: K, listener: (payload: M[K]) => unknown, options?: { signal?: AbortSignal }): () => void {
    if (typeof listener !== 'function') throw new JamiError('ERR_ARGUMENT', `listener of ${String(event)}: got ${typeof listener}, allowed a function`)
    if (options?.signal?.aborted || this.#closed) return () => {}
    const entry = (payload: M[K]) => listener(payload)
    const own = this.#listeners[event] ?? new Set<(payload: M[K]) => unknown>()
    this.#listeners[event] = own
    own.add(entry)
    const off = () => {
      own.delete(entry)
      options?.signal?.removeEventListener('abort', off)
    }
    options?.signal?.addEventListener('abort', off, { once: true })
    return off
  }

  once<K extends keyof M>(event: K, options?: Op & { filter?: (payload: M[K]) => boolean }): Promise<M[K]> {
    return withOp(this.#clock, options, `waiting for ${String(event)}`, (signal) =>
      new Promise<M[K]>((resolve, reject) => {
        if (this.#closed) return reject(new JamiError('ERR_CLOSED', 'the emitter was closed'))
        const end = (error: JamiError | undefined) => {
          off()
          this.#ends.delete(end)
          reject(error ?? new JamiError('ERR_CLOSED', 'the emitter was closed'))
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
    const queue: AsyncQueue<M[K]> = new AsyncQueue<M[K]>(options?.bufferSize ?? BUFFER_SIZE, () => {
      off()
      this.#ends.delete(end)
      options?.signal?.removeEventListener('abort', stop)
    })
    const end = () => queue.end()
    const stop = () => queue.end()
    const off = this.on(event, (payload) => {
      try {
        queue.push(payload)
      } catch (error) {
        queue.fail(error)
      }
    })
    this.#ends.add(end)
    if (this.#closed || options?.signal?.aborted) queue.end()
    options?.signal?.addEventListener('abort', stop, { once: true })
    return queue
  }

  /** Calls the listeners and resolves when all have settled; failures are reported. */
  async emit<K extends keyof M>(event: K, payload: M[K]): Promise<void> {
    await Promise.all([...(this.#listeners[event] ?? [])].map((listener) => this.call(listener, payload)))
  }

  /** Calls one listener; a failure is reported. */
  protected async call<P>(listener: (payload: P) => unknown, payload: P): Promise<void> {
    try {
      await listener(payload)
    } catch (error) {
      this.#onError(error)
    }
  }

  /** Ends `once` and `events`; no more events. */
  close(): void {
    this.#closed = true
    for (const end of [...this.#ends]) end(undefined)
    for (const key of Object.keys(this.#listeners) as (keyof M)[]) this.#listeners[key]?.clear()
  }
}
