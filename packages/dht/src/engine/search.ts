// One iterative look-up in one family: walks towards a key, and gets, puts and listens at the closest nodes. No I/O.
// docs/protocol/01 §3.5, §3.6, §13.3–13.5. Proof: engine/search.test.ts, test/sim/network.sim.ts (nodes under loss).
import type { InfoHash } from '@jamikit/core/contracts'
import { fromHex } from '@jamikit/core/codec'
import {
  CLOSEST, HEARD_MS, LISTEN_NODES, LISTEN_REFRESH_MS, MAX_REFUSALS, NO_ROOM, REANNOUNCE_MARGIN_MS, REFUSED_MS, RESEED_MS, SEARCH_CONCURRENCY, SEARCH_NODES, TOKEN_USE_MS,
} from '../defaults.ts'
import { type ErrorMessage, MAX_TOKEN_BYTES, type ReplyMessage } from '../wire/message.ts'
import { outerType } from '../wire/value.ts'
import { compareDistance } from './id-index.ts'
import type { NodeRecord } from './nodes.ts'
import type { RequestHandlers } from './requests.ts'
import { type AdoptsTokens, type GetOp, type ListenOp, type ListenState, type Op, type PutOp, type PutState, type RunningSearch, type SearchHost, type SearchNode, searchNode } from './search-ops.ts'
import { lifetimeMs } from './policies.ts'

export type { GetOp, ListenOp, PutOp, SearchHost }

/** Dead nodes stay in the list for a while, so that they are not asked again. */
const MAX_LIST = 48

export class Search implements RunningSearch, AdoptsTokens {
  readonly key: InfoHash
  readonly idBytes: Uint8Array
  readonly #host: SearchHost
  readonly #nodes: SearchNode[] = [] // sorted by distance; bounded by MAX_LIST
  readonly #ops = new Set<Op>() // bounded by the callers
  readonly #announced = new Set<PutOp>() // bounded by #ops
  #seededMs = Number.NEGATIVE_INFINITY
  /** A node of the list has died since it was filled. */
  #thin = false
  /** The next time that something is due by itself. */
  nextMs = Number.POSITIVE_INFINITY

  constructor(key: InfoHash, host: SearchHost) {
    this.key = key
    this.idBytes = fromHex(key)
    this.#host = host
  }

