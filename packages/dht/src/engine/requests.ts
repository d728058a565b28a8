// Requests under way: three transmissions with growing waits, one reply, no memory of the past. No I/O.
// docs/protocol/01 §2.11, §13.1. Proof: engine/engine.test.ts (table over time).
import type { Random, SocketAddress } from '@jamikit/core/contracts'
import { DELAY_JITTER_MS, FIRST_DELAY_MS, TRANSMISSIONS } from '../defaults.ts'
import { addressKey } from '../wire/address.ts'
import type { ErrorMessage, ReplyMessage } from '../wire/message.ts'
import { DueQueue } from './due-queue.ts'
import type { NodeRecord } from './nodes.ts'

/** Requests at once. */
export const MAX_REQUESTS = 65_536

export interface RequestHandlers {
  /** @param mentioned the nodes it lists */
  onReply(message: ReplyMessage, mentioned: readonly NodeRecord[]): void
  /** Without this handler errors are ignored. */
  onError?(message: ErrorMessage): void
  /** No answer to the first transmission. */
  onSlow?(): void
  /** No answer at all. */
  onExpired?(): void
}

interface Pending extends RequestHandlers {
  readonly key: string
  /** Undefined for a ping to an address whose node id is not known. */
  readonly node: NodeRecord | undefined
  readonly to: SocketAddress
  readonly datagrams: readonly Uint8Array[]
  readonly transmissions: number
  sent: number
  delayMs: number
}

export class Requests {
  readonly #random: Random
  readonly #send: (datagrams: readonly Uint8Array[], to: SocketAddress) => void
  readonly #onNodeExpired: (node: NodeRecord, now: number) => void
  readonly #pending = new Map<string, Pending>() // bounded by MAX_REQUESTS
  readonly #byNode = new Map<NodeRecord, Set<Pending>>() // the same
  readonly #due = new DueQueue<Pending>() // the same

  constructor(random: Random, send: (datagrams: readonly Uint8Array[], to: SocketAddress) => void, onNodeExpired: (node: NodeRecord, now: number) => void) {
    this.#random = random
    this.#send = send
    this.#onNodeExpired = onNodeExpired
  }

  get size(): number {
    return this.#pending.size
  }

  get nextMs(): number {
    return this.#due.nextAt
  }

  /** Sends and tracks; the result cancels. Undefined when too many are under way. */
  start(
    tid: number, node: NodeRecord | undefined, to: SocketAddress, datagrams: readonly Uint8Array[], now: number, handlers: RequestHandlers, transmissions = TRANSMISSIONS,
  ): { cancel(): void } | undefined {
    const key = `${tid}|${addressKey(to)}`
    if (this.#pending.size >= MAX_REQUESTS || this.#pending.has(key)) return undefined
    const pending: Pending = { ...handlers, key, node, to, datagrams, transmissions, sent: 0, delayMs: FIRST_DELAY_MS }
    this.#pending.set(key, pending)
    if (node) {
      const of = this.#byNode.get(node)
      if (of) of.add(pending)
      else this.#byNode.set(node, new Set([pending]))
    }
    this.#transmit(pending, now)
    return { cancel: () => void this.#forget(pending) }
  }

  /** How many are under way to a node. */
  pendingTo(node: NodeRecord): number {
    return this.#byNode.get(node)?.size ?? 0
  }

  /** True when a reply with this tid from this address is expected. */
  expects(tid: number, from: SocketAddress): boolean {
    return this.#pending.has(`${tid}|${addressKey(from)}`)
  }

  /** Whether this reply answers a request of ours; its node, where one was asked for by id. */
  asked(message: ReplyMessage, from: SocketAddress): { node: NodeRecord | undefined } | undefined {
    const pending = this.#pending.get(`${message.tid}|${addressKey(from)}`)
    return pending && (!pending.node || pending.node.id === message.args.id) ? { node: pending.node } : undefined
  }

  /** True when it answered a request of ours. */
  reply(message: ReplyMessage, from: SocketAddress, mentioned: readonly NodeRecord[] = []): boolean {
    const pending = this.#take(message.tid, message.args.id, from)
    pending?.onReply(message, mentioned)
    return pending !== undefined
  }

  /** The request goes on as if nothing came where nobody wants to know (§13.1). */
  error(message: ErrorMessage, from: SocketAddress): boolean {
    if (!this.#pending.get(`${message.tid}|${addressKey(from)}`)?.onError) return false
    const pending = this.#take(message.tid, message.id, from)
    pending?.onError?.(message)
    return pending !== undefined
  }

  #take(tid: number, id: string, from: SocketAddress): Pending | undefined {
    const pending = this.#pending.get(`${tid}|${addressKey(from)}`)
    if (!pending || (pending.node && pending.node.id !== id)) return undefined
    this.#forget(pending)
    return pending
  }

  #forget(pending: Pending): boolean {
    if (this.#pending.get(pending.key) !== pending) return false
    this.#pending.delete(pending.key)
    this.#due.delete(pending)
    const of = pending.node && this.#byNode.get(pending.node)
    of?.delete(pending)
    if (pending.node && of?.size === 0) this.#byNode.delete(pending.node)
    return true
  }

  tick(now: number): void {
    for (let p = this.#due.take(now); p; p = this.#due.take(now)) {
      if (p.sent === 1) p.onSlow?.()
      if (this.#pending.get(p.key) !== p) continue
      if (p.sent < p.transmissions) {
        this.#transmit(p, now)
        continue
      }
      this.#forget(p)
      p.onExpired?.()
      if (p.node) this.fail(p.node, now)
    }
  }

  /** A node is dead: everything sent to it fails. */
  fail(node: NodeRecord, now: number): void {
    for (const p of [...(this.#byNode.get(node) ?? [])]) if (this.#forget(p)) p.onExpired?.()
    this.#onNodeExpired(node, now)
  }

  clear(): void {
    this.#pending.clear()
    this.#byNode.clear()
    this.#due.clear()
  }

  #transmit(p: Pending, now: number): void {
    p.sent++
    p.delayMs = 2 * p.delayMs + this.#random.below(DELAY_JITTER_MS + 1)
    this.#due.set(p, now + p.delayMs)
    this.#send(p.datagrams, p.to)
  }
}
