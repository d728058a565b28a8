// Mobile devices of a conversation: the leases that peers bring, our own, and whose certificates we may give to others. Part of the engine,
// without I/O. docs/protocol/04 §6.7. Proof: drt/engine.test.ts, drt/leases.test.ts.
import type { AccountUri, DeviceId, PeerIdentity } from '@jamikit/core/contracts'
import type { DrtHost, DrtOptions } from './host.ts'
import { isBetterLease, leaseTimes, needsRenewal, whyNotPlausible } from './leases.ts'
import { MAX_ANNOUNCED } from './limits.ts'
import type { Peers } from './peers.ts'
import { PendingLeases } from './pending-leases.ts'
import type { RoutingTable } from './routing-table.ts'
import type { MobileInfo, MobileLease } from './wire.ts'

/** Expired leases are gone after this at the latest, ms. */
const EXPIRY_MS = 60_000
const RENEWAL_MS = 3_600_000

export interface MobileActions {
  askForCertificates(peer: DeviceId, ids: readonly DeviceId[]): void
  /** A device that we did not know as mobile: others may have to. */
  pass(lease: MobileLease): void
}

export class Mobiles {
  readonly #o: DrtOptions
  readonly #host: DrtHost
  readonly #table: RoutingTable
  readonly #actions: MobileActions
  readonly #pending: PendingLeases
  readonly #announced = new Set<DeviceId>() // named to others; bounded by MAX_ANNOUNCED, oldest out
  #isMobile = false
  #lease: MobileLease | undefined
  #now: number
  #nextExpiryMs = Number.POSITIVE_INFINITY
  #nextRenewalMs = Number.POSITIVE_INFINITY

  constructor(options: DrtOptions, host: DrtHost, table: RoutingTable, peers: Peers, nowMs: number, actions: MobileActions) {
    this.#o = options
    this.#host = host
    this.#table = table
    this.#actions = actions
    this.#now = nowMs
    this.#pending = new PendingLeases({
      find: (device, account, where) => host.findCertificate(device, account, where),
      ask: (peer, ids) => actions.askForCertificates(peer, ids),
      canAsk: (peer) => table.node(peer) !== undefined && (peers.get(peer)?.version ?? 0) >= 3,
      mayLookUp: (peer) => peers.get(peer)?.lookups.tryTake(this.#now) ?? false,
      check: (lease, peer) => host.checkLease(lease, peer),
    })
  }

  get nextMs(): number {
    return Math.min(this.#pending.nextMs, this.#nextExpiryMs, this.#nextRenewalMs)
  }

  tick(now: number): void {
    this.#now = now
    this.#pending.tick(now)
    if (this.#nextExpiryMs <= now) this.#expire()
    if (this.#nextRenewalMs <= now) this.#renew()
  }

  // ---------------------------------------------------------------- ourselves

  get isMobile(): boolean {
    return this.#isMobile
  }

  /** What our questions and answers say of us. */
  get self(): MobileInfo | undefined {
    return this.#lease && { id: this.#o.device, lease: this.#lease }
  }

  setMobile(isMobile: boolean, now: number): void {
    this.#now = now
    this.#isMobile = isMobile
    if (!isMobile) this.#lease = undefined
    this.#nextRenewalMs = Number.POSITIVE_INFINITY
    if (isMobile) this.#renew()
  }

  /** @returns whether we have a new one */
  signed(lease: MobileLease | undefined): boolean {
    if (!this.#isMobile || !lease) return false
    this.#lease = lease
    return true
  }

  #renew(): void {
    this.#nextRenewalMs = this.#now + RENEWAL_MS
    if (!needsRenewal(this.#lease, this.#nowS())) return
    const times = leaseTimes(this.#nowS(), this.#o.certificateEndMs)
    if (times) this.#host.signLease(times)
  }

  // ---------------------------------------------------------------- others

  hear({ id, lease }: MobileInfo, from: DeviceId): void {
    if (lease && lease.device === id && this.#isUseful(lease)) this.#pending.add(lease, from)
  }

  #isUseful(lease: MobileLease): boolean {
    const context = { conversation: this.#o.conversation, isMember: (account: AccountUri) => this.#host.isMember(account), nowS: this.#nowS() }
    return lease.device !== this.#o.device && whyNotPlausible(lease, lease.device, context) === undefined
      && this.#host.isAllowed(lease.issuer, lease.device) && isBetterLease(lease, this.#table.lease(lease.device))
  }

  found(device: DeviceId, where: 'here' | 'dht', peer: PeerIdentity | undefined, now: number): void {
    this.#now = now
    this.#pending.found(device, where, peer, now)
  }

  /** @returns false when the peer was asked for none */
  answered(from: DeviceId, certificates: readonly Uint8Array[], now: number): boolean {
    this.#now = now
    return this.#pending.answered(from, certificates, now, this.#o.wallTimeMs())
  }

  gone(peer: DeviceId, now: number): void {
    this.#now = now
    this.#pending.gone(peer, now)
  }

  /** Whoever is no member any more has none that waits. */
  recheck(): void {
    this.#pending.drop(({ issuer }) => !this.#host.isMember(issuer))
  }

  checked(lease: MobileLease, good: boolean, now: number): void {
    this.#now = now
    if (!good || !this.#isUseful(lease)) return
    const node = this.#table.node(lease.device)
    if (node && !node.isMobile) return // it says of itself that it is not
    const isNew = this.#table.lease(lease.device) === undefined
    if (!this.#table.setMobile(lease)) return
    if (this.#nextExpiryMs === Number.POSITIVE_INFINITY) this.#nextExpiryMs = now + EXPIRY_MS
    this.#host.mobilesChanged()
    if (isNew) this.#actions.pass(lease) // a newer lease of the same device is not passed on: nobody gains a flood by making them
  }

  /** Of an earlier run, checked then. */
  restore(leases: Iterable<MobileLease>, now: number): void {
    for (const lease of leases) if (this.#isUseful(lease)) this.#table.setMobile(lease)
    this.#nextExpiryMs = now + EXPIRY_MS
  }

  #expire(): void {
    const before = this.#count()
    const next = this.#table.expire(this.#nowS())
    this.#nextExpiryMs = next === Number.POSITIVE_INFINITY ? next : this.#now + EXPIRY_MS
    if (this.#count() !== before) this.#host.mobilesChanged()
  }

  #count(): number {
    return [...this.#table.leases()].length
  }

  // ---------------------------------------------------------------- certificates for others

  announce(device: DeviceId): void {
    this.#announced.delete(device)
    for (const oldest of this.#announced) {
      if (this.#announced.size < MAX_ANNOUNCED) break
      this.#announced.delete(oldest)
    }
    this.#announced.add(device)
  }

  /** Only of mobile devices that we named ourselves, and of our own: nobody learns from us whom else we know. */
  mayServe(device: DeviceId): boolean {
    return device === this.#o.device || this.#announced.has(device)
  }

  #nowS(): number {
    return Math.floor(this.#o.wallTimeMs() / 1000)
  }
}
