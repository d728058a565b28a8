// Members who are no contacts of each other are connected because they share the conversation, and hear of its commits on that way.
// docs/protocol/04 §6.2, §6.6.
import type { ConversationId, DeviceIdentity } from '@jamikit/core/contracts'
import { FakeContacts } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { alice, bob, carol, text, texts, World } from '../../test/world.ts'
import type { SwarmConversations } from './swarm.ts'

/** Alice's group; Bob and Carol know her and not each other. */
async function three(): Promise<{ world: World; a: SwarmConversations; b: SwarmConversations; c: SwarmConversations; id: ConversationId }> {
  const world = new World()
  const a = await world.join(alice, { announced: true })
  const id = await a.create({ mode: 2 })
  const people: SwarmConversations[] = []
  for (const who of [bob, carol]) {
    const one = await world.join(who, { contacts: new FakeContacts(alice.accountId), announced: true })
    people.push(one)
    world.meet(alice, who)
    await a.invite(id, who.accountId)
    await world.clock.advance(1000)
    await one.accept({ conversation: id, from: alice.accountId })
    await world.clock.advance(10_000)
  }
  await world.clock.advance(60_000)
  return { world, a, b: people[0] as SwarmConversations, c: people[1] as SwarmConversations, id }
}
const linked = (world: World, who: DeviceIdentity) => world.network.managers.get(who.deviceId)?.links().map(({ peer }) => peer.deviceId).sort()

it('SWM-27 members are linked with each other, and a text reaches all while the one who invited them is away', async () => {
  const { world, a, b, c, id } = await three()
  expect(linked(world, bob)).toEqual([alice.deviceId, carol.deviceId].sort())
  await world.clock.run(a.stop())
  world.network.managers.get(alice.deviceId)?.setOnline(false)
  world.messages.messengers.get(alice.deviceId)?.setReachable(false)
  await world.clock.advance(5_000)
  await b.append(id, text('without her'))
  await world.clock.advance(5_000)
  expect(await texts(c, id)).toEqual(['without her'])
})

it('SWM-26 who is banned has no channel of the conversation any more, and gets none', async () => {
  const { world, a, b, id } = await three()
  const channels = () => world.network.managers.get(alice.deviceId)?.links().find(({ peer }) => peer.deviceId === bob.deviceId)?.channels ?? 0
  await a.ban(id, bob.accountId)
  await world.clock.advance(60_000)
  expect(channels()).toBe(0)
  const manager = world.network.managers.get(bob.deviceId)
  expect(await world.clock.run((manager?.openChannel(alice.deviceId, `swarm://${id}`) ?? Promise.reject(new Error('none'))).then(() => 'open', (error: { code: string }) => error.code))).toBe('ERR_CHANNEL_DECLINED')
  await Promise.all([world.clock.run(a.stop()), world.clock.run(b.stop())])
})
