// The distributed routing table of one conversation as a function of channels, bytes and time: whom to dial, what to ask and answer, which
// mobile devices to wake. No I/O: effects go to the host, when to come back is `nextMs`. docs/protocol/04 §6, B.6. Proof: drt/engine.test.ts,
// drt/overlay.test.ts, drt/hostile.test.ts.
import { JamiError, limitError, TokenBucket } from '@jamikit/core/base'
import type { AccountUri, DeviceId, PeerIdentity } from '@jamikit/core/contracts'
import { idBeside } from './distance.ts'
import { fitCertificates } from './leases.ts'
import {
  BAD_MS, BUCKET_SIZE, DIAL_RETRY_FIRST_MS, FIND_COUNT, FIND_PERIOD_MS, MAX_BAD, MAX_CONNECTED, MAX_DIALS, MAX_MOBILE_INFOS, MAX_NODES_PER_ACCOUNT, PASS_RATE,
} from './limits.ts'
import type { DrtHost, DrtOptions } from './host.ts'
import { Mobiles } from './mobiles.ts'
import { type Line, type Peer, Peers } from './peers.ts'
import { RoutingTable } from './routing-table.ts'
import { type DrtMessage, encodeDrtMessage, FIND, FOUND, type FindRequest, type FindResponse, type MobileLease, type OutgoingDrtMessage } from './wire.ts'

/** Ids in an answer, whatever was asked for. */
const MAX_ANSWERED = 16

export class DrtEngine {
  readonly #o: DrtOptions
  readonly #host: DrtHost
  readonly #table: RoutingTable
  readonly #peers = new Peers()
  readonly #mobiles: Mobiles
  readonly #bad = new Map<DeviceId, number>() // until when; oldest first; bounded by MAX_BAD
  readonly #linkDials = new Set<DeviceId>() // attempts that may make a link; bounded by MAX_DIALS
  #now: number
  readonly #passing: TokenBucket
  #isConnected = false
  #stopped = false
  #nextFindMs = Number.POSITIVE_INFINITY
  /** FINDs sent. */
  finds = 0

