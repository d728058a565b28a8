// Getting one file: which device is asked when, what counts as progress, when it is wrong, and when it is gone. A function of events and
// time: whoever drives it opens channels, writes, hashes and keeps the timer. docs/protocol/04 §7.2.
// Proof: transfer/download.test.ts (virtual time).
import type { DeviceId } from '@jamikit/core/contracts'
import {
  FIND_FIRST_MS, FIND_MAX_MS, HEDGE_MS, MAX_MISMATCHES, MAX_OPENING, MAX_SOURCES, MAX_START_OF_DAEMONS, RECEIVE_MIN_RATE, RECEIVE_STALL_MS, RECEIVE_WINDOW_MS, REFUSALS_OF_SENDER,
  SOURCE_RETRY_FIRST_MS, SOURCE_RETRY_MAX_MS,
} from '../defaults.ts'

/** What is to be done. */
export type DownloadEffect =
  /** Look for devices: `found` for each, then `searched`. */
  | { readonly kind: 'find' }
  /** Open a channel: `opened` or `refused`. */
  | { readonly kind: 'open'; readonly device: DeviceId; readonly start: number }
  /** End the channel, or give up opening it; nothing of it counts any more. */
  | { readonly kind: 'drop'; readonly device: DeviceId }
  /** Throw away what came, on disk first; `why` decides about readers. */
  | { readonly kind: 'reset'; readonly why: 'wrong' | 'restart' }
  /** All bytes are here: `verified` says whether they are the announced ones. */
  | { readonly kind: 'verify' }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly code: 'ERR_FILE_HASH' | 'ERR_FILE_GONE' }

/** `declined`: it is there and does not give the file. `away`: not reached. `broken`: it failed later. */
export type Refusal = 'declined' | 'away' | 'broken'

interface Source {
  readonly device: DeviceId
  state: 'idle' | 'opening' | 'giving'
  sinceMs: number
  failures: number
  notBeforeMs: number
  declines: number
  /** It alone gave bytes that are not the file. */
  blamed: boolean
  /** It declines where the file goes on, and may be a daemon that reads 32 bits: it is asked for all of it. */
  short: boolean
}

type Phase = 'seeking' | 'running' | 'verifying' | 'paused' | 'over'

const backOff = (failures: number, firstMs: number, maxMs: number) => Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 20))

export class Download {
  readonly #size: number
  readonly #sender: DeviceId
  readonly #sources = new Map<DeviceId, Source>() // bounded by MAX_SOURCES
  /** Who gave what is here; `undefined` for what was here before. Bounded by the sources. */
  readonly #givers = new Set<DeviceId | undefined>()
  #effects: DownloadEffect[] = []
  #phase: Phase = 'seeking'
  #have: number
  #mismatches = 0
  #finding = false
  #finds = 0
  #nextFindMs: number
  #foundMs = Number.NEGATIVE_INFINITY
  #lastBytesMs = 0
  #windowMs = 0
  #windowBytes = 0
  #givenBytes = 0

  /** @param have bytes that an earlier run left @param sender the device that announced the file */
  constructor(options: { readonly size: number; readonly have: number; readonly sender: DeviceId; readonly nowMs: number }) {
    this.#size = options.size
    this.#sender = options.sender
    this.#have = options.have
    this.#nextFindMs = options.nowMs
    if (options.have > 0) this.#givers.add(undefined)
  }

  get have(): number {
    return this.#have
  }

  get phase(): Phase {
    return this.#phase
  }

