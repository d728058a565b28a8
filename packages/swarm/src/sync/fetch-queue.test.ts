// What is fetched and what waits: against a plain model, and the rules one by one. docs/protocol/04 §4.5, B.3.
import type { AccountUri, ConversationId, DeviceId } from '@jamikit/core/contracts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_FETCH_WAITING_PER_PEER, MAX_FETCHING, MAX_FETCHING_PER_PEER } from '../defaults.ts'
import { type FetchJob, FetchQueue } from './fetch-queue.ts'

const job = (conversation: string, device: string, commit?: string): FetchJob => ({ conversation: conversation as ConversationId, device: device as DeviceId, account: (device[0] ?? '') as AccountUri, commit })
const short = (j: FetchJob | undefined) => j && `${j.conversation} ${j.device} ${j.commit ?? '-'}`

describe('the fetch queue', () => {
  it('one at a time per conversation and device; the newest announcement comes after it, those between do not', () => {
    const queue = new FetchQueue()
    queue.add(job('c', 'a1', '1'))
    expect(short(queue.take())).toBe('c a1 1')
    queue.add(job('c', 'a1', '2'))
    queue.add(job('c', 'a1', '3'))
    expect(queue.take()).toBeUndefined()
    expect(short(queue.done('c' as ConversationId, 'a1' as DeviceId))).toBe('c a1 3')
    queue.add(job('c', 'a1', '4'))
    expect(short(queue.take())).toBe('c a1 4')
    expect(queue.done('c' as ConversationId, 'a1' as DeviceId)).toBeUndefined()
    expect([queue.running, queue.waiting]).toEqual([0, 0])
  })

  it('conversations have their turn one after the other, however much one of them is announced', () => {
    const queue = new FetchQueue()
    for (const device of ['a1', 'b1', 'd1', 'e1']) queue.add(job('busy', device))
    queue.add(job('calm', 'f1'))
    expect([queue.take(), queue.take(), queue.take()].map(short)).toEqual(['busy a1 -', 'calm f1 -', 'busy b1 -'])
  })

  it('a peer has its share: what it announces more waits, and others go past it', () => {
    const queue = new FetchQueue()
    for (let i = 0; i < 10; i++) queue.add(job(`c${i}`, `h${i}`))
    queue.add(job('honest', 'b1'))
    const taken = Array.from({ length: MAX_FETCHING + 1 }, () => queue.take())
    expect(taken.filter((j) => j?.account === ('h' as AccountUri))).toHaveLength(MAX_FETCHING_PER_PEER)
    expect(taken.filter((j) => j?.account === ('b' as AccountUri))).toHaveLength(1)
    expect(queue.take()).toBeUndefined()
    queue.done('c0' as ConversationId, 'h0' as DeviceId)
    expect([queue.take(), queue.take()].map(short)).toEqual(['c2 h2 -', undefined])
  })

  it('so many run at a time', () => {
    const queue = new FetchQueue()
    for (let i = 0; i < 20; i++) queue.add(job(`c${i}`, `${String.fromCharCode(97 + i)}1`))
    expect(Array.from({ length: 20 }, () => queue.take()).filter(Boolean)).toHaveLength(MAX_FETCHING)
  })

  it('so many of a peer wait: its oldest is given back, those of others stay', () => {
    const queue = new FetchQueue()
    queue.add(job('honest', 'b1'))
    for (let i = 0; i < MAX_FETCH_WAITING_PER_PEER; i++) expect(queue.add(job(`c${i}`, 'h1'))).toBeUndefined()
    expect(queue.add(job('c0', 'h1', 'newer'))).toBeUndefined() // the same place
    expect(short(queue.add(job('one more', 'h1')))).toBe('c0 h1 newer')
    expect(queue.waiting).toBe(MAX_FETCH_WAITING_PER_PEER + 1)
    expect(short(queue.take())).toBe('honest b1 -')
  })

  it('a conversation that is left is not fetched any more, also not after what runs', () => {
    const queue = new FetchQueue()
    queue.add(job('c', 'a1'))
    queue.take()
    for (const next of [job('c', 'a1', 'later'), job('c', 'b1'), job('other', 'b1')]) queue.add(next)
    queue.forget('c' as ConversationId)
    queue.done('c' as ConversationId, 'a1' as DeviceId)
    expect([queue.take(), queue.take()].map(short)).toEqual(['other b1 -', undefined])
  })

  it('whatever happens in whatever order: limits hold, nothing announced is forgotten, nothing runs twice', () => {
    const event = fc.oneof(fc.record({ conversation: fc.constantFrom('1', '2', '3'), device: fc.constantFrom('a1', 'a2', 'b1', 'b2', 'd1') }), fc.constant('take' as const), fc.nat(5))
    fc.assert(fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const queue = new FetchQueue()
      const [running, due] = [new Map<string, FetchJob>(), new Map<string, number>()]
      const start = () => {
        const next = queue.take()
        if (!next) return false
        const key = next.conversation + next.device
        expect(running.has(key)).toBe(false)
        expect(next.commit).toBe(`${due.get(key)}`)
        due.delete(key)
        running.set(key, next)
        expect(running.size).toBeLessThanOrEqual(MAX_FETCHING)
        expect([...running.values()].filter((j) => j.account === next.account).length).toBeLessThanOrEqual(MAX_FETCHING_PER_PEER)
        return true
      }
      const end = (n: number) => {
        const [key, ended] = [...running][n % Math.max(1, running.size)] ?? []
        if (!key || !ended) return
        running.delete(key)
        queue.done(ended.conversation, ended.device)
      }
      let n = 0
      for (const e of events) {
        if (e === 'take') start()
        else if (typeof e === 'number') end(e)
        else {
          due.set(e.conversation + e.device, ++n)
          queue.add(job(e.conversation, e.device, `${n}`))
        }
      }
      while (start() || running.size > 0) end(0)
      expect([due.size, queue.waiting, queue.running]).toEqual([0, 0, 0])
    }), { numRuns: 2000 })
  })
})
