// Randomness made explicit: one source per node, seeded in tests. Types only.
// Real: core/io/node-random.ts. Double: core/testing/seeded-random.ts. Suite: testing/suites/random.ts.

/** One source of randomness. */
export interface Random {
  /** `length` fresh bytes, 0 to 65,536. */
  bytes(length: number): Uint8Array
  /** Uniform integer in [0, limit), limit 1 … 2^53. */
  below(limit: number): number
  /** Uniform 64-bit unsigned integer. */
  u64(): bigint
}
