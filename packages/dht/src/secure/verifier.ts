// Which values of a message have a good signature: verifications are what a stranger can make us do most cheaply, so they are counted by
// source and second, take turns, and none is done twice. What exceeds the budget is left out as if it had been lost on the way, so that
// honest senders try again. docs/protocol/01 §4.3. Proof: secure/verifier.test.ts, hostile.test.ts.
import { toHex } from '@jamikit/core/codec'
import { sha256 } from '@jamikit/core/crypto'
import type { Clock, Crypto, SocketAddress } from '@jamikit/core/contracts'
import { sourceKey } from '../wire/address.ts'
import { encodeBody, type Value, type ValueBody } from '../wire/value.ts'
import { Budget } from './budget.ts'
import { FairQueue, networkOf } from './fair-queue.ts'

/** Of the four threads that Node has for cryptography and files: one is always left to others. */
const CONCURRENCY = 2
const MIB = 1 << 20
const WAITING = { address: { count: 1024, bytes: 4 * MIB }, network: { count: 2048, bytes: 8 * MIB }, total: { count: 8192, bytes: 32 * MIB } } as const
/** What others put here: per second, and at once. A bad signature costs its address more (not its neighbours): honest nodes have none. */
const PUTS = { address: [64, 256], network: [256, 1024], all: [2048, 4096] } as const
const BAD_COSTS = 8
const ALL = ''
/** What answers our own searches and listens: as much as a key with many values needs. */
const ANSWERS = { address: [128, 2048], network: [512, 8192] } as const
/** Verdicts that are remembered: the same value comes from several nodes, and again with every announcement. */
const MAX_VERDICTS = 4096

export interface Verified {
  /** The signature is wrong. */
  readonly bad: ReadonlySet<Value>
  /** Nobody looked: beyond the budget. */
  readonly skipped: ReadonlySet<Value>
}

export class Verifier {
  readonly #crypto: Crypto
  readonly #clock: Clock
  readonly #queue = new FairQueue({ concurrency: CONCURRENCY, ...WAITING, newestFirstFrom: Number.POSITIVE_INFINITY })
  readonly #putsBy = { address: new Budget(...PUTS.address), network: new Budget(...PUTS.network), all: new Budget(...PUTS.all) }
  readonly #answersBy = { address: new Budget(...ANSWERS.address), network: new Budget(...ANSWERS.network) }
  readonly #verdicts = new Map<string, boolean>() // bounded by MAX_VERDICTS, oldest out
  readonly #underWay = new Map<string, Promise<boolean | undefined>>() // bounded by the queue

  constructor(crypto: Crypto, clock: Clock) {
    this.#crypto = crypto
    this.#clock = clock
  }

  /** @param own they answer a search or listen of ours */
  async check(values: readonly Value[], from: SocketAddress, own: boolean): Promise<Verified> {
    const bad = new Set<Value>()
    const skipped = new Set<Value>()
    await Promise.all(values.map(async (value) => {
      if (!value.body?.owner) return
      const good = value.body.signature === undefined ? false : await this.#verify(value.body, from, own)
      if (good === undefined) skipped.add(value)
      else if (!good) bad.add(value)
    }))
    return { bad, skipped }
  }

  close(): void {
    this.#queue.clear()
  }

  #verify(body: ValueBody, from: SocketAddress, own: boolean): Promise<boolean | undefined> {
    const { owner, signature } = body
    if (!owner || !signature) return Promise.resolve(false)
    const bytes = encodeBody(body)
    const name = `${toHex(sha256(bytes))}${toHex(sha256(signature))}` // the owner is part of the body
    const known = this.#verdicts.get(name)
    if (known !== undefined) return Promise.resolve(known)
    const slot = `${own}${name}` // what others have put does not stand in for what we asked for
    const running = this.#underWay.get(slot)
    if (running) return running
    if (!this.#granted(from, own)) return Promise.resolve(undefined)
    const result = new Promise<boolean | undefined>((resolve) => {
      this.#queue.add({
        from, own, bytes: bytes.length + signature.length,
        run: async () => {
          const good = await this.#clock.track(this.#crypto.verify(owner, bytes, signature)).catch(() => undefined)
          if (good !== undefined) this.#note(name, good)
          if (good === false && !own) this.#putsBy.address.spend(sourceKey(from), this.#clock.now(), BAD_COSTS - 1)
          resolve(good)
        },
        dropped: () => resolve(undefined),
      })
    }).finally(() => this.#underWay.delete(slot))
    this.#underWay.set(slot, result)
    return result
  }

  #budgets(from: SocketAddress, own: boolean): (readonly [Budget, string])[] {
    const by = own ? this.#answersBy : this.#putsBy
    return [[by.address, sourceKey(from)], [by.network, networkOf(from)], ...(own ? [] : [[this.#putsBy.all, ALL] as const])]
  }

  #granted(from: SocketAddress, own: boolean): boolean {
    const now = this.#clock.now()
    const budgets = this.#budgets(from, own)
    if (!budgets.every(([budget, key]) => budget.has(key, now))) return false
    for (const [budget, key] of budgets) budget.spend(key, now)
    return true
  }

  #note(name: string, good: boolean): void {
    if (this.#verdicts.size >= MAX_VERDICTS) for (const oldest of this.#verdicts.keys()) {
      this.#verdicts.delete(oldest)
      break
    }
    this.#verdicts.set(name, good)
  }
}
