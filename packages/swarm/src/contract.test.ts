// Conversations in git repositories, by the contract suites that their double passes, too.
import { silentLogger } from '@jamikit/core/base'
import type { DeviceIdentity } from '@jamikit/core/contracts'
import {
  conversationGroupsSuite, conversationMessagesSuite, conversationsSuite, type ConversationsUnderTest, FakeCertificates, FakeConnectionNetwork, FakeContacts, FakeDirectory, FakeMessageNetwork, ManualClock, SeededRandom, testCrypto, testIdentity,
  testStorage,
} from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { swarm } from './index.ts'

const crypto = testCrypto()
const [alice, bob, carol] = [testIdentity(0).device, testIdentity(1).device, testIdentity(2).device]

/** Doubles of everything below the conversations. */
function world() {
  const clock = new ManualClock()
  const links = new FakeConnectionNetwork({ clock })
  const messages = new FakeMessageNetwork({ clock })
  const certificates = new FakeCertificates({ clock, known: [alice, bob, carol].map(({ chain }) => chain) })
  const directory = new FakeDirectory({ clock, certificates })
  /** One life of a device on what it keeps; nothing is started. */
  const life = (identity: DeviceIdentity, storage = testStorage()) => {
    const connections = links.manager({ identity, policy: { allowsLink: () => true } })
    const messenger = messages.messenger(identity)
    const conversations = swarm()({
      clock, crypto, logger: silentLogger, random: new SeededRandom(identity.deviceId), network: undefined as never, identity, displayName: () => '', connections, certificates,
      contacts: new FakeContacts(alice.accountId, bob.accountId), directory, presence: directory, messages: messenger, storage, prefix: 'a',
    })
    return { identity, storage, connections, messenger, conversations, account: identity.accountId, device: identity.deviceId }
  }
  return { clock, links, messages, directory, life, drive: <T>(work: Promise<T>) => clock.run(work) }
}

describe('conversations by their contract', () => {
  const underTest = async (): Promise<ConversationsUnderTest> => {
    const { clock, messages, directory, life, drive } = world()
    const lives = new Map<string, ReturnType<typeof life>>()
    const come = async (identity: DeviceIdentity, storage?: ReturnType<typeof testStorage>) => {
      const one = life(identity, storage)
      lives.set(one.device, one)
      one.connections.setOnline(false)
      one.messenger.setReachable(false)
      await drive(Promise.all([one.connections.start(), one.messenger.start()]))
      await drive(one.conversations.start())
      return one
    }
    const reach = (one: ReturnType<typeof life>, reachable: boolean) => {
      one.connections.setOnline(reachable)
      one.messenger.setReachable(reachable)
      if (reachable) directory.announce(one.account, one.device)
      else directory.withdraw(one.account)
    }
    const goes = async (one: ReturnType<typeof life>) => {
      await drive(one.conversations.stop())
      await drive(Promise.all([one.messenger.stop(), one.connections.stop()]))
    }
    return {
      a: await come(alice), b: await come(bob), absent: carol.accountId, drive,
      async meet() {
        for (const one of lives.values()) reach(one, true)
        messages.meet(alice.deviceId, bob.deviceId)
      },
      async part() {
        for (const one of lives.values()) reach(one, false)
      },
      async restart({ device }) {
        const one = lives.get(device)
        if (!one) throw new Error('nobody of that name')
        await goes(one)
        return come(one.identity, one.storage)
      },
      settle: () => clock.advance(4000),
      advance: (ms) => clock.advance(ms),
      async dispose() {
        for (const one of lives.values()) await goes(one)
        await clock.advance(1000)
        expect(clock.pending()).toEqual([])
      },
    }
  }
  for (const { title, run } of [...conversationsSuite(underTest), ...conversationGroupsSuite(underTest), ...conversationMessagesSuite(underTest)]) it(title, run)
})
