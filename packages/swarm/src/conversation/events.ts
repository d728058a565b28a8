// What the conversations of an account tell: a source for each kind of event, and problems told once. docs/protocol/04 §3.8, trap S16.
// Proof: conversation/refused-histories.test.ts.
import { type JamiError, Source } from '@jamikit/core/base'
import type { AccountUri, ConversationEntry, ConversationId, ConversationInvitation, Logger, MessageStatusEvent } from '@jamikit/core/contracts'
import { MAX_TOLD_PROBLEMS } from '../defaults.ts'

export class Events {
  readonly entry: Source<{ entry: ConversationEntry; own: boolean }>
  readonly ready: Source<{ conversation: ConversationId }>
  readonly removed: Source<{ conversation: ConversationId }>
  readonly status: Source<MessageStatusEvent>
  readonly typing: Source<{ conversation: ConversationId; from: AccountUri; active: boolean }>
  readonly invitation: Source<ConversationInvitation>
  readonly updated: Source<{ conversation: ConversationId }>
  readonly banned: Source<{ conversation: ConversationId; account: AccountUri }>
  readonly problem: Source<{ conversation: ConversationId; error: JamiError }>
  readonly #logger: Logger
  readonly #told = new Set<string>() // refused histories; bounded by MAX_TOLD_PROBLEMS, oldest first

  constructor(logger: Logger) {
    const source = <Event>() => new Source<Event>((err: unknown) => logger.error({ err }, 'a listener threw'))
    this.#logger = logger
    this.entry = source()
    this.ready = source()
    this.removed = source()
    this.status = source()
    this.typing = source()
    this.invitation = source()
    this.updated = source()
    this.banned = source()
    this.problem = source()
  }

  /** What a history is refused for is told once for each commit that breaks the rules, whoever brings it; that it is given up, each time. */
  tellProblem(conversation: ConversationId, error: JamiError): void {
    const { commit, failures } = error.details
    if (typeof commit === 'string' && failures === undefined && !this.#isNews(`${conversation} ${commit} ${error.code}`)) return
    this.#logger.error({ conversation, err: error }, 'a conversation has a problem')
    this.problem.emit({ conversation, error })
  }

  #isNews(key: string): boolean {
    if (this.#told.has(key)) return false
    this.#told.add(key)
    for (const oldest of this.#told) {
      if (this.#told.size <= MAX_TOLD_PROBLEMS) break
      this.#told.delete(oldest)
    }
    return true
  }
}
