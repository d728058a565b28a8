// Contact requests come once and tell only the key of the sending device: who it is must be looked up, and may not be known yet (its
// certificate is on its way, or begins later by our clock). They wait here, bounded by class, and are tried again for a day.
// docs/protocol/03 §5.4. Proof: account/trust-requests-sender.test.ts.
import { JamiError } from '../base/errors.ts'
import type { Tasks } from '../base/tasks.ts'
import type { Clock, Timer } from '../contracts/clock.ts'
import type { PeerIdentity } from '../contracts/identity.ts'
import type { DeviceId, InfoHash } from '../contracts/ids.ts'

/** Requests that wait, and look-ups at the same time: of devices of contacts, and of everybody else. */
export const WAITING = { contact: { max: 64, lookups: 4 }, stranger: { max: 128, lookups: 8 } } as const
/** Of one device. */
export const MAX_WAITING_PER_DEVICE = 4
const WAIT_FIRST_MS = 3_000
const WAIT_MAX_MS = 3_600_000
const GIVE_UP_MS = 86_400_000

export type SenderClass = keyof typeof WAITING

interface Entry {
  readonly device: DeviceId
  readonly shortId: InfoHash
  readonly class: SenderClass
  readonly deliver: (peer: PeerIdentity) => Promise<void>
  readonly sinceMs: number
  waitMs: number
  dueMs: number
  busy: boolean
}

export interface SenderLookupsEnv {
  readonly clock: Clock
  readonly tasks: Tasks
  readonly find: (device: DeviceId, shortId: InfoHash, signal: AbortSignal) => Promise<PeerIdentity | undefined>
  /** A request was dropped: no place, or nobody could tell who sent it. */
  readonly onDropped: (key: string, device: DeviceId, why: string) => void
  /** Delivering failed; it is tried again when the disk refused. */
  readonly onFailed: (error: unknown, again: boolean) => void
}

export class SenderLookups {
  readonly #env: SenderLookupsEnv
  readonly #entries = new Map<string, Entry>() // bounded by WAITING
  readonly #running = { contact: 0, stranger: 0 }
  #timer: Timer | undefined

  constructor(env: SenderLookupsEnv) {
    this.#env = env
  }

  get size(): number {
    return this.#entries.size
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  /** @param key of the content: the same waits once */
  offer(key: string, { device, shortId }: { device: DeviceId; shortId: InfoHash }, of: SenderClass, deliver: (peer: PeerIdentity) => Promise<void>): void {
    if (this.#entries.has(key)) return
    let [same, count] = [0, 0]
    let tried: string | undefined
    for (const [other, entry] of this.#entries) {
      if (entry.device === device) same++
      if (entry.class !== of) continue
      count++
      if (!entry.busy && entry.waitMs > WAIT_FIRST_MS) tried ??= other // has had its chance
    }
    if (same >= MAX_WAITING_PER_DEVICE || (count >= WAITING[of].max && tried === undefined)) return this.#env.onDropped(key, device, 'too many requests wait for their sender')
    if (count >= WAITING[of].max && tried !== undefined) this.#drop(tried, 'too many requests wait for their sender')
    const now = this.#env.clock.now()
    this.#entries.set(key, { device, shortId, class: of, deliver, sinceMs: now, waitMs: WAIT_FIRST_MS, dueMs: now, busy: false })
    this.#pump()
  }

  #drop(key: string, why: string): void {
    const entry = this.#entries.get(key)
    this.#entries.delete(key)
    if (entry) this.#env.onDropped(key, entry.device, why)
  }

  #pump(): void {
    const now = this.#env.clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const [key, entry] of this.#entries) {
      if (entry.busy) continue
      if (entry.dueMs > now) next = Math.min(next, entry.dueMs)
      else if (this.#running[entry.class] < WAITING[entry.class].lookups) this.#look(key, entry)
    }
    this.#timer?.cancel()
    this.#timer = next === Number.POSITIVE_INFINITY ? undefined : this.#env.tasks.after(next - now, 'senders of requests', () => this.#pump())
  }

  #look(key: string, entry: Entry): void {
    entry.busy = true
    this.#running[entry.class]++
    this.#env.tasks.run('sender of a request', async (signal) => {
      try {
        await this.#try(key, entry, signal)
      } finally {
        entry.busy = false
        this.#running[entry.class]--
        if (!signal.aborted) this.#pump()
      }
    })
  }

  async #try(key: string, entry: Entry, signal: AbortSignal): Promise<void> {
    const peer = await this.#env.find(entry.device, entry.shortId, signal).catch((error) => {
      if (!signal.aborted) this.#env.onFailed(error, true)
      return undefined
    })
    if (signal.aborted) return
    if (peer) {
      try {
        await entry.deliver(peer)
        this.#entries.delete(key)
        return
      } catch (error) {
        const again = JamiError.is(error, 'ERR_STORAGE_IO')
        if (!again || entry.waitMs === WAIT_FIRST_MS) this.#env.onFailed(error, again) // told once
        if (!again) return void this.#entries.delete(key)
      }
    }
    const now = this.#env.clock.now()
    if (now - entry.sinceMs >= GIVE_UP_MS) return this.#drop(key, 'nobody could tell who sent it')
    entry.dueMs = now + entry.waitMs
    entry.waitMs = Math.min(2 * entry.waitMs, WAIT_MAX_MS)
  }
}
