// How much one device is served: sessions and bytes, as token buckets. Pure, time is an argument. docs/protocol/04 §4.3.
// Proof: sync/serve-rate.test.ts.
import { MAX_RATED_DEVICES, SERVED_BYTES, SERVED_BYTES_PER_MIN, SERVED_SESSIONS, SERVED_SESSIONS_PER_MIN } from '../defaults.ts'

interface Use {
  sessions: number
  bytes: number
  atMs: number
}

export class ServeRate {
  readonly #used = new Map<string, Use>() // bounded by MAX_RATED_DEVICES

  /** A session begins. @returns false when it is one too many */
  session(device: string, nowMs: number): boolean {
    const use = this.#use(device, nowMs)
    if (use.sessions >= SERVED_SESSIONS) return false
    use.sessions++
    return true
  }

  /** Whether a pack may begin: one that is larger than what is left comes through, and the next one waits. */
  mayPack(device: string, nowMs: number): boolean {
    return this.#use(device, nowMs).bytes < SERVED_BYTES
  }

  /** So many bytes went out. */
  sent(device: string, bytes: number, nowMs: number): void {
    const use = this.#use(device, nowMs)
    use.bytes = Math.min(use.bytes + bytes, 2 * SERVED_BYTES)
  }

  #use(device: string, nowMs: number): Use {
    const use = this.#used.get(device) ?? { sessions: 0, bytes: 0, atMs: nowMs }
    const minutes = Math.max(0, nowMs - use.atMs) / 60_000
    use.sessions = Math.max(0, use.sessions - minutes * SERVED_SESSIONS_PER_MIN)
    use.bytes = Math.max(0, use.bytes - minutes * SERVED_BYTES_PER_MIN)
    use.atMs = nowMs
    this.#used.delete(device)
    this.#used.set(device, use)
    if (this.#used.size > MAX_RATED_DEVICES) this.#forgetOne(device)
    return use
  }

  /** Of the devices that were not heard for longest, the one that used least: many new ones do not wash a heavy one out. */
  #forgetOne(except: string): void {
    let least: string | undefined
    let weight = Infinity
    let looked = 0
    for (const [device, { sessions, bytes }] of this.#used) {
      if (device === except) continue
      if (++looked > 16) break
      const its = sessions / SERVED_SESSIONS + bytes / SERVED_BYTES
      if (its < weight) [least, weight] = [device, its]
    }
    if (least !== undefined) this.#used.delete(least)
  }
}