  /** How many of `length` bytes that came are still missing. */
  room(length: number): number {
    return Math.min(length, this.#size - this.#have)
  }

  /** When `tick` is due. */
  get wakeAtMs(): number | undefined {
    if (this.#phase === 'running') return Math.min(this.#lastBytesMs + RECEIVE_STALL_MS, this.#windowMs + RECEIVE_WINDOW_MS)
    if (this.#phase !== 'seeking') return undefined
    let at = this.#finding ? Number.POSITIVE_INFINITY : this.#nextFindMs
    const opening = this.#openings()
    const hedge = opening.length >= MAX_OPENING ? Number.POSITIVE_INFINITY : opening.length > 0 ? Math.max(...opening.map(({ sinceMs }) => sinceMs)) + HEDGE_MS : 0
    for (const source of this.#sources.values()) if (source.state === 'idle' && !source.blamed) at = Math.min(at, Math.max(source.notBeforeMs, hedge))
    return at === Number.POSITIVE_INFINITY ? undefined : at
  }

  // ---------------------------------------------------------------- events

  /** Begins, or time has come. */
  tick(nowMs: number): DownloadEffect[] {
    if (this.#phase === 'running') this.#checkPace(nowMs)
    return this.#advance(nowMs)
  }

  found(device: DeviceId, nowMs: number): DownloadEffect[] {
    if (!this.#sources.has(device) && this.#sources.size < MAX_SOURCES)
      this.#sources.set(device, { device, state: 'idle', sinceMs: nowMs, failures: 0, notBeforeMs: nowMs, declines: 0, blamed: false, short: false })
    return this.#advance(nowMs)
  }

  searched(nowMs: number): DownloadEffect[] {
    this.#finding = false
    this.#foundMs = nowMs
    this.#nextFindMs = nowMs + backOff(++this.#finds, FIND_FIRST_MS, FIND_MAX_MS)
    return this.#advance(nowMs)
  }

  /** There is reason to believe that this device, or (without one) anybody, may have it now. */
  encouraged(device: DeviceId | undefined, nowMs: number): DownloadEffect[] {
    for (const source of this.#sources.values()) {
      if (source.state !== 'idle' || (device !== undefined && source.device !== device)) continue
      source.notBeforeMs = Math.min(source.notBeforeMs, Math.max(nowMs, source.sinceMs + SOURCE_RETRY_FIRST_MS))
    }
    if (device === undefined) this.#nextFindMs = Math.min(this.#nextFindMs, Math.max(nowMs, this.#foundMs + FIND_FIRST_MS)) // whoever encourages us all the time costs no more
    else if (!this.#sources.has(device)) return this.found(device, nowMs)
    return this.#advance(nowMs)
  }

  opened(device: DeviceId, nowMs: number): DownloadEffect[] {
    const source = this.#sources.get(device)
    if (this.#phase !== 'seeking' || source?.state !== 'opening') {
      if (source?.state === 'opening') source.state = 'idle'
      this.#effects.push({ kind: 'drop', device })
      return this.#taken()
    }
    if (source.short && this.#have > 0) this.#reset('restart')
    source.state = 'giving'
    this.#phase = 'running'
    this.#lastBytesMs = this.#windowMs = nowMs
    this.#windowBytes = this.#givenBytes = 0
    for (const other of this.#openings()) this.#drop(other)
    return this.#advance(nowMs)
  }

  refused(device: DeviceId, why: Refusal, nowMs: number): DownloadEffect[] {
    const source = this.#sources.get(device)
    if (source?.state !== 'opening') return this.#taken()
    source.state = 'idle'
    if (why === 'declined' && this.#have >= MAX_START_OF_DAEMONS && !source.short) source.short = true // first without a penalty: everybody else may go on from here
    else {
      if (why === 'declined') source.declines++
      this.#penalise(source, nowMs)
    }
    return this.#advance(nowMs)
  }

  /** So many bytes of the source that gives are on disk; at most `room`. */
  bytes(device: DeviceId, length: number, nowMs: number): DownloadEffect[] {
    const source = this.#giving()
    if (this.#phase !== 'running' || source?.device !== device) return this.#taken()
    this.#have += length
    this.#windowBytes += length
    this.#givenBytes += length
    if (length > 0) {
      this.#lastBytesMs = nowMs
      this.#givers.add(device)
      source.declines = 0
    }
    this.#checkPace(nowMs)
    return this.#advance(nowMs)
  }

  /** The channel of the source that gives is over. */
  ended(device: DeviceId, nowMs: number): DownloadEffect[] {
    const source = this.#giving()
    if (this.#phase !== 'running' || source?.device !== device || this.#have === this.#size) return this.#taken()
    this.#leave(source, nowMs)
    return this.#advance(nowMs)
  }

  verified(ok: boolean, nowMs: number): DownloadEffect[] {
    if (this.#phase !== 'verifying') return this.#taken()
    if (ok) {
      this.#end({ kind: 'done' })
      return this.#taken()
    }
    const [only, ...others] = this.#givers
    const source = others.length === 0 && only !== undefined ? this.#sources.get(only) : undefined
    if (source) source.blamed = true
    this.#mismatches++
    this.#reset('wrong')
    this.#phase = 'seeking'
    return this.#advance(nowMs)
  }

  pause(): DownloadEffect[] {
    if (this.#phase !== 'seeking' && this.#phase !== 'running') return this.#taken()
    for (const source of this.#sources.values()) if (source.state !== 'idle') this.#drop(source)
    this.#phase = 'paused'
    return this.#taken()
  }

  resume(nowMs: number): DownloadEffect[] {
    if (this.#phase !== 'paused') return this.#taken()
    this.#phase = 'seeking'
    for (const source of this.#sources.values()) source.notBeforeMs = Math.min(source.notBeforeMs, nowMs)
    return this.#advance(nowMs)
  }

  /** The announcement was deleted. */
  gone(): DownloadEffect[] {
    if (this.#phase !== 'over') this.#end({ kind: 'failed', code: 'ERR_FILE_GONE' })
    return this.#taken()
  }

  // ---------------------------------------------------------------- decisions

  #advance(nowMs: number): DownloadEffect[] {
    if ((this.#phase === 'seeking' || this.#phase === 'running') && this.#have === this.#size) {
      for (const source of this.#sources.values()) if (source.state !== 'idle') this.#drop(source)
      this.#phase = 'verifying'
      this.#effects.push({ kind: 'verify' })
    }
    if (this.#phase === 'seeking' && this.#isWrong()) this.#end({ kind: 'failed', code: 'ERR_FILE_HASH' })
    if (this.#phase === 'seeking' && this.#isGone()) this.#end({ kind: 'failed', code: 'ERR_FILE_GONE' })
    if (this.#phase !== 'seeking') return this.#taken()
    if (!this.#finding && nowMs >= this.#nextFindMs) {
      this.#finding = true
      this.#effects.push({ kind: 'find' })
    }
    for (let next = this.#next(nowMs); next; next = this.#next(nowMs)) {
      next.state = 'opening'
      next.sinceMs = nowMs
      this.#effects.push({ kind: 'open', device: next.device, start: next.short ? 0 : this.#have })
    }
    return this.#taken()
  }

  /** Whom to ask now: one at a time, another when that takes long; whoever failed least, the sender first. */
  #next(nowMs: number): Source | undefined {
    const opening = this.#openings()
    if (opening.length >= MAX_OPENING || opening.some(({ sinceMs }) => nowMs < sinceMs + HEDGE_MS)) return undefined
    const ready = [...this.#sources.values()].filter(({ state, blamed, notBeforeMs }) => state === 'idle' && !blamed && notBeforeMs <= nowMs)
    const rank = ({ short, failures, device }: Source) => (short ? 1e6 : 0) + 2 * Math.min(failures, 1e5) + (device === this.#sender ? 0 : 1)
    return ready.sort((a, b) => rank(a) - rank(b))[0]
  }

  /** Everybody who was found gave wrong bytes, or it was wrong too often. */
  #isWrong(): boolean {
    if (this.#mismatches >= MAX_MISMATCHES) return true
    return this.#mismatches > 0 && !this.#finding && [...this.#sources.values()].every(({ blamed }) => blamed)
  }

  /** Who announced it does not have it any more, and nobody who is there does. */
  #isGone(): boolean {
    const sender = this.#sources.get(this.#sender)
    if (!sender || sender.declines < REFUSALS_OF_SENDER) return false
    return [...this.#sources.values()].every(({ state, blamed, failures }) => state === 'idle' && (blamed || failures > 0))
  }

  #checkPace(nowMs: number): void {
    const source = this.#giving()
    if (!source || this.#have === this.#size) return
    const windowOver = nowMs >= this.#windowMs + RECEIVE_WINDOW_MS
    const slow = windowOver && this.#windowBytes < (RECEIVE_MIN_RATE * RECEIVE_WINDOW_MS) / 1000
    if (windowOver) {
      this.#windowMs = nowMs
      this.#windowBytes = 0
    }
    if (!slow && nowMs < this.#lastBytesMs + RECEIVE_STALL_MS) return
    this.#effects.push({ kind: 'drop', device: source.device })
    if (slow) this.#givenBytes = 0 // not what was meant
    this.#leave(source, nowMs)
  }

  /** The source that gave does no more: one that gave something is asked again soon. */
  #leave(source: Source, nowMs: number): void {
    source.state = 'idle'
    if (this.#givenBytes > 0) source.failures = 0
    this.#phase = 'seeking'
    this.#penalise(source, nowMs)
  }

  #penalise(source: Source, nowMs: number): void {
    source.failures++
    source.notBeforeMs = nowMs + backOff(source.failures, SOURCE_RETRY_FIRST_MS, SOURCE_RETRY_MAX_MS)
  }

  #drop(source: Source): void {
    source.state = 'idle'
    this.#effects.push({ kind: 'drop', device: source.device })
  }

  #reset(why: 'wrong' | 'restart'): void {
    this.#have = 0
    this.#givers.clear()
    for (const source of this.#sources.values()) source.short = false
    this.#effects.push({ kind: 'reset', why })
  }

  #end(effect: DownloadEffect): void {
    for (const source of this.#sources.values()) if (source.state !== 'idle') this.#drop(source)
    this.#phase = 'over'
    this.#effects.push(effect)
  }

  #openings(): Source[] {
    return [...this.#sources.values()].filter(({ state }) => state === 'opening')
  }

  #giving(): Source | undefined {
    for (const source of this.#sources.values()) if (source.state === 'giving') return source
    return undefined
  }

  #taken(): DownloadEffect[] {
    const effects = this.#effects
    this.#effects = []
    return effects
  }
}
