// Channels whose reader does not come: when they pause the reading of their link, and for how long at most. This wire has no windows,
// so a paused link holds up every channel on it; patience is spent while one does that, and earned by what its reader takes: a
// trickle buys a trickle. No sockets; time from the clock. docs/protocol/02 §4.5. Proof: link/read-pressure.test.ts.
import type { Clock, Timer } from '@jamikit/core/contracts'
import { LINK_RECEIVE_BYTES, MIN_READ_BYTES_PER_S, RECEIVE_HIGH_BYTES, RECEIVE_LOW_BYTES, STALL_MS } from '../defaults.ts'

export interface Unread {
  /** Bytes that wait for the reader, with what each message costs beside its payload. */
  readonly waitingBytes: number
  /** Nothing more can come. */
  readonly isOver: boolean
}

export interface PressureHost {
  /** Stop reading the link, go on reading it. */
  pause(): void
  resume(): void
  /** Drop what waits in this channel, and end it. */
  end(channel: Unread): void
}

/** Something that holds up the link, as long as its timer runs. */
class Holder {
  readonly #clock: Clock
  readonly #over: () => void
  readonly #changed: (by: 1 | -1) => void
  #leftMs = STALL_MS
  #sinceMs = 0
  #takenBytes = 0
  #timer: Timer | undefined

  constructor(clock: Clock, changed: (by: 1 | -1) => void, over: () => void) {
    this.#clock = clock
    this.#changed = changed
    this.#over = over
  }

  took(bytes: number): void {
    this.#takenBytes += bytes
  }

  hold(): void {
    if (this.#timer) return
    this.#sinceMs = this.#clock.now()
    this.#settle()
    this.#timer = this.#arm()
    this.#changed(1)
  }

  release(): void {
    if (!this.#timer) return
    this.#settle()
    this.#timer.cancel()
    this.#timer = undefined
    this.#changed(-1)
  }

  #settle(): void {
    const now = this.#clock.now()
    const earnedMs = (this.#takenBytes * 1000) / MIN_READ_BYTES_PER_S
    this.#leftMs = Math.min(STALL_MS, this.#leftMs - (now - this.#sinceMs) + earnedMs)
    this.#sinceMs = now
    this.#takenBytes = 0
  }

  #arm(): Timer {
    return this.#clock.after(this.#leftMs, () => {
      this.#settle()
      if (this.#leftMs >= 1) this.#timer = this.#arm()
      else this.#over()
    })
  }
}

export class ReadPressure {
  readonly #clock: Clock
  readonly #host: PressureHost
  readonly #channels = new Map<Unread, Holder>() // those with bytes that wait; bounded by LINK_RECEIVE_BYTES
  readonly #link: Holder
  #total = 0
  #holding = 0
  #closed = false

  constructor(clock: Clock, host: PressureHost) {
    this.#clock = clock
    this.#host = host
    this.#link = this.#holder(() => this.#endFullest())
  }

  get paused(): boolean {
    return this.#holding > 0
  }

  /** What waits in a channel grew or shrank by so much, or (0) the channel is over. */
  changed(channel: Unread, by: number): void {
    if (this.#closed) return
    this.#total += by
    const waiting = channel.waitingBytes
    let holder = this.#channels.get(channel)
    if (!holder && waiting > 0) this.#channels.set(channel, (holder = this.#holder(() => this.#host.end(channel))))
    if (by < 0) for (const h of [holder, this.#link]) h?.took(-by)
    if (waiting > RECEIVE_HIGH_BYTES && !channel.isOver) holder?.hold()
    else if (waiting <= RECEIVE_LOW_BYTES || channel.isOver) holder?.release()
    if (waiting === 0) this.#channels.delete(channel)
    if (this.#total > LINK_RECEIVE_BYTES) this.#link.hold()
    else if (this.#total <= LINK_RECEIVE_BYTES - RECEIVE_LOW_BYTES) this.#link.release()
  }

  /** The link is over. */
  close(): void {
    if (this.#closed) return
    for (const holder of [...this.#channels.values(), this.#link]) holder.release()
    this.#closed = true
    this.#channels.clear()
  }

  #holder(over: () => void): Holder {
    return new Holder(this.#clock, (by) => {
      this.#holding += by
      if (this.#closed) return
      if (this.#holding === 1 && by === 1) this.#host.pause()
      else if (this.#holding === 0) this.#host.resume()
    }, over)
  }

  /** No single channel is at fault: those go that hold most, until half of the room is free. */
  #endFullest(): void {
    const fullest = [...this.#channels.keys()].sort((a, b) => b.waitingBytes - a.waitingBytes)
    for (const channel of fullest) {
      if (this.#total <= LINK_RECEIVE_BYTES / 2) return
      this.#host.end(channel)
    }
  }
}
