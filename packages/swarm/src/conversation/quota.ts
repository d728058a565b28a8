// How much of a conversation this device keeps of what others write. docs/protocol/04 §3.9. Proof: conversation/quota.test.ts.
import { JamiError } from '@jamikit/core/base'
import type { ConversationId } from '@jamikit/core/contracts'
import type { Oid } from '../repo/object.ts'

/** Others brought more than the program lets a conversation take. */
export function quotaError(id: ConversationId, allowed: number, more: { got?: number; head?: Oid | undefined; cause?: unknown } = {}): JamiError {
  const { got, head, cause } = more
  return new JamiError('ERR_LIMIT', `conversation ${id}: got ${got === undefined ? 'more' : `${got} bytes`} with what a peer brings, allowed ${allowed} bytes (limits.conversationBytes)`, {
    ...(cause === undefined ? {} : { cause }), details: { what: 'bytes of a conversation', conversation: id, allowed, ...(got === undefined ? {} : { got }), ...(head === undefined ? {} : { head }) },
  })
}
