// What a get or a listen asks for: as conditions for storing nodes, and as a check of what they answer. Pure. docs/protocol/01 §4.7.
// Proof: dht.test.ts, contract.test.ts.
import type { DhtValue, PrivateKey } from '@jamikit/core/contracts'
import type { Where } from './wire/query.ts'

export interface Filter {
  readonly type?: number | undefined
  readonly id?: bigint | undefined
  readonly userType?: string | undefined
  readonly decryptWith?: PrivateKey | undefined
}

/** Conditions that storing nodes can check: none but the id for values that may be encrypted. */
export function whereOf(filter: Filter): Where {
  const { id, type, userType, decryptWith } = filter
  return {
    ...(id === undefined ? {} : { id }),
    ...(decryptWith || type === undefined ? {} : { type }),
    ...(decryptWith || userType === undefined ? {} : { userType }),
  }
}

export function passes(value: DhtValue, filter: Filter): boolean {
  return (filter.type === undefined || value.type === filter.type) && (filter.id === undefined || value.id === filter.id) && (filter.userType === undefined || value.userType === filter.userType)
}
