// What the engine is given by whoever runs it. Types only. docs/protocol/01 §3. Proof: engine/engine.test.ts.
import type { JamiError } from '@jamikit/core/base'
import type { InfoHash, Random, SocketAddress } from '@jamikit/core/contracts'
import type { Value } from '../wire/value.ts'

export interface EngineOptions {
  readonly nodeId: InfoHash
  readonly network: number
  readonly maxStoreBytes: number
  readonly random: Random
  /** From `exportState`: its node id counts instead of `nodeId`. A damaged one is reported and not used. */
  readonly state?: Uint8Array
  readonly wallTimeMs: () => number
  /** In order, header first. */
  readonly send: (datagrams: readonly Uint8Array[], to: SocketAddress) => void
  /** Something changed in the own store at a key (for local listeners). */
  readonly onStored: (key: InfoHash, value: Value, expired: boolean) => void
  readonly onStatus: () => void
  /** Bootstrap hosts are about to be pinged again: their names may be resolved anew (then `addBootstrap` with what is new). */
  readonly onBootstrap?: () => void
  /** What goes wrong without anybody to throw to. */
  readonly onProblem?: (error: JamiError) => void
}
