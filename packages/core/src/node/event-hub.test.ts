// The public emitter: order, async listeners, what a failing one costs, waiting for an event, streams of events, the end.
import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { deferred } from '../base/operation.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { EventHub } from './event-hub.ts'

interface Events {
  number: number
  text: string
}

function hub() {
  const clock = new ManualClock()
  const errors: unknown[] = []
  return { clock, errors, hub: new EventHub<Events>({ clock, what: 'the emitter', events: { number: true, text: true }, onError: (error) => errors.push(error) }) }
}

describe('listeners', () => {
  it('are called in order of registration, each registration once, until they are taken away', async () => {
    const { hub: h } = hub()
    const got: string[] = []
    const same = (n: number) => got.push(`same ${n}`)
    const off = h.on('number', same)
    h.on('number', same)
    h.on('number', (n) => got.push(`other ${n}`))
    await h.emit('number', 1)
    off()
    off()
    await h.emit('number', 2)
    expect(got).toEqual(['same 1', 'same 1', 'other 1', 'same 2', 'other 2'])
    expect(h.count('number')).toBe(2)
    expect(h.count('text')).toBe(0)
  })

  it('run at the same time, and emit() waits for all of them', async () => {
    const { hub: h } = hub()
    const [slow, quick] = [deferred<void>(), deferred<void>()]
    const done: string[] = []
    h.on('number', async () => { await slow.promise; done.push('slow') })
    h.on('number', async () => { await quick.promise; done.push('quick') })
    const emitting = h.emit('number', 1).then(() => done.push('emitted'))
    quick.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    expect(done).toEqual(['quick'])
    slow.resolve()
    await emitting
    expect(done).toEqual(['quick', 'slow', 'emitted'])
  })

  it('that throw or reject are reported; the others still get the event', async () => {
    const { hub: h, errors } = hub()
    const got: number[] = []
    h.on('number', () => { throw new Error('thrown') })
    h.on('number', async () => { throw new Error('rejected') })
    h.on('number', (n) => got.push(n))
    await h.emit('number', 1)
    expect(got).toEqual([1])
    expect(errors.map((e) => (e as Error).message)).toEqual(['thrown', 'rejected'])
  })

  it('end with their signal, and leave nothing at it', async () => {
    const { hub: h } = hub()
    const stop = new AbortController()
    let count = 0
    h.on('number', () => count++, { signal: stop.signal })
    const off = h.on('number', () => count++, { signal: stop.signal })
    off()
    expect(getEventListeners(stop.signal, 'abort').length).toBe(1)
    await h.emit('number', 1)
    stop.abort()
    await h.emit('number', 2)
    expect(count).toBe(1)
    h.on('number', () => count++, { signal: stop.signal })
    await h.emit('number', 3)
    expect(count).toBe(1)
  })

  it('must be functions', () => {
    expect(() => hub().hub.on('number', 'x' as never)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })
})

describe('once', () => {
  it('resolves with the first event that its filter takes', async () => {
    const { hub: h } = hub()
    const waiting = h.once('number', { filter: (n) => n > 1 })
    await h.emit('number', 1)
    await h.emit('number', 2)
    await h.emit('number', 3)
    expect(await waiting).toBe(2)
    expect(h.count('number')).toBe(0)
  })

  it('rejects when its time is over, when it is aborted, and when the emitter closes', async () => {
    const { hub: h, clock } = hub()
    const stop = new AbortController()
    const all = Promise.allSettled([h.once('number', { timeoutMs: 100 }), h.once('number', { signal: stop.signal }), h.once('number')])
    await clock.advance(100)
    stop.abort('reason')
    h.close()
    expect(await all).toMatchObject([{ reason: { code: 'ERR_TIMEOUT' } }, { reason: { code: 'ERR_ABORTED', cause: 'reason' } }, { reason: { code: 'ERR_CLOSED' } }])
    await expect(h.once('number')).rejects.toMatchObject({ code: 'ERR_CLOSED' })
    expect([clock.pending(), h.count('number'), getEventListeners(stop.signal, 'abort').length]).toEqual([[], 0, 0])
  })

  it('that the program has left is no uncaught rejection when the emitter closes, its time is over or it is aborted', async () => {
    const { hub: h, clock } = hub()
    const uncaught: unknown[] = []
    const note = (error: unknown) => uncaught.push(error)
    const others = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', note)
    try {
      const stop = new AbortController()
      void h.once('number')
      void h.once('number', { timeoutMs: 10 })
      void h.once('number', { signal: stop.signal })
      await clock.advance(10)
      stop.abort()
      h.close()
      void h.once('number')
      await new Promise((resolve) => setImmediate(resolve))
    } finally {
      process.off('unhandledRejection', note)
      for (const other of others) process.on('unhandledRejection', other)
    }
    expect(uncaught).toEqual([])
  })

  it('a filter that throws is reported and takes nothing', async () => {
    const { hub: h, errors } = hub()
    const waiting = h.once('number', { filter: (n) => { if (n === 1) throw new Error('filter'); return true } })
    await h.emit('number', 1)
    await h.emit('number', 2)
    expect([await waiting, errors.length]).toEqual([2, 1])
  })
})

describe('events', () => {
  it('gives every event in order, also those that come while the reader is busy, and ends with the emitter', async () => {
    const { hub: h } = hub()
    const stream = h.events('number')
    for (let n = 0; n < 100; n++) await h.emit('number', n)
    h.close()
    const got: number[] = []
    for await (const n of stream) got.push(n)
    expect(got).toEqual(Array.from({ length: 100 }, (_, n) => n))
  })

  it('fails with ERR_LIMIT when the reader is too slow, after what was kept', async () => {
    const { hub: h } = hub()
    const stream = h.events('number', { bufferSize: 2 })
    for (let n = 0; n < 4; n++) await h.emit('number', n)
    const got: number[] = []
    await expect((async () => { for await (const n of stream) got.push(n) })()).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    expect([got, h.count('number')]).toEqual([[0, 1], 0])
  })

  it('ends when the reader leaves or its signal fires, and listens no more', async () => {
    const { hub: h } = hub()
    const stop = new AbortController()
    const [left, aborted] = [h.events('number'), h.events('number', { signal: stop.signal })]
    await h.emit('number', 1)
    for await (const _ of left) break
    stop.abort()
    expect((await aborted.next()).value).toBe(1)
    expect((await aborted.next()).done).toBe(true)
    expect([h.count('number'), getEventListeners(stop.signal, 'abort').length]).toEqual([0, 0])
    expect((await h.events('number', { signal: stop.signal }).next()).done).toBe(true)
  })
})

describe('an event that there is not', () => {
  it.each(['nummer', '', 'constructor', '__proto__', 7, undefined, null])('%s is refused by on, once and events, and the error names those there are', async (name) => {
    const { hub: h } = hub()
    const refused = expect.objectContaining({ code: 'ERR_ARGUMENT', details: expect.objectContaining({ field: 'event', allowed: "'number' or 'text'" }) })
    expect(() => h.on(name as never, () => {})).toThrow(refused)
    expect(() => h.events(name as never)).toThrow(refused)
    await expect(h.once(name as never)).rejects.toEqual(refused)
  })
})

describe('a closed emitter', () => {
  it('tells nobody anything', async () => {
    const { hub: h } = hub()
    let count = 0
    h.on('number', () => count++)
    h.close()
    h.close()
    await h.emit('number', 1)
    expect([count, (await h.events('number').next()).done]).toEqual([0, true])
  })

  it('on() and once() say that it is over, a stream is at its end', async () => {
    const { hub: h } = hub()
    h.close()
    expect(() => h.on('number', () => {})).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }))
    expect(() => h.on('number', () => {}, { signal: AbortSignal.abort() })).toThrow(expect.objectContaining({ code: 'ERR_CLOSED' }))
    await expect(h.once('number')).rejects.toMatchObject({ code: 'ERR_CLOSED' })
    expect(await h.events('number').next()).toEqual({ value: undefined, done: true })
  })
})