  get idle(): boolean { return this.#ops.size === 0 }

  add(op: Op): void {
    this.#ops.add(op)
    this.#host.wake(this)
  }

  remove(op: Op): void {
    if (!this.#ops.delete(op)) return
    if (op.kind === 'put') this.#announced.delete(op)
    for (const n of this.#nodes) {
      if (op.kind === 'get') n.gets.delete(op)
      else if (op.kind === 'put') n.puts.delete(op)
      else {
        const state = n.listens.get(op)
        if (state) this.#host.closeSocket(n.node, state.sid)
        n.listens.delete(op)
      }
    }
  }

  /** A node that may be close. True when it was new and is kept. */
  offer(node: NodeRecord): boolean {
    if (node.client || node.expired) return false
    let at = 0
    let live = 0
    while (at < this.#nodes.length) {
      const other = this.#nodes[at] as SearchNode
      if (other.node === node) return false
      if (compareDistance(this.idBytes, node.idBytes, other.node.idBytes) < 0) break
      if (!other.node.expired) live++
      at++
    }
    if (live >= SEARCH_NODES) return false
    if (this.#nodes.some((n) => n.node === node)) return false
    this.#nodes.splice(at, 0, searchNode(node))
    this.#host.use(node, this)
    this.#trim()
    this.#host.wake(this)
    return true
  }

  nodeExpired(node: NodeRecord): void {
    const n = this.#nodes.find((s) => s.node === node)
    if (!n) return
    n.token = undefined
    n.candidate = false
    n.inFlight = undefined
    n.puts.clear()
    this.#endListens(n)
    this.#thin = true
    this.#host.wake(this)
  }

  nodeRevived(node: NodeRecord): void {
    if (this.#nodes.some((s) => s.node === node)) this.#host.wake(this)
  }

  /** Looks at what is known by now at its next step. */
  reseed(): void {
    this.#seededMs = Number.NEGATIVE_INFINITY
  }

  /** Nothing runs here any more. */
  close(): void {
    this.#drop(0, this.#nodes.length)
  }

  #endListens(n: SearchNode): void {
    for (const [op, state] of n.listens) {
      this.#host.closeSocket(n.node, state.sid)
      op.onNodeLost(n.node)
    }
    n.listens.clear()
  }

  /** Everything starts again: addresses changed. */
  restart(): void {
    for (const n of this.#nodes) {
      n.token = undefined
      n.repliedMs = Number.NEGATIVE_INFINITY
      n.inFlight?.cancel()
      n.inFlight = undefined
      n.candidate = false
      n.gets.clear()
    }
    this.#seededMs = Number.NEGATIVE_INFINITY
    this.#host.wake(this)
  }

  step(now: number): void {
    this.nextMs = Number.POSITIVE_INFINITY
    if (this.idle) return
    this.#fill(now)
    const live = this.#live()
    const solid = live.filter((n) => !n.candidate)
    const synced = (n: SearchNode) => n.token !== undefined && now - n.repliedMs <= TOKEN_USE_MS
    let leading = 0
    while (leading < solid.length && synced(solid[leading] as SearchNode)) leading++
    const complete = leading >= Math.min(CLOSEST, solid.length) && solid.length > 0
    const reach = complete ? CLOSEST : Math.max(0, leading - 1)

    for (const op of [...this.#ops]) {
      if (op.kind === 'put') this.#stepPut(op, solid.slice(0, reach), complete, now)
      else if (op.kind === 'listen') this.#stepListen(op, solid.slice(0, reach), now)
    }
    this.#stepGets(live, now)
    this.#sync(live, synced, now)
    for (const n of solid.slice(0, CLOSEST)) if (synced(n) && this.#needsTokens()) this.nextMs = Math.min(this.nextMs, n.repliedMs + TOKEN_USE_MS + 1)
  }

  /** From what is known now and then, and soon after a node has died or while there is none. */
  #fill(now: number): void {
    for (let i = this.#nodes.length - 1; i >= 0; i--) {
      const { node } = this.#nodes[i] as SearchNode
      if (node.expired && now - node.expiredMs > HEARD_MS) this.#drop(i, 1)
    }
    const alive = this.#live().length
    if (now - this.#seededMs <= (alive === 0 ? 0 : this.#thin && alive < SEARCH_NODES ? RESEED_MS : TOKEN_USE_MS)) return
    this.#seededMs = now
    this.#thin = false
    for (const node of this.#host.seeds(this.idBytes, SEARCH_NODES)) this.offer(node)
  }

  #needsTokens(): boolean {
    for (const op of this.#ops) if (op.kind !== 'get') return true
    return false
  }

  #live(): SearchNode[] {
    return this.#nodes.filter((n) => !n.node.expired)
  }

  #trim(): void {
    let live = 0
    for (let i = 0; i < this.#nodes.length; i++) {
      if (!(this.#nodes[i] as SearchNode).node.expired) live++
      if (live > SEARCH_NODES) this.#drop(i, this.#nodes.length - i)
    }
    while (this.#nodes.length > MAX_LIST) this.#drop(this.#nodes.findLastIndex((n) => n.node.expired), 1) // never a live one: the dead must not displace them
  }

  #drop(at: number, count: number): void {
    for (const gone of this.#nodes.splice(at, count)) {
      gone.inFlight?.cancel()
      this.#endListens(gone)
      this.#host.unuse(gone.node, this)
    }
  }

  #stepGets(live: SearchNode[], now: number): void {
    const gets = [...this.#ops].filter((op) => op.kind === 'get')
    if (gets.length === 0) return
    let busy = live.filter((n) => n.inFlight && !n.candidate).length
    for (const op of gets) {
      const closest = live.filter((n) => !n.candidate || n.gets.has(op)).slice(0, CLOSEST)
      for (const n of live) {
        if (busy >= SEARCH_CONCURRENCY) break
        if (n.inFlight || n.gets.has(op)) continue
        if (closest.length >= CLOSEST && !closest.includes(n)) break
        this.#get(n, op, now)
        if (n.inFlight) busy++
      }
      const settled = this.#live().filter((n) => !n.candidate || n.gets.has(op)).slice(0, CLOSEST)
      const waiting = live.some((n) => n.inFlight) // slow ones count while there are not enough others
      if (settled.every((n) => n.gets.has(op)) && !(waiting && settled.length < CLOSEST)) {
        this.remove(op)
        op.onDone()
      }
    }
  }

  #get(n: SearchNode, op: GetOp, now: number): void {
    n.inFlight = this.#host.request(n.node, 'get', { h: this.key, query: { select: [], where: op.where } }, {
      onReply: (reply, mentioned) => {
        n.gets.add(op)
        this.#heard(n, reply, mentioned)
        if (reply.args.values && reply.args.values.length > 0 && this.#ops.has(op)) op.onValues(reply.args.values)
      },
      onSlow: () => this.#slow(n),
      onExpired: () => this.#lost(n),
    }, now)
  }

  /** Asks for tokens where puts and listens will need them. */
  #sync(live: SearchNode[], synced: (n: SearchNode) => boolean, now: number): void {
    if (!this.#needsTokens()) return
    let busy = live.filter((n) => n.inFlight && !n.candidate).length
    let wanted = 0
    for (const n of live) {
      if (busy >= SEARCH_CONCURRENCY || wanted >= CLOSEST) return
      if (!n.candidate) wanted++
      if (n.inFlight || synced(n)) continue
      n.inFlight = this.#host.request(n.node, 'find', { target: this.key }, {
        onReply: (reply, mentioned) => this.#heard(n, reply, mentioned), onSlow: () => this.#slow(n), onExpired: () => this.#lost(n),
      }, now)
      if (n.inFlight) busy++
    }
  }

  #heard(n: SearchNode, reply: ReplyMessage, mentioned: readonly NodeRecord[]): void {
    n.inFlight = undefined
    n.candidate = false
    for (const node of mentioned) this.offer(node)
    const { token } = reply.args
    if (token && token.length > 0 && token.length <= MAX_TOKEN_BYTES) {
      n.token = token
      n.repliedMs = n.node.repliedMs
    }
    this.#host.wake(this)
  }

  #slow(n: SearchNode): void {
    n.candidate = true
    this.#host.wake(this)
  }

