// Delivery to listeners: at least once, in order within a conversation, acknowledged when handled.
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { type Deferred, deferred } from '../base/operation.ts'
import type { ConversationEntry } from '../contracts/conversations.ts'
import type { ConversationId, MessageId } from '../contracts/ids.ts'
import { MessagePump } from './message-pump.ts'

const [red, blue] = ['a'.repeat(40), 'b'.repeat(40)] as [ConversationId, ConversationId]
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** What is not acknowledged, as conversations keep it over a restart. */
class Kept {
  readonly waiting = new Map<ConversationId, string[]>([[red, []], [blue, []]])
  readonly acknowledged: string[] = []
  failure: Error | undefined

  async *unacknowledged(id: ConversationId) {
    for (const name of [...(this.waiting.get(id) ?? [])]) yield { id: name as MessageId, conversation: id } as ConversationEntry
  }

  async acknowledge(id: ConversationId, message: MessageId): Promise<void> {
    if (this.failure) throw this.failure
    const left = this.waiting.get(id) ?? []
    expect(left[0]).toBe(message)
    left.shift()
    this.acknowledged.push(message)
  }

  list() {
    return [...this.waiting.keys()].map((id) => ({ id, state: 'ready' }))
  }
}

function pump(kept: Kept) {
  const calls: { name: string; settle: Deferred<void> }[] = []
  const errors: unknown[] = []
  const state = { wanted: true }
  const made = new MessagePump({
    conversations: kept as never, wanted: () => state.wanted, onError: (error) => errors.push(error),
    deliver: (entry) => {
      const settle = deferred<void>()
      calls.push({ name: entry.id, settle })
      return settle.promise
    },
  })
  return { pump: made, calls, errors, state, names: () => calls.map((c) => c.name) }
}

describe('the message pump', () => {
  it('hands over one message after another, each acknowledged when its listeners have settled', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const p = pump(kept)
    p.pump.wake(red)
    await turn()
    expect([p.names(), kept.acknowledged]).toEqual([['1'], []])
    p.calls[0]?.settle.resolve()
    await turn()
    expect([p.names(), kept.acknowledged]).toEqual([['1', '2'], ['1']])
    p.calls[1]?.settle.resolve()
    await turn()
    expect(kept.acknowledged).toEqual(['1', '2'])
  })

  it('a conversation whose listener is slow does not hold up another', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['slow', 'behind it'])
    kept.waiting.set(blue, ['quick'])
    const p = pump(kept)
    p.pump.wakeAll()
    await turn()
    expect(p.names()).toEqual(['slow', 'quick'])
  })

  it('what comes while a listener runs is handed over afterwards, once', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1'])
    const p = pump(kept)
    p.pump.wake(red)
    await turn()
    kept.waiting.get(red)?.push('2')
    for (let i = 0; i < 3; i++) p.pump.wake(red)
    p.calls[0]?.settle.resolve()
    await turn()
    p.calls[1]?.settle.resolve()
    await turn()
    p.pump.wake(red)
    await turn()
    expect([p.names(), kept.acknowledged]).toEqual([['1', '2'], ['1', '2']])
  })

  it('a message whose listener had not settled when the process ended comes again', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const before = pump(kept)
    before.pump.wake(red)
    await turn()
    const after = pump(kept) // a new process on the same storage
    after.pump.wakeAll()
    await turn()
    expect([before.names(), after.names()]).toEqual([['1'], ['1']])
  })

  it('waits while nobody listens, also between two messages', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const p = pump(kept)
    p.state.wanted = false
    p.pump.wake(red)
    await turn()
    expect(p.names()).toEqual([])
    p.state.wanted = true
    p.pump.wake(red)
    await turn()
    p.state.wanted = false
    p.calls[0]?.settle.resolve()
    await turn()
    expect([p.names(), kept.acknowledged]).toEqual([['1'], ['1']])
    p.state.wanted = true
    p.pump.wakeAll()
    await turn()
    expect(p.names()).toEqual(['1', '2'])
  })

  it('stop() waits for the running listener, acknowledges it, and hands over nothing more', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const p = pump(kept)
    p.pump.wake(red)
    await turn()
    let stopped = false
    const stopping = p.pump.stop().then(() => { stopped = true })
    await turn()
    expect(stopped).toBe(false)
    p.calls[0]?.settle.resolve()
    await stopping
    p.pump.wake(red)
    await turn()
    expect([p.names(), kept.acknowledged]).toEqual([['1'], ['1']])
  })

  it('a storage that fails is reported, and the message comes again at the next wake', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1'])
    kept.failure = new JamiError('ERR_STORAGE_IO', 'disk full')
    const p = pump(kept)
    p.pump.wake(red)
    await turn()
    p.calls[0]?.settle.resolve()
    await turn()
    expect(p.errors).toMatchObject([{ code: 'ERR_STORAGE_IO' }])
    kept.failure = undefined
    p.pump.wake(red)
    await turn()
    expect(p.names()).toEqual(['1', '1'])
  })

  it('a conversation that is removed meanwhile ends quietly', async () => {
    const kept = new Kept()
    kept.waiting.set(red, ['1', '2'])
    const p = pump(kept)
    p.pump.wake(red)
    await turn()
    kept.failure = new JamiError('ERR_NOT_FOUND', 'gone')
    p.calls[0]?.settle.resolve()
    await turn()
    expect([p.names(), p.errors]).toEqual([['1'], []])
  })
})
