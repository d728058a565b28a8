// Which values of a message have a good signature: verifications are what a stranger can make us do most cheaply, so they wait in a queue
// in which sources take turns, what our own searches bring has a class of its own, and none is done twice. How many a source may ask for
// in a second is the engine's admission. docs/protocol/01 §4.3, §4.5. Proof: secure/verifier.test.ts, hostile.test.ts.
import { toHex } from '@jamikit/core/codec'
import { sha256 } from '@jamikit/core/crypto'
import type { Clock, Crypto, SocketAddress } from '@jamikit/core/contracts'
import { parseChain, verifyIssued } from '@jamikit/core/identity'
import { encodeBody, type Value, type ValueBody } from '../wire/value.ts'
import { FairQueue } from './fair-queue.ts'

/** Of the four threads that Node has for cryptography and files: two are left to others. */
const CONCURRENCY = 2
const MIB = 1 << 20
const WAITING = { address: { count: 1024, bytes: 4 * MIB }, network: { count: 2048, bytes: 8 * MIB }, total: { count: 8192, bytes: 32 * MIB } } as const
/** Verdicts that are remembered: the same value comes from several nodes, and again with every announcement. */
const MAX_VERDICTS = 4096

export interface Verified {
  /** The signature is wrong. */
  readonly bad: ReadonlySet<Value>
  /** Certificates that their issuer, which comes with them, has signed. */
  readonly vouched: ReadonlySet<Value>
  /** Nobody looked: too much of its source was waiting. */
  readonly skipped: ReadonlySet<Value>
}

export class Verifier {
  readonly #crypto: Crypto
  readonly #clock: Clock
  readonly #queue = new FairQueue({ concurrency: CONCURRENCY, ...WAITING, newestFirstFrom: Number.POSITIVE_INFINITY })
  readonly #verdicts = new Map<string, boolean>() // bounded by MAX_VERDICTS, oldest out
  readonly #underWay = new Map<string, Promise<boolean | undefined>>() // bounded by the queue

  constructor(crypto: Crypto, clock: Clock) {
    this.#crypto = crypto
    this.#clock = clock
  }

  /** @param values signed ones and certificates; @param own they answer a search or listen of ours */
  async check(values: readonly Value[], from: SocketAddress, own: boolean): Promise<Verified> {
    const [bad, vouched, skipped] = [new Set<Value>(), new Set<Value>(), new Set<Value>()]
    await Promise.all(values.map(async (value) => {
      const { body } = value
      if (!body) return
      const good = body.owner ? await this.#signature(body, from, own) : await this.#certificate(body, from, own)
      if (good === undefined) skipped.add(value)
      else if (body.owner) good || bad.add(value)
      else if (good) vouched.add(value)
    }))
    return { bad, vouched, skipped }
  }

  close(): void {
    this.#queue.clear()
  }

  async #signature(body: ValueBody, from: SocketAddress, own: boolean): Promise<boolean | undefined> {
    const { owner, signature } = body
    if (!owner || !signature) return false
    const bytes = encodeBody(body)
    const name = `${toHex(sha256(bytes))}${toHex(sha256(signature))}` // the owner is part of the body
    return this.#once(name, bytes.length + signature.length, from, own, () => this.#crypto.verify(owner, bytes, signature))
  }

  #certificate({ data }: ValueBody, from: SocketAddress, own: boolean): Promise<boolean | undefined> {
    return this.#once(`certificate ${toHex(sha256(data))}`, data.length, from, own, async () => {
      const chain = parseChain(data)
      return verifyIssued(chain[0], chain[1] ?? chain[0])
    })
  }

  /** Undefined when it was dropped. What cannot be checked is not good. */
  #once(name: string, bytes: number, from: SocketAddress, own: boolean, work: () => Promise<boolean>): Promise<boolean | undefined> {
    const known = this.#verdicts.get(name)
    if (known !== undefined) return Promise.resolve(known)
    const slot = `${own}${name}` // what others have put does not stand in for what we asked for
    const running = this.#underWay.get(slot)
    if (running) return running
    const result = new Promise<boolean | undefined>((resolve) => {
      this.#queue.add({
        from, own, bytes,
        run: async () => {
          const good = this.#verdicts.get(name) ?? (await this.#clock.track(work()).catch(() => false))
          this.#note(name, good)
          resolve(good)
        },
        dropped: () => resolve(undefined),
      })
    }).finally(() => this.#underWay.delete(slot))
    this.#underWay.set(slot, result)
    return result
  }

  #note(name: string, good: boolean): void {
    if (this.#verdicts.size >= MAX_VERDICTS) for (const oldest of this.#verdicts.keys()) {
      this.#verdicts.delete(oldest)
      break
    }
    this.#verdicts.set(name, good)
  }
}
