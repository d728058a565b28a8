// msgpackr as a second opinion on random values: each reads what the other writes, and where the integers fit 32 bits the bytes are the same.
// Beyond, msgpackr writes a number as a float64 and a bigint always as 64 bits (`d3`, `cf` from 2^63 on); the network (msgpack-c, as we)
// writes the shortest integer. Its extensions are its own and left out here.
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import { toHex } from './bytes.ts'
import { decodeMsgpack, encodeMsgpack, type MsgpackInput } from './msgpack.ts'

const oracle = new Packr({ useRecords: false, mapsAsObjects: false, variableMapSize: true, structuredClone: false, copyBuffers: true })

const text = fc.string({ unit: 'binary', maxLength: 300 })
const bytes = fc.uint8Array({ maxLength: 300 })
const small = fc.oneof(fc.integer(), fc.nat(0xffff_ffff))
const fraction = fc.double({ noNaN: false }).filter((n) => !Number.isInteger(n))
const safe = fc.maxSafeInteger().map((n) => n + 0)
const big = fc.bigInt({ min: -(1n << 63n), max: (1n << 64n) - 1n })

function valuesOf(...leaves: fc.Arbitrary<unknown>[]): fc.Arbitrary<MsgpackInput> {
  return fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4 }, fc.constantFrom(null, true, false), text, bytes, ...leaves, tie('list'), tie('map')),
    list: fc.array(tie('value'), { maxLength: 20 }),
    map: fc.array(fc.tuple(text, tie('value')), { maxLength: 20 }).map((pairs) => new Map(pairs)),
  })).value as fc.Arbitrary<MsgpackInput>
}

/** What msgpackr tells apart and we do not (safe integers of either type, kinds of byte arrays), as it wants it or as we give it. */
function each(value: unknown, leaf: (leaf: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => each(item, leaf))
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [each(key, leaf), each(item, leaf)]))
  return leaf(value)
}
const asBuffers = (value: unknown) => each(value, (leaf) => (leaf instanceof Uint8Array ? Buffer.from(leaf) : leaf))
const asOurs = (value: unknown) => each(value, (leaf) => {
  if (leaf instanceof Uint8Array) return new Uint8Array(leaf)
  return typeof leaf === 'bigint' && leaf >= Number.MIN_SAFE_INTEGER && leaf <= Number.MAX_SAFE_INTEGER ? Number(leaf) : leaf
})

describe('msgpack beside msgpackr', () => {
  it('writes the same bytes, where integers fit 32 bits', () => {
    fc.assert(fc.property(valuesOf(small, fraction), (value) => {
      expect(toHex(encodeMsgpack(value))).toBe(toHex(oracle.pack(asBuffers(value))))
    }))
  })

  it('is read by it as it was meant, and reads what it writes', () => {
    fc.assert(fc.property(valuesOf(small, fraction, safe, big), (value) => {
      expect(asOurs(oracle.unpack(encodeMsgpack(value)))).toEqual(asOurs(value))
      expect(decodeMsgpack(new Uint8Array(oracle.pack(asBuffers(value))))).toEqual(asOurs(value))
    }))
  })

  it.each([
    [2 ** 32, 'cf0000000100000000', 'cb41f0000000000000'],
    [-(2 ** 31) - 1, 'd3ffffffff7fffffff', 'cbc1e0000000200000'],
    [5n, '05', 'd30000000000000005'],
    [1n << 62n, 'cf4000000000000000', 'd34000000000000000'],
  ])('writes %s in the form of the network, where msgpackr has another one', (value, ours, theirs) => {
    expect(toHex(encodeMsgpack(value))).toBe(ours)
    expect(toHex(oracle.pack(value))).toBe(theirs)
  })
})
