// Who is typing: told by members, ends by itself. docs/protocol/04 §5.8. Proof: conversation/conversations.test.ts, suite of the contract.
import type { AccountUri, Clock, ConversationId, Timer } from '@jamikit/core/contracts'
import { TYPING_MS } from '../defaults.ts'

/** Of one member at a time in one conversation, and over all of them. */
const MAX_TYPERS = 1024

export class Typing {
  readonly #clock: Clock
  readonly #emit: (event: { conversation: ConversationId; from: AccountUri; active: boolean }) => void
  readonly #timers = new Map<string, Timer>() // bounded by MAX_TYPERS

  constructor(clock: Clock, emit: (event: { conversation: ConversationId; from: AccountUri; active: boolean }) => void) {
    this.#clock = clock
    this.#emit = emit
  }

  heard(conversation: ConversationId, from: AccountUri, active: boolean): void {
    const key = `${conversation} ${from}`
    const timer = this.#timers.get(key)
    timer?.cancel()
    this.#timers.delete(key)
    if (active && this.#timers.size < MAX_TYPERS) this.#timers.set(key, this.#clock.after(TYPING_MS, () => {
      this.#timers.delete(key)
      this.#emit({ conversation, from, active: false })
    }))
    if (active !== (timer !== undefined)) this.#emit({ conversation, from, active })
  }

  /** Is not in the conversation any more. */
  gone(conversation: ConversationId, from: AccountUri): void {
    if (this.#timers.has(`${conversation} ${from}`)) this.heard(conversation, from, false)
  }

  stop(): void {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }
}
