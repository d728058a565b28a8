// Channels of SDK protocols: who is let in, how many at a time, whatever comes at once.
import { describe, expect, it } from 'vitest'
import type { ChannelHandler } from '../contracts/connection-manager.ts'
import type { PeerIdentity } from '../contracts/identity.ts'
import type { JamiError } from '../base/errors.ts'
import { channelPair } from '../testing/channel-pair.ts'
import { type FakeConnectionManager, FakeConnectionNetwork } from '../testing/fake-connections.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { testIdentity, testPeer } from '../testing/test-identities.ts'
import { Protocols } from './protocols.ts'

const [self, friend, stranger] = [0, 1, 2].map((i) => testPeer(testIdentity(i))) as [PeerIdentity, PeerIdentity, PeerIdentity]

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
  /** Over connections: they count. */
  async function connected() {
    const clock = new ManualClock()
    const network = new FakeConnectionNetwork({ clock })
    const [own, one, two] = [0, 1, 2].map((i) => network.manager({ identity: testIdentity(i).device, policy: { allowsLink: () => true } })) as [FakeConnectionManager, FakeConnectionManager, FakeConnectionManager]
    await Promise.all([own.start(), one.start(), two.start()])
    const protocols = new Protocols({ connections: own, ownUri: self.accountId, isContact: () => true, onError: () => {} })
    const open = (from = one, name = 'jamikit:echo') => from.openChannel(self.deviceId, name).then((channel) => channel, (error: JamiError) => error.code)
    return { clock, protocols, one, two, open, run: <T>(work: Promise<T>) => clock.run(work) }
  }

  it.each([16, 1, 3])('%i: of 250 channels asked for at once exactly so many reach the function, also while `allow` thinks', async (max) => {
    const m = await connected()
    let calls = 0
    let asked = 0
    m.protocols.handle('echo', () => calls++, { ...(max === 16 ? {} : { maxPerPeer: max }), allow: async () => { asked++; await new Promise<void>((resolve) => m.clock.after(100, resolve)); return true } })
    const opened = await m.run(Promise.all(Array.from({ length: 250 }, () => m.open())))
    expect([calls, asked, opened.filter((channel) => channel !== 'ERR_CHANNEL_DECLINED').length]).toEqual([max, max, max])
  })

  it('counts per device and protocol, gives a place back when a channel ends, was refused or `allow` threw', async () => {
    const m = await connected()
    let allow = (): boolean => false
    m.protocols.handle('echo', () => {}, { maxPerPeer: 1, allow: () => allow() })
    m.protocols.handle('other', () => {}, { maxPerPeer: 1, allow: () => true })
    for (let i = 0; i < 5; i++) expect(await m.run(m.open())).toBe('ERR_CHANNEL_DECLINED')
    allow = () => { throw new Error('no') }
    for (let i = 0; i < 5; i++) expect(await m.run(m.open())).toBe('ERR_CHANNEL_DECLINED')
    allow = () => true
    const first = await m.run(m.open())
    if (typeof first === 'string') throw new Error(first)
    expect(await m.run(m.open())).toBe('ERR_CHANNEL_DECLINED')
    for (const [from, name] of [[m.two, 'jamikit:echo'], [m.one, 'jamikit:other']] as const) expect(await m.run(m.open(from, name))).toMatchObject({ name })
    await m.run(first.close())
    await m.clock.advance(1000)
    expect(await m.run(m.open())).toMatchObject({ name: 'jamikit:echo' })
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
