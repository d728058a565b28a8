// createTestNetwork as its users call it.
import { createTestNetwork } from 'jamikit/testing'
import { expect, it } from 'vitest'

it('an offline message arrives after the partition heals', async () => {
  const net = await createTestNetwork({ seed: 7, latencyMs: 40, lossRate: 0.02 })
  const [alice, bob] = [await net.account('alice'), await net.account('bob')]
  await net.befriend(alice, bob)
  net.partition([alice], [bob])
  const message = await (await alice.conversations.with(bob.uri)).send('hi')
  const got = bob.once('message', { filter: ({ type }) => type === 'text' })
  net.heal()
  await net.advance(60_000)
  expect((await got).id).toBe(message.id)
  await message.delivered()
  await net[Symbol.asyncDispose]()
})

it('gives the node of an account, and says which limit the 17th account meets and why', async () => {
  const net = await createTestNetwork({ seed: 3 })
  const alice = await net.account('alice')
  expect(net.node(alice).accounts.list()).toEqual([alice])
  expect(() => net.node({} as never)).toThrow(expect.objectContaining({ code: 'ERR_NOT_FOUND' }))
  for (let i = 2; i <= 16; i++) await net.account(`account ${i}`)
  await expect(net.account('one more')).rejects.toMatchObject({
    code: 'ERR_LIMIT', details: { got: 17, allowed: 16 }, message: 'accounts of one test network: got 17, allowed 16: each takes three of the 48 RSA keys that ship with the kit; make another network',
  })
  await net[Symbol.asyncDispose]()
})

it('befriending friends is over at once; delivered() waits for another member only', async () => {
  const net = await createTestNetwork({ seed: 5 })
  const [alice, bob, carol] = [await net.account('alice'), await net.account('bob'), await net.account('carol')]
  await net.befriend(alice, bob)
  const before = net.clock.now()
  await net.befriend(alice, bob)
  await net.befriend(bob, alice)
  expect(net.clock.now()).toBe(before)
  const message = await net.run((await net.run(alice.conversations.with(bob.uri))).send('hi'))
  for (const to of [carol.uri, alice.uri]) await expect(net.run(message.delivered({ to }))).rejects.toMatchObject({ code: 'ERR_NOT_MEMBER', details: { field: 'to' } })
  await net.run(message.delivered({ to: bob.uri }))
  await net[Symbol.asyncDispose]()
})
