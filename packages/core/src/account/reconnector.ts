// Keeps a message channel to every contact that is announced on the DHT: the one owner of reconnection.
// Back-off 1 s → 5 min with full jitter; reset by success. docs/protocol/03 §8.2. Proof: account/reconnector.test.ts.
import type { ContactBook, Presence } from '../contracts/account.ts'
import type { Clock, Timer } from '../contracts/clock.ts'
import type { AccountUri } from '../contracts/ids.ts'
import type { Logger } from '../contracts/logger.ts'
import type { Random } from '../contracts/random.ts'

export const BACKOFF_FIRST_MS = 1_000
export const BACKOFF_MAX_MS = 300_000

export interface ReconnectorEnv {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly presence: Presence
  readonly contacts: ContactBook
  readonly messages: { connect(to: AccountUri, connType?: string): void }
}

interface Attempt {
  timer: Timer
  /** Upper end of the next wait. */
  ceilingMs: number
}

export class Reconnector {
  readonly #env: ReconnectorEnv
  readonly #attempts = new Map<AccountUri, Attempt>() // bounded by the watched accounts
  #off: (() => void) | undefined

  constructor(env: ReconnectorEnv) {
    this.#env = env
  }

  start(): void {
    this.#off ??= this.#env.presence.onChange(({ account, state }) => {
      if (state === 'available') this.#schedule(account)
      else this.#cancel(account)
    })
  }

  /** The network is back: waits that grew while nothing could work start over. */
  retry(): void {
    for (const account of [...this.#attempts.keys()]) {
      this.#cancel(account)
      this.#schedule(account)
    }
  }

  stop(): void {
    this.#off?.()
    for (const account of [...this.#attempts.keys()]) this.#cancel(account)
  }

  #cancel(account: AccountUri): void {
    this.#attempts.get(account)?.timer.cancel()
    this.#attempts.delete(account)
  }

  /** First attempt at once: presence has just told that the peer is there. */
  #schedule(account: AccountUri): void {
    if (!this.#env.contacts.isConfirmed(account)) return
    const { clock, random } = this.#env
    const last = this.#attempts.get(account)
    last?.timer.cancel()
    const ceilingMs = last ? Math.min(last.ceilingMs * 2, BACKOFF_MAX_MS) : BACKOFF_FIRST_MS
    const waitMs = last ? random.below(ceilingMs) + 1 : 0
    const timer = clock.after(waitMs, () => {
      if (this.#env.presence.state(account) !== 'available' || !this.#env.contacts.isConfirmed(account)) return this.#cancel(account)
      this.#env.messages.connect(account)
      this.#schedule(account)
    })
    this.#attempts.set(account, { timer, ceilingMs })
  }
}
