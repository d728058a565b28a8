// The channel in memory, by the contract suite of the real one.
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { utf8 } from '../codec/bytes.ts'
import { channelPair } from './channel-pair.ts'
import { ManualClock } from './manual-clock.ts'
import { channelSuite } from './suites/channel.ts'
import { testIdentity, testPeer } from './test-identities.ts'

const peers = () => [testPeer(testIdentity(0)), testPeer(testIdentity(1))] as const

describe('channelPair', () => {
  for (const { title, run } of channelSuite(() => {
    const [a, b] = channelPair({ name: 'test:1', peers: peers() })
    return { a, b, drive: (work) => work }
  })) it(title, run)

  for (const { title, run } of channelSuite(() => {
    const clock = new ManualClock()
    const [a, b] = channelPair({ name: 'test:1', peers: peers(), clock, latencyMs: 20 })
    return { a, b, drive: (work) => clock.run(work), dispose: async () => clock.advance(100).then(() => expect(clock.pending()).toEqual([])) }
  })) it(`in virtual time: ${title}`, run)

  it('a broken link ends this end with its reason', async () => {
    const [a] = channelPair({ name: 'test:1', peers: peers() })
    const lost = new JamiError('ERR_LINK_LOST', 'gone')
    a.breakLink(lost)
    expect(await a.closed).toBe(lost)
    await expect(a.write(utf8('x'))).rejects.toBe(lost)
  })
})
