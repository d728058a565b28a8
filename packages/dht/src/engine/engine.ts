// The DHT as a function of datagrams and time: answers requests, keeps the routing tables, runs searches. No I/O: what must be
// sent goes to `send`, when to come back is `nextMs`. docs/protocol/01 §2.6, §2.7, §3. Proof: engine/engine.test.ts, engine/search.test.ts.
import { fromHex, toHex } from '@jamikit/core/codec'
import { JamiError } from '@jamikit/core/base'
import type { DhtStatus, InfoHash, Random, SocketAddress } from '@jamikit/core/contracts'
import {
  BOOTSTRAP_FIRST_MS, BOOTSTRAP_MAX_MS, CLOSEST, IDS_PER_PUSH, LISTENER_LIFE_MS, MAX_LISTENERS, MAX_LISTENERS_PER_KEY, MAX_LISTENERS_PER_SOURCE,
  MAX_PUSH_BYTES, MAX_REPLY_BYTES, MAX_REPLY_VALUES, MAX_SEARCHES, REQUESTS_PER_SOURCE, REQUESTS_TOTAL,
} from '../defaults.ts'
import { addressKey, hostToBytes, isLoopback, isMartian, sourceKey } from '../wire/address.ts'
import { FragmentAssembler } from '../wire/fragments.ts'
import { type Arguments, decodeMessage, encodeError, encodeMessage, MAX_TOKEN_BYTES, type ReplyMessage, type RequestMessage, type RequestName } from '../wire/message.ts'
import type { NodeInfo } from '../wire/node-info.ts'
import { matches, type Query, selectFields } from '../wire/query.ts'
import { type Value, valueSize } from '../wire/value.ts'
import { isGood, type NodeRecord, NodeTable } from './nodes.ts'
import { RateLimiter } from './rate-limiter.ts'
import { type RequestHandlers, Requests } from './requests.ts'
import { type GetOp, type ListenOp, type PutOp, Search, type SearchHost } from './search.ts'
import { Tokens } from './tokens.ts'
import { ValueStore } from './value-store.ts'

export interface EngineOptions {
  readonly nodeId: InfoHash
  readonly network: number
  readonly maxStoreBytes: number
  readonly random: Random
  readonly wallTimeMs: () => number
  /** In order, header first. */
  readonly send: (datagrams: readonly Uint8Array[], to: SocketAddress) => void
  /** Something changed in the own store at a key (for local listeners). */
  readonly onStored: (key: InfoHash, value: Value, expired: boolean) => void
  readonly onStatus: () => void
}

/** A message that passed the checks of its envelope; its signed values still have to be verified before `process`. */
export interface Received {
  readonly message: RequestMessage | ReplyMessage
  readonly from: SocketAddress
}

interface Family {
  readonly table: NodeTable
  readonly searches: Map<InfoHash, Search>
  readonly host: SearchHost
  enabled: boolean
  status: DhtStatus
  nextMaintenanceMs: number
  bootstrapPending: number
}

interface RemoteListener {
  readonly node: NodeRecord
  readonly sid: number
  readonly version: number
  readonly source: string
  query: Query
  timeMs: number
  /** From where it showed a token. Nothing is pushed to other addresses, which anybody could claim in its name. */
  address: SocketAddress
}

interface Socket {
  readonly op: ListenOp
  readonly search: InfoHash
}

/** Addresses whose datagrams are dropped. */
const MAX_BLACKLIST = 10_000

