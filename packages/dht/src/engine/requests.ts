// Requests under way: three transmissions with growing waits, one reply, no memory of the past. No I/O.
// docs/protocol/01 §2.11, §13.1. Proof: engine/engine.test.ts (table over time).
import type { Random, SocketAddress } from '@jamikit/core/contracts'
import { DELAY_JITTER_MS, FIRST_DELAY_MS, TRANSMISSIONS } from '../defaults.ts'
import { addressKey } from '../wire/address.ts'
import type { ErrorMessage, ReplyMessage } from '../wire/message.ts'
import type { NodeRecord } from './nodes.ts'

/** Requests at once. */
export const MAX_REQUESTS = 65_536

export interface RequestHandlers {
  onReply(message: ReplyMessage): void
  /** 401 or 404; without this handler errors are ignored. */
  onError?(message: ErrorMessage): void
  /** No answer to the first transmission. */
  onSlow?(): void
  /** No answer at all. */
  onExpired?(): void
}

interface Pending extends RequestHandlers {
  readonly key: string
  /** Undefined for a bootstrap ping, whose receiver's id is not known. */
  readonly node: NodeRecord | undefined
  readonly to: SocketAddress
  readonly datagrams: readonly Uint8Array[]
  sent: number
  delayMs: number
  nextMs: number
}

export class Requests {
  readonly #random: Random
  readonly #send: (datagrams: readonly Uint8Array[], to: SocketAddress) => void
  readonly #onNodeExpired: (node: NodeRecord) => void
  readonly #pending = new Map<string, Pending>() // bounded by MAX_REQUESTS
  #nextMs = Number.POSITIVE_INFINITY

  constructor(random: Random, send: (datagrams: readonly Uint8Array[], to: SocketAddress) => void, onNodeExpired: (node: NodeRecord) => void) {
    this.#random = random
    this.#send = send
    this.#onNodeExpired = onNodeExpired
  }

  get size(): number {
    return this.#pending.size
  }

  get nextMs(): number {
    return this.#nextMs
  }

  /** Sends and tracks; the result cancels. False when too many are under way. */
  start(tid: number, node: NodeRecord | undefined, to: SocketAddress, datagrams: readonly Uint8Array[], now: number, handlers: RequestHandlers): { cancel(): void } | undefined {
    const key = `${tid}|${addressKey(to)}`
    if (this.#pending.size >= MAX_REQUESTS || this.#pending.has(key)) return undefined
    const pending: Pending = { ...handlers, key, node, to, datagrams, sent: 0, delayMs: FIRST_DELAY_MS, nextMs: now }
    this.#pending.set(key, pending)
    this.#transmit(pending, now)
    return { cancel: () => this.#pending.delete(key) }
  }

  pendingTo(node: NodeRecord): boolean {
    for (const p of this.#pending.values()) if (p.node === node) return true
    return false
  }

  /** True when a reply with this tid from this address is expected. */
  expects(tid: number, from: SocketAddress): boolean {
    return this.#pending.has(`${tid}|${addressKey(from)}`)
  }

  /** True when it answered a request of ours. */
  reply(message: ReplyMessage, from: SocketAddress): boolean {
    const pending = this.#take(message.tid, message.args.id, from)
    pending?.onReply(message)
    return pending !== undefined
  }

  error(message: ErrorMessage, from: SocketAddress): boolean {
    if (message.code !== 401 && message.code !== 404) return false
    if (!this.#pending.get(`${message.tid}|${addressKey(from)}`)?.onError) return false // the request goes on as if nothing came (§13.1)
    const pending = this.#take(message.tid, message.id, from)
    pending?.onError?.(message)
    return pending !== undefined
  }

  #take(tid: number, id: string, from: SocketAddress): Pending | undefined {
    const pending = this.#pending.get(`${tid}|${addressKey(from)}`)
    if (!pending || (pending.node && pending.node.id !== id)) return undefined
    this.#pending.delete(pending.key)
    return pending
  }

  tick(now: number): void {
    if (now < this.#nextMs) return
    this.#nextMs = Number.POSITIVE_INFINITY
    const dead = new Set<NodeRecord>()
    for (const p of [...this.#pending.values()]) {
      if (!this.#pending.has(p.key)) continue
      if (p.nextMs > now) {
        this.#nextMs = Math.min(this.#nextMs, p.nextMs)
        continue
      }
      if (p.sent === 1) p.onSlow?.()
      if (!this.#pending.has(p.key)) continue
      if (p.sent < TRANSMISSIONS) this.#transmit(p, now)
      else {
        this.#pending.delete(p.key)
        if (p.node) dead.add(p.node)
        p.onExpired?.()
      }
    }
    for (const node of dead) this.fail(node)
  }

  /** A node is dead: everything sent to it fails. */
  fail(node: NodeRecord): void {
    node.expired = true
    for (const p of [...this.#pending.values()]) {
      if (p.node !== node || !this.#pending.delete(p.key)) continue
      p.onExpired?.()
    }
    this.#onNodeExpired(node)
  }

  clear(): void {
    this.#pending.clear()
  }

  #transmit(p: Pending, now: number): void {
    p.sent++
    p.delayMs = 2 * p.delayMs + this.#random.below(DELAY_JITTER_MS + 1)
    p.nextMs = now + p.delayMs
    this.#nextMs = Math.min(this.#nextMs, p.nextMs)
    this.#send(p.datagrams, p.to)
  }
}
