// So many pieces of work at once and no more; the others wait in the order in which they came. Proof: drt/routing.test.ts.
import { setMaxListeners } from 'node:events'
import { abortError, throwIfAborted } from '@jamikit/core/base'

export class Slots {
  readonly #max: number
  readonly #waiting = new Set<() => void>() // bounded by what each conversation may have under way
  #running = 0

  constructor(max: number) {
    this.#max = max
  }

  /** @throws ERR_ABORTED while it waits */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    throwIfAborted(signal)
    if (this.#running >= this.#max) await this.#turn(signal)
    else this.#running++
    try {
      return await work()
    } finally {
      const [next] = this.#waiting
      if (next) {
        this.#waiting.delete(next)
        next() // the place goes to it
      } else this.#running--
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.delete(go)
        reject(abortError(signal))
      }
      const go = () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      setMaxListeners(0, signal) // as many as wait
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiting.add(go)
    })
  }
}
