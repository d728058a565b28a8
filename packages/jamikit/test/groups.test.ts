// A group of three accounts on the simulated network: made, joined by two who were invited, texts of all for all, one is banned, one leaves.
// The two who were invited are no contacts of each other: what they write travels through the one who made the group.
// docs/protocol/04 §5.4, §5.5, §8.1.
import type { Account } from '@jamikit/core'
import type { ConversationId, Conversations } from '@jamikit/core/contracts'
import { createTestNetwork } from 'jamikit/testing'
import { expect, it } from 'vitest'

/** Virtual time within which accounts that are online agree on anything. */
const AGREE_MS = 120_000

/** The contract below the public face. */
const groupsOf = (account: Account): Conversations => (account as unknown as { local: { conversations: Conversations } }).local.conversations

const text = (body: string) => ({ type: 'text/plain', fields: { body } })

it('SWM-6 SWM-30 a group is made, joined, spoken in by all, rid of one by its admin and left by another', async () => {
  const net = await createTestNetwork({ seed: 31 })
  const people = [await net.account('alice'), await net.account('bob'), await net.account('carol')] as const
  const [alice, bob, carol] = people
  const [a, b, c] = [groupsOf(alice), groupsOf(bob), groupsOf(carol)]
  await net.befriend(alice, bob)
  await net.befriend(alice, carol)
  const until = (done: () => boolean) => net.clock.runUntil(done)
  const texts = async (of: Conversations, id: ConversationId) => {
    const out: (string | undefined)[] = []
    for await (const { type, fields } of of.history(id, { order: 'oldest' })) if (type === 'text/plain') out.push(fields.body)
    return out
  }

  const id = await net.run(a.create({ mode: 2, profile: { title: 'Trio' } }))
  for (const [who, of] of [[bob, b], [carol, c]] as const) {
    await net.run(a.invite(id, who.uri))
    await until(() => of.invitations().length > 0)
    expect(of.invitations()).toMatchObject([{ conversation: id, from: alice.uri, mode: 2, profile: { title: 'Trio' } }])
    await net.run(of.accept({ conversation: id, from: alice.uri }))
    await until(() => a.roleOf(id, who.uri) === 'member' && of.get(id)?.state === 'ready')
  }
  for (const [n, of] of [a, b, c].entries()) {
    await net.run(of.append(id, text(`from ${n}`)))
    await net.advance(AGREE_MS)
  }
  for (const of of [a, b, c]) {
    expect(await net.run(texts(of, id))).toEqual(['from 0', 'from 1', 'from 2'])
    expect(Object.fromEntries(of.members(id).map(({ uri, role }) => [uri, role]))).toEqual({ [alice.uri]: 'admin', [bob.uri]: 'member', [carol.uri]: 'member' })
    expect([of.get(id)?.head, of.get(id)?.title]).toEqual([a.get(id)?.head, 'Trio'])
  }

  await net.run(a.ban(id, bob.uri))
  await net.run(b.append(id, text('let me in')))
  await net.run(a.append(id, text('without Bob')))
  await net.advance(AGREE_MS)
  await net.run(b.sync(id))
  for (const of of [a, c]) expect([await net.run(texts(of, id)), of.roleOf(id, bob.uri)]).toEqual([['from 0', 'from 1', 'from 2', 'without Bob'], 'banned'])
  expect(await net.run(texts(b, id))).toEqual(['from 0', 'from 1', 'from 2', 'let me in'])

  await net.run(c.leave(id))
  expect(c.list().map((known) => known.id)).not.toContain(id)
  await until(() => a.roleOf(id, carol.uri) === undefined)
  await net.run(a.append(id, text('alone')))
  await net.advance(AGREE_MS)
  expect([c.get(id), c.invitations()]).toEqual([undefined, []])

  await net[Symbol.asyncDispose]()
  await net.advance(60_000)
  expect([net.network.openSockets(), net.clock.pending()]).toEqual([[], []])
})
