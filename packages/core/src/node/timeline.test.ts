// What the program has handled: listeners and loops, at least once, in order within a conversation, acknowledged when handled.
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { type Deferred, deferred } from '../base/operation.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { ConversationId, MessageId } from '../contracts/ids.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { MAX_UNDER_WAY } from './acknowledger.ts'
import { Timeline } from './timeline.ts'

const [red, blue] = ['a'.repeat(40), 'b'.repeat(40)] as [ConversationId, ConversationId]
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** What is not acknowledged, as conversations keep it over a restart. */
class Kept {
  readonly waiting = new Map<ConversationId, string[]>([[red, []], [blue, []]])
  readonly acknowledged: string[] = []
  failure: Error | undefined
  unreadable: ConversationId | undefined
  yielded = 0

  async *unacknowledged(id: ConversationId) {
    for (const name of [...(this.waiting.get(id) ?? [])]) {
      if (id === this.unreadable) throw new JamiError('ERR_STORAGE_CORRUPT', 'a damaged object')
      this.yielded++
      yield { id: name as MessageId, conversation: id, parents: [] as MessageId[], type: 'text/plain' } as unknown as ConversationEntry
    }
  }

  async acknowledge(id: ConversationId, message: MessageId): Promise<void> {
    if (this.failure) throw this.failure
    const left = this.waiting.get(id) ?? []
    if (left[0] !== message) throw new Error(`acknowledged ${message} before ${left[0]}`)
    left.shift()
    this.acknowledged.push(message)
  }

  list() {
    return [...this.waiting.keys()].map((id) => ({ id, state: 'ready' }))
  }
}

interface Events {
  message: string
  reaction: string
}

function timeline(kept: Kept) {
  const clock = new ManualClock()
  const calls: { name: string; settle: Deferred<void> }[] = []
  const errors: unknown[] = []
  const state = { listeners: 1, others: 0 }
  const made = new Timeline<Events>({
    conversations: kept as never, clock, moving: 'message', listeners: (event) => (event === 'message' ? state.listeners : state.others), onError: (error) => errors.push(error),
    show: async ({ id }) => (id.startsWith('hidden') ? undefined : { event: id.startsWith('reaction') ? 'reaction' : 'message', payload: id }),
    tell: ({ payload: name }) => {
      const settle = deferred<void>()
      calls.push({ name, settle })
      return settle.promise
    },
  })
  return { timeline: made, calls, errors, state, clock, names: () => calls.map((c) => c.name) }
}

describe('several events', () => {
  it('are one timeline: in order, each to those who listen to it; what nobody listens to holds up nothing and counts as handled', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', 'reaction a', '2', 'reaction b', '3'])
    const t = timeline(kept)
    t.timeline.wake(red)
    await turn()
    t.calls[0]?.settle.resolve()
    await turn()
    expect([t.names(), kept.acknowledged]).toEqual([['1', '2'], ['1', 'reaction a']])
    t.state.others = 1
    t.calls[1]?.settle.resolve()
    await turn()
    expect([t.names(), kept.acknowledged]).toEqual([['1', '2', 'reaction b'], ['1', 'reaction a', '2']])
    t.calls[2]?.settle.resolve()
    await turn()
    expect(t.names()).toEqual(['1', '2', 'reaction b', '3'])
  })

  it('listeners of others alone do not move it: messages wait', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['reaction a', '1'])
    const t = timeline(kept)
    t.state.listeners = 0
    t.state.others = 1
    t.timeline.wake(red)
    await turn()
    expect([t.names(), kept.acknowledged, t.timeline.wanted]).toEqual([[], [], false])
  })

  it('a loop over one of them moves it and is asked only for its own', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', 'reaction a', '2', 'reaction b'])
    const t = timeline(kept)
    t.state.listeners = 0
    const loop = t.timeline.read('reaction')
    expect((await loop.next()).value).toBe('reaction a')
    expect(kept.acknowledged).toEqual(['1'])
    expect((await loop.next()).value).toBe('reaction b')
    await loop.return?.()
    await turn()
    expect(kept.acknowledged).toEqual(['1', 'reaction a', '2'])
  })
})

