// How long the event loop of this process was busy at a stretch, and how long it wanted a processor and had none, because the machine runs
// something else: that is taken off, where the system tells it (Linux).
import { readFileSync } from 'node:fs'

const TICK_MS = 5
/** Half a minute. */
const MAX_SAMPLES = 6000

/** An instant that all processes of this machine agree on. */
export const nowMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000

/** How long the main thread was ready and had no processor, up to now; 0 where nobody counts it. */
function waitedMs(): number {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'latin1').split(' ')[1]) / 1e6
  } catch {
    return 0
  }
}

export class LoopWatch {
  /** The longest time between two turns, beyond what the timer asked for. */
  worstMs = 0
  readonly #samples: { atMs: number; waitedMs: number }[] = [] // bounded by MAX_SAMPLES
  #last = { atMs: nowMs(), waitedMs: waitedMs() }

  start(): void {
    this.reset()
    setInterval(() => {
      const [before, sample] = [this.#last, this.#sample()]
      this.worstMs = Math.max(this.worstMs, sample.atMs - before.atMs - TICK_MS - (sample.waitedMs - before.waitedMs))
    }, TICK_MS)
  }

  #sample(): { atMs: number; waitedMs: number } {
    this.#last = { atMs: nowMs(), waitedMs: waitedMs() }
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
