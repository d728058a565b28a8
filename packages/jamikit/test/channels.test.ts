// SDK protocols of programs: limits per peer hold however many channels are asked for at once. Everything real but sockets and time.
import type { PublicChannel as Channel } from '@jamikit/core'
import { createTestNetwork } from 'jamikit/testing'
import { expect, it } from 'vitest'

it('250 channels asked for in the same moment: the handler of a protocol gets maxPerPeer of them; a closed one makes room', async () => {
  const net = await createTestNetwork({ seed: 1 })
  const node = await net.createNode({ host: 'alice' })
  const alice = await net.run(node.accounts.open('alice', { displayName: 'alice' }))
  await net.run(alice.ready())
  const bob = await net.account('bob')
  await net.befriend(alice, bob)
  const served: Channel[] = []
  bob.channels.handle('echo', (channel) => void served.push(channel), { maxPerPeer: 16 })
  bob.channels.handle('other', (channel) => void channel.end())
  const open = (protocol: string) => node.connect(bob.uri, { account: alice }).openChannel(protocol).then((channel) => channel, (error: { code?: string }) => error.code ?? 'unknown')
  const outcomes = await net.run(Promise.all(Array.from({ length: 250 }, () => open('echo'))))
  expect([served.length, outcomes.filter((o) => o === 'ERR_CHANNEL_DECLINED').length]).toEqual([16, 234])
  expect(await net.run(open('other'))).not.toBe('ERR_CHANNEL_DECLINED')
  expect(await net.run(open('echo'))).toBe('ERR_CHANNEL_DECLINED')
  served[0]?.end()
  await net.advance(1000)
  expect(await net.run(open('echo'))).not.toBe('ERR_CHANNEL_DECLINED')
  for (const channel of [...served, ...outcomes]) if (typeof channel !== 'string') channel.destroy()
  await net[Symbol.asyncDispose]()
})
