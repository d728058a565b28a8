// A contact request comes once: it must not be lost when its sender cannot be told at first, and must not be somebody else's.
import { describe, expect, it } from 'vitest'
import { People, type Person } from '../../test/people.ts'
import { utf8 } from '../codec/bytes.ts'
import { encodeMsgpack } from '../codec/msgpack.ts'
import type { Dht } from '../contracts/dht.ts'
import type { CertificateChain, PeerIdentity } from '../contracts/identity.ts'
import type { DeviceId, InfoHash } from '../contracts/ids.ts'
import { Tasks } from '../base/tasks.ts'
import { chainToPem } from '../identity/certificate.ts'
import { certificateKey } from '../identity/ids.ts'
import { issueDeviceCertificate } from '../identity/issue.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { testCrypto } from '../testing/test-crypto.ts'
import { testIdentity, testPeer } from '../testing/test-identities.ts'
import { CERTIFICATE_TYPE } from './certificate-directory.ts'
import { MAX_WAITING_PER_DEVICE, SenderLookups, WAITING } from './sender-lookups.ts'

const HOUR_MS = 3_600_000
const publish = (people: People, dht: Dht, chain: CertificateChain) =>
  people.clock.run(Promise.all([certificateKey(chain[0].longId as DeviceId), chain[0].shortId as InfoHash].map((key) => dht.put(key, { data: encodeMsgpack(utf8(chainToPem(chain))), type: CERTIFICATE_TYPE }, { permanent: true }))))
const asked = (person: Person) => person.told.requests.map(({ from }) => from)

describe('a sender whose certificate', () => {
  it.each([['10 seconds', 10_000], ['half an hour', HOUR_MS / 2], ['12 hours', 12 * HOUR_MS]])('is published only %s later is heard then', async (_what, later) => {
    const people = new People()
    const bob = await people.come(1)
    const alice = await people.come(0, { announced: false })
    await people.request(alice, bob.device, { invitedMs: people.clock.wallTimeMs() })
    await people.clock.advance(later)
    expect(asked(bob)).toEqual([])
    await publish(people, alice.dht, alice.device.chain)
    await people.clock.advance(2 * HOUR_MS)
    expect(asked(bob)).toEqual([alice.device.accountId])
    expect(await people.gone()).toEqual([])
  })

  it('begins tomorrow and later by our slow clock is heard when it has begun', async () => {
    const people = new People()
    const bob = await people.come(1)
    const alice = await people.come(0, { announced: false })
    const issuer = testIdentity(0)
    const [account, ...above] = issuer.accountChain
    const clock = new ManualClock({ wallTimeMs: people.clock.wallTimeMs() + 50 * HOUR_MS }) // with the day that it is back-dated and the day we tolerate: in two hours
    const young = await issueDeviceCertificate({ clock, crypto: testCrypto(), random: new SeededRandom('young') }, { accountKey: issuer.accountKey, account, devicePublicKey: alice.device.privateKey.publicKey })
    await publish(people, alice.dht, [young, account, ...above])
    await people.request(alice, bob.device, { invitedMs: people.clock.wallTimeMs() })
    await people.clock.advance(HOUR_MS)
    expect(asked(bob)).toEqual([])
    await people.clock.advance(3 * HOUR_MS)
    expect(asked(bob)).toEqual([alice.device.accountId])
    expect(await people.gone()).toEqual([])
  })

  it('never comes is given up after a day, and nothing is left', async () => {
    const people = new People()
    const bob = await people.come(1)
    const alice = await people.come(0, { announced: false })
    await people.request(alice, bob.device, { invitedMs: people.clock.wallTimeMs() })
    await people.clock.advance(27 * HOUR_MS)
    await publish(people, alice.dht, alice.device.chain)
    await people.clock.advance(27 * HOUR_MS)
    expect(asked(bob)).toEqual([])
    expect(await people.gone()).toEqual([])
  })
})

