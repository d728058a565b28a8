// `for await` over the timeline: a loop that asks for the next message has handled the one it held; one that is left (break, throw)
// has not. Proof: node/timeline.test.ts.
import { type Deferred, deferred } from '../base/operation.ts'

export interface ReaderEvents {
  /** The program asks for the first time. */
  readonly onStart: () => void
  readonly onEnd: () => void
}

export class TimelineReader<T> implements AsyncIterableIterator<T> {
  readonly #events: ReaderEvents
  readonly #offered: { shown: T; vote: Deferred<boolean> }[] = [] // bounded by the conversations: one of each
  readonly #held: Deferred<boolean>[] = [] // bounded by the program's own calls, as the next
  readonly #asking: Deferred<IteratorResult<T>>[] = []
  #state: 'new' | 'reading' | 'over' = 'new'

  constructor(events: ReaderEvents) {
    this.#events = events
  }

  /** Resolves with true when the program has handled it, with false when it has left without. */
  offer(shown: T): Promise<boolean> {
    const vote = deferred<boolean>()
    const asking = this.#asking.shift()
    if (asking) this.#give(asking, shown, vote)
    else this.#offered.push({ shown, vote })
    return vote.promise
  }

  #give(asking: Deferred<IteratorResult<T>>, shown: T, vote: Deferred<boolean>): void {
    this.#held.push(vote)
    asking.resolve({ value: shown, done: false })
  }

  next(): Promise<IteratorResult<T>> {
    for (const vote of this.#held.splice(0)) vote.resolve(true)
    if (this.#state === 'over') return Promise.resolve({ value: undefined, done: true })
    const asking = deferred<IteratorResult<T>>()
    const first = this.#offered.shift()
    if (first) this.#give(asking, first.shown, first.vote)
    else this.#asking.push(asking)
    if (this.#state === 'new') {
      this.#state = 'reading'
      this.#events.onStart()
    }
    return asking.promise
  }

  return(): Promise<IteratorResult<T>> {
    for (const vote of this.#held.splice(0)) vote.resolve(false)
    this.end()
    return Promise.resolve({ value: undefined, done: true })
  }

  /** No more messages; the one that the program holds is still its own. */
  end(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    for (const { vote } of this.#offered.splice(0)) vote.resolve(false)
    for (const asking of this.#asking.splice(0)) asking.resolve({ value: undefined, done: true })
    this.#events.onEnd()
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
