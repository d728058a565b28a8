// Chains on disk: of devices that have proved themselves by a link, so that they are known without the DHT. One record per device,
// `certificates/<account>/<device>`: the names alone tell what is there. Bounded per account and by class; on disk first.
// docs/protocol/03 §2.5. Proof: account/certificate-directory.test.ts, account/disk-first.test.ts.
import { fromUtf8, utf8 } from '../codec/bytes.ts'
import type { CertificateChain, PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import type { Storage, StorageOp } from '../contracts/storage.ts'
import { chainToPem, parseChain } from '../identity/certificate.ts'
import { parseAccountUri, parseDeviceId } from '../identity/ids.ts'
import { Turns } from './turns.ts'

export const MAX_KEPT_PER_ACCOUNT = 64
/** Devices of all accounts: contacts first, then members of our conversations and contacts of once. */
const MAX_KEPT = 20_000
/** How many of the oldest are looked at for one that may go. */
const MAX_LOOKED_AT = 256

export interface KeptCertificatesEnv {
  readonly storage: Storage
  readonly prefix: string
  /** Contacts and our own account. */
  readonly isKnown: (account: AccountUri) => boolean
  readonly max?: number
}

export class KeptCertificates {
  readonly #env: KeptCertificatesEnv
  readonly #turns = new Turns()
  readonly #max: number
  readonly #accounts = new Map<DeviceId, AccountUri>() // what is on disk, oldest first; bounded by MAX_KEPT and MAX_KEPT_PER_ACCOUNT
  readonly #devices = new Map<AccountUri, Set<DeviceId>>() // the same by account

  constructor(env: KeptCertificatesEnv) {
    this.#env = env
    this.#max = env.max ?? MAX_KEPT
  }

  /** Records of before, kept for whoever had asked, prove nothing: they go. */
  async load(): Promise<void> {
    const prefix = `${this.#env.prefix}/certificates/`
    const old: StorageOp[] = []
    for await (const key of this.#env.storage.keys(prefix)) {
      const [account = '', device] = key.slice(prefix.length).split('/')
      try {
        this.#note(parseDeviceId(device ?? ''), parseAccountUri(account))
      } catch {
        old.push({ key, value: null })
      }
    }
    if (old.length > 0) await this.#env.storage.batch(old)
  }

  get size(): number {
    return this.#accounts.size
  }

  accountOf(device: DeviceId): AccountUri | undefined {
    return this.#accounts.get(device)
  }

  devicesOf(account: AccountUri): DeviceId[] {
    return [...(this.#devices.get(account) ?? [])]
  }

  /** @throws ERR_CODEC when the record is damaged */
  async read(device: DeviceId): Promise<CertificateChain | undefined> {
    const account = this.#accounts.get(device)
    const bytes = account && (await this.#env.storage.get(this.#key(account, device)))
    return bytes && parseChain(fromUtf8(bytes, 'certificate record'))
  }

  /** Durable when it resolves; what was kept of the device before is replaced. */
  keep({ accountId, deviceId, chain }: PeerIdentity): Promise<void> {
    return this.#turns.take(async () => {
      const gone = this.#inExcess(accountId, deviceId)
      if (!gone) return
      const before = this.#accounts.get(deviceId)
      if (before && before !== accountId) gone.push(deviceId)
      const ops = gone.map((device) => ({ key: this.#key(this.#accounts.get(device) as AccountUri, device), value: null }))
      await this.#env.storage.batch([...ops, { key: this.#key(accountId, deviceId), value: utf8(chainToPem(chain)) }])
      for (const device of gone) this.#forget(device)
      this.#note(deviceId, accountId)
    })
  }

  /** Whom the newcomer pushes out: the oldest of its account; when all is full, a stranger before a contact. Undefined: there is no place for it. */
  #inExcess(account: AccountUri, device: DeviceId): DeviceId[] | undefined {
    const before = this.#accounts.get(device)
    if (before === account) return []
    const siblings = this.#devices.get(account)
    const [first] = siblings ?? []
    if (first && siblings && siblings.size >= MAX_KEPT_PER_ACCOUNT) return [first]
    if (before !== undefined || this.#accounts.size < this.#max) return [] // one that moves takes no further place in all
    let looked = 0
    for (const [other, owner] of this.#accounts) {
      if (!this.#env.isKnown(owner)) return [other]
      if (++looked >= MAX_LOOKED_AT) break
    }
    const [oldest] = this.#accounts.keys()
    return oldest && this.#env.isKnown(account) ? [oldest] : undefined
  }

  #note(device: DeviceId, account: AccountUri): void {
    this.#forget(device)
    this.#accounts.set(device, account)
    const devices = this.#devices.get(account) ?? new Set()
    this.#devices.set(account, devices.add(device))
  }

  #forget(device: DeviceId): void {
    const account = this.#accounts.get(device)
    if (!account) return
    this.#accounts.delete(device)
    const devices = this.#devices.get(account)
    devices?.delete(device)
    if (devices?.size === 0) this.#devices.delete(account)
  }

  #key(account: AccountUri, device: DeviceId): string {
    return `${this.#env.prefix}/certificates/${account}/${device}`
  }
}
