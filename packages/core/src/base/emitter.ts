// The one internal event source: a list of listeners for one event type (contracts/service.ts Listen). A throwing listener is
// reported, never propagated.
import type { Listen } from '../contracts/service.ts'

/** An event of one type: `emit` for its owner, `listen` for everybody else. */
export class Source<Event> {
  #listeners = new Set<{ fn: (event: Event) => void }>()
  readonly #onError: (error: unknown) => void

  /** @param onError gets what a listener throws */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError
  }

  /** Registers a listener; the result takes it away. */
  readonly listen: Listen<Event> = (fn) => {
    const entry = { fn }
    this.#listeners.add(entry)
    return () => {
      this.#listeners.delete(entry)
    }
  }

  /** Listeners there are. */
  get size(): number {
    return this.#listeners.size
  }

  /** Calls the listeners registered now, in order of registration. */
  emit(event: Event): void {
    for (const { fn } of [...this.#listeners]) {
      try {
        fn(event)
      } catch (error) {
        this.#onError(error)
      }
    }
  }
}
