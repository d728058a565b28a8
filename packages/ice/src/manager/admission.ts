// How many incoming requests are worked on at once and in a minute, by what the sender is to us: whoever makes a thousand keys, or has
// a thousand devices, uses up its own share. No I/O; time comes in. docs/protocol/02 §8.6 S2. Proof: manager/admission.test.ts.
import type { AccessPolicy, PeerClass, PeerIdentity } from '@jamikit/core/contracts'
import { LOOKUPS_PER_MINUTE, MAX_COUNTED_DEVICES, MAX_LOOKUPS, NEGOTIATIONS, REQUESTS_PER_DEVICE_MINUTE } from '../defaults.ts'

/** Ends what was admitted; idempotent. */
export type Leave = () => void

export function classOf(policy: AccessPolicy, peer: PeerIdentity): PeerClass {
  return policy.classOf?.(peer) ?? (policy.allowsLink(peer) ? 'contact' : 'stranger')
}

export class Admission {
  readonly #active = new Map<string, number>() // by class, by class and account; bounded by NEGOTIATIONS
  readonly #rates: Record<PeerClass, Map<string, { minute: number; count: number }>> = { own: new Map(), contact: new Map(), member: new Map(), stranger: new Map() } // each bounded by MAX_COUNTED_DEVICES
  #lookups = 0
  #lookupMinute = { minute: 0, count: 0 }

  /** A negotiation with a device whose certificate we have; undefined when its share is used up. */
  enter(peer: PeerIdentity, kind: PeerClass, nowMs: number): Leave | undefined {
    const { total, perAccount } = NEGOTIATIONS[kind]
    const account = `${kind} ${peer.accountId}`
    if (this.#count(kind) >= total || this.#count(account) >= perAccount || !this.#rate(kind, peer.deviceId, nowMs)) return undefined
    for (const key of [kind, account]) this.#active.set(key, this.#count(key) + 1)
    return once(() => {
      for (const key of [kind, account]) {
        const left = this.#count(key) - 1
        if (left > 0) this.#active.set(key, left)
        else this.#active.delete(key)
      }
    })
  }

  /** A look-up of the certificate of somebody unknown. */
  look(nowMs: number): Leave | undefined {
    const minute = Math.floor(nowMs / 60_000)
    if (this.#lookupMinute.minute !== minute) this.#lookupMinute = { minute, count: 0 }
    if (this.#lookups >= MAX_LOOKUPS || this.#lookupMinute.count >= LOOKUPS_PER_MINUTE) return undefined
    this.#lookupMinute.count++
    this.#lookups++
    return once(() => this.#lookups--)
  }

  #count(key: string): number {
    return this.#active.get(key) ?? 0
  }

  #rate(kind: PeerClass, device: string, nowMs: number): boolean {
    const counts = this.#rates[kind]
    const minute = Math.floor(nowMs / 60_000)
    const known = counts.get(device)
    const count = known?.minute === minute ? known.count + 1 : 1
    counts.delete(device)
    for (const [oldest] of counts) {
      if (counts.size < MAX_COUNTED_DEVICES) break
      counts.delete(oldest)
    }
    counts.set(device, { minute, count })
    return count <= REQUESTS_PER_DEVICE_MINUTE
  }
}

function once(fn: () => void): Leave {
  let done = false
  return () => {
    if (done) return
    done = true
    fn()
  }
}
