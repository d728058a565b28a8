// Leases whose certificate is not here yet: looked for in the store, then at the peer that brought them, then on the DHT, then dropped. A peer
// is asked one thing at a time, and what nobody asked for is not looked at. Pure. docs/protocol/04 §6.7. Proof: drt/leases.test.ts.
import type { AccountUri, DeviceId, PeerIdentity } from '@jamikit/core/contracts'
import { chainsOf, isBetterLease } from './leases.ts'
import { CERTIFICATE_TIMEOUT_MS, MAX_CERTIFICATE_IDS, MAX_LEASE_LOOKUPS, MAX_PENDING_LEASES } from './limits.ts'
import type { MobileLease } from './wire.ts'

export interface LeaseActions {
  /** Answered by `found`. */
  find(device: DeviceId, account: AccountUri, where: 'here' | 'dht'): void
  /** Answered by `answered`, or not. */
  ask(peer: DeviceId, ids: readonly DeviceId[]): void
  /** The peer can be asked: it is connected, and speaks version 3. */
  canAsk(peer: DeviceId): boolean
  /** May look this up on the DHT for a peer that brought it. */
  mayLookUp(peer: DeviceId): boolean
  check(lease: MobileLease, peer: PeerIdentity): void
}

const keyOf = (device: DeviceId, from: DeviceId) => `${device}${from}`

interface Pending {
  readonly lease: MobileLease
  readonly from: DeviceId
  stage: 'here' | 'wants-peer' | 'asked' | 'wants-dht' | 'dht'
}

export class PendingLeases {
  readonly #actions: LeaseActions
  /** By device and the peer that brought it: what one peer brings never takes the place of what another one did. */
  readonly #pending = new Map<string, Pending>() // bounded by MAX_PENDING_LEASES
  readonly #asked = new Map<DeviceId, { readonly ids: ReadonlySet<DeviceId>; readonly deadlineMs: number }>() // by peer; bounded by #pending

  constructor(actions: LeaseActions) {
    this.#actions = actions
  }

  get size(): number {
    return this.#pending.size
  }

  get nextMs(): number {
    let next = Number.POSITIVE_INFINITY
    for (const { deadlineMs } of this.#asked.values()) next = Math.min(next, deadlineMs)
    return next
  }

  /** A plausible lease that a peer brought. When there are too many, the peer that brought most loses the one that expires first. */
  add(lease: MobileLease, from: DeviceId): void {
    const key = keyOf(lease.device, from)
    const present = this.#pending.get(key)
    if (present && !isBetterLease(lease, present.lease)) return
    if (!present && this.#pending.size >= MAX_PENDING_LEASES) {
      const victim = this.#victim(from)
      if (victim.from === from && victim.lease.expiresAt >= lease.expiresAt) return
      this.#delete(victim)
    }
    this.#pending.set(key, { lease, from, stage: 'here' })
    this.#actions.find(lease.device, lease.issuer, 'here')
  }

  #victim(from: DeviceId): Pending {
    const counts = new Map<DeviceId, number>([[from, 1]]) // bounded by MAX_PENDING_LEASES
    for (const pending of this.#pending.values()) counts.set(pending.from, (counts.get(pending.from) ?? 0) + 1)
    const most = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a))[0]
    return [...this.#pending.values()].filter((pending) => pending.from === most).reduce((a, b) => (b.lease.expiresAt < a.lease.expiresAt ? b : a))
  }

  /** What a look-up in the store or on the DHT has brought. */
  found(device: DeviceId, where: 'here' | 'dht', peer: PeerIdentity | undefined, nowMs: number): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.lease.device !== device || pending.stage !== where) continue
      if (peer) this.#check(pending, peer)
      else if (where === 'dht') this.#delete(pending)
      else pending.stage = 'wants-peer'
    }
    this.#proceed(nowMs)
  }

  /** Certificates that a peer sent; only of what it was asked. @returns false when it was asked nothing */
  answered(from: DeviceId, certificates: readonly Uint8Array[], nowMs: number, wallMs: number): boolean {
    const asked = this.#asked.get(from)
    if (!asked) return false
    this.#asked.delete(from)
    for (const peer of chainsOf(certificates, asked.ids, wallMs)) {
      const pending = this.#pending.get(keyOf(peer.deviceId, from))
      if (pending?.stage === 'asked' && pending.lease.issuer === peer.accountId) this.#check(pending, peer)
    }
    this.#giveUp(from, asked.ids)
    this.#proceed(nowMs)
    return true
  }

  /** The channel with a peer is closed. */
  gone(from: DeviceId, nowMs: number): void {
    const asked = this.#asked.get(from)
    this.#asked.delete(from)
    if (asked) this.#giveUp(from, asked.ids)
    this.#proceed(nowMs)
  }

  tick(nowMs: number): void {
    for (const [from, { ids, deadlineMs }] of this.#asked) {
      if (deadlineMs > nowMs) continue
      this.#asked.delete(from)
      this.#giveUp(from, ids)
    }
    this.#proceed(nowMs)
  }

  /** Devices of whom nothing is wanted any more. */
  drop(match: (lease: MobileLease) => boolean): void {
    for (const pending of this.#pending.values()) if (match(pending.lease)) this.#delete(pending)
  }

  #delete({ lease, from }: Pending): void {
    this.#pending.delete(keyOf(lease.device, from))
  }

  #check(pending: Pending, peer: PeerIdentity): void {
    this.#delete(pending)
    this.#actions.check(pending.lease, peer)
  }

  #giveUp(from: DeviceId, ids: ReadonlySet<DeviceId>): void {
    for (const id of ids) {
      const pending = this.#pending.get(keyOf(id, from))
      if (pending?.stage === 'asked') pending.stage = 'wants-dht'
    }
  }

  #proceed(nowMs: number): void {
    const questions = new Map<DeviceId, DeviceId[]>() // bounded by MAX_PENDING_LEASES
    let lookups = 0
    for (const { stage } of this.#pending.values()) if (stage === 'dht') lookups++
    for (const pending of [...this.#pending.values()]) {
      const { lease, from } = pending
      if (pending.stage === 'wants-peer') {
        if (!this.#actions.canAsk(from)) pending.stage = 'wants-dht'
        else if (!this.#asked.has(from)) {
          const ids = questions.get(from) ?? []
          questions.set(from, ids)
          if (ids.length < MAX_CERTIFICATE_IDS) {
            ids.push(lease.device)
            pending.stage = 'asked'
          }
        }
      }
      if (pending.stage === 'wants-dht' && lookups < MAX_LEASE_LOOKUPS) {
        if (!this.#actions.mayLookUp(from)) {
          this.#delete(pending)
          continue
        }
        lookups++
        pending.stage = 'dht'
        this.#actions.find(lease.device, lease.issuer, 'dht')
      }
    }
    for (const [from, ids] of questions) {
      this.#asked.set(from, { ids: new Set(ids), deadlineMs: nowMs + CERTIFICATE_TIMEOUT_MS })
      this.#actions.ask(from, ids)
    }
  }
}