export class DhtEngine {
  readonly #o: EngineOptions
  readonly #families: Record<4 | 6, Family>
  readonly #requests: Requests
  readonly #tokens: Tokens
  readonly #limiter = new RateLimiter(REQUESTS_PER_SOURCE, REQUESTS_TOTAL)
  readonly #fragments = new FragmentAssembler()
  readonly #store: ValueStore
  readonly #listeners = new Map<InfoHash, Map<string, RemoteListener>>() // bounded by MAX_LISTENERS_PER_KEY and _PER_SOURCE
  readonly #listenersOf = new Map<string, number>() // by source; bounded by the listeners
  #listenerCount = 0 // at most MAX_LISTENERS
  readonly #sockets = new Map<string, Socket>() // bounded by our listens × nodes
  readonly #blacklist = new Set<string>() // bounded by MAX_BLACKLIST
  readonly #bootstrap = new Map<string, SocketAddress>() // bounded by the configuration
  readonly #woken = new Set<Search>()
  readonly #reported: Record<4 | 6, Map<string, number>> = { 4: new Map(), 6: new Map() } // 32 each
  #nextBootstrapMs = 0
  #bootstrapDelayMs = BOOTSTRAP_FIRST_MS
  #nextSweepMs: number
  #stopped = false

  constructor(options: EngineOptions, now: number) {
    this.#o = options
    this.#tokens = new Tokens(options.random, now)
    this.#store = new ValueStore(options.maxStoreBytes)
    this.#requests = new Requests(options.random, options.send, (node) => this.#nodeExpired(node))
    this.#families = { 4: this.#family(4, now), 6: this.#family(6, now) }
    this.#nextSweepMs = now + this.#sweepDelay()
  }

