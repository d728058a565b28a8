// Hands messages to listeners one after another per conversation, and acknowledges each when its listeners have settled:
// at least once, in order, and again after a crash in between. Proof: node/message-pump.test.ts.
import { JamiError } from '../base/errors.ts'
import type { ConversationEntry, Conversations } from '../contracts/conversations.ts'
import type { ConversationId } from '../contracts/ids.ts'

export interface MessagePumpEnv {
  readonly conversations: Conversations
  /** True while somebody listens; entries wait otherwise. */
  readonly wanted: () => boolean
  /** Resolves when all listeners have settled. */
  readonly deliver: (entry: ConversationEntry) => Promise<void>
  readonly onError: (error: unknown) => void
}

export class MessagePump {
  readonly #env: MessagePumpEnv
  readonly #running = new Map<ConversationId, Promise<void>>() // bounded by the conversations
  readonly #again = new Set<ConversationId>() // bounded by the conversations
  #stopped = false

  constructor(env: MessagePumpEnv) {
    this.#env = env
  }

  /** There may be something new in a conversation. */
  wake(conversation: ConversationId): void {
    if (this.#stopped || !this.#env.wanted()) return
    this.#again.add(conversation)
    if (this.#running.has(conversation)) return
    const run = this.#run(conversation).catch(this.#env.onError)
    this.#running.set(conversation, run)
    void run.then(() => {
      this.#running.delete(conversation)
      if (this.#again.has(conversation)) this.wake(conversation)
    })
  }

  wakeAll(): void {
    for (const { id, state } of this.#env.conversations.list()) if (state === 'ready') this.wake(id)
  }

  async #run(conversation: ConversationId): Promise<void> {
    while (this.#again.delete(conversation)) {
      for await (const entry of this.#env.conversations.unacknowledged(conversation)) {
        if (this.#stopped || !this.#env.wanted()) return
        await this.#env.deliver(entry)
        try {
          await this.#env.conversations.acknowledge(conversation, entry.id)
        } catch (error) {
          if (this.#stopped || JamiError.is(error, 'ERR_NOT_FOUND')) return
          throw error
        }
      }
    }
  }

  /** No further delivery; resolves when the running listeners have settled. */
  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running.values())
  }
}
