// Durable in groups and in order: what joins a write under way, what a group asks of storage, what is left when storage fails.
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { type Deferred, deferred } from '../base/operation.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { ConversationId, MessageId } from '../contracts/ids.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { Acknowledger, MAX_UNDER_WAY } from './acknowledger.ts'

const red = 'a'.repeat(40) as ConversationId
const turn = () => new Promise((resolve) => setImmediate(resolve))
const entry = (id: string, ...parents: string[]) => ({ id, parents, conversation: red }) as unknown as ConversationEntry

function make() {
  const writes: { id: string; settle: Deferred<void> }[] = []
  const errors: unknown[] = []
  const clock = new ManualClock()
  const conversations = {
    acknowledge: (_: ConversationId, id: MessageId) => {
      const settle = deferred<void>()
      writes.push({ id, settle })
      return settle.promise
    },
  }
  return { writes, errors, clock, acknowledger: new Acknowledger({ conversations, clock, onError: (error) => errors.push(error) }), ids: () => writes.map(({ id }) => id) }
}

describe('the acknowledger', () => {
  it('lets what is handled during a write join the next one, which asks only for the last of a chain', async () => {
    const m = make()
    m.acknowledger.add(red, entry('1'))
    for (const n of [2, 3, 4, 5]) m.acknowledger.add(red, entry(`${n}`, `${n - 1}`))
    expect(m.ids()).toEqual(['1'])
    expect(m.acknowledger.has(red, '4' as MessageId)).toBe(true)
    m.writes[0]?.settle.resolve()
    await turn()
    expect(m.ids()).toEqual(['1', '5'])
    m.writes[1]?.settle.resolve()
    await turn()
    expect([m.ids(), m.acknowledger.has(red, '4' as MessageId)]).toEqual([['1', '5'], false])
  })

  it('asks for every branch of a group, one after the other', async () => {
    const m = make()
    m.acknowledger.add(red, entry('0'))
    for (const e of [entry('left', '0'), entry('right', '0'), entry('left 2', 'left')]) m.acknowledger.add(red, e)
    m.writes[0]?.settle.resolve()
    await turn()
    expect(m.ids()).toEqual(['0', 'right'])
    m.writes[1]?.settle.resolve()
    await turn()
    expect(m.ids()).toEqual(['0', 'right', 'left 2'])
  })

  it(`lets ${MAX_UNDER_WAY} entries be handled that a crash would bring again, and the next one when some are durable`, async () => {
    const m = make()
    for (let n = 1; n < MAX_UNDER_WAY; n++) m.acknowledger.add(red, entry(`${n}`, `${n - 1}`))
    await m.acknowledger.room(red)
    m.acknowledger.add(red, entry(`${MAX_UNDER_WAY}`, `${MAX_UNDER_WAY - 1}`))
    let room = false
    const waiting = m.acknowledger.room(red).then(() => {
      room = true
    })
    await turn()
    expect(room).toBe(false)
    m.writes[0]?.settle.resolve()
    await waiting
    expect(m.ids()).toEqual(['1', `${MAX_UNDER_WAY}`])
  })

  it('keeps a group that storage refused, and tries all of it again', async () => {
    const m = make()
    m.acknowledger.add(red, entry('1'))
    m.acknowledger.add(red, entry('2', '1'))
    m.writes[0]?.settle.reject(new JamiError('ERR_STORAGE_IO', 'disk full'))
    await m.clock.advance(999)
    expect([m.ids(), m.errors.length]).toEqual([['1'], 1])
    await m.clock.advance(1)
    expect(m.ids()).toEqual(['1', '2'])
    expect(m.acknowledger.has(red, '1' as MessageId)).toBe(true)
    m.writes[1]?.settle.resolve()
    await turn()
    expect(m.acknowledger.has(red, '1' as MessageId)).toBe(false)
  })

  it('drops what is of a conversation that is gone, without a word', async () => {
    const m = make()
    m.acknowledger.add(red, entry('1'))
    m.acknowledger.add(red, entry('2'))
    m.writes[0]?.settle.reject(new JamiError('ERR_NOT_FOUND', 'gone'))
    await turn()
    expect([m.ids(), m.errors, m.clock.pending(), m.acknowledger.has(red, '2' as MessageId)]).toEqual([['1'], [], [], false])
  })
})
