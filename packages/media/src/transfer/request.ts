// Names of channels that ask for a file: `data-transfer://<conversation>/<own device>/<file id>[?start=N&end=0]`. Pure.
// docs/protocol/04 §7.2. Proof: transfer/request.test.ts.
import type { ConversationId, DeviceId, MessageId } from '@jamikit/core/contracts'

/** The scheme that media serves. */
export const SCHEME = 'data-transfer'

/** What a name asks for, before the commit is known: the extension of a file id may hold anything, so `rest` is compared whole. */
export interface FileRequest {
  readonly conversation: ConversationId
  /** Whoever asks says it is this device. */
  readonly device: string
  /** Commit that the file id begins with. */
  readonly message: MessageId
  /** File id, and the query. */
  readonly rest: string
}

/** @param start 0: from the beginning, said by leaving it out */
export function requestName(conversation: ConversationId, own: DeviceId, fileId: string, start: number): string {
  return `${SCHEME}://${conversation}/${own}/${fileId}${start > 0 ? `?start=${start}&end=0` : ''}`
}

/** Undefined for what asks for no file. */
export function parseRequest(name: string): FileRequest | undefined {
  const match = /^data-transfer:\/\/([0-9a-f]{40})\/([0-9a-f]{64})\/(([0-9a-f]{40})_.{1,4000})$/s.exec(name)
  const [, conversation, device, rest, message] = match ?? []
  if (!conversation || !device || !rest || !message) return undefined
  return { conversation: conversation as ConversationId, device, message: message as MessageId, rest }
}

/** Where to begin, when `rest` asks for exactly this file id; undefined otherwise, and for an `end`: nobody can ask for a part. */
export function startOf(rest: string, fileId: string): number | undefined {
  if (!rest.startsWith(fileId)) return undefined
  const query = rest.slice(fileId.length)
  if (query === '') return 0
  const values = /^\?(?:start=(\d{1,16})(?:&end=0{1,16})?|end=0{1,16}(?:&start=(\d{1,16}))?)$/.exec(query)
  if (!values) return undefined
  const start = Number(values[1] ?? values[2] ?? 0)
  return Number.isSafeInteger(start) ? start : undefined
}
