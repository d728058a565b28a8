// Proof of msgpack.ts and slices.ts: vectors of the msgpack specification and of msgpack-c, exact re-encoding, refusals,
// fuzz, and every split point of a stream.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { concatBytes, fromHex, toHex, utf8 } from './bytes.ts'
import { decodeMsgpack, encodeMsgpack, MsgpackExt, type MsgpackInput, MsgpackRaw, MsgpackStream, type MsgpackValue, readMsgpack } from './msgpack.ts'
import { sliceMsgpackMap } from './slices.ts'

const bin = (n: number, fill = 7) => new Uint8Array(n).fill(fill)
const hexOf = (n: number, byte: string) => byte.repeat(n)

/** Value and the bytes msgpack-c writes for it. */
const VECTORS: [string, MsgpackInput, string][] = [
  ['nil', null, 'c0'],
  ['false', false, 'c2'],
  ['true', true, 'c3'],
  ['0', 0, '00'],
  ['-0', -0, '00'],
  ['127', 127, '7f'],
  ['128', 128, 'cc80'],
  ['255', 255, 'ccff'],
  ['256', 256, 'cd0100'],
  ['65535', 65_535, 'cdffff'],
  ['65536', 65_536, 'ce00010000'],
  ['2^32-1', 0xffff_ffff, 'ceffffffff'],
  ['2^32', 2 ** 32, 'cf0000000100000000'],
  ['2^53-1', Number.MAX_SAFE_INTEGER, 'cf001fffffffffffff'],
  ['2^64-1', 0xffff_ffff_ffff_ffffn, 'cfffffffffffffffff'],
  ['-1', -1, 'ff'],
  ['-32', -32, 'e0'],
  ['-33', -33, 'd0df'],
  ['-128', -128, 'd080'],
  ['-129', -129, 'd1ff7f'],
  ['-32768', -32_768, 'd18000'],
  ['-32769', -32_769, 'd2ffff7fff'],
  ['-2^31', -(2 ** 31), 'd280000000'],
  ['-2^31-1', -(2 ** 31) - 1, 'd3ffffffff7fffffff'],
  ['-2^63', -(1n << 63n), 'd38000000000000000'],
  ['a small bigint', 5n, '05'],
  ['1.5', 1.5, 'cb3ff8000000000000'],
  ['empty str', '', 'a0'],
  ['str 31', 'a'.repeat(31), `bf${hexOf(31, '61')}`],
  ['str 32', 'a'.repeat(32), `d920${hexOf(32, '61')}`],
  ['str 255', 'a'.repeat(255), `d9ff${hexOf(255, '61')}`],
  ['str 256', 'a'.repeat(256), `da0100${hexOf(256, '61')}`],
  ['str 65536', 'a'.repeat(65_536), `db00010000${hexOf(65_536, '61')}`],
  ['str with accents', 'é€😀', 'a9c3a9e282acf09f9880'],
  ['empty bin', bin(0), 'c400'],
  ['bin 255', bin(255), `c4ff${hexOf(255, '07')}`],
  ['bin 256', bin(256), `c50100${hexOf(256, '07')}`],
  ['bin 65536', bin(65_536), `c600010000${hexOf(65_536, '07')}`],
  ['empty array', [], '90'],
  ['array 15', Array(15).fill(1), `9f${hexOf(15, '01')}`],
  ['array 16', Array(16).fill(1), `dc0010${hexOf(16, '01')}`],
  ['array 65536', Array(65_536).fill(1), `dd00010000${hexOf(65_536, '01')}`],
  ['empty map', {}, '80'],
  ['map in property order, undefined left out', { b: 1, x: undefined, a: [null] }, '82a16201a16191c0'],
  ['map with binary keys', new Map([[Uint8Array.of(1, 2), 'v']]), '81c4020102a176'],
  ['map 16', Object.fromEntries(Array.from({ length: 16 }, (_, i) => [String.fromCharCode(97 + i), i])), `de0010${Array.from({ length: 16 }, (_, i) => `a1${(97 + i).toString(16)}${i.toString(16).padStart(2, '0')}`).join('')}`],
  ['fixext 1', new MsgpackExt(1, bin(1)), 'd40107'],
  ['fixext 16', new MsgpackExt(-1, bin(16)), `d8ff${hexOf(16, '07')}`],
  ['ext 3', new MsgpackExt(5, bin(3)), 'c70305070707'],
  ['ext 256', new MsgpackExt(5, bin(256)), `c8010005${hexOf(256, '07')}`],
  ['ext 65536', new MsgpackExt(5, bin(65_536)), `c90001000005${hexOf(65_536, '07')}`],
]

