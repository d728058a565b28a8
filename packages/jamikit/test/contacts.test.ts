// Contacts between whole nodes on the simulated network: both ask at once, one is removed, banned, comes back.
// docs/protocol/03 §5.3, §5.5.
import type { Account, Conversation } from '@jamikit/core'
import type { ConversationId, Conversations } from '@jamikit/core/contracts'
import { createTestNetwork, type TestNetwork } from 'jamikit/testing'
import { describe, expect, it } from 'vitest'

/** Virtual time within which two accounts that are online agree on anything. */
const AGREE_MS = 120_000

async function two(seed: number): Promise<{ net: TestNetwork; alice: Account; bob: Account }> {
  const net = await createTestNetwork({ seed })
  return { net, alice: await net.account('alice'), bob: await net.account('bob') }
}

async function says(net: TestNetwork, from: Conversation, to: Account, text: string): Promise<Conversation> {
  const arriving = to.once('message', { filter: (message) => message.type === 'text' && message.text === text })
  await net.run(from.send(text))
  return (await net.run(arriving, AGREE_MS)).conversation
}

/** Each writes to the other in the conversation that it has with them; both must be the same one. */
async function talk(net: TestNetwork, alice: Account, bob: Account, mark: string): Promise<string> {
  const [hers, his] = [await net.run(alice.conversations.with(bob.uri)), await net.run(bob.conversations.with(alice.uri))]
  expect(hers.id).toBe(his.id)
  expect((await says(net, hers, bob, `to bob ${mark}`)).id).toBe(hers.id)
  expect((await says(net, his, alice, `to alice ${mark}`)).id).toBe(hers.id)
  return hers.id
}

async function end(net: TestNetwork): Promise<void> {
  await net[Symbol.asyncDispose]()
  await net.advance(60_000)
  expect([net.network.openSockets(), net.clock.pending()]).toEqual([[], []])
}

describe('two accounts that ask each other', () => {
  it.each([1, 2, 3, 4, 5, 6])('at the same time speak in one conversation (seed %i)', async (seed) => {
    const { net, alice, bob } = await two(seed)
    await net.run(Promise.all([alice.contacts.add(bob.uri), bob.contacts.add(alice.uri)]))
    await net.advance(AGREE_MS)
    await talk(net, alice, bob, 'hello')
    for (const account of [alice, bob]) expect(account.contacts.requests()).toEqual([])
    await end(net)
  })

  it.each([0, 40, 80, 120, 200, 300])('%i ms one after the other speak in one conversation', async (apart) => {
    const { net, alice, bob } = await two(7)
    const first = alice.contacts.add(bob.uri)
    await net.advance(apart)
    await net.run(Promise.all([first, bob.contacts.add(alice.uri)]))
    await net.advance(AGREE_MS)
    await talk(net, alice, bob, 'hello')
    await end(net)
  })

  it('while they cannot reach each other speak in one conversation when they can', async () => {
    const { net, alice, bob } = await two(8)
    net.partition([alice], [bob])
    await net.run(Promise.all([alice.contacts.add(bob.uri), bob.contacts.add(alice.uri)]))
    await net.advance(300_000)
    net.heal()
    await net.advance(1_200_000) // announcements come again within ten minutes
    await talk(net, alice, bob, 'hello')
    await end(net)
  })

  it('many times at once make one contact and one conversation', async () => {
    const { net, alice, bob } = await two(9)
    const made = await net.run(Promise.all(Array.from({ length: 5 }, () => alice.contacts.add(bob.uri))))
    expect(new Set(made.map((c) => c.id)).size).toBe(1)
    expect(alice.contacts.list().map((c) => c.uri)).toEqual([bob.uri])
    await end(net)
  })
})

