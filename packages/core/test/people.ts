// People for the tests of core/account: the real parts of an account (certificates, presence, announcer, contacts, requests) on a
// DHT that is one shared table, in virtual time.
import { ContactList } from '../src/account/contact-list.ts'
import { CertificateDirectory } from '../src/account/certificate-directory.ts'
import { DeviceAnnouncer } from '../src/account/device-announcer.ts'
import { PresenceTracker } from '../src/account/presence-tracker.ts'
import { encodeTrustRequest, TRUST_REQUEST_TYPE, type TrustRequestMessage } from '../src/account/trust-request-wire.ts'
import { type PendingRequest, TrustRequests } from '../src/account/trust-requests.ts'
import { profileCard } from '../src/account/vcard.ts'
import { silentLogger } from '../src/base/logger.ts'
import type { DeviceIdentity } from '../src/contracts/identity.ts'
import type { AccountUri, ConversationId, InfoHash } from '../src/contracts/ids.ts'
import type { Logger } from '../src/contracts/logger.ts'
import { makeAnnouncement } from '../src/identity/announcement.ts'
import { inboxKey } from '../src/identity/ids.ts'
import { FakeDhtNetwork } from '../src/testing/fake-dht.ts'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { testCrypto } from '../src/testing/test-crypto.ts'
import { testIdentity } from '../src/testing/test-identities.ts'
import { testStorage, type TestStorage } from '../src/testing/test-storage.ts'

export const crypto = testCrypto()

export interface Confirmation {
  readonly account: AccountUri
  readonly conversation: ConversationId | undefined
}

export interface Person {
  readonly device: DeviceIdentity
  readonly dht: ReturnType<FakeDhtNetwork['node']>
  readonly storage: TestStorage
  readonly contacts: ContactList
  readonly certificates: CertificateDirectory
  readonly presence: PresenceTracker
  readonly announcer: DeviceAnnouncer
  readonly requests: TrustRequests
  /** What the requests told: new requests, confirmations, invitations to another conversation. */
  readonly told: { requests: PendingRequest[]; confirmed: AccountUri[]; invited: Confirmation[] }
  stop(): Promise<void>
}

export class People {
  readonly clock = new ManualClock()
  readonly network = new FakeDhtNetwork({ clock: this.clock, crypto })
  readonly #here: Person[] = []

  /** The i-th account of the pool with one of its devices, announced unless said otherwise; on `storage` of an earlier life when given. */
  async come(i: number, options: { device?: number; announced?: boolean; storage?: Person['storage']; joined?: (account: AccountUri) => boolean; profile?: string; logger?: Logger } = {}): Promise<Person> {
    const { clock } = this
    if (this.network.nodes.size === 0) await this.network.node().start() // somebody who keeps what is put
    const identity = testIdentity(i, options.device)
    const { device } = identity
    const logger = options.logger ?? silentLogger
    const dht = this.network.node()
    await dht.start()
    const storage = options.storage ?? testStorage()
    const prefix = `accounts/${device.accountId}`
    const contacts = await ContactList.load(storage, prefix)
    const certificates = new CertificateDirectory({ clock, logger, dht, storage, prefix, own: device, isKnown: (account) => contacts.isContact(account) })
    await certificates.load()
    const presence = new PresenceTracker({ clock, logger, dht, certificates, ownDevice: device.deviceId })
    const announcement = await makeAnnouncement(crypto, { accountKey: identity.accountKey, devicePublicKey: device.privateKey.publicKey })
    const announcer = new DeviceAnnouncer({ clock, logger, dht, identity: device, announcement })
    const requests = new TrustRequests({
      clock, logger, dht, identity: device, certificates, directory: presence, contacts, storage, prefix, profile: () => options.profile ?? profileCard(`Person ${i}`),
      joined: options.joined ?? (() => true),
    })
    await requests.load()
    const told: Person['told'] = { requests: [], confirmed: [], invited: [] }
    requests.onRequest((request) => told.requests.push(request))
    requests.onConfirmed(({ account }) => told.confirmed.push(account))
    requests.onInvited((invited) => told.invited.push(invited))
    presence.onDevice(({ account }) => requests.send(account))
    await requests.start()
    if (options.announced !== false) {
      await announcer.start()
      await clock.advance(1000)
    }
    let stopped: Promise<void> | undefined
    const person: Person = {
      device, dht, storage, contacts, certificates, presence, announcer, requests, told,
      stop: () =>
        (stopped ??= (async () => {
          await clock.run(Promise.all([requests.stop(), announcer.stop(), presence.close()]))
          await clock.run(dht.stop())
        })()),
    }
    this.#here.push(person)
    return person
  }

  /** Puts a trust request by hand, as `from` may. */
  async request(from: Person, to: DeviceIdentity, message: Partial<TrustRequestMessage>, how: { clear?: boolean; sign?: boolean; waitMs?: number } = {}): Promise<void> {
    const data = encodeTrustRequest({ conversation: undefined, payload: new Uint8Array(0), confirm: false, invitedMs: 0, ...message })
    await this.clock.run(from.dht.put(inboxKey(to.deviceShortId), {
      data, type: TRUST_REQUEST_TYPE, ...(how.sign === false ? {} : { sign: from.device.privateKey }), ...(how.clear ? {} : { encryptTo: to.privateKey.publicKey }),
    }))
    await this.clock.advance(how.waitMs ?? 2000)
  }

  /** Everybody goes; nothing may be left on the clock. */
  async gone(): Promise<string[]> {
    for (const person of this.#here) await person.stop()
    for (const node of [...this.network.nodes]) await this.clock.run(node.stop())
    await this.clock.advance(1000)
    return this.clock.pending().map(String)
  }
}

export const accountKey = (person: Person) => person.device.accountId as string as InfoHash
