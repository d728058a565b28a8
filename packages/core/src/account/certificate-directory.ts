// The one place where certificates of other devices are verified, kept and found: memory, storage, then the DHT.
// Also knows the revocation lists of accounts, so that a revoked device is refused wherever it appears.
// docs/protocol/03 §2.2.1, §2.5, §2.8; 01 §5.10. Proof: account/certificate-directory.test.ts.
import { JamiError } from '../base/errors.ts'
import { throwIfAborted } from '../base/operation.ts'
import { fromUtf8, utf8 } from '../codec/bytes.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Dht } from '../contracts/dht.ts'
import type { Certificate, CertificateChain, CertificateStore, DeviceIdentity, PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId, InfoHash } from '../contracts/ids.ts'
import type { Logger } from '../contracts/logger.ts'
import type { Op } from '../contracts/service.ts'
import type { Storage } from '../contracts/storage.ts'
import { chainToPem, parseChain } from '../identity/certificate.ts'
import { certificateKey } from '../identity/ids.ts'
import { isRevokedBy, parseRevocationList, type RevocationList, verifyRevocationList } from '../identity/revocation.ts'
import { verifyPeerChain } from '../identity/verify-chain.ts'

/** DHT value type of certificate chains. */
export const CERTIFICATE_TYPE = 8
const MAX_IN_MEMORY = 4096
const MAX_LISTS_PER_ACCOUNT = 8
const LOOKUP_TIMEOUT_MS = 15_000

export interface CertificateDirectoryEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly dht: Dht
  readonly storage: Storage
  readonly prefix: string
  readonly own: DeviceIdentity
}

export class CertificateDirectory implements CertificateStore {
  readonly #env: CertificateDirectoryEnv
  readonly #peers = new Map<DeviceId, PeerIdentity>() // bounded by MAX_IN_MEMORY, oldest out
  readonly #revocations = new Map<AccountUri, RevocationList[]>() // bounded by MAX_LISTS_PER_ACCOUNT and MAX_IN_MEMORY accounts
  readonly #searches = new Map<DeviceId, Promise<PeerIdentity | undefined>>() // bounded by callers

  constructor(env: CertificateDirectoryEnv) {
    this.#env = env
  }

  #verify(chain: CertificateChain): PeerIdentity {
    return verifyPeerChain(chain, { nowMs: this.#env.clock.wallTimeMs(), isRevoked: (certificate, issuer) => this.#isRevoked(certificate, issuer) })
  }

  #isRevoked(certificate: Certificate, issuer: Certificate): boolean {
    return (this.#revocations.get(issuer.shortId as AccountUri) ?? []).some((list) => isRevokedBy(list, certificate))
  }

  #remember(peer: PeerIdentity): PeerIdentity {
    this.#peers.delete(peer.deviceId)
    if (this.#peers.size >= MAX_IN_MEMORY) this.#peers.delete(this.#peers.keys().next().value as DeviceId)
    this.#peers.set(peer.deviceId, peer)
    return peer
  }

  async get(device: DeviceId): Promise<PeerIdentity | undefined> {
    if (device === this.#env.own.deviceId) return this.#verify(this.#env.own.chain)
    const known = this.#peers.get(device)
    try {
      if (known) return this.#verify(known.chain) // dates and revocations may have changed since
      const bytes = await this.#env.storage.get(this.#key(device))
      if (!bytes) return undefined
      const peer = this.#verify(parseChain(fromUtf8(bytes, 'certificate record')))
      return peer.deviceId === device ? this.#remember(peer) : undefined
    } catch (error) {
      this.#peers.delete(device)
      this.#env.logger.warn({ device, err: error }, 'a kept certificate is no longer good')
      return undefined
    }
  }

  async pin(chain: CertificateChain): Promise<PeerIdentity> {
    const peer = this.#verify(chain)
    const known = this.#peers.get(peer.deviceId)
    if (known && known.chain[0].pem === chain[0].pem) return known
    await this.#env.storage.batch([{ key: this.#key(peer.deviceId), value: utf8(chainToPem(chain)) }])
    return this.#remember(peer)
  }

  async find(device: DeviceId, op?: { shortId?: InfoHash } & Op): Promise<PeerIdentity | undefined> {
    throwIfAborted(op?.signal)
    const here = await this.get(device)
    if (here) return here
    let search = this.#searches.get(device)
    if (!search) {
      search = this.#search(device, op?.shortId).finally(() => this.#searches.delete(device))
      this.#searches.set(device, search)
    }
    return search
  }

  async #search(device: DeviceId, shortId: InfoHash | undefined): Promise<PeerIdentity | undefined> {
    for (const key of shortId ? [certificateKey(device), shortId] : [certificateKey(device)]) {
      try {
        for await (const value of this.#env.dht.get(key, { type: CERTIFICATE_TYPE, timeoutMs: LOOKUP_TIMEOUT_MS })) {
          try {
            const chain = parseChain(value.data)
            if (chain[0].longId === device) return await this.pin(chain)
          } catch (error) {
            this.#env.logger.debug({ device, err: error }, 'a certificate on the DHT was refused')
          }
        }
      } catch (error) {
        if (!JamiError.is(error, 'ERR_TIMEOUT') && !JamiError.is(error, 'ERR_DHT_UNREACHABLE')) throw error
      }
    }
    return undefined
  }

  /**
   * Takes a revocation list found under an account's key, when the account certificate really issued it.
   * @returns devices in memory that it revokes
   */
  addRevocations(bytes: Uint8Array, account: Certificate): DeviceId[] {
    const list = parseRevocationList(bytes)
    if (!verifyRevocationList(list, account)) throw new JamiError('ERR_SIGNATURE', 'the revocation list is not signed by the account')
    const id = account.shortId as AccountUri
    const lists = this.#revocations.get(id) ?? []
    if (lists.length < MAX_LISTS_PER_ACCOUNT && this.#revocations.size < MAX_IN_MEMORY) this.#revocations.set(id, [...lists, list])
    const gone: DeviceId[] = []
    for (const [device, peer] of this.#peers) {
      if (peer.accountId !== id || !isRevokedBy(list, peer.chain[0])) continue
      this.#peers.delete(device)
      gone.push(device)
    }
    return gone
  }

  #key(device: DeviceId): string {
    return `${this.#env.prefix}/certificates/${device}`
  }
}
