// Contact requests between two accounts, over a shared table instead of a DHT: docs/protocol/03 §5.4, §5.5.
import { describe, expect, it } from 'vitest'
import { People, type Person } from '../../test/people.ts'
import { utf8 } from '../codec/bytes.ts'
import type { AccountUri, ConversationId } from '../contracts/ids.ts'
import { inboxKey } from '../identity/ids.ts'
import { recordingLogger } from '../testing/recording-logger.ts'
import { decodeTrustRequest, encodeTrustRequest, MAX_PAYLOAD_BYTES, TRUST_REQUEST_TYPE } from './trust-request-wire.ts'
import { MAX_WAITING_PER_DEVICE } from './sender-lookups.ts'
import { MAX_PENDING } from './trust-requests.ts'
import { profileCard } from './vcard.ts'

const ours = 'a'.repeat(40) as ConversationId
const theirs = 'b'.repeat(40) as ConversationId
const DAY_MS = 86_400_000

async function two(joined?: (account: AccountUri) => boolean) {
  const people = new People()
  const alice = await people.come(0, joined ? { joined } : {})
  const bob = await people.come(1)
  return { people, alice, bob }
}

/** Everything of type 4 in a person's inbox that this person can read. */
async function inbox(people: People, of: Person) {
  const read = async () => {
    const out = []
    for await (const value of of.dht.get(inboxKey(of.device.deviceShortId), { decryptWith: of.device.privateKey, type: TRUST_REQUEST_TYPE })) out.push({ ...decodeTrustRequest(value.data), encrypted: value.encrypted, signer: value.signer })
    return out
  }
  return people.clock.run(read())
}

describe('a request that we send', () => {
  it('ACC-29 is a value of type 4, signed by our device and encrypted to each announced device of the peer, with the date of the first invitation', async () => {
    const { people, alice, bob } = await two()
    const bobsOther = await people.come(1, { device: 1 })
    const addedMs = people.clock.wallTimeMs()
    await alice.contacts.add(bob.device.accountId, addedMs, { confirmed: false, conversation: ours })
    await people.clock.advance(5000)
    alice.requests.send(bob.device.accountId)
    await people.clock.advance(5000)
    for (const device of [bob, bobsOther]) {
      const [request, ...more] = await inbox(people, device)
      expect(more).toEqual([])
      expect(request).toMatchObject({ conversation: ours, confirm: false, invitedMs: addedMs, payload: utf8(profileCard('Person 0')), encrypted: true, signer: alice.device.privateKey.publicKey })
      expect(device.told.requests).toMatchObject([{ from: alice.device.accountId, conversation: ours, receivedMs: addedMs, displayName: 'Person 0' }])
    }
    expect(await people.gone()).toEqual([])
  })

  it('ACC-31 is sent again each time the peer appears, with the same date, until it is confirmed and joined', async () => {
    let joined = false
    const { people, alice } = await two(() => joined)
    const addedMs = people.clock.wallTimeMs()
    const carol = await people.come(2, { announced: false })
    await alice.contacts.add(carol.device.accountId, addedMs, { confirmed: false, conversation: ours })
    alice.presence.watch(carol.device.accountId)
    alice.requests.send(carol.device.accountId)
    await people.clock.advance(600_000)
    expect(carol.told.requests).toEqual([]) // nobody to send it to
    await carol.announcer.start()
    await people.clock.advance(5000)
    expect(carol.told.requests).toMatchObject([{ receivedMs: addedMs }])

    await people.request(carol, alice.device, { conversation: ours, confirm: true })
    expect(alice.told.confirmed).toEqual([carol.device.accountId])
    const sent = async () => (await inbox(people, carol)).length
    await people.clock.advance(1_200_000) // what was put has expired
    alice.requests.send(carol.device.accountId)
    await people.clock.advance(5000)
    expect(await sent()).toBe(1) // confirmed, but not in our conversation: the invitation may have been lost
    joined = true
    await people.clock.advance(1_200_000)
    alice.requests.send(carol.device.accountId)
    await people.clock.advance(5000)
    expect(await sent()).toBe(0)
    expect(await people.gone()).toEqual([])
  })

  it.each([[MAX_PAYLOAD_BYTES - 1, MAX_PAYLOAD_BYTES - 1], [MAX_PAYLOAD_BYTES, 0]])('ACC-32 with a card of %i bytes carries %i', async (size, carried) => {
    const people = new People()
    const alice = await people.come(0, { profile: 'x'.repeat(size) })
    const bob = await people.come(1)
    await alice.contacts.add(bob.device.accountId, 1000, { confirmed: false, conversation: ours })
    alice.requests.send(bob.device.accountId)
    await people.clock.advance(5000)
    expect((await inbox(people, bob)).map((m) => m.payload?.length)).toEqual([carried])
    expect(MAX_PAYLOAD_BYTES).toBe(64_000)
    expect(await people.gone()).toEqual([])
  })
})

