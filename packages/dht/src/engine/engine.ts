// The DHT as a function of datagrams and time: who is heard, what is asked, what is answered. No I/O: what must be sent goes to
// `send`, when to come back is `nextMs`. docs/protocol/01 §2.6, §2.7, §3. Proof: engine/engine.test.ts, engine/search.test.ts.
import type { DhtStatus, InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { NEWCOMERS, PING_BYTES, REQUESTS_PER_NETWORK, REQUESTS_PER_SOURCE, REQUESTS_TOTAL, UNPROVEN_FACTOR } from '../defaults.ts'
import { isMartian } from '../wire/address.ts'
import { FragmentAssembler } from '../wire/fragments.ts'
import { type Arguments, decodeMessage, type ReplyMessage, type RequestMessage, type RequestName } from '../wire/message.ts'
import type { Value } from '../wire/value.ts'
import { Admission, type Received } from './admission.ts'
import type { EngineOptions } from './engine-options.ts'
import { Family } from './family.ts'
import { Listeners } from './listeners.ts'
import { Upkeep } from './maintenance.ts'
import { Meeting } from './meeting.ts'
import { isGood, type NodeRecord } from './nodes.ts'
import { Outgoing } from './outgoing.ts'
import { Proofs } from './proofs.ts'
import { RateLimiter } from './rate-limiter.ts'
import { type RequestHandlers, Requests } from './requests.ts'
import { RestoredValues } from './restored.ts'
import type { GetOp, ListenOp, PutOp } from './search-ops.ts'
import { type Checked, Server } from './server.ts'
import { encodeState, type NodeState, readState, type StoredPut } from './state.ts'
import { Tokens } from './tokens.ts'
import { ValueStore } from './value-store.ts'

export type { EngineOptions, Received }

type Waiting = Pick<Received, 'from'> & { readonly message: RequestMessage }

const NOTHING: Checked = { bad: new Set(), vouched: new Set(), refused: [] }

export class DhtEngine {
  readonly nodeId: InfoHash
  readonly #o: EngineOptions
  readonly #families: Record<4 | 6, Family>
  readonly #requests: Requests
  readonly #tokens: Tokens
  readonly #known = new RateLimiter({ perSource: REQUESTS_PER_SOURCE, perNetwork: REQUESTS_PER_NETWORK, total: REQUESTS_TOTAL })
  readonly #strangers = new RateLimiter({ perSource: REQUESTS_PER_SOURCE, perNetwork: REQUESTS_PER_NETWORK, total: REQUESTS_TOTAL })
  readonly #newcomers = new RateLimiter(NEWCOMERS)
  readonly #proofs = new Proofs<Waiting>()
  readonly #fragments = new FragmentAssembler()
  readonly #store: ValueStore
  readonly #listeners: Listeners
  readonly #server: Server
  readonly #admission: Admission
  readonly #out: Outgoing
  readonly #meeting: Meeting
  readonly #restored: RestoredValues
  readonly #upkeep: Upkeep
  #now: number
  #nextSweepMs: number
  #stopped = false

  constructor(options: EngineOptions, now: number) {
    this.#o = options
    this.#now = now
    const state = readState(options.state, options.onProblem)
    this.nodeId = state?.id ?? options.nodeId
    this.#tokens = new Tokens(options.random, now)
    this.#store = new ValueStore(options.maxStoreBytes)
    this.#requests = new Requests(options.random, options.send, (node, at) => this.#meeting.gone(node, at))
    this.#out = new Outgoing(this.nodeId, options.network, options.random, this.#requests, (family) => this.#families[family].enabled)
    this.#meeting = new Meeting({
      nodeId: this.nodeId, family: (family) => this.#families[family], firstTid: () => this.#out.firstTid(), ignores: (address) => this.#out.ignores(address),
      ask: (node, at, stillThere) => void (this.#request(node, 'ping', {}, { onReply: stillThere }, at) ?? stillThere()),
    })
    this.#restored = new RestoredValues(this.#store, (key, value) => this.#run(key, () => ({ kind: 'put', value, permanent: true, onAnnounced: () => {} })))
    this.#listeners = new Listeners({
      firstTid: () => this.#out.firstTid(),
      update: (node, args, onLost, at) => void this.#request(node, 'update', args, { onReply: () => {}, onExpired: onLost }, at),
      legacy: (node, sid, values, at) => this.#server.legacyPush(node.address, sid, values, at),
      pendingTo: (node) => this.#requests.pendingTo(node),
      token: (to, at) => this.#tokens.make(to, at),
    }, this.#store)
    this.#server = new Server({
      nodeId: this.nodeId, network: options.network, store: this.#store, listeners: this.#listeners, tokens: this.#tokens,
      table: (family) => this.#families[family].table, wallTimeMs: options.wallTimeMs, send: options.send, onStored: options.onStored,
      onToken: (from, at) => this.#proved(from, at),
    })
    this.#admission = new Admission({
      answers: (tid, from) => this.#requests.expects(tid, from), listens: (family, node, sid) => this.#families[family].searches.socket(node, sid) !== undefined,
      token: (token, from, at) => this.#tokens.check(token, from, at), holds: (key, value) => this.#store.holds(key, value),
    })
    this.#families = { 4: this.#family(4, now), 6: this.#family(6, now) }
    this.#upkeep = new Upkeep({
      nodeId: this.nodeId, random: options.random, families: () => this.#families, request: (node, name, args, handlers, at) => this.#request(node, name, args, handlers, at),
      pingAddress: (to, at, done) => this.#out.pingAddress(to, at, undefined, done), pendingTo: (node) => this.#requests.pendingTo(node), now: () => this.#now,
      onBootstrap: () => options.onBootstrap?.(),
    })
    this.#nextSweepMs = now + this.#sweepDelay()
    if (state) this.#restore(state, now)
  }

  #family(family: 4 | 6, now: number): Family {
    return new Family(family, this.nodeId, {
      family,
      request: (node, name, args, handlers, at) => this.#request(node, name, args, handlers, at),
      seeds: (target, count) => this.#families[family].table.closestAlive(target, count),
      use: (node, search) => this.#families[family].table.use(node, search),
      unuse: (node, search) => this.#families[family].table.unuse(node, search),
      tid: (node) => this.#out.nextTid(node),
      giveUp: (node) => this.#requests.fail(node, this.#now),
      now: () => this.#now,
    }, this.#o.random, now)
  }

  // ---------------------------------------------------------------- life

  setEnabled(family: 4 | 6, enabled: boolean): void {
    this.#families[family].enabled = enabled
    this.#restored.familyEnabled()
  }

  status(): { ipv4: DhtStatus; ipv6: DhtStatus } {
    return { ipv4: this.#families[4].status, ipv6: this.#families[6].status }
  }

  nodeCount(now: number): { ipv4: number; ipv6: number } {
    return { ipv4: this.#families[4].table.goodCount(now), ipv6: this.#families[6].table.goodCount(now) }
  }

  /** Hosts to try now, and again whenever few others are known. */
  addBootstrap(addresses: readonly SocketAddress[], now: number): void {
    const fresh = addresses.filter((address) => this.#families[address.family].entries.add(address)).length > 0
    for (const f of Object.values(this.#families)) if (fresh || f.entries.isIdle(now)) f.entries.hurry() // what was just pinged is not pinged again for a name that was resolved again
    this.#refreshStatus(now)
  }

  connectivityChanged(now: number): void {
    for (const f of Object.values(this.#families)) f.moved(now)
    this.tick(now)
  }

  stop(): void {
    this.#stopped = true
    this.#requests.clear()
  }

  /** Our address as most networks see it. */
  reportedAddress(family: 4 | 6): Uint8Array | undefined {
    return this.#families[family].votes.best(this.#now)
  }

  /** When `tick` must run next. */
  get nextMs(): number {
    let next = Math.min(this.#requests.nextMs, this.#nextSweepMs, this.#store.nextExpiryMs, this.#restored.nextMs, this.#fragments.nextMs)
    for (const f of [this.#families[4], this.#families[6]]) if (f.enabled) next = Math.min(next, f.nextMaintenanceMs, f.searches.nextMs, this.#upkeep.nextEntryMs(f, this.#now))
    return next
  }

  tick(now: number): void {
    if (this.#stopped) return
    this.#now = now
    this.#requests.tick(now)
    this.#server.expire(now)
    this.#restored.tick(now)
    for (const f of [this.#families[4], this.#families[6]]) {
      if (f.enabled) this.#upkeep.tick(f, now)
    }
    if (this.#fragments.nextMs <= now) this.#fragments.expire(now)
    if (this.#nextSweepMs <= now) this.#sweep(now)
    this.#settle(now)
  }

  #settle(now: number): void {
    for (const f of [this.#families[4], this.#families[6]]) f.searches.step(now)
    this.#refreshStatus(now)
  }

  // ---------------------------------------------------------------- operations

  /** @returns cancels in all families; ops are made per family by `make` */
  run(key: InfoHash, make: (family: 4 | 6) => GetOp | PutOp | ListenOp, now: number): () => void {
    const cancel = this.#run(key, make)
    this.tick(now)
    return cancel
  }

  #run(key: InfoHash, make: (family: 4 | 6) => GetOp | PutOp | ListenOp): () => void {
    const running: (() => void)[] = []
    for (const family of this.enabledFamilies()) {
      const { searches } = this.#families[family]
      const search = searches.open(key)
      const op = make(family)
      search.add(op)
      running.push(() => {
        search.remove(op)
        searches.wake(search)
      })
    }
    return () => {
      for (const cancel of running) cancel()
    }
  }

  enabledFamilies(): (4 | 6)[] {
    return ([4, 6] as const).filter((f) => this.#families[f].enabled)
  }

  /** Puts into our own store, as the origin. */
  storeOwn(key: InfoHash, value: Value, permanent: boolean, now: number): void {
    this.#restored.claim(`${key}|${value.id}`)
    const outcome = this.#store.put(key, value, now, { createdMs: now, source: undefined, permanent })
    if (outcome === 'refreshed') this.#listeners.pushIds(key, { refreshed: [value.id] }, now)
    if (outcome !== 'stored' && outcome !== 'edited') return
    this.#listeners.pushValue(key, value, now)
    this.#o.onStored(key, value, false)
  }

  /** Takes back a permanent value of ours. */
  removeOwn(key: InfoHash, id: bigint): void {
    this.#restored.claim(`${key}|${id}`)
    this.#store.remove(key, id)
  }

  ownValues(key: InfoHash): Value[] {
    return this.#store.values(key).map((s) => s.value)
  }

  // ---------------------------------------------------------------- state

  /** What a later run can begin with: node id, good nodes, permanent values. */
  exportState(): Uint8Array {
    const nodes = [4, 6].flatMap((family) => this.#families[family as 4 | 6].table.good(this.#now).map(({ id, address }) => ({ id, address })))
    const values = this.#store.permanent().map(({ key, value }): StoredPut => {
      const leftMs = this.#restored.leftMs(key, value.id, this.#now)
      return { key, value, ...(leftMs === undefined ? {} : { leftMs }) }
    })
    return encodeState({ id: this.nodeId, nodes, values })
  }

  #restore(state: NodeState, now: number): void {
    for (const { id, address } of state.nodes) {
      if (isMartian(address) || id === this.nodeId) continue
      this.#families[address.family].table.mention(id, address, now, this.#out.firstTid())
      this.#families[address.family].entries.lost(address, now)
    }
    this.#restored.load(state.values, now)
  }

  // ---------------------------------------------------------------- datagrams in

  /**
   * Checks a datagram. Gives a message whose values must be verified (`unverified`) and then handed to `process`; undefined when
   * it is dropped or incomplete.
   */
  receive(datagram: Uint8Array, from: SocketAddress, now: number): Received | undefined {
    if (this.#stopped || isMartian(from) || this.#out.ignores(from)) return undefined
    this.#now = now
    let message: ReturnType<typeof decodeMessage>
    try {
      message = decodeMessage(datagram)
    } catch {
      return undefined // unreadable: dropped without an answer (§2.1)
    }
    if (message.network !== this.#o.network) return undefined
    const asked = this.#requests.expects(message.tid, from)
    if (message.kind === 'fragment') {
      if (!asked && !this.#fragments.expects(message.tid, from) && !this.#mayAsk(from, now)) return undefined
      const whole = this.#fragments.fragment(message, from, now, asked)
      return whole && this.#admission.admit(whole, from, datagram.length, now)
    }
    const id = message.kind === 'error' ? message.id : message.args.id
    if (id === this.nodeId || /^0+$/.test(id)) return undefined
    if (message.kind === 'error') {
      this.#requests.error(message, from)
      this.#settle(now)
      return undefined
    }
    if (message.kind === 'push') {
      this.#pushed(id, message.tid, message.args, from)
      this.#settle(now)
      return undefined
    }
    if (message.kind === 'request' ? !this.#mayAsk(from, now) : message.args.sizes && !asked && !this.#families[from.family].searches.socket(id, message.tid)) return undefined
    if (message.args.sizes) {
      const whole = this.#fragments.header(message, from, now, asked)
      return whole && this.#admission.admit(whole, from, datagram.length, now)
    }
    return this.#admission.admit(message, from, datagram.length, now)
  }

  #mayAsk(from: SocketAddress, now: number): boolean {
    return (this.#proofs.isProven(from, now) ? this.#known : this.#strangers).allows(from, now)
  }

  /** Acts on a checked message. @param bad values whose signature does not verify; @param vouched certificates whose signature does */
  process(received: Received, bad: ReadonlySet<Value>, now: number, vouched: ReadonlySet<Value> = NOTHING.vouched): void {
    if (this.#stopped) return
    this.#now = now
    const { message, from } = received
    if (message.kind === 'reply') this.#reply(message, from, bad, now)
    else this.#answer({ message, from }, received.bytes, { bad, vouched, refused: received.refused }, now)
    this.#settle(now)
  }

  #answer(request: Waiting, bytes: number, checked: Checked, now: number): void {
    const { message, from } = request
    const { id } = message.args
    const node = this.#meeting.at(id, from)
    if (node) this.#families[from.family].table.heard(node, now)
    const proven = this.#proofs.isProven(from, now)
    const probed = (!node || !isGood(node, now)) && !message.client && this.#probe(from, now)
    const answered = this.#server.answer(message, from, proven ? Number.POSITIVE_INFINITY : UNPROVEN_FACTOR * bytes - (probed ? PING_BYTES : 0), checked, now)
    if (!answered && (probed || this.#probe(from, now) || !proven)) this.#proofs.wait(from, request) // else the asker sends it again
    if (message.name !== 'update' || message.args.sid === undefined) return
    const { args } = message
    this.#pushed(id, args.sid ?? 0, checked.bad.size === 0 ? args : { ...args, values: args.values?.filter((v) => !checked.bad.has(v)) ?? [] }, from)
  }

  /** Pings an address of which nothing is known, not too often. */
  #probe(from: SocketAddress, now: number): boolean {
    return this.#newcomers.allows(from, now) && this.#proofs.begin(from, now) && this.#out.pingAddress(from, now, 1, () => {})
  }

  #proved(from: SocketAddress, now: number): void {
    for (const { message } of this.#proofs.prove(from, now)) this.#server.answer(message, from, Number.POSITIVE_INFINITY, NOTHING, now)
  }

  #pushed(id: InfoHash, sid: number, args: Arguments, from: SocketAddress): void {
    const node = this.#meeting.at(id, from)
    const socket = node && this.#families[from.family].searches.socket(id, sid)
    if (!socket) return
    socket.search.adoptToken(node, args.token)
    socket.op.onPush(node, args)
  }

  #reply(message: ReplyMessage, from: SocketAddress, bad: ReadonlySet<Value>, now: number): void {
    const good = bad.size === 0 ? message : { ...message, args: { ...message.args, values: message.args.values?.filter((v) => !bad.has(v)) ?? [] } }
    const asked = this.#requests.asked(message, from)
    if (!asked) {
      if (message.args.values) this.#pushed(message.args.id, message.tid, good.args, from) // legacy push
      return
    }
    const f = this.#families[from.family]
    const wayBack = f.entries.isBootstrap(from) || f.entries.isLost(from)
    const before = f.table.get(message.args.id)
    const wasGood = before !== undefined && isGood(before, now)
    const node = this.#meeting.answered(message, from, now)
    this.#proved(from, now)
    f.votes.count(from, message.args.sa, now)
    if (f.entries.isBootstrap(from)) f.bootstrapAnswered(now)
    this.#requests.reply(good, from, this.#meeting.mentioned(message.args, from, now))
    if (!node) return
    f.entries.found(from)
    const dubious = f.table.offer(node, now)
    if (dubious && this.#requests.pendingTo(dubious) === 0) this.#ping(dubious, now)
    if (wasGood) return
    f.searches.offer(node)
    f.nextMaintenanceMs = Math.min(f.nextMaintenanceMs, now + 1000)
    if (wayBack) f.searches.reseed(now)
  }

  // ---------------------------------------------------------------- requests out

  #request(node: NodeRecord, name: RequestName, args: Omit<Arguments, 'id'>, handlers: RequestHandlers, now: number): { cancel(): void } | undefined {
    return this.#out.request(node, name, args, handlers, now, (bad) => this.#requests.fail(bad, this.#now))
  }

  #ping(node: NodeRecord, now: number): void {
    this.#request(node, 'ping', {}, { onReply: () => {} }, now)
  }

  // ---------------------------------------------------------------- upkeep

  #sweepDelay(): number {
    return 120_000 + this.#o.random.below(240_000)
  }

  #sweep(now: number): void {
    this.#nextSweepMs = now + this.#sweepDelay()
    for (const f of Object.values(this.#families)) f.table.sweep(now)
    this.#listeners.sweep(now)
  }

  #refreshStatus(now: number): void {
    let changed = false
    for (const f of Object.values(this.#families)) {
      const status = f.statusAt(now)
      if (status === f.status) continue
      f.status = status
      changed = true
      if (status === 'connected') f.searches.restart() // what waited for nodes goes on now
    }
    if (changed) this.#o.onStatus()
  }
}
