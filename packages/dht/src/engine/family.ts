// One address family of a node: its table, searches, ways back into the network, votes on our address, and whether it is connected.
// No I/O. docs/protocol/01 §3, §3.4, §3.10. Proof: engine/split.test.ts, engine/engine.test.ts.
import type { DhtStatus, InfoHash, Random } from '@jamikit/core/contracts'
import { FEW_NETWORKS, ISLAND_MS } from '../defaults.ts'
import { EntryPoints, type Reach } from './entry-points.ts'
import { NodeTable } from './nodes.ts'
import { Searches } from './searches.ts'
import { AddressVotes } from './votes.ts'

/** Networks are counted at most this often, ms. */
const COUNT_MS = 5000

export class Family {
  readonly table: NodeTable
  readonly searches: Searches
  readonly entries = new EntryPoints()
  readonly votes = new AddressVotes()
  enabled = false
  status: DhtStatus = 'disconnected'
  nextMaintenanceMs: number
  /** Pings to entry points under way. */
  pending = 0
  #networks = 0
  #countedMs = Number.NEGATIVE_INFINITY
  /** When there was last more than an island: several networks, or a bootstrap host that answered. Undefined: never several. */
  #worldMs: number | undefined
  #bootstrapMs = Number.NEGATIVE_INFINITY

  constructor(family: 4 | 6, own: InfoHash, host: ConstructorParameters<typeof Searches>[0], random: Random, now: number) {
    this.table = new NodeTable(family, own)
    this.searches = new Searches(host, random)
    this.nextMaintenanceMs = now + 3000 + random.below(2000)
  }

  bootstrapAnswered(now: number): void {
    this.#bootstrapMs = now
  }

  reach(now: number): Reach {
    if (!this.table.hasGood(now)) return 'none'
    this.#count(now)
    return this.#networks < FEW_NETWORKS ? 'few' : 'enough'
  }

  #count(now: number): void {
    if (now - this.#countedMs < COUNT_MS) return
    this.#countedMs = now
    this.#networks = this.table.networks(now).size
    if (this.#networks >= 2) this.#worldMs = now
  }

  /** We know only neighbours of one network, knew others before, and no way back answers: cut off together with them. */
  #island(now: number): boolean {
    this.#count(now)
    return this.#worldMs !== undefined && now - Math.max(this.#worldMs, this.#bootstrapMs) > ISLAND_MS
  }

  /** Forgets what was only true for our former address. */
  moved(now: number): void {
    this.table.reviveAll()
    this.nextMaintenanceMs = now
    this.searches.restart()
    this.votes.clear()
    this.entries.hurry()
    this.#worldMs = undefined
  }

  /** @returns what it should be */
  statusAt(now: number): DhtStatus {
    if (!this.enabled) return 'disconnected'
    const good = this.table.hasGood(now)
    if (good && !this.#island(now)) return 'connected'
    return good || this.pending > 0 || this.table.hasAlive() ? 'connecting' : 'disconnected'
  }
}
