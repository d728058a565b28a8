// How many transfers go on at a time, in all and for one account: whoever has many cannot keep the others waiting. Turns in order of
// arrival among those that may run. Proof: transfer/slots.test.ts.
import { abortError } from '@jamikit/core/base'

interface Waiting {
  readonly key: string
  readonly start: () => void
}

export class Slots {
  readonly #total: number
  readonly #perKey: number
  readonly #used = new Map<string, number>() // bounded by #total
  readonly #waiting = new Set<Waiting>() // bounded by whoever asks
  #count = 0

  constructor(total: number, perKey: number) {
    this.#total = total
    this.#perKey = perKey
  }

  /** Undefined when there is none now. */
  tryTake(key: string): (() => void) | undefined {
    if (this.#count >= this.#total || (this.#used.get(key) ?? 0) >= this.#perKey) return undefined
    this.#count++
    this.#used.set(key, (this.#used.get(key) ?? 0) + 1)
    let over = false
    return () => {
      if (over) return
      over = true
      this.#count--
      const left = (this.#used.get(key) ?? 1) - 1
      if (left > 0) this.#used.set(key, left)
      else this.#used.delete(key)
      for (const next of this.#waiting) {
        if (this.#count >= this.#total) break
        if ((this.#used.get(next.key) ?? 0) < this.#perKey) next.start()
      }
    }
  }

  /** Waits for a turn; the result gives it back. @throws ERR_ABORTED */
  take(key: string, signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(abortError(signal))
      const now = this.tryTake(key)
      if (now) return resolve(now)
      const done = () => {
        this.#waiting.delete(entry)
        signal.removeEventListener('abort', onAbort)
      }
      const onAbort = () => {
        done()
        reject(abortError(signal))
      }
      const entry: Waiting = {
        key,
        start: () => {
          const release = this.tryTake(key)
          if (!release) return
          done()
          resolve(release)
        },
      }
      this.#waiting.add(entry)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }
}
