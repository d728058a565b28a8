// Places that strangers can take, shared out by source and network: nobody takes all of them, and when all are taken, who has most
// makes room for who has less. Pure. docs/protocol/01 §2.10. Proof: engine/indexes.test.ts.
import type { SocketAddress } from '@jamikit/core/contracts'
import { networkKey, sourceKey } from '../wire/address.ts'
import { DueQueue } from './due-queue.ts'

export interface ShareLimits {
  readonly perSource: number
  readonly perNetwork: number
  readonly total: number
}

interface Taken {
  readonly source: string
  readonly network: string
}

export class Shares<T> {
  readonly #limits: ShareLimits
  readonly #items = new Map<T, Taken>() // bounded by the limits
  readonly #sources = new Map<string, number>() // the same
  readonly #networks = new Map<string, Set<T>>() // the same; the one longest untouched first
  readonly #heaviest = new DueQueue<string>() // networks by their size, negative

  constructor(limits: ShareLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#items.size
  }

  /** Whether a place is free for this address; one that somebody else must give up; or undefined: it has its share. */
  room(from: SocketAddress): { displaces: T | undefined } | undefined {
    const own = this.#networks.get(networkKey(from))?.size ?? 0
    if ((this.#sources.get(sourceKey(from)) ?? 0) >= this.#limits.perSource || own >= this.#limits.perNetwork) return undefined
    if (this.#items.size < this.#limits.total) return { displaces: undefined }
    const most = this.#networks.get(this.#heaviest.first ?? '')
    if (!most || most.size <= own + 1) return undefined
    const [oldest] = most
    return { displaces: oldest as T }
  }

  add(item: T, from: SocketAddress): void {
    const taken = { source: sourceKey(from), network: networkKey(from) }
    this.#items.set(item, taken)
    this.#sources.set(taken.source, (this.#sources.get(taken.source) ?? 0) + 1)
    const of = this.#networks.get(taken.network) ?? new Set<T>()
    of.add(item)
    this.#networks.set(taken.network, of)
    this.#heaviest.set(taken.network, -of.size)
  }

  /** It was used: others go first. */
  touch(item: T): void {
    const of = this.#networks.get(this.#items.get(item)?.network ?? '')
    if (of?.delete(item)) of.add(item)
  }

  delete(item: T): void {
    const taken = this.#items.get(item)
    if (!taken) return
    this.#items.delete(item)
    const left = (this.#sources.get(taken.source) ?? 1) - 1
    if (left > 0) this.#sources.set(taken.source, left)
    else this.#sources.delete(taken.source)
    const of = this.#networks.get(taken.network)
    of?.delete(item)
    if (of && of.size > 0) this.#heaviest.set(taken.network, -of.size)
    else {
      this.#networks.delete(taken.network)
      this.#heaviest.delete(taken.network)
    }
  }
}
