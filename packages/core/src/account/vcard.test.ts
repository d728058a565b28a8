// Cards as phones, desktop clients and other writers make them; captured ones of Jami: codecs.test.ts. docs/protocol/03 §6.7.
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { concatBytes, fromUtf8, utf8 } from '../codec/bytes.ts'
import { wellFormed } from '../codec/text.ts'
import { displayNameOf, MAX_PEER_NAME, parseVcard, printVcard, profileCard } from './vcard.ts'

const card = (...lines: string[]) => utf8(['BEGIN:VCARD', ...lines, 'END:VCARD', ''].join('\n'))
const photo = `PHOTO;ENCODING=BASE64;TYPE=PNG:${'iVBORw0KGgoAAAANSUhEUg'.repeat(20)}`
const folded = (text: string) => (text.match(/.{1,75}/g) ?? []).join('\r\n ')
const bytes = (...codes: number[]) => Uint8Array.from(codes)

describe('the name on a card', () => {
  it.each<[string, Uint8Array, string | undefined]>([
    ['as Jami writes it', card('FN:Zoë', 'VERSION:2.1'), 'Zoë'],
    ['after a folded photo, with CRLF', utf8(`BEGIN:VCARD\r\nVERSION:3.0\r\n${folded(photo)}\r\n\r\nFN:Zoë\r\nEND:VCARD\r\n`), 'Zoë'],
    ['with CR only', utf8('BEGIN:VCARD\rVERSION:2.1\rFN:Zoë\rEND:VCARD\r'), 'Zoë'],
    ['with a charset', card('VERSION:2.1', 'FN;CHARSET=UTF-8:Zoë'), 'Zoë'],
    ['quoted-printable', card('VERSION:2.1', 'FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=5A=6F=C3=AB'), 'Zoë'],
    ['quoted-printable over two lines, 2.1 without ENCODING=', card('VERSION:2.1', 'FN;QUOTED-PRINTABLE:=5A=', '=6F=C3=AB', 'NOTE:x'), 'Zoë'],
    ['quoted-printable with a bad escape', card('FN;ENCODING=QUOTED-PRINTABLE:Zo=ZZ'), 'Zo=ZZ'],
    ['in a group', card('VERSION:3.0', 'item1.FN:Zoë'), 'Zoë'],
    ['in lower case', utf8('begin:vcard\nversion:3.0\nfn:Zoë\nend:vcard\n'), 'Zoë'],
    ['with the escapes of vCard 3 and 4', card('VERSION:4.0', 'FN:Doe\\, Zoë\\; Dr.'), 'Doe, Zoë; Dr.'],
    ['with a backslash of vCard 2.1', card('FN:a\\,b', 'VERSION:2.1'), 'a\\,b'],
    ['after a byte order mark', utf8('\ufeffFN:Zoë\nVERSION:2.1\n'), 'Zoë'],
    ['folded inside a character', concatBytes(utf8('BEGIN:VCARD\r\nFN:Zo'), bytes(0xc3, 13, 10, 32, 0xab), utf8('\r\nEND:VCARD\r\n')), 'Zoë'],
    ['in Latin-1', concatBytes(utf8('FN;CHARSET=ISO-8859-1:Zo'), bytes(0xeb, 10)), 'Zoë'],
    ['in no UTF-8 at all', concatBytes(utf8('FN:Zo'), bytes(0xff, 10)), 'Zo\ufffd'],
    ['given by N only', card('VERSION:2.1', 'N:Doe;Zoë;M.;Dr.;'), 'Zoë M. Doe'],
    ['with a bad byte in the photo', concatBytes(utf8('FN:Zoë\nPHOTO;ENCODING=BASE64;TYPE=PNG:'), bytes(0xff, 10)), 'Zoë'],
    ['on a card that was cut', utf8('BEGIN:VCARD\nVERSION:2.1\nFN:Zoë\nPHOTO;ENC'), 'Zoë'],
    ['on a card between lines that are none', card('no colon', ':no name', 'FN:Zoë', ';;;:x'), 'Zoë'],
    ['cut before the character that does not fit', card(`FN:${'x'.repeat(MAX_PEER_NAME - 1)}😀`), 'x'.repeat(MAX_PEER_NAME - 1)],
    ['without control and direction characters', card('FN:\u202eev\u0007il\u2066\u0000'), 'ev il'],
    ['of white space', card('FN:  \u200f '), undefined], ['on no card', new Uint8Array(0), undefined], ['on more than a mebibyte', new Uint8Array((1 << 20) + 1), undefined],
  ])('%s', (_what, input, name) => expect(displayNameOf(input)).toBe(name))

  fuzz('any bytes', fc.uint8Array({ maxLength: 300 }), (input) => {
    const name = displayNameOf(concatBytes(utf8('FN:'), input))
    if (name === undefined) return
    expect(name).toBe(wellFormed(name))
    expect(name.length).toBeLessThanOrEqual(MAX_PEER_NAME)
    expect(name).not.toMatch(/[\p{Cc}\u202e]/u)
  })
})

describe('a card of ours', () => {
  it('has no lone surrogate, so that its bytes are UTF-8 and say the same', () => {
    const text = printVcard(new Map([['FN', 'a\ud83d'], ['NOTE', '\ude00']]))
    expect(text).toBe(wellFormed(text))
    expect(fromUtf8(utf8(profileCard('a\ud83d')))).toContain('FN:a\ufffd\n')
  })

  it('keeps the keys with their parameters', () => {
    expect(parseVcard(card(photo)).get('PHOTO;ENCODING=BASE64;TYPE=PNG')).toBe(photo.slice(photo.indexOf(':') + 1))
  })
})

it('lines that are continued count as what they are: what comes after 20,000 is not read', () => {
  for (const [how, first, more] of [['folded', 'NOTE:a\n', ' \n'], ['quoted', 'NOTE;ENCODING=QUOTED-PRINTABLE:a=\n', '=\n']] as const)
    for (const [count, name] of [[19_990, 'Zoë'], [20_010, undefined]] as const)
      expect([how, count, displayNameOf(utf8(`${first}${more.repeat(count)}${how === 'quoted' ? 'b\n' : ''}FN:Zoë\n`))]).toEqual([how, count, name])
})
