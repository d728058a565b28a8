// What we know of other nodes: records, buckets, the closest good ones. No I/O. docs/protocol/01 §2.6, §3.1, §3.2, §13.2.
// Proof: engine/engine.test.ts (closest nodes against sorting everything).
import { fromHex } from '@jamikit/core/codec'
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { CLOSEST, HEARD_MS, MAX_NODES, REPLIED_MS } from '../defaults.ts'

export interface NodeRecord {
  readonly id: InfoHash
  readonly idBytes: Uint8Array
  readonly family: 4 | 6
  address: SocketAddress
  heardMs: number
  repliedMs: number
  expired: boolean
  readonly client: boolean
  authErrors: number
  /** Next transaction or socket id. */
  nextTid: number
}

/** XOR distance order of two ids from a target. */
export function compareDistance(target: Uint8Array, a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < 20; i++) {
    const t = target[i] as number
    const d = ((a[i] as number) ^ t) - ((b[i] as number) ^ t)
    if (d !== 0) return d
  }
  return 0
}

/** Number of leading bits two ids share. */
export function sharedBits(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < 20; i++) {
    const x = (a[i] as number) ^ (b[i] as number)
    if (x !== 0) return i * 8 + Math.clz32(x) - 24
  }
  return 160
}

export function isGood(node: NodeRecord, now: number): boolean {
  return !node.expired && now - node.repliedMs <= REPLIED_MS && now - node.heardMs <= HEARD_MS
}

/**
 * All records of one family, and which of them fill the buckets: up to 8 for each number of bits shared with our id, as the
 * tree of buckets around our id would hold them.
 */
export class NodeTable {
  readonly family: 4 | 6
  readonly #own: Uint8Array
  readonly #nodes = new Map<InfoHash, NodeRecord>() // bounded by MAX_NODES
  readonly #buckets: NodeRecord[][] = Array.from({ length: 161 }, () => []) // 8 each

  constructor(family: 4 | 6, own: InfoHash) {
    this.family = family
    this.#own = fromHex(own)
  }

  get size(): number {
    return this.#nodes.size
  }

  get(id: InfoHash): NodeRecord | undefined {
    return this.#nodes.get(id)
  }

  all(): IterableIterator<NodeRecord> {
    return this.#nodes.values()
  }

  goodCount(now: number): number {
    let n = 0
    for (const bucket of this.#buckets) for (const node of bucket) if (isGood(node, now)) n++
    return n
  }

  /** A node was heard (`replied` or not) or, with `heard` false, only mentioned by another. Undefined when the table is full. */
  note(id: InfoHash, address: SocketAddress, now: number, how: { heard: boolean; client?: boolean; tid: number }): NodeRecord | undefined {
    let node = this.#nodes.get(id)
    if (!node) {
      if (this.#nodes.size >= MAX_NODES && !this.#evict(now)) return undefined
      node = {
        id, idBytes: fromHex(id), family: this.family, address, heardMs: how.heard ? now : -Infinity, repliedMs: -Infinity, expired: false,
        client: how.client ?? false, authErrors: 0, nextTid: how.tid,
      }
      this.#nodes.set(id, node)
    } else if (how.heard) {
      node.address = address
      node.heardMs = now
      node.expired = false
    } else if (now - node.heardMs > HEARD_MS) node.address = address
    return node
  }

  /** Offers a node to its bucket; gives a dubious node to ping when the bucket is full. */
  offer(node: NodeRecord, now: number): NodeRecord | undefined {
    if (node.client) return undefined
    const bucket = this.#buckets[sharedBits(this.#own, node.idBytes)] as NodeRecord[]
    if (bucket.includes(node)) return undefined
    if (bucket.length < CLOSEST) {
      bucket.push(node)
      return undefined
    }
    const dead = bucket.findIndex((n) => n.expired)
    if (dead >= 0) {
      bucket[dead] = node
      return undefined
    }
    return bucket.find((n) => !isGood(n, now))
  }

  /** The closest good nodes by exact XOR distance. */
  closestGood(target: Uint8Array, count: number, now: number): NodeRecord[] {
    const good: NodeRecord[] = []
    for (const bucket of this.#buckets) for (const node of bucket) if (isGood(node, now)) good.push(node)
    return good.sort((a, b) => compareDistance(target, a.idBytes, b.idBytes)).slice(0, count)
  }

  /** Seeds of a search: the closest nodes that are not known to be dead. */
  closestAlive(target: Uint8Array, count: number): NodeRecord[] {
    return [...this.#nodes.values()].filter((n) => !n.expired && !n.client).sort((a, b) => compareDistance(target, a.idBytes, b.idBytes)).slice(0, count)
  }

  inTable(): NodeRecord[] {
    return this.#buckets.flat()
  }

  /** Buckets with nodes, and the one a further split would make: where maintenance asks. */
  depth(): number {
    let deepest = 0
    for (const [bits, bucket] of this.#buckets.entries()) if (bucket.length > 0) deepest = bits
    return deepest
  }

  bucket(bits: number): readonly NodeRecord[] {
    return this.#buckets[bits] ?? []
  }

  /** Forgets nodes that are dead for 10 minutes. */
  sweep(now: number): void {
    for (const [id, node] of this.#nodes) {
      if (!node.expired || now - node.heardMs <= HEARD_MS) continue
      this.#remove(id, node)
    }
  }

  reviveAll(): void {
    for (const node of this.#nodes.values()) node.expired = false
  }

  #remove(id: InfoHash, node: NodeRecord): void {
    this.#nodes.delete(id)
    const bucket = this.#buckets[sharedBits(this.#own, node.idBytes)] as NodeRecord[]
    const at = bucket.indexOf(node)
    if (at >= 0) bucket.splice(at, 1)
  }

  #evict(now: number): boolean {
    let victim: NodeRecord | undefined
    for (const node of this.#nodes.values()) {
      if (this.#buckets[sharedBits(this.#own, node.idBytes)]?.includes(node) && isGood(node, now)) continue
      if (!victim || (node.expired && !victim.expired) || (node.expired === victim.expired && node.heardMs < victim.heardMs)) victim = node
    }
    if (!victim) return false
    this.#remove(victim.id, victim)
    return true
  }
}

