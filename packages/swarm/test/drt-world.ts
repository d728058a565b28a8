// Many routing tables of one conversation in virtual time, without connections below: dials take time, devices come and go, and what the
// tests count is counted. Leases are believed; their cryptography has tests of its own.
import type { JamiError } from '@jamikit/core/base'
import { toHex } from '@jamikit/core/codec'
import type { AccountUri, ConversationId, DeviceId, PeerIdentity } from '@jamikit/core/contracts'
import { SeededRandom } from '@jamikit/core/testing'
import { DrtEngine } from '../src/drt/engine.ts'
import { Tracking } from '../src/drt/tracking.ts'
import { encodeDrtMessage, type MobileLease, type OutgoingDrtMessage } from '../src/drt/wire.ts'

const LATENCY_MS = 30
const LINK_MS = 400
const REFUSED_MS = 30_000
const LOOKUP_MS = 1_000
const WALL_MS = 1_800_000_000_000
const CONVERSATION = 'c'.repeat(40) as ConversationId

interface Event {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

/** What must happen next, in order of time, then of insertion. */
class Agenda {
  readonly #heap: Event[] = []
  #order = 0
  now = 0

  after(delayMs: number, run: () => void): void {
    const event = { at: this.now + delayMs, order: this.#order++, run }
    let at = this.#heap.push(event) - 1
    for (let above = (at - 1) >> 1; at > 0 && before(event, this.#heap[above] as Event); above = (at - 1) >> 1) {
      this.#heap[at] = this.#heap[above] as Event
      at = above
    }
    this.#heap[at] = event
  }

  runTo(end: number): void {
    for (let next = this.#heap[0]; next && next.at <= end; next = this.#heap[0]) {
      this.#pop()
      this.now = next.at
      next.run()
    }
    this.now = end
  }

  #pop(): void {
    const last = this.#heap.pop() as Event
    if (this.#heap.length === 0) return
    let at = 0
    for (let below = 1; below < this.#heap.length; below = 2 * at + 1) {
      if (below + 1 < this.#heap.length && before(this.#heap[below + 1] as Event, this.#heap[below] as Event)) below++
      if (before(last, this.#heap[below] as Event)) break
      this.#heap[at] = this.#heap[below] as Event
      at = below
    }
    this.#heap[at] = last
  }
}

const before = (a: Event, b: Event) => a.at < b.at || (a.at === b.at && a.order < b.order)

export class SimDevice {
  readonly device: DeviceId
  readonly account: AccountUri
  readonly world: DrtWorld
  engine: DrtEngine
  readonly tracking: Tracking
  readonly channels = new Map<number, { readonly peer: SimDevice; readonly remote: number }>()
  readonly isMobile: boolean
  isOnline = false
  /** Links that are there without a channel of this conversation. */
  readonly links = new Set<DeviceId>()
  /** `connected` and `disconnected` as they were told. */
  readonly told: boolean[] = []
  readonly problems: JamiError[] = []
  /** Numbers of messages this device has. */
  readonly has = new Set<number>()
  dials = 0
  /** Mobile devices that it dialled. */
  dialsOfMobiles = 0
  maxEntries = 0
  bytesOut = 0
  readonly #random: SeededRandom
  /** Counts the starts: what an earlier life asked for is not told a later one. */
  #life = 0
  #dueMs = Number.POSITIVE_INFINITY

  constructor(world: DrtWorld, account: AccountUri, device: DeviceId, isMobile: boolean) {
    this.world = world
    this.account = account
    this.device = device
    this.isMobile = isMobile
    this.#random = world.random.fork(device)
    this.tracking = new Tracking(this.#random, {
      track: (who) => this.#later(LOOKUP_MS, () => this.engine.learn(world.online(who), world.now)),
      untrack: () => {},
    })
    this.engine = this.#fresh()
  }

  #later(ms: number, run: () => void): void {
    const life = this.#life
    this.world.agenda.after(ms, () => this.isOnline && this.#life === life && this.do(run))
  }

  #fresh(): DrtEngine {
    const { world, account, device } = this
    const random = this.#random
    return new DrtEngine({ device, conversation: CONVERSATION, certificateEndMs: WALL_MS + 1e11, random, wallTimeMs: () => WALL_MS + world.now }, {
      dial: (to, { existingLinkOnly }) => this.#dial(to, existingLinkOnly),
      send: (id, bytes) => this.#send(id, bytes),
      close: (id, reason) => {
        this.problems.push(reason)
        this.drop(id)
      },
      node: (id, _, up) => up && this.#later(4 * LATENCY_MS, () => this.#sync(id)),
      connected: (isConnected) => {
        this.told.push(isConnected)
        if (isConnected) this.tracking.stop()
        else this.tracking.start(world.members(account), world.now)
      },
      findCertificate: (id, account, where) => {
        // every second one is here; peers send none, the DHT has all
        const peer = where === 'dht' || random.below(2) === 0 ? ({ deviceId: id, accountId: account, chain: [] as unknown } as PeerIdentity) : undefined
        this.#later(where === 'here' ? 1 : LOOKUP_MS, () => this.engine.certificateFound(id, where, peer, world.now))
      },
      checkLease: (lease) => this.#later(1, () => this.engine.leaseChecked(lease, true, world.now)),
      loadCertificates: (to) => this.#later(1, () => this.engine.certificatesLoaded(to, [], world.now)),
      signLease: (times) => this.#later(1, () => this.engine.leaseSigned(this.lease(times), world.now)),
      mobilesChanged: () => {},
      hasLink: (id) => this.links.has(id),
      isAllowed: (who) => !world.banned.has(who),
      isMember: (who) => world.accounts.has(who) && !world.banned.has(who),
    }, world.now)
  }

  lease(times = { issuedAt: WALL_MS / 1000, expiresAt: WALL_MS / 1000 + 86_400 }): MobileLease {
    return { format: 1, conversation: CONVERSATION, issuer: this.account, device: this.device, ...times, signature: new Uint8Array(8) }
  }

  /** Runs something of the engine, then sees when it wants to come back. */
  do(run: () => void): void {
    run()
    this.maxEntries = Math.max(this.maxEntries, this.engine.table.entries)
    const next = Math.min(this.engine.nextMs, this.tracking.nextMs)
    if (next >= this.#dueMs || !this.isOnline) return
    this.#dueMs = next
    this.world.agenda.after(Math.max(1, next - this.world.now), () => {
      if (this.#dueMs !== next) return
      this.#dueMs = Number.POSITIVE_INFINITY
      if (!this.isOnline) return
      this.do(() => {
        this.engine.tick(this.world.now)
        this.tracking.tick(this.world.now)
      })
    })
  }

  /** @param bootstrap who is known at first; members are looked for when left out */
  start(bootstrap?: readonly SimDevice[]): void {
    const leases = [...this.engine.table.leases()]
    this.engine = this.#fresh()
    this.#dueMs = Number.POSITIVE_INFINITY
    this.isOnline = true
    this.engine.restore(leases, this.world.now)
    this.do(() => {
      if (this.isMobile) this.engine.setMobile(true, this.world.now)
      if (bootstrap) this.engine.learn(bootstrap, this.world.now)
      else this.tracking.start(this.world.members(this.account), this.world.now)
    })
  }

  /** The device is gone: others notice when their channels end. */
  leave(): void {
    this.isOnline = false
    this.#life++
    for (const id of [...this.channels.keys()]) this.drop(id)
    this.tracking.stop()
  }

  #dial(to: DeviceId, existingLinkOnly: boolean): void {
    this.dials++
    const { agenda } = this.world
    const target = this.world.devices.get(to)
    const failed = (ms: number, stranger: boolean) => this.#later(ms, () => this.engine.dialFailed(to, stranger, this.world.now))
    const life = this.#life
    if (!target) return failed(LOOKUP_MS, true)
    if (target.isMobile) this.dialsOfMobiles++
    if (existingLinkOnly && !this.links.has(to)) return failed(1, false)
    agenda.after(existingLinkOnly ? 2 * LATENCY_MS : LINK_MS, () => {
      if (!this.isOnline || this.#life !== life) return
      if (!target.isOnline) return failed(REFUSED_MS, false)
      if (!target.engine.hasRoom(this.device, this.account)) return this.do(() => this.engine.dialFailed(to, false, this.world.now))
      this.world.connect(this, target)
    })
  }

  #send(id: number, bytes: Uint8Array): void {
    const channel = this.channels.get(id)
    if (!channel) return
    this.bytesOut += bytes.length
    this.world.agenda.after(LATENCY_MS, () => {
      if (channel.peer.channels.has(channel.remote)) channel.peer.do(() => channel.peer.engine.bytes(channel.remote, bytes, this.world.now))
    })
  }

  /** Something that the engine would not say. */
  say(id: number, message: OutgoingDrtMessage): void {
    this.#send(id, encodeDrtMessage(message))
  }

  drop(id: number): void {
    const channel = this.channels.get(id)
    if (!channel) return
    this.channels.delete(id)
    this.world.agenda.after(LATENCY_MS, () => {
      if (channel.peer.channels.delete(channel.remote) && channel.peer.isOnline) channel.peer.do(() => channel.peer.engine.channelDown(channel.remote, this.world.now))
    })
  }

  /** What a device has is fetched from it when it appears (§4.8). */
  #sync(id: DeviceId): void {
    if (!this.engine.table.node(id)) return
    const peer = this.world.devices.get(id)
    for (const message of peer?.has ?? []) this.receive(message, peer)
  }

  /** Two members by chance who have no device among the connected ones: an author tells them, and makes a link for it (§4.5.2). */
  #strays(): SimDevice[] {
    const told = new Set([this.account, ...[...this.engine.table.nodes()].map(({ account }) => account)])
    const left = [...this.world.accounts].filter(([account]) => !told.has(account)).flatMap(([, devices]) => devices.slice(0, 1))
    return [left[this.#random.below(left.length || 1)], left[this.#random.below(left.length || 1)]].filter((device) => device !== undefined)
  }

  #linked(stray: SimDevice, message: number): void {
    stray.receive(message, this)
    this.links.add(stray.device)
    stray.links.add(this.device)
    this.engine.linkUp(stray.device, stray.account, this.world.now)
  }

  // Gossip, as §6.6 says: whoever has got a message tells all connected devices but the one it came from, and wakes mobile ones.

  receive(message: number, from?: SimDevice): void {
    if (!this.isOnline || this.has.has(message)) return
    this.has.add(message)
    for (const { device } of this.engine.table.nodes()) {
      const peer = this.world.devices.get(device)
      if (peer && peer !== from) this.world.agenda.after(2 * LATENCY_MS, () => peer.receive(message, this))
    }
    if (!from) for (const stray of this.#strays()) this.world.agenda.after(LINK_MS, () => this.isOnline && stray.isOnline && this.do(() => this.#linked(stray, message)))
    for (const { device } of this.engine.toWake()) {
      const peer = this.world.devices.get(device)
      this.world.woken.set(`${device} ${message}`, (this.world.woken.get(`${device} ${message}`) ?? 0) + 1)
      if (peer && peer !== from) this.world.agenda.after(1_000, () => peer.receive(message, this))
    }
  }
}

export class DrtWorld {
  readonly random: SeededRandom
  readonly agenda = new Agenda()
  readonly devices = new Map<DeviceId, SimDevice>()
  readonly accounts = new Map<AccountUri, SimDevice[]>()
  readonly banned = new Set<AccountUri>()
  /** How often a mobile device was woken for a message. */
  readonly woken = new Map<string, number>()
  #channels = 0

  constructor(seed: string) {
    this.random = new SeededRandom(seed)
  }

  get now(): number {
    return this.agenda.now
  }

  id(): DeviceId {
    return toHex(this.random.bytes(32)) as DeviceId
  }

  add(options: { account?: AccountUri; isMobile?: boolean; device?: DeviceId } = {}): SimDevice {
    const account = options.account ?? (toHex(this.random.bytes(20)) as AccountUri)
    const device = new SimDevice(this, account, options.device ?? this.id(), options.isMobile ?? false)
    this.devices.set(device.device, device)
    this.accounts.set(account, [...(this.accounts.get(account) ?? []), device])
    return device
  }

  /** Other accounts of the conversation. */
  members(own: AccountUri): AccountUri[] {
    return [...this.accounts.keys()].filter((account) => account !== own && !this.banned.has(account))
  }

  /** Announced devices of an account; mobile ones are not announced as reachable. */
  online(account: AccountUri): SimDevice[] {
    return (this.accounts.get(account) ?? []).filter((device) => device.isOnline && !device.isMobile)
  }

  connect(a: SimDevice, b: SimDevice): void {
    const [here, there] = [++this.#channels, ++this.#channels]
    a.channels.set(here, { peer: b, remote: there })
    b.channels.set(there, { peer: a, remote: here })
    a.do(() => a.engine.channelUp(here, b.device, b.account, this.now))
    b.do(() => b.engine.channelUp(there, a.device, a.account, this.now))
  }

  run(ms: number): void {
    this.agenda.runTo(this.now + ms)
  }

  /** Sets of devices that reach each other over connected ones; `which` are looked at. */
  islands(which: (device: SimDevice) => boolean = (device) => device.isOnline): SimDevice[][] {
    const left = new Set([...this.devices.values()].filter(which))
    const out: SimDevice[][] = []
    for (const first of left) {
      left.delete(first)
      const island = [first]
      for (const device of island) {
        for (const { device: id } of device.engine.table.nodes()) {
          const peer = this.devices.get(id)
          if (peer && left.delete(peer)) island.push(peer)
        }
      }
      out.push(island)
    }
    return out
  }
}
