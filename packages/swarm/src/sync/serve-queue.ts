// Whose pack is made now and who waits: a few at a time, one device after the other. Pure. docs/protocol/04 §4.3.
// Proof: sync/serve-queue.test.ts.
import { MAX_SERVE_WAITING, MAX_SERVE_WAITING_PER_DEVICE, MAX_SERVING, MAX_SERVING_PER_DEVICE } from '../defaults.ts'

export class ServeQueue<T> {
  readonly #running = new Map<string, number>() // bounded by MAX_SERVING
  /** By device, in the order in which devices have their turn. */
  readonly #waiting = new Map<string, T[]>() // bounded by MAX_SERVE_WAITING
  #serving = 0
  #queued = 0

  /** @returns 'full' when nothing more of this device, or of anybody, may wait */
  enter(device: string, request: T): 'started' | 'waiting' | 'full' {
    if (this.#serving < MAX_SERVING && this.#has(device) < MAX_SERVING_PER_DEVICE) {
      this.#start(device)
      return 'started'
    }
    const own = this.#waiting.get(device) ?? []
    if (own.length >= MAX_SERVE_WAITING_PER_DEVICE || this.#queued >= MAX_SERVE_WAITING) return 'full'
    own.push(request)
    this.#waiting.set(device, own)
    this.#queued++
    return 'waiting'
  }

  /** One that started has ended. @returns the one that starts now */
  leave(device: string): T | undefined {
    const left = this.#has(device) - 1
    if (left > 0) this.#running.set(device, left)
    else this.#running.delete(device)
    this.#serving--
    for (const [next, requests] of this.#waiting) {
      if (this.#has(next) >= MAX_SERVING_PER_DEVICE) continue // at most as many as are running
      const request = requests.shift() as T
      this.#queued--
      this.#waiting.delete(next)
      if (requests.length > 0) this.#waiting.set(next, requests)
      this.#start(next)
      return request
    }
    return undefined
  }

  /** One that waits does so no more. */
  cancel(device: string, request: T): void {
    const own = this.#waiting.get(device)
    const at = own?.indexOf(request) ?? -1
    if (!own || at < 0) return
    own.splice(at, 1)
    this.#queued--
    if (own.length === 0) this.#waiting.delete(device)
  }

  #start(device: string): void {
    this.#serving++
    this.#running.set(device, this.#has(device) + 1)
  }

  #has(device: string): number {
    return this.#running.get(device) ?? 0
  }
}
