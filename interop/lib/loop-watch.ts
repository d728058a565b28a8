// The longest turn of this process's event loop, and how much of it the thread did not run at all because the machine gave the processor to
// others: on a crowded machine both look alike to a timer, and only the first is ours. Linux.
import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const TICK_MS = 10

export interface LoopDelay {
  /** From monitorEventLoopDelay, its own interval taken off. */
  readonly maxMs: number
  /** The longest turn as this watch saw it, less the time in which the thread waited for a processor or the disk. */
  readonly ownMs: number
}

/** Time that the main thread has run, ms. */
const ranMs = () => Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[0]) / 1e6

export class LoopWatch {
  readonly #delay = monitorEventLoopDelay({ resolution: TICK_MS })
  #own = 0
  #ran = ranMs()

  constructor() {
    this.#delay.enable()
    setInterval(() => {
      const ran = ranMs()
      this.#own = Math.max(this.#own, ran - this.#ran) // one turn, or a few short ones
      this.#ran = ran
    }, TICK_MS).unref()
  }

  /** Since the last call. */
  take(): LoopDelay {
    const maxMs = this.#delay.count === 0 ? 0 : Math.max(0, this.#delay.max / 1e6 - TICK_MS)
    const taken = { maxMs, ownMs: this.#own }
    this.#delay.reset()
    this.#own = 0
    return taken
  }
}
