// How long our nodes kept their event loop, and what memory they had, in all parts of a run.
import { figure, round } from './figure.ts'
import type { Person } from './person.ts'

export const say = (text: string) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`)

/** The longest turns of our nodes, by part. */
export class Loops {
  #worst = { maxMs: 0, ownMs: 0, part: 'none' }
  #worstOwn = { ownMs: 0, part: 'none' }
  peakMb = { rss: 0, part: 'none' }

  add(part: string, { maxMs, ownMs }: { maxMs: number; ownMs: number }): void {
    if (maxMs > this.#worst.maxMs) this.#worst = { maxMs, ownMs, part }
    if (ownMs > this.#worstOwn.ownMs) this.#worstOwn = { ownMs, part }
  }

  /** What another watch saw, too. */
  join(of: Loops): void {
    this.add(of.#worst.part, of.#worst)
    this.add(of.#worstOwn.part, { maxMs: 0, ownMs: of.#worstOwn.ownMs })
    if (of.peakMb.rss > this.peakMb.rss) this.peakMb = of.peakMb
  }

  async took(part: string, ...persons: Person[]): Promise<void> {
    for (const person of persons) {
      const delay = await person.loopDelay?.()
      if (!delay) continue
      this.add(part, delay)
      say(`${part}: longest turn ${delay.maxMs.toFixed(0)} ms (on the processor ${delay.ownMs.toFixed(0)} ms), ${(delay.rss / 2 ** 20).toFixed(0)} MB resident, heap ${(delay.heapUsed / 2 ** 20).toFixed(0)} MB, buffers ${(delay.arrayBuffers / 2 ** 20).toFixed(0)} MB`)
      if (delay.rss / 2 ** 20 > this.peakMb.rss) this.peakMb = { rss: delay.rss / 2 ** 20, part }
    }
  }

  /** `prefix`: '' or 'history.', say; nothing when no node of ours took part. */
  print(prefix: string): void {
    if (this.peakMb.part === 'none') return
    const { maxMs, ownMs, part } = this.#worst
    figure(`${prefix}loop_delay_max`, 'ms', [maxMs], 'longest turn of the event loop of our nodes; target at most 100', { part, on_processor_ms: round(ownMs) })
    figure(`${prefix}loop_busy_max`, 'ms', [this.#worstOwn.ownMs], 'the same without what the machine gave to others', { part: this.#worstOwn.part })
    figure(`${prefix}memory_max`, 'MB', [this.peakMb.rss], 'resident memory of our nodes at the end of a part', { part: this.peakMb.part })
  }
}