  #family(family: 4 | 6, now: number): Family {
    const table = new NodeTable(family, this.#o.nodeId)
    const host: SearchHost = {
      family,
      request: (node, name, args, handlers, at) => this.#request(node, name, args, handlers, at),
      seeds: (target, count) => table.closestAlive(target, count),
      openSocket: (node, op) => {
        const sid = this.#tid(node)
        this.#sockets.set(socketKey(node, sid), { op, search: this.#searchOf(op, family) })
        return sid
      },
      closeSocket: (node, sid) => this.#sockets.delete(socketKey(node, sid)),
      wake: (search) => this.#woken.add(search),
      giveUp: (node) => this.#requests.fail(node),
    }
    return { table, searches: new Map(), host, enabled: false, status: 'disconnected', nextMaintenanceMs: now + 3000 + this.#o.random.below(2000), bootstrapPending: 0 }
  }

  #searchOf(op: ListenOp, family: 4 | 6): InfoHash {
    for (const [key, search] of this.#families[family].searches) if (search.holds(op)) return key
    return '' as InfoHash
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

  addBootstrap(addresses: readonly SocketAddress[], now: number): void {
    for (const address of addresses) if (this.#bootstrap.size < 256) this.#bootstrap.set(addressKey(address), address)
    this.#nextBootstrapMs = now
    this.#bootstrapDelayMs = BOOTSTRAP_FIRST_MS
    this.#refreshStatus(now)
  }

  connectivityChanged(now: number): void {
    for (const f of Object.values(this.#families)) {
      f.table.reviveAll()
      f.nextMaintenanceMs = now
      for (const search of f.searches.values()) search.restart()
    }
    this.#reported[4].clear()
    this.#reported[6].clear()
    this.#nextBootstrapMs = now
    this.#bootstrapDelayMs = BOOTSTRAP_FIRST_MS
    this.tick(now)
  }

  stop(): void {
    this.#stopped = true
    this.#requests.clear()
  }

  /** Our address as most nodes see it. */
  reportedAddress(family: 4 | 6): Uint8Array | undefined {
    const [best] = [...this.#reported[family]].sort((a, b) => b[1] - a[1])
    return best && fromHex(best[0])
  }

  /** When `tick` must run next. */
  get nextMs(): number {
    let next = Math.min(this.#requests.nextMs, this.#nextSweepMs, this.#store.nextExpiryMs)
    if (this.#woken.size > 0) return Number.NEGATIVE_INFINITY
    for (const f of [this.#families[4], this.#families[6]]) {
      if (!f.enabled) continue
      next = Math.min(next, f.nextMaintenanceMs)
      for (const search of f.searches.values()) next = Math.min(next, search.nextMs)
    }
    if (this.#wantsBootstrap()) next = Math.min(next, this.#nextBootstrapMs)
    return next
  }

  tick(now: number): void {
    if (this.#stopped) return
    this.#requests.tick(now)
    for (const { key, value } of this.#store.expire(now)) this.#expired(key, value, now)
    for (const f of [this.#families[4], this.#families[6]]) {
      for (const search of f.searches.values()) if (search.nextMs <= now) this.#woken.add(search)
      if (f.enabled && f.nextMaintenanceMs <= now) this.#maintain(f, now)
    }
    if (this.#wantsBootstrap() && this.#nextBootstrapMs <= now) this.#bootstrapNow(now)
    if (this.#nextSweepMs <= now) this.#sweep(now)
    this.#settle(now)
  }

  /** Steps woken searches until nothing more happens. */
  #settle(now: number): void {
    for (let rounds = 0; this.#woken.size > 0 && rounds < 64; rounds++) {
      const woken = [...this.#woken]
      this.#woken.clear()
      for (const search of woken) {
        search.step(now)
        if (search.idle && this.#families[search.family].searches.get(search.key) === search) this.#families[search.family].searches.delete(search.key)
      }
    }
    this.#refreshStatus(now)
  }

  // ---------------------------------------------------------------- operations

  #search(key: InfoHash, family: 4 | 6): Search | undefined {
    const f = this.#families[family]
    if (!f.enabled) return undefined
    let search = f.searches.get(key)
    if (!search) {
      if (f.searches.size >= MAX_SEARCHES) throw new JamiError('ERR_LIMIT', `DHT searches: got ${f.searches.size + 1}, allowed at most ${MAX_SEARCHES}`)
      search = new Search(key, f.host)
      f.searches.set(key, search)
    }
    return search
  }

  /** @returns cancels in all families; ops are made per family by `make` */
  run(key: InfoHash, make: (family: 4 | 6) => GetOp | PutOp | ListenOp, now: number): () => void {
    const running: (() => void)[] = []
    for (const family of [4, 6] as const) {
      const search = this.#search(key, family)
      if (!search) continue
      const op = make(family)
      search.add(op)
      running.push(() => {
        search.remove(op)
        this.#woken.add(search)
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
    const outcome = this.#store.put(key, value, now, { createdMs: now, source: undefined, permanent })
    if (outcome === 'stored' || outcome === 'edited') this.#pushValue(key, value, now)
    else if (outcome === 'refreshed') this.#pushIds(key, { refreshed: [value.id] }, now)
    if (outcome === 'stored' || outcome === 'edited') this.#o.onStored(key, value, false)
  }

  /** Takes back a permanent value of ours. */
  removeOwn(key: InfoHash, id: bigint): void {
    this.#store.remove(key, id)
  }

  ownValues(key: InfoHash): Value[] {
    return this.#store.values(key).map((s) => s.value)
  }

  // ---------------------------------------------------------------- datagrams in

  /**
   * Checks a datagram. Gives a message whose values must be verified (`hasSigned`) and then handed to `process`; undefined when
   * it is dropped or incomplete.
   */
  receive(datagram: Uint8Array, from: SocketAddress, now: number): Received | undefined {
    if (this.#stopped || isMartian(from) || this.#blacklist.has(addressKey(from))) return undefined
    let message: ReturnType<typeof decodeMessage>
    try {
      message = decodeMessage(datagram)
    } catch {
      return undefined // unreadable: dropped without an answer (§2.1)
    }
    if (message.network !== this.#o.network) return undefined
    if (message.kind === 'fragment') {
      if (!this.#fragments.expects(message.tid, from) && !this.#limiter.allows(sourceKey(from), now)) return undefined
      const whole = this.#fragments.fragment(message, from, now)
      return whole && { message: this.#worthwhile(whole, from, now), from }
    }
    const id = message.kind === 'error' ? message.id : message.args.id
    if (id === this.#o.nodeId || /^0+$/.test(id)) return undefined
    if (message.kind === 'error') {
      this.#heard(id, from, now, message.client)
      this.#requests.error(message, from)
      this.#settle(now)
      return undefined
    }
    if (message.kind === 'push') {
      this.#legacyPush(message.tid, message.args, from, now)
      return undefined
    }
    if (message.kind === 'request' && !this.#limiter.allows(sourceKey(from), now)) return undefined
    if (message.kind === 'reply' && message.args.sizes && !this.#requests.expects(message.tid, from) && !this.#sockets.has(`${from.family}${id}|${message.tid}`)) return undefined
    if (message.args.sizes) {
      const whole = this.#fragments.header(message, from, now)
      return whole && { message: this.#worthwhile(whole, from, now), from }
    }
    return { message: this.#worthwhile(message, from, now), from }
  }

  /** Values that will not be used anyway are left out before anybody verifies their signatures. */
  #worthwhile(message: RequestMessage | ReplyMessage, from: SocketAddress, now: number): RequestMessage | ReplyMessage {
    const { args } = message
    if (!args.values || args.values.length === 0) return message
    const wanted = message.kind === 'reply'
      ? this.#requests.expects(message.tid, from) || this.#sockets.has(`${from.family}${args.id}|${message.tid}`)
      : message.name === 'put' ? this.#tokens.check(args.token, from, now)
      : message.name === 'update' && args.sid !== undefined && this.#sockets.has(`${from.family}${args.id}|${args.sid}`)
    return wanted ? message : { ...message, args: { ...args, values: [] } }
  }

  /** Acts on a checked message. @param bad values whose signature does not verify: acknowledged, never kept */
  process({ message, from }: Received, bad: ReadonlySet<Value>, now: number): void {
    if (this.#stopped) return
    const node = this.#heard(message.args.id, from, now, message.client, message.kind === 'request')
    if (!node) return
    if (message.kind === 'reply') this.#reply(message, node, from, bad, now)
    else this.#answer(message, node, from, bad, now)
    this.#settle(now)
  }

  /** @param ask whether to ask a new node back; requests only, since their number is limited */
  #heard(id: InfoHash, from: SocketAddress, now: number, client: boolean, ask = false): NodeRecord | undefined {
    const f = this.#families[from.family]
    const fresh = !f.table.get(id)
    const node = f.table.note(id, from, now, { heard: true, client, tid: this.#firstTid() })
    if (!node) return undefined
    this.#offer(f, node, now)
    if (fresh) {
      f.nextMaintenanceMs = Math.min(f.nextMaintenanceMs, now + 1000)
      if (ask) this.#ping(node, now) // good only once it has replied
    }
    return node
  }

  #offer(f: Family, node: NodeRecord, now: number): void {
    const dubious = f.table.offer(node, now)
    if (dubious && !this.#requests.pendingTo(dubious)) this.#ping(dubious, now)
    for (const search of f.searches.values()) search.offer(node)
  }

  #reply(message: ReplyMessage, node: NodeRecord, from: SocketAddress, bad: ReadonlySet<Value>, now: number): void {
    const socket = this.#sockets.get(socketKey(node, message.tid))
    const good = bad.size === 0 ? message : { ...message, args: { ...message.args, values: message.args.values?.filter((v) => !bad.has(v)) ?? [] } }
    if (!this.#requests.expects(message.tid, from)) {
      if (socket && message.args.values) socket.op.onPush(node, good.args) // legacy push
      return
    }
    const wasGood = isGood(node, now)
    node.repliedMs = now
    this.#countReported(from.family, message.args.sa)
    for (const family of [4, 6] as const) for (const info of message.args[`n${family}`] ?? []) this.#mentioned(info, from, now)
    this.#requests.reply(good, from)
    const f = this.#families[from.family]
    this.#offer(f, node, now)
    if (!wasGood) for (const search of f.searches.values()) this.#woken.add(search)
  }

  #mentioned(info: NodeInfo, from: SocketAddress, now: number): void {
    if (info.id === this.#o.nodeId || /^0+$/.test(info.id)) return
    const bytes = hostToBytes(info.address.host)
    const address = bytes && isLoopback(bytes) && info.address.family === from.family ? { ...info.address, host: from.host } : info.address
    if (isMartian(address) || this.#blacklist.has(addressKey(address))) return
    const f = this.#families[address.family]
    if (!f.enabled) return
    const node = f.table.note(info.id, address, now, { heard: false, tid: this.#firstTid() })
    if (node && !node.expired) this.#offer(f, node, now)
  }

  #countReported(family: 4 | 6, sa: Uint8Array | undefined): void {
    if (!sa || sa.length !== (family === 4 ? 4 : 16)) return
    const counts = this.#reported[family]
    const key = toHex(sa)
    if (counts.has(key) || counts.size < 32) counts.set(key, (counts.get(key) ?? 0) + 1)
  }

  // ---------------------------------------------------------------- serving

  #answer(m: RequestMessage, node: NodeRecord, from: SocketAddress, bad: ReadonlySet<Value>, now: number): void {
    const { args } = m
    const fail = (code: number, text: string) => this.#sendTo(from, [encodeError({ kind: 'error', tid: m.tid, network: this.#o.network, client: false, code, text, id: this.#o.nodeId })])
    const key = args.h
    switch (m.name) {
      case 'ping': return this.#replyTo(m, from, {})
      case 'find': return this.#replyTo(m, from, { ...this.#nodesFor(args.target ?? this.#o.nodeId, args.want ?? [from.family], now), token: this.#tokens.make(from, now) })
      case 'get': {
        if (!key || /^0+$/.test(key)) return fail(203, 'Get_values with no info_hash')
        const query = args.query ?? { select: [], where: {} }
        const values = fitting(this.#store.values(key).map((s) => s.value).filter((v) => matches(query.where, v)), query.select.length > 0 ? Number.POSITIVE_INFINITY : MAX_REPLY_BYTES)
        const fields = query.select.length > 0 ? selectFields(query.select, values) : undefined
        return this.#replyTo(m, from, {
          ...this.#nodesFor(key, args.want ?? [from.family], now), token: this.#tokens.make(from, now),
          ...(fields ? (fields.f.length > 0 && values.length > 0 ? { fileds: fields } : {}) : values.length > 0 ? { values } : {}),
        })
      }
      case 'put': {
        if (!key || /^0+$/.test(key)) return fail(203, 'Put with no info_hash')
        if (!this.#tokens.check(args.token, from, now)) return fail(401, 'Put with wrong token')
        for (const value of args.values ?? []) {
          if (value.id === 0n) { fail(203, 'Put with invalid id'); continue }
          if (!bad.has(value)) this.#storeRemote(key, value, args.created, from, now)
          this.#replyTo(m, from, { vid: value.id })
        }
        return
      }
      case 'refresh': {
        if (!this.#tokens.check(args.token, from, now)) return fail(401, 'Put with wrong token')
        if (!key || !this.#store.has(key)) return fail(404, 'Access operation for unknown storage')
        if (args.vid !== undefined) {
          this.#store.refresh(key, args.vid, now)
          this.#pushIds(key, { refreshed: [args.vid] }, now)
        }
        return this.#replyTo(m, from, { ...(args.vid === undefined ? {} : { vid: args.vid }) })
      }
      case 'listen': {
        if (!key || /^0+$/.test(key)) return fail(203, 'Listen with no info_hash')
        if (!this.#tokens.check(args.token, from, now)) return fail(401, 'Listen with wrong token')
        this.#addListener(key, node, args, from, now)
        return this.#replyTo(m, from, { token: this.#tokens.make(from, now) })
      }
      case 'update': {
        this.#replyTo(m, from, {})
        const socket = args.sid === undefined ? undefined : this.#sockets.get(socketKey(node, args.sid))
        if (!socket) return
        this.#families[from.family].searches.get(socket.search)?.adoptToken(node, args.token)
        socket.op.onPush(node, bad.size === 0 ? args : { ...args, values: args.values?.filter((v) => !bad.has(v)) ?? [] })
      }
    }
  }

  #legacyPush(sid: number, args: Arguments, from: SocketAddress, now: number): void {
    const node = this.#heard(args.id, from, now, false)
    if (!node) return
    this.#sockets.get(socketKey(node, sid))?.op.onPush(node, args)
    this.#settle(now)
  }

  #replyTo(m: RequestMessage, to: SocketAddress, args: Omit<Arguments, 'id'>): void {
    const sa = hostToBytes(to.host) ?? new Uint8Array(to.family === 4 ? 4 : 16)
    this.#sendTo(to, encodeMessage({ kind: 'reply', tid: m.tid, network: this.#o.network, client: false, args: { id: this.#o.nodeId, sa, ...args } }))
  }

  #sendTo(to: SocketAddress, datagrams: readonly Uint8Array[]): void {
    this.#o.send(datagrams, to)
  }

  #nodesFor(target: InfoHash, want: readonly (4 | 6)[], now: number): { n4?: NodeInfo[]; n6?: NodeInfo[] } {
    const bytes = fromHex(target)
    const of = (family: 4 | 6) => this.#families[family].table.closestGood(bytes, CLOSEST, now).map(({ id, address }) => ({ id, address }))
    return { ...(want.includes(4) ? { n4: of(4) } : {}), ...(want.includes(6) ? { n6: of(6) } : {}) }
  }

  #storeRemote(key: InfoHash, value: Value, createdS: number | undefined, from: SocketAddress, now: number): void {
    const good = this.#families[from.family].table.closestGood(fromHex(key), 14, now)
    if (good.length >= 14) {
      const far = good[13] as NodeRecord
      if (closer(fromHex(key), far.idBytes, fromHex(this.#o.nodeId))) return // others are closer (§2.7.4)
    }
    const wall = this.#o.wallTimeMs()
    const ageMs = createdS === undefined ? 0 : Math.max(0, wall - createdS * 1000)
    const outcome = this.#store.put(key, value, now, { createdMs: now - ageMs, source: sourceKey(from) })
    if (outcome === 'stored' || outcome === 'edited') {
      this.#pushValue(key, value, now)
      this.#o.onStored(key, value, false)
    } else if (outcome === 'refreshed') this.#pushIds(key, { refreshed: [value.id] }, now)
    for (const gone of this.#store.expire(now)) this.#expired(gone.key, gone.value, now)
  }

  #addListener(key: InfoHash, node: NodeRecord, args: Arguments, from: SocketAddress, now: number): void {
    const sid = args.sid ?? 0
    const query = args.query ?? { select: [], where: {} }
    const id = socketKey(node, sid)
    const at = this.#listeners.get(key) ?? new Map<string, RemoteListener>()
    const known = at.get(id)
    if (known) {
      known.query = query
      known.timeMs = now
      known.address = from
      return
    }
    const source = sourceKey(from)
    const ofSource = this.#listenersOf.get(source) ?? 0
    if (this.#listenerCount >= MAX_LISTENERS || at.size >= MAX_LISTENERS_PER_KEY || ofSource >= MAX_LISTENERS_PER_SOURCE) return
    const listener: RemoteListener = { node, sid, version: args.ve ?? 0, source, query, timeMs: now, address: from }
    at.set(id, listener)
    this.#listeners.set(key, at)
    this.#listenersOf.set(source, ofSource + 1)
    this.#listenerCount++
    const values = this.#store.values(key).map((s) => s.value).filter((v) => matches(query.where, v))
    for (let rest = values; rest.length > 0; ) {
      const part = fitting(rest, MAX_PUSH_BYTES)
      this.#push(listener, { h: key, values: part }, now)
      rest = rest.slice(part.length)
    }
  }

  #pushValue(key: InfoHash, value: Value, now: number): void {
    for (const l of this.#listeners.get(key)?.values() ?? []) if (matches(l.query.where, value)) this.#push(l, { h: key, values: [value] }, now)
  }

  #pushIds(key: InfoHash, ids: { refreshed?: bigint[]; expired?: bigint[] }, now: number): void {
    for (const l of this.#listeners.get(key)?.values() ?? []) this.#push(l, ids, now)
  }

  #push(l: RemoteListener, args: Omit<Arguments, 'id'>, now: number): void {
    if (l.node.expired || addressKey(l.node.address) !== addressKey(l.address)) return
    const token = this.#tokens.make(l.node.address, now)
    if (l.version >= 1) {
      const full = args.values ? { ve: 1, sid: l.sid, token, ...args } : { sid: l.sid, token, ...args }
      this.#request(l.node, 'update', full, { onReply: () => {} }, now)
      return
    }
    if (!args.values) return
    const sa = hostToBytes(l.node.address.host) ?? new Uint8Array(4)
    this.#sendTo(l.node.address, encodeMessage({ kind: 'reply', tid: l.sid, network: this.#o.network, client: false, args: { id: this.#o.nodeId, sa, token, values: args.values } }))
  }

  #expired(key: InfoHash, value: Value, now: number): void {
    this.#o.onStored(key, value, true)
    this.#pushIds(key, { expired: [value.id].slice(0, IDS_PER_PUSH) }, now)
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
    const datagrams = encodeMessage({ kind: 'request', name, tid, network: this.#o.network, client: false, args: { id: this.#o.nodeId, ...args } })
    const tokenless = name === 'get' || name === 'find'
    return this.#requests.start(tid, node, node.address, datagrams, now, {
      ...handlers,
      onReply: (reply) => {
        const { token } = reply.args
        if (tokenless && (!token || token.length === 0 || token.length > MAX_TOKEN_BYTES)) {
          if (this.#blacklist.size < MAX_BLACKLIST) this.#blacklist.add(addressKey(node.address)) // no honest node answers a search without a token (§2.5)
          this.#requests.fail(node)
          handlers.onExpired?.()
          return
        }
        handlers.onReply(reply)
      },
    })
  }

  #ping(node: NodeRecord, now: number): void {
    this.#request(node, 'ping', {}, { onReply: () => {} }, now)
  }

  #nodeExpired(node: NodeRecord): void {
    for (const search of this.#families[node.family].searches.values()) search.nodeExpired(node)
    for (const key of [...this.#sockets.keys()]) if (key.startsWith(`${node.family}${node.id}|`)) this.#sockets.delete(key)
  }

  // ---------------------------------------------------------------- upkeep

  #wantsBootstrap(): boolean {
    return this.#bootstrap.size > 0 && this.#families[4].status !== 'connected' && this.#families[6].status !== 'connected'
  }

  #bootstrapNow(now: number): void {
    this.#nextBootstrapMs = now + this.#bootstrapDelayMs
    this.#bootstrapDelayMs = Math.min(this.#bootstrapDelayMs * 2, BOOTSTRAP_MAX_MS)
    for (const address of this.#bootstrap.values()) {
      const f = this.#families[address.family]
      if (!f.enabled) continue
      const tid = this.#firstTid()
      const datagrams = encodeMessage({ kind: 'request', name: 'ping', tid, network: this.#o.network, client: false, args: { id: this.#o.nodeId } })
      f.bootstrapPending++
      const done = () => {
        f.bootstrapPending--
      }
      this.#requests.start(tid, undefined, address, datagrams, now, { onReply: () => { done(); f.nextMaintenanceMs = Math.min(f.nextMaintenanceMs, now) }, onExpired: done }) ?? done()
    }
  }

  /** Keeps buckets fresh: asks for ids in buckets where little was heard, and for our own neighbourhood. */
  #maintain(f: Family, now: number): void {
    let sent = false
    const own = fromHex(this.#o.nodeId)
    const inTable = f.table.inTable().filter((n) => !n.expired)
    const ask = (target: Uint8Array, among: readonly NodeRecord[]) => {
      const node = among[among.length > 0 ? this.#o.random.below(among.length) : 0]
      if (!node || this.#requests.pendingTo(node)) return
      sent = true
      const both = this.#families[4].enabled && this.#families[6].enabled
      this.#request(node, 'find', { target: toHex(target) as InfoHash, ...(both ? { want: [4, 6] as const } : {}) }, { onReply: () => {} }, now)
    }
    const deepest = f.table.depth()
    for (let bits = 0; bits <= Math.min(deepest + 1, 159); bits++) {
      const bucket = f.table.bucket(bits).filter((n) => !n.expired)
      if (bucket.some((n) => now - n.repliedMs < 600_000) && bucket.length > 0) continue
      if (bits > deepest && inTable.length > 0) continue
      ask(randomBelow(own, bits, this.#o.random), bucket.length > 0 ? bucket : inTable)
    }
    const near = own.slice()
    near[19] = this.#o.random.below(256)
    if (!sent) ask(near, inTable)
    f.nextMaintenanceMs = now + (sent ? 5000 + this.#o.random.below(20_000) : 60_000 + this.#o.random.below(120_000))
  }

  #sweepDelay(): number {
    return 120_000 + this.#o.random.below(240_000)
  }

  #sweep(now: number): void {
    this.#nextSweepMs = now + this.#sweepDelay()
    this.#fragments.expire(now)
    for (const f of Object.values(this.#families)) f.table.sweep(now)
    for (const [key, at] of this.#listeners) {
      for (const [id, l] of at) {
        if (now - l.timeMs <= LISTENER_LIFE_MS) continue
        at.delete(id)
        this.#listenerCount--
        const left = (this.#listenersOf.get(l.source) ?? 1) - 1
        if (left > 0) this.#listenersOf.set(l.source, left)
        else this.#listenersOf.delete(l.source)
      }
      if (at.size === 0) this.#listeners.delete(key)
    }
  }

  #refreshStatus(now: number): void {
    let changed = false
    for (const f of Object.values(this.#families)) {
      const status: DhtStatus = !f.enabled ? 'disconnected'
        : f.table.goodCount(now) > 0 ? 'connected'
        : f.bootstrapPending > 0 || f.table.inTable().some((n) => !n.expired) ? 'connecting'
        : 'disconnected'
      if (status === f.status) continue
      f.status = status
      if (status === 'connected') {
        this.#bootstrapDelayMs = BOOTSTRAP_FIRST_MS // the next outage starts anew
        this.#nextBootstrapMs = now
      }
      if (status === 'connected') for (const search of f.searches.values()) search.restart() // what waited for nodes goes on now
      changed = true
    }
    if (changed) this.#o.onStatus()
  }
}

function socketKey(node: NodeRecord, sid: number): string {
  return `${node.family}${node.id}|${sid}`
}

/** The first values that fit; one always does. */
function fitting(values: Value[], maxBytes: number): Value[] {
  let bytes = 0
  let n = 0
  while (n < values.length && n < MAX_REPLY_VALUES) {
    bytes += valueSize(values[n] as Value)
    if (n > 0 && bytes > maxBytes) break
    n++
  }
  return n === values.length ? values : values.slice(0, n)
}

/** True when `a` is closer to the target than `b`. */
function closer(target: Uint8Array, a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < 20; i++) {
    const d = ((a[i] as number) ^ (target[i] as number)) - ((b[i] as number) ^ (target[i] as number))
    if (d !== 0) return d < 0
  }
  return false
}

/** A random id that shares exactly `bits` leading bits with `own`. */
function randomBelow(own: Uint8Array, bits: number, random: Random): Uint8Array {
  const out = random.bytes(20)
  const whole = bits >> 3
  out.set(own.subarray(0, whole))
  if (whole < 20) {
    const keep = 0xff00 >> (bits & 7)
    const flip = 0x80 >> (bits & 7)
    out[whole] = ((own[whole] as number) & keep & 0xff) | (~(own[whole] as number) & flip) | ((out[whole] as number) & (flip - 1))
  }
  return out
}

