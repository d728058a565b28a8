// Revocation lists as they are met at an account's DHT key: unsigned values that anybody can put there. They wait, bounded, until the
// account certificate is known, and count only when it signed them. Junk cannot crowd a list out: what did not fit is read again then,
// and signatures are verified at a rate, no list twice.
// docs/protocol/03 §2.8. Proof: account/presence.test.ts.
import { JamiError } from '../base/errors.ts'
import { delay } from '../base/operation.ts'
import { TokenBucket } from '../base/token-bucket.ts'
import { toHex } from '../codec/bytes.ts'
import { asBytes } from '../codec/fields.ts'
import { decodeMsgpack } from '../codec/msgpack.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Certificate } from '../contracts/identity.ts'
import type { AccountUri, DeviceId, InfoHash } from '../contracts/ids.ts'
import { sha256 } from '../crypto/hash.ts'
import { parseRevocationList } from '../identity/revocation.ts'
import type { CertificateDirectory } from './certificate-directory.ts'

/** Lists of one account that wait for its certificate. */
const MAX_WAITING = 8
/** Lists of one account whose signature is verified at once, and per second after that. */
export const SIGNATURE_RATE = { burst: 64, perSecond: 4 } as const
/** Lists that were judged and are not judged again. */
const MAX_JUDGED = 4096
const READ_AGAIN_MS = 60_000

export interface RevocationIntakeEnv {
  readonly clock: Clock
  readonly certificates: CertificateDirectory
  readonly onRevoked: (device: DeviceId) => void
  readonly onRefused: (error: unknown) => void
  /** What is at the account's key now, without a signer: read again when more came than may wait. */
  readonly unsigned: (signal: AbortSignal | undefined) => AsyncIterable<Uint8Array>
  /** Runs work in the background of the owner. */
  readonly run: (work: (signal: AbortSignal) => Promise<void>) => void
}

export class RevocationIntake {
  readonly #account: AccountUri
  readonly #env: RevocationIntakeEnv
  readonly #waiting: Uint8Array[] = [] // bounded by MAX_WAITING
  readonly #seen = new Set<string>() // by content; bounded by MAX_JUDGED, oldest out
  readonly #rate: TokenBucket
  #certificate: Certificate | undefined
  #readingAgain = false
  #looking = false
  #overflowed = false
  #judged: Promise<void> = Promise.resolve()

  constructor(account: AccountUri, env: RevocationIntakeEnv) {
    this.#account = account
    this.#env = env
    this.#rate = new TokenBucket(SIGNATURE_RATE, env.clock.now())
  }

  /** A value without signer was met: perhaps a list. */
  offer(bytes: Uint8Array): void {
    if (this.#certificate) this.#next(() => this.#take(bytes))
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(bytes)
    else this.#overflowed = true
  }

  /** A device of the account is announced: its chain holds the account certificate. */
  seen(device: DeviceId, shortId: InfoHash): void {
    if (this.#certificate || this.#looking) return
    this.#looking = true
    this.#env.run(async (signal) => {
      try {
        const peer = await this.#env.certificates.find(device, { account: this.#account, shortId, signal })
        if (peer) await this.know(peer.chain[1], signal)
      } finally {
        this.#looking = false
      }
    })
  }

  /** The verified account certificate: resolves when every list met so far is judged. */
  know(certificate: Certificate | undefined, signal?: AbortSignal): Promise<void> {
    if (certificate && !this.#certificate) {
      this.#certificate = certificate
      this.#next(async () => {
        for (const bytes of this.#waiting.splice(0)) await this.#take(bytes)
        if (this.#overflowed) for await (const bytes of this.#env.unsigned(signal)) await this.#take(bytes)
      })
    }
    return this.#judged
  }

  /** One after another; a failure costs the step only. */
  #next(step: () => Promise<void>): void {
    this.#judged = this.#judged.then(step).catch((error) => this.#env.onRefused(error))
    this.#env.run(() => this.#judged)
  }

  async #take(bytes: Uint8Array): Promise<void> {
    if (!this.#certificate) return
    const key = toHex(sha256(bytes))
    if (this.#seen.has(key)) return
    try {
      const list = unwrap(bytes)
      parseRevocationList(list) // most junk is none
      if (!this.#rate.tryTake(this.#env.clock.now())) return this.#readAgain()
      this.#judge(key)
      for (const device of await this.#env.certificates.addRevocations(list, this.#certificate)) this.#env.onRevoked(device)
    } catch (error) {
      if (JamiError.is(error, 'ERR_STORAGE_IO')) {
        this.#seen.delete(key)
        this.#readAgain()
      }
      this.#env.onRefused(error)
    }
  }

  #judge(key: string): void {
    if (this.#seen.size >= MAX_JUDGED) this.#seen.delete(this.#seen.keys().next().value as string)
    this.#seen.add(key)
  }

  /** What came too fast, or could not be kept, is still on the DHT. */
  #readAgain(): void {
    if (this.#readingAgain) return
    this.#readingAgain = true
    this.#env.run(async (signal) => {
      await delay(this.#env.clock, READ_AGAIN_MS, signal)
      this.#readingAgain = false
      for await (const bytes of this.#env.unsigned(signal)) await this.#take(bytes)
    })
  }
}

/** The DER inside the value's msgpack `bin`. */
function unwrap(data: Uint8Array): Uint8Array {
  return asBytes(decodeMsgpack(data, { maxDepth: 1, maxItems: 1, maxBytes: data.length }), 'revocation list')
}
