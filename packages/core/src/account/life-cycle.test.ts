// Everything in an account that runs, by the contract suite of services: started and stopped in any order, any number of times,
// with something to do in between, and nothing left behind.
import { describe, it } from 'vitest'
import { silentLogger } from '../base/logger.ts'
import type { Clock, Timer } from '../contracts/clock.ts'
import type { DhtModule } from '../contracts/module.ts'
import type { ConversationId } from '../contracts/ids.ts'
import { makeReceipt } from '../identity/receipt.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { FakeCertificates } from '../testing/fake-certificates.ts'
import { FakeConnectionNetwork } from '../testing/fake-connections.ts'
import { FakeContacts } from '../testing/fake-contacts.ts'
import { FakeConversationNetwork } from '../testing/fake-conversations.ts'
import { FakeDhtNetwork } from '../testing/fake-dht.ts'
import { FakeDirectory } from '../testing/fake-directory.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { type ServiceUnderTest, serviceSuite } from '../testing/suites/service.ts'
import { testCrypto } from '../testing/test-crypto.ts'
import { testIdentity } from '../testing/test-identities.ts'
import { LocalAccount } from './account.ts'
import { accountPrefix } from './account-record.ts'
import { ContactList } from './contact-list.ts'
import { DeviceAnnouncer } from './device-announcer.ts'
import { MessageEngine } from './message-engine.ts'
import { CertificateDirectory } from './certificate-directory.ts'
import { PresenceTracker } from './presence-tracker.ts'
import { TrustRequests } from './trust-requests.ts'

const crypto = testCrypto()
const logger = silentLogger
const [own, peer] = [testIdentity(0), testIdentity(1)]
const identity = own.device
const bob = peer.device.accountId

/** A clock that knows which timers were asked for through it: those of what is tested, and not those of the doubles below. */
class OwnTimers implements Clock {
  readonly open = new Set<Timer>() // bounded by the test
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  now = () => this.#clock.now()
  wallTimeMs = () => this.#clock.wallTimeMs()
  track = <T>(work: Promise<T>) => this.#clock.track(work)

  after(delayMs: number, fn: () => void): Timer {
    const timer: Timer = this.#clock.after(delayMs, () => {
      this.open.delete(entry)
      fn()
    })
    const entry: Timer = {
      cancel: () => {
        this.open.delete(entry)
        timer.cancel()
      },
    }
    this.open.add(entry)
    return entry
  }
}

/** Bob is announced on a table that both share; what runs here asks for time through `clock`. */
async function world() {
  const time = new ManualClock()
  const clock = new OwnTimers(time)
  const drive = <T>(work: Promise<T>) => time.run(work)
  const table = new FakeDhtNetwork({ clock: time, crypto })
  const [dht, elsewhere] = [table.node(), table.node()]
  await drive(Promise.all([dht.start(), elsewhere.start()]))
  const theirs = await makeReceipt(crypto, { accountKey: peer.accountKey, devicePublicKey: peer.device.privateKey.publicKey })
  const announcer = new DeviceAnnouncer({ clock: time, logger, dht: elsewhere, identity: peer.device, announcement: theirs.announcement })
  await announcer.start()
  await time.advance(1000)
  const links = new FakeConnectionNetwork({ clock: time })
  const directory = new FakeDirectory({ clock: time })
  directory.announce(bob, peer.device.deviceId)
  const receipt = await makeReceipt(crypto, { accountKey: own.accountKey, devicePublicKey: identity.privateKey.publicKey })
  const random = new SeededRandom('life')
  const certificates = new FakeCertificates({ clock: time, known: [peer.device.chain] })
  return { time, clock, drive, table, dht, links, directory, certificates, receipt, random, storage: memoryStorage() }
}

type World = Awaited<ReturnType<typeof world>>

/** What is still open of the service: its timers, and what it listens to. */
const leaksOf = ({ clock, table }: World, more: () => unknown[] = () => []) => (): unknown[] => [...clock.open, ...table.listeners, ...more()]

