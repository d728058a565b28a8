// Conversations in memory, by the contract suites of the real ones.
import { describe, expect, it } from 'vitest'
import { FakeConversationNetwork } from './fake-conversations.ts'
import { ManualClock } from './manual-clock.ts'
import { conversationGroupsSuite } from './suites/conversation-groups.ts'
import { conversationMessagesSuite } from './suites/conversation-messages.ts'
import { conversationsSuite, type ConversationsUnderTest } from './suites/conversations.ts'
import { serviceSuite } from './suites/service.ts'
import { testIdentity } from './test-identities.ts'

const [alice, bob, carol] = [0, 1, 2].map((i) => testIdentity(i).device) as [Device, Device, Device]
type Device = ReturnType<typeof testIdentity>['device']

function make() {
  const clock = new ManualClock()
  return { clock, network: new FakeConversationNetwork({ clock }) }
}

describe('FakeConversationNetwork', () => {
  const underTest = async (): Promise<ConversationsUnderTest> => {
    const { clock, network } = make()
    const come = async ({ accountId, deviceId }: Device) => {
      const conversations = network.conversations({ accountId, deviceId })
      conversations.setReachable(false)
      await conversations.start()
      return { conversations, account: accountId, device: deviceId }
    }
    const everybody = (reachable: boolean) => {
      for (const one of network.running.values()) one.setReachable(reachable)
    }
    return {
      a: await come(alice), b: await come(bob), absent: carol.accountId,
      meet: async () => everybody(true),
      part: async () => everybody(false),
      restart: async ({ conversations, device }) => {
        await clock.run(conversations.stop())
        return come(device === alice.deviceId ? alice : bob)
      },
      drive: (work) => clock.run(work),
      settle: () => clock.advance(1000),
      advance: (ms) => clock.advance(ms),
      dispose: async () => {
        await clock.advance(1000)
        expect(clock.pending()).toEqual([])
        expect(network.running.size).toBe(0)
      },
    }
  }
  for (const { title, run } of [...conversationsSuite(underTest), ...conversationGroupsSuite(underTest), ...conversationMessagesSuite(underTest)]) it(title, run)

  for (const { title, run } of serviceSuite(() => {
    const { clock, network } = make()
    return { service: network.conversations(alice), drive: (work) => clock.run(work), leaks: () => [...network.running.keys(), ...clock.pending()] }
  })) it(`service: ${title}`, run)

  it('is a module, and says that it cannot export', async () => {
    const { clock, network } = make()
    const conversations = network.module()({ identity: alice } as Parameters<ReturnType<typeof network.module>>[0])
    await conversations.start()
    const id = await conversations.create({ mode: 0, peer: bob.accountId })
    await expect(conversations.exportTo(id, '/nowhere')).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' })
    await clock.run(conversations.stop())
  })

  it('who is only invited cannot write', async () => {
    const { clock, network } = make()
    const [a, b] = [network.conversations(alice), network.conversations(bob)]
    await Promise.all([a.start(), b.start()])
    const id = await a.create({ mode: 0, peer: bob.accountId })
    network.keptBy(bob.deviceId).replicas.set(id, { ...network.keptBy(alice.deviceId).replicas.get(id) } as never)
    await expect(clock.run(b.append(id, { type: 'text/plain', fields: { body: 'x' } }))).rejects.toMatchObject({ code: 'ERR_NOT_MEMBER' })
  })
})