describe('a sender whose key another account claims', () => {
  it.each([['a stranger', false], ['a contact of ours', true]])('(%s) is nobody while that lasts: its request never appears as the other account’s', async (_who, contact) => {
    const people = new People()
    const bob = await people.come(1)
    const alice = await people.come(0)
    const thief = testIdentity(2)
    if (contact) await bob.contacts.add(thief.device.accountId, 1000, { confirmed: false, conversation: undefined })
    const [account, ...above] = thief.accountChain
    const leaf = await issueDeviceCertificate({ clock: people.clock, crypto: testCrypto(), random: new SeededRandom('thief') }, { accountKey: thief.accountKey, account, devicePublicKey: alice.device.privateKey.publicKey })
    await publish(people, bob.dht, [leaf, account, ...above])
    await people.request(alice, bob.device, { invitedMs: people.clock.wallTimeMs() })
    await people.clock.advance(60_000)
    expect([asked(bob), bob.told.confirmed]).toEqual([[], []])
    await bob.certificates.pin(alice.device.chain) // its device proves whose it is
    await people.clock.advance(HOUR_MS)
    expect([asked(bob), bob.told.confirmed]).toEqual([[alice.device.accountId], []])
    expect(await people.gone()).toEqual([])
  })
})

describe('requests that wait for their sender', () => {
  const device = (n: number) => n.toString(16).padStart(64, '0') as DeviceId
  const shortId = '0'.repeat(40) as InfoHash

  function lookups(find: (device: DeviceId) => Promise<PeerIdentity | undefined>) {
    const clock = new ManualClock()
    const tasks = new Tasks(clock, (error) => { throw error })
    const dropped: string[] = []
    const senders = new SenderLookups({ clock, tasks, find, onDropped: (key) => dropped.push(key), onFailed: () => {} })
    const delivered: string[] = []
    const offer = (key: string, of: DeviceId, as: 'contact' | 'stranger' = 'stranger') => senders.offer(key, { device: of, shortId }, as, async () => void delivered.push(key))
    return { clock, tasks, senders, dropped, delivered, offer }
  }

  it(`are at most ${WAITING.stranger.max} of strangers, ${WAITING.stranger.lookups} looked up at a time, and take nothing from contacts`, async () => {
    const contact = device(0xc0)
    const [running, most] = [new Set<DeviceId>(), { seen: 0 }]
    const { clock, tasks, senders, dropped, delivered, offer } = lookups((of) => {
      if (of === contact) return Promise.resolve(testPeer(testIdentity(0).device))
      running.add(of)
      most.seen = Math.max(most.seen, running.size)
      return new Promise((resolve) => clock.after(5000, () => { running.delete(of); resolve(undefined) }))
    })
    for (let n = 0; n < 1000; n++) offer(`s${n}`, device(0x1000 + n))
    offer('c', contact, 'contact')
    await clock.advance(10)
    expect([delivered, senders.size, dropped.length, most.seen]).toEqual([['c'], WAITING.stranger.max, 1000 - WAITING.stranger.max, WAITING.stranger.lookups])
    await clock.advance(12_000) // some have had a chance: newcomers take their places
    offer('new', device(7))
    expect([senders.has('new'), senders.size]).toEqual([true, WAITING.stranger.max])
    await clock.run(tasks.close())
    expect(clock.pending().length).toBeLessThanOrEqual(WAITING.stranger.lookups) // the searches of this test
  })

  it(`are at most ${MAX_WAITING_PER_DEVICE} of one device, and the same one once`, async () => {
    const { clock, tasks, senders, dropped, offer } = lookups(async () => undefined)
    for (let n = 0; n < 10; n++) offer(`k${n % 8}`, device(1))
    expect([senders.size, dropped]).toEqual([MAX_WAITING_PER_DEVICE, ['k4', 'k5', 'k6', 'k7']])
    await clock.run(tasks.close())
  })
})
