// The DHT as a function of datagrams and time: who is heard, what is asked, what is answered. No I/O: what must be sent goes to
// `send`, when to come back is `nextMs`. docs/protocol/01 §2.6, §2.7, §3. Proof: engine/engine.test.ts, engine/search.test.ts.
import { JamiError } from '@jamikit/core/base'
import type { DhtStatus, InfoHash, Random, SocketAddress } from '@jamikit/core/contracts'
import { NEWCOMERS, PING_BYTES, REQUESTS_PER_NETWORK, REQUESTS_PER_SOURCE, REQUESTS_TOTAL, RESTORED_MS, UNPROVEN_FACTOR } from '../defaults.ts'
import { addressKey, hostToBytes, isLoopback, isMartian } from '../wire/address.ts'
import { FragmentAssembler } from '../wire/fragments.ts'
import { type Arguments, decodeMessage, encodeMessage, MAX_TOKEN_BYTES, type ReplyMessage, type RequestMessage, type RequestName } from '../wire/message.ts'
import type { NodeInfo } from '../wire/node-info.ts'
import type { Value } from '../wire/value.ts'
import { Admission, type Received } from './admission.ts'
import { Family } from './family.ts'
import { Listeners } from './listeners.ts'
import { maintain } from './maintenance.ts'
import { isGood, type NodeRecord } from './nodes.ts'
import { Proofs } from './proofs.ts'
import { RateLimiter } from './rate-limiter.ts'
import { type RequestHandlers, Requests } from './requests.ts'
import type { GetOp, ListenOp, PutOp } from './search-ops.ts'
import { type Checked, Server } from './server.ts'
import { decodeState, encodeState, type NodeState, type StoredPut } from './state.ts'
import { Tokens } from './tokens.ts'
import { ValueStore } from './value-store.ts'

export interface EngineOptions {
  readonly nodeId: InfoHash
  readonly network: number
  readonly maxStoreBytes: number
  readonly random: Random
  /** From `exportState`: its node id counts instead of `nodeId`. A damaged one is reported and not used. */
  readonly state?: Uint8Array
  readonly wallTimeMs: () => number
  /** In order, header first. */
  readonly send: (datagrams: readonly Uint8Array[], to: SocketAddress) => void
  /** Something changed in the own store at a key (for local listeners). */
  readonly onStored: (key: InfoHash, value: Value, expired: boolean) => void
  readonly onStatus: () => void
  /** Bootstrap hosts are about to be pinged again: their names may be resolved anew (then `addBootstrap` with what is new). */
  readonly onBootstrap?: () => void
  /** What goes wrong without anybody to throw to. */
  readonly onProblem?: (error: JamiError) => void
}

export type { Received }

type Waiting = Pick<Received, 'from'> & { readonly message: RequestMessage }

