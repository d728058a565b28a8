// Makes durable what a program has handled: in order within a conversation, and in groups, since while a write is under way the next
// entries join and go together. What storage refuses is reported and tried again. Proof: node/acknowledger.test.ts.
import { JamiError } from '../base/errors.ts'
import { type Deferred, deferred } from '../base/operation.ts'
import type { Clock, Timer } from '../contracts/clock.ts'
import type { Conversations } from '../contracts/conversations.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { ConversationId, MessageId } from '../contracts/ids.ts'

/** Handled entries of a conversation whose acknowledgement is not durable yet: what a crash can bring again. */
export const MAX_UNDER_WAY = 64
const RETRY_FIRST_MS = 1000
const RETRY_MAX_MS = 60_000

/** How long to wait before another attempt. */
export const retryAfterMs = (failures: number): number => Math.min(RETRY_FIRST_MS * 2 ** (failures - 1), RETRY_MAX_MS)

export interface AcknowledgerEnv {
  readonly conversations: Pick<Conversations, 'acknowledge'>
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}

interface Queue {
  readonly conversation: ConversationId
  /** Oldest first; bounded by MAX_UNDER_WAY, as long as its caller waits for `room`. */
  readonly entries: Map<MessageId, ConversationEntry>
  running: Promise<void>
  pause: { timer: Timer; end: Deferred<void> } | undefined
  /** Waits for the next entries to become durable. */
  room: Deferred<void> | undefined
}

export class Acknowledger {
  readonly #env: AcknowledgerEnv
  readonly #queues = new Map<ConversationId, Queue>() // bounded by the conversations
  #stopping = false

  constructor(env: AcknowledgerEnv) {
    this.#env = env
  }

  /** Handled, and its acknowledgement is on its way. */
  has(conversation: ConversationId, message: MessageId): boolean {
    return this.#queues.get(conversation)?.entries.has(message) ?? false
  }

  add(conversation: ConversationId, entry: ConversationEntry): void {
    const known = this.#queues.get(conversation)
    if (known) {
      known.entries.set(entry.id, entry)
      return
    }
    const queue: Queue = { conversation, entries: new Map([[entry.id, entry]]), running: Promise.resolve(), pause: undefined, room: undefined }
    this.#queues.set(conversation, queue)
    queue.running = this.#run(queue)
  }

  /** Resolves when another entry of the conversation may be handled. */
  async room(conversation: ConversationId): Promise<void> {
    for (let queue = this.#queues.get(conversation); queue && queue.entries.size >= MAX_UNDER_WAY && !this.#stopping; queue = this.#queues.get(conversation)) {
      queue.room ??= deferred()
      await queue.room.promise
    }
  }

  /** The conversation is gone. */
  forget(conversation: ConversationId): void {
    this.#queues.get(conversation)?.entries.clear()
  }

  /** What waits for another attempt gets its last one now; resolves when all attempts are over. Further entries get one attempt each. */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const queue of this.#queues.values()) {
      queue.pause?.end.resolve()
      queue.room?.resolve()
    }
    await Promise.all([...this.#queues.values()].map((queue) => queue.running))
  }

  async #run(queue: Queue): Promise<void> {
    let failures = 0
    while (queue.entries.size > 0) {
      const group = [...queue.entries.values()]
      try {
        for (const entry of tips(group)) await this.#env.conversations.acknowledge(queue.conversation, entry.id)
        failures = 0
      } catch (error) {
        const gone = JamiError.is(error, 'ERR_NOT_FOUND') || (this.#stopping && JamiError.is(error, 'ERR_CLOSED'))
        if (!gone) {
          this.#env.onError(error)
          if (!this.#stopping) {
            await this.#pause(queue, retryAfterMs(++failures))
            continue
          }
        }
        queue.entries.clear()
      }
      for (const { id } of group) queue.entries.delete(id)
      queue.room?.resolve()
      queue.room = undefined
    }
    this.#queues.delete(queue.conversation)
  }

  async #pause(queue: Queue, ms: number): Promise<void> {
    const end = deferred<void>()
    queue.pause = { end, timer: this.#env.clock.after(ms, () => end.resolve()) }
    await end.promise
    queue.pause.timer.cancel()
    queue.pause = undefined
  }
}

/** An acknowledgement covers what came before it: the entries of a group that are no parent of another one. */
function tips(group: readonly ConversationEntry[]): ConversationEntry[] {
  const parents = new Set(group.flatMap((entry) => entry.parents))
  return group.filter((entry) => !parents.has(entry.id))
}