describe('encoding', () => {
  it.each(VECTORS)('%s', (_name, value, hex) => {
    expect(toHex(encodeMsgpack(value))).toBe(hex)
  })

  it('raw bytes go in as they are', () => {
    expect(toHex(encodeMsgpack([1, new MsgpackRaw(fromHex('cc01'))]))).toBe('9201cc01')
  })

  it.each([1n << 64n, -(1n << 63n) - 1n, 2 ** 70])('refuses %s, which has more than 64 bits', (value) => {
    expect(() => encodeMsgpack(value)).toThrow(expect.objectContaining({ code: 'ERR_CODEC' }))
  })

  it('large results do not alias each other', () => {
    const first = encodeMsgpack(bin(100_000, 1))
    const second = encodeMsgpack(bin(100_000, 2))
    expect(first[50_000]).toBe(1)
    expect(second[50_000]).toBe(2)
  })
})

describe('decoding', () => {
  it.each(VECTORS)('%s is read and re-encoded exactly', (_name, value, hex) => {
    const items = hex.length > 100_000 ? 70_000 : 100
    const decoded = decodeMsgpack(fromHex(hex), { maxItems: items })
    expect(toHex(encodeMsgpack(decoded))).toBe(hex)
    if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') expect(decoded).toBe(Object.is(value, -0) ? 0 : value)
  })

  it.each<[string, string, MsgpackValue]>([
    ['integers longer than needed', 'cf0000000000000005', 5],
    ['a signed positive integer', 'd300000000ffffffff', 0xffff_ffff],
    ['the last double-exact integer', 'cf001fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['the first one beyond as bigint', 'cf0020000000000000', 1n << 53n],
    ['float 32', 'ca3fc00000', 1.5],
    ['str 8 of two bytes', 'd9026161', 'aa'],
  ])('%s', (_name, hex, value) => {
    expect(decodeMsgpack(fromHex(hex))).toEqual(value)
  })

  it('the first of equal keys wins', () => {
    expect(decodeMsgpack(fromHex('82a16101a16102'))).toEqual(new Map([['a', 1]]))
  })

  it('what is decoded does not share memory with the input', () => {
    const input = fromHex('c40101')
    const value = decodeMsgpack(input) as Uint8Array
    input.fill(9)
    expect(value).toEqual(Uint8Array.of(1))
    const buffer = Buffer.from('c40101', 'hex') // its slice() is a view
    const fromBuffer = decodeMsgpack(buffer) as Uint8Array
    buffer.fill(9)
    expect(fromBuffer).toEqual(Uint8Array.of(1))
    expect(fromBuffer.constructor).toBe(Uint8Array)
  })

  it.each<[string, string, 'ERR_CODEC' | 'ERR_LIMIT']>([
    ['nothing', '', 'ERR_CODEC'],
    ['the unused tag', 'c1', 'ERR_CODEC'],
    ['the unused tag inside', '91c1', 'ERR_CODEC'],
    ['bytes after the object', '0000', 'ERR_CODEC'],
    ['a cut integer', 'cd01', 'ERR_CODEC'],
    ['a cut str', 'a261', 'ERR_CODEC'],
    ['a cut bin', 'c40201', 'ERR_CODEC'],
    ['a cut array', '9201', 'ERR_CODEC'],
    ['a cut map', '81a161', 'ERR_CODEC'],
    ['a str that is not UTF-8', 'a1ff', 'ERR_CODEC'],
    ['a long str that is not UTF-8', `d928${hexOf(39, '61')}ff`, 'ERR_CODEC'],
    ['a bin that claims 4 GiB', 'c6ffffffff', 'ERR_LIMIT'],
    ['a str that claims 4 GiB', 'dbffffffff', 'ERR_LIMIT'],
    ['an ext that claims 4 GiB', 'c9ffffffff01', 'ERR_LIMIT'],
    ['an array that claims 4 Gi items', 'ddffffffff', 'ERR_LIMIT'],
    ['a map that claims 4 Gi entries', 'dfffffffff', 'ERR_LIMIT'],
    ['arrays of arrays beyond the item limit', `dc00ff${'dcffff'}`, 'ERR_LIMIT'],
    ['17 levels', `${'91'.repeat(17)}c0`, 'ERR_LIMIT'],
    ['17 levels of maps', `${'8100'.repeat(17)}c0`, 'ERR_LIMIT'],
  ])('refuses %s', (_name, hex, code) => {
    expect(() => decodeMsgpack(fromHex(hex))).toThrow(expect.objectContaining({ code }))
  })

  it('limits are reached exactly', () => {
    const limits = { maxDepth: 2, maxItems: 3, maxBytes: 4 }
    for (const good of ['9191c0', '93c0c0c0', 'a461616161', 'c40401020304', '9291c0c0']) expect(() => decodeMsgpack(fromHex(good), limits)).not.toThrow()
    for (const bad of ['919190', '94c0c0c0c0', 'a56161616161', 'c4050102030405', '9392c0c0c0c0'])
      expect(() => decodeMsgpack(fromHex(bad), limits)).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
  })

  it('readMsgpack tells where the next object begins, and waits for the rest', () => {
    const bytes = fromHex('01a16191c0')
    expect(readMsgpack(bytes, 0)).toEqual({ value: 1, end: 1 })
    expect(readMsgpack(bytes, 1)).toEqual({ value: 'a', end: 3 })
    expect(readMsgpack(bytes, 3)).toEqual({ value: [null], end: 5 })
    expect(readMsgpack(bytes.subarray(0, 4), 3)).toBeUndefined()
    expect(readMsgpack(bytes, 5)).toBeUndefined()
  })
})

/** Values as they come out of the decoder. */
const value: fc.Arbitrary<MsgpackValue> = fc.letrec<{ any: MsgpackValue }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', maxDepth: 6 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.bigInt({ min: 1n << 53n, max: (1n << 64n) - 1n }),
    fc.bigInt({ min: -(1n << 63n), max: -(1n << 53n) }),
    fc.double({ noNaN: true, noDefaultInfinity: false, noInteger: true }),
    fc.string({ unit: 'grapheme', maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.tuple(fc.integer({ min: -128, max: 127 }), fc.uint8Array({ maxLength: 40 })).map(([type, data]) => new MsgpackExt(type, data)),
    fc.array(tie('any'), { maxLength: 20 }),
    fc.array(fc.tuple(fc.oneof(fc.string(), fc.integer()), tie('any')), { maxLength: 20 }).map((entries) => new Map(entries)),
  ),
})).any

