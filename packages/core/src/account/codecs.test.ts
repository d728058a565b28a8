// The account's codecs: exact bytes, refusal tables, every split point, 10,000 inputs each. docs/protocol/03 §5.4, §6.4, §6.7, §7.
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { concatBytes, toHex, utf8 } from '../codec/bytes.ts'
import { encodeMsgpack, type MsgpackInput } from '../codec/msgpack.ts'
import { decodeContact, isActive, mergeContact, type ContactRecord } from './contact-list.ts'
import { encodeMessageFrame, MessageFrameDecoder } from './message-wire.ts'
import { decodeTrustRequest, encodeTrustRequest } from './trust-request-wire.ts'
import { parseVcard, printVcard, profileCard } from './vcard.ts'

const conversation = 'e4c43c847d7d89b06787bde573abede603d7d975' as never

describe('trust requests', () => {
  const request = { conversation, payload: utf8(profileCard('Alice')), confirm: false, invitedMs: 1795346981000 }

  it('ACC-29 carry service cx.ring, conversation, payload, confirm and the date of the invitation, in this order', () => {
    const bytes = encodeTrustRequest(request)
    expect(toHex(bytes).startsWith(`85${toHex(encodeMsgpack('service'))}${toHex(encodeMsgpack('cx.ring'))}`)).toBe(true)
    expect(decodeTrustRequest(bytes)).toEqual(request)
  })

  it('of peers that tell neither conversation nor date are read', () => {
    expect(decodeTrustRequest(encodeMsgpack({ service: 'cx.ring', payload: new Uint8Array(0), confirm: true }))).toEqual({ conversation: undefined, payload: new Uint8Array(0), confirm: true, invitedMs: 0 })
  })

  it('of another service are nothing', () => expect(decodeTrustRequest(encodeMsgpack({ service: 'other' }))).toBeUndefined())

  it.each<[string, MsgpackInput]>([
    ['a list', [1]], ['a conversation that is no id', { service: 'cx.ring', conversationId: 'x' }], ['a payload that is text', { service: 'cx.ring', payload: 'x' }],
    ['a confirm that is a number', { service: 'cx.ring', confirm: 1 }], ['a date that is negative', { service: 'cx.ring', invitedMs: -1 }],
  ])('refuse %s', (_what, value) => expect(() => decodeTrustRequest(encodeMsgpack(value))).toThrow(JamiError))

  fuzz('any payload', fc.uint8Array({ maxLength: 300 }), (bytes) => void decodeTrustRequest(bytes))
})

describe('message frames', () => {
  const frames = [{ mime: 'text/plain', body: 'é' }, { mime: 'application/im-gitmessage-id', body: '{"id":"x"}' }]
  const bytes = concatBytes(...frames.map((frame, i) => encodeMessageFrame(BigInt(i + 1), frame)))

  it('ACC-40 are maps of id, t, c and a req that is nil', () => {
    expect(toHex(encodeMessageFrame(5n, { mime: 'a', body: 'b' }))).toBe('84a2696405a174a161a163a162a3726571c0')
  })

  it('come out the same at every split point', () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const decoder = new MessageFrameDecoder()
      expect([...decoder.push(bytes.subarray(0, cut)), ...decoder.push(bytes.subarray(cut))]).toEqual(frames)
    }
  })

  it.each<[string, Uint8Array]>([
    ['ACC-41 text that is not UTF-8', concatBytes(Uint8Array.of(0x82, 0xa1, 0x74, 0xa1, 0x61, 0xa1, 0x63, 0xa2), Uint8Array.of(0xff, 0xfe))],
    ['a type with a line break', encodeMsgpack({ t: 'a\nb', c: '' })], ['no text', encodeMsgpack({ t: 'a' })], ['a list', encodeMsgpack([1])],
    ['more text than is allowed', encodeMsgpack({ t: 'a', c: 'x'.repeat(64_001) })],
  ])('refuse %s', (_what, input) => expect(() => new MessageFrameDecoder().push(input)).toThrow(JamiError))

  it('an object that never ends is refused when it is too long, not kept', () => {
    const decoder = new MessageFrameDecoder()
    expect(() => {
      decoder.push(Uint8Array.of(0x81, 0xa1, 0x63, 0xdb, 0x7f, 0xff, 0xff, 0xff))
      for (let i = 0; i < 100; i++) decoder.push(new Uint8Array(65_535))
    }).toThrow(JamiError)
  })

  fuzz('any channel bytes', fc.uint8Array({ maxLength: 200 }), (input) => void new MessageFrameDecoder().push(input))
})

describe('vCards', () => {
  it('are written with LF, sorted, and survive their own reading', () => {
    expect(profileCard('Alice')).toBe('BEGIN:VCARD\nFN:Alice\nVERSION:2.1\nEND:VCARD\n')
    expect(parseVcard(profileCard('Alice')).get('FN')).toBe('Alice')
  })
  it('with CRLF, folded lines and doubled keys are read', () => {
    expect([...parseVcard('BEGIN:VCARD\r\nFN:A\r\n B\r\nFN:C\r\nno colon\r\nEND:VCARD\r\n')]).toEqual([['FN', 'AB']])
  })
  it('ACC-S16 a line break in a name cannot make another line', () => {
    expect(printVcard(new Map([['FN', 'a\nEND:VCARD']]))).toBe('BEGIN:VCARD\nFN:a END:VCARD\nEND:VCARD\n')
  })
  it('ACC-S8 more than a mebibyte is refused', () => expect(() => parseVcard('x'.repeat((1 << 20) + 1))).toThrow(JamiError))
  fuzz('any text', fc.string({ maxLength: 400 }), (text) => void parseVcard(text))
})

describe('contact records', () => {
  const at = (change: Partial<ContactRecord>): ContactRecord => ({ addedMs: 1000, removedMs: 0, confirmed: false, banned: false, conversation: undefined, ...change })

  it.each<[string, ContactRecord | undefined, ContactRecord, ContactRecord]>([
    ['an unknown contact is taken', undefined, at({}), at({})],
    ['a later change wins', at({}), at({ removedMs: 2000, banned: true }), at({ removedMs: 2000, banned: true })],
    ['an earlier change loses', at({ removedMs: 2000 }), at({ addedMs: 1500 }), at({ removedMs: 2000 })],
    ['the same date keeps what is stored', at({ conversation }), at({}), at({ conversation })],
    ['the same date confirms', at({}), at({ confirmed: true }), at({ confirmed: true })],
    ['nothing unconfirms', at({ confirmed: true }), at({}), at({ confirmed: true })],
  ])('ACC-28 %s', (_what, stored, incoming, result) => expect(mergeContact(stored, incoming)).toEqual(result))

  it('active means added after the last removal', () => {
    expect([isActive(at({})), isActive(at({ removedMs: 1000 })), isActive(at({ removedMs: 999 }))]).toEqual([true, false, true])
  })

  it('ACC-19 dates in seconds are read where no exact ones are', () => {
    expect(decodeContact(encodeMsgpack({ added: 5, removed: 0, confirmed: true, banned: false, conversationId: '' }))).toMatchObject({ addedMs: 5000, confirmed: true })
    expect(decodeContact(encodeMsgpack({ added: 5, addedMs: 5123, removed: 0 }))).toMatchObject({ addedMs: 5123 })
  })

  fuzz('any record', fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeContact(bytes))
})
