// One account as its node sees it: who may link, what a full disk does, what a bad record costs. docs/protocol/03 §5.3.1, §5.5.
import { describe, expect, it } from 'vitest'
import { failingStorage, type FailingStorage } from '../../test/failing-storage.ts'
import { crypto } from '../../test/people.ts'
import { silentLogger } from '../base/logger.ts'
import type { AccessPolicy } from '../contracts/connection-manager.ts'
import type { AccountUri, ConversationId } from '../contracts/ids.ts'
import type { DhtModule } from '../contracts/module.ts'
import { makeReceipt } from '../identity/receipt.ts'
import { FakeConnectionNetwork } from '../testing/fake-connections.ts'
import { FakeConversationNetwork } from '../testing/fake-conversations.ts'
import { FakeDhtNetwork } from '../testing/fake-dht.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { testIdentity, testPeer } from '../testing/test-identities.ts'
import { LocalAccount } from './account.ts'
import { accountPrefix, loadAccounts, saveAccount } from './account-record.ts'

const own = testIdentity(0)
const identity = own.device
const [bob, bobsOther, carol] = [testIdentity(1).device, testIdentity(1, 1).device, testIdentity(2).device]

async function lab(storage: FailingStorage = failingStorage(), world?: { clock: ManualClock; conversations: FakeConversationNetwork }) {
  const clock = world?.clock ?? new ManualClock()
  const conversations = world?.conversations ?? new FakeConversationNetwork({ clock })
  const links = new FakeConnectionNetwork({ clock })
  const dht = new FakeDhtNetwork({ clock, crypto }).node()
  await dht.start()
  let policy: AccessPolicy | undefined
  const modules = {
    dht: (() => dht) as DhtModule,
    connections: (env: { policy: AccessPolicy }) => links.manager({ identity, policy: (policy = env.policy) }),
    conversations: conversations.module(),
  }
  const receipt = await makeReceipt(crypto, { accountKey: own.accountKey, devicePublicKey: identity.privateKey.publicKey })
  const record = { label: 'own', displayName: 'Own', device: identity, receipt }
  await saveAccount(storage, record)
  const account = await LocalAccount.load({ clock, random: new SeededRandom('account'), crypto, logger: silentLogger, network: undefined as never, dht, storage, modules }, record, receipt.announcement)
  const allows = (device: typeof bob) => policy?.allowsLink(testPeer(device))
  const classOf = (device: typeof bob) => policy?.classOf?.(testPeer(device))
  const stop = async () => {
    await clock.run(account.stop())
    await clock.run(dht.stop())
    await clock.advance(1000)
    expect(clock.pending()).toEqual([])
  }
  return { clock, conversations, storage, account, allows, classOf, stop }
}

describe('who may link', () => {
  it('own devices and contacts; no stranger, no banned account, and no banned device of a contact', async () => {
    const { account, allows, clock, stop } = await lab()
    expect([allows(identity), allows(bob), allows(carol)]).toEqual([true, false, false])
    await account.contacts.add(bob.accountId, clock.wallTimeMs(), { confirmed: true, conversation: undefined })
    expect([allows(bob), allows(bobsOther), allows(carol)]).toEqual([true, true, false])
    await account.contacts.banDevice(bobsOther.deviceId, true)
    expect([allows(bob), allows(bobsOther)]).toEqual([true, false])
    await account.contacts.banDevice(bobsOther.deviceId, false)
    await account.contacts.remove(bob.accountId, clock.wallTimeMs(), true)
    expect([allows(bob), allows(bobsOther)]).toEqual([false, false])
    await stop()
  })
})

