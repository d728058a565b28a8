// How many requests a source may make in a second, and all together. Time is an argument. docs/protocol/01 §2.10.
// Proof: engine/engine.test.ts (table over time).
const MAX_SOURCES = 65_536

/** One-second windows: the requests of this second and a share of the last one count. */
export class RateLimiter {
  readonly #perSource: number
  readonly #total: number
  #second = Number.NEGATIVE_INFINITY
  #counts = new Map<string, number>() // bounded by MAX_SOURCES
  #last = new Map<string, number>() // bounded by MAX_SOURCES
  #all = 0
  #lastAll = 0

  constructor(perSource: number, total: number) {
    this.#perSource = perSource
    this.#total = total
  }

  allows(source: string, now: number): boolean {
    const second = Math.floor(now / 1000)
    if (second !== this.#second) {
      const next = second === this.#second + 1
      this.#last = next ? this.#counts : new Map()
      this.#lastAll = next ? this.#all : 0
      this.#counts = new Map()
      this.#all = 0
      this.#second = second
    }
    const share = 1 - (now / 1000 - second)
    const count = this.#counts.get(source) ?? 0
    if (count + share * (this.#last.get(source) ?? 0) >= this.#perSource) return false
    if (this.#all + share * this.#lastAll >= this.#total) return false
    if (count === 0 && this.#counts.size >= MAX_SOURCES) return false
    this.#counts.set(source, count + 1)
    this.#all++
    return true
  }
}
