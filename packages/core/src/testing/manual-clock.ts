// Virtual time: a Clock that moves only when a test says so, and only while everything that runs is at rest. Timers run in
// the order (time, sequence); between two of them promise jobs, ticks, immediates and tracked work settle, so that a test gives
// the same order of events each time. May hold: timers and tracked work, nothing about networks.
// Proof: testing/manual-clock.test.ts with testing/suites/clock.ts.
import { JamiError } from '../base/errors.ts'
import type { Clock, Timer } from '../contracts/clock.ts'

/** When it begins, and when it counts as at rest. */
export interface ManualClockOptions {
  /** Unix time of the start; default 2026-01-01T00:00:00Z. */
  wallTimeMs?: number
  /** Turns of the event loop without new timers or tracked work after which everything counts as at rest. */
  quietTurns?: number
  /** Real milliseconds that tracked work may take before `advance` gives up: it probably waits for the clock it holds up. */
  trackLimitMs?: number
}

interface Entry {
  readonly due: number
  readonly sequence: number
  fn: (() => void) | undefined
  /** Where in the heap. */
  at: number
}

const START_MS = 1_000_000
const WALL_MS = Date.UTC(2026, 0, 1)
const DEFAULT_LIMIT_MS = 3_600_000
const IDLE_RESTS = 400

/** A clock that a test sets by hand. */
export class ManualClock implements Clock {
  readonly #wallOffset: number
  readonly #quietTurns: number
  readonly #trackLimitMs: number
  readonly #heap: Entry[] = [] // bounded by the timers of the test
  readonly #tracked = new Set<Promise<unknown>>() // bounded by the work of the test
  #now = START_MS
  #sequence = 0
  /** Grows with every timer and every piece of tracked work: what `settle` watches. */
  #activity = 0
  #driving: Promise<void> = Promise.resolve()

  constructor(options: ManualClockOptions = {}) {
    this.#wallOffset = (options.wallTimeMs ?? WALL_MS) - START_MS
    this.#quietTurns = options.quietTurns ?? 3
    this.#trackLimitMs = options.trackLimitMs ?? 20_000
  }

  now(): number {
    return this.#now
  }

