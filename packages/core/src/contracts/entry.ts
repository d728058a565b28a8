// One commit of a conversation as it stands in the history. Types only. Source: docs/protocol/04-swarm.md §1.6.
import type { AccountUri, ConversationId, DeviceId, MessageId } from './ids.ts'

/** One commit, as shown to people: validated, author resolved to an account. */
export interface ConversationEntry {
  /** Git id of the commit. */
  readonly id: MessageId
  /** Where it stands. */
  readonly conversation: ConversationId
  /** What it builds on; two of a merge. */
  readonly parents: readonly MessageId[]
  /** Account of the device that signed it. */
  readonly author: AccountUri
  /** The device that signed it. */
  readonly device: DeviceId
  /** Committer time, Unix milliseconds (whole seconds on the wire). */
  readonly timeMs: number
  /** Wire type: `text/plain`, `member`, `initial`, `merge`, … ; unknown types are passed on. */
  readonly type: string
  /** The commit's JSON members as text (spec 04 §1.6), without `type`: well formed, ids are ids, unknown members few and short. */
  readonly fields: Readonly<Record<string, string>>
  /** Something of it was left out: a text above 65,536 characters was cut, or there were too many members. */
  readonly cut?: boolean
}
