// The one place where certificates of other devices are verified, kept and found: memory, storage, then the DHT.
// Also knows the revocation lists of accounts, so that a revoked device is refused wherever it appears.
// docs/protocol/03 §2.2.1, §2.5, §2.8; 01 §5.10. Proof: account/certificate-directory.test.ts.
import { JamiError, limitError } from '../base/errors.ts'
import { withOp } from '../base/operation.ts'
import { fromUtf8, utf8 } from '../codec/bytes.ts'
import { asArray, asMap, asString } from '../codec/fields.ts'
import { decodeMsgpack, encodeMsgpack } from '../codec/msgpack.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Dht } from '../contracts/dht.ts'
import type { Certificate, CertificateChain, CertificateStore, DeviceIdentity, PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId, InfoHash } from '../contracts/ids.ts'
import type { Logger } from '../contracts/logger.ts'
import type { Op } from '../contracts/service.ts'
import type { Storage } from '../contracts/storage.ts'
import { chainToPem, parseChain } from '../identity/certificate.ts'
import { certificateKey, parseAccountUri, parseDeviceId } from '../identity/ids.ts'
import { parseRevocationList, verifyRevocationList } from '../identity/revocation.ts'
import { verifyPeerChain } from '../identity/verify-chain.ts'

/** DHT value type of certificate chains. */
export const CERTIFICATE_TYPE = 8
const MAX_IN_MEMORY = 4096
/** Accounts whose revocations are kept, and revoked certificates of one account. */
const MAX_REVOKING_ACCOUNTS = 10_000
const MAX_REVOKED_PER_ACCOUNT = 4096
const LOOKUP_TIMEOUT_MS = 15_000

export interface CertificateDirectoryEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly dht: Dht
  readonly storage: Storage
  readonly prefix: string
  readonly own: DeviceIdentity
}

/** What an account has revoked, for good. */
interface Revoked {
  /** Serial numbers of its device certificates, as `Certificate.serialHex`. */
  readonly serials: Set<string>
  /** Devices that held one of these: a new certificate of the same key is refused, too. */
  readonly devices: Set<DeviceId>
}

export class CertificateDirectory implements CertificateStore {
  readonly #env: CertificateDirectoryEnv
  readonly #peers = new Map<DeviceId, PeerIdentity>() // bounded by MAX_IN_MEMORY, oldest out
  readonly #revoked = new Map<AccountUri, Revoked>() // bounded by MAX_REVOKING_ACCOUNTS and MAX_REVOKED_PER_ACCOUNT
  readonly #searches = new Map<DeviceId, Promise<PeerIdentity | undefined>>() // bounded by callers

  constructor(env: CertificateDirectoryEnv) {
    this.#env = env
  }

  /** Reads the revocations that are kept. @throws ERR_STORAGE_CORRUPT */
  async load(): Promise<void> {
    const prefix = `${this.#env.prefix}/revocations/`
    for await (const key of this.#env.storage.keys(prefix)) {
      const bytes = await this.#env.storage.get(key)
      if (!bytes) continue
      try {
        this.#revoked.set(parseAccountUri(key.slice(prefix.length)), decodeRevoked(bytes))
      } catch (cause) {
        throw new JamiError('ERR_STORAGE_CORRUPT', `revocation record ${key} cannot be read`, { cause })
      }
    }
  }

  #verify(chain: CertificateChain): PeerIdentity {
    const peer = verifyPeerChain(chain, {
      nowMs: this.#env.clock.wallTimeMs(),
      isRevoked: (certificate, issuer) => this.#revoked.get(issuer.shortId as AccountUri)?.serials.has(certificate.serialHex) ?? false,
    })
    if (this.#revoked.get(peer.accountId)?.devices.has(peer.deviceId)) throw new JamiError('ERR_DEVICE_REVOKED', `device ${peer.deviceId} was revoked by its account`)
    return peer
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

  find(device: DeviceId, op?: { shortId?: InfoHash } & Op): Promise<PeerIdentity | undefined> {
    return withOp(this.#env.clock, op, 'looking for a certificate', async () => {
      const here = await this.get(device)
      if (here) return here
      let search = this.#searches.get(device)
      if (!search) {
        search = this.#search(device, op?.shortId).finally(() => this.#searches.delete(device))
        this.#searches.set(device, search)
      }
      return search
    })
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
   * Takes a revocation list found under an account's key, when the account certificate really issued it. Durable when it resolves.
   * @returns devices in memory that it revokes
   * @throws ERR_CODEC, ERR_LIMIT, ERR_SIGNATURE
   */
  async addRevocations(bytes: Uint8Array, account: Certificate): Promise<DeviceId[]> {
    const list = parseRevocationList(bytes)
    if (!verifyRevocationList(list, account)) throw new JamiError('ERR_SIGNATURE', 'the revocation list is not signed by the account')
    const id = account.shortId as AccountUri
    const known = this.#revoked.get(id) ?? { serials: new Set(), devices: new Set() }
    const fresh = list.revoked.filter(({ serialHex }) => !known.serials.has(serialHex))
    if (fresh.length === 0) return []
    if (!this.#revoked.has(id) && this.#revoked.size >= MAX_REVOKING_ACCOUNTS) throw limitError('accounts with revocations', this.#revoked.size + 1, MAX_REVOKING_ACCOUNTS)
    if (known.serials.size + fresh.length > MAX_REVOKED_PER_ACCOUNT) throw limitError('revoked certificates', known.serials.size + fresh.length, MAX_REVOKED_PER_ACCOUNT)
    this.#revoked.set(id, known)
    for (const { serialHex } of fresh) known.serials.add(serialHex)
    const gone: DeviceId[] = []
    for (const [device, peer] of this.#peers) {
      if (peer.accountId !== id || !known.serials.has(peer.chain[0].serialHex)) continue
      this.#peers.delete(device)
      known.devices.add(device)
      gone.push(device)
    }
    await this.#env.storage.batch([{ key: `${this.#env.prefix}/revocations/${id}`, value: encodeMsgpack({ serials: [...known.serials], devices: [...known.devices] }) }])
    return gone
  }

  #key(device: DeviceId): string {
    return `${this.#env.prefix}/certificates/${device}`
  }
}

function decodeRevoked(bytes: Uint8Array): Revoked {
  const map = asMap(decodeMsgpack(bytes, { maxDepth: 3, maxItems: 2 * MAX_REVOKED_PER_ACCOUNT + 8, maxBytes: 1 << 20 }), 'revocation record')
  const texts = (name: string) => asArray(map.get(name), name, MAX_REVOKED_PER_ACCOUNT).map((item) => asString(item, name, 64))
  return { serials: new Set(texts('serials')), devices: new Set(texts('devices').map(parseDeviceId)) }
}
