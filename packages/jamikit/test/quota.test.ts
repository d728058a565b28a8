// A conversation that others make larger than the program allows: refused, told once, not fetched again and again, taken when the bound is raised.
import type { Account, JamiError, JamiNode } from '@jamikit/core'
import { memoryStorage } from 'jamikit'
import { SeededRandom } from '@jamikit/core/testing'
import { createTestNetwork } from 'jamikit/testing'
import { expect, it } from 'vitest'

const LIMIT = 60_000

it('limits.conversationBytes: what a contact writes beyond it stays away, the program hears of it, its own messages travel, and a higher bound brings the rest', async () => {
  await using net = await createTestNetwork({ seed: 11 })
  const alice = await net.account('alice')
  const storage = memoryStorage()
  const errors: JamiError[] = []
  const live = async (conversationBytes: number): Promise<{ node: JamiNode; bob: Account }> => {
    const node = await net.createNode({ host: 'bob', storage, limits: { conversationBytes } })
    node.on('error', ({ error }) => errors.push(error))
    const bob = await net.run(node.accounts.open('bob'))
    bob.on('contact:request', (request) => request.accept())
    await net.run(bob.ready())
    return { node, bob }
  }
  const first = await live(LIMIT)
  const hers = await net.run(alice.contacts.add(first.bob.uri))
  await net.clock.runUntil(() => hers.members.some(({ uri, role }) => uri === first.bob.uri && role === 'member'))

  const random = new SeededRandom('incompressible')
  const said = Array.from({ length: 12 }, (_, i) => `${i} ${Buffer.from(random.bytes(6000)).toString('base64')}`)
  for (const text of said) {
    await net.run(hers.send(text))
    await net.advance(20_000)
  }
  const heard = async (account: Account) => {
    const texts: string[] = []
    const read = async () => {
      for await (const message of (await account.conversations.with(alice.uri)).history({ order: 'oldest' })) if (message.type === 'text') texts.push(message.text)
    }
    await net.run(read())
    return texts
  }
  const some = await heard(first.bob)
  expect([some.length > 3, some.length < 10, some]).toEqual([true, true, said.slice(0, some.length)])
  expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['ERR_LIMIT']))
  expect(errors[0]).toMatchObject({ details: { conversation: hers.id, allowed: LIMIT } })
  const told = errors.length
  expect(new Set(errors.map(({ details }) => details.head)).size).toBe(told) // once for a head
  expect(told).toBeLessThanOrEqual(said.length - some.length)
  await net.advance(24 * 3_600_000)
  expect(errors.length).toBe(told)

  const arriving = alice.once('message', { filter: (message) => message.type === 'text' && message.text === 'you write too much' })
  await net.run((await net.run(first.bob.conversations.with(alice.uri))).send('you write too much'))
  await net.run(arriving)
  await net.run(first.node.close({ graceMs: 0 }))

  const second = await live(10 * LIMIT)
  await net.advance(600_000)
  expect((await heard(second.bob)).filter((text) => text !== 'you write too much')).toEqual(said)
})
