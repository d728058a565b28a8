// How often somebody may do something: a burst, then a steady rate. Time is an argument. Pure. Proof: base/token-bucket.test.ts.

/** A bucket of `burst` tokens that fills with `perSecond`. */
export class TokenBucket {
  readonly #burst: number
  readonly #perMs: number
  #tokens: number
  #atMs: number

  constructor(options: { burst: number; perSecond: number }, nowMs: number) {
    this.#burst = options.burst
    this.#perMs = options.perSecond / 1000
    this.#tokens = options.burst
    this.#atMs = nowMs
  }

  /** Takes a token, on credit when there is none: how long to wait until it is earned, 0 when it was there. */
  take(nowMs: number): number {
    this.#refill(nowMs)
    this.#tokens--
    return this.#tokens >= 0 ? 0 : Math.ceil(-this.#tokens / this.#perMs)
  }

  /** Takes a token when there is one. */
  tryTake(nowMs: number): boolean {
    this.#refill(nowMs)
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }

  #refill(nowMs: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, nowMs - this.#atMs) * this.#perMs)
    this.#atMs = Math.max(this.#atMs, nowMs)
  }
}
