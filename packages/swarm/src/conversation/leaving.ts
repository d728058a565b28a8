// Leaving: written, then invisible to the program at once, served until a device of another member has the leave, then erased; whatever is
// left of it at the next start is erased then. docs/protocol/04 §8.1, B.1. Proof: conversation/leaving.test.ts.
import { JamiError, type Tasks } from '@jamikit/core/base'
import type { AccountUri, BaseEnv, ConversationId } from '@jamikit/core/contracts'
import { LEFT_GRACE_MS } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'
import type { Conversation } from './conversation.ts'
import type { Registry } from './registry.ts'

export interface LeavingEnv extends Pick<BaseEnv, 'clock'> {
  readonly tasks: Tasks
  readonly own: AccountUri
  readonly registry: Registry
  readonly others: (conversation: Conversation) => readonly AccountUri[]
  readonly announce: (conversation: Conversation) => void
  /** The program has it no more. */
  readonly onLeft: (id: ConversationId) => void
  readonly onProblem: (conversation: ConversationId, error: JamiError) => void
}

export class Leaving {
  readonly #env: LeavingEnv

  constructor(env: LeavingEnv) {
    this.#env = env
  }

  /** @throws ERR_NOT_FOUND, ERR_STORAGE_IO: then we are still in, or the next call only forgets it */
  async leave(conversation: Conversation): Promise<void> {
    const { clock, registry, others, announce, onLeft } = this.#env
    const role = conversation.roleOf(this.#env.own) ?? 'left'
    await conversation.leave(() => registry.left(conversation, clock.wallTimeMs()))
    onLeft(conversation.id)
    // who has left already was cut off before it was noted; whoever never joined, or is banned, has nothing to tell
    if (role !== 'invited' && role !== 'banned' && others(conversation).length > 0) announce(conversation)
    else await registry.erase(conversation.id, clock.wallTimeMs())
  }

  /** Somebody has a commit of a conversation that we serve, and everything before it. */
  fetched(conversation: Conversation, account: AccountUri, head: Oid): void {
    const { tasks, registry, clock, own, onProblem } = this.#env
    if (account === own || head !== conversation.head || registry.findServed(conversation.id) !== conversation || registry.find(conversation.id)) return
    tasks.after(LEFT_GRACE_MS, 'erasing what was left', async () => {
      if (registry.findServed(conversation.id) !== conversation) return // accepted again meanwhile
      await registry.erase(conversation.id, clock.wallTimeMs()).catch((error: unknown) => onProblem(conversation.id, JamiError.from(error)))
    })
  }
}
