// Who gets a channel, and what a request that comes to nothing leaves behind: nothing.
import { deferred } from '@jamikit/core/base'
import type { Channel } from '@jamikit/core/contracts'
import { ManualClock, testIdentity, testPeer } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { ACCEPT_TIMEOUT_MS } from '../defaults.ts'
import { ChannelRequests } from './channel-requests.ts'

const [peer, other] = [testPeer(testIdentity(1)), testPeer(testIdentity(2))]

function lab() {
  const clock = new ManualClock()
  const life = new AbortController()
  const requests = new ChannelRequests(clock, life.signal)
  const state: { answer: (name: string) => boolean | Promise<boolean>; asked: number } = { answer: () => true, asked: 0 }
  const opened: Channel[] = []
  requests.handle('x', { limit: (name) => ({ of: name, max: 2 }), accept: (name) => (state.asked++, state.answer(name)), open: (channel) => opened.push(channel) })
  const over = deferred<undefined>()
  const channel = { closed: over.promise } as unknown as Channel
  const take = async (name = 'x:1', who = peer) => (await clock.run(requests.decide(who, name))) !== undefined
  return { clock, life, requests, state, opened, over, channel, take }
}

describe('channel requests', () => {
  it('are counted by device and group: one that is full says nothing about the others', async () => {
    const t = lab()
    expect([await t.take(), await t.take(), await t.take()]).toEqual([true, true, false])
    expect([await t.take('x:2'), await t.take('x:1', other), t.state.asked]).toEqual([true, true, 4])
  })

  it.each<[string, () => boolean | Promise<boolean>]>([
    ['a decline', () => false],
    ['a handler that throws', (): boolean => { throw new Error('no') }],
    ['a handler that rejects', () => Promise.reject(new Error('no'))],
    ['a handler that does not decide in time', () => new Promise<boolean>(() => {})],
  ])('%s takes no room', async (_, answer) => {
    const t = lab()
    t.state.answer = answer
    for (let i = 0; i < 5; i++) expect(await t.take()).toBe(false)
    t.state.answer = () => true
    expect([await t.take(), await t.take(), await t.take(), t.state.asked, t.clock.pending()]).toEqual([true, true, false, 7, []])
  })

  it('a handler has 2.5 s, and a late yes changes nothing', async () => {
    const t = lab()
    const late = deferred<boolean>()
    t.state.answer = () => late.promise
    const before = t.clock.now()
    expect([await t.take(), t.clock.now() - before]).toEqual([false, ACCEPT_TIMEOUT_MS])
    late.resolve(true)
    await t.clock.advance(1000)
    expect(t.opened).toEqual([])
  })

  it('a channel that was taken makes room when it is closed, or when it did not come about, once', async () => {
    const t = lab()
    const [first, second] = [await t.clock.run(t.requests.decide(peer, 'x:1')), await t.clock.run(t.requests.decide(peer, 'x:1'))]
    first?.open(t.channel)
    second?.dropped()
    second?.dropped()
    expect([t.opened, await t.take(), await t.take()]).toEqual([[t.channel], true, false])
    t.over.resolve(undefined)
    await t.clock.settle()
    expect([await t.take(), await t.take()]).toEqual([true, false])
  })

  it('without a handler there is none, and a handler has its scheme alone until it is taken away', async () => {
    const t = lab()
    expect(await t.take('nobody:1')).toBe(false)
    expect(() => t.requests.handle('x', { accept: () => true, open: () => {} })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })
})
