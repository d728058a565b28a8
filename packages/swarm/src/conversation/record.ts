// What is kept of a conversation beside its repository: since when it is ours, since when no more, who invited us and whom we invited.
// Times in Unix milliseconds. Records of the first version (`from` only) are read. Pure. docs/protocol/04 §5.1.
// Proof: conversation/registry.test.ts.
import { asInt, asMap, asString, decodeMsgpack, encodeMsgpack } from '@jamikit/core/codec'
import type { AccountUri, ConversationId, ConversationMode, Storage, StorageOp } from '@jamikit/core/contracts'
import { MAX_INVITED_TIMES } from '../defaults.ts'

export interface ConversationRecord {
  /** Who invited us; undefined once it is here, or when we made it. */
  readonly from: AccountUri | undefined
  /** What we were invited to, until it is here. */
  readonly mode: ConversationMode
  /** When it became ours; 0 in records of the first version. */
  readonly createdMs: number
  /** When it was left or removed; 0 = it was not. */
  readonly removedMs: number
  /** When the last of it was gone from disk; 0 = it is not. */
  readonly erasedMs: number
  /** Of the invitation that we accepted, by the inviter's clock; 0 = none. */
  readonly acceptedMs: number
  /** When we invited whom: what is sent again is the same invitation. The newest MAX_INVITED_TIMES. */
  readonly invited: ReadonlyMap<AccountUri, number>
}

export const NEW_RECORD: ConversationRecord = { from: undefined, mode: 0, createdMs: 0, removedMs: 0, erasedMs: 0, acceptedMs: 0, invited: new Map() }

export function encodeRecord(record: ConversationRecord): Uint8Array {
  const { from, mode, createdMs, removedMs, erasedMs, acceptedMs, invited } = record
  return encodeMsgpack({ version: 2, from: from ?? '', mode, createdMs, removedMs, erasedMs, acceptedMs, invited: new Map(invited) })
}

/** @throws ERR_CODEC */
export function decodeRecord(bytes: Uint8Array): ConversationRecord {
  const map = asMap(decodeMsgpack(bytes), 'conversation record')
  asInt(map.get('version') ?? 1, 'version')
  const ms = (name: string) => asInt(map.get(name) ?? 0, name, 0)
  const from = asString(map.get('from') ?? '', 'from', 40)
  const invited = new Map<AccountUri, number>()
  for (const [uri, time] of asMap(map.get('invited') ?? new Map(), 'invited')) invited.set(asString(uri, 'invited', 40) as AccountUri, asInt(time, 'invited', 0))
  return {
    from: from === '' ? undefined : (from as AccountUri), mode: asInt(map.get('mode') ?? 0, 'mode', 0, 4) as ConversationMode,
    createdMs: ms('createdMs'), removedMs: ms('removedMs'), erasedMs: ms('erasedMs'), acceptedMs: ms('acceptedMs'), invited,
  }
}

/** The record with an invitation of ours; the oldest goes when there are too many. */
export function withInvited(record: ConversationRecord, account: AccountUri, atMs: number): ConversationRecord {
  const invited = new Map(record.invited)
  invited.delete(account)
  invited.set(account, atMs)
  for (const oldest of invited.keys()) {
    if (invited.size <= MAX_INVITED_TIMES) break
    invited.delete(oldest)
  }
  return { ...record, invited }
}

/** Keys of an account's conversations. What is gone has its record elsewhere: everything below its own prefix can be purged. */
export const keys = {
  all: (prefix: string): string => `${prefix}/conversation/`,
  of: (prefix: string, id: ConversationId): string => `${prefix}/conversation/${id}/`,
  record: (prefix: string, id: ConversationId): string => `${prefix}/conversation/${id}/info`,
  preferences: (prefix: string, id: ConversationId): string => `${prefix}/conversation/${id}/preferences`,
  allGone: (prefix: string): string => `${prefix}/conversation-gone/`,
  gone: (prefix: string, id: ConversationId): string => `${prefix}/conversation-gone/${id}`,
} as const

export interface Found {
  readonly id: ConversationId
  readonly bytes: Uint8Array
}

/** Ids below a prefix with their records, as bytes. */
export async function* recordsBelow(storage: Storage, prefix: string, pattern: RegExp): AsyncGenerator<Found> {
  for await (const key of storage.keys(prefix)) {
    const id = pattern.exec(key.slice(prefix.length))?.[1] as ConversationId | undefined
    if (id) yield { id, bytes: (await storage.get(key)) ?? new Uint8Array(0) }
  }
}

export const put = (key: string, record: ConversationRecord): StorageOp => ({ key, value: encodeRecord(record) })
