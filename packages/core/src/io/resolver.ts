// Host names through the system's resolver. One lookup holds one of the four threads that Node has for names, files and cryptography, for
// many seconds while the network is down: so few at a time, and one for all who ask for the same name.
// Proof: io/resolver.test.ts, io/node-network.test.ts with testing/suites/network.ts.
import { withOp } from '../base/operation.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Op } from '../contracts/service.ts'
import { plainHost } from './addresses.ts'

type Found = { host: string; family: 4 | 6 }[]
export type Lookup = (host: string) => Promise<readonly { address: string; family: number }[]>

const AT_ONCE = 2
/** Names that wait for their turn; more are answered as not to be found. */
const MAX_WAITING = 256

export class Resolver {
  readonly #clock: Clock
  readonly #lookup: Lookup
  readonly #running = new Map<string, Promise<Found>>() // by name, waiting ones too; bounded by MAX_WAITING
  readonly #waiting: (() => void)[] = [] // part of #running
  #busy = 0

  constructor(clock: Clock, lookup: Lookup) {
    this.#clock = clock
    this.#lookup = lookup
  }

  /** Empty when the name does not resolve. Whoever leaves early does not stop the lookup: nothing can. @throws ERR_ABORTED, ERR_TIMEOUT */
  resolve(host: string, op: Op | undefined): Promise<Found> {
    return withOp(this.#clock, op, `resolution of ${host}`, async () => [...await this.#shared(host)])
  }

  #shared(host: string): Promise<Found> {
    const known = this.#running.get(host)
    if (known) return known
    if (this.#running.size >= MAX_WAITING) return Promise.resolve([])
    const looking = this.#turn(host).finally(() => this.#running.delete(host))
    this.#running.set(host, looking)
    return looking
  }

  async #turn(host: string): Promise<Found> {
    if (this.#busy >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#busy++
    try {
      const found = await this.#lookup(host)
      return found.map((a) => ({ host: plainHost(a.address), family: a.family === 6 ? 6 : 4 }))
    } catch {
      return []
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#busy--
    }
  }
}
