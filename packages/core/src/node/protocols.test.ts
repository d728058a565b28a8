// Channels of SDK protocols: who is let in, how many at a time, whatever comes at once.
import { describe, expect, it } from 'vitest'
import type { ChannelHandler } from '../contracts/connection-manager.ts'
import type { PeerIdentity } from '../contracts/identity.ts'
import { channelPair } from '../testing/channel-pair.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { testIdentity, testPeer } from '../testing/test-identities.ts'
import { Protocols } from './protocols.ts'

const [self, friend, stranger] = [0, 1, 2].map((i) => testPeer(testIdentity(i))) as [PeerIdentity, PeerIdentity, PeerIdentity]
const turn = () => new Promise((resolve) => setImmediate(resolve))

function make() {
  const clock = new ManualClock()
  const errors: unknown[] = []
  let wire: ChannelHandler | undefined
  const protocols = new Protocols({
    connections: { handle: (_scheme, handler) => { wire = handler; return () => {} } },
    ownUri: self.accountId, isContact: (uri) => uri === friend.accountId, onError: (error) => errors.push(error),
  })
  const handler = wire as ChannelHandler
  /** As the connection manager does: asks, and hands over when the answer is yes. */
  const open = async (name = 'jamikit:echo', peer = friend) => {
    if (!(await handler.accept(name, peer))) return undefined
    const [near, far] = channelPair({ name, peers: [self, peer], clock })
    handler.open(near)
    return far
  }
  return { clock, errors, protocols, handler, open }
}

describe('a protocol without a handler', () => {
  it('is declined, before there was one and after it is gone', async () => {
    const m = make()
    expect(await m.handler.accept('jamikit:echo', friend)).toBe(false)
    const off = m.protocols.handle('echo', () => {})
    expect(await m.handler.accept('jamikit:echo', friend)).toBe(true)
    expect(await m.handler.accept('jamikit:other', friend)).toBe(false)
    off()
    expect(await m.handler.accept('jamikit:echo', friend)).toBe(false)
  })

  it('ends a channel that was accepted before the handler went', async () => {
    const m = make()
    const off = m.protocols.handle('echo', () => {})
    expect(await m.handler.accept('jamikit:echo', friend)).toBe(true)
    off()
    const [near] = channelPair({ name: 'jamikit:echo', peers: [self, friend], clock: m.clock })
    m.handler.open(near)
    expect(await near.closed).toMatchObject({ code: 'ERR_CHANNEL_DECLINED' })
  })
})

describe('maxPerPeer', () => {
  it.each([16, 1, 3])('%i: of 250 channels asked for at once exactly so many reach the function, also while `allow` thinks', async (max) => {
    const m = make()
    let calls = 0
    let asked = 0
    m.protocols.handle('echo', () => calls++, { maxPerPeer: max, allow: async () => { asked++; await turn(); return true } })
    const opened = await Promise.all(Array.from({ length: 250 }, () => m.open()))
    expect([calls, asked, opened.filter((channel) => channel !== undefined).length]).toEqual([max, max, max])
  })

  it('holds when answers come in any order: channels that were accepted and are too many end with ERR_LIMIT', async () => {
    const m = make()
    let calls = 0
    m.protocols.handle('echo', () => calls++, { maxPerPeer: 1 })
    const answers = [await m.handler.accept('jamikit:echo', friend), await m.handler.accept('jamikit:echo', friend)]
    expect(answers).toEqual([true, true]) // neither is open yet
    const pairs = answers.map(() => channelPair({ name: 'jamikit:echo', peers: [self, friend], clock: m.clock }))
    for (const [near] of pairs) m.handler.open(near)
    expect(calls).toBe(1)
    expect(await pairs[1]?.[0].closed).toMatchObject({ code: 'ERR_LIMIT', details: { got: 2, allowed: 1 } })
  })

  it('counts per device, gives a place back when a channel ends or was refused, and one refused asker holds none', async () => {
    const m = make()
    let allowed = false
    m.protocols.handle('echo', () => {}, { maxPerPeer: 1, allow: () => allowed })
    for (let i = 0; i < 5; i++) expect(await m.open()).toBeUndefined()
    allowed = true
    const first = await m.open()
    expect(first).toBeDefined()
    expect(await m.open()).toBeUndefined()
    expect(await m.open('jamikit:echo', stranger)).toBeDefined() // `allow` said so
    await m.clock.run(first?.close() ?? Promise.resolve())
    await m.clock.settle()
    expect(await m.open()).toBeDefined()
  })

  it('an `allow` that throws declines and holds no place', async () => {
    const m = make()
    let fails = true
    m.protocols.handle('echo', () => {}, { maxPerPeer: 1, allow: () => { if (fails) throw new Error('no'); return true } })
    await expect(m.open()).rejects.toThrow('no')
    fails = false
    expect(await m.open()).toBeDefined()
  })
})

describe('who is let in', () => {
  it.each<[string, { allow?: 'contacts' | 'own-devices' }, boolean[]]>([
    ['by default: own devices and contacts', {}, [true, true, false]],
    ['contacts: own devices and contacts', { allow: 'contacts' }, [true, true, false]],
    ['own-devices: nobody else', { allow: 'own-devices' }, [true, false, false]],
  ])('%s', async (_title, options, expected) => {
    const m = make()
    m.protocols.handle('echo', () => {}, options)
    const answers = []
    for (const peer of [self, friend, stranger]) answers.push(await m.handler.accept('jamikit:echo', peer))
    expect(answers).toEqual(expected)
  })
})

it('a function that throws or rejects ends its channel and is reported', async () => {
  const m = make()
  m.protocols.handle('echo', async () => { throw new Error('in the function') })
  await m.open()
  await m.clock.settle()
  expect(m.errors).toMatchObject([{ message: 'in the function' }])
})

it('a second handler of a protocol is refused', () => {
  const m = make()
  m.protocols.handle('echo', () => {})
  expect(() => m.protocols.handle('echo', () => {})).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', details: expect.objectContaining({ field: 'protocol' }) }))
})