function suite(name: string, make: (w: World) => Promise<ServiceUnderTest['service'] | { service: ServiceUnderTest['service']; open: () => unknown[] }>): void {
  describe(name, () => {
    for (const { title, run } of serviceSuite(async () => {
      const w = await world()
      const made = await make(w)
      const { service, open } = 'service' in made ? made : { service: made, open: () => [] }
      return { service, drive: w.drive, leaks: leaksOf(w, open) }
    })) it(title, run)
  })
}

suite('MessageEngine', async ({ clock, links, directory, random }) => {
  const connections = links.manager({ identity, policy: { allowsLink: () => true } })
  await connections.start()
  const counts = [0]
  const engine = new MessageEngine({
    clock, random, logger, connections, directory, contacts: new FakeContacts(bob), ownDevice: identity.deviceId, onChannelCount: (_account, by) => counts.push(by),
  })
  const service = {
    async start() {
      await engine.start()
      void engine.send(bob, { mime: 'text/plain', body: 'x' })
    },
    stop: () => engine.stop(),
  }
  return { service, open: () => [...(counts.reduce((sum, by) => sum + by, 0) === 0 ? [] : counts), ...taken('msg', () => connections.handle('msg', { accept: () => false, open: () => {} }))] }
})

suite('TrustRequests', async ({ clock, dht, certificates, directory, storage }) => {
  const contacts = await ContactList.load(storage, 'a')
  await contacts.add(bob, clock.wallTimeMs(), { confirmed: false, conversation: undefined })
  const requests = new TrustRequests({ clock, logger, dht, identity, certificates, directory, contacts, storage, prefix: 'a', profile: () => '', joined: () => true })
  return {
    async start() {
      await requests.start()
      requests.send(bob)
    },
    stop: () => requests.stop(),
  }
})

suite('DeviceAnnouncer', async ({ clock, dht, receipt }) => new DeviceAnnouncer({ clock, logger, dht, identity, announcement: receipt.announcement }))

suite('DeviceAnnouncer while the DHT cannot be reached', async ({ clock, dht, receipt }) => {
  dht.setOnline(false)
  return new DeviceAnnouncer({ clock, logger, dht, identity, announcement: receipt.announcement })
})

suite('PresenceTracker', async ({ clock, dht, storage }) => {
  const directory = new CertificateDirectory({ clock, logger, dht, storage, prefix: 'a', own: identity })
  const presence = new PresenceTracker({ clock, logger, dht, certificates: directory, ownDevice: identity.deviceId })
  return { start: async () => presence.watch(bob), stop: () => presence.close() }
})

suite('LocalAccount', async ({ time, clock, dht, links, receipt, random, storage }) => {
  const { accountId } = identity
  // a contact that has confirmed, and whose conversation is not here yet
  const before = await ContactList.load(storage, accountPrefix(accountId))
  await before.add(bob, clock.wallTimeMs(), { confirmed: true, conversation: 'f'.repeat(40) as ConversationId })
  const conversations = new FakeConversationNetwork({ clock: time })
  const modules = {
    dht: (() => dht) as DhtModule,
    connections: ({ policy }: { policy: Parameters<typeof links.manager>[0]['policy'] }) => links.manager({ identity, policy }),
    conversations: conversations.module(),
  }
  const record = { label: 'own', displayName: 'Own', device: identity, receipt }
  const account = await LocalAccount.load({ clock, random, crypto, logger, network: undefined as never, dht, storage, modules }, record, receipt.announcement)
  const { connections } = account
  return { service: account, open: () => [...links.managers.keys(), ...conversations.running.keys(), ...taken('msg', () => connections.handle('msg', { accept: () => false, open: () => {} }))] }
})

/** Names it when somebody else is registered there. */
function taken(name: string, handle: () => () => void): string[] {
  try {
    handle()()
    return []
  } catch {
    return [name]
  }
}
