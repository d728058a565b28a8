// Status events of marks that cover much, and of marks that come at the same time. docs/protocol/04 §5.6.
import type { AccountUri, ConversationId, MessageId, MessageStatusEvent } from '@jamikit/core/contracts'
import { ManualClock } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { Statuses, STATUSES_AT_ONCE } from './statuses.ts'

const OWN = 'a'.repeat(40) as AccountUri
const BOB = 'b'.repeat(40) as AccountUri
const id = 'c'.repeat(40) as ConversationId
const messages = Array.from({ length: 5 * STATUSES_AT_ONCE + 1 }, (_, n) => String(n).padStart(40, '0') as MessageId)

function setUp(covered: readonly MessageId[] = messages) {
  const told: MessageStatusEvent[] = []
  const state = { here: true, turns: 0 }
  const statuses = new Statuses({ clock: new ManualClock(), own: OWN, isHere: () => state.here, emit: (event) => told.push(event) })
  const conversation = { id, note: async () => [...covered] }
  return { told, state, statuses, conversation }
}

it('tells a mark that covers a long history in slices: other work of the process gets its turn in between', async () => {
  const { told, statuses, conversation } = setUp()
  const between: number[] = []
  let over = false
  const look = () => {
    between.push(told.length)
    if (!over) setImmediate(look)
  }
  setImmediate(look)
  await statuses.note(conversation, BOB, 'head', 'sent')
  over = true
  expect(told.map(({ message }) => message)).toEqual(messages)
  const steps = [...between, told.length].map((count, i, all) => count - (all[i - 1] ?? 0))
  expect(Math.max(...steps)).toBeLessThanOrEqual(STATUSES_AT_ONCE)
})

it('nobody hears `sent` of a message after its `displayed`, however the marks come', async () => {
  const { told, statuses, conversation } = setUp()
  await Promise.all([statuses.note(conversation, BOB, 'head', 'sent'), statuses.note(conversation, BOB, 'head', 'displayed')])
  expect(told.slice(0, messages.length).every(({ status }) => status === 'sent')).toBe(true)
  expect(told.slice(messages.length).map(({ message, status }) => [message, status])).toEqual(messages.map((message) => [message, 'displayed']))
})

it('a mark that storage refused rejects and does not keep the next one from being told', async () => {
  const { told, statuses, conversation } = setUp(messages.slice(0, 1))
  const failing = { id, note: () => Promise.reject(new Error('the disk is full')) }
  const [first, second] = await Promise.allSettled([statuses.note(failing, BOB, 'head', 'sent'), statuses.note(conversation, BOB, 'head', 'sent')])
  expect([first.status, second.status, told.length]).toEqual(['rejected', 'fulfilled', 1])
})

it('tells nothing more of a conversation that is gone', async () => {
  const { told, state, statuses, conversation } = setUp()
  const noted = statuses.note(conversation, BOB, 'head', 'sent')
  setImmediate(() => {
    state.here = false
  })
  await noted
  expect(told.length).toBeLessThanOrEqual(2 * STATUSES_AT_ONCE)
  await statuses.note(conversation, OWN, 'head', 'sent')
})
