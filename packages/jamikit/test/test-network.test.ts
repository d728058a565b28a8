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

it('checks what it is given: options, names, accounts, times, promises', async () => {
  const wrong = (field: string) => expect.objectContaining({ code: 'ERR_ARGUMENT', details: expect.objectContaining({ field }) })
  for (const [field, options] of [['sed', { sed: 1 }], ['seed', { seed: {} }], ['seed', { seed: Number.NaN }], ['latencyMs', { latencyMs: -1 }], ['lossRate', { lossRate: 1 }], ['families', { families: 5 }], ['options', 'seed']] as const)
    await expect(createTestNetwork(options as never)).rejects.toEqual(wrong(field))
  const net = await createTestNetwork({ seed: 9, families: 'both', lossRate: 0 })
  const alice = await net.account('alice')
  await expect(net.account('alice')).rejects.toEqual(wrong('name'))
  for (const name of ['', 5, undefined]) await expect(net.account(name as never)).rejects.toEqual(wrong('name'))
  await expect(net.befriend(alice, alice)).rejects.toEqual(wrong('b'))
  await expect(net.befriend(alice, 'bob' as never)).rejects.toEqual(wrong('b'))
  expect(() => net.partition([alice], ['bob' as never])).toThrow(wrong('groups'))
  expect(() => net.partition(alice as never)).toThrow(wrong('groups'))
  await expect(net.run(5 as never)).rejects.toEqual(wrong('work'))
  await expect(net.run(Promise.resolve(), -1)).rejects.toEqual(wrong('limitMs'))
  await expect(net.advance('5' as never)).rejects.toEqual(wrong('ms'))
  await expect(net.createNode({ network: { bootstrap: [] } } as never)).rejects.toEqual(wrong('network'))
  await expect(net.createNode({ hots: 'x' } as never)).rejects.toEqual(wrong('hots'))
  await expect(net.createNode({ host: '' })).rejects.toEqual(wrong('host'))
  await net[Symbol.asyncDispose]()
})