describe('a contact that is removed', () => {
  it('ACC-34 loses its conversations and its links; banned, the conversation stays and the links go', async () => {
    for (const ban of [false, true]) {
      const { net, alice, bob } = await two(ban ? 11 : 10)
      await net.befriend(alice, bob)
      await talk(net, alice, bob, 'before')
      const id = (await net.run(alice.conversations.with(bob.uri))).id
      await net.run(alice.contacts.remove(bob.uri, { ban }))
      await net.advance(2000)
      const kept: string[] = []
      for await (const conversation of alice.conversations) kept.push(conversation.id)
      expect(kept).toEqual(ban ? [id] : [])
      expect(net.network.openSockets().filter((socket) => socket.startsWith('alice: tcp'))).toEqual([])

      // the other side still writes, and tries to reach us: nothing arrives, no link comes up
      let heard = 0
      alice.on('message', () => heard++)
      await net.run((await net.run(bob.conversations.with(alice.uri))).send('still there?'))
      await net.advance(AGREE_MS)
      expect([heard, alice.contacts.requests()]).toEqual([0, []])
      await end(net)
    }
  })

  type Step = (net: TestNetwork, inviter: Account, invited: Account) => Promise<unknown>
  const remove = (net: TestNetwork, who: Account, whom: Account) => net.run(who.contacts.remove(whom.uri))
  const ask = (net: TestNetwork, who: Account, whom: Account) => net.run(who.contacts.add(whom.uri))
  const asked = async (net: TestNetwork, whom: Account) => {
    await net.clock.runUntil(() => whom.contacts.requests().length > 0)
    await net.run(whom.contacts.requests()[0]?.accept() ?? Promise.reject(new Error('no request')))
  }
  it.each<[string, Step]>([
    ['the inviter removes and asks again', async (net, a, b) => { await remove(net, a, b); await ask(net, a, b) }],
    ['the invited removes and asks again', async (net, a, b) => { await remove(net, b, a); await ask(net, b, a) }],
    ['the inviter removes, the invited asks', async (net, a, b) => { await remove(net, a, b); await ask(net, b, a); await asked(net, a) }],
    ['the invited removes, the inviter asks', async (net, a, b) => { await remove(net, b, a); await ask(net, a, b); await asked(net, b) }],
    ['both remove, the inviter asks', async (net, a, b) => { await remove(net, a, b); await remove(net, b, a); await ask(net, a, b); await asked(net, b) }],
    ['both remove, the invited asks', async (net, a, b) => { await remove(net, a, b); await remove(net, b, a); await ask(net, b, a); await asked(net, a) }],
    ['both remove, both ask at once', async (net, a, b) => { await remove(net, a, b); await remove(net, b, a); await net.run(Promise.all([a.contacts.add(b.uri), b.contacts.add(a.uri)])) }],
    ['the inviter removes and asks again while the invited is away', async (net, a, b) => {
      net.partition([a], [b])
      await remove(net, a, b)
      await net.advance(60_000)
      await ask(net, a, b)
      await net.advance(300_000)
      net.heal()
    }],
  ])('SWM-31 comes back, and both speak in one conversation: %s', async (_order, step) => {
    const { net, alice, bob } = await two(12)
    await net.befriend(alice, bob)
    await talk(net, alice, bob, 'first life')
    await net.advance(60_000)
    await step(net, alice, bob)
    await net.advance(1_200_000) // announcements come again within ten minutes
    await talk(net, alice, bob, 'second life')
    for (const account of [alice, bob]) expect(account.contacts.requests()).toEqual([])
    await end(net)
  })
})

it.each(['leave', 'remove'] as const)('SWM-31 a 1:1 that one of two contacts %ss begins anew: both speak in the new one', async (how) => {
  const { net, alice, bob } = await two(13)
  await net.befriend(alice, bob)
  const first = await talk(net, alice, bob, 'first')
  await net.advance(60_000)
  const { conversations } = (bob as unknown as { local: { conversations: Conversations } }).local
  await net.run(conversations[how](first as ConversationId))
  await net.advance(AGREE_MS)
  expect(await talk(net, alice, bob, 'second')).not.toBe(first)
  expect(conversations.get(first as ConversationId)).toBeUndefined()
  await end(net)
})

describe('a contact request', () => {
  it('is told to a listener that comes late, and not again to one that had it', async () => {
    const { net, alice, bob } = await two(14)
    const early: string[] = []
    const late: string[] = []
    bob.on('contact:request', ({ from }) => early.push(from.uri))
    await net.run(alice.contacts.add(bob.uri))
    await net.advance(5000)
    const off = bob.on('contact:request', ({ from }) => late.push(from.uri))
    bob.on('contact:request', () => late.push('taken away before its turn'))()
    await net.settle()
    expect([early, late]).toEqual([[alice.uri], [alice.uri]])
    off()
    await end(net)
  })

  it('can be accepted again, which gives the same conversation; one that was declined cannot', async () => {
    const { net, alice, bob } = await two(15)
    await net.run(alice.contacts.add(bob.uri))
    await net.advance(5000)
    const [request] = bob.contacts.requests()
    const [a, b] = await net.run(Promise.all([request?.accept(), request?.accept()]))
    const c = await net.run(request?.accept() ?? Promise.reject(new Error('no request')))
    expect([a?.id === b?.id, b?.id === c.id]).toEqual([true, true])
    await end(net)

    const other = await two(16)
    await other.net.run(other.alice.contacts.add(other.bob.uri))
    await other.net.advance(5000)
    const [declined] = other.bob.contacts.requests()
    await other.net.run(declined?.decline() ?? Promise.resolve())
    await expect(declined?.accept()).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    expect(other.bob.contacts.requests()).toEqual([])
    await end(other.net)
  })

  it('whose acceptance waits for a clone ends with ERR_CLOSED when the node is closed', async () => {
    const { net, alice, bob } = await two(17)
    await net.run(alice.contacts.add(bob.uri))
    await net.advance(5000)
    const [request] = bob.contacts.requests()
    net.partition([alice], [bob])
    const waiting = request?.accept().then(() => 'accepted', (error: { code: string }) => error.code)
    const delivered = net.run(alice.conversations.with(bob.uri)).then((c) => c.send('x')).then((m) => m.delivered()).catch((error: { code: string }) => error.code)
    await net.advance(20_000)
    await end(net)
    expect([await waiting, await delivered]).toEqual(['ERR_CLOSED', 'ERR_CLOSED'])
  })
})