/** Addresses whose datagrams are dropped. */
const MAX_BLACKLIST = 10_000
/** Nodes that claim another address, being checked. */
const MAX_CLAIMS = 256
/** Nodes of one list that are pinged for the buckets. */
const PINGS_PER_LIST = 8
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
  readonly #blacklist = new Set<string>() // bounded by MAX_BLACKLIST
  readonly #claims = new Map<NodeRecord, SocketAddress>() // where a node says that it is now; bounded by MAX_CLAIMS
  readonly #restored = new Map<string, { put: StoredPut; untilMs: number; cancel: () => void }>() // by key and id; bounded by MAX_STATE_VALUES
  #now: number
  #nextSweepMs: number
  #stopped = false

  constructor(options: EngineOptions, now: number) {
    this.#o = options
    this.#now = now
    const state = this.#readState()
    this.nodeId = state?.id ?? options.nodeId
    this.#tokens = new Tokens(options.random, now)
    this.#store = new ValueStore(options.maxStoreBytes)
    this.#requests = new Requests(options.random, options.send, (node, at) => this.#nodeExpired(node, at))
    this.#listeners = new Listeners({
      firstTid: () => this.#firstTid(),
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
      tid: (node) => this.#tid(node),
      giveUp: (node) => this.#requests.fail(node, this.#now),
      now: () => this.#now,
    }, this.#o.random, now)
  }

  // ---------------------------------------------------------------- life

  setEnabled(family: 4 | 6, enabled: boolean): void {
    this.#families[family].enabled = enabled
  }

  status(): { ipv4: DhtStatus; ipv6: DhtStatus } {
    return { ipv4: this.#families[4].status, ipv6: this.#families[6].status }
  }

  nodeCount(now: number): { ipv4: number; ipv6: number } {
    return { ipv4: this.#families[4].table.goodCount(now), ipv6: this.#families[6].table.goodCount(now) }
  }

  /** Hosts to try now, and again whenever few others are known. */
  addBootstrap(addresses: readonly SocketAddress[], now: number): void {
    for (const address of addresses) this.#families[address.family].entries.add(address)
    for (const f of Object.values(this.#families)) f.entries.hurry()
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
    let next = Math.min(this.#requests.nextMs, this.#nextSweepMs, this.#store.nextExpiryMs)
    for (const f of [this.#families[4], this.#families[6]]) if (f.enabled) next = Math.min(next, f.nextMaintenanceMs, f.searches.nextMs, this.#nextEntryMs(f, this.#now))
    return next
  }

  #nextEntryMs(f: Family, now: number): number {
    const other = this.#families[f === this.#families[4] ? 6 : 4]
    return f.entries.nextMs(f.reach(now), other.status === 'connected')
  }

  tick(now: number): void {
    if (this.#stopped) return
    this.#now = now
    this.#requests.tick(now)
    this.#server.expire(now)
    for (const f of [this.#families[4], this.#families[6]]) {
      if (!f.enabled) continue
      if (f.nextMaintenanceMs <= now) this.#maintain(f, now)
      if (this.#nextEntryMs(f, now) <= now) this.#enter(f, now)
    }
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
    this.tick(now)
    return () => {
      for (const cancel of running) cancel()
    }
  }

  enabledFamilies(): (4 | 6)[] {
    return ([4, 6] as const).filter((f) => this.#families[f].enabled)
  }

  /** Puts into our own store, as the origin. */
  storeOwn(key: InfoHash, value: Value, permanent: boolean, now: number): void {
    this.#unrestore(`${key}|${value.id}`)
    const outcome = this.#store.put(key, value, now, { createdMs: now, source: undefined, permanent })
    if (outcome === 'refreshed') this.#listeners.pushIds(key, { refreshed: [value.id] }, now)
    if (outcome !== 'stored' && outcome !== 'edited') return
    this.#listeners.pushValue(key, value, now)
    this.#o.onStored(key, value, false)
  }

  /** Takes back a permanent value of ours. */
  removeOwn(key: InfoHash, id: bigint): void {
    this.#unrestore(`${key}|${id}`)
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
      const restored = this.#restored.get(`${key}|${value.id}`)
      return { key, value, ...(restored ? { leftMs: Math.max(0, Math.floor(restored.untilMs - this.#now)) } : {}) }
    })
    return encodeState({ id: this.nodeId, nodes, values })
  }

  #readState(): NodeState | undefined {
    if (!this.#o.state) return undefined
    try {
      return decodeState(this.#o.state)
    } catch (error) {
      if (!(error instanceof JamiError)) throw error
      this.#o.onProblem?.(new JamiError('ERR_STORAGE_CORRUPT', `the saved state of the DHT node cannot be read: ${error.message}`, { cause: error, details: error.details }))
      return undefined
    }
  }

  #restore(state: NodeState, now: number): void {
    for (const { id, address } of state.nodes) {
      if (isMartian(address) || id === this.nodeId) continue
      this.#families[address.family].table.mention(id, address, now, this.#firstTid())
      this.#families[address.family].entries.lost(address, now)
    }
    for (const put of state.values) {
      const untilMs = now + Math.min(put.leftMs ?? RESTORED_MS, RESTORED_MS)
      this.#store.put(put.key, put.value, now, { createdMs: now, source: undefined, permanent: true })
      this.#restored.set(`${put.key}|${put.value.id}`, { put, untilMs, cancel: () => {} })
    }
  }

  /** Announces what was restored once a family works. */
  announceRestored(now: number): void {
    for (const restored of this.#restored.values()) {
      restored.cancel()
      restored.cancel = this.run(restored.put.key, () => ({ kind: 'put', value: restored.put.value, permanent: true, onAnnounced: () => {} }), now)
    }
  }

  #unrestore(name: string): void {
    this.#restored.get(name)?.cancel()
    this.#restored.delete(name)
  }

  // ---------------------------------------------------------------- datagrams in

  /**
   * Checks a datagram. Gives a message whose values must be verified (`unverified`) and then handed to `process`; undefined when
   * it is dropped or incomplete.
   */
  receive(datagram: Uint8Array, from: SocketAddress, now: number): Received | undefined {
    if (this.#stopped || isMartian(from) || this.#blacklist.has(addressKey(from))) return undefined
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
    const node = this.#at(id, from)
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
    return this.#newcomers.allows(from, now) && this.#proofs.begin(from, now) && this.#pingAddress(from, now, 1, () => {})
  }

  #proved(from: SocketAddress, now: number): void {
    for (const { message } of this.#proofs.prove(from, now)) this.#server.answer(message, from, Number.POSITIVE_INFINITY, NOTHING, now)
  }

  /** The node of this id, if this is where it is. */
  #at(id: InfoHash, from: SocketAddress): NodeRecord | undefined {
    const node = this.#families[from.family].table.get(id)
    return node && addressKey(node.address) === addressKey(from) ? node : undefined
  }

  #pushed(id: InfoHash, sid: number, args: Arguments, from: SocketAddress): void {
    const node = this.#at(id, from)
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
    const node = this.#confirm(f, message, from, now)
    this.#proved(from, now)
    f.votes.count(from, message.args.sa, now)
    if (f.entries.isBootstrap(from)) f.bootstrapAnswered(now)
    const mentioned = ([4, 6] as const).flatMap((family) => (message.args[`n${family}`] ?? []).flatMap((info) => this.#mentioned(info, from, now) ?? []))
    this.#requests.reply(good, from, mentioned)
    if (!node) return
    f.entries.found(from)
    const dubious = f.table.offer(node, now)
    if (dubious && this.#requests.pendingTo(dubious) === 0) this.#ping(dubious, now)
    if (wasGood) return
    f.searches.offer(node)
    f.nextMaintenanceMs = Math.min(f.nextMaintenanceMs, now + 1000)
    if (wayBack) f.searches.reseed(now)
  }

  /** The node has replied from there. Undefined while it is elsewhere as far as we know: then that is asked first. */
  #confirm(f: Family, message: ReplyMessage, from: SocketAddress, now: number): NodeRecord | undefined {
    const { id } = message.args
    const known = f.table.get(id)
    if (!known || addressKey(known.address) === addressKey(from) || !isGood(known, now)) return f.table.confirm(id, from, now, { client: message.client, tid: this.#firstTid() })
    if (!this.#claims.has(known) && this.#claims.size < MAX_CLAIMS) {
      this.#claims.set(known, from)
      const stays = () => void this.#claims.delete(known)
      this.#request(known, 'ping', {}, { onReply: stays }, now) ?? stays()
    }
    return undefined
  }

  #mentioned(info: NodeInfo, from: SocketAddress, now: number): NodeRecord | undefined {
    if (info.id === this.nodeId || /^0+$/.test(info.id)) return undefined
    const bytes = hostToBytes(info.address.host)
    const address = bytes && isLoopback(bytes) && info.address.family === from.family ? { ...info.address, host: from.host } : info.address
    if (isMartian(address) || this.#blacklist.has(addressKey(address))) return undefined
    const f = this.#families[address.family]
    return f.enabled ? f.table.mention(info.id, address, now, this.#firstTid()) : undefined
  }

  // ---------------------------------------------------------------- requests out

  #firstTid(): number {
    return 1 + this.#o.random.below(0xfffffffe)
  }

  #tid(node: NodeRecord): number {
    node.nextTid = node.nextTid >= 0xffffffff ? 1 : node.nextTid + 1
    return node.nextTid
  }

  #request(node: NodeRecord, name: RequestName, args: Omit<Arguments, 'id'>, handlers: RequestHandlers, now: number): { cancel(): void } | undefined {
    if (!this.#families[node.family].enabled) return undefined
    const tid = this.#tid(node)
    const datagrams = encodeMessage({ kind: 'request', name, tid, network: this.#o.network, client: false, args: { id: this.nodeId, ...args } })
    const tokenless = name === 'get' || name === 'find'
    return this.#requests.start(tid, node, node.address, datagrams, now, {
      ...handlers,
      onReply: (reply, mentioned) => {
        const { token } = reply.args
        if (tokenless && (!token || token.length === 0 || token.length > MAX_TOKEN_BYTES)) {
          if (this.#blacklist.size < MAX_BLACKLIST) this.#blacklist.add(addressKey(node.address)) // no honest node answers a search without a token (§2.5)
          this.#requests.fail(node, this.#now)
          handlers.onExpired?.()
          return
        }
        handlers.onReply(reply, mentioned)
      },
    })
  }

  #ping(node: NodeRecord, now: number): void {
    this.#request(node, 'ping', {}, { onReply: () => {} }, now)
  }

  /** Whoever is there. */
  #pingAddress(to: SocketAddress, now: number, transmissions: number | undefined, done: () => void): boolean {
    const tid = this.#firstTid()
    const datagrams = encodeMessage({ kind: 'request', name: 'ping', tid, network: this.#o.network, client: false, args: { id: this.nodeId } })
    return this.#requests.start(tid, undefined, to, datagrams, now, { onReply: done, onExpired: done }, transmissions) !== undefined
  }

  #nodeExpired(node: NodeRecord, now: number): void {
    const f = this.#families[node.family]
    if (f.table.get(node.id) !== node) {
      node.expired = true // of a listener: it has a record of its own
      return
    }
    if (isGood(node, now) || node.repliedMs > Number.NEGATIVE_INFINITY) f.entries.lost(node.address, now)
    f.table.expire(node, now)
    const claim = this.#claims.get(node)
    if (!claim) return
    this.#claims.delete(node)
    f.table.confirm(node.id, claim, now, { client: node.client, tid: 0 }) // it is not where it was, and answered from there
  }

  // ---------------------------------------------------------------- upkeep

  /** Looks for ways (back) into the network. */
  #enter(f: Family, now: number): void {
    const reach = f.reach(now)
    if (f.entries.hasBootstrap) this.#o.onBootstrap?.()
    for (const address of f.entries.take(now, reach)) {
      f.pending++
      const done = () => void f.pending--
      if (!this.#pingAddress(address, now, undefined, done)) done()
    }
  }

  #maintain(f: Family, now: number): void {
    const both = this.#families[4].enabled && this.#families[6].enabled
    f.nextMaintenanceMs = now + maintain(f.table, this.nodeId, this.#o.random, now, (node, target) => {
      if (this.#requests.pendingTo(node) > 0) return false
      return this.#request(node, 'find', { target, ...(both ? { want: [4, 6] as const } : {}) }, { onReply: (_, mentioned) => this.#pingWanted(mentioned) }, now) !== undefined
    })
  }

  /** What a find for the buckets brought: nodes count once they have replied. */
  #pingWanted(mentioned: readonly NodeRecord[]): void {
    const wanted = mentioned.filter((n) => !n.expired && !isGood(n, this.#now) && this.#requests.pendingTo(n) === 0 && this.#families[n.family].table.wants(n.idBytes, this.#now))
    for (const node of wanted.slice(0, 2 * PINGS_PER_LIST)) this.#ping(node, this.#now)
  }

  #sweepDelay(): number {
    return 120_000 + this.#o.random.below(240_000)
  }

  #sweep(now: number): void {
    this.#nextSweepMs = now + this.#sweepDelay()
    this.#fragments.expire(now)
    for (const f of Object.values(this.#families)) f.table.sweep(now)
    this.#listeners.sweep(now)
    for (const [name, { put, untilMs }] of this.#restored) {
      if (untilMs > now) continue
      this.#unrestore(name)
      this.#store.remove(put.key, put.value.id)
    }
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
