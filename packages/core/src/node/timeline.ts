// What the program has handled, one timeline per account: pulled from storage, one entry of each conversation at a time, offered to all
// listeners and loops of the event that it is, acknowledged when all of them are done, or when there are none. At least once, in order
// within a conversation, again after a crash.
// Proof: node/timeline.test.ts.
import { JamiError } from '../base/errors.ts'
import type { Clock, Timer } from '../contracts/clock.ts'
import type { Conversations } from '../contracts/conversations.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { ConversationId } from '../contracts/ids.ts'
import { Acknowledger, retryAfterMs } from './acknowledger.ts'
import { TimelineReader } from './timeline-reader.ts'

/** What programs see of an entry. */
export type Shown<M> = { [K in keyof M]: { readonly event: K; readonly payload: M[K] } }[keyof M]

export interface TimelineEnv<M> {
  readonly conversations: Pick<Conversations, 'list' | 'unacknowledged' | 'acknowledge'>
  readonly clock: Clock
  /** What programs see of an entry; undefined: nothing, it counts as handled. */
  readonly show: (entry: ConversationEntry) => Promise<Shown<M> | undefined>
  /** Listeners of an event that there are now. */
  readonly listeners: (event: keyof M) => number
  /** The event whose listeners move the timeline. Those of other events go along. */
  readonly moving: keyof M
  /** Resolves when all listeners have settled. */
  readonly tell: (shown: Shown<M>) => Promise<void>
  readonly onError: (error: unknown) => void
}

export class Timeline<M> {
  readonly #env: TimelineEnv<M>
  readonly #acknowledger: Acknowledger
  readonly #readers = new Map<TimelineReader<M[keyof M]>, keyof M>() // bounded by the program's own loops
  /** May have entries that are not handled. Bounded by the conversations, as the next two. */
  readonly #open = new Set<ConversationId>()
  readonly #running = new Map<ConversationId, Promise<void>>()
  readonly #retries = new Map<ConversationId, { failures: number; timer: Timer | undefined }>()
  #looked = false
  #stopped = false

  constructor(env: TimelineEnv<M>) {
    this.#env = env
    this.#acknowledger = new Acknowledger(env)
  }

  /** Somebody moves it. */
  get wanted(): boolean {
    return !this.#stopped && (this.#readers.size > 0 || this.#env.listeners(this.#env.moving) > 0)
  }

  /** There may be something new in a conversation. */
  wake(conversation: ConversationId): void {
    if (this.#stopped) return
    this.#open.add(conversation)
    this.#start(conversation)
  }

  /** Somebody has begun to listen. */
  wakeAll(): void {
    if (!this.wanted) return
    if (!this.#looked) for (const { id } of this.#env.conversations.list()) this.#open.add(id)
    this.#looked = true
    for (const conversation of [...this.#open]) this.#start(conversation)
  }

  /** A loop over what is not handled and what comes; counts as listening from its first `next()` on. */
  read<K extends keyof M>(event: K, signal?: AbortSignal): AsyncIterableIterator<M[K]> {
    const end = () => reader.end()
    const reader: TimelineReader<M[keyof M]> = new TimelineReader<M[keyof M]>({
      onStart: () => {
        this.#readers.set(reader, event)
        this.wakeAll()
      },
      onEnd: () => {
        this.#readers.delete(reader)
        signal?.removeEventListener('abort', end)
      },
    })
    if (this.#stopped || signal?.aborted) reader.end()
    else signal?.addEventListener('abort', end, { once: true })
    return reader as AsyncIterableIterator<M[K]>
  }

  /** The conversation is gone. */
  forget(conversation: ConversationId): void {
    this.#open.delete(conversation)
    this.#retries.get(conversation)?.timer?.cancel()
    this.#retries.delete(conversation)
    this.#acknowledger.forget(conversation)
  }

  /** Nothing more is handed over; resolves when what the program holds is handled (or left) and all that is handled is durable. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const { timer } of this.#retries.values()) timer?.cancel()
    this.#retries.clear()
    for (const reader of [...this.#readers.keys()]) reader.end()
    const acknowledged = this.#acknowledger.stop()
    await Promise.all(this.#running.values())
    await acknowledged
    await this.#acknowledger.stop() // what was handled meanwhile
  }

  #start(conversation: ConversationId): void {
    if (!this.wanted || this.#running.has(conversation) || this.#retries.get(conversation)?.timer) return
    const run = this.#run(conversation).then(
      () => void this.#retries.delete(conversation),
      (error: unknown) => this.#failed(conversation, error),
    ).finally(() => {
      this.#running.delete(conversation)
      if (this.#open.has(conversation)) this.#start(conversation)
    })
    this.#running.set(conversation, run)
  }

  /** The others go on. */
  #failed(conversation: ConversationId, error: unknown): void {
    if (JamiError.is(error, 'ERR_NOT_FOUND') || this.#stopped) return // it was removed, or comes again with the next start
    this.#env.onError(error)
    this.#open.add(conversation)
    const failures = (this.#retries.get(conversation)?.failures ?? 0) + 1
    const timer = this.#env.clock.after(retryAfterMs(failures), () => {
      this.#retries.set(conversation, { failures, timer: undefined })
      this.#start(conversation)
    })
    this.#retries.set(conversation, { failures, timer })
  }

  async #run(conversation: ConversationId): Promise<void> {
    const { conversations, show } = this.#env
    while (this.wanted && this.#open.delete(conversation)) {
      for await (const entry of conversations.unacknowledged(conversation)) {
        if (this.#acknowledger.has(conversation, entry.id)) continue
        const shown = await show(entry)
        if (!(await this.#handled(shown))) {
          this.#open.add(conversation)
          return
        }
        this.#acknowledger.add(conversation, entry)
        await this.#acknowledger.room(conversation)
      }
    }
  }

  /** False when nobody was there to handle it, or whoever was there has left. */
  async #handled(shown: Shown<M> | undefined): Promise<boolean> {
    while (this.wanted) if (shown === undefined || (await this.#offer(shown))) return true
    return false
  }

  /** True also when nobody listens to this event while somebody moves the timeline. */
  async #offer(shown: Shown<M>): Promise<boolean> {
    const votes = [...this.#readers].filter(([, event]) => event === shown.event).map(([reader]) => reader.offer(shown.payload))
    if (this.#env.listeners(shown.event) > 0) votes.push(this.#env.tell(shown).then(() => true))
    return votes.length === 0 || (await Promise.all(votes)).includes(true)
  }
}
