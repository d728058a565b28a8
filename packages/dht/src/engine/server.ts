// What others get who ask: nodes, values, places in the store and among the listeners. Whose address is not proven gets little; who
// has used up its share hears so. No I/O. docs/protocol/01 §2.7, §2.12.1, §3.9. Proof: engine/server.test.ts, engine/engine.test.ts.
import { fromHex } from '@jamikit/core/codec'
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { CLOSEST, IDS_PER_PUSH, LONG_ANSWERS, MAX_PUT_VALUES, MAX_REPLY_BYTES, MAX_REPLY_VALUES, NO_ROOM, PUSHES } from '../defaults.ts'
import { hostToBytes, networkKey, sourceKey } from '../wire/address.ts'
import { type Arguments, encodeError, encodeMessage, FRAGMENT_BYTES, type ReplyMessage, type RequestMessage } from '../wire/message.ts'
import type { NodeInfo } from '../wire/node-info.ts'
import { EVERYTHING, selectFields } from '../wire/query.ts'
import type { Value } from '../wire/value.ts'
import { compareDistance } from './id-index.ts'
import type { Listeners } from './listeners.ts'
import type { NodeTable } from './nodes.ts'
import { RateLimiter } from './rate-limiter.ts'
import type { Tokens } from './tokens.ts'
import type { ValueStore } from './value-store.ts'

export interface ServerParts {
  readonly nodeId: InfoHash
  readonly network: number
  readonly store: ValueStore
  readonly listeners: Listeners
  readonly tokens: Tokens
  table(family: 4 | 6): NodeTable
  wallTimeMs(): number
  send(datagrams: readonly Uint8Array[], to: SocketAddress): void
  /** Something changed in the store (for local listeners). */
  onStored(key: InfoHash, value: Value, expired: boolean): void
  /** A token that was shown is good: the address is. */
  onToken(from: SocketAddress, now: number): void
}

/** What was found out about a request before. */
export interface Checked {
  /** Signature does not verify: acknowledged, never kept. */
  readonly bad: ReadonlySet<Value>
  /** Certificates whose signature was checked and holds. */
  readonly vouched: ReadonlySet<Value>
  /** Not looked at, because its source has asked for too much: refused. */
  readonly refused: readonly Value[]
}

const FULL = 'No room for more from this address'
/** Nodes besides the storing ones that may be closer (§2.7.4). */
const NEAR = 14

export class Server {
  readonly #p: ServerParts
  readonly #pushes = new RateLimiter(PUSHES)
  readonly #long = new RateLimiter(LONG_ANSWERS)

  constructor(parts: ServerParts) {
    this.#p = parts
  }

