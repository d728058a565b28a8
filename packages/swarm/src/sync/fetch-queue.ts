// What is fetched now and what waits: one at a time per conversation and device, a few in all, a share for each peer, conversations in
// turn; the newest announcement of a device is never lost. Pure. docs/protocol/04 §4.5, B.3. Proof: sync/fetch-queue.test.ts.
import type { AccountUri, ConversationId, DeviceId } from '@jamikit/core/contracts'
import { MAX_FETCH_WAITING_PER_PEER, MAX_FETCHING, MAX_FETCHING_PER_PEER } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'

export interface FetchJob {
  readonly conversation: ConversationId
  readonly device: DeviceId
  /** Whose device it is: the share counts for all of them. */
  readonly account: AccountUri
  /** What was announced; undefined when whatever is there is wanted. */
  readonly commit: Oid | undefined
}

interface Running {
  readonly job: FetchJob
  again: FetchJob | undefined
}

interface Peer {
  running: number
  /** Jobs that wait, in the order in which they came; here and in `#conversations` or `parked`. */
  readonly waiting: Map<string, FetchJob> // bounded by MAX_FETCH_WAITING_PER_PEER
  /** Those for which the peer's share had no room. */
  readonly parked: Set<string> // bounded by `waiting`
}

const keyOf = (conversation: ConversationId, device: DeviceId) => `${conversation}${device}`

export class FetchQueue {
  readonly #running = new Map<string, Running>() // bounded by MAX_FETCHING
  readonly #peers = new Map<AccountUri, Peer>() // bounded by peers with jobs
  /** Jobs that may start, by conversation, in the order in which conversations have their turn. */
  readonly #conversations = new Map<ConversationId, Map<string, AccountUri>>() // bounded by the jobs of all peers

  get running(): number {
    return this.#running.size
  }

  get waiting(): number {
    let sum = 0
    for (const peer of this.#peers.values()) sum += peer.waiting.size
    return sum
  }

  /** @returns the oldest announcement of the same peer when too many wait: it is not fetched unless it is announced again */
  add(job: FetchJob): FetchJob | undefined {
    const key = keyOf(job.conversation, job.device)
    const running = this.#running.get(key)
    if (running) {
      running.again = job
      return undefined
    }
    const peer = this.#peer(job.account)
    if (peer.waiting.has(key)) {
      peer.waiting.set(key, job) // the newest, in its old place
      return undefined
    }
    peer.waiting.set(key, job)
    this.#offer(key, job)
    if (peer.waiting.size <= MAX_FETCH_WAITING_PER_PEER) return undefined
    const [oldest] = peer.waiting.values()
    this.#withdraw(oldest as FetchJob)
    return oldest
  }

  /** The next one, which runs from now on; undefined when none may start. */
  take(): FetchJob | undefined {
    if (this.#running.size >= MAX_FETCHING) return undefined
    for (const [conversation, keys] of this.#conversations) {
      for (const [key, account] of keys) {
        const peer = this.#peer(account)
        keys.delete(key)
        if (peer.running >= MAX_FETCHING_PER_PEER) {
          peer.parked.add(key) // comes back when one of the peer's ends
          continue
        }
        const job = peer.waiting.get(key) as FetchJob
        peer.waiting.delete(key)
        peer.running++
        this.#running.set(key, { job, again: undefined })
        this.#conversations.delete(conversation)
        if (keys.size > 0) this.#conversations.set(conversation, keys)
        return job
      }
      this.#conversations.delete(conversation)
    }
    return undefined
  }

  /** One that was taken has ended, well or badly. What was announced meanwhile waits from now on. @returns that */
  done(conversation: ConversationId, device: DeviceId): FetchJob | undefined {
    const key = keyOf(conversation, device)
    const running = this.#running.get(key)
    if (!running) return undefined
    this.#running.delete(key)
    const peer = this.#peer(running.job.account)
    peer.running--
    const [parked] = peer.parked
    if (parked !== undefined) {
      peer.parked.delete(parked)
      this.#offer(parked, peer.waiting.get(parked) as FetchJob)
    }
    if (running.again) this.add(running.again)
    this.#tidy(running.job.account)
    return running.again
  }

  /** Nothing of this conversation is fetched any more; what runs goes on until `done`. */
  forget(conversation: ConversationId): void {
    for (const running of this.#running.values()) if (running.job.conversation === conversation) running.again = undefined
    for (const peer of this.#peers.values()) for (const job of peer.waiting.values()) if (job.conversation === conversation) this.#withdraw(job)
  }

  #offer(key: string, job: FetchJob): void {
    const keys = this.#conversations.get(job.conversation) ?? new Map<string, AccountUri>()
    keys.set(key, job.account)
    this.#conversations.set(job.conversation, keys)
  }

  #withdraw(job: FetchJob): void {
    const key = keyOf(job.conversation, job.device)
    const peer = this.#peer(job.account)
    peer.waiting.delete(key)
    peer.parked.delete(key)
    const keys = this.#conversations.get(job.conversation)
    keys?.delete(key)
    if (keys?.size === 0) this.#conversations.delete(job.conversation)
    this.#tidy(job.account)
  }

  #peer(account: AccountUri): Peer {
    const peer = this.#peers.get(account) ?? { running: 0, waiting: new Map<string, FetchJob>(), parked: new Set<string>() }
    this.#peers.set(account, peer)
    return peer
  }

  #tidy(account: AccountUri): void {
    const peer = this.#peers.get(account)
    if (peer && peer.running === 0 && peer.waiting.size === 0) this.#peers.delete(account)
  }
}
