// The parts of an account, by the contract suites that their doubles pass, too.
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../base/logger.ts'
import { utf8 } from '../codec/bytes.ts'
import { encodeMsgpack } from '../codec/msgpack.ts'
import type { CertificateChain } from '../contracts/identity.ts'
import type { AccountUri, DeviceId, InfoHash } from '../contracts/ids.ts'
import { chainToPem } from '../identity/certificate.ts'
import { certificateKey } from '../identity/ids.ts'
import { makeAnnouncement } from '../identity/announcement.ts'
import type { AccountIdentity } from '../identity/issue.ts'
import { createRevocationList } from '../identity/revocation.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { FakeDhtNetwork } from '../testing/fake-dht.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { certificatesSuite } from '../testing/suites/certificates.ts'
import { contactBookSuite } from '../testing/suites/contact-book.ts'
import { FakeConnectionNetwork } from '../testing/fake-connections.ts'
import { FakeContacts } from '../testing/fake-contacts.ts'
import { FakeDirectory } from '../testing/fake-directory.ts'
import { deviceDirectorySuite } from '../testing/suites/device-directory.ts'
import { peerMessagesSuite } from '../testing/suites/peer-messages.ts'
import { presenceSuite } from '../testing/suites/presence.ts'
import { testCrypto } from '../testing/test-crypto.ts'
import { testIdentity } from '../testing/test-identities.ts'
import { CERTIFICATE_TYPE, CertificateDirectory } from './certificate-directory.ts'
import { ContactList } from './contact-list.ts'
import { MAX_QUEUED_PER_TARGET, MessageEngine } from './message-engine.ts'
import { PresenceTracker } from './presence-tracker.ts'

const crypto = testCrypto()
const logger = silentLogger

/** Two nodes of one table. */
async function world() {
  const clock = new ManualClock()
  const network = new FakeDhtNetwork({ clock, crypto })
  const [dht, elsewhere] = [network.node(), network.node()]
  await dht.start()
  await elsewhere.start()
  const dispose = async () => {
    await clock.run(Promise.all([dht.stop(), elsewhere.stop()]))
    await clock.advance(1000)
    expect(clock.pending()).toEqual([])
    expect(network.listeners.size).toBe(0)
  }
  const drive = <T>(work: Promise<T>) => clock.run(work)
  /** Puts a chain at the keys of its device, or of another one. */
  const publish = async (chain: CertificateChain, [{ longId, shortId }] = chain, at?: 'id' | 'short id') => {
    const keys = [...(at === 'short id' ? [] : [certificateKey(longId as DeviceId)]), ...(at === 'id' ? [] : [shortId as InfoHash])]
    for (const key of keys) await drive(elsewhere.put(key, { data: encodeMsgpack(utf8(chainToPem(chain))), type: CERTIFICATE_TYPE }, { permanent: true }))
  }
  /** A revocation list that names this device. */
  const listOf = async ({ accountKey, accountChain: [issuer], device }: AccountIdentity) =>
    (await drive(createRevocationList({ clock, crypto, random: new SeededRandom('list') }, { issuer, issuerKey: accountKey, revoke: [device.chain[0]] }))).der
  /** Puts the announcement of a device at the account's key, signed by it or by somebody else. */
  const announce = async (account: AccountIdentity, { device }: AccountIdentity, signer = account) => {
    const packed = await drive(makeAnnouncement(crypto, { accountKey: signer.accountKey, devicePublicKey: device.privateKey.publicKey }))
    return drive(elsewhere.put(account.device.accountId as string as InfoHash, { packed }, { permanent: true }))
  }
  return { clock, dht, elsewhere, drive, publish, listOf, announce, dispose }
}

describe('CertificateDirectory', () => {
  for (const { title, run } of certificatesSuite(async () => {
    const { clock, dht, drive, publish, listOf, dispose } = await world()
    const contacts = new Set<AccountUri>()
    const store = new CertificateDirectory({ clock, logger, dht, storage: memoryStorage(), prefix: 'a', own: testIdentity(2).device, isKnown: (account) => contacts.has(account) })
    return {
      store, drive, dispose, know: (account) => contacts.add(account),
      publish: (chain, { as, at } = {}) => publish(chain, as?.chain, at),
      async revoke(i, device) {
        const identity = testIdentity(i, device)
        await drive(store.addRevocations(await listOf(identity), identity.accountChain[0]))
      },
      advance: (ms) => clock.advance(ms),
    }
  })) it(title, run)
})

