// What a commit is to people: a message, something that happened, a change of another message, or nothing they see. Pure.
// docs/protocol/04 §1.6, §5.10. Proof: conversation/view/projection.test.ts.
import type { ConversationEntry, MessageId } from '@jamikit/core/contracts'

/** Kept as one byte for each commit. */
export const KIND = { unknown: 0, message: 1, event: 2, hidden: 3, edit: 4, reaction: 5, file: 6 } as const
export type Kind = (typeof KIND)[keyof typeof KIND]

/** How a commit changes a message. Kept in three bits. */
export const RELATION = { edit: 0, deletion: 1, reaction: 2, reactionEdit: 3, reactionRemoval: 4 } as const
export type Relation = (typeof RELATION)[keyof typeof RELATION]

export const FILE_TYPE = 'application/data-transfer+json'
const EVENTS: ReadonlySet<string> = new Set(['initial', 'member', 'application/update-profile'])
const HIDDEN: ReadonlySet<string> = new Set(['merge', 'vote', 'device', 'application/edited-message'])

/** People see it as an item of the history. */
export const isVisible = (kind: number): boolean => kind === KIND.message || kind === KIND.event || kind === KIND.file
/** Somebody wrote it for others to read. */
export const isMessage = (kind: number): boolean => kind === KIND.message || kind === KIND.file

export function kindOf({ type, parents, fields }: Pick<ConversationEntry, 'type' | 'parents' | 'fields'>): Kind {
  if (parents.length > 1) return KIND.hidden
  if (fields['react-to']) return KIND.reaction
  if (fields.edit) return KIND.edit
  if (HIDDEN.has(type)) return KIND.hidden
  if (EVENTS.has(type)) return KIND.event
  return type === FILE_TYPE ? KIND.file : KIND.message
}

/** What a reaction or an edit names. */
export const targetOf = ({ fields }: Pick<ConversationEntry, 'fields'>): MessageId | undefined => (fields['react-to'] || fields.edit || undefined) as MessageId | undefined

/** What people read of an item, and search looks at. */
export const textOf = ({ type, fields }: Pick<ConversationEntry, 'type' | 'fields'>): string => (type === FILE_TYPE ? (fields.displayName ?? '') : (fields.body ?? fields.displayName ?? ''))
