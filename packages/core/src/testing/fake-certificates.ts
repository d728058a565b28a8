// Certificates without DHT and disk: the CertificateStore contract in memory, with the verification, the look-ups and the errors of
// the real one. Proof: testing/fake-certificates.test.ts with testing/suites/certificates.ts.
import { JamiError } from '../base/errors.ts'
import { delay, withOp } from '../base/operation.ts'
import type { Clock } from '../contracts/clock.ts'
import type { CertificateChain, CertificateStore, PeerIdentity } from '../contracts/identity.ts'
import type { DeviceId, InfoHash } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'
import { certificateKey } from '../identity/ids.ts'
import { verifyPeerChain } from '../identity/verify-chain.ts'

export interface FakeCertificatesOptions {
  clock: Clock
  /** Chains that `get` gives at once. */
  known?: readonly CertificateChain[]
  /** How long it takes to look at one key. */
  latencyMs?: number
}

export class FakeCertificates implements CertificateStore {
  readonly #clock: Clock
  readonly #latencyMs: number
  readonly #pinned = new Map<DeviceId, CertificateChain>() // bounded by the test
  readonly #published = new Map<InfoHash, CertificateChain[]>() // bounded by the test
  readonly #revoked = new Set<DeviceId>() // bounded by the test

  constructor(options: FakeCertificatesOptions) {
    this.#clock = options.clock
    this.#latencyMs = options.latencyMs ?? 50
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

  async get(device: DeviceId): Promise<PeerIdentity | undefined> {
    const chain = this.#pinned.get(device)
    try {
      return chain && this.#verify(chain)
    } catch {
      return undefined // expired or revoked since
    }
  }

  async pin(chain: CertificateChain): Promise<PeerIdentity> {
    const peer = this.#verify(chain)
    this.#pinned.set(peer.deviceId, chain)
    return peer
  }

  find(device: DeviceId, op?: { shortId?: InfoHash } & Op): Promise<PeerIdentity | undefined> {
    return withOp(this.#clock, op, 'looking for a certificate', async (signal) => {
      const here = await this.get(device)
      if (here) return here
      for (const key of [certificateKey(device), ...(op?.shortId ? [op.shortId] : [])]) {
        await delay(this.#clock, this.#latencyMs, signal)
        for (const chain of this.#published.get(key) ?? []) {
          if (chain[0].longId !== device) continue
          try {
            return await this.pin(chain)
          } catch {} // the next one may be better
        }
      }
      return undefined
    })
  }
}