  /**
   * Answers, with at most `room` bytes in one datagram unless that is Infinity. False when only a longer answer would be right: then
   * nothing was sent, and the address must prove itself first.
   */
  answer(m: RequestMessage, from: SocketAddress, room: number, checked: Checked, now: number): boolean {
    const { args } = m
    const key = args.h && !/^0+$/.test(args.h) ? args.h : undefined
    switch (m.name) {
      case 'ping':
      case 'update':
        this.#reply(m, from, {})
        return true
      case 'find':
        this.#withNodes(m, from, args.target ?? this.#p.nodeId, {}, room, now)
        return true
      case 'get':
        if (key) return this.#get(m, key, from, room, now)
        this.#fail(m, from, 203, 'Get_values with no info_hash')
        return true
      case 'put':
        if (!key) this.#fail(m, from, 203, 'Put with no info_hash')
        else if (this.#tokenHolds(m, from, now, 'Put with wrong token')) this.#put(m, key, from, checked, now)
        return true
      case 'refresh':
        if (this.#tokenHolds(m, from, now, 'Put with wrong token')) this.#refresh(m, from, now)
        return true
      case 'listen':
        if (!key) this.#fail(m, from, 203, 'Listen with no info_hash')
        else if (this.#tokenHolds(m, from, now, 'Listen with wrong token')) {
          if (this.#p.listeners.add(key, args.id, args, from, now)) this.#reply(m, from, { token: this.#p.tokens.make(from, now) })
          else this.#fail(m, from, NO_ROOM, FULL)
        }
        return true
    }
  }

  #tokenHolds(m: RequestMessage, from: SocketAddress, now: number, otherwise: string): boolean {
    const holds = this.#p.tokens.check(m.args.token, from, now)
    if (holds) this.#p.onToken(from, now)
    else this.#fail(m, from, 401, otherwise)
    return holds
  }

  #get(m: RequestMessage, key: InfoHash, from: SocketAddress, room: number, now: number): boolean {
    const { select, where } = m.args.query ?? EVERYTHING
    const proven = room === Number.POSITIVE_INFINITY
    const values = this.#p.store.select(key, where, proven ? MAX_REPLY_VALUES : 2, select.length > 0 ? Number.POSITIVE_INFINITY : proven ? MAX_REPLY_BYTES : room)
    if (!proven && values.length > 1) return false
    const fields = select.length > 0 ? selectFields(select, values) : undefined
    const found = fields ? (fields.f.length > 0 && values.length > 0 ? { fileds: fields } : {}) : values.length > 0 ? { values } : {}
    return this.#withNodes(m, from, key, found, room, now)
  }

  /** With fewer nodes where that makes it fit. */
  #withNodes(m: RequestMessage, from: SocketAddress, target: InfoHash, found: Partial<Arguments>, room: number, now: number): boolean {
    const bytes = fromHex(target)
    const want = m.args.want ?? [from.family]
    const of = (family: 4 | 6, count: number): NodeInfo[] => this.#p.table(family).closestGood(bytes, count, now).map(({ id, address }) => ({ id, address }))
    const make = (count: number) => this.#encode(m, from, {
      ...(want.includes(4) ? { n4: of(4, count) } : {}), ...(want.includes(6) ? { n6: of(6, count) } : {}), token: this.#p.tokens.make(from, now), ...found,
    })
    if (room === Number.POSITIVE_INFINITY) {
      const whole = make(CLOSEST)
      const length = whole.reduce((sum, d) => sum + d.length, 0)
      if (length <= FRAGMENT_BYTES || this.#long.allows(from, now, length)) this.#p.send(whole, from)
      return true
    }
    const bare = make(0)
    const rest = room - (bare[0]?.length ?? 0)
    if (bare.length > 1 || (rest < 0 && Object.keys(found).length > 0)) return false
    const each = (want.includes(4) ? 26 : 0) + (want.includes(6) ? 38 : 0)
    const count = each === 0 ? 0 : Math.min(CLOSEST, Math.floor((rest - 10) / each)) // 10: the keys and lengths of the lists
    this.#p.send(count > 0 ? make(count) : bare, from)
    return true
  }

  #put(m: RequestMessage, key: InfoHash, from: SocketAddress, { bad, vouched, refused }: Checked, now: number): void {
    for (const [i, value] of (m.args.values ?? []).entries()) {
      if (value.id === 0n) this.#fail(m, from, 203, 'Put with invalid id')
      else if (i >= MAX_PUT_VALUES) return this.#fail(m, from, NO_ROOM, FULL)
      else if (!bad.has(value) && !this.#store(key, value, m.args.created, vouched.has(value), from, now)) this.#fail(m, from, NO_ROOM, FULL)
      else this.#reply(m, from, { vid: value.id })
    }
    if (refused.length > 0) this.#fail(m, from, NO_ROOM, FULL)
  }

  /** False when the source has used up its share; other reasons are not told (§2.7.4). */
  #store(key: InfoHash, value: Value, createdS: number | undefined, vouched: boolean, from: SocketAddress, now: number): boolean {
    const { store, listeners, nodeId } = this.#p
    const target = fromHex(key)
    const good = this.#p.table(from.family).closestGood(target, NEAR, now)
    const far = good[NEAR - 1]
    if (far && compareDistance(target, far.idBytes, fromHex(nodeId)) < 0) return true // others are closer
    if (!this.#pushes.allows(from, now, 1 + listeners.countAt(key))) return false
    const ageMs = createdS === undefined ? 0 : Math.max(0, this.#p.wallTimeMs() - createdS * 1000)
    const outcome = store.put(key, value, now, { createdMs: now - ageMs, source: sourceKey(from), network: networkKey(from), vouched })
    if (outcome === 'stored' || outcome === 'edited') {
      listeners.pushValue(key, value, now)
      this.#p.onStored(key, value, false)
    } else if (outcome === 'refreshed') listeners.pushIds(key, { refreshed: [value.id] }, now)
    this.expire(now)
    return outcome !== 'full'
  }

  #refresh(m: RequestMessage, from: SocketAddress, now: number): void {
    const { h: key, vid } = m.args
    const { store, listeners } = this.#p
    if (!key || !store.has(key)) return this.#fail(m, from, 404, 'Access operation for unknown storage')
    if (vid !== undefined) {
      if (!this.#pushes.allows(from, now, 1 + listeners.countAt(key))) return this.#fail(m, from, NO_ROOM, FULL)
      if (store.refresh(key, vid, now)) listeners.pushIds(key, { refreshed: [vid] }, now)
    }
    this.#reply(m, from, { ...(vid === undefined ? {} : { vid }) })
  }

  /** Forgets what is over, and tells who listens. */
  expire(now: number): void {
    for (const { key, value } of this.#p.store.expire(now)) {
      this.#p.onStored(key, value, true)
      this.#p.listeners.pushIds(key, { expired: [value.id].slice(0, IDS_PER_PUSH) }, now)
    }
  }

  #fail(m: RequestMessage, to: SocketAddress, code: number, text: string): void {
    this.#p.send([encodeError({ kind: 'error', tid: m.tid, network: this.#p.network, client: false, code, text, id: this.#p.nodeId })], to)
  }

  #reply(m: RequestMessage, to: SocketAddress, args: Omit<Arguments, 'id'>): void {
    this.#p.send(this.#encode(m, to, args), to)
  }

  #encode(m: { readonly tid: number }, to: SocketAddress, args: Omit<Arguments, 'id'>): Uint8Array[] {
    const sa = hostToBytes(to.host) ?? new Uint8Array(to.family === 4 ? 4 : 16)
    const reply: ReplyMessage = { kind: 'reply', tid: m.tid, network: this.#p.network, client: false, args: { id: this.#p.nodeId, sa, ...args } }
    return encodeMessage(reply)
  }

  /** A push to a listener of version 0: a reply under its socket id. */
  legacyPush(to: SocketAddress, sid: number, values: readonly Value[], now: number): void {
    this.#p.send(this.#encode({ tid: sid }, to, { token: this.#p.tokens.make(to, now), values }), to)
  }
}
