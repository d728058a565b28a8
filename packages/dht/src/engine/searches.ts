// The searches of one family: which is due when, which are told of a new node, and where pushes go. What happens to one search
// costs nothing for the others. docs/protocol/01 §3.5. Proof: engine/searches.test.ts, engine/search.test.ts.
import { JamiError } from '@jamikit/core/base'
import type { InfoHash, Random } from '@jamikit/core/contracts'
import { MAX_SEARCHES, OFFERED_SEARCHES } from '../defaults.ts'
import { DueQueue } from './due-queue.ts'
import { IdIndex } from './id-index.ts'
import type { NodeRecord } from './nodes.ts'
import { Search } from './search.ts'
import type { AdoptsTokens, ListenOp, RunningSearch, SearchHost } from './search-ops.ts'

/** Where a push goes. */
export interface Socket {
  readonly op: ListenOp
  readonly search: AdoptsTokens
}

/** Over this time searches look again at what is known after a way back was found, ms. */
const RESEED_SPREAD_MS = 30_000

export class Searches {
  readonly #host: SearchHost
  readonly #random: Random
  readonly #byKey = new Map<InfoHash, Search>() // bounded by MAX_SEARCHES
  readonly #index = new IdIndex<Search>() // the same
  readonly #due = new DueQueue<RunningSearch>() // the same
  readonly #woken = new Set<RunningSearch>() // the same
  readonly #sockets = new Map<string, Socket>() // bounded by our listens × LISTEN_NODES

  constructor(host: Omit<SearchHost, 'wake' | 'openSocket' | 'closeSocket'> & { tid(node: NodeRecord): number }, random: Random) {
    this.#random = random
    this.#host = {
      ...host,
      wake: (search) => this.#woken.add(search),
      openSocket: (node, op, search) => {
        const sid = host.tid(node)
        this.#sockets.set(`${node.id}|${sid}`, { op, search })
        return sid
      },
      closeSocket: (node, sid) => this.#sockets.delete(`${node.id}|${sid}`),
    }
  }

  get size(): number {
    return this.#byKey.size
  }

  /** When `step` must run next. */
  get nextMs(): number {
    return this.#woken.size > 0 ? Number.NEGATIVE_INFINITY : this.#due.nextAt
  }

  /** @throws ERR_LIMIT */
  open(key: InfoHash): Search {
    const known = this.#byKey.get(key)
    if (known) return known
    if (this.#byKey.size >= MAX_SEARCHES) throw new JamiError('ERR_LIMIT', `DHT searches: got ${this.#byKey.size + 1}, allowed at most ${MAX_SEARCHES}`)
    const search = new Search(key, this.#host)
    this.#byKey.set(key, search)
    this.#index.add(search)
    return search
  }

  socket(node: InfoHash, sid: number): Socket | undefined {
    return this.#sockets.get(`${node}|${sid}`)
  }

  wake(search: RunningSearch): void {
    this.#woken.add(search)
  }

  /** A node that was not there before: the closest searches may want it. */
  offer(node: NodeRecord): void {
    let left = OFFERED_SEARCHES
    this.#index.from(node.idBytes, (search) => {
      search.offer(node)
      return --left > 0
    })
  }

  /** Everything starts again. */
  restart(): void {
    for (const search of this.#byKey.values()) search.restart()
  }

  /** All look again at what is known, one after another. */
  reseed(now: number): void {
    for (const search of this.#byKey.values()) {
      search.reseed()
      const at = now + this.#random.below(RESEED_SPREAD_MS)
      search.nextMs = Math.min(search.nextMs, at)
      this.#due.set(search, search.nextMs)
    }
  }

  /** Steps what is due and what was woken, until nothing more happens. */
  step(now: number): void {
    for (let search = this.#due.take(now); search; search = this.#due.take(now)) this.#woken.add(search)
    for (let rounds = 0; this.#woken.size > 0 && rounds < 64; rounds++) {
      const woken = [...this.#woken]
      this.#woken.clear()
      for (const search of woken) this.#step(search, now)
    }
  }

  #step(search: RunningSearch, now: number): void {
    search.step(now)
    if (!search.idle) return this.#due.set(search, search.nextMs)
    this.#due.delete(search)
    const known = this.#byKey.get(search.key)
    if (known !== search) return
    this.#byKey.delete(search.key)
    this.#index.delete(known)
    known.close()
    this.#woken.delete(search)
  }
}
