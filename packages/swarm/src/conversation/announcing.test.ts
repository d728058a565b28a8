// Who hears of a change: everybody with a link, never where it came from, nobody of what is not here; nobody who is banned.
// docs/protocol/04 §4.5.2.
import type { ConversationId, DeviceIdentity } from '@jamikit/core/contracts'
import { expect, it } from 'vitest'
import { alice, bob, carol, dave, text, texts, World } from '../../test/world.ts'
import { printCommitNotice } from './small-payloads.ts'
import type { SwarmConversations } from './swarm.ts'

/** Alice's group of four. */
async function four(): Promise<{ world: World; people: SwarmConversations[]; id: ConversationId }> {
  const world = new World()
  const people = [await world.join(alice)]
  const [a] = people as [SwarmConversations]
  const id = await a.create({ mode: 2 })
  for (const who of [bob, carol, dave]) {
    const one = await world.join(who)
    people.push(one)
    world.meet(alice, who)
    await a.invite(id, who.accountId)
    await world.clock.advance(1000)
    await one.accept({ conversation: id, from: alice.accountId })
    await world.clock.advance(10_000)
  }
  return { world, people, id }
}

const noticesTo = (world: World, from: DeviceIdentity, since: number) => world.messages.sent.slice(since).filter((sent) => sent.mime === 'application/im-gitmessage-id' && sent.fromDevice === from.deviceId).map(({ to }) => to)

it('SWM-18 whoever fetches a text tells the others with links, not the device that it came from', async () => {
  const { world, people, id } = await four()
  const since = world.messages.sent.length
  await people[1]?.append(id, text('hello'))
  await world.clock.advance(5000)
  for (const who of people) expect(await texts(who, id)).toEqual(['hello'])
  expect(noticesTo(world, alice, since).sort()).toEqual([carol.deviceId, dave.deviceId].sort())
})

it('SWM-18 a notice of what cannot be fetched is not relayed, and one of what is here neither', async () => {
  const { world, people, id } = await four()
  await world.clock.advance(10_000)
  const since = world.messages.sent.length
  const head = people[0]?.get(id)?.head
  await world.tell(alice, bob, 'application/im-gitmessage-id', printCommitNotice({ conversation: id, commit: 'e'.repeat(40) as never, device: bob.deviceId }))
  await world.tell(alice, bob, 'application/im-gitmessage-id', printCommitNotice({ conversation: id, commit: head as never, device: bob.deviceId }))
  await world.clock.advance(10_000)
  expect([people[0]?.get(id)?.head, noticesTo(world, alice, since)]).toEqual([head, []])
})

it('SWM-6 whoever is banned hears of nothing more, on any path', async () => {
  const { world, people, id } = await four()
  const [a, b] = people
  await a?.ban(id, bob.accountId)
  await world.clock.advance(10_000)
  const since = world.messages.sent.length
  await a?.append(id, text('secret'))
  await people[2]?.append(id, text('too'))
  a?.setTyping(id, true)
  await a?.markDisplayed(id, a.get(id)?.head as never)
  await world.clock.advance(10_000)
  expect(world.messages.sent.slice(since).filter(({ to }) => to === bob.accountId || to === bob.deviceId)).toEqual([])
  expect(b && (await texts(b, id))).toEqual([])
})
