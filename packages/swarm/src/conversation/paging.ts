// Which commits a program reads of a history: from either end, around a message, while it changes. docs/protocol/04 §4.10.
// Proof: conversation/conversations.test.ts (pages), suite of the contract.
import { JamiError } from '@jamikit/core/base'
import type { ConversationId, MessageId } from '@jamikit/core/contracts'
import type { History } from '../repo/types.ts'

export interface HistoryRange {
  readonly before?: MessageId
  readonly after?: MessageId
  readonly order?: 'newest' | 'oldest'
  readonly limit?: number
}

/** In linear order. @throws ERR_NOT_FOUND at the first step when an end is not on main */
export function* range(history: History, conversation: ConversationId, of: HistoryRange): Generator<MessageId> {
  const place = (oid: MessageId): number => {
    const position = history.info(oid)?.position ?? -1
    if (position < 0) throw new JamiError('ERR_NOT_FOUND', `message ${oid} is not in conversation ${conversation}`, { details: { message: oid, conversation } })
    return position
  }
  const newest = () => (of.before === undefined ? history.length - 1 : place(of.before) - 1)
  const oldest = () => (of.after === undefined ? 0 : place(of.after) + 1)
  const step = of.order === 'oldest' ? 1 : -1
  let at = step > 0 ? oldest() : newest()
  let left = of.limit ?? Number.POSITIVE_INFINITY
  oldest() // both ends are checked at the first step
  newest()
  while (left-- > 0 && at >= oldest() && at <= newest()) {
    const { oid } = history.at(at)
    yield oid
    at = place(oid) + step // a merge may have moved it meanwhile
  }
}
