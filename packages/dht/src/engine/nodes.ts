// What we know of other nodes: records, buckets, the closest good ones; who may take whose place. No I/O.
// docs/protocol/01 §2.6, §3.1, §3.2, §13.2. Proof: engine/nodes.test.ts, engine/engine.test.ts (closest nodes against sorting everything).
import { fromHex } from '@jamikit/core/codec'
import type { InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { CLOSEST, HEARD_MS, MAX_NODES, REPLIED_MS } from '../defaults.ts'
import { addressKey, networkKey } from '../wire/address.ts'
import { compareDistance, IdIndex, sharedBits } from './id-index.ts'

export { compareDistance, sharedBits }

/** Addresses that are tried for a node that never replied. */
const MAX_HINTS = 4

/** Who has a node in a list and must hear of its end. */
export interface NodeUser {
  nodeExpired(node: NodeRecord): void
  nodeRevived(node: NodeRecord): void
}

export interface NodeRecord {
  readonly id: InfoHash
  readonly idBytes: Uint8Array
  readonly family: 4 | 6
  address: SocketAddress
  heardMs: number
  repliedMs: number
  expired: boolean
  expiredMs: number
  readonly client: boolean
  authErrors: number
  /** How often somebody said another address before it replied. */
  hints: number
  /** Next transaction or socket id. */
  nextTid: number
  readonly users: Set<NodeUser> // bounded by the searches
}

export function isGood(node: NodeRecord, now: number): boolean {
  return !node.expired && now - node.repliedMs <= REPLIED_MS && now - node.heardMs <= HEARD_MS
}

export function newNode(id: InfoHash, address: SocketAddress, tid: number, client = false): NodeRecord {
  return {
    id, idBytes: fromHex(id), family: address.family, address, heardMs: -Infinity, repliedMs: -Infinity, expired: false, expiredMs: -Infinity,
    client, authErrors: 0, hints: 0, nextTid: tid, users: new Set(),
  }
}

/**
 * All records of one family, and which of them fill the buckets: up to 8 for each number of bits shared with our id, as the
 * tree of buckets around our id would hold them. Only nodes that have replied get into a bucket.
 */
export class NodeTable {
  readonly family: 4 | 6
  readonly #own: Uint8Array
  readonly #nodes = new Map<InfoHash, NodeRecord>() // bounded by the buckets, the lists of searches, and MAX_NODES of others
  readonly #byAddress = new Map<string, NodeRecord>() // those that replied, by where; bounded by #nodes
  readonly #buckets: NodeRecord[][] = Array.from({ length: 161 }, () => []) // 8 each
  readonly #inBuckets = new IdIndex<NodeRecord>() // the same
  readonly #alive = new IdIndex<NodeRecord>() // bounded by #nodes
  readonly #spare = new Set<NodeRecord>() // in no bucket and no search, the longest unheard first; bounded by MAX_NODES
  readonly #dead = new Set<NodeRecord>() // expired, the longest first; bounded by #nodes
  #witness: NodeRecord | undefined

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

  goodCount(now: number): number {
    let n = 0
    for (const bucket of this.#buckets) for (const node of bucket) if (isGood(node, now)) n++
    return n
  }

  /** Whether there is a good one, mostly without looking for it. */
  hasGood(now: number): boolean {
    if (this.#witness && isGood(this.#witness, now)) return true
    if (this.#inBuckets.size === 0) return false
    this.#witness = this.inTable().find((n) => isGood(n, now))
    return this.#witness !== undefined
  }

  /** Distinct networks of good nodes. */
  networks(now: number): Set<string> {
    return new Set(this.inTable().filter((n) => isGood(n, now)).map((n) => networkKey(n.address)))
  }

  /** Whether a node in a bucket is not known to be dead. */
  hasAlive(): boolean {
    return this.#inBuckets.size > 0 && this.inTable().some((n) => !n.expired)
  }

  good(now: number): NodeRecord[] {
    return this.inTable().filter((n) => isGood(n, now))
  }

  /** A node was mentioned by another one: nothing is known of it but what that one says. */
  mention(id: InfoHash, address: SocketAddress, now: number, tid: number): NodeRecord {
    const known = this.#nodes.get(id)
    if (known) {
      if (addressKey(known.address) === addressKey(address)) return known
      if (known.repliedMs === -Infinity) this.#hinted(known, address)
      else if (now - Math.max(known.heardMs, known.repliedMs) > HEARD_MS && known.users.size === 0) known.address = address
      return known
    }
    return this.#add(newNode(id, address, tid))
  }

  /** Of a node that never replied, somebody else says something else: one that lists a wrong address must not hide it. */
  #hinted(node: NodeRecord, address: SocketAddress): void {
    if (node.hints >= MAX_HINTS) return
    node.hints++
    node.address = address
    if (node.expired) this.#revive(node)
  }

  /** A node replied from this address: it is there, and whoever was there before is not. */
  confirm(id: InfoHash, address: SocketAddress, now: number, how: { client: boolean; tid: number }): NodeRecord {
    const node = this.#nodes.get(id) ?? this.#add(newNode(id, address, how.tid, how.client))
    const where = addressKey(address)
    if (addressKey(node.address) !== where && this.#byAddress.get(addressKey(node.address)) === node) this.#byAddress.delete(addressKey(node.address))
    node.address = address
    const before = this.#byAddress.get(where)
    if (before && before !== node) this.expire(before, now)
    this.#byAddress.set(where, node)
    node.repliedMs = now
    this.heard(node, now)
    if (node.expired) this.#revive(node)
    return node
  }

  /** A request came from where the node is. */
  heard(node: NodeRecord, now: number): void {
    node.heardMs = now
    if (this.#spare.delete(node)) this.#spare.add(node)
  }

  /** Offers a node that replied to its bucket; gives a dubious node to ping when the bucket is full. */
  offer(node: NodeRecord, now: number): NodeRecord | undefined {
    if (node.client || !isGood(node, now)) return undefined
    const bucket = this.bucketOf(node)
    if (bucket.includes(node)) return undefined
    if (bucket.length < CLOSEST) {
      this.#place(bucket, bucket.length, node)
      return undefined
    }
    const dead = bucket.findIndex((n) => n.expired)
    if (dead >= 0) {
      const gone = bucket[dead] as NodeRecord
      this.#inBuckets.delete(gone)
      this.#place(bucket, dead, node)
      this.#release(gone)
      return undefined
    }
    return bucket.find((n) => !isGood(n, now))
  }

  /** Whether a further node would be of use to the buckets. */
  wants(id: Uint8Array, now: number): boolean {
    const bucket = this.#buckets[sharedBits(this.#own, id)] as NodeRecord[]
    return bucket.length < CLOSEST || bucket.some((n) => !isGood(n, now))
  }

  #place(bucket: NodeRecord[], at: number, node: NodeRecord): void {
    bucket[at] = node
    this.#inBuckets.add(node)
    this.#spare.delete(node)
  }

  /** The closest good nodes by exact XOR distance. */
  closestGood(target: Uint8Array, count: number, now: number): NodeRecord[] {
    return this.#inBuckets.closest(target, count, (n) => isGood(n, now))
  }

  /** Seeds of a search: the closest nodes that are not known to be dead. */
  closestAlive(target: Uint8Array, count: number): NodeRecord[] {
    return this.#alive.closest(target, count, () => true)
  }

  inTable(): NodeRecord[] {
    return this.#buckets.flat()
  }

  /** The deepest bucket with nodes; one further would come from a split: where maintenance asks. */
  depth(): number {
    return this.#buckets.findLastIndex((bucket) => bucket.length > 0)
  }

  bucket(bits: number): readonly NodeRecord[] {
    return this.#buckets[bits] ?? []
  }

  bucketOf(node: NodeRecord): NodeRecord[] {
    return this.#buckets[sharedBits(this.#own, node.idBytes)] as NodeRecord[]
  }

  use(node: NodeRecord, user: NodeUser): void {
    node.users.add(user)
    this.#spare.delete(node)
  }

  unuse(node: NodeRecord, user: NodeUser): void {
    node.users.delete(user)
    this.#release(node)
  }

  /** It does not answer, or somebody else does from its address. Its users are told. */
  expire(node: NodeRecord, now: number): void {
    if (node.expired) return
    node.expired = true
    node.expiredMs = now
    this.#alive.delete(node)
    if (this.#nodes.get(node.id) === node) this.#dead.add(node)
    for (const user of [...node.users]) user.nodeExpired(node)
  }

  reviveAll(): void {
    for (const node of [...this.#dead]) this.#revive(node)
  }

  #revive(node: NodeRecord): void {
    node.expired = false
    this.#dead.delete(node)
    if (!node.client) this.#alive.add(node)
    for (const user of [...node.users]) user.nodeRevived(node)
  }

  /** Forgets nodes that are dead for 10 minutes and in nobody's list; gives those that were good once. */
  sweep(now: number): NodeRecord[] {
    const lost: NodeRecord[] = []
    for (const node of this.#dead) {
      if (now - node.expiredMs <= HEARD_MS) break
      if (node.users.size > 0) continue
      if (node.repliedMs > -Infinity) lost.push(node)
      this.#remove(node)
    }
    return lost
  }

  #add(node: NodeRecord): NodeRecord {
    while (this.#spare.size >= MAX_NODES) {
      const [oldest] = this.#spare
      this.#remove(oldest as NodeRecord)
    }
    this.#nodes.set(node.id, node)
    this.#spare.add(node)
    if (!node.client) this.#alive.add(node)
    return node
  }

  #release(node: NodeRecord): void {
    if (node.users.size > 0 || this.#nodes.get(node.id) !== node || this.bucketOf(node).includes(node)) return
    while (this.#spare.size >= MAX_NODES) {
      const [oldest] = this.#spare
      this.#remove(oldest as NodeRecord)
    }
    this.#spare.add(node)
  }

  #remove(node: NodeRecord): void {
    this.#nodes.delete(node.id)
    this.#spare.delete(node)
    this.#dead.delete(node)
    this.#alive.delete(node)
    this.#inBuckets.delete(node)
    const where = addressKey(node.address)
    if (this.#byAddress.get(where) === node) this.#byAddress.delete(where)
    const bucket = this.bucketOf(node)
    const at = bucket.indexOf(node)
    if (at >= 0) bucket.splice(at, 1)
    if (this.#witness === node) this.#witness = undefined
  }
}
