// What a commit of ours names must be here, and what it edits our own and of a kind that can be: everybody else would refuse the commit, and all
// that builds on it. docs/protocol/04 §1.6, §3.5.8. Proof: contract.test.ts (suite of what people see), conversation/conversations.test.ts.
import { argumentError, JamiError } from '@jamikit/core/base'
import type { AccountUri, ConversationId } from '@jamikit/core/contracts'
import { type CommitBody, parseBody } from '../repo/commit-body.ts'
import type { History } from '../repo/types.ts'

/** Fields that name a message, as programs call them. */
const NAMES: Readonly<Record<string, string>> = { 'reply-to': 'replyTo', 'react-to': 'message', edit: 'message' }

/** @throws ERR_NOT_FOUND, ERR_ARGUMENT */
export async function checkReferences(history: History, conversation: ConversationId, me: AccountUri, { fields }: CommitBody): Promise<void> {
  for (const [field, name] of Object.entries(NAMES)) {
    const message = fields[field]
    if (message !== undefined && !history.has(message)) throw new JamiError('ERR_NOT_FOUND', `${field}: message ${message} is not in conversation ${conversation}`, { details: { field: name, message, conversation } })
  }
  const { edit } = fields
  if (edit === undefined) return
  const info = history.info(edit)
  if (info?.author !== me) throw argumentError('message', 'a message of somebody else', 'an own one')
  const commit = await history.commit(edit)
  if (!commit || commit.parents.length > 1) throw argumentError('message', 'a merge', 'a text, a file or a document')
  const { type, fields: edited } = parseBody(commit.message)
  if (type !== 'text/plain' && type !== 'application/collab-doc+json' && !(type === 'application/data-transfer+json' && edited.tid)) throw argumentError('message', `one of type ${type.slice(0, 80)}`, 'a text, a file or a document')
}