  wallTimeMs(): number {
    return Math.floor(this.#now + this.#wallOffset)
  }

  after(delayMs: number, fn: () => void): Timer {
    this.#activity++
    const waitMs = Number.isNaN(delayMs) ? 0 : Math.max(0, delayMs)
    const entry: Entry = { due: this.#now + waitMs, sequence: this.#sequence++, fn, at: 0 }
    this.#push(entry)
    return {
      cancel: () => {
        if (!entry.fn) return
        entry.fn = undefined
        this.#remove(entry)
      },
    }
  }

  track<T>(work: Promise<T>): Promise<T> {
    this.#activity++
    const done = () => {
      this.#activity++
      this.#tracked.delete(work)
    }
    this.#tracked.add(work)
    work.then(done, done)
    return work
  }

  /** Timers that have not run: their delays from now, soonest first. Empty when nothing leaked. */
  pending(): number[] {
    return this.#heap.map((entry) => entry.due - this.#now).sort((a, b) => a - b)
  }

  /** Lets everything that is due now run and come to rest; time does not pass. */
  settle(): Promise<void> {
    return this.#drive(() => this.#runTo(this.#now))
  }

  /** Lets `ms` milliseconds pass, with everything that falls into them. */
  advance(ms: number): Promise<void> {
    if (!(ms >= 0)) return Promise.reject(new JamiError('ERR_ARGUMENT', `advance: got ${ms}, allowed a number of milliseconds >= 0`))
    return this.#drive(() => this.#runTo(this.#now + ms))
  }

  /** Lets time pass until `condition` holds. @throws ERR_TIMEOUT after `limitMs` (an hour) or when nothing is left to run */
  async runUntil(condition: () => boolean, limitMs = DEFAULT_LIMIT_MS): Promise<void> {
    return this.#drive(async () => {
      const end = this.#now + limitMs
      await this.#rest()
      for (let idle = 0; !condition(); ) {
        const next = this.#heap[0]
        if (!next && idle++ < IDLE_RESTS) {
          await this.#rest() // something slow outside the clock may still bring it about
          continue
        }
        if (!next || next.due > end)
          throw new JamiError('ERR_TIMEOUT', next ? `not so within ${limitMs} ms` : 'not so, and no timer is left that could change it', { details: { limitMs, pending: this.#heap.length } })
        await this.#runNext(next)
      }
    })
  }

  /** Lets time pass until `work` settles, and gives its outcome. @throws ERR_TIMEOUT as `runUntil` */
  async run<T>(work: Promise<T>, limitMs = DEFAULT_LIMIT_MS): Promise<T> {
    let settled = false
    const done = () => {
      settled = true
    }
    work.then(done, done)
    await this.runUntil(() => settled, limitMs)
    return work
  }

  /** One at a time, in order of the calls. */
  #drive(work: () => Promise<void>): Promise<void> {
    const running = this.#driving.then(work)
    this.#driving = running.catch(() => {})
    return running
  }

  async #runTo(end: number): Promise<void> {
    await this.#rest()
    for (let next = this.#heap[0]; next && next.due <= end; next = this.#heap[0]) await this.#runNext(next)
    this.#now = end
  }

  async #runNext(entry: Entry): Promise<void> {
    this.#now = Math.max(this.#now, entry.due)
    const { fn } = entry
    entry.fn = undefined
    this.#remove(entry)
    fn?.()
    await this.#rest()
  }

  /** Until a few turns of the event loop brought nothing new and no tracked work is under way. */
  async #rest(): Promise<void> {
    for (let quiet = 0, seen = this.#activity; quiet < this.#quietTurns; ) {
      await new Promise<void>((resolve) => setImmediate(resolve))
      if (this.#tracked.size > 0) await this.#untracked()
      if (this.#activity === seen) quiet++
      else {
        quiet = 0
        seen = this.#activity
      }
    }
  }

  async #untracked(): Promise<void> {
    let limit: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<'late'>((resolve) => {
      limit = setTimeout(() => resolve('late'), this.#trackLimitMs)
    })
    try {
      while (this.#tracked.size > 0) {
        const outcome = await Promise.race([late, Promise.allSettled(this.#tracked)])
        if (outcome === 'late') throw new JamiError('ERR_INTERNAL', `${this.#tracked.size} pieces of tracked work did not settle within ${this.#trackLimitMs} real ms: they may wait for the clock they hold up`)
      }
    } finally {
      clearTimeout(limit)
    }
  }

  // A binary heap that knows where each entry is, so that cancelling is cheap.

  #push(entry: Entry): void {
    this.#heap.push(entry)
    this.#up(entry, this.#heap.length - 1)
  }

  #remove(entry: Entry): void {
    const last = this.#heap.pop() as Entry
    if (last === entry) return
    this.#up(last, entry.at)
    this.#down(last, last.at)
  }

  #up(entry: Entry, from: number): void {
    let at = from
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = this.#heap[above] as Entry
      if (before(parent, entry)) break
      this.#put(parent, at)
      at = above
    }
    this.#put(entry, at)
  }

  #down(entry: Entry, from: number): void {
    let at = from
    for (;;) {
      let below = 2 * at + 1
      if (below >= this.#heap.length) break
      if (below + 1 < this.#heap.length && before(this.#heap[below + 1] as Entry, this.#heap[below] as Entry)) below++
      const child = this.#heap[below] as Entry
      if (before(entry, child)) break
      this.#put(child, at)
      at = below
    }
    this.#put(entry, at)
  }

  #put(entry: Entry, at: number): void {
    this.#heap[at] = entry
    entry.at = at
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.due < b.due || (a.due === b.due && a.sequence < b.sequence)
}
