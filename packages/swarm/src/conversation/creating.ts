// New conversations: two of one second, with the same people, would be one; each gets a second of its own. Of a group one that is past; of a
// 1:1 one to come, as the younger of two is the one to speak in. docs/protocol/04 §1.3, §2.1, §8.3.
// Proof: conversation/groups.test.ts, conversation/conversations.test.ts.
import { JamiError, limitError } from '@jamikit/core/base'
import type { AccountUri, ConversationId, Conversations } from '@jamikit/core/contracts'
import { Conversation, type ConversationEnv } from './conversation.ts'
import { checkProfile } from './groups.ts'
import { profiling } from './membership.ts'
import type { Registry } from './registry.ts'

/** Seconds that are remembered, and looked at for a free one. */
const MAX_USED = 3_600

export interface CreatingEnv extends Pick<ConversationEnv, 'clock' | 'crypto' | 'identity' | 'displayName'> {
  readonly registry: Registry
  readonly conversationEnv: (id: ConversationId) => ConversationEnv
}

export class Creating {
  readonly #env: CreatingEnv
  /** Times of the 1:1 conversations and groups made here. */
  readonly #used = { direct: new Set<number>(), group: new Set<number>() } // bounded by MAX_USED each
  #last: Promise<unknown> = Promise.resolve()

  constructor(env: CreatingEnv) {
    this.#env = env
  }

  /** On disk and known when it resolves. @throws ERR_LIMIT, ERR_ARGUMENT, ERR_STORAGE_IO */
  create(options: Parameters<Conversations['create']>[0]): Promise<ConversationId> {
    const creating = this.#last.then(() => this.#create(options))
    this.#last = creating.catch(() => {}) // told to whoever asked
    return creating
  }

  async #create(options: Parameters<Conversations['create']>[0]): Promise<ConversationId> {
    const { clock, registry } = this.#env
    const card = options.mode === 2 && options.profile ? checkProfile(options.profile) : {}
    registry.checkRoom()
    const conversation = await this.#first(options.mode === 0 ? options.peer : undefined)
    if (Object.keys(card).length > 0) await conversation.change(profiling(card))
    await registry.enter(conversation, clock.wallTimeMs())
    return conversation.id
  }

  /** The nearest second that was not used, here or in an earlier run. */
  async #first(peer: AccountUri | undefined): Promise<Conversation> {
    const nowS = Math.floor(this.#env.clock.wallTimeMs() / 1000)
    const used = peer === undefined ? this.#used.group : this.#used.direct
    for (let tries = 0; tries < MAX_USED; tries++) {
      const timeS = peer === undefined ? nowS - tries : nowS + tries
      if (used.has(timeS)) continue
      used.add(timeS)
      for (const oldest of used) {
        if (used.size <= MAX_USED) break
        used.delete(oldest)
      }
      try {
        return await Conversation.create(this.#env.conversationEnv, this.#env, peer, timeS)
      } catch (error) {
        if (!JamiError.is(error, 'ERR_ARGUMENT') || error.details.there !== true) throw error
      }
    }
    throw limitError('conversations of one hour', MAX_USED + 1, MAX_USED)
  }
}
