// Which devices of a conversation are connected, could be, are being dialled, or are mobile: buckets by distance, of which only our own is
// split; every set bounded. Pure: time and chance come in. docs/protocol/04 §6.1, §6.4, §6.7. Proof: drt/routing-table.test.ts.
import type { AccountUri, DeviceId, Random } from '@jamikit/core/contracts'
import { commonBits, compareDistance, ID_BITS } from './distance.ts'
import { BUCKET_SIZE, MAX_FAILED_DIALS, MAX_HEARD, MAX_KNOWN, MAX_MOBILE, MAX_MOBILE_PER_ACCOUNT, SHORT_CHANNEL_MS } from './limits.ts'
import type { MobileLease } from './wire.ts'

/** A device with a live channel. */
export interface Connected {
  readonly device: DeviceId
  readonly account: AccountUri
  /** As it says itself. */
  isMobile: boolean
  /** Why it counts as mobile when the channel is gone: checked. */
  lease: MobileLease | undefined
  readonly sinceMs: number
  /** Attempts in a row that brought nothing that lasted. */
  readonly failures: number
}

/** A device that could be dialled. */
export interface Candidate {
  readonly device: DeviceId
  /** Of a member, as we were told; undefined for an id that a peer only named. */
  readonly account: AccountUri | undefined
  /** Who named it; undefined when nobody had to. */
  readonly from: DeviceId | undefined
  failures: number
  notBeforeMs: number
}

interface Bucket {
  readonly nodes: Map<DeviceId, Connected> // bounded by MAX_CONNECTED, which the engine keeps
  readonly known: Map<DeviceId, Candidate> // bounded by MAX_KNOWN
  readonly heard: Map<DeviceId, Candidate> // oldest first; bounded by MAX_HEARD
  readonly connecting: Map<DeviceId, Candidate> // bounded by MAX_DIALS and the links there are
  readonly mobile: Map<DeviceId, MobileLease> // bounded by MAX_MOBILE
}

const SETS = ['nodes', 'known', 'heard', 'connecting', 'mobile'] as const

function emptyBucket(): Bucket {
  return { nodes: new Map(), known: new Map(), heard: new Map(), connecting: new Map(), mobile: new Map() }
}

export class RoutingTable {
  readonly #own: DeviceId
  /** The i-th holds ids that share i bits with ours, the last one those that share more, too: it is the one that is split. */
  readonly #buckets: Bucket[] = [emptyBucket()] // bounded by ID_BITS
  #connected = 0
  #connecting = 0

  constructor(own: DeviceId) {
    this.#own = own
  }

  get buckets(): number {
    return this.#buckets.length
  }

  /** Connected devices. */
  get size(): number {
    return this.#connected
  }

  /** Devices that are being dialled. */
  get dialling(): number {
    return this.#connecting
  }

