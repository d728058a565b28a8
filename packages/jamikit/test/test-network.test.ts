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
