// Real conversations that are written to by everybody at once come to one head: over links and messages in memory, in virtual time.
import type { ConversationId, DeviceIdentity } from '@jamikit/core/contracts'
import { FakeContacts, testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { text, texts, World } from '../../test/world.ts'
import { printCommitNotice } from './small-payloads.ts'
import type { SwarmConversations } from './swarm.ts'

const identities = (count: number): DeviceIdentity[] => Array.from({ length: count }, (_, i) => testIdentity(i).device)

/** A group of `count`, each with a link to each. */
async function group(count: number): Promise<{ world: World; people: SwarmConversations[]; ids: DeviceIdentity[]; id: ConversationId }> {
  const world = new World()
  const ids = identities(count)
  const contacts = () => new FakeContacts(...ids.map(({ accountId }) => accountId))
  const people: SwarmConversations[] = []
  for (const who of ids) people.push(await world.join(who, { contacts: contacts() }))
  const [first] = people as [SwarmConversations]
  const id = await first.create({ mode: 2 })
  for (const [i, who] of ids.entries()) for (const other of ids.slice(0, i)) world.meet(other, who)
  for (const [i, who] of ids.entries()) {
    if (i === 0) continue
    await first.invite(id, who.accountId)
    await world.clock.advance(1000)
    await people[i]?.accept({ conversation: id, from: ids[0]?.accountId as never })
    await world.clock.advance(5000)
  }
  return { world, people, ids, id }
}

const heads = (people: readonly SwarmConversations[], id: ConversationId) => new Set(people.map((one) => one.get(id)?.head))

async function mergesIn(one: SwarmConversations, id: ConversationId): Promise<number> {
  let merges = 0
  for await (const { type } of one.history(id)) if (type === 'merge') merges++
  return merges
}

describe('a conversation to which everybody writes at once', () => {
  it('SWM-21 has one head within 3 s after the last text, with fewer than one merge for two texts, and is at rest then', async () => {
    const { world, people, id } = await group(4)
    const before = await mergesIn(people[0] as SwarmConversations, id)
    const expected: string[] = []
    for (let i = 0; i < 10; i++) {
      for (const [who, one] of people.entries()) await one.append(id, text(`${who} ${i}`)).then(() => expected.push(`${who} ${i}`))
      await world.clock.advance(5)
    }
    await world.clock.runUntil(() => heads(people, id).size === 1, 3000)
    for (const one of people) expect((await texts(one, id)).sort()).toEqual(expected.sort())
    expect(await mergesIn(people[0] as SwarmConversations, id) - before).toBeLessThan(20)
    const head = people[0]?.get(id)?.head
    await world.clock.advance(30_000)
    const sent = world.messages.sent.length
    await world.clock.advance(60_000)
    expect([[...heads(people, id)], world.messages.sent.length - sent]).toEqual([[head], 0])
  })

  it('SWM-21 a text of one while nobody else writes is there as fast as a link carries it, without a merge', async () => {
    const { world, people, id } = await group(3)
    const before = await mergesIn(people[0] as SwarmConversations, id)
    for (let i = 0; i < 6; i++) {
      await people[i % 3]?.append(id, text(`${i}`))
      const begin = world.clock.now()
      await world.clock.runUntil(() => heads(people, id).size === 1, 1000)
      expect(world.clock.now() - begin).toBeLessThan(150)
    }
    expect(await mergesIn(people[0] as SwarmConversations, id)).toBe(before)
  })
})

describe('notices of what is here', () => {
  it('sent for ever by a member cost a look now and then, and none while nobody merged lately', async () => {
    const { world, people, ids, id } = await group(3)
    const [a] = people as [SwarmConversations]
    let looks = 0
    const links = world.network.managers.get(ids[0]?.deviceId as never)
    const hint = async (ms: number) => {
      for (let i = 0; i < ms / 50; i++) {
        await world.tell(ids[0] as DeviceIdentity, ids[1] as DeviceIdentity, 'application/im-gitmessage-id', printCommitNotice({ conversation: id, commit: a.get(id)?.head as never, device: ids[1]?.deviceId as never }))
        await world.clock.advance(50)
      }
    }
    const bytes = () => links?.links().find(({ peer }) => peer.deviceId === ids[1]?.deviceId)?.bytesIn ?? 0
    await world.clock.advance(60_000)
    const quiet = bytes()
    await hint(10_000)
    expect(bytes()).toBe(quiet)
    await Promise.all([a.append(id, text('1')), people[2]?.append(id, text('2'))])
    await world.clock.advance(500)
    const begin = bytes()
    await hint(25_000)
    looks = (bytes() - begin) / 200
    expect(looks).toBeGreaterThan(0)
    expect(looks).toBeLessThan(12)
  })
})
