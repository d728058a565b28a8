// Packs that are made at a time: limits for all and for each device, in turn, given back whatever happens. docs/protocol/04 §4.3.
import { describe, expect, it } from 'vitest'
import { MAX_SERVE_WAITING, MAX_SERVE_WAITING_PER_DEVICE, MAX_SERVING } from '../defaults.ts'
import { ServeQueue } from './serve-queue.ts'
import { ServeSlots } from './serve-slots.ts'

describe('the serve queue', () => {
  it('one of a device at a time, so many in all; who waits comes in turn by device, not by who asks most', () => {
    const queue = new ServeQueue<string>()
    for (let i = 0; i < MAX_SERVING - 1; i++) expect(queue.enter(`d${i}`, `${i}`)).toBe('started')
    expect(queue.enter('d0', 'd0 again')).toBe('waiting') // there is room, but not for this one
    expect(queue.enter('last', 'x')).toBe('started')
    for (let i = 0; i < 3; i++) expect(queue.enter('greedy', `greedy ${i}`)).toBe('waiting')
    expect(queue.enter('modest', 'modest')).toBe('waiting')
    expect(queue.leave('last')).toBe('greedy 0')
    expect(queue.leave('d0')).toBe('d0 again') // first in the row, and its device is free now
    expect(queue.leave('d1')).toBe('modest')
    expect(queue.leave('modest')).toBeUndefined() // greedy has one
    expect(queue.leave('greedy')).toBe('greedy 1')
  })

  it('so many of a device wait, and so many in all', () => {
    const queue = new ServeQueue<number>()
    expect(queue.enter('a', 0)).toBe('started')
    for (let i = 0; i < MAX_SERVE_WAITING_PER_DEVICE; i++) expect(queue.enter('a', i)).toBe('waiting')
    expect(queue.enter('a', 99)).toBe('full')
    for (let i = 0; i < MAX_SERVING - 1; i++) queue.enter(`d${i}`, i)
    for (let i = MAX_SERVE_WAITING_PER_DEVICE; i < MAX_SERVE_WAITING; i++) expect(queue.enter(`w${i}`, i)).toBe('waiting')
    expect(queue.enter('one more', 0)).toBe('full')
    queue.cancel('a', 3)
    expect(queue.enter('one more', 0)).toBe('waiting')
    queue.cancel('nobody', 3)
  })
})

describe('slots', () => {
  const signal = new AbortController().signal

  it('who waits goes on when somebody leaves; leaving twice counts once', async () => {
    const slots = new ServeSlots()
    const leave = await slots.enter('a', signal)
    let entered = 0
    const waiting = [0, 1].map(() => slots.enter('a', signal).then((l) => (entered++, l)))
    await new Promise((resolve) => setImmediate(resolve))
    expect(entered).toBe(0)
    leave()
    leave()
    await waiting[0]
    await new Promise((resolve) => setImmediate(resolve))
    expect(entered).toBe(1)
    ;(await waiting[0])?.()
    await waiting[1]
  })

  it('who gives up does not keep its place, and too many are refused', async () => {
    const slots = new ServeSlots()
    const leave = await slots.enter('a', signal)
    const controller = new AbortController()
    const gone = slots.enter('a', controller.signal)
    const next = slots.enter('a', signal)
    controller.abort(new Error('gone'))
    await expect(gone).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    await expect(slots.enter('a', controller.signal)).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    for (let i = 1; i < MAX_SERVE_WAITING_PER_DEVICE; i++) void slots.enter('a', signal)
    await expect(slots.enter('a', signal)).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    leave()
    await next
  })
})
