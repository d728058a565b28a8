// Deltas: copies and inserts, refused where they leave their base, lie about sizes or have too many instructions. docs/protocol/04 trap S11.
import { JamiError } from '@jamikit/core/base'
import { concatBytes, fromUtf8, utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { varint } from '../../test/packs.ts'
import { applyDelta, deltaSizes } from './delta.ts'

const base = utf8('hello world')
const result = (delta: Uint8Array) => fromUtf8(applyDelta(base, delta).data)

describe('deltas', () => {
  it('copy and insert; a copy of size 0 is one of 65,536', () => {
    expect(result(concatBytes(Uint8Array.of(11, 8), Uint8Array.of(0x91, 6, 5), Uint8Array.of(3), utf8('!!!')))).toBe('world!!!')
    const large = new Uint8Array(70_000).fill(7)
    const copied = applyDelta(large, Uint8Array.from([...varint(70_000), ...varint(65_536), 0x80]))
    expect([copied.operations, Buffer.compare(copied.data, large.subarray(0, 65_536))]).toEqual([1, 0])
  })

  it.each([
    ['made for another base', [10, 8]], ['too little', [11, 8]], ['a reserved instruction', [11, 8, 0]], ['a copy that begins in the base and ends outside', [11, 8, 0x91, 9, 5, 0x91, 0, 3]],
    ['a copy one byte past the end', [11, 8, 0x91, 4, 8]], ['more than it declares', [11, 2, 3, 1, 1, 1]], ['an insert cut off', [11, 8, 5, 1]], ['a copy cut off', [11, 8, 0x91, 1]],
    ['a size without end', [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]], ['nothing', []],
  ])('refuses %s', (_, bytes) => {
    expect(() => applyDelta(base, Uint8Array.from(bytes))).toThrow(expect.objectContaining({ code: 'ERR_REPO_INVALID' }))
  })

  it('a copy that ends where the base ends is inside', () => {
    expect(result(Uint8Array.of(11, 8, 0x91, 3, 8))).toBe('lo world')
  })

  it('SWM-S11 declared sizes and the number of instructions have a bound; at the bound it is read', () => {
    expect(() => deltaSizes(Uint8Array.from([...varint(11), ...varint((8 << 20) + 1)]))).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
    const copies = (n: number) => Uint8Array.from([...varint(11), ...varint(n), ...Array.from({ length: n }, () => [0x90, 1]).flat()])
    expect(applyDelta(base, copies(262_144)).operations).toBe(262_144)
    expect(() => applyDelta(base, copies(262_145))).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
  })

  fuzz('any delta fits its base or is a typed error', fc.uint8Array({ maxLength: 64 }), (bytes) => {
    applyDelta(utf8('a base'), bytes)
  })

  it('what it throws is always typed', () => {
    expect(() => applyDelta(base, Uint8Array.of(0xff))).toThrow(JamiError)
  })
})
