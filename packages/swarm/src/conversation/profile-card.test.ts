// The card of a conversation: the bytes of a real daemon, what breaks a card, cards of other writers, and bounds that are reached.
import { fromUtf8, utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { bundle } from '../../test/vectors.ts'
import { MAX_DESCRIPTION, MAX_PROFILE_BYTES, MAX_TITLE, parseProfile, printProfile } from './profile-card.ts'

const captured = bundle('group-mode-2').get('6a48e45d3f1b32fd22e8c1ea96aaace635ea6f1b')?.data ?? new Uint8Array(0)

describe('a card', () => {
  it('that a daemon wrote is read, and written again byte for byte', () => {
    const card = parseProfile(captured)
    expect(card).toEqual({ title: 'Trio', description: 'three of us' })
    expect(fromUtf8(printProfile(card))).toBe(fromUtf8(captured))
  })

  it('has its lines in the order of the specification, with everything and with nothing', () => {
    expect(fromUtf8(printProfile({}))).toBe('BEGIN:VCARD\nVERSION:2.1\nPHOTO;ENCODING=BASE64\n\n\nEND:VCARD')
    expect(fromUtf8(printProfile({ title: '', description: '', avatar: new Uint8Array(0) }))).toBe(fromUtf8(printProfile({})))
    expect(fromUtf8(printProfile({ rdvDevice: 'd', rdvAccount: 'a', avatar: Uint8Array.of(1, 2, 3), description: 'two', title: 'one' })))
      .toBe('BEGIN:VCARD\nVERSION:2.1\nFN:one\nDESCRIPTION:two\nPHOTO;ENCODING=BASE64:AQID\nRDV_ACCOUNT:a\n\nRDV_DEVICE:d\n\nEND:VCARD')
  })

  it('comes back as it was: any text of one line, any picture', () => {
    const text = (maxLength: number) => fc.string({ unit: 'grapheme', maxLength }).filter((s) => !/[\p{Cc}\u2028\u2029]/u.test(s) && s.length <= maxLength)
    fc.assert(fc.property(text(40), text(200), fc.uint8Array({ maxLength: 300 }), (title, description, avatar) => {
      const card = { ...(title && { title }), ...(description && { description }), ...(avatar.length > 0 && { avatar }) }
      expect(parseProfile(printProfile(card))).toEqual(card)
    }), { numRuns: 2000 })
  })

  it('is not broken by what a value holds: line breaks, NUL, lone surrogates, keys of a card', () => {
    const card = printProfile({ title: 'a\r\nPHOTO:evil\nEND:VCARD', description: 'b\rc\0d \ud800', rdvAccount: 'x\ny' })
    expect(fromUtf8(card).split('\n')).toHaveLength(9)
    expect(parseProfile(card)).toEqual({ title: 'a PHOTO:evil END:VCARD', description: 'b c d \ufffd', rdvAccount: 'x y' })
  })

  it.each([
    ['CRLF', 'BEGIN:VCARD\r\nVERSION:2.1\r\nFN:x\r\nDESCRIPTION:y\r\nEND:VCARD\r\n', { title: 'x', description: 'y' }],
    ['a folded picture with its type', 'FN:x\nPHOTO;ENCODING=BASE64;TYPE=PNG:AQ\n ID\nEND:VCARD', { title: 'x', avatar: Uint8Array.of(1, 2, 3) }],
    ['groups, parameters and small letters', 'item1.fn;CHARSET=UTF-8:x:y\nphoto;encoding=base64:AQID', { title: 'x:y', avatar: Uint8Array.of(1, 2, 3) }],
    ['the first of equal keys', 'FN:one\nFN:two\nDESCRIPTION:\nDESCRIPTION:z', { title: 'one' }],
    ['a picture that is no base64', 'FN:x\nPHOTO;ENCODING=BASE64:%%%\nDESCRIPTION:y', { title: 'x', description: 'y' }],
    ['a mark in front and other properties', '\ufeffFN:x\nX-OTHER:1\n:none\nnone\nconstructor:x\n__proto__:y', { title: 'x' }],
    ['no card', 'hello', {}],
    ['nothing', '', {}],
  ])('of another writer: %s', (_what, text, card) => expect(parseProfile(utf8(text))).toEqual(card))

  it('of an admin who writes control characters is shown without them: no commands for terminals, no second line', () => {
    expect(parseProfile(utf8('FN:a\u001b[31mb\u009b2Jc\u2028d\u0000e\u007f\nDESCRIPTION:x\ty\u0085z'))).toEqual({ title: 'a [31mb 2Jc d e ', description: 'x y z' })
  })

  it('of bytes that are no UTF-8 costs the bad bytes only', () => {
    expect(parseProfile(Uint8Array.of(...utf8('FN:a'), 0xff, ...utf8('b\nDESCRIPTION:c')))).toEqual({ title: 'a\ufffdb', description: 'c' })
  })
})

describe('bounds', () => {
  it('are kept by the writer: a title, a description, a picture that is too long says so', () => {
    expect(parseProfile(printProfile({ title: 'x'.repeat(MAX_TITLE), description: 'y'.repeat(MAX_DESCRIPTION) }))).toMatchObject({ title: 'x'.repeat(MAX_TITLE) })
    expect(() => printProfile({ title: 'x'.repeat(MAX_TITLE + 1) })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', details: { argument: 'title', got: MAX_TITLE + 1, allowed: MAX_TITLE } }))
    expect(() => printProfile({ description: 'x'.repeat(MAX_DESCRIPTION + 1) })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    expect(printProfile({ avatar: new Uint8Array((MAX_PROFILE_BYTES * 3) / 4 - 100) }).length).toBeLessThanOrEqual(MAX_PROFILE_BYTES)
    expect(() => printProfile({ avatar: new Uint8Array((MAX_PROFILE_BYTES * 3) / 4 - 3) })).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
    expect(() => printProfile({ avatar: new Uint8Array(MAX_PROFILE_BYTES) })).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
  })

  it('of what is read: long texts are cut at a whole character, a picture that goes on beyond the card is left out', () => {
    const long = parseProfile(utf8(`FN:${'x'.repeat(MAX_TITLE - 1)}👍\nDESCRIPTION:${'y'.repeat(MAX_DESCRIPTION + 1)}\nPHOTO;ENCODING=BASE64:${'A'.repeat(MAX_PROFILE_BYTES)}`))
    expect([long.title, long.description?.length, long.avatar]).toEqual(['x'.repeat(MAX_TITLE - 1), MAX_DESCRIPTION, undefined])
    const lines = 'FN:x\n'.repeat(MAX_PROFILE_BYTES / 5 + 10)
    expect(parseProfile(utf8(`${lines}DESCRIPTION:beyond`))).toEqual({ title: 'x' })
  })
})

fuzz('any bytes are a card', fc.oneof(fc.uint8Array(), fc.array(fc.constantFrom('FN', ':', ';', '\n', '\r', ' ', 'PHOTO', 'AQID', 'é')).map((parts) => utf8(parts.join('')))), (bytes) => void parseProfile(bytes))
