// What runs in a search: gets, puts and listens, what they want told, and their state at a node. Types, and one value to begin with.
// docs/protocol/01 §3.6, §13.3–13.5. Proof: engine/search.test.ts.
import type { InfoHash } from '@jamikit/core/contracts'
import type { Arguments, RequestName } from '../wire/message.ts'
import type { Query, Where } from '../wire/query.ts'
import type { Value } from '../wire/value.ts'
import type { NodeRecord, NodeUser } from './nodes.ts'
import type { RequestHandlers } from './requests.ts'

/** A search as those see it that step it. */
export interface RunningSearch extends NodeUser {
  readonly key: InfoHash
  readonly idle: boolean
  readonly nextMs: number
  step(now: number): void
}

/** What a search needs of the engine. */
export interface SearchHost {
  readonly family: 4 | 6
  /** Sends a request; undefined when it cannot be sent. */
  request(node: NodeRecord, name: RequestName, args: Omit<Arguments, 'id'>, handlers: RequestHandlers, now: number): { cancel(): void } | undefined
  seeds(target: Uint8Array, count: number): NodeRecord[]
  /** From now on the search hears when the node dies or is back, and the node is kept. */
  use(node: NodeRecord, search: NodeUser): void
  unuse(node: NodeRecord, search: NodeUser): void
  /** A fresh socket id at a node, whose pushes go to `op`. */
  openSocket(node: NodeRecord, op: ListenOp, search: AdoptsTokens): number
  closeSocket(node: NodeRecord, sid: number): void
  wake(search: RunningSearch): void
  /** A node that refuses again and again counts as dead. */
  giveUp(node: NodeRecord): void
  /** The time of what is being worked on. */
  now(): number
}

export interface GetOp {
  readonly kind: 'get'
  readonly where: Where
  onValues(values: readonly Value[]): void
  /** All of the closest nodes have answered, or there are none. */
  onDone(): void
}

export interface PutOp {
  readonly kind: 'put'
  readonly value: Value
  readonly permanent: boolean
  /** The first announcement is confirmed by the closest nodes (`count` of them), or nobody is left to ask. */
  onAnnounced(count: number): void
}

export interface ListenOp {
  readonly kind: 'listen'
  readonly query: Query
  onPush(node: NodeRecord, args: Arguments): void
  onNodeLost(node: NodeRecord): void
}

export type Op = GetOp | PutOp | ListenOp

/** A push can bring a fresh token for the search it belongs to. */
export interface AdoptsTokens {
  adoptToken(node: NodeRecord, token: Uint8Array | undefined): void
}

export interface PutState {
  busy: boolean
  /** It has no room for us: not counted, asked again later when the value is permanent. */
  refused: boolean
  acked: boolean
  /** When to announce again. */
  nextMs: number
}
export interface ListenState {
  sid: number
  busy: boolean
  /** It has no room for us: another node is asked in its place. */
  refused: boolean
  nextMs: number
}

/** A node in the list of a search, and what is going on with it. */
export interface SearchNode {
  readonly node: NodeRecord
  token: Uint8Array | undefined
  repliedMs: number
  candidate: boolean
  inFlight: { cancel(): void } | undefined
  readonly gets: Set<GetOp>
  readonly puts: Map<PutOp, PutState>
  readonly listens: Map<ListenOp, ListenState>
}

export function searchNode(node: NodeRecord): SearchNode {
  return { node, token: undefined, repliedMs: Number.NEGATIVE_INFINITY, candidate: false, inFlight: undefined, gets: new Set(), puts: new Map(), listens: new Map() }
}
