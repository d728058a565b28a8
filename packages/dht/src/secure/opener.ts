// Opens encrypted values, each ciphertext once: a private key operation takes milliseconds of the one thread for it, and anybody can put
// ciphertexts at our keys. They wait in a queue with shares by source; what is being opened stays; under a flood the newest goes first.
// docs/protocol/01 §4.4. Proof: secure/opener.test.ts, hostile.test.ts.
import { toHex } from '@jamikit/core/codec'
import { sha256 } from '@jamikit/core/crypto'
import type { Clock, Crypto, DhtValue, PrivateKey, SocketAddress } from '@jamikit/core/contracts'
import { encodeBody, type Value } from '../wire/value.ts'
import { clearValue, openValue } from './envelope.ts'
import { FairQueue } from './fair-queue.ts'

const MIB = 1 << 20
const WAITING = { address: { count: 256, bytes: 4 * MIB }, network: { count: 512, bytes: 8 * MIB }, total: { count: 2048, bytes: 16 * MIB } } as const
const NEWEST_FIRST_FROM = 32
/** What ciphertexts held (or that they held nothing for us): the same ones come from several nodes, and under other ids. */
const MAX_KNOWN = 8192
const MAX_KNOWN_BYTES = 8 * MIB
const ENTRY_BYTES = 256

export interface Opened {
  readonly value: DhtValue
  /**
   * The same for what somebody signed (or signed and encrypted) once, under whatever ids others put it again; undefined when it is not
   * signed. Whoever encrypts the same content again means it again: that is another one.
   */
  readonly content: string | undefined
}

export class Opener {
  readonly #crypto: Crypto
  readonly #clock: Clock
  readonly #queue = new FairQueue({ concurrency: 2, ...WAITING, newestFirstFrom: NEWEST_FIRST_FROM }) // two: the next one is there when the thread is free
  readonly #known = new Map<string, DhtValue | null>() // bounded by MAX_KNOWN and MAX_KNOWN_BYTES, oldest out
  #knownBytes = 0
  readonly #underWay = new Map<string, Promise<DhtValue | null | undefined>>() // bounded by the queue

  constructor(crypto: Crypto, clock: Clock) {
    this.#crypto = crypto
    this.#clock = clock
  }

  /** A value in clear, whose signature was verified on arrival, as programs see it. */
  clear(value: Value): Opened | undefined {
    const known = clearValue(value)
    return value.body && known && { value: known, content: value.body.owner && `c${toHex(sha256(encodeBody(value.body)))}` }
  }

  /**
   * An encrypted value. Undefined: not for this key, not signed, damaged. `dropped`: nobody looked, too much was waiting.
   * @param from who sent it to us; undefined = it is in our own store
   */
  async open(value: Value, key: PrivateKey, from: SocketAddress | undefined): Promise<Opened | undefined | 'dropped'> {
    const { cypher } = value
    if (!cypher) return this.clear(value)
    const name = cipherName(cypher, key)
    const known = this.#known.get(name)
    const content = known === undefined ? await (this.#underWay.get(name) ?? this.#start(name, value, key, from)) : known
    if (content === undefined) return 'dropped'
    return content === null ? undefined : { value: { ...content, id: value.id }, content: `e${name}` }
  }

  close(): void {
    this.#queue.clear()
  }

  #start(name: string, value: Value, key: PrivateKey, from: SocketAddress | undefined): Promise<DhtValue | null | undefined> {
    const result = new Promise<DhtValue | null | undefined>((resolve) => {
      this.#queue.add({
        from, own: true, bytes: value.cypher?.length ?? 0,
        run: async () => {
          const content = (await this.#clock.track(openValue(this.#crypto, value, key))) ?? null
          this.#note(name, content)
          resolve(content)
        },
        dropped: () => resolve(undefined),
      })
    }).finally(() => this.#underWay.delete(name))
    this.#underWay.set(name, result)
    return result
  }

  #note(name: string, content: DhtValue | null): void {
    this.#known.set(name, content)
    this.#knownBytes += sizeOf(content)
    for (const [oldest, old] of this.#known) {
      if (this.#known.size <= MAX_KNOWN && this.#knownBytes <= MAX_KNOWN_BYTES) break
      this.#known.delete(oldest)
      this.#knownBytes -= sizeOf(old)
    }
  }
}

/** One name per ciphertext and key it is opened with. */
export function cipherName(cypher: Uint8Array, key: PrivateKey): string {
  return `${toHex(sha256(cypher))}${toHex(sha256(key.publicKey).subarray(0, 8))}`
}

function sizeOf(content: DhtValue | null): number {
  return ENTRY_BYTES + (content ? content.data.length + (content.signer?.length ?? 0) + content.userType.length : 0)
}
