// Waiting for leave to make a pack: the promise side of the serve queue. docs/protocol/04 §4.3. Proof: sync/serve-queue.test.ts.
import { abortError, type Deferred, deferred, limitError } from '@jamikit/core/base'
import { MAX_SERVE_WAITING_PER_DEVICE } from '../defaults.ts'
import { ServeQueue } from './serve-queue.ts'

export class ServeSlots {
  readonly #queue = new ServeQueue<Deferred<void>>()

  /** @returns what has to be called when the pack is out, once @throws ERR_LIMIT when too much waits, ERR_ABORTED */
  async enter(device: string, signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw abortError(signal)
    const turn = deferred<void>()
    const state = this.#queue.enter(device, turn)
    if (state === 'full') throw limitError('requests of a device that wait', MAX_SERVE_WAITING_PER_DEVICE + 1, MAX_SERVE_WAITING_PER_DEVICE)
    if (state === 'waiting') {
      const onAbort = () => {
        this.#queue.cancel(device, turn)
        turn.reject(abortError(signal))
      }
      signal.addEventListener('abort', onAbort, { once: true })
      try {
        await turn.promise
      } finally {
        signal.removeEventListener('abort', onAbort)
      }
    }
    let left = false
    return () => {
      if (left) return
      left = true
      this.#queue.leave(device)?.resolve()
    }
  }
}
