import { describe, expect, it } from 'vitest'
import { asArray, asBool, asBytes, asInt, asMap, asString, asU64 } from './fields.ts'

const refused = (field: string) => expect.objectContaining({ code: 'ERR_CODEC', details: expect.objectContaining({ field }) })

describe('fields', () => {
  it('pass what fits, unchanged', () => {
    const map = new Map([['k', 1]])
    expect(asMap(map, 'f')).toBe(map)
    expect(asArray([1], 'f')).toEqual([1])
    expect(asString('text', 'f')).toBe('text')
    expect(asBytes(Uint8Array.of(1), 'f', { length: 1 })).toEqual(Uint8Array.of(1))
    expect(asBytes(Uint8Array.of(1), 'f')).toEqual(Uint8Array.of(1))
    expect(asInt(7, 'f')).toBe(7)
    expect(asInt(-1, 'f', -1)).toBe(-1)
    expect(asU64(7, 'f')).toBe(7n)
    expect(asU64(0xffff_ffff_ffff_ffffn, 'f')).toBe(0xffff_ffff_ffff_ffffn)
    expect(asBool(false, 'f')).toBe(false)
  })

  it.each<[string, () => unknown]>([
    ['map', () => asMap([], 'map')], ['map', () => asMap(undefined, 'map')], ['map', () => asMap(null, 'map')],
    ['array', () => asArray(new Map(), 'array')], ['array', () => asArray([1, 2], 'array', 1)],
    ['text', () => asString(Uint8Array.of(1), 'text')], ['text', () => asString('abc', 'text', 2)],
    ['bin', () => asBytes('abc', 'bin')], ['bin', () => asBytes(Uint8Array.of(1, 2), 'bin', { length: 1 })], ['bin', () => asBytes(Uint8Array.of(1, 2), 'bin', { max: 1 })],
    ['int', () => asInt(1.5, 'int')], ['int', () => asInt(-1, 'int')], ['int', () => asInt(1n, 'int')], ['int', () => asInt(5, 'int', 0, 4)], ['int', () => asInt(Number.NaN, 'int')],
    ['u64', () => asU64(-1, 'u64')], ['u64', () => asU64(1.5, 'u64')], ['u64', () => asU64(-1n, 'u64')], ['u64', () => asU64(1n << 64n, 'u64')], ['u64', () => asU64('1', 'u64')],
    ['flag', () => asBool(0, 'flag')], ['flag', () => asBool(null, 'flag')],
  ])('%s: names the field it refuses', (field, run) => {
    expect(run).toThrow(refused(field))
  })
})
