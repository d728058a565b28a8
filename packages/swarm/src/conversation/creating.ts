// New conversations: two of one second, with the same people, would be one; each gets a second of its own. docs/protocol/04 §1.3, §2.1.
// Proof: conversation/groups.test.ts, conversation/conversations.test.ts.
import type { ConversationId, Conversations } from '@jamikit/core/contracts'
import { Conversation, type ConversationEnv } from './conversation.ts'
import { checkProfile } from './groups.ts'
import { profiling } from './membership.ts'
import type { Registry } from './registry.ts'

export interface CreatingEnv extends Pick<ConversationEnv, 'clock' | 'crypto' | 'identity' | 'displayName'> {
  readonly registry: Registry
  readonly conversationEnv: (id: ConversationId) => ConversationEnv
}

export class Creating {
  readonly #env: CreatingEnv
  /** Time of the newest conversation made here. */
  #createdS = 0

  constructor(env: CreatingEnv) {
    this.#env = env
  }

  /** On disk and known when it resolves. @throws ERR_LIMIT, ERR_ARGUMENT, ERR_STORAGE_IO */
  async create(options: Parameters<Conversations['create']>[0]): Promise<ConversationId> {
    const { clock, registry, conversationEnv } = this.#env
    const card = options.mode === 2 && options.profile ? checkProfile(options.profile) : {}
    registry.checkRoom()
    this.#createdS = Math.max(this.#createdS + 1, Math.floor(clock.wallTimeMs() / 1000))
    const conversation = await Conversation.create(conversationEnv, this.#env, options.mode === 0 ? options.peer : undefined, this.#createdS)
    this.#createdS = Math.max(this.#createdS, conversation.createdS)
    if (Object.keys(card).length > 0) await conversation.change(profiling(card))
    await registry.enter(conversation, clock.wallTimeMs())
    return conversation.id
  }
}