describe('properties', () => {
  it('what is encoded decodes to itself', () => {
    fc.assert(
      fc.property(value, (v) => {
        expect(decodeMsgpack(encodeMsgpack(v))).toEqual(v)
      }),
      { numRuns: 3000 },
    )
  })

  it('any bytes decode or are refused with ERR_CODEC or ERR_LIMIT', () => {
    const refusedOrRead = (bytes: Uint8Array) => {
      try {
        const got = readMsgpack(bytes)
        if (got) expect(got.end).toBeLessThanOrEqual(bytes.length)
      } catch (error) {
        expect(JamiError.is(error, 'ERR_CODEC') || JamiError.is(error, 'ERR_LIMIT')).toBe(true)
      }
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), refusedOrRead), { numRuns: 10_000 })
    const damaged = fc.tuple(value, fc.nat(), fc.nat(255)).map(([v, at, byte]) => {
      const bytes = encodeMsgpack(v)
      bytes[at % bytes.length] = byte
      return bytes
    })
    fc.assert(fc.property(damaged, refusedOrRead), { numRuns: 5000 })
  })
})

describe('streams', () => {
  const sample: MsgpackInput[] = [1, 'text', bin(300), { c: 3, b: bin(70), l: [1, [2, { x: null }]] }, 'a'.repeat(40), -70_000, 1.5, [], {}, new MsgpackExt(1, bin(8)), new MsgpackExt(2, bin(9)), 1n << 60n, '']
  const whole = concatBytes(...sample.map((v) => encodeMsgpack(v)))
  const expected = sample.map((v) => decodeMsgpack(encodeMsgpack(v)))

  it('gives the same objects at every split point', () => {
    for (let cut = 0; cut <= whole.length; cut++) {
      const stream = new MsgpackStream(1000)
      expect([...stream.push(whole.slice(0, cut)), ...stream.push(whole.slice(cut))]).toEqual(expected)
      expect(stream.atBoundary).toBe(true)
    }
  })

  it('gives the same objects byte by byte, and at any cuts', () => {
    const stream = new MsgpackStream(1000)
    expect(Array.from(whole, (byte) => stream.push(Uint8Array.of(byte))).flat()).toEqual(expected)
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 12 }), (cuts) => {
        const marks = [0, ...cuts.sort((a, b) => a - b), whole.length]
        const pieces = new MsgpackStream(1000)
        expect(marks.flatMap((mark, i) => pieces.push(whole.slice(mark, marks[i + 1] ?? mark)))).toEqual(expected)
      }),
      { numRuns: 1000 },
    )
  })

  it('agrees with the decoder about any bytes', () => {
    const outcome = (run: () => MsgpackValue[]) => {
      try {
        return run()
      } catch (error) {
        expect(JamiError.is(error, 'ERR_CODEC') || JamiError.is(error, 'ERR_LIMIT')).toBe(true)
        return 'refused'
      }
    }
    const byDecoder = (bytes: Uint8Array) => {
      const out: MsgpackValue[] = []
      for (let at = 0; ; ) {
        const got = readMsgpack(bytes, at)
        if (!got) return out
        out.push(got.value)
        at = got.end
      }
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 48 }), fc.nat(48), (bytes, cut) => {
        const stream = new MsgpackStream(1 << 22)
        const got = outcome(() => [...stream.push(bytes.slice(0, cut)), ...stream.push(bytes.slice(cut))])
        const wanted = outcome(() => byDecoder(bytes))
        // text inside an object that is not whole is judged when the object is
        if (wanted !== 'refused') expect(got).toEqual(wanted)
        else expect(got === 'refused' || !stream.atBoundary).toBe(true)
      }),
      { numRuns: 10_000 },
    )
  })

  it('keeps nothing of the chunk it was given', () => {
    const stream = new MsgpackStream(1000)
    const chunk = fromHex('c4020102c403')
    const [first] = stream.push(chunk)
    chunk.fill(0)
    expect(first).toEqual(Uint8Array.of(1, 2))
    expect(stream.push(fromHex('010203'))).toEqual([Uint8Array.of(1, 2, 3)])
  })

  it('an object may be as long as the limit and not one byte longer, however it is cut', () => {
    for (const pieces of [[102], [50, 52], [1, 101], [101, 1]]) {
      const good = encodeMsgpack(bin(100))
      const stream = new MsgpackStream(102)
      let at = 0
      const got = pieces.flatMap((n) => stream.push(good.subarray(at, (at += n))))
      expect(got).toEqual([bin(100)])
      const strict = new MsgpackStream(101)
      at = 0
      expect(() => pieces.forEach((n) => void strict.push(good.subarray(at, (at += n))))).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
    }
  })

  it('many small items stop at the limit, too', () => {
    const stream = new MsgpackStream(100)
    expect(() => {
      stream.push(fromHex('dc0400'))
      for (let i = 0; i < 200; i++) stream.push(Uint8Array.of(1))
    }).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
    expect(() => new MsgpackStream(100).push(concatBytes(fromHex('dc0400'), bin(200, 1)))).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
  })

  it('a declared length allocates nothing, and beyond the limit it is refused from the header', () => {
    const stream = new MsgpackStream(1 << 20, { maxBytes: 1 << 20 })
    expect(() => stream.push(fromHex('c600200000'))).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
  })

  it('4 MiB in pieces of 1460 bytes costs time in proportion to its length', () => {
    const size = 4 << 20
    const bytes = encodeMsgpack([1, bin(size)])
    const items = encodeMsgpack(Array(60_000).fill(1))
    const run = () => {
      const stream = new MsgpackStream(size + 100, { maxBytes: size })
      let got: MsgpackValue[] = []
      for (let at = 0; at < bytes.length; at += 1460) got = stream.push(bytes.subarray(at, at + 1460))
      expect((got[0] as MsgpackValue[]).length).toBe(2)
      for (let at = 0; at < items.length; at++) got = stream.push(items.subarray(at, at + 1))
      expect((got[0] as MsgpackValue[]).length).toBe(60_000)
    }
    const started = performance.now()
    run()
    expect(performance.now() - started).toBeLessThan(1000) // quadratic: 3 s and more for the first, minutes for the second
  })
})