describe('listeners', () => {
  it('get one message after another, each acknowledged when they have settled', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const t = timeline(kept)
    t.timeline.wake(red)
    await turn()
    expect([t.names(), kept.acknowledged]).toEqual([['1'], []])
    t.calls[0]?.settle.resolve()
    await turn()
    expect([t.names(), kept.acknowledged]).toEqual([['1', '2'], ['1']])
    t.calls[1]?.settle.resolve()
    await turn()
    expect(kept.acknowledged).toEqual(['1', '2'])
  })

  it('that are slow in one conversation do not hold up another', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['slow', 'behind it'])
    kept.waiting.set(blue, ['quick'])
    const t = timeline(kept)
    t.timeline.wakeAll()
    await turn()
    expect(t.names()).toEqual(['slow', 'quick'])
  })

  it('get what comes while they run afterwards, once', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1'])
    const t = timeline(kept)
    t.timeline.wake(red)
    await turn()
    kept.waiting.get(red)?.push('2')
    for (let i = 0; i < 3; i++) t.timeline.wake(red)
    t.calls[0]?.settle.resolve()
    await turn()
    t.calls[1]?.settle.resolve()
    await turn()
    t.timeline.wake(red)
    await turn()
    expect([t.names(), kept.acknowledged]).toEqual([['1', '2'], ['1', '2']])
  })

  it('that had not settled when the process ended get the message again', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const before = timeline(kept)
    before.timeline.wake(red)
    await turn()
    const after = timeline(kept) // a new process on the same storage
    after.timeline.wakeAll()
    await turn()
    expect([before.names(), after.names()]).toEqual([['1'], ['1']])
  })

  it('that are not there leave everything waiting, also between two messages', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const t = timeline(kept)
    t.state.listeners = 0
    t.timeline.wake(red)
    await turn()
    expect(t.names()).toEqual([])
    t.state.listeners = 1
    t.timeline.wake(red)
    await turn()
    t.state.listeners = 0
    t.calls[0]?.settle.resolve()
    await turn()
    expect([t.names(), kept.acknowledged]).toEqual([['1'], ['1']])
    t.state.listeners = 1
    t.timeline.wakeAll()
    await turn()
    expect(t.names()).toEqual(['1', '2'])
  })

  it('never see what is not for programs, which counts as handled only when somebody listens', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['hidden 1', '2', 'hidden 3'])
    const t = timeline(kept)
    t.state.listeners = 0
    t.timeline.wakeAll()
    await turn()
    expect(kept.acknowledged).toEqual([])
    t.state.listeners = 1
    t.timeline.wakeAll()
    await turn()
    t.calls[0]?.settle.resolve()
    await turn()
    expect([t.names(), kept.acknowledged]).toEqual([['2'], ['hidden 1', '2', 'hidden 3']])
  })
})

describe('a loop', () => {
  it('acknowledges a message when it asks for the next one, not before', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2', '3'])
    const t = timeline(kept)
    t.state.listeners = 0
    const loop = t.timeline.read('message')
    await turn()
    expect(kept.yielded).toBe(0) // nobody has asked
    expect((await loop.next()).value).toBe('1')
    await turn()
    expect(kept.acknowledged).toEqual([])
    expect((await loop.next()).value).toBe('2')
    await turn()
    expect(kept.acknowledged).toEqual(['1'])
  })

  it('pulls 100,000 unread messages from storage one by one: none is lost, none waits in memory, the loop sets the pace', async () => {
    const kept = new Kept()
    const count = 100_000
    let acknowledged = 0
    kept.list = () => [{ id: red, state: 'ready' }]
    kept.unacknowledged = async function* () {
      for (let i = acknowledged; i < count; i++) {
        this.yielded = i + 1
        yield { id: `${i}`, conversation: red, parents: [] } as unknown as ConversationEntry
      }
    }
    kept.acknowledge = async (_, message) => {
      if (message !== `${acknowledged}`) throw new Error(`acknowledged ${message}, not ${acknowledged}`)
      acknowledged++
    }
    const t = timeline(kept)
    t.state.listeners = 0
    const loop = t.timeline.read('message')
    let ahead = 0
    for (let i = 0; i < count; i++) {
      const { value } = await loop.next()
      if (value !== `${i}`) throw new Error(`got ${value}, not ${i}`)
      ahead = Math.max(ahead, kept.yielded - i - 1)
    }
    void loop.next()
    await t.timeline.stop()
    expect([acknowledged, ahead, t.errors]).toEqual([count, 0, []])
  })

  it.each(['break', 'throw'])('that is left by %s has not handled what it held: the next loop begins with it', async (how) => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2', '3'])
    const t = timeline(kept)
    t.state.listeners = 0
    const seen: string[] = []
    const work = async () => {
      for await (const name of t.timeline.read('message')) {
        seen.push(name)
        if (name !== '2' || seen.length > 2) continue
        if (how === 'throw') throw new Error('work failed')
        break
      }
    }
    await work().catch(() => {})
    await turn()
    expect([seen, kept.acknowledged]).toEqual([['1', '2'], ['1']])
    void work()
    await turn()
    expect([seen, kept.acknowledged]).toEqual([['1', '2', '2', '3'], ['1', '2', '3']])
  })

  it('whose signal fires ends after the message it holds, which is handled when it asks again', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const t = timeline(kept)
    t.state.listeners = 0
    const stop = new AbortController()
    const loop = t.timeline.read('message', stop.signal)
    expect((await loop.next()).value).toBe('1')
    stop.abort()
    await turn()
    expect(kept.acknowledged).toEqual([])
    expect((await loop.next()).done).toBe(true)
    await turn()
    expect(kept.acknowledged).toEqual(['1'])
    expect((await t.timeline.read('message', stop.signal).next()).done).toBe(true)
  })

  it('that waits gets what comes, also from another conversation while it holds one', async () => {
    const kept = new Kept()
    const t = timeline(kept)
    t.state.listeners = 0
    const loop = t.timeline.read('message')
    const [first, second] = [loop.next(), loop.next()]
    kept.waiting.get(red)?.push('r1', 'r2')
    t.timeline.wake(red)
    kept.waiting.get(blue)?.push('b1')
    t.timeline.wake(blue)
    expect([(await first).value, (await second).value]).toEqual(['r1', 'b1'])
    expect(kept.acknowledged).toEqual([])
    expect((await loop.next()).value).toBe('r2')
    expect(kept.acknowledged.sort()).toEqual(['b1', 'r1'])
  })
})

