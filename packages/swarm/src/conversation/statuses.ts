// What members have and have seen, told as events: one mark after another in a conversation, so that nobody hears `sent` after `displayed`, and
// in slices, since one mark can cover a whole history. docs/protocol/04 §5.6. Proof: conversation/statuses.test.ts.
import { Slices } from '@jamikit/core/base'
import type { AccountUri, Clock, ConversationId, MessageStatusEvent } from '@jamikit/core/contracts'
import type { Oid } from '../repo/object.ts'
import type { Conversation } from './conversation.ts'

/** Events between two turns of the event loop. */
export const STATUSES_AT_ONCE = 200

export interface StatusesEnv {
  readonly clock: Clock
  readonly own: AccountUri
  /** This conversation is still ours, and the account runs. */
  readonly isHere: (conversation: Pick<Conversation, 'id'>) => boolean
  readonly emit: (event: MessageStatusEvent) => void
}

export class Statuses {
  readonly #env: StatusesEnv
  readonly #running = new Map<ConversationId, Promise<void>>() // bounded by the conversations

  constructor(env: StatusesEnv) {
    this.#env = env
  }

  /** A member has (or has seen) a commit and all before it. Resolves when that is durable and told. @throws ERR_STORAGE_IO */
  note(conversation: Pick<Conversation, 'id' | 'note'>, member: AccountUri, oid: Oid, status: 'sent' | 'displayed'): Promise<void> {
    const { clock, own, isHere, emit } = this.#env
    const { id } = conversation
    if (member === own) return Promise.resolve()
    const running = (this.#running.get(id) ?? Promise.resolve()).then(async () => {
      const slices = new Slices(clock, STATUSES_AT_ONCE)
      for (const message of await conversation.note(member, oid, status)) {
        const turn = slices.spend(1)
        if (turn) await turn
        if (!isHere(conversation)) return
        emit({ conversation: id, message, member, status, atMs: clock.wallTimeMs() })
      }
    })
    const settled = running.catch(() => {}).finally(() => {
      if (this.#running.get(id) === settled) this.#running.delete(id)
    })
    this.#running.set(id, settled)
    return running
  }
}
