import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { base64, vectorJson } from '../../test/vectors.ts'
import { fromHex, toHex, utf8 } from '../codec/bytes.ts'
import { aesGcmOpen, aesGcmSeal } from './aes-gcm.ts'

const closed = expect.objectContaining({ code: 'ERR_SIGNATURE' })
const key = new Uint8Array(32).map((_, i) => i)

describe('AES-GCM in the form of OpenDHT', () => {
  it('DHT-49 opens and reproduces the AES vectors', () => {
    const { aesKey } = vectorJson<{ aesKey: { encrypted: string; key: string; plain: string }[] }>('opendht-symmetric.json')
    expect(aesKey.length).toBeGreaterThan(5)
    for (const vector of aesKey) {
      const sealed = base64(vector.encrypted)
      expect(aesGcmOpen(base64(vector.key), sealed)).toEqual(base64(vector.plain))
      expect(aesGcmSeal(base64(vector.key), base64(vector.plain), sealed.slice(0, 12))).toEqual(sealed)
    }
    expect(toHex(aesGcmOpen(key, fromHex('6bf0310189439bca83542352ea9c3ca468ca2b4399223b7af16f02bfa94e5a0373')))).toBe(toHex(utf8('hello')))
  })

  it('every change and every cut is refused with the same error', () => {
    const sealed = aesGcmSeal(key, utf8('text'))
    for (let at = 0; at < sealed.length; at++) {
      const changed = sealed.slice()
      changed[at] = (changed[at] ?? 0) ^ 0x40
      expect(() => aesGcmOpen(key, changed)).toThrow(closed)
      expect(() => aesGcmOpen(key, sealed.subarray(0, at))).toThrow(closed)
    }
    expect(() => aesGcmOpen(new Uint8Array(32), sealed)).toThrow(closed)
  })

  it('takes keys of 16, 24 and 32 bytes and IVs of 12 only', () => {
    for (const length of [16, 24, 32]) expect(aesGcmOpen(new Uint8Array(length), aesGcmSeal(new Uint8Array(length), utf8('x')))).toEqual(utf8('x'))
    for (const length of [0, 15, 33]) {
      expect(() => aesGcmSeal(new Uint8Array(length), key)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
      expect(() => aesGcmOpen(new Uint8Array(length), key)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    }
    expect(() => aesGcmSeal(key, key, new Uint8Array(11))).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })

  it('uses a fresh IV each time', () => {
    expect(aesGcmSeal(key, key).subarray(0, 12)).not.toEqual(aesGcmSeal(key, key).subarray(0, 12))
  })

  it('any bytes are refused with the same error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(() => aesGcmOpen(key, bytes)).toThrow(closed)
      }),
      { numRuns: 10_000 },
    )
  })
})
