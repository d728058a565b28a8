// The one place where certificates of other devices are verified, kept and found: memory, storage, then the DHT.
// What a link proved is kept; what was found on the DHT is a claim until then, as anybody can certify a foreign key and publish it.
// Also knows the revocation lists of accounts, so that a revoked device is refused wherever it appears.
// docs/protocol/03 §2.2.1, §2.5, §2.8; 01 §5.10. Proof: account/certificate-directory.test.ts.
import { JamiError, limitError } from '../base/errors.ts'
import { withOp } from '../base/operation.ts'
import { asArray, asMap, asString } from '../codec/fields.ts'
import { decodeMsgpack, encodeMsgpack } from '../codec/msgpack.ts'
import type { Clock } from '../contracts/clock.ts'
import type { Dht } from '../contracts/dht.ts'
import type { Certificate, CertificateChain, CertificateStore, DeviceIdentity, FindOptions, PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import type { Logger } from '../contracts/logger.ts'
import type { Storage } from '../contracts/storage.ts'
import { parseChain } from '../identity/certificate.ts'
import { certificateKey, parseAccountUri, parseDeviceId } from '../identity/ids.ts'
import { parseRevocationList, verifyRevocationList } from '../identity/revocation.ts'
import { verifyPeerChain } from '../identity/verify-chain.ts'
import { ClaimCache } from './claim-cache.ts'
import { KeptCertificates } from './kept-certificates.ts'
import { Turns } from './turns.ts'

/** DHT value type of certificate chains. */
export const CERTIFICATE_TYPE = 8
/** PEM of a chain; real ones have 5 to 8 kB. */
export const MAX_CHAIN_BYTES = 16_384
/** Chains for the right key that one search verifies: each costs three RSA operations. */
export const MAX_CLAIMS_PER_SEARCH = 32
const MAX_IN_MEMORY = 4096
/** Found on the DHT: for accounts we deal with, and for strangers. */
const CLAIMS = { known: { maxDevices: 2048, maxBytes: 16 << 20 }, other: { maxDevices: 512, maxBytes: 4 << 20 } } as const
/** Accounts whose revocations are kept, and revoked certificates of one account. */
const MAX_REVOKING_ACCOUNTS = 10_000
const MAX_REVOKED_PER_ACCOUNT = 4096
/** How long a search that saw everything need not be repeated. */
const COMPLETE_MS = 600_000
const LOOKUP_TIMEOUT_MS = 15_000

export interface CertificateDirectoryEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly dht: Dht
  readonly storage: Storage
  readonly prefix: string
  readonly own: DeviceIdentity
  /** Accounts we deal with, beside our own: contacts. Nobody when left out. */
  readonly isKnown?: (account: AccountUri) => boolean
}

/** What an account has revoked, for good. */
interface Revoked {
  /** Serial numbers of its device certificates, as `Certificate.serialHex`. */
  readonly serials: ReadonlySet<string>
  /** Devices that held one of these: a new certificate of the same key is refused, too. */
  readonly devices: ReadonlySet<DeviceId>
}

export class CertificateDirectory implements CertificateStore {
  readonly #env: CertificateDirectoryEnv
  readonly #kept: KeptCertificates
  readonly #proved = new Map<DeviceId, PeerIdentity>() // bounded by MAX_IN_MEMORY, oldest out
  readonly #claims = { known: new ClaimCache(CLAIMS.known), other: new ClaimCache(CLAIMS.other) } // bounded by CLAIMS
  readonly #revoked = new Map<AccountUri, Revoked>() // bounded by MAX_REVOKING_ACCOUNTS and MAX_REVOKED_PER_ACCOUNT
  readonly #searches = new Map<string, Promise<PeerIdentity | undefined>>() // bounded by callers
  readonly #turns = new Turns()
  /** Records that cannot be read: left as they are, and told. */
  readonly problems: JamiError[] = [] // bounded by the records