  constructor(options: DrtOptions, host: DrtHost, nowMs: number) {
    this.#o = options
    this.#host = host
    this.#now = nowMs
    this.#passing = new TokenBucket(PASS_RATE, nowMs)
    this.#table = new RoutingTable(options.device)
    this.#mobiles = new Mobiles(options, host, this.#table, this.#peers, nowMs, {
      askForCertificates: (peer, ids) => this.#sendTo(peer, { certificateRequest: ids }),
      pass: (lease) => this.#pass(lease),
    })
  }

  /** When `tick` is due. */
  get nextMs(): number {
    if (this.#stopped) return Number.POSITIVE_INFINITY
    const retryMs = this.#linkDials.size < MAX_DIALS ? this.#table.nextRetryMs() : Number.POSITIVE_INFINITY
    return Math.min(this.#nextFindMs, this.#mobiles.nextMs, retryMs > this.#now ? retryMs : Number.POSITIVE_INFINITY)
  }

  // ---------------------------------------------------------------- questions

  get table(): Readonly<Pick<RoutingTable, 'size' | 'dialling' | 'buckets' | 'entries' | 'node' | 'nodes' | 'candidate' | 'leases' | 'lease' | 'isConnecting'>> {
    return this.#table
  }

  /** What is kept of devices that are not connected. */
  get remembered(): { peers: number; bad: number } {
    return { peers: this.#peers.size, bad: this.#bad.size }
  }

  /** Mobile devices that it is on us to wake. */
  toWake(): MobileLease[] {
    return this.#stopped ? [] : this.#table.toWake().filter(({ issuer, device }) => this.#host.isMember(issuer) && this.#host.isAllowed(issuer, device))
  }

  /** Whether a channel of this device would be taken. */
  hasRoom(device: DeviceId, account: AccountUri): boolean {
    if (this.#stopped) return false
    if (this.#table.node(device)) return true
    let ofAccount = 0
    for (const node of this.#table.nodes()) if (node.account === account) ofAccount++
    return this.#table.size < MAX_CONNECTED && ofAccount < MAX_NODES_PER_ACCOUNT
  }

  // ---------------------------------------------------------------- events: devices

  /** Devices of members, seen online. */
  learn(devices: Iterable<{ device: DeviceId; account: AccountUri }>, now: number): void {
    this.#now = now
    for (const { device, account } of devices) {
      if (device === this.#o.device || !this.#host.isAllowed(account, device)) continue
      this.#bad.delete(device)
      if (this.#host.hasLink(device)) this.#dialExisting(device, account)
      else this.#table.know(device, account)
    }
    this.#maintain()
  }

  /** A link with a device of a member is up: its channel costs next to nothing. */
  linkUp(device: DeviceId, account: AccountUri, now: number): void {
    this.#now = now
    if (this.#stopped || device === this.#o.device || !this.#host.isAllowed(account, device)) return
    this.#bad.delete(device)
    this.#dialExisting(device, account)
  }

  /** @param stranger the device is of nobody here, or of nobody at all */
  dialFailed(device: DeviceId, stranger: boolean, now: number): void {
    this.#now = now
    this.#linkDials.delete(device)
    const candidate = this.#table.failed(device, (failures) => this.#retryMs(failures))
    if (!candidate) return
    if (stranger) this.#table.forget(device)
    if (stranger || !candidate.account) this.#remember(device)
    this.#maintain()
    this.#settle()
  }

  #retryMs(failures: number): number {
    return this.#now + Math.round(DIAL_RETRY_FIRST_MS * 2 ** (failures - 1) * (0.8 + this.#o.random.below(401) / 1000))
  }

  #remember(device: DeviceId): void {
    this.#bad.delete(device)
    for (const oldest of this.#bad.keys()) {
      if (this.#bad.size < MAX_BAD) break
      this.#bad.delete(oldest)
    }
    this.#bad.set(device, this.#now + BAD_MS)
  }

  /** Addresses changed, or something else gives hope: what waits is tried now. */
  retry(now: number): void {
    this.#now = now
    this.#table.hope()
    this.#maintain()
  }

  /** Membership changed: whoever is not allowed any more is gone at once. @returns whose devices were */
  recheck(now: number): Set<AccountUri> {
    this.#now = now
    const out = new Set<AccountUri>() // bounded by the table
    let mobiles = false
    for (const { device, account } of [...this.#table.accounts()]) {
      if (this.#host.isAllowed(account, device)) continue
      out.add(account)
      mobiles ||= this.#table.lease(device) !== undefined
      const lines = [...(this.#peers.get(device)?.lines ?? [])]
      const node = this.#table.node(device)
      this.#table.forget(device)
      this.#linkDials.delete(device)
      for (const { id } of lines) {
        this.#peers.close(id)
        this.#host.close(id, new JamiError('ERR_PEER_REFUSED', 'the peer is not a member any more'))
      }
      if (node) {
        this.#mobiles.gone(device, now)
        this.#host.node(device, account, false)
      }
    }
    this.#mobiles.recheck()
    if (mobiles) this.#host.mobilesChanged()
    this.#maintain()
    this.#settle()
    return out
  }

  // ---------------------------------------------------------------- events: channels

  channelUp(channel: number, device: DeviceId, account: AccountUri, now: number): void {
    this.#now = now
    this.#linkDials.delete(device)
    const known = this.#table.node(device)
    const allowed = device !== this.#o.device && this.#host.isAllowed(account, device) && (!known || known.account === account)
    if (!allowed || !this.hasRoom(device, account)) {
      if (!known) this.#table.forget(device)
      this.#host.close(channel, allowed ? limitError('connected devices of an account or a conversation', this.#table.size, MAX_CONNECTED) : new JamiError('ERR_PEER_REFUSED', 'the peer is not a member'))
      return this.#settle()
    }
    if (!this.#peers.open(channel, device, account, now)) return this.#host.close(channel, limitError('channels of a device', 5, 4))
    if (known) return
    this.#table.connect(device, account, now)
    this.#bad.delete(device)
    if (this.#nextFindMs === Number.POSITIVE_INFINITY) this.#nextFindMs = now + this.#findDelay()
    this.#ask(device, this.#o.device)
    this.#host.node(device, account, true)
    this.#settle()
    this.#maintain()
  }

  channelDown(channel: number, now: number): void {
    this.#now = now
    const peer = this.#peers.close(channel)
    if (!peer) return
    const { device } = peer
    const node = this.#table.disconnect(device, now, (failures) => this.#retryMs(failures))
    this.#mobiles.gone(device, now)
    if (node) this.#host.node(device, node.account, false)
    if (node?.lease) {
      this.#host.mobilesChanged()
      this.#pass(node.lease)
    }
    this.#maintain()
    this.#settle()
  }

  /** Bytes of a channel, cut anyhow; bad ones end it. */
  bytes(channel: number, chunk: Uint8Array, now: number): void {
    this.#now = now
    const line = this.#peers.line(channel)
    if (!line) return
    let messages: DrtMessage[]
    try {
      messages = line.stream.push(chunk)
    } catch (error) {
      return this.#end(channel, JamiError.from(error, 'ERR_CODEC'))
    }
    for (const message of messages) {
      if (this.#peers.line(channel) !== line) return
      this.#message(line, message)
    }
  }

  #end(channel: number, reason: JamiError): void {
    this.#host.close(channel, reason)
    this.channelDown(channel, this.#now)
  }

  // ---------------------------------------------------------------- events: time, our own state, answers of the host

  tick(now: number): void {
    this.#now = now
    if (this.#stopped) return
    this.#mobiles.tick(now)
    if (this.#nextFindMs <= now) {
      this.#nextFindMs = this.#table.size > 0 ? now + this.#findDelay() : Number.POSITIVE_INFINITY
      this.#refresh()
    }
    this.#maintain()
  }

  /** Whether we are reached by push notifications only. */
  setMobile(isMobile: boolean, now: number): void {
    this.#now = now
    this.#mobiles.setMobile(isMobile, now)
  }

  leaseSigned(lease: MobileLease | undefined, now: number): void {
    this.#now = now
    if (this.#mobiles.signed(lease)) for (const { device } of this.#table.nodes()) this.#ask(device, this.#o.device) // they learn it with the question
  }

  certificateFound(device: DeviceId, where: 'here' | 'dht', peer: PeerIdentity | undefined, now: number): void {
    this.#now = now
    this.#mobiles.found(device, where, peer, now)
  }

  leaseChecked(lease: MobileLease, good: boolean, now: number): void {
    this.#now = now
    if (!this.#stopped) this.#mobiles.checked(lease, good, now)
  }

  certificatesLoaded(peer: DeviceId, certificates: readonly Uint8Array[], now: number): void {
    this.#now = now
    this.#sendTo(peer, { certificates: fitCertificates(certificates) })
  }

  /** Mobile devices of an earlier run, whose leases were checked then. */
  restore(leases: Iterable<MobileLease>, now: number): void {
    this.#now = now
    this.#mobiles.restore(leases, now)
  }

  stop(now: number): void {
    this.#now = now
    this.#stopped = true
    for (const { id } of [...this.#peers.lines()]) this.#end(id, new JamiError('ERR_CLOSED', 'the conversation was closed'))
  }

  // ---------------------------------------------------------------- messages

  #message({ peer }: Line, m: DrtMessage): void {
    const node = this.#table.node(peer.device)
    if (!node) return
    peer.version = m.version
    node.isMobile = m.isMobile
    if (!m.isMobile && node.lease) {
      node.lease = undefined
      this.#host.mobilesChanged()
    }
    const { self } = m
    if (m.isMobile && self?.lease && self.id === peer.device && self.lease.issuer === peer.account) this.#mobiles.hear(self, peer.device)
    if (m.certificateRequest) this.#answerCertificates(peer, m.certificateRequest)
    else if (m.certificates) this.#mobiles.answered(peer.device, m.certificates, this.#now) || this.#excess(peer)
    else if (m.request) this.#answer(peer, m.request)
    else if (m.response) this.#hear(peer, m.response)
    else this.#excess(peer)
  }

  /** More than anybody needs: it is not looked at, and when it does not end, the channel does. */
  #excess(peer: Peer): void {
    if (peer.excess.tryTake(this.#now)) return
    for (const { id } of [...peer.lines]) this.#end(id, limitError('messages that nobody asked for', 1, 0))
  }

  #answer(peer: Peer, { query, count, target }: FindRequest): void {
    if (query !== FIND || !peer.finds.tryTake(this.#now)) return this.#excess(peer)
    const leases = this.#table.mobilesAround(target).slice(0, MAX_MOBILE_INFOS)
    for (const { device } of leases) this.#mobiles.announce(device)
    this.#sendTo(peer.device, {
      response: { query: FOUND, nodes: this.#table.closest(target, Math.min(count, MAX_ANSWERED)), mobileNodes: leases.map(({ device }) => device), mobileInfos: leases.map((lease) => ({ id: lease.device, lease })) },
    })
  }

  /** Ids only of an answer to a question of ours, and no more than we asked for; leases prove themselves, and are passed on without being asked for. */
  #hear(peer: Peer, { query, nodes, mobileInfos }: FindResponse): void {
    if (query !== FOUND) return this.#excess(peer)
    if (peer.questions > 0) {
      peer.questions--
      for (const device of nodes.slice(0, FIND_COUNT)) this.#hearOf(device, peer)
    } else this.#excess(peer)
    for (const info of mobileInfos ?? []) this.#mobiles.hear(info, peer.device)
    this.#maintain()
  }

  #hearOf(device: DeviceId, peer: Peer): void {
    const until = this.#bad.get(device)
    if (until !== undefined && until > this.#now) return
    if (device === this.#o.device || this.#table.node(device) || this.#table.candidate(device) || this.#table.lease(device)) return
    if (this.#host.hasLink(device)) this.#dialExisting(device, undefined)
    else if (peer.heard.tryTake(this.#now)) this.#table.hear(device, peer.device)
  }

  #answerCertificates(peer: Peer, ids: readonly DeviceId[]): void {
    if (!peer.certificates.tryTake(this.#now)) return this.#excess(peer)
    this.#host.loadCertificates(peer.device, ids.filter((id) => this.#mobiles.mayServe(id)))
  }

  #sendTo(device: DeviceId, message: Omit<OutgoingDrtMessage, 'isMobile' | 'self'>): void {
    const line = this.#peers.get(device)?.lines.at(-1)
    if (!line) return
    const { isMobile, self } = this.#mobiles
    this.#host.send(line.id, encodeDrtMessage({ isMobile, ...(self && (message.request || message.response) && { self }), ...message }))
  }

  /** A mobile device that is asleep and new to us: whoever is closer than we are must know it to wake it. A few at once, then one each second. */
  #pass(lease: MobileLease): void {
    const { device } = lease
    if (this.#stopped || this.#table.node(device) || this.#table.isResponsible(device) || !this.#passing.tryTake(this.#now)) return
    this.#mobiles.announce(device)
    for (const closer of this.#table.closest(device, BUCKET_SIZE)) this.#sendTo(closer, { response: { query: FOUND, nodes: [], mobileNodes: [device], mobileInfos: [{ id: device, lease }] } })
  }

  #ask(device: DeviceId, target: DeviceId): void {
    const peer = this.#peers.get(device)
    if (!peer || peer.lines.length === 0) return
    peer.questions = Math.min(peer.questions + 1, 8)
    this.finds++
    this.#sendTo(device, { request: { query: FIND, count: FIND_COUNT, target } })
  }

  // ---------------------------------------------------------------- upkeep

  #findDelay(): number {
    return Math.round(FIND_PERIOD_MS * (0.8 + this.#o.random.below(401) / 1000))
  }

  /** A question about any part of the space, to those who are closest to it. */
  #refresh(): void {
    const { random, device } = this.#o
    const bucket = random.below(this.#table.buckets)
    const target = bucket === this.#table.buckets - 1 ? device : idBeside(device, bucket, random.bytes(32))
    for (const node of this.#table.closest(target, FIND_COUNT)) this.#ask(node, target)
  }

  #maintain(): void {
    if (this.#stopped) return
    for (let index = this.#table.buckets - 1; index >= 0; index--) {
      for (const device of this.#table.wanted(index, this.#now, this.#o.random)) {
        if (this.#linkDials.size >= MAX_DIALS) return
        const candidate = this.#table.dial(device)
        if (!candidate) continue
        this.#linkDials.add(device)
        this.#host.dial(device, { account: candidate.account, existingLinkOnly: false })
      }
    }
  }

  #dialExisting(device: DeviceId, account: AccountUri | undefined): void {
    if (this.#stopped || !this.#table.dial(device, account)) return
    this.#host.dial(device, { account, existingLinkOnly: true })
  }

  #settle(): void {
    const isConnected = this.#table.size > 0 || (this.#isConnected && this.#table.dialling > 0)
    if (isConnected === this.#isConnected) return
    this.#isConnected = isConnected
    this.#host.connected(isConnected)
  }
}
