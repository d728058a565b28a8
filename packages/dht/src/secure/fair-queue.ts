// Costly work that strangers can ask for, done a little at a time: sources take turns (networks first, then addresses of a network), each
// may have so much waiting, and what is under way is never pushed out. No cryptography, no clock. Proof: secure/fair-queue.test.ts.
import type { SocketAddress } from '@jamikit/core/contracts'
import { networkKey, sourceKey } from '../wire/address.ts'

export interface Share {
  readonly count: number
  readonly bytes: number
}

export interface FairQueueOptions {
  /** Pieces under way at a time. */
  readonly concurrency: number
  /** Waiting at most: of one address (IPv6: /64), of one network, of all. */
  readonly address: Share
  readonly network: Share
  readonly total: Share
  /** From so many waiting of one address on, its newest goes first: what is old under a flood is of no use to anybody. */
  readonly newestFirstFrom: number
}

export interface Work {
  /** Undefined = ourselves. */
  readonly from: SocketAddress | undefined
  readonly bytes: number
  /** Asked for by ourselves: goes before what others ask for, but for every fourth piece. */
  readonly own: boolean
  run(): Promise<void>
  /** It was not done and never will be: its source has too much waiting. */
  dropped(): void
}

interface Load {
  count: number
  bytes: number
}

type Turns = Map<string, Map<string, Work[]>> // network → address → oldest first; both in the order of their turns

const OWN_TO_OTHER = 4

export class FairQueue {
  readonly #o: FairQueueOptions
  readonly #own: Turns = new Map() // bounded by the total share, as the other one and the loads are
  readonly #others: Turns = new Map()
  readonly #addresses = new Map<string, Load>()
  readonly #networks = new Map<string, Load>()
  readonly #total: Load = { count: 0, bytes: 0 }
  #running = 0
  #picked = 0

  constructor(options: FairQueueOptions) {
    this.#o = options
  }

  get waiting(): number {
    return this.#total.count
  }

  /** Runs it in its turn. Where a share is used up, the oldest waiting work of the one who has most of it is dropped. */
  add(work: Work): void {
    const { address, network } = keysOf(work)
    this.#put(work.own ? this.#own : this.#others, network, address, work)
    this.#count(work, 1)
    while (isOver(this.#addresses.get(address), this.#o.address)) this.#dropOldest(network, address)
    while (isOver(this.#networks.get(network), this.#o.network)) this.#dropOldest(network, this.#busiestIn(network))
    while (isOver(this.#total, this.#o.total)) {
      const busiest = most(this.#networks)
      this.#dropOldest(busiest, this.#busiestIn(busiest))
    }
    this.#pump()
  }

  /** Drops all that waits. */
  clear(): void {
    for (const turns of [this.#own, this.#others]) {
      const left = [...turns.values()].flatMap((addresses) => [...addresses.values()].flat())
      turns.clear()
      for (const work of left) {
        this.#count(work, -1)
        work.dropped()
      }
    }
  }

  #pump(): void {
    while (this.#running < this.#o.concurrency) {
      const work = this.#next()
      if (!work) return
      this.#running++
      void work.run().catch(() => {}).then(() => {
        this.#running--
        this.#pump()
      })
    }
  }

  #next(): Work | undefined {
    const ownFirst = (this.#picked + 1) % OWN_TO_OTHER !== 0
    const [first, second] = ownFirst ? [this.#own, this.#others] : [this.#others, this.#own]
    const work = this.#take(first) ?? this.#take(second)
    if (!work) return undefined
    this.#picked++
    this.#count(work, -1)
    return work
  }

  #put(turns: Turns, network: string, address: string, work: Work): void {
    const addresses = turns.get(network) ?? new Map<string, Work[]>()
    const list = addresses.get(address) ?? []
    list.push(work)
    addresses.set(address, list)
    turns.set(network, addresses)
  }

  /** Of the network and the address whose turn it is; both go to the end of their row. */
  #take(turns: Turns): Work | undefined {
    for (const [network, addresses] of turns) {
      turns.delete(network)
      for (const [address, list] of addresses) {
        addresses.delete(address)
        const work = list.length > this.#o.newestFirstFrom ? list.pop() : list.shift()
        if (list.length > 0) addresses.set(address, list)
        if (addresses.size > 0) turns.set(network, addresses)
        return work
      }
    }
    return undefined
  }

  #dropOldest(network: string, address: string): void {
    for (const turns of [this.#others, this.#own]) {
      const addresses = turns.get(network)
      const list = addresses?.get(address)
      const work = list?.shift()
      if (!addresses || !list || !work) continue
      if (list.length === 0) addresses.delete(address)
      if (addresses.size === 0) turns.delete(network)
      this.#count(work, -1)
      work.dropped()
      return
    }
  }

  #busiestIn(network: string): string {
    const loads = new Map<string, Load>()
    for (const turns of [this.#own, this.#others]) for (const address of turns.get(network)?.keys() ?? []) {
      const load = this.#addresses.get(address)
      if (load) loads.set(address, load)
    }
    return most(loads)
  }

  #count(work: Work, by: 1 | -1): void {
    const { address, network } = keysOf(work)
    for (const [loads, key] of [[this.#addresses, address], [this.#networks, network]] as const) {
      const load = loads.get(key) ?? { count: 0, bytes: 0 }
      add(load, work, by)
      if (load.count > 0) loads.set(key, load)
      else loads.delete(key)
    }
    add(this.#total, work, by)
  }
}

function keysOf({ from }: Work): { address: string; network: string } {
  return from ? { address: sourceKey(from), network: networkKey(from) } : { address: 'here', network: 'here' }
}

function add(load: Load, work: Work, by: 1 | -1): void {
  load.count += by
  load.bytes += by * work.bytes
}

function isOver(load: Load | undefined, share: Share): boolean {
  return load !== undefined && (load.count > share.count || (load.bytes > share.bytes && load.count > 1))
}

function most(loads: ReadonlyMap<string, Load>): string {
  let best = ''
  let weight = -1
  for (const [key, { count, bytes }] of loads) {
    if (count + bytes / 1024 <= weight) continue
    weight = count + bytes / 1024
    best = key
  }
  return best
}