  #lost(n: SearchNode): void {
    n.inFlight = undefined
    this.#host.wake(this)
  }

  #stepPut(op: PutOp, reach: readonly SearchNode[], complete: boolean, now: number): void {
    for (const n of reach) {
      const state = n.puts.get(op)
      if (!state) this.#announce(n, op, now)
      else if (!state.busy && (state.acked || state.refused) && op.permanent) {
        if (state.nextMs > now) this.nextMs = Math.min(this.nextMs, state.nextMs)
        else if (state.acked) this.#probe(n, op, state, now)
        else this.#announce(n, op, now)
      }
    }
    if (!complete || this.#announced.has(op)) return
    const states = reach.map((n) => n.puts.get(op))
    if (states.length === 0 || !states.every((s) => s?.acked || s?.refused)) return
    this.#announced.add(op)
    if (!op.permanent) this.remove(op)
    op.onAnnounced(states.filter((s) => s?.acked).length)
  }

  #announce(n: SearchNode, op: PutOp, now: number): void {
    const state: PutState = n.puts.get(op) ?? { busy: false, acked: false, refused: false, nextMs: 0 }
    state.busy = true
    n.puts.set(op, state)
    // no creation time: the value is young or permanent, and a slow clock of ours would get it dropped (§2.12)
    const sent = this.#host.request(n.node, 'put', { h: this.key, values: [op.value], ...(n.token ? { token: n.token } : {}) }, this.#ackHandlers(n, op, state), now)
    if (!sent) n.puts.delete(op)
  }

  #ackHandlers(n: SearchNode, op: PutOp, state: PutState): RequestHandlers {
    return {
      onReply: () => {
        n.node.authErrors = 0
        state.busy = false
        state.acked = true
        state.refused = false
        state.nextMs = n.node.repliedMs + lifetimeMs(outerType(op.value)) - REANNOUNCE_MARGIN_MS
        this.#host.wake(this)
      },
      onError: (error) => this.#refused(n, op, error),
      onExpired: () => {
        n.puts.delete(op)
        this.#host.wake(this)
      },
    }
  }

  /**
   * 401: the token is no longer good. Whoever refuses for the fourth time in a row is not asked any more (§2.8). Who has no room
   * for us is asked again later, and counts as one that did not take it.
   */
  #refused(n: SearchNode, op: PutOp | ListenOp, error: ErrorMessage): void {
    if (error.code === NO_ROOM) {
      const nextMs = this.#host.now() + REFUSED_MS
      if (op.kind === 'put') n.puts.set(op, { busy: false, acked: false, refused: true, nextMs })
      else n.listens.set(op, { sid: 0, busy: false, refused: true, nextMs })
      return this.#host.wake(this)
    }
    n.node.authErrors++
    if (error.code === 401) {
      n.token = undefined
      n.repliedMs = Number.NEGATIVE_INFINITY
    }
    if (op.kind === 'put') n.puts.delete(op)
    if (n.node.authErrors > MAX_REFUSALS) this.#host.giveUp(n.node)
    this.#host.wake(this)
  }

  /** Is the value still there? Then refresh it, else put it. */
  #probe(n: SearchNode, op: PutOp, state: PutState, now: number): void {
    state.busy = true
    const again = () => {
      n.puts.delete(op)
      this.#host.wake(this)
    }
    this.#host.request(n.node, 'get', { h: this.key, query: { select: [1, 4], where: { id: op.value.id } } }, {
      onReply: (reply, mentioned) => {
        this.#heard(n, reply, mentioned)
        const row = reply.args.rows?.find((r) => r.id === op.value.id)
        if (!row || row.seq < (op.value.body?.seq ?? 0)) return this.#announce(n, op, n.node.repliedMs)
        const { token } = n
        const sent = this.#host.request(n.node, 'refresh', { h: this.key, vid: op.value.id, ...(token ? { token } : {}) }, {
          ...this.#ackHandlers(n, op, state),
          onError: (error) => (error.code === 404 ? this.#announce(n, op, n.node.repliedMs) : this.#refused(n, op, error)),
        }, n.node.repliedMs)
        if (!sent) again()
      },
      onExpired: again,
    }, now) ?? again()
  }

  #stepListen(op: ListenOp, reach: readonly SearchNode[], now: number): void {
    let listening = 0
    for (const n of reach) {
      if (listening >= LISTEN_NODES) return
      const state = n.listens.get(op)
      if (!state?.refused) listening++
      if (!state || (!state.busy && state.nextMs <= now)) this.#listen(n, op, now)
      else if (!state.busy) this.nextMs = Math.min(this.nextMs, state.nextMs)
    }
  }

  #listen(n: SearchNode, op: ListenOp, now: number): void {
    let state: ListenState | undefined = n.listens.get(op)
    if (!state || state.refused) {
      state = { sid: this.#host.openSocket(n.node, op, this), busy: false, refused: false, nextMs: 0 } // known before the request leaves: pushes come first
      n.listens.set(op, state)
    }
    const own = state
    own.busy = true
    const lost = () => {
      if (n.listens.get(op) !== own) return
      this.#host.closeSocket(n.node, own.sid)
      n.listens.delete(op)
      op.onNodeLost(n.node)
      this.#host.wake(this)
    }
    const sent = this.#host.request(n.node, 'listen', { ve: 1, h: this.key, sid: own.sid, ...(n.token ? { token: n.token } : {}), query: op.query }, {
      onReply: (reply) => {
        n.node.authErrors = 0
        own.busy = false
        own.nextMs = n.node.repliedMs + LISTEN_REFRESH_MS
        const { token } = reply.args
        if (token && token.length > 0 && token.length <= MAX_TOKEN_BYTES) n.token = token
        this.#host.wake(this)
      },
      onError: (error) => {
        lost()
        this.#refused(n, op, error)
      },
      onExpired: lost,
    }, now)
    if (!sent) lost()
  }

  adoptToken(node: NodeRecord, token: Uint8Array | undefined): void {
    const n = this.#nodes.find((s) => s.node === node)
    if (n && token && token.length > 0 && token.length <= MAX_TOKEN_BYTES) n.token = token
  }

}