describe('ContactList', () => {
  const lists = [
    { when: 'in memory', reloaded: false },
    { when: 'loaded again after every change', reloaded: true },
  ]
  for (const { when, reloaded } of lists) {
    for (const { title, run } of contactBookSuite(async () => {
      const storage = memoryStorage()
      let now = 1_795_000_000_000
      const earlier = () => now-- // clocks are set back
      let list = await ContactList.load(storage, 'a')
      const after = async (change: Promise<unknown>) => {
        await change
        if (reloaded) list = await ContactList.load(storage, 'a')
      }
      return {
        book: {
          isContact: (account) => list.isContact(account), isBanned: (id) => list.isBanned(id), isConfirmed: (account) => list.isConfirmed(account),
          conversationWith: (account) => list.conversationWith(account),
        },
        add: (account, { confirmed = false, conversation } = {}) => after(list.add(account, earlier(), { confirmed, conversation })),
        remove: (account) => after(list.remove(account, earlier(), false)),
        ban: (account) => after(list.remove(account, earlier(), true)),
      }
    })) it(`${when}: ${title}`, run)
  }
})

describe('PresenceTracker', () => {
  async function tracker() {
    const w = await world()
    const { clock, dht } = w
    const own = testIdentity(2).device
    const certificates = new CertificateDirectory({ clock, logger, dht, storage: memoryStorage(), prefix: 'a', own })
    const presence = new PresenceTracker({ clock, logger, dht, certificates, ownDevice: own.deviceId })
    const dispose = async () => {
      await w.drive(presence.close())
      await w.dispose()
    }
    return { ...w, certificates, presence, dispose }
  }

  for (const { title, run } of deviceDirectorySuite(async () => {
    const { certificates, presence, elsewhere, drive, publish, listOf, announce, dispose } = await tracker()
    return {
      directory: presence, certificates, drive, dispose,
      publish: ({ device }) => publish(device.chain),
      announce: async (account, device) => void (await announce(account, device)),
      forge: async (account, device, forger) => void (await announce(account, device, forger)),
      async revoke(identity) {
        await drive(elsewhere.put(identity.device.accountId as string as InfoHash, { data: encodeMsgpack(await listOf(identity)) }, { permanent: true }))
      },
    }
  })) it(`devices: ${title}`, run)

  for (const { title, run } of presenceSuite(async () => {
    const { clock, presence, announce, dispose } = await tracker()
    for (const i of [0, 1]) presence.watch(testIdentity(i).device.accountId)
    const puts = new Map<DeviceId, { cancel(): void }>()
    return {
      presence, dispose,
      async announce(identity) {
        puts.set(identity.device.deviceId, await announce(identity, identity))
        await clock.advance(1000)
      },
      async withdraw({ device }) {
        puts.get(device.deviceId)?.cancel()
        await clock.advance(11 * 60_000)
      },
      channel: (account, by) => presence.countChannel(account, by),
    }
  })) it(`presence: ${title}`, run)
})

describe('MessageEngine', () => {
  for (const { title, run } of peerMessagesSuite(async () => {
    const clock = new ManualClock()
    const random = new SeededRandom('messages')
    const network = new FakeConnectionNetwork({ clock })
    const directory = new FakeDirectory({ clock })
    const everybody = [0, 1].map((i) => testIdentity(i).device.accountId)
    const parts = [testIdentity(0), testIdentity(1), testIdentity(1, 1)].map(({ device }) => {
      const connections = network.manager({ identity: device, policy: { allowsLink: () => true } })
      const counts: number[] = []
      const messages = new MessageEngine({
        clock, random, logger, connections, directory, contacts: new FakeContacts(...everybody), ownDevice: device.deviceId, onChannelCount: (_account, by) => counts.push(by),
      })
      const stop = async () => {
        await messages.stop()
        await connections.stop()
        expect(counts.reduce((sum, by) => sum + by, 0)).toBe(0)
      }
      return { messages, connections, account: device.accountId, device: device.deviceId, stop }
    })
    const [a, b, b2] = parts
    if (!a || !b || !b2) throw new Error('unreachable')
    for (const { connections, messages } of parts) {
      await connections.start()
      await messages.start()
    }
    for (const { connections } of [b, b2]) connections.setOnline(false)
    directory.announce(a.account, a.device)
    const partsOf = ({ device }: { device: DeviceId }) => parts.find((part) => part.device === device) ?? a
    return {
      a, b, b2, maxQueued: MAX_QUEUED_PER_TARGET,
      async appear(who, { quietly } = { quietly: false }) {
        partsOf(who).connections.setOnline(true)
        if (quietly) return
        directory.announce(who.account, who.device)
        for (const { messages } of parts) messages.peerAppeared(who.account, who.device)
      },
      async vanish(who) {
        partsOf(who).connections.setOnline(false)
        directory.withdraw(who.account, who.device)
      },
      drive: (work) => clock.run(work),
      settle: () => clock.advance(1000),
      dispose: async () => {
        await clock.advance(1000)
        expect(clock.pending()).toEqual([])
      },
    }
  })) it(title, run)
})
