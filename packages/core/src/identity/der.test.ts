import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { fromHex, toHex } from '../codec/bytes.ts'
import { der, derOid, derTime, derUnsigned } from '../../test/der-writer.ts'
import { DerReader, readOid, readTime, TAG } from './der.ts'

const refused = expect.objectContaining({ code: 'ERR_CODEC' })

describe('reading', () => {
  it('walks elements and checks tags', () => {
    const reader = new DerReader(fromHex('30060201050401aa0500'), 'test')
    const inner = reader.enter()
    expect([inner.next(TAG.integer).body, inner.optional(TAG.null), inner.next().body]).toEqual([Uint8Array.of(5), undefined, Uint8Array.of(0xaa)])
    inner.end()
    expect(reader.nextTag).toBe(TAG.null)
    expect(() => reader.end()).toThrow(refused)
    expect(() => reader.next(TAG.integer)).toThrow(refused)
    reader.next(TAG.null)
    expect(reader.done).toBe(true)
    expect(() => reader.next()).toThrow(refused)
  })

  it.each([
    ['a cut tag', ''], ['a cut length', '30'], ['a cut long length', '3082'], ['a cut body', '300501'], ['an indefinite length', '30800000'],
    ['a long length that should be short', '30810100'], ['a padded length', `30820080${'00'.repeat(128)}`], ['a length of four bytes', '308400000001aa'], ['a long tag', '1f8100'],
  ])('refuses %s', (_name, hex) => {
    expect(() => new DerReader(fromHex(hex), 'test').next()).toThrow(refused)
  })

  it('any bytes are read or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          const reader = new DerReader(bytes, 'test')
          while (!reader.done) {
            const { tag, body } = reader.next()
            if (tag === TAG.oid) readOid(body, 'test')
            if (tag === TAG.utcTime) readTime({ tag, body, raw: body }, 'test')
          }
        } catch (error) {
          expect(JamiError.is(error, 'ERR_CODEC')).toBe(true)
        }
      }),
      { numRuns: 10_000 },
    )
  })
})

describe('values', () => {
  it.each(['1.2.840.113549.1.1.13', '2.5.29.15', '0.9.2342.19200300.100.1.1', '2.999.3', '1.3.132.0.34'])('OID %s goes round', (oid) => {
    if (oid === '2.999.3') expect(readOid(fromHex('883703'), 'oid')).toBe(oid)
    else expect(readOid(new DerReader(derOid(oid), 'oid').next(TAG.oid).body, 'oid')).toBe(oid)
  })

  it.each(['', '80', '8181818181818101', '0681'])('OID body %j is refused', (hex) => {
    expect(() => readOid(fromHex(hex), 'oid')).toThrow(refused)
  })

  it('times go round, the switch of forms is at 2050', () => {
    for (const ms of [0, Date.UTC(1970, 5, 1), Date.UTC(2026, 10, 24, 8, 9, 10), Date.UTC(2049, 11, 31, 23, 59, 59), Date.UTC(2050, 0, 1), Date.UTC(2199, 1, 28)]) {
      const node = new DerReader(derTime(ms + 999), 'time').next()
      expect(readTime(node, 'time')).toBe(ms)
      expect(node.tag).toBe(ms < Date.UTC(2050, 0) ? TAG.utcTime : TAG.generalizedTime)
    }
  })

  it.each([
    [TAG.utcTime, '2611240809Z'], [TAG.utcTime, '261124080910+0100'], [TAG.utcTime, '261324080910Z'], [TAG.utcTime, '260230080910Z'], [TAG.utcTime, '261124240910Z'],
    [TAG.generalizedTime, '20261124080910.5Z'], [TAG.generalizedTime, '261124080910Z'], [TAG.integer, '261124080910Z'],
  ])('tag %i, time %s is refused', (tag, text) => {
    expect(() => readTime({ tag, body: new TextEncoder().encode(text), raw: new Uint8Array(0) }, 'time')).toThrow(refused)
  })

  it('integers are minimal and positive', () => {
    expect(toHex(derUnsigned(fromHex('00')))).toBe('020100')
    expect(toHex(derUnsigned(fromHex('0000ff')))).toBe('020200ff')
    expect(toHex(derUnsigned(fromHex('007f')))).toBe('02017f')
    expect(toHex(derUnsigned(new Uint8Array(0)))).toBe('020100')
  })

  it('lengths of all sizes go round', () => {
    for (const length of [0, 127, 128, 255, 256, 65_535, 65_536, 100_000]) expect(new DerReader(der(TAG.octetString, new Uint8Array(length)), 'x').next(TAG.octetString).body).toHaveLength(length)
  })
})
