// Certificates without DHT and disk: the CertificateStore contract in memory, with the verification, the look-ups and the errors of
// the real one. Proof: testing/fake-certificates.test.ts with testing/suites/certificates.ts.
import { JamiError } from '../base/errors.ts'
import { delay, withOp } from '../base/operation.ts'
import type { Clock } from '../contracts/clock.ts'
import type { CertificateChain, CertificateStore, FindOptions, PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId, InfoHash } from '../contracts/ids.ts'
import { certificateKey } from '../identity/ids.ts'
import { verifyPeerChain } from '../identity/verify-chain.ts'

/** What is known, and how long looking takes. */
export interface FakeCertificatesOptions {
  /** Whose time look-ups take. */
  clock: Clock
  /** Chains that `get` gives at once. */
  known?: readonly CertificateChain[]
  /** How long it takes to look at one key. */
  latencyMs?: number
  /** Contacts: with several accounts that claim a device, the only one of them that is known is it. */
  isKnown?: (account: AccountUri) => boolean
}

/** Certificates of others, in memory. */
export class FakeCertificates implements CertificateStore {
  readonly #clock: Clock
  readonly #latencyMs: number
  readonly #isKnown: (account: AccountUri) => boolean
  readonly #claims = new Map<DeviceId, Map<AccountUri, CertificateChain>>() // bounded by the test
  readonly #pinned = new Map<DeviceId, CertificateChain>() // bounded by the test
  readonly #published = new Map<InfoHash, CertificateChain[]>() // bounded by the test
  readonly #revoked = new Set<DeviceId>() // bounded by the test

  constructor(options: FakeCertificatesOptions) {
    this.#clock = options.clock
    this.#latencyMs = options.latencyMs ?? 50
    this.#isKnown = options.isKnown ?? (() => false)
    for (const chain of options.known ?? []) this.#pinned.set(this.#verify(chain).deviceId, chain)
  }

  /** Lets `find` find a chain: under both keys of its device, or under one key. */
  publish(chain: CertificateChain, ...keys: InfoHash[]): void {
    const [{ longId, shortId }] = chain
    for (const key of keys.length > 0 ? keys : [certificateKey(longId as DeviceId), shortId as InfoHash]) {
      this.#published.set(key, [...(this.#published.get(key) ?? []), chain])
    }
  }

  /** The account revoked this device. */
  revoke(device: DeviceId): void {
    this.#revoked.add(device)
  }

  #verify(chain: CertificateChain): PeerIdentity {
    const peer = verifyPeerChain(chain, { nowMs: this.#clock.wallTimeMs() })
    if (this.#revoked.has(peer.deviceId)) throw new JamiError('ERR_DEVICE_REVOKED', `device ${peer.deviceId} was revoked`)
    return peer
  }

  /** Chains that were found and not proved by anybody: the accounts that claim a device. */
  #claimants(device: DeviceId): PeerIdentity[] {
    return [...(this.#claims.get(device)?.values() ?? [])].flatMap((chain) => this.#still(chain) ?? [])
  }

  #onlyKnown(claimants: readonly PeerIdentity[]): PeerIdentity | undefined {
    const known = claimants.filter(({ accountId }) => this.#isKnown(accountId))
    return known.length === 1 ? known[0] : undefined
  }

  #still(chain: CertificateChain): PeerIdentity | undefined {
    try {
      return this.#verify(chain)
    } catch {
      return undefined // expired or revoked since
    }
  }

  #proved(device: DeviceId): PeerIdentity | undefined {
    const chain = this.#pinned.get(device)
    return chain && this.#still(chain)
  }

  async get(device: DeviceId, account?: AccountUri): Promise<PeerIdentity | undefined> {
    const proved = this.#proved(device)
    const claimants = proved ? [proved] : this.#claimants(device)
    if (account !== undefined) return claimants.find(({ accountId }) => accountId === account)
    return claimants.length === 1 ? claimants[0] : this.#onlyKnown(claimants)
  }

  async pin(chain: CertificateChain): Promise<PeerIdentity> {
    const peer = this.#verify(chain)
    this.#pinned.set(peer.deviceId, chain)
    this.#claims.delete(peer.deviceId)
    return peer
  }

  find(device: DeviceId, op: FindOptions = {}): Promise<PeerIdentity | undefined> {
    return withOp(this.#clock, op, 'looking for a certificate', async (signal) => {
      const here = this.#proved(device)
      if (here) return op.account === undefined || here.accountId === op.account ? here : undefined
      const known = op.account === undefined ? (op.sole ? undefined : this.#onlyKnown(this.#claimants(device))) : await this.get(device, op.account)
      if (known) return known
      for (const key of [certificateKey(device), ...(op.shortId ? [op.shortId] : [])]) {
        await delay(this.#clock, this.#latencyMs, signal)
        for (const chain of this.#published.get(key) ?? []) {
          const peer = chain[0].longId === device ? this.#still(chain) : undefined
          if (!peer) continue // the next one may be better
          const claims = this.#claims.get(device) ?? new Map<AccountUri, CertificateChain>()
          this.#claims.set(device, claims.set(peer.accountId, chain))
          if (peer.accountId === op.account) return peer
        }
      }
      if (op.account !== undefined) return undefined
      const claimants = this.#claimants(device)
      return claimants.length === 1 ? claimants[0] : op.sole ? undefined : this.#onlyKnown(claimants)
    })
  }
}
