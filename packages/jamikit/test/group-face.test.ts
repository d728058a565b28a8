// A group of three on the simulated network, through the public surface only: invited, joined, written to, edited, reacted to, searched, banned
// and left; two of them are no contacts of each other. Everything is real but sockets, time, randomness and key generation.
import type { Account, AccountEvents, Conversation, TextMessage } from '@jamikit/core'
import { createTestNetwork, type TestNetwork } from 'jamikit/testing'
import { expect, it } from 'vitest'

const LIMIT_MS = 600_000

/** What an account is told of a conversation, in short. */
function told(account: Account): string[] {
  const out: string[] = []
  account.on('message', (message) => out.push(message.type === 'text' ? message.text : message.type))
  account.on('message:edited', ({ message, previous }) => out.push(`${previous} > ${message.type === 'text' ? message.text : ''}`))
  account.on('message:deleted', () => out.push('deleted'))
  account.on('reaction', ({ emoji, removed }) => out.push(`${removed ? '-' : '+'}${emoji}`))
  account.on('member', ({ action }) => out.push(action))
  return out
}

const next = <K extends keyof AccountEvents>(account: Account, event: K, filter: (payload: AccountEvents[K]) => boolean = () => true) => account.once(event, { filter, timeoutMs: LIMIT_MS })

async function shown(net: TestNetwork, chat: Conversation): Promise<string[]> {
  const out: string[] = []
  await net.run((async () => {
    for await (const message of chat.history({ order: 'oldest' })) out.push(message.type === 'text' ? `${message.deleted ? 'gone' : message.text}${[...message.reactions.keys()].join('')}` : message.type)
  })())
  return out
}

it('SWM-6 SWM-17 a group from its beginning to its end, as programs see it', async () => {
  const net = await createTestNetwork({ seed: 31 })
  const [alice, bob, carol] = [await net.account('alice'), await net.account('bob'), await net.account('carol')]
  await net.befriend(alice, bob)
  await net.befriend(alice, carol)
  const heard = told(carol)
  const invites = [next(bob, 'invite'), next(carol, 'invite')]
  const group = await net.run(alice.conversations.create({ title: 'Three', members: [bob.uri, carol.uri] }))
  expect([group.kind, group.title, group.members.length]).toEqual(['group', 'Three', 3])
  const [hisInvite, hersInvite] = await net.run(Promise.all(invites), LIMIT_MS)
  expect([hisInvite?.title, hisInvite?.from.uri, carol.conversations.invites().length]).toEqual(['Three', alice.uri, 1])
  const [his, hers] = await net.run(Promise.all([hisInvite, hersInvite].map((invite) => (invite as AccountEvents['invite']).accept())), LIMIT_MS) as [Conversation, Conversation]
  await net.advance(60_000)
  expect([his, hers].map((chat) => [chat.title, chat.members.filter(({ role }) => role === 'member' || role === 'admin').length])).toEqual([['Three', 3], ['Three', 3]])

  const arriving = next(carol, 'message', (message) => message.type === 'text' && message.text === 'helo')
  const sent: TextMessage = await net.run(group.send('helo'))
  const seen = await net.run(arriving, LIMIT_MS)
  await net.run(sent.delivered({ all: true, timeoutMs: LIMIT_MS }), LIMIT_MS)
  await net.run(seen.react('👍'))
  await net.run(sent.edit('hello'))
  await net.run(hers.markRead(sent.id))
  await net.run(sent.delivered({ to: carol.uri, status: 'displayed', timeoutMs: LIMIT_MS }), LIMIT_MS)
  await net.advance(60_000)
  expect(sent.statuses().map(({ member, status }) => [member, status])).toContainEqual([carol.uri, 'displayed'])
  expect([group.unread, his.unread, hers.unread]).toEqual([0, 1, 0])
  const stories = [await shown(net, group), await shown(net, his), await shown(net, hers)]
  expect(stories[0]).toContain('hello👍')
  expect(stories[1]).toEqual(stories[0])
  expect(stories[2]).toEqual(stories[0])
  const found: string[] = []
  await net.run((async () => {
    for await (const message of group.search({ text: 'hel', from: alice.uri })) found.push(message.id)
  })())
  expect(found).toEqual([sent.id])

  await net.run(group.update({ title: 'Two' }))
  await net.run(group.ban(bob.uri))
  await net.advance(120_000)
  expect([hers.title, hers.members.find(({ uri }) => uri === bob.uri)?.role]).toEqual(['Two', 'banned'])
  expect(heard.filter((event) => event !== 'joined' && event !== 'invited')).toEqual(['helo', 'helo > hello', 'banned'])
  const gone = next(carol, 'conversation', ({ action }) => action === 'removed')
  await net.run(hers.leave())
  await net.run(gone, LIMIT_MS)
  expect(carol.conversations.list().some(({ id }) => id === group.id)).toBe(false)
  await net.advance(120_000)
  expect(group.members.some(({ uri }) => uri === carol.uri)).toBe(false)
  await net[Symbol.asyncDispose]()
  await net.advance(60_000)
  expect([net.network.openSockets(), net.clock.pending()]).toEqual([[], []])
})