describe('members of our conversations', () => {
  it('may link without being contacts, as a class of their own; not when they, or one of their devices, are banned', async () => {
    const { account, allows, classOf, clock, stop } = await lab()
    account.conversations.shares = (other) => other === bob.accountId
    expect([allows(bob), allows(bobsOther), allows(carol)]).toEqual([true, true, false])
    expect([identity, bob, carol].map(classOf)).toEqual(['own', 'member', 'stranger'])
    await account.contacts.banDevice(bobsOther.deviceId, true)
    expect([allows(bob), allows(bobsOther)]).toEqual([true, false])
    await account.contacts.add(bob.accountId, clock.wallTimeMs(), { confirmed: true, conversation: undefined })
    expect(classOf(bob)).toBe('contact')
    await account.contacts.remove(bob.accountId, clock.wallTimeMs(), false)
    expect([allows(bob), classOf(bob)]).toEqual([true, 'member'])
    await account.contacts.remove(bob.accountId, clock.wallTimeMs(), true)
    expect([allows(bob), classOf(bob)]).toEqual([false, 'stranger'])
    await stop()
  })
})

describe('whose share of room and time a peer gets', () => {
  it('its own for devices of the account, that of contacts for all their devices, that of strangers for everybody else', async () => {
    const { account, classOf, clock, stop } = await lab()
    await account.contacts.add(bob.accountId, clock.wallTimeMs(), { confirmed: true, conversation: undefined })
    expect([identity, bob, bobsOther, carol].map(classOf)).toEqual(['own', 'contact', 'contact', 'stranger'])
    await account.contacts.remove(bob.accountId, clock.wallTimeMs(), false)
    expect(classOf(bob)).toBe('stranger')
    await stop()
  })
})

