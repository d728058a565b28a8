// Packets pulled from a channel: silence, trickling and a peer that does not read end a session; nothing is read ahead. docs/protocol/04 §4.3.
import { concatBytes, utf8 } from '@jamikit/core/codec'
import { ManualClock } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { channel } from '../../test/serving.ts'
import { SESSION_IDLE_MS, SESSION_MIN_RATE } from '../defaults.ts'
import { GitStream } from './git-stream.ts'
import { pkt, pktText } from './pkt-line.ts'

const outcome = (work: Promise<unknown>) => work.then((value) => value, (error: unknown) => error)

describe('a git stream', () => {
  it('waits for a silent peer for a minute, or for ever when it is patient', async () => {
    const clock = new ManualClock()
    const [a, b] = channel({ clock })
    const waiting = outcome(new GitStream(b, clock).next())
    await clock.advance(SESSION_IDLE_MS - 1)
    expect(await Promise.race([waiting, 'still'])).toBe('still')
    await clock.advance(2)
    expect(await waiting).toMatchObject({ code: 'ERR_TIMEOUT' })
    const [c, d] = channel({ clock })
    const patient = outcome(new GitStream(d, clock).next({ patient: true }))
    await clock.advance(10 * SESSION_IDLE_MS)
    void c.write(pkt('late'))
    await clock.advance(1)
    expect(pktText((await patient) as Uint8Array)).toBe('late')
    a.abort()
  })

  it('ends with a peer that is never silent and brings nothing: a packet every second, progress of one byte', async () => {
    const clock = new ManualClock()
    const [a, b] = channel({ clock })
    const stream = new GitStream(b, clock)
    stream.begin()
    let seconds = 0
    const reading = outcome((async () => {
      for (;;) {
        await stream.next()
        stream.progress(1)
      }
    })())
    for (; seconds < 100; seconds++) {
      void a.write(pkt(Uint8Array.of(2, 46))).catch(() => {})
      await clock.advance(1000)
    }
    expect(await Promise.race([reading, 'still'])).toMatchObject({ code: 'ERR_TIMEOUT' })
  })

  it('stays with a slow one that brings more than the least rate, and a new session counts anew', async () => {
    const clock = new ManualClock()
    const [a, b] = channel({ clock })
    const stream = new GitStream(b, clock)
    stream.begin()
    for (let i = 0; i < 30; i++) {
      const next = stream.next()
      await clock.advance(10_000)
      void a.write(pkt(new Uint8Array(SESSION_MIN_RATE * 10)))
      await clock.advance(1)
      stream.progress(((await next) as Uint8Array).length)
    }
    await clock.advance(600_000)
    await expect(stream.expect()).rejects.toMatchObject({ code: 'ERR_TIMEOUT' })
    stream.begin()
    void a.write(pkt('again'))
    await clock.advance(1)
    expect(pktText((await stream.next()) as Uint8Array)).toBe('again')
  })

  it('much that came before buys no silence', async () => {
    const clock = new ManualClock()
    const [a, b] = channel({ clock })
    const stream = new GitStream(b, clock)
    stream.begin()
    stream.progress(1 << 30)
    const waiting = outcome(stream.next())
    await clock.advance(SESSION_IDLE_MS + 1)
    expect(await Promise.race([waiting, 'still'])).toMatchObject({ code: 'ERR_TIMEOUT' })
    a.abort()
  })

  it('reads no more than is asked for: what nobody takes holds the writer', async () => {
    const clock = new ManualClock()
    const [a, b] = channel({ highWaterBytes: 100_000 })
    const stream = new GitStream(b, clock)
    const tiny = concatBytes(...Array.from({ length: 15_000 }, () => utf8('0000')))
    let accepted = 0
    void (async () => {
      for (let i = 0; i < 50; i++) {
        await a.write(tiny)
        accepted++
      }
    })().catch(() => {})
    await stream.next()
    await clock.settle()
    expect(stream.bytesRead).toBe(tiny.length)
    expect(accepted).toBeLessThan(5)
    for (let i = 1; i < 15_000; i++) expect(await stream.next()).toBe('flush')
    expect(stream.bytesRead).toBe(tiny.length)
    a.abort()
  })

  it('a peer that does not take what we write is given up, not waited for', async () => {
    const clock = new ManualClock()
    const [a] = channel({ clock, highWaterBytes: 1000 })
    const stream = new GitStream(a, clock)
    await stream.write(new Uint8Array(1000))
    const writing = outcome(stream.write(new Uint8Array(10)))
    await clock.advance(SESSION_IDLE_MS + 1)
    expect(await writing).toMatchObject({ code: 'ERR_TIMEOUT' })
  })

  it('the end of the channel is an end, or an error where more is expected', async () => {
    const [a, b] = channel()
    const stream = new GitStream(b, new ManualClock())
    await a.close()
    expect(await stream.next()).toBeUndefined()
    await expect(stream.expect()).rejects.toMatchObject({ code: 'ERR_CHANNEL_CLOSED' })
  })
})
