// A bounded single-consumer queue with an async-iterator face: how pushed events become pulled ones.
import { limitError } from './errors.ts'

/** `push` from outside, `for await` inside. Ends with `end()`, fails with `fail(error)` after what was queued is consumed. */
export class AsyncQueue<T> implements AsyncIterableIterator<T> {
  readonly #items: T[] = [] // bounded by #capacity
  readonly #capacity: number
  readonly #onReturn: (() => void) | undefined
  #waiting: { resolve: (r: IteratorResult<T>) => void; reject: (e: unknown) => void }[] = [] // bounded by the consumer's own calls
  #over: { error?: unknown } | undefined

  /** @param onReturn runs once when the consumer leaves its loop early or the queue is over */
  constructor(capacity: number, onReturn?: () => void) {
    this.#capacity = capacity
    this.#onReturn = onReturn
  }

  /** Items that wait. */
  get size(): number {
    return this.#items.length
  }

  /** No more items come. */
  get ended(): boolean {
    return this.#over !== undefined
  }

  /** False when over. @throws ERR_LIMIT when full */
  push(item: T): boolean {
    if (this.#over) return false
    const waiter = this.#waiting.shift()
    if (waiter) waiter.resolve({ value: item, done: false })
    else {
      if (this.#items.length >= this.#capacity) throw limitError('queued items', this.#items.length + 1, this.#capacity)
      this.#items.push(item)
    }
    return true
  }

  /** What waits can still be taken; then the loop ends. */
  end(): void {
    this.#finish({})
  }

  /** What waits can still be taken; then the loop throws. */
  fail(error: unknown): void {
    this.#finish({ error })
  }

  #finish(over: { error?: unknown }): void {
    if (this.#over) return
    this.#over = over
    const waiting = this.#waiting
    this.#waiting = []
    for (const w of waiting) {
      if ('error' in over) w.reject(over.error)
      else w.resolve({ value: undefined, done: true })
    }
    if (waiting.length > 0) this.#over = {} // an error is reported once
    this.#onReturn?.()
  }

  /** The next item, or the end. */
  next(): Promise<IteratorResult<T>> {
    if (this.#items.length > 0) return Promise.resolve({ value: this.#items.shift() as T, done: false })
    if (this.#over) {
      const over = this.#over
      if ('error' in over) {
        this.#over = {} // an error is reported once
        return Promise.reject(over.error)
      }
      return Promise.resolve({ value: undefined, done: true })
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** The consumer leaves: what waits is dropped. */
  return(): Promise<IteratorResult<T>> {
    this.#items.length = 0
    this.#finish({})
    return Promise.resolve({ value: undefined, done: true })
  }

  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this
  }
}