describe('listeners and loops together', () => {
  it('all see a message, and it is handled when the last of them is done', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const t = timeline(kept)
    const [a, b] = [t.timeline.read('message'), t.timeline.read('message')]
    const firsts = [a.next(), b.next()]
    await turn()
    expect([(await firsts[0])?.value, (await firsts[1])?.value, t.names()]).toEqual(['1', '1', ['1']])
    void a.next()
    t.calls[0]?.settle.resolve()
    await turn()
    expect(kept.acknowledged).toEqual([])
    expect((await b.next()).value).toBe('2')
    expect(kept.acknowledged).toEqual(['1'])
  })

  it('what a loop that leaves was offered and had not taken yet is for the others, too', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['r'])
    kept.waiting.set(blue, ['b'])
    const t = timeline(kept)
    const loop = t.timeline.read('message')
    await loop.next() // holds one of them, the other is offered
    await turn()
    for (const { settle } of t.calls) settle.resolve()
    await turn()
    expect(kept.acknowledged).toEqual([])
    await loop.return?.()
    await turn()
    expect(kept.acknowledged.sort()).toEqual(['b', 'r'])
  })

  it('a loop that leaves does not hold up the others, who decide; nobody gets the message twice', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const t = timeline(kept)
    const loop = t.timeline.read('message')
    await loop.next()
    await loop.return?.()
    await turn()
    expect(kept.acknowledged).toEqual([])
    t.calls[0]?.settle.resolve()
    await turn()
    expect([t.names(), kept.acknowledged]).toEqual([['1', '2'], ['1']])
  })
})

