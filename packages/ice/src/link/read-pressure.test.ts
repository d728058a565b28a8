// Unread channels: when the link is paused, how long one may do that, what earns more time. Virtual time.
import { ManualClock } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { LINK_RECEIVE_BYTES, MIN_READ_BYTES_PER_S, RECEIVE_HIGH_BYTES, RECEIVE_LOW_BYTES, STALL_MS } from '../defaults.ts'
import { ReadPressure, type Unread } from './read-pressure.ts'

class Waiting implements Unread {
  waitingBytes = 0
  isOver = false
}

function one() {
  const clock = new ManualClock()
  const log: string[] = []
  const ended: Unread[] = []
  const pressure = new ReadPressure(clock, {
    pause: () => log.push('pause'),
    resume: () => log.push('resume'),
    end: (channel) => {
      ended.push(channel)
      const c = channel as Waiting
      c.isOver = true
      change(c, -c.waitingBytes)
    },
  })
  const change = (channel: Waiting, by: number) => {
    channel.waitingBytes += by
    pressure.changed(channel, by)
  }
  return { clock, log, ended, pressure, change, channel: () => new Waiting() }
}

describe('read pressure', () => {
  it('pauses the link for a channel over its bound, and goes on when its reader has made some room', () => {
    const t = one()
    const a = t.channel()
    t.change(a, RECEIVE_HIGH_BYTES)
    expect(t.log).toEqual([])
    t.change(a, 1)
    expect(t.log).toEqual(['pause'])
    t.change(a, RECEIVE_LOW_BYTES + 1 - a.waitingBytes)
    expect(t.log).toEqual(['pause'])
    t.change(a, -1)
    expect([t.log, t.clock.pending()]).toEqual([['pause', 'resume'], []])
  })

  it('ends a channel that nobody reads, and the link goes on', async () => {
    const t = one()
    const a = t.channel()
    t.change(a, RECEIVE_HIGH_BYTES + 1)
    await t.clock.advance(STALL_MS - 1)
    expect(t.ended).toEqual([])
    await t.clock.advance(1)
    expect([t.ended, t.log, t.clock.pending()]).toEqual([[a], ['pause', 'resume'], []])
  })

  it('a reader that takes a little now and then does not extend the time for ever: a trickle buys a trickle', async () => {
    const t = one()
    const a = t.channel()
    t.change(a, 64 * RECEIVE_HIGH_BYTES)
    const began = t.clock.now()
    while (t.ended.length === 0 && t.clock.now() - began < 600_000) {
      t.change(a, -1000)
      await t.clock.advance(1000)
    }
    expect(t.clock.now() - began).toBeLessThanOrEqual(STALL_MS * 1.2)
  })

  it('nor does one that makes just enough room each time for the link to go on, and is full again at once', async () => {
    const t = one()
    const a = t.channel()
    t.change(a, RECEIVE_HIGH_BYTES + 1)
    const step = RECEIVE_HIGH_BYTES + 1 - RECEIVE_LOW_BYTES
    const began = t.clock.now()
    while (t.ended.length === 0 && t.clock.now() - began < 600_000) {
      await t.clock.advance(STALL_MS - 100)
      if (t.ended.length > 0) break
      t.change(a, -step)
      t.change(a, step)
    }
    expect(t.clock.now() - began).toBeLessThan(20 * STALL_MS)
    expect(t.ended).toEqual([a])
  })

  it('a reader at the minimum rate keeps its channel', async () => {
    const t = one()
    const a = t.channel()
    t.change(a, RECEIVE_HIGH_BYTES + 1)
    for (let i = 0; i < 600; i++) {
      t.change(a, -MIN_READ_BYTES_PER_S)
      t.change(a, MIN_READ_BYTES_PER_S)
      await t.clock.advance(1000)
    }
    expect([t.ended, t.pressure.paused]).toEqual([[], true])
    t.pressure.close()
  })

  it('patience is not saved up: whoever read much before has no longer than anybody else', async () => {
    const t = one()
    const a = t.channel()
    t.change(a, RECEIVE_HIGH_BYTES + 1)
    for (let i = 0; i < 1000; i++) {
      t.change(a, -RECEIVE_HIGH_BYTES)
      t.change(a, RECEIVE_HIGH_BYTES)
    }
    await t.clock.advance(STALL_MS)
    await t.clock.advance(STALL_MS)
    expect(t.ended).toEqual([a])
  })

  it('many channels below their own bound are bounded together; the fullest go first, until half of the room is free', async () => {
    const t = one()
    const channels = Array.from({ length: 1000 }, () => t.channel())
    for (const c of channels) t.change(c, LINK_RECEIVE_BYTES / 1000)
    const big = t.channel()
    t.change(big, RECEIVE_HIGH_BYTES / 2)
    expect(t.log).toEqual(['pause'])
    await t.clock.advance(STALL_MS)
    const rest = channels.reduce((sum, c) => sum + c.waitingBytes, big.waitingBytes)
    expect([t.ended[0], rest <= LINK_RECEIVE_BYTES / 2, rest > LINK_RECEIVE_BYTES / 3, t.log]).toEqual([big, true, true, ['pause', 'resume']])
  })

  it('what an ended channel left unread counts in the room of the link, and holds nothing up alone', async () => {
    const t = one()
    const left = t.channel()
    t.change(left, 2 * RECEIVE_HIGH_BYTES)
    left.isOver = true
    t.pressure.changed(left, 0)
    expect(t.log).toEqual(['pause', 'resume'])
    await t.clock.advance(10 * STALL_MS)
    expect(t.ended).toEqual([])
    for (let i = 0; i < 8; i++) {
      const c = t.channel()
      c.isOver = true
      t.change(c, RECEIVE_HIGH_BYTES)
    }
    expect(t.pressure.paused).toBe(true)
    await t.clock.advance(STALL_MS)
    expect([t.ended[0], t.pressure.paused]).toEqual([left, false])
  })

  it('the end of the link leaves no timer', () => {
    const t = one()
    t.change(t.channel(), RECEIVE_HIGH_BYTES + 1)
    t.change(t.channel(), LINK_RECEIVE_BYTES)
    t.pressure.close()
    t.change(t.channel(), 2 * LINK_RECEIVE_BYTES)
    expect([t.clock.pending(), t.log]).toEqual([[], ['pause', 'resume']])
  })
})
