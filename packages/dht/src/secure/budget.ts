// So much per second and source: token buckets by key, as a function of time. Proof: secure/verifier.test.ts.

/** Sources whose use is remembered. One that is forgotten starts anew; the bucket of all holds meanwhile. */
const MAX_KEYS = 4096

export class Budget {
  readonly #perSecond: number
  readonly #burst: number
  readonly #used = new Map<string, { used: number; atMs: number }>() // bounded by MAX_KEYS, least recently used out

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
  }

  has(key: string, now: number): boolean {
    return this.#now(key, now) <= this.#burst - 1
  }

  /** Also beyond what is left, up to once more the burst: then it takes longer until there is some again. */
  spend(key: string, now: number, n = 1): void {
    const used = this.#now(key, now) + n
    this.#used.delete(key)
    if (this.#used.size >= MAX_KEYS) for (const oldest of this.#used.keys()) {
      this.#used.delete(oldest)
      break
    }
    this.#used.set(key, { used: Math.min(used, 2 * this.#burst), atMs: now })
  }

  #now(key: string, now: number): number {
    const known = this.#used.get(key)
    return known ? Math.max(0, known.used - (Math.max(0, now - known.atMs) / 1000) * this.#perSecond) : 0
  }
}
