// How long the event loop of this process was busy at a stretch, and how long it wanted a processor and had none, because the machine runs
// something else: that is taken off, where the system tells it (Linux).
import { readFileSync } from 'node:fs'

const TICK_MS = 5
/** Half a minute. */
const MAX_SAMPLES = 6000

/** An instant that all processes of this machine agree on. */
export const nowMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000

/** How long the main thread had a processor, and was ready and had none, up to now; NaN and 0 where nobody counts it. */
function scheduled(): { ranMs: number; waitedMs: number } {
  try {
    const [ran, waited] = readFileSync('/proc/self/schedstat', 'latin1').split(' ').map(Number)
    return { ranMs: (ran ?? 0) / 1e6, waitedMs: (waited ?? 0) / 1e6 }
  } catch {
    return { ranMs: Number.NaN, waitedMs: 0 }
  }
}

interface Sample {
  readonly atMs: number
  readonly ranMs: number
  readonly waitedMs: number
}

export class LoopWatch {
  /** The longest time between two turns, beyond what the timer asked for. */
  worstMs = 0
  readonly #samples: Sample[] = [] // bounded by MAX_SAMPLES
  #last: Sample = { atMs: nowMs(), ...scheduled() }

  start(): void {
    this.reset()
    setInterval(() => {
      const [before, sample] = [this.#last, this.#sample()]
      const [ran, passed] = [sample.ranMs - before.ranMs, sample.atMs - before.atMs - TICK_MS - (sample.waitedMs - before.waitedMs)]
      // what it neither ran nor was ready: it waits for threads of the garbage collector, which others keep from running
      this.worstMs = Math.max(this.worstMs, Number.isNaN(ran) ? passed : Math.min(ran, passed))
    }, TICK_MS)
  }

  #sample(): Sample {
    this.#last = { atMs: nowMs(), ...scheduled() }
    this.#samples.push(this.#last)
    if (this.#samples.length > MAX_SAMPLES) this.#samples.splice(0, MAX_SAMPLES / 2)
    return this.#last
  }

  reset(): void {
    this.worstMs = 0
    this.#sample()
  }

  /** Without a processor between two instants. */
  waitedMs(fromMs: number, toMs: number): number {
    const first = this.#samples.find(({ atMs }) => atMs >= fromMs)
    const last = this.#samples.findLast(({ atMs }) => atMs <= toMs)
    return first && last ? Math.max(0, last.waitedMs - first.waitedMs) : 0
  }
}
