// Small texts about conversations: what we write is read, what is broken is refused, any text is one or the other.
// docs/protocol/04 §4.5.1, §5.2, §5.6, §5.8.
import { JamiError } from '@jamikit/core/base'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { expect, it } from 'vitest'
import { parseCommitNotice, parseDisplayed, parseInvitation, parseTyping, printCommitNotice, printDisplayed, printInvitation, printTyping } from './small-payloads.ts'

const conversation = 'a'.repeat(40) as never
const message = 'b'.repeat(40) as never
const device = 'c'.repeat(64) as never

it('come back as they were', () => {
  expect(parseCommitNotice(printCommitNotice({ conversation, commit: message, device }))).toEqual({ conversation, commit: message, device })
  expect(parseInvitation(printInvitation(conversation, 0, 1_700_000_000_123))).toEqual({ conversation, mode: 0, receivedMs: 1_700_000_000_123 })
  expect(parseDisplayed(printDisplayed(conversation, message))).toEqual({ conversation, message })
  for (const active of [true, false]) expect(parseTyping(printTyping(conversation, active))).toEqual({ conversation, active })
})

it('an invitation of an older peer has its date in seconds, or none', () => {
  expect(parseInvitation(JSON.stringify({ conversationId: conversation, metadatas: { mode: '2' }, received: 5 }))).toEqual({ conversation, mode: 2, receivedMs: 5000 })
  expect(parseInvitation(JSON.stringify({ conversationId: conversation }))).toEqual({ conversation, mode: 0, receivedMs: 0 })
})

it.each<[string, (text: string) => unknown, string]>([
  ['a notice that is no JSON', parseCommitNotice, 'x'], ['a notice without a device', parseCommitNotice, JSON.stringify({ id: conversation, commit: message })],
  ['a notice whose commit is no id', parseCommitNotice, JSON.stringify({ id: conversation, commit: 'x', deviceId: device })],
  ['an invitation that is a list', parseInvitation, '[]'], ['an invitation to nothing', parseInvitation, '{}'],
  ['a receipt of another status', parseDisplayed, printDisplayed(conversation, message).replace('displayed/', 'processed/')],
  ['a receipt without a message', parseDisplayed, printDisplayed(conversation, '' as never)],
  ['typing of another state', parseTyping, printTyping(conversation, true).replace('active', 'asleep')], ['typing nowhere', parseTyping, printTyping('' as never, true)],
])('refuse %s', (_what, parse, input) => expect(() => parse(input)).toThrow(JamiError))

/** A payload of ours with a piece of it replaced: close enough to be read, often wrong. */
const damaged = (valid: string) => fc.tuple(fc.nat(valid.length), fc.nat(8), fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom('"', '{', '<', '</status>', 'null', '1e999', '\\u0000')))
  .map(([at, length, piece]) => valid.slice(0, at) + piece + valid.slice(at + length))

for (const [parse, valid] of [
  [parseCommitNotice, printCommitNotice({ conversation, commit: message, device })], [parseDisplayed, printDisplayed(conversation, message)],
  [parseInvitation, printInvitation(conversation, 0, 1_700_000_000_123)], [parseTyping, printTyping(conversation, true)],
] as const)
  fuzz(`${parse.name}: any text, and ours with a piece replaced, is a payload of whole ids or a typed error`, fc.oneof(fc.string(), fc.json(), damaged(valid)), (input) => {
    expect(parse(input).conversation).toMatch(/^[0-9a-f]{40}$/)
  })