  constructor(env: CertificateDirectoryEnv) {
    this.#env = env
    this.#kept = new KeptCertificates({ storage: env.storage, prefix: env.prefix, isKnown: (account) => this.#isKnown(account) })
  }

  /** Reads the revocations that are kept, and which certificates are. */
  async load(): Promise<void> {
    await this.#kept.load()
    const prefix = `${this.#env.prefix}/revocations/`
    for await (const key of this.#env.storage.keys(prefix)) {
      const bytes = await this.#env.storage.get(key)
      if (!bytes) continue
      try {
        this.#revoked.set(parseAccountUri(key.slice(prefix.length)), decodeRevoked(bytes))
      } catch (cause) {
        this.problems.push(new JamiError('ERR_STORAGE_CORRUPT', `revocation record ${key} cannot be read`, { cause, details: { key } }))
      }
    }
  }

  #isKnown(account: AccountUri): boolean {
    return account === this.#env.own.accountId || (this.#env.isKnown?.(account) ?? false)
  }

  #verify(chain: CertificateChain): PeerIdentity {
    const peer = verifyPeerChain(chain, {
      nowMs: this.#env.clock.wallTimeMs(),
      anyBeginning: chain === this.#env.own.chain,
      isRevoked: (certificate, issuer) => this.#revoked.get(issuer.shortId as AccountUri)?.serials.has(certificate.serialHex) ?? false,
    })
    if (this.#revoked.get(peer.accountId)?.devices.has(peer.deviceId)) throw new JamiError('ERR_DEVICE_REVOKED', `device ${peer.deviceId} was revoked by its account`)
    return peer
  }

  /** Dates and revocations may have changed since. */
  #still(peer: PeerIdentity): PeerIdentity | undefined {
    try {
      return this.#verify(peer.chain)
    } catch (error) {
      this.#env.logger.debug({ device: peer.deviceId, account: peer.accountId, err: error }, 'a certificate is no longer good')
      this.#proved.delete(peer.deviceId)
      for (const cache of Object.values(this.#claims)) cache.delete(peer.deviceId, peer.accountId)
      return undefined
    }
  }

  #remember(peer: PeerIdentity): PeerIdentity {
    this.#proved.delete(peer.deviceId)
    if (this.#proved.size >= MAX_IN_MEMORY) this.#proved.delete(this.#proved.keys().next().value as DeviceId)
    this.#proved.set(peer.deviceId, peer)
    return peer
  }

  /** Proved by a link, now or in an earlier life. */
  async #provedOne(device: DeviceId): Promise<PeerIdentity | undefined> {
    if (device === this.#env.own.deviceId) return this.#verify(this.#env.own.chain)
    const here = this.#proved.get(device)
    if (here) return this.#still(here)
    try {
      const chain = await this.#kept.read(device)
      const peer = chain && this.#verify(chain)
      return peer?.deviceId === device ? this.#remember(peer) : undefined
    } catch (error) {
      this.#env.logger.warn({ device, err: error }, 'a kept certificate is no longer good')
      return undefined
    }
  }

  /** Who is said to own the device, as far as we have looked. */
  #claimants(device: DeviceId): PeerIdentity[] {
    const out = new Map<AccountUri, PeerIdentity>() // bounded by the caches
    for (const cache of Object.values(this.#claims)) for (const peer of cache.of(device)) out.set(peer.accountId, peer)
    return [...out.values()].flatMap((peer) => this.#still(peer) ?? [])
  }

  #onlyKnown(claimants: readonly PeerIdentity[]): PeerIdentity | undefined {
    const known = claimants.filter(({ accountId }) => this.#isKnown(accountId))
    return known.length === 1 ? known[0] : undefined
  }

  async get(device: DeviceId, account?: AccountUri): Promise<PeerIdentity | undefined> {
    const proved = await this.#provedOne(device)
    if (proved) return account === undefined || proved.accountId === account ? proved : undefined
    const claimants = this.#claimants(device)
    if (account !== undefined) return claimants.find(({ accountId }) => accountId === account)
    return claimants.length === 1 ? claimants[0] : this.#onlyKnown(claimants)
  }

  async pin(chain: CertificateChain): Promise<PeerIdentity> {
    const size = chain.reduce((sum, { pem }) => sum + pem.length, 0)
    if (size > MAX_CHAIN_BYTES) throw new JamiError('ERR_CERTIFICATE', `certificate chain: got ${size} bytes, allowed at most ${MAX_CHAIN_BYTES}`, { details: { got: size, allowed: MAX_CHAIN_BYTES } })
    const peer = this.#verify(chain)
    const known = await this.#provedOne(peer.deviceId)
    if (known && known.chain[0].pem === chain[0].pem) return known
    if (peer.deviceId !== this.#env.own.deviceId) await this.#kept.keep(peer)
    for (const cache of Object.values(this.#claims)) cache.delete(peer.deviceId)
    return this.#remember(peer)
  }

  find(device: DeviceId, op: FindOptions = {}): Promise<PeerIdentity | undefined> {
    const { account, sole = false, shortId } = op
    return withOp(this.#env.clock, op, 'looking for a certificate', async () => {
      const proved = await this.#provedOne(device)
      if (proved) return account === undefined || proved.accountId === account ? proved : undefined
      const claimants = this.#claimants(device)
      if (account !== undefined) {
        const expected = claimants.find(({ accountId }) => accountId === account)
        if (expected) return expected
      } else {
        const complete = Object.values(this.#claims).some((cache) => cache.isComplete(device, this.#env.clock.now()))
        if (complete && claimants.length === 1) return claimants[0]
        const known = sole ? undefined : this.#onlyKnown(claimants)
        if (known) return known
      }
      const name = `${device} ${account ?? ''} ${shortId ?? ''}`
      let search = this.#searches.get(name)
      if (!search) {
        search = this.#search(device, op).finally(() => this.#searches.delete(name))
        this.#searches.set(name, search)
      }
      const found = await search
      return found ?? (sole || account !== undefined ? undefined : this.#onlyKnown(this.#claimants(device)))
    })
  }

  /** The chain of the expected account, as soon as it comes; without one, of the only account that claims the device when all was seen. */
  async #search(device: DeviceId, { account, shortId }: FindOptions): Promise<PeerIdentity | undefined> {
    const budget = { left: MAX_CLAIMS_PER_SEARCH }
    const keys = shortId ? [certificateKey(device), shortId] : [certificateKey(device)]
    if (account !== undefined) {
      for (const key of keys) for await (const peer of this.#published(key, device, account, budget)) return peer
      return undefined
    }
    await Promise.all(keys.map(async (key) => {
      for await (const _ of this.#published(key, device, undefined, budget)); // each is a claim now
    }))
    if (budget.left > 0) for (const cache of Object.values(this.#claims)) cache.complete(device, this.#env.clock.now() + COMPLETE_MS)
    const claimants = this.#claimants(device)
    if (claimants.length > 1) this.#env.logger.info({ device, accounts: claimants.map(({ accountId }) => accountId) }, 'several accounts claim a device')
    return claimants.length === 1 ? claimants[0] : undefined
  }

  /** Verified chains of a device at a key, each remembered as a claim. */
  async *#published(key: ReturnType<typeof certificateKey>, device: DeviceId, account: AccountUri | undefined, budget: { left: number }): AsyncIterable<PeerIdentity> {
    try {
      for await (const value of this.#env.dht.get(key, { type: CERTIFICATE_TYPE, timeoutMs: LOOKUP_TIMEOUT_MS })) {
        const peer = this.#claimOf(value.data, device, account, budget)
        if (peer) yield peer
        if (budget.left <= 0) return
      }
    } catch (error) {
      budget.left = 0 // not everything was seen
      if (!JamiError.is(error, 'ERR_TIMEOUT') && !JamiError.is(error, 'ERR_DHT_UNREACHABLE')) throw error
    }
  }

  #claimOf(data: Uint8Array, device: DeviceId, account: AccountUri | undefined, budget: { left: number }): PeerIdentity | undefined {
    try {
      if (data.length > MAX_CHAIN_BYTES) throw limitError('certificate chain bytes', data.length, MAX_CHAIN_BYTES)
      const chain = parseChain(data)
      if (chain[0].longId !== device || (account !== undefined && chain[1]?.shortId !== account)) return undefined
      budget.left--
      const peer = this.#verify(chain)
      this.#claims[this.#isKnown(peer.accountId) ? 'known' : 'other'].add(peer)
      return peer
    } catch (error) {
      this.#env.logger.debug({ device, err: error }, 'a certificate on the DHT was refused')
      return undefined
    }
  }

  /**
   * Takes a revocation list found under an account's key, when the account certificate really issued it. Durable when it resolves.
   * @returns devices in memory that it revokes
   * @throws ERR_CODEC, ERR_LIMIT, ERR_SIGNATURE
   */
  async addRevocations(bytes: Uint8Array, account: Certificate): Promise<DeviceId[]> {
    const list = parseRevocationList(bytes)
    const id = account.shortId as AccountUri
    if (list.revoked.every(({ serialHex }) => this.#revoked.get(id)?.serials.has(serialHex))) return [] // nothing that we do not know: not worth a signature
    if (!verifyRevocationList(list, account)) throw new JamiError('ERR_SIGNATURE', 'the revocation list is not signed by the account')
    return this.#turns.take(async () => {
      const known = this.#revoked.get(id)
      const serials = new Set(known?.serials)
      for (const { serialHex } of list.revoked) serials.add(serialHex)
      if (!known && this.#revoked.size >= MAX_REVOKING_ACCOUNTS) throw limitError('accounts with revocations', this.#revoked.size + 1, MAX_REVOKING_ACCOUNTS)
      if (serials.size > MAX_REVOKED_PER_ACCOUNT) throw limitError('revoked certificates', serials.size, MAX_REVOKED_PER_ACCOUNT)
      const gone = await this.#holders(id, serials)
      const devices = new Set([...(known?.devices ?? []), ...gone])
      await this.#env.storage.batch([{ key: `${this.#env.prefix}/revocations/${id}`, value: encodeMsgpack({ serials: [...serials], devices: [...devices] }) }])
      this.#revoked.set(id, { serials, devices })
      for (const device of gone) {
        this.#proved.delete(device)
        for (const cache of Object.values(this.#claims)) cache.delete(device, id)
      }
      return gone
    })
  }

  /** Devices we know by a certificate with one of these serials. */
  async #holders(account: AccountUri, serials: ReadonlySet<string>): Promise<DeviceId[]> {
    const out = new Set<DeviceId>() // bounded by the caches and MAX_KEPT_PER_ACCOUNT
    const look = ({ accountId, deviceId, chain }: PeerIdentity) => {
      if (accountId === account && serials.has(chain[0].serialHex)) out.add(deviceId)
    }
    for (const device of this.#kept.devicesOf(account)) {
      const chain = this.#proved.get(device)?.chain ?? (await this.#kept.read(device).catch(() => undefined))
      if (chain && serials.has(chain[0].serialHex)) out.add(device)
    }
    for (const peer of this.#proved.values()) look(peer)
    for (const cache of Object.values(this.#claims)) for (const peer of cache) look(peer)
    return [...out]
  }
}

function decodeRevoked(bytes: Uint8Array): Revoked {
  const map = asMap(decodeMsgpack(bytes, { maxDepth: 3, maxItems: 2 * MAX_REVOKED_PER_ACCOUNT + 8, maxBytes: 1 << 20 }), 'revocation record')
  const texts = (name: string) => asArray(map.get(name), name, MAX_REVOKED_PER_ACCOUNT).map((item) => asString(item, name, 64))
  return { serials: new Set(texts('serials')), devices: new Set(texts('devices').map(parseDeviceId)) }
}
