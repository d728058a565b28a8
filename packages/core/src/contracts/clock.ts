// Time made explicit, so that engines and shells run in virtual time in tests. Types only.
// Real: core/io/system-clock.ts. Double: core/testing/manual-clock.ts. Suite: testing/suites/clock.ts.

/** A pending timer. */
export interface Timer {
  /** Idempotent; the function does not run afterwards. */
  cancel(): void
}

/** Time and timers; the only source of both inside the SDK. */
export interface Clock {
  /** Monotonic instant in milliseconds; only differences mean something. */
  now(): number
  /** Unix time in milliseconds; only where the wire or a person asks for it. */
  wallTimeMs(): number
  /** Runs `fn` once, not before `delayMs` milliseconds from now (at least 0). Never synchronously. */
  after(delayMs: number, fn: () => void): Timer
  /**
   * Tells the clock that `work` happens outside it (crypto in a thread, files, TLS): a manual clock does not advance
   * before it settles. Returns the same promise.
   */
  track<T>(work: Promise<T>): Promise<T>
}