describe('sliceMsgpackMap', () => {
  it('gives the exact bytes of each value, also when they are not minimal', () => {
    const slices = sliceMsgpackMap(fromHex('83a16100a16292cc01c0a163cf0000000000000001'))
    expect([...slices].map(([key, bytes]) => [key, toHex(bytes)])).toEqual([['a', '00'], ['b', '92cc01c0'], ['c', 'cf0000000000000001']])
  })

  it.each([
    ['nothing', ''], ['an array', '90'], ['a map of 16', 'de0010'], ['a cut map', '81a161'], ['a number as key', '810000'], ['a key twice', '82a16100a16101'],
    ['bytes after it', '8000'], ['a bad value', '81a161c1'],
  ])('refuses %s', (_name, hex) => {
    expect(() => sliceMsgpackMap(fromHex(hex))).toThrow(expect.objectContaining({ code: 'ERR_CODEC' }))
  })

  it('any bytes are sliced or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const input = concatBytes(Uint8Array.of(0x81, 0xa1, 0x61), bytes)
        try {
          expect(sliceMsgpackMap(input).get('a')).toEqual(bytes)
        } catch (error) {
          expect(JamiError.is(error, 'ERR_CODEC') || JamiError.is(error, 'ERR_LIMIT')).toBe(true)
        }
      }),
      { numRuns: 10_000 },
    )
    expect(sliceMsgpackMap(encodeMsgpack({ text: 'x' })).get('text')).toEqual(concatBytes(Uint8Array.of(0xa1), utf8('x')))
  })
})
