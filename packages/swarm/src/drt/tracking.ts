// Whose presence is followed while a conversation has nobody to talk to: a few members by chance, others in their place when they cannot be
// reached, until all had their turn and it begins anew. Pure. docs/protocol/04 §6.5. Proof: drt/tracking.test.ts.
import type { AccountUri, Random } from '@jamikit/core/contracts'

/** A member of whom nothing is heard gives its place to another one after this, ms: doubled each time. */
export const ROTATION_FIRST_MS = 15_000
export const ROTATION_MAX_MS = 600_000

export interface TrackingActions {
  /** Look whether devices of this account are there: now, and again for whoever is followed still after a rotation. */
  track(account: AccountUri): void
  untrack(account: AccountUri): void
}

/** How many members are followed. */
export function trackedCount(members: number): number {
  return members === 0 ? 0 : Math.min(members, 3 + Math.floor(Math.log2(members)))
}

export class Tracking {
  readonly #random: Random
  readonly #actions: TrackingActions
  readonly #tracked = new Set<AccountUri>() // bounded by trackedCount
  /** Whose turn comes next, in random order; filled when empty. */
  #bag: AccountUri[] = [] // bounded by the members
  #members: ReadonlySet<AccountUri> = new Set()
  #isRunning = false
  #nextMs = Number.POSITIVE_INFINITY
  #waitMs = ROTATION_FIRST_MS

  constructor(random: Random, actions: TrackingActions) {
    this.#random = random
    this.#actions = actions
  }

  get nextMs(): number {
    return this.#nextMs
  }

  get tracked(): ReadonlySet<AccountUri> {
    return this.#tracked
  }

  /** Nobody is connected: follow members. @param members other accounts, not banned */
  start(members: Iterable<AccountUri>, nowMs: number): void {
    this.#members = new Set(members)
    for (const account of this.#tracked) if (!this.#members.has(account)) this.#drop(account)
    if (!this.#isRunning) this.#waitMs = ROTATION_FIRST_MS
    this.#isRunning = true
    this.#fill()
    this.#schedule(nowMs)
  }

  /** Somebody is connected. */
  stop(): void {
    this.#isRunning = false
    this.#nextMs = Number.POSITIVE_INFINITY
    this.#bag = []
    for (const account of this.#tracked) this.#drop(account)
  }

  /** No device of a member can be reached. @param active devices that are connected or being dialled */
  unreachable(account: AccountUri, active: number): void {
    if (!this.#isRunning || !this.#tracked.has(account) || active >= 2 * trackedCount(this.#members.size)) return
    if (this.#tracked.size >= this.#members.size) return // there is nobody else
    this.#drop(account)
    this.#fill()
  }

  /** Others get their turn: whoever is followed was not reached since. */
  tick(nowMs: number): void {
    if (!this.#isRunning || nowMs < this.#nextMs) return
    this.#waitMs = Math.min(2 * this.#waitMs, ROTATION_MAX_MS)
    if (this.#tracked.size < this.#members.size) for (const account of this.#tracked) this.#drop(account)
    else for (const account of this.#tracked) this.#actions.track(account)
    this.#fill()
    this.#schedule(nowMs)
  }

  #drop(account: AccountUri): void {
    this.#tracked.delete(account)
    this.#actions.untrack(account)
  }

  #fill(): void {
    const wanted = trackedCount(this.#members.size)
    for (let refilled = false; this.#tracked.size < wanted; ) {
      const account = this.#bag.pop()
      if (account === undefined) {
        if (refilled) break
        refilled = true
        this.#bag = this.#shuffled()
      } else if (this.#members.has(account) && !this.#tracked.has(account)) {
        this.#tracked.add(account)
        this.#actions.track(account)
      }
    }
  }

  #schedule(nowMs: number): void {
    this.#nextMs = this.#members.size === 0 ? Number.POSITIVE_INFINITY : nowMs + Math.round(this.#waitMs * (0.8 + this.#random.below(401) / 1000))
  }

  #shuffled(): AccountUri[] {
    const out = [...this.#members]
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.#random.below(i + 1)
      const account = out[i] as AccountUri
      out[i] = out[j] as AccountUri
      out[j] = account
    }
    return out
  }
}
