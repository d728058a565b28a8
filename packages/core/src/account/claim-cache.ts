// Chains that were found on the DHT and that nobody has proved yet: which accounts claim a device key. Anybody can certify a foreign
// public key and publish that, so several may claim one device. In memory only, by class, oldest device out. Pure.
// docs/protocol/03 §2.5. Proof: account/certificate-directory.test.ts.
import type { PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'

/** Accounts that may claim one device; with two it is ambiguous already. */
const MAX_CLAIMS_PER_DEVICE = 4
/** What a parsed chain takes, by its DER bytes: the DER, the PEM, two views of the parsers. */
const OVERHEAD = 4

interface Claims {
  readonly peers: Map<AccountUri, PeerIdentity> // bounded by MAX_CLAIMS_PER_DEVICE
  /** Everything that is published about the device was looked at: good until then. */
  completeUntilMs: number
}

const bytesOf = ({ chain }: PeerIdentity) => OVERHEAD * chain.reduce((sum, { der }) => sum + der.length, 0)

export class ClaimCache {
  readonly #devices = new Map<DeviceId, Claims>() // bounded by #maxDevices and #maxBytes, oldest out
  readonly #maxDevices: number
  readonly #maxBytes: number
  #bytes = 0

  constructor(options: { maxDevices: number; maxBytes: number }) {
    this.#maxDevices = options.maxDevices
    this.#maxBytes = options.maxBytes
  }

  get size(): number {
    return this.#devices.size
  }

  get bytes(): number {
    return this.#bytes
  }

  add(peer: PeerIdentity): void {
    const claims = this.#devices.get(peer.deviceId) ?? { peers: new Map(), completeUntilMs: Number.NEGATIVE_INFINITY }
    this.#devices.delete(peer.deviceId)
    this.#devices.set(peer.deviceId, claims)
    this.#drop(claims, peer.accountId)
    const [oldest] = claims.peers.keys()
    if (oldest && claims.peers.size >= MAX_CLAIMS_PER_DEVICE) this.#drop(claims, oldest)
    claims.peers.set(peer.accountId, peer)
    this.#bytes += bytesOf(peer)
    for (const device of this.#devices.keys()) {
      if (this.#devices.size <= this.#maxDevices && this.#bytes <= this.#maxBytes) break
      this.delete(device)
    }
  }

  of(device: DeviceId): PeerIdentity[] {
    return [...(this.#devices.get(device)?.peers.values() ?? [])]
  }

  isComplete(device: DeviceId, nowMs: number): boolean {
    return nowMs < (this.#devices.get(device)?.completeUntilMs ?? nowMs)
  }

  complete(device: DeviceId, untilMs: number): void {
    const claims = this.#devices.get(device)
    if (claims) claims.completeUntilMs = untilMs
  }

  delete(device: DeviceId, account?: AccountUri): void {
    const claims = this.#devices.get(device)
    if (!claims) return
    for (const claimant of account ? [account] : [...claims.peers.keys()]) this.#drop(claims, claimant)
    if (claims.peers.size === 0) this.#devices.delete(device)
  }

  *[Symbol.iterator](): IterableIterator<PeerIdentity> {
    for (const { peers } of this.#devices.values()) yield* peers.values()
  }

  #drop(claims: Claims, account: AccountUri): void {
    const peer = claims.peers.get(account)
    if (!peer) return
    claims.peers.delete(account)
    this.#bytes -= bytesOf(peer)
  }
}
