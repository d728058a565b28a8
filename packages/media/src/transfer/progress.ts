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
    const [first] = this.#marks
    const bytes = this.#marks.reduce((sum, mark) => sum + mark.bytes, 0)
    const ms = first && now - first.atMs > 0 ? Math.max(now - first.atMs, PROGRESS_MIN_MS) : RATE_MS
    return { doneBytes: this.#most, totalBytes: this.totalBytes, bytesPerSec: first === undefined || now - first.atMs > RATE_MS ? 0 : Math.round((bytes * 1000) / ms) }
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
    if (this.#timer || this.#source.size === 0) return
    const now = this.#clock.now()
    const waitMs = this.#moved > 0 ? this.#toldMs + PROGRESS_MIN_MS - now : PROGRESS_BEAT_MS
    this.#timer = this.#clock.after(Math.max(0, waitMs), () => {
      this.#timer = undefined
      this.#toldMs = this.#clock.now()
      this.#moved = 0
      this.#source.emit(this.value())
      if (this.#running) this.#schedule()
    })
  }
}