describe('storage', () => {
  it('that refuses an acknowledgement is reported, and asked again after 1, 2, 4, … 60 s; nothing is handed over twice', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    kept.failure = new JamiError('ERR_STORAGE_IO', 'disk full')
    const t = timeline(kept)
    t.timeline.wake(red)
    await turn()
    t.calls[0]?.settle.resolve()
    await turn()
    expect(t.errors).toMatchObject([{ code: 'ERR_STORAGE_IO' }])
    for (const ms of [999, 1, 2000, 4000, 8000, 16_000, 32_000, 60_000]) await t.clock.advance(ms)
    expect(t.errors.length).toBe(8)
    kept.failure = undefined
    t.timeline.wake(red)
    await t.clock.advance(60_000)
    expect([t.names(), kept.acknowledged, t.errors.length]).toEqual([['1', '2'], ['1'], 8])
  })

  it('that has not answered yet: what is handled is not handed over again, whatever wakes the conversation', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1'])
    const write = deferred<void>()
    const acknowledge = kept.acknowledge.bind(kept)
    kept.acknowledge = async (id, message) => {
      await write.promise
      return acknowledge(id, message)
    }
    const t = timeline(kept)
    t.timeline.wake(red)
    await turn()
    t.calls[0]?.settle.resolve()
    await turn()
    for (let i = 0; i < 3; i++) {
      t.timeline.wake(red)
      await turn()
    }
    write.resolve()
    await turn()
    t.timeline.wake(red)
    await turn()
    expect([t.names(), kept.acknowledged]).toEqual([['1'], ['1']])
  })

  it(`that refuses for long lets ${MAX_UNDER_WAY} messages of the conversation be handled and no more`, async () => {
    const kept = new Kept()
    kept.waiting.set(red, Array.from({ length: MAX_UNDER_WAY + 10 }, (_, i) => `${i}`))
    kept.failure = new JamiError('ERR_STORAGE_IO', 'disk full')
    const t = timeline(kept)
    t.state.listeners = 0
    const seen: string[] = []
    const loop = (async () => {
      for await (const name of t.timeline.read('message')) seen.push(name)
    })()
    await turn()
    expect(seen.length).toBe(MAX_UNDER_WAY)
    kept.failure = undefined
    await t.clock.advance(60_000)
    expect([seen.length, kept.acknowledged.length]).toEqual([MAX_UNDER_WAY + 10, MAX_UNDER_WAY + 10])
    await t.timeline.stop()
    await loop
    expect(t.clock.pending()).toEqual([])
  })

  it('that cannot be read in one conversation is reported and tried again; the others go on', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['damaged'])
    kept.waiting.set(blue, ['1'])
    kept.unreadable = red
    const t = timeline(kept)
    t.timeline.wakeAll()
    await turn()
    for (let i = 0; i < 5; i++) t.timeline.wake(red) // no attempt before its time
    await turn()
    expect([t.names(), t.errors]).toMatchObject([['1'], [{ code: 'ERR_STORAGE_CORRUPT' }]])
    await t.clock.advance(1000)
    expect(t.errors.length).toBe(2)
    kept.unreadable = undefined
    await t.clock.advance(2000)
    expect(t.names()).toEqual(['1', 'damaged'])
  })

  it('of a conversation that is removed meanwhile ends quietly', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1'])
    const t = timeline(kept)
    t.timeline.wake(red)
    await turn()
    kept.failure = new JamiError('ERR_NOT_FOUND', 'gone')
    t.timeline.forget(red)
    t.calls[0]?.settle.resolve()
    await turn()
    expect([t.names(), t.errors, t.clock.pending()]).toEqual([['1'], [], []])
  })
})

describe('stop()', () => {
  it('waits for the running listener, acknowledges it, and hands over nothing more', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const t = timeline(kept)
    t.timeline.wake(red)
    await turn()
    let stopped = false
    const stopping = t.timeline.stop().then(() => { stopped = true })
    await turn()
    expect(stopped).toBe(false)
    t.calls[0]?.settle.resolve()
    await stopping
    t.timeline.wake(red)
    t.timeline.wakeAll()
    await turn()
    expect([t.names(), kept.acknowledged]).toEqual([['1'], ['1']])
    expect((await t.timeline.read('message').next()).done).toBe(true)
  })

  it('waits for the message that a loop holds, and ends the loop', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const t = timeline(kept)
    t.state.listeners = 0
    const work = deferred<void>()
    const seen: string[] = []
    const loop = (async () => {
      for await (const name of t.timeline.read('message')) {
        seen.push(name)
        await work.promise
      }
    })()
    await turn()
    const stopping = t.timeline.stop()
    work.resolve()
    await Promise.all([stopping, loop])
    expect([seen, kept.acknowledged]).toEqual([['1'], ['1']])
  })

  it('resolves when what was handled meanwhile is on disk, and not before', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1'])
    const write = deferred<void>()
    const acknowledge = kept.acknowledge.bind(kept)
    kept.acknowledge = async (id, message) => {
      await write.promise
      return acknowledge(id, message)
    }
    const t = timeline(kept)
    t.timeline.wake(red)
    await turn()
    let stopped = false
    const stopping = t.timeline.stop().then(() => { stopped = true })
    t.calls[0]?.settle.resolve()
    await turn()
    expect(stopped).toBe(false)
    write.resolve()
    await stopping
    expect(kept.acknowledged).toEqual(['1'])
  })

  it('gives what storage refused one more attempt, and what it refuses then comes again', async () => {
    for (const mended of [true, false]) {
      const kept = new Kept()
      kept.waiting.set(red, ['1', '2'])
      kept.failure = new JamiError('ERR_STORAGE_IO', 'disk full')
      const t = timeline(kept)
      t.timeline.wake(red)
      await turn()
      t.calls[0]?.settle.resolve()
      await turn()
      if (mended) kept.failure = undefined
      t.calls[1]?.settle.resolve()
      await t.timeline.stop()
      expect([kept.acknowledged, kept.waiting.get(red), t.clock.pending()]).toEqual(mended ? [['1', '2'], [], []] : [[], ['1', '2'], []])
    }
  })
})
