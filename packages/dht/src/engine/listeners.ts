// Who listens here, at which keys, and what is pushed to them. Places are shared by source and network; whoever does not take a push
// is forgotten and gets everything again when it listens again. docs/protocol/01 §2.7.6–2.7.8. Proof: engine/server.test.ts, engine/engine.test.ts.
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import {
  LISTENER_LIFE_MS, MAX_LISTENERS, MAX_LISTENERS_PER_KEY, MAX_LISTENERS_PER_KEY_AND_NETWORK, MAX_LISTENERS_PER_KEY_AND_SOURCE, MAX_LISTENERS_PER_NETWORK,
  MAX_LISTENERS_PER_SOURCE, MAX_PENDING_PUSHES, MAX_PUSH_BYTES, MAX_REPLY_BYTES, MAX_REPLY_VALUES,
} from '../defaults.ts'
import { addressKey } from '../wire/address.ts'
import type { Arguments } from '../wire/message.ts'
import { matches, type Query } from '../wire/query.ts'
import { type Value, valueSize } from '../wire/value.ts'
import { newNode, type NodeRecord } from './nodes.ts'
import { Shares } from './shares.ts'
import type { ValueStore } from './value-store.ts'

export interface PushHost {
  firstTid(): number
  /** An `update`, transmitted until it is acknowledged. */
  update(to: NodeRecord, args: Omit<Arguments, 'id'>, onLost: () => void, now: number): void
  /** An unacknowledged push to a listener of version 0. */
  legacy(to: NodeRecord, sid: number, values: readonly Value[], now: number): void
  pendingTo(node: NodeRecord): number
  token(to: SocketAddress, now: number): Uint8Array
}

interface RemoteListener {
  readonly key: InfoHash
  readonly id: string
  /** Where it showed a token. Nothing is pushed to other addresses, which anybody could claim in its name. */
  readonly node: NodeRecord
  readonly sid: number
  readonly version: number
  query: Query
  timeMs: number
}

interface AtKey {
  readonly byId: Map<string, RemoteListener>
  readonly shares: Shares<RemoteListener>
}

export class Listeners {
  readonly #host: PushHost
  readonly #store: ValueStore
  readonly #keys = new Map<InfoHash, AtKey>() // bounded by the listeners
  readonly #all = new Shares<RemoteListener>({ perSource: MAX_LISTENERS_PER_SOURCE, perNetwork: MAX_LISTENERS_PER_NETWORK, total: MAX_LISTENERS })
  readonly #byTime = new Set<RemoteListener>() // the longest unheard first; bounded by MAX_LISTENERS

  constructor(host: PushHost, store: ValueStore) {
    this.#host = host
    this.#store = store
  }

  get size(): number {
    return this.#byTime.size
  }

  countAt(key: InfoHash): number {
    return this.#keys.get(key)?.byId.size ?? 0
  }

  /** A listen with a good token. False when its address or network has its share of listens already. */
  add(key: InfoHash, node: InfoHash, args: Arguments, from: SocketAddress, now: number): boolean {
    const sid = args.sid ?? 0
    const query = args.query ?? { select: [], where: {} }
    const id = `${addressKey(from)}|${node}|${sid}`
    const known = this.#keys.get(key)?.byId.get(id)
    if (known) {
      known.query = query
      this.#touch(known, now)
      return true
    }
    const overall = this.#all.room(from)
    if (!overall) return false
    const local = this.#keys.get(key)?.shares.room(from)
    if (this.#keys.has(key) && !local) return false
    if (overall.displaces) this.#remove(overall.displaces)
    if (local?.displaces) this.#remove(local.displaces)
    const at = this.#keys.get(key) ?? {
      byId: new Map<string, RemoteListener>(),
      shares: new Shares<RemoteListener>({ perSource: MAX_LISTENERS_PER_KEY_AND_SOURCE, perNetwork: MAX_LISTENERS_PER_KEY_AND_NETWORK, total: MAX_LISTENERS_PER_KEY }),
    }
    const listener: RemoteListener = { key, id, node: newNode(node, from, this.#host.firstTid()), sid, version: args.ve ?? 0, query, timeMs: now }
    at.byId.set(id, listener)
    at.shares.add(listener, from)
    this.#keys.set(key, at)
    this.#all.add(listener, from)
    this.#byTime.add(listener)
    for (let rest = this.#store.select(key, query.where, MAX_REPLY_VALUES, MAX_REPLY_BYTES); rest.length > 0; ) {
      const part = fitting(rest, MAX_PUSH_BYTES)
      this.#push(listener, { h: key, values: part }, now)
      rest = rest.slice(part.length)
    }
    return true
  }

  pushValue(key: InfoHash, value: Value, now: number): void {
    for (const l of this.#keys.get(key)?.byId.values() ?? []) if (matches(l.query.where, value)) this.#push(l, { h: key, values: [value] }, now)
  }

  pushIds(key: InfoHash, ids: { refreshed?: bigint[]; expired?: bigint[] }, now: number): void {
    for (const l of this.#keys.get(key)?.byId.values() ?? []) this.#push(l, ids, now)
  }

  /** Forgets those that have not listened again for long. */
  sweep(now: number): void {
    for (const l of this.#byTime) {
      if (now - l.timeMs <= LISTENER_LIFE_MS) return
      this.#remove(l)
    }
  }

  #touch(l: RemoteListener, now: number): void {
    l.timeMs = now
    this.#byTime.delete(l)
    this.#byTime.add(l)
    this.#all.touch(l)
    this.#keys.get(l.key)?.shares.touch(l)
  }

  #remove(l: RemoteListener): void {
    if (!this.#byTime.delete(l)) return
    this.#all.delete(l)
    const at = this.#keys.get(l.key)
    at?.byId.delete(l.id)
    at?.shares.delete(l)
    if (at?.byId.size === 0) this.#keys.delete(l.key)
  }

  #push(l: RemoteListener, args: Omit<Arguments, 'id'>, now: number): void {
    if (l.version < 1) {
      if (args.values) this.#host.legacy(l.node, l.sid, args.values, now)
      return
    }
    if (!this.#byTime.has(l)) return
    if (this.#host.pendingTo(l.node) >= MAX_PENDING_PUSHES) return this.#remove(l)
    const token = this.#host.token(l.node.address, now)
    this.#host.update(l.node, args.values ? { ve: 1, sid: l.sid, token, ...args } : { sid: l.sid, token, ...args }, () => this.#remove(l), now)
  }
}

/** The first values that fit; one always does. */
function fitting(values: Value[], maxBytes: number): Value[] {
  let bytes = 0
  let n = 0
  while (n < values.length) {
    bytes += valueSize(values[n] as Value)
    if (n > 0 && bytes > maxBytes) break
    n++
  }
  return values.slice(0, n)
}