  /** Where an id belongs. */
  indexOf(device: DeviceId): number {
    return Math.min(commonBits(this.#own, device), this.#buckets.length - 1)
  }

  #of(device: DeviceId): Bucket {
    return this.#buckets[this.indexOf(device)] as Bucket
  }

  // ---------------------------------------------------------------- the sets

  node(device: DeviceId): Connected | undefined {
    return this.#of(device).nodes.get(device)
  }

  isConnecting(device: DeviceId): boolean {
    return this.#of(device).connecting.has(device)
  }

  candidate(device: DeviceId): Candidate | undefined {
    const { known, heard, connecting } = this.#of(device)
    return known.get(device) ?? heard.get(device) ?? connecting.get(device)
  }

  lease(device: DeviceId): MobileLease | undefined {
    const { nodes, mobile } = this.#of(device)
    return nodes.get(device)?.lease ?? mobile.get(device)
  }

  *nodes(): IterableIterator<Connected> {
    for (const bucket of this.#buckets) yield* bucket.nodes.values()
  }

  *leases(): IterableIterator<MobileLease> {
    for (const { nodes, mobile } of this.#buckets) {
      yield* mobile.values()
      for (const { lease } of nodes.values()) if (lease) yield lease
    }
  }

  /** Devices that are known, heard of, dialled or mobile, and whose account we know. */
  *accounts(): IterableIterator<{ device: DeviceId; account: AccountUri }> {
    for (const { nodes, known, connecting, mobile } of this.#buckets) {
      yield* nodes.values()
      for (const set of [known, connecting]) for (const { device, account } of set.values()) if (account) yield { device, account }
      for (const { device, issuer } of mobile.values()) yield { device, account: issuer }
    }
  }

  /** A channel is up: accepted in any case, and our own bucket is split until it holds at most BUCKET_SIZE. */
  connect(device: DeviceId, account: AccountUri, nowMs = 0): Connected {
    const present = this.node(device)
    if (present) return present
    const lease = this.lease(device)
    const failures = this.candidate(device)?.failures ?? 0
    this.forget(device)
    while (this.#of(device).nodes.size >= BUCKET_SIZE && this.indexOf(device) === this.#buckets.length - 1 && this.#buckets.length < ID_BITS) this.#split()
    const node: Connected = { device, account, isMobile: lease !== undefined, lease, sinceMs: nowMs, failures }
    this.#of(device).nodes.set(device, node)
    this.#connected++
    return node
  }

  #split(): void {
    const last = this.#buckets[this.#buckets.length - 1] as Bucket
    const next = emptyBucket()
    this.#buckets.push(next)
    for (const set of SETS) {
      for (const [device, entry] of [...last[set]]) {
        if (this.indexOf(device) !== this.#buckets.length - 1) continue
        last[set].delete(device)
        ;(next[set] as Map<DeviceId, unknown>).set(device, entry)
      }
    }
  }

  /**
   * The last channel is gone: a mobile device stays to be woken, another one to be dialled, at once when its channel had lasted; one that only
   * says it is mobile is forgotten.
   */
  disconnect(device: DeviceId, nowMs = 0, retryMs: (failures: number) => number = () => 0): Connected | undefined {
    const bucket = this.#of(device)
    const node = bucket.nodes.get(device)
    if (!node) return undefined
    bucket.nodes.delete(device)
    this.#connected--
    const failures = nowMs - node.sinceMs < SHORT_CHANNEL_MS ? node.failures + 1 : 0
    if (node.lease) this.setMobile(node.lease)
    else if (!node.isMobile) this.#keep(bucket, { device, account: node.account, from: undefined, failures, notBeforeMs: failures > 0 ? retryMs(failures) : 0 })
    return node
  }

  /** A device of a member, as somebody said whom we believe. @returns whether that is new */
  know(device: DeviceId, account: AccountUri): boolean {
    const bucket = this.#of(device)
    const connecting = bucket.connecting.get(device)
    if (connecting && !connecting.account) bucket.connecting.set(device, { ...connecting, account })
    if (connecting || device === this.#own || bucket.nodes.has(device) || bucket.mobile.has(device)) return false
    const present = bucket.known.get(device)
    if (present) {
      const waits = present.notBeforeMs > 0
      present.notBeforeMs = 0 // it was seen: worth another try
      return waits
    }
    const heard = bucket.heard.get(device)
    bucket.heard.delete(device)
    return this.#keep(bucket, { device, account, from: undefined, failures: heard?.failures ?? 0, notBeforeMs: 0 })
  }

  /** An id that a peer named. It never takes the place of one of a member. @returns whether it is new */
  hear(device: DeviceId, from: DeviceId): boolean {
    const bucket = this.#of(device)
    const { nodes, known, heard, connecting, mobile } = bucket
    if (device === this.#own || nodes.has(device) || known.has(device) || heard.has(device) || connecting.has(device) || mobile.has(device)) return false
    if (heard.size >= MAX_HEARD) heard.delete(this.#crowded(heard))
    heard.set(device, { device, account: undefined, from, failures: 0, notBeforeMs: 0 })
    return true
  }

  /** The oldest id of the peer that named most of them. */
  #crowded(heard: ReadonlyMap<DeviceId, Candidate>): DeviceId {
    const counts = new Map<DeviceId | undefined, { count: number; oldest: DeviceId }>() // bounded by MAX_HEARD
    for (const { device, from } of heard.values()) {
      const entry = counts.get(from)
      if (entry) entry.count++
      else counts.set(from, { count: 1, oldest: device })
    }
    return [...counts.values()].reduce((most, entry) => (entry.count > most.count ? entry : most)).oldest
  }

  #keep(bucket: Bucket, candidate: Candidate): boolean {
    if (candidate.failures >= MAX_FAILED_DIALS) return false
    if (bucket.known.size >= MAX_KNOWN) {
      const isOwn = bucket === this.#buckets[this.#buckets.length - 1]
      const worst = [...bucket.known.values()].reduce((a, b) => (b.failures > a.failures || (b.failures === a.failures && isOwn && compareDistance(this.#own, a.device, b.device) < 0) ? b : a))
      const better = worst.failures > candidate.failures || (isOwn && worst.failures === candidate.failures && compareDistance(this.#own, candidate.device, worst.device) < 0)
      if (!better) return false
      bucket.known.delete(worst.device)
    }
    bucket.known.set(candidate.device, candidate)
    return true
  }

  /** An attempt begins. @returns the candidate, undefined when there is nothing to dial */
  dial(device: DeviceId, account?: AccountUri): Candidate | undefined {
    const bucket = this.#of(device)
    if (device === this.#own || bucket.nodes.has(device) || bucket.connecting.has(device)) return undefined
    const present = bucket.known.get(device) ?? bucket.heard.get(device)
    const candidate: Candidate = present ?? { device, account, from: undefined, failures: 0, notBeforeMs: 0 }
    bucket.known.delete(device)
    bucket.heard.delete(device)
    bucket.connecting.set(device, account && !candidate.account ? { ...candidate, account } : candidate)
    this.#connecting++
    return candidate
  }

  /** The attempt brought nothing: a member's device waits for its next turn, unless it had enough of them; an id that was only named is gone. */
  failed(device: DeviceId, retryMs: (failures: number) => number): Candidate | undefined {
    const bucket = this.#of(device)
    const candidate = bucket.connecting.get(device)
    if (!candidate) return undefined
    this.#endDial(bucket, device)
    if (candidate.account && !bucket.mobile.has(device)) {
      const failures = candidate.failures + 1
      this.#keep(bucket, { ...candidate, failures, notBeforeMs: retryMs(failures) })
    }
    return candidate
  }

  /** Nobody waits any more for the next try. */
  hope(): void {
    for (const { known } of this.#buckets) for (const candidate of known.values()) candidate.notBeforeMs = 0
  }

  #endDial(bucket: Bucket, device: DeviceId): void {
    if (bucket.connecting.delete(device)) this.#connecting--
  }

  /** A checked lease: the device is woken, not dialled. @returns false when there is no room for it */
  setMobile(lease: MobileLease): boolean {
    const { device } = lease
    if (device === this.#own) return false
    const bucket = this.#of(device)
    const node = bucket.nodes.get(device)
    if (!node && !bucket.mobile.has(device) && !this.#mobileRoom(bucket, lease)) return false
    bucket.known.delete(device)
    bucket.heard.delete(device)
    if (node) node.lease = lease
    else bucket.mobile.set(device, lease)
    return true
  }

  #mobileRoom(bucket: Bucket, { issuer, expiresAt }: MobileLease): boolean {
    let count = 0
    for (const lease of this.leases()) if (lease.issuer === issuer) count++
    if (count >= MAX_MOBILE_PER_ACCOUNT) return false
    if (bucket.mobile.size < MAX_MOBILE) return true
    const first = [...bucket.mobile.values()].reduce((a, b) => (b.expiresAt < a.expiresAt ? b : a))
    if (first.expiresAt >= expiresAt) return false
    return bucket.mobile.delete(first.device)
  }

  /** Leases that have expired are gone; a connected device keeps its channel. @returns when the next one does, Unix seconds */
  expire(nowS: number): number {
    let next = Number.POSITIVE_INFINITY
    const over = ({ expiresAt }: MobileLease) => {
      if (expiresAt > nowS) next = Math.min(next, expiresAt)
      return expiresAt <= nowS
    }
    for (const { nodes, mobile } of this.#buckets) {
      for (const [device, lease] of mobile) if (over(lease)) mobile.delete(device)
      for (const node of nodes.values()) if (node.lease && over(node.lease)) node.lease = undefined
    }
    return next
  }

  /** Out of all sets. */
  forget(device: DeviceId): void {
    const bucket = this.#of(device)
    this.#endDial(bucket, device)
    if (bucket.nodes.delete(device)) this.#connected--
    for (const set of ['known', 'heard', 'mobile'] as const) bucket[set].delete(device)
  }

  // ---------------------------------------------------------------- questions

  /** Up to `count` connected devices, closest first, without the target itself. */
  closest(target: DeviceId, count: number): DeviceId[] {
    const all: DeviceId[] = []
    for (const { device } of this.nodes()) if (device !== target) all.push(device)
    return all.sort((a, b) => compareDistance(target, a, b)).slice(0, Math.max(0, count))
  }

  /** Mobile devices, not connected, of the bucket that an id belongs to. */
  mobilesAround(target: DeviceId): MobileLease[] {
    return [...this.#of(target).mobile.values()]
  }

  /** Mobile devices that we must wake: those to which fewer than BUCKET_SIZE of our connected devices are closer than we are. */
  toWake(): MobileLease[] {
    const out: MobileLease[] = []
    for (const { mobile } of this.#buckets) for (const lease of mobile.values()) if (this.isResponsible(lease.device)) out.push(lease)
    return out
  }

  isResponsible(mobile: DeviceId): boolean {
    let closer = 0
    for (const { device } of this.nodes()) if (compareDistance(mobile, device, this.#own) < 0 && ++closer >= BUCKET_SIZE) return false
    return true
  }

  /**
   * What a bucket wants dialled now: so many that BUCKET_SIZE are connected or on their way; the connected ones of our own bucket do not
   * count. The closest of our own bucket, any of the others; ids that were only named have at most every second place while members' devices wait.
   */
  wanted(index: number, nowMs: number, random: Random): DeviceId[] {
    const bucket = this.#buckets[index] as Bucket
    const isOwn = index === this.#buckets.length - 1
    let missing = BUCKET_SIZE - bucket.connecting.size - (isOwn ? 0 : bucket.nodes.size)
    if (missing <= 0) return []
    const ready = (set: ReadonlyMap<DeviceId, Candidate>) => {
      const devices = [...set.values()].filter(({ notBeforeMs }) => notBeforeMs <= nowMs).map(({ device }) => device)
      return isOwn ? devices.sort((a, b) => compareDistance(this.#own, a, b)) : shuffled(devices, random)
    }
    const queues = [ready(bucket.known), ready(bucket.heard)]
    const out: DeviceId[] = []
    for (let turn = [...bucket.connecting.values()].some(({ account }) => account) ? 1 : 0; missing > 0; turn = 1 - turn) {
      const device = queues[turn]?.shift() ?? queues[1 - turn]?.shift()
      if (!device) break
      out.push(device)
      missing--
    }
    return out
  }

  /** When a candidate's wait ends, in a bucket that lacks connections. */
  nextRetryMs(): number {
    let next = Number.POSITIVE_INFINITY
    this.#buckets.forEach(({ nodes, connecting, known }, index) => {
      const isOwn = index === this.#buckets.length - 1
      if (connecting.size + (isOwn ? 0 : nodes.size) < BUCKET_SIZE) for (const { notBeforeMs } of known.values()) next = Math.min(next, notBeforeMs)
    })
    return next
  }

  /** Entries of all sets: what the memory is spent on. */
  get entries(): number {
    return this.#buckets.reduce((sum, bucket) => sum + SETS.reduce((n, set) => n + bucket[set].size, 0), 0)
  }
}

function shuffled<T>(items: T[], random: Random): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1)
    const item = items[i] as T
    items[i] = items[j] as T
    items[j] = item
  }
  return items
}
