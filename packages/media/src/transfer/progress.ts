// How far a transfer is, told at a rate that a person can follow: never backwards, at most so often, and at least so often while it runs.
// Proof: transfer/progress.test.ts (virtual time).
import { Source } from '@jamikit/core/base'
import type { Clock, Timer, TransferProgress } from '@jamikit/core/contracts'
import { PROGRESS_BEAT_MS, PROGRESS_MIN_MS, RATE_MS } from '../defaults.ts'

export class Progress {
  readonly #clock: Clock
  readonly #source: Source<TransferProgress>
  readonly #marks: { atMs: number; bytes: number }[] = [] // of the last RATE_MS; bounded by RATE_MS / PROGRESS_MIN_MS
  #timer: Timer | undefined
  #dueMs = 0
  #toldMs = Number.NEGATIVE_INFINITY
  #most = 0
  #moved = 0
  #running = false

  totalBytes: number | undefined

  constructor(clock: Clock, totalBytes: number | undefined, onError: (error: unknown) => void) {
    this.#clock = clock
    this.totalBytes = totalBytes
    this.#source = new Source(onError)
  }

  get onProgress() {
    return this.#source.listen
  }

  value(): TransferProgress {
    const now = this.#clock.now()
    const marks = this.#marks.filter(({ atMs }) => atMs >= now - RATE_MS)
    const bytes = marks.reduce((sum, mark) => sum + mark.bytes, 0)
    const ms = Math.max(now - (marks[0]?.atMs ?? now), PROGRESS_MIN_MS)
    return { doneBytes: this.#most, totalBytes: this.totalBytes, bytesPerSec: Math.round((bytes * 1000) / ms) }
  }

  /** Something is on its way: told also while nothing comes. */
  run(running: boolean): void {
    this.#running = running
    if (running) this.#schedule()
  }

  /** So many bytes more came; `doneBytes` of the file are here. */
  moved(bytes: number, doneBytes: number): void {
    const now = this.#clock.now()
    this.#moved += bytes
    this.#most = Math.max(this.#most, doneBytes)
    const last = this.#marks.at(-1)
    if (last && now - last.atMs < PROGRESS_MIN_MS) last.bytes += bytes
    else this.#marks.push({ atMs: now, bytes })
    while ((this.#marks[0]?.atMs ?? now) < now - RATE_MS) this.#marks.shift()
    this.#schedule()
  }

  /** It is over: what is known now is told at once, nothing afterwards. */
  end(): void {
    this.#running = false
    this.#timer?.cancel()
    this.#timer = undefined
    this.#source.emit(this.value())
  }

  #schedule(): void {
    if (this.#source.size === 0) return
    const now = this.#clock.now()
    const dueMs = this.#moved > 0 ? Math.max(now, this.#toldMs + PROGRESS_MIN_MS) : now + PROGRESS_BEAT_MS
    if (this.#timer && this.#dueMs <= dueMs) return
    this.#timer?.cancel()
    this.#dueMs = dueMs
    this.#timer = this.#clock.after(dueMs - now, () => {
      this.#timer = undefined
      this.#toldMs = this.#clock.now()
      this.#moved = 0
      this.#source.emit(this.value())
      if (this.#running) this.#schedule()
    })
  }
}