describe('a request that we receive', () => {
  it('is told once, however often it comes, and survives a restart', async () => {
    const { people, alice, bob } = await two()
    const invitedMs = people.clock.wallTimeMs()
    for (let i = 0; i < 3; i++) await people.request(alice, bob.device, { conversation: ours, invitedMs, payload: utf8(profileCard('Alice')) })
    expect(bob.told.requests).toHaveLength(1)
    await bob.stop()
    const again = await people.come(1, { storage: bob.storage })
    expect(again.requests.pending()).toMatchObject([{ from: alice.device.accountId, conversation: ours, receivedMs: invitedMs, displayName: 'Alice' }])
    await people.request(alice, bob.device, { conversation: ours, invitedMs })
    expect(again.told.requests).toEqual([])
    expect(await people.gone()).toEqual([])
  })

  it('is replaced by a later invitation of the same account', async () => {
    const { people, alice, bob } = await two()
    const invitedMs = people.clock.wallTimeMs()
    await people.request(alice, bob.device, { conversation: ours, invitedMs })
    await people.request(alice, bob.device, { conversation: theirs, invitedMs: invitedMs + 1 })
    expect(bob.requests.pending()).toMatchObject([{ conversation: theirs, receivedMs: invitedMs + 1 }])
    expect(await people.gone()).toEqual([])
  })

  it('ACC-33 that was declined stays silent, after a restart too, until the peer invites anew', async () => {
    const { people, alice, bob } = await two()
    const invitedMs = people.clock.wallTimeMs()
    await people.request(alice, bob.device, { conversation: ours, invitedMs })
    await bob.requests.decline(alice.device.accountId)
    expect(bob.requests.pending()).toEqual([])
    await people.request(alice, bob.device, { conversation: ours, invitedMs })
    await bob.stop()
    const again = await people.come(1, { storage: bob.storage })
    await people.request(alice, bob.device, { conversation: ours, invitedMs })
    expect([again.requests.pending(), again.told.requests]).toEqual([[], []])
    await people.request(alice, bob.device, { conversation: theirs, invitedMs: people.clock.wallTimeMs() })
    expect(again.told.requests).toMatchObject([{ conversation: theirs }])
    expect(await people.gone()).toEqual([])
  })

  it.each([['5 minutes and a bit', 300_001], ['a century', 36_500 * DAY_MS]])('ACC-33 that claims to come from the future (%s) counts from now', async (_what, ahead) => {
    const { people, alice, bob } = await two()
    const before = people.clock.wallTimeMs()
    await people.request(alice, bob.device, { conversation: ours, invitedMs: before + ahead + 10_000 })
    expect(bob.requests.pending()[0]?.receivedMs).toBeLessThanOrEqual(people.clock.wallTimeMs())
    expect(bob.requests.pending()[0]?.receivedMs).toBeGreaterThanOrEqual(before)
    expect(await people.gone()).toEqual([])
  })

  it.each([['a banned account', true], ['one that we removed is a stranger again', false]])('ACC-32 of %s', async (_what, ban) => {
    const { people, alice, bob } = await two()
    await bob.contacts.add(alice.device.accountId, 1000, { confirmed: true, conversation: ours })
    await bob.contacts.remove(alice.device.accountId, 2000, ban)
    await people.request(alice, bob.device, { conversation: theirs, invitedMs: people.clock.wallTimeMs() })
    expect(bob.told.requests.length).toBe(ban ? 0 : 1)
    expect(await people.gone()).toEqual([])
  })

  it('ACC-30 from a contact is answered with a confirmation, and confirms the contact', async () => {
    const { people, alice, bob } = await two()
    await bob.contacts.add(alice.device.accountId, 1000, { confirmed: false, conversation: ours })
    await people.request(alice, bob.device, { conversation: ours, invitedMs: 1 })
    await people.clock.advance(5000)
    expect(bob.told).toMatchObject({ requests: [], confirmed: [alice.device.accountId], invited: [] })
    expect(bob.contacts.isConfirmed(alice.device.accountId)).toBe(true)
    expect((await inbox(people, alice)).filter((m) => m.confirm)).toMatchObject([{ conversation: ours, payload: new Uint8Array(0), invitedMs: 0, encrypted: true }])
    expect(await people.gone()).toEqual([])
  })

  it('that crosses ours: their invitation is told, and ours is sent since they may not know of it', async () => {
    const people = new People()
    const alice = await people.come(0, { joined: () => false })
    const bob = await people.come(1)
    await alice.contacts.add(bob.device.accountId, 1000, { confirmed: false, conversation: ours })
    await people.request(bob, alice.device, { conversation: theirs, invitedMs: 2000 })
    await people.clock.advance(5000)
    expect(alice.told).toMatchObject({ confirmed: [bob.device.accountId], invited: [{ account: bob.device.accountId, conversation: theirs }] })
    expect(bob.told.requests).toMatchObject([{ from: alice.device.accountId, conversation: ours, receivedMs: 1000 }])
    expect(await people.gone()).toEqual([])
  })

  it('of a confirmed contact to another conversation is told as an invitation, each time it comes, and no loop begins', async () => {
    const people = new People()
    const alice = await people.come(0, { joined: () => false })
    const bob = await people.come(1, { joined: () => false })
    await alice.contacts.add(bob.device.accountId, 1000, { confirmed: true, conversation: ours })
    await bob.contacts.add(alice.device.accountId, 1000, { confirmed: true, conversation: theirs })
    await people.request(bob, alice.device, { conversation: theirs, invitedMs: 2000 })
    await people.clock.advance(60_000)
    expect(alice.told.invited).toHaveLength(1)
    expect(bob.told.invited).toEqual([])
    expect(await people.gone()).toEqual([])
  })

  it('ACC-S9 confirmations of accounts that we never asked are nothing', async () => {
    const { people, alice, bob } = await two()
    await people.request(alice, bob.device, { conversation: ours, confirm: true, invitedMs: 5 })
    expect(bob.told).toEqual({ requests: [], confirmed: [], invited: [] })
    expect(bob.contacts.entries()).toEqual([])
    expect(await people.gone()).toEqual([])
  })

  it.each([['in clear', { clear: true }], ['in clear and unsigned', { clear: true, sign: false }]])('that is %s is nothing', async (_what, how) => {
    const { people, alice, bob } = await two()
    await people.request(alice, bob.device, { conversation: ours, invitedMs: 5 }, how)
    expect(bob.told.requests).toEqual([])
    expect(await people.gone()).toEqual([])
  })

  it('from our own account is nothing', async () => {
    const { people, alice } = await two()
    const other = await people.come(0, { device: 1 })
    await people.request(other, alice.device, { conversation: ours, invitedMs: 5 })
    expect(alice.told.requests).toEqual([])
    expect(await people.gone()).toEqual([])
  })

  it(`ACC-S8 is dropped when ${MAX_PENDING} wait already; a request that waits may still be renewed`, async () => {
    const { people, alice, bob } = await two()
    const carol = await people.come(2)
    const storage = bob.storage
    await bob.stop()
    // a full store of an earlier life
    const { encodeMsgpack } = await import('../codec/msgpack.ts')
    const id = (n: number) => n.toString(16).padStart(40, '0')
    await storage.batch(Array.from({ length: MAX_PENDING - 1 }, (_, n) => ({
      key: `accounts/${bob.device.accountId}/requests/${id(n)}`, value: encodeMsgpack({ from: id(n), conversationId: '', receivedMs: people.clock.wallTimeMs(), declinedMs: 0 }),
    })))
    const full = await people.come(1, { storage })
    await people.request(alice, bob.device, { conversation: ours, invitedMs: 10 })
    expect(full.requests.pending()).toHaveLength(MAX_PENDING)
    await people.request(carol, bob.device, { conversation: ours, invitedMs: 10 })
    expect(full.requests.get(carol.device.accountId)).toBeUndefined()
    await people.request(alice, bob.device, { conversation: theirs, invitedMs: 11 })
    expect(full.requests.get(alice.device.accountId)?.conversation).toBe(theirs)
    expect(await people.gone()).toEqual([])
  })

  it('ACC-30 of a contact, replayed 300 times under new value ids, is answered once; different ones within a minute are answered twice, the last one included', async () => {
    const { people, alice, bob } = await two()
    await bob.contacts.add(alice.device.accountId, 1000, { confirmed: true, conversation: ours })
    let answers = 0
    const put = bob.dht.put.bind(bob.dht)
    bob.dht.put = (...args) => {
      if (args[0] === inboxKey(alice.device.deviceShortId)) answers++
      return put(...args)
    }
    for (let i = 0; i < 300; i++) await people.request(alice, bob.device, { conversation: ours, invitedMs: 5 }, { waitMs: 100 })
    await people.clock.advance(300_000)
    expect(answers).toBe(1)
    for (let i = 0; i < 100; i++) await people.request(alice, bob.device, { conversation: i === 99 ? theirs : ours, invitedMs: 1000 + i }, { waitMs: 100 })
    await people.clock.advance(120_000)
    expect(answers).toBe(3)
    expect((await inbox(people, alice)).filter((m) => m.confirm).at(-1)).toMatchObject({ conversation: theirs })
    expect(await people.gone()).toEqual([])
  })

  it('of a stranger whom nobody knows, 200 that find no place are one line of the log', async () => {
    const people = new People()
    const log = recordingLogger()
    const bob = await people.come(1, { logger: log })
    const sender = await people.come(0, { announced: false })
    for (let i = 0; i < 200 + MAX_WAITING_PER_DEVICE; i++) void sender.dht.put(inboxKey(bob.device.deviceShortId), { data: encodeTrustRequest({ conversation: undefined, payload: new Uint8Array(0), confirm: false, invitedMs: i }), type: TRUST_REQUEST_TYPE, sign: sender.device.privateKey, encryptTo: bob.device.privateKey.publicKey })
    await people.clock.advance(60_000)
    const warnings = log.entries.filter(({ level }) => level === 'warn')
    expect(warnings.length).toBe(1)
    expect(warnings[0]?.fields).toMatchObject({ count: 200 })
    expect(await people.gone()).toEqual([])
  })
})