describe('a full disk', () => {
  it('a display name that could not be kept is not ours', async () => {
    const { account, storage, stop } = await lab()
    storage.failAt(1)
    await expect(account.setDisplayName('New')).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    const kept = async () => (await loadAccounts(storage)).accounts[0]?.displayName
    expect([account.record.displayName, await kept()]).toEqual(['Own', 'Own'])
    storage.heal()
    await Promise.all([account.setDisplayName('One'), account.setDisplayName('a\ud83d')])
    expect([account.record.displayName, await kept()]).toEqual(['a\ufffd', 'a\ufffd'])
    await expect(account.setDisplayName(7 as never)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await stop()
  })

  it('a contact that could not be kept is none, and asking again speaks in the conversation that was made', async () => {
    const { account, storage, clock, stop } = await lab()
    await account.start()
    let made = 0
    const create = account.conversations.create.bind(account.conversations)
    account.conversations.create = (options) => {
      made++
      return create(options)
    }
    storage.failAt(1)
    await expect(clock.run(account.addContact(bob.accountId))).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    expect([account.contacts.isContact(bob.accountId), account.conversations.list().length]).toEqual([false, 1])
    storage.heal()
    const conversation = await clock.run(account.addContact(bob.accountId))
    expect([made, account.conversations.list().map(({ id }) => id), account.contacts.conversationWith(bob.accountId)]).toEqual([1, [conversation], conversation])
    await stop()
  })

  it('a contact that was removed loses its links even when the rest of the removal fails', async () => {
    const { account, storage, clock, stop } = await lab()
    await account.start()
    const conversation = await clock.run(account.addContact(bob.accountId))
    const closed: string[] = []
    const close = account.connections.closePeer.bind(account.connections)
    account.connections.closePeer = (peer, reason) => {
      closed.push(peer)
      return close(peer, reason)
    }
    account.conversations.remove = () => Promise.reject(new Error('disk'))
    await expect(clock.run(account.removeContact(bob.accountId, false))).rejects.toThrow('disk')
    expect([closed, account.contacts.isContact(bob.accountId), account.conversations.get(conversation)?.id]).toEqual([[bob.accountId], false, conversation])
    expect(storage.contents.records.size).toBeGreaterThan(0)
    await stop()
  })

  it('work that nobody waits for is told once and done when there is room', async () => {
    const { account, clock, conversations, stop } = await lab()
    const told: string[] = []
    account.onProblem(({ error, source }) => told.push(`${source}: ${error.code}`))
    const id = 'c'.repeat(40) as ConversationId
    await account.contacts.add(bob.accountId, clock.wallTimeMs(), { confirmed: true, conversation: id })
    let tries = 0
    const accept = account.conversations.accept.bind(account.conversations)
    const { JamiError } = await import('../base/errors.ts')
    account.conversations.accept = (invitation) => (++tries < 4 ? Promise.reject(new JamiError('ERR_STORAGE_IO', 'full')) : accept(invitation))
    await account.start()
    await clock.advance(10_000)
    expect([told, tries]).toEqual([['unfinished acceptance: ERR_STORAGE_IO'], 2])
    await clock.advance(60_000)
    expect([told.length, tries, conversations.keptBy(identity.deviceId).cloning.get(id)?.from]).toEqual([1, 4, bob.accountId])
    await stop()
  })
})

describe('records that cannot be read', () => {
  it('cost themselves: the account starts with the others, and says what is wrong', async () => {
    const storage = failingStorage()
    const prefix = accountPrefix(identity.accountId)
    const bad = Uint8Array.of(0xc1)
    const stranger = '1'.repeat(40) as AccountUri
    await storage.batch([`${prefix}/contacts/${stranger}`, `${prefix}/requests/${stranger}`, `${prefix}/revocations/${stranger}`].map((key) => ({ key, value: bad })))
    const { account, clock, stop } = await lab(storage)
    await account.start()
    await clock.run(account.addContact(bob.accountId))
    expect(account.problems.map(({ code, details }) => [code, details.key])).toEqual([
      ['ERR_STORAGE_CORRUPT', `${prefix}/contacts/${stranger}`], ['ERR_STORAGE_CORRUPT', `${prefix}/revocations/${stranger}`], ['ERR_STORAGE_CORRUPT', `${prefix}/requests/${stranger}`],
    ])
    await stop()
  })
})

describe('SWM-31 a 1:1 that is removed here while its contact stays', () => {
  it('gives its place to another one with them, a new one when there is none', async () => {
    const { account, clock, stop } = await lab()
    await account.start()
    const first = await clock.run(account.addContact(bob.accountId))
    await clock.advance(5000)
    await clock.run(account.conversations.remove(first))
    await clock.advance(1000)
    const second = account.contacts.conversationWith(bob.accountId)
    expect([second !== undefined && second !== first, account.conversations.list().map(({ id }) => id)]).toEqual([true, [second]])
    await clock.advance(5000)
    const third = await clock.run(account.conversations.create({ mode: 0, peer: bob.accountId }))
    await clock.advance(1000)
    await clock.run(account.conversations.remove(account.contacts.conversationWith(bob.accountId) as ConversationId))
    await clock.advance(1000)
    expect([account.contacts.conversationWith(bob.accountId), account.conversations.list().length]).toEqual([account.conversations.list()[0]?.id, 1])
    expect([second, third]).toContain(account.contacts.conversationWith(bob.accountId))
    await clock.run(account.removeContact(bob.accountId, false))
    await clock.advance(1000)
    expect([account.conversations.list(), account.contacts.conversationWith(bob.accountId)]).toEqual([[], undefined])
    await stop()
  })
})

it('what a contact invited us to is declined when the contact is removed; others\' invitations stay', async () => {
  const { account, clock, conversations, stop } = await lab()
  await account.start()
  const inviters = [bob, carol].map((who) => conversations.conversations(who))
  const groups: ConversationId[] = []
  for (const [i, one] of inviters.entries()) {
    await one.start()
    await clock.run(account.contacts.add((i === 0 ? bob : carol).accountId, clock.wallTimeMs(), { confirmed: true, conversation: undefined }))
    const group = await clock.run(one.create({ mode: 2 }))
    groups.push(group)
    await clock.run(one.invite(group, identity.accountId))
    await clock.advance(1000)
  }
  expect(account.conversations.invitations().map(({ conversation }) => conversation)).toEqual(groups)
  await clock.run(account.removeContact(bob.accountId, false))
  expect(account.conversations.invitations().map(({ conversation }) => conversation)).toEqual([groups[1]])
  for (const one of inviters) await clock.run(one.stop())
  await stop()
})
