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
  expect(parseInvitation(printInvitation(conversation, 0, 1_700_000_000_123))).toEqual({ conversation, mode: 0, receivedMs: 1_700_000_000_123, profile: {} })
  expect(parseDisplayed(printDisplayed(conversation, message))).toEqual({ conversation, message })
  for (const active of [true, false]) expect(parseTyping(printTyping(conversation, active))).toEqual({ conversation, active })
})

it('an invitation of an older peer has its date in seconds, or none', () => {
  expect(parseInvitation(JSON.stringify({ conversationId: conversation, metadatas: { mode: '2' }, received: 5 }))).toEqual({ conversation, mode: 2, receivedMs: 5000, profile: {} })
  expect(parseInvitation(JSON.stringify({ conversationId: conversation }))).toEqual({ conversation, mode: 0, receivedMs: 0, profile: {} })
})

it('an invitation carries what the conversation calls itself; a picture that does not fit is left out, then a text', () => {
  const card = { title: 'Trio', description: 'três', avatar: Uint8Array.of(1, 2, 3) }
  expect(parseInvitation(printInvitation(conversation, 2, 5, card))).toEqual({ conversation, mode: 2, receivedMs: 5, profile: card })
  const sizes = [46_000, 48_000].map((bytes) => {
    const text = printInvitation(conversation, 2, 5, { ...card, avatar: new Uint8Array(bytes) })
    expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(64_000)
    return parseInvitation(text).profile.avatar?.length
  })
  expect(sizes).toEqual([46_000, undefined])
  const wide = printInvitation(conversation, 2, 5, { title: '\u0001'.repeat(1000), description: '\u0001'.repeat(10_000), rdvAccount: 'a' })
  expect([new TextEncoder().encode(wide).length <= 64_000, JSON.parse(wide).metadatas.rdvAccount]).toEqual([true, 'a'])
})

it.each([
  ['control characters and line breaks', { title: 'a\nb\u0000\u009bc\u2028d' }, { title: 'a b c d' }],
  ['a huge title and description', { title: 'x'.repeat(50_000), description: 'y'.repeat(50_000) }, { title: 'x'.repeat(1000), description: 'y'.repeat(10_000) }],
  ['half a character at the cut, and lone ones', { title: `${'x'.repeat(999)}𝄞`, description: '\ud800' }, { title: 'x'.repeat(999), description: '\ufffd' }],
  ['values of other types, a picture that is none', { title: 7, description: ['x'], avatar: '%%%' }, {}],
])('SWM-29 an invitation with %s costs that only', (_what, metadatas, profile) => {
  expect(parseInvitation(JSON.stringify({ conversationId: conversation, metadatas: { mode: '2', ...metadatas } })).profile).toEqual(profile)
})

it.each<[string, (text: string) => unknown, string]>([
  ['a notice that is no JSON', parseCommitNotice, 'x'], ['a notice without a device', parseCommitNotice, JSON.stringify({ id: conversation, commit: message })],
  ['a notice whose commit is no id', parseCommitNotice, JSON.stringify({ id: conversation, commit: 'x', deviceId: device })],
  ['an invitation that is a list', parseInvitation, '[]'], ['an invitation of a mode that there is not', parseInvitation, JSON.stringify({ conversationId: conversation, metadatas: { mode: '7' } })], ['an invitation to nothing', parseInvitation, '{}'],
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
