import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { compareBytes, concatBytes, equalBytes, fromBase64, fromHex, fromUtf8, joinBytes, toBase64, toHex, utf8 } from './bytes.ts'

const bytes = fc.uint8Array({ maxLength: 200 })
const codecError = expect.objectContaining({ code: 'ERR_CODEC' })

describe('bytes', () => {
  it('hex, base64 and UTF-8 go round, and agree with Buffer', () => {
    fc.assert(
      fc.property(bytes, fc.string({ unit: 'grapheme' }), (b, text) => {
        expect(toHex(b)).toBe(Buffer.from(b).toString('hex'))
        expect(fromHex(toHex(b))).toEqual(b)
        expect(fromHex(toHex(b).toUpperCase())).toEqual(b)
        expect(toBase64(b)).toBe(Buffer.from(b).toString('base64'))
        expect(fromBase64(toBase64(b))).toEqual(b)
        expect(fromUtf8(utf8(text))).toBe(text)
      }),
      { numRuns: 2000 },
    )
  })

  it.each(['0', 'abc', '0g', ' 0', '0x00', 'é0', '0\n'])('refuses %j as hex', (text) => {
    expect(() => fromHex(text)).toThrow(codecError)
  })

  it.each(['A', 'AAA', 'AA=A', '====', 'A===', 'AA-_', 'AAAAA', 'AAA=AAAA', 'Ä==='])('refuses %j as base64', (text) => {
    expect(() => fromBase64(text)).toThrow(codecError)
  })

  it('base64 may be broken into lines', () => {
    expect(fromBase64(' AAEC\r\nAwQ= \n')).toEqual(Uint8Array.of(0, 1, 2, 3, 4))
  })

  it.each([[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80]])('refuses %j as UTF-8', (...list) => {
    expect(() => fromUtf8(Uint8Array.from(list), 'name')).toThrow(expect.objectContaining({ code: 'ERR_CODEC', details: expect.objectContaining({ field: 'name' }) }))
  })

  it('a byte order mark is text like any other', () => {
    expect(fromUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x41))).toBe('\ufeffA')
  })

  it('text decoders throw nothing but JamiError', () => {
    fc.assert(
      fc.property(fc.string(), bytes, (text, b) => {
        for (const run of [() => fromHex(text), () => fromBase64(text), () => fromUtf8(b)]) {
          try {
            run()
          } catch (error) {
            expect(JamiError.is(error, 'ERR_CODEC')).toBe(true)
          }
        }
      }),
      { numRuns: 10_000 },
    )
  })

  it('compareBytes orders as Buffer.compare, equalBytes is its zero', () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b))
        expect(equalBytes(a, b)).toBe(Buffer.compare(a, b) === 0)
        expect(equalBytes(a, a.slice())).toBe(true)
        expect(concatBytes(a, b, a)).toEqual(new Uint8Array(Buffer.concat([a, b, a])))
      }),
      { numRuns: 2000 },
    )
  })
})

it('a list of any length is joined', () => {
  const parts = Array.from({ length: 300_000 }, (_, i) => Uint8Array.of(i & 0xff))
  expect(joinBytes(parts).length).toBe(300_000)
})
