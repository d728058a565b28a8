// Packs: what is written is read back, what lies is refused, deltas stay inside their base. docs/protocol/04 §4.4.
import { JamiError } from '@jamikit/core/base'
import { concatBytes, fromUtf8, utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { bundle } from '../../test/harness.ts'
import { objectId } from '../repo/object.ts'
import { applyDelta, decodePack, encodePack } from './pack.ts'

describe('packs', () => {
  const objects = [{ type: 'blob' as const, data: utf8('one') }, { type: 'blob' as const, data: new Uint8Array(5000).fill(7) }, { type: 'tree' as const, data: new Uint8Array(0) }]

  it('what is written is read back, by id', () => {
    expect([...decodePack(encodePack(objects)).keys()].sort()).toEqual(objects.map(objectId).sort())
  })

  it('SWM-14 a lying count, a wrong trailer, a cut and trailing bytes are refused', () => {
    const good = encodePack(objects)
    const flip = (at: number) => good.map((b, i) => (i === at ? b ^ 1 : b))
    for (const bad of [flip(11), flip(good.length - 1), good.subarray(0, good.length - 25), concatBytes(good, Uint8Array.of(0)), flip(20)]) expect(() => decodePack(bad)).toThrow(JamiError)
  })

  it('SWM-S11 an object that declares more than is allowed is refused before it is inflated', () => {
    const pack = encodePack([{ type: 'blob', data: utf8('x') }])
    const lying = concatBytes(pack.subarray(0, 12), Uint8Array.of(0xbf, 0xff, 0xff, 0xff, 0xff, 0x0f), pack.subarray(13, -20))
    expect(() => decodePack(concatBytes(lying, new Uint8Array(20)))).toThrow(JamiError)
  })

  it('a delta copies and inserts, and is refused outside its base', () => {
    const base = utf8('hello world')
    const delta = concatBytes(Uint8Array.of(11, 8), Uint8Array.of(0x91, 6, 5), Uint8Array.of(3), utf8('!!!'))
    expect(fromUtf8(applyDelta(base, delta))).toBe('world!!!')
    for (const bad of [Uint8Array.of(10, 8), Uint8Array.of(11, 8, 0), Uint8Array.of(11, 8, 0x91, 9, 5), Uint8Array.of(11, 2, 3, 1, 1, 1), Uint8Array.of(11, 8, 5, 1)]) expect(() => applyDelta(base, bad)).toThrow(JamiError)
  })

  fuzz('any bytes are a pack or a typed error', fc.uint8Array({ maxLength: 200 }), (bytes) => {
    decodePack(bytes)
  })
  fuzz('any delta fits its base or is a typed error', fc.uint8Array({ maxLength: 64 }), (bytes) => {
    applyDelta(utf8('a base'), bytes)
  })

  it('a captured pack of git comes out as the same objects when it is written and read by us', () => {
    const captured = bundle('one-to-one')
    expect(captured.size).toBeGreaterThan(80)
    const again = decodePack(encodePack([...captured.values()]))
    expect([...again.keys()].sort()).toEqual([...captured.keys()].sort())
    for (const [oid, o] of again) expect(objectId(o)).toBe(oid)
  })

  it('every cut and every changed byte of a small pack is refused', () => {
    const good = encodePack([{ type: 'blob', data: utf8('one') }, { type: 'blob', data: utf8('two') }])
    for (let cut = 0; cut < good.length; cut++) expect(() => decodePack(good.subarray(0, cut))).toThrow(JamiError)
    for (let at = 0; at < good.length; at++) expect(() => decodePack(good.map((b, i) => (i === at ? b ^ 0x55 : b)))).toThrow(JamiError)
  })
})
