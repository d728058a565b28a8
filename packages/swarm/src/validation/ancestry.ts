// Which commits of a fetch build on which: chains along first parents, so that the question costs the merges between, not the commits.
// Pure. docs/protocol/04 §3.5.8. Proof: validation/ancestry.test.ts (brute force).
import type { Oid } from '../repo/object.ts'
import type { Budget } from './trees.ts'

interface Chain {
  length: number
  /** Parents that are not the commit before in the chain, by the index of their child, ascending. */
  readonly links: { at: number; to: Oid }[]
}

export class Ancestry {
  readonly #places = new Map<Oid, { chain: number; index: number }>() // bounded by the commits of one fetch
  readonly #chains: Chain[] = [] // bounded like #places
  readonly #known: (ancestor: Oid, of: Oid) => boolean

  /** @param known answers for commits that were there before */
  constructor(known: (ancestor: Oid, of: Oid) => boolean) {
    this.#known = known
  }

  /** Parents first. */
  add(oid: Oid, parents: readonly Oid[]): void {
    const before = parents.find((parent) => {
      const place = this.#places.get(parent)
      return place !== undefined && this.#chains[place.chain]?.length === place.index + 1
    })
    const number = before === undefined ? this.#chains.length : (this.#places.get(before)?.chain ?? 0)
    const chain = this.#chains[number] ?? { length: 0, links: [] }
    this.#chains[number] = chain
    const index = chain.length++
    for (const parent of parents) if (parent !== before) chain.links.push({ at: index, to: parent })
    this.#places.set(oid, { chain: number, index })
  }

  /** True when `ancestor` is one of `from` or below it. @throws ERR_LIMIT */
  reaches(from: readonly Oid[], ancestor: Oid, budget: Budget): boolean {
    const target = this.#places.get(ancestor)
    const seen = new Map<number, number>() // chain → highest index that was looked at
    const asked = new Set<Oid>()
    const open = [...from]
    while (open.length > 0) {
      const oid = open.pop() as Oid
      budget.spend(1)
      const place = this.#places.get(oid)
      if (!place) {
        if (!target && !asked.has(oid) && this.#known(ancestor, oid)) return true
        asked.add(oid)
        continue
      }
      const done = seen.get(place.chain) ?? -1
      if (place.index <= done) continue
      seen.set(place.chain, place.index)
      if (target && target.chain === place.chain && target.index <= place.index) return true
      for (const { at, to } of this.#chains[place.chain]?.links ?? []) {
        if (at > place.index) break
        if (at > done) {
          budget.spend(1)
          open.push(to)
        }
      }
    }
    return false
  }
}
