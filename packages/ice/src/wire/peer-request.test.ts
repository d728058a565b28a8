// Connection requests: the documented bytes, refusals, fuzz; and the keys they travel on.
import { encodeMsgpack, fromHex, toHex, utf8 } from '@jamikit/core/codec'
import type { DeviceId } from '@jamikit/core/contracts'
import { infoHashOf, peerKey } from '@jamikit/core/identity'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { refusal } from '../../test/refusals.ts'
import { decodePeerRequest, encodePeerRequest } from './peer-request.ts'

// docs/protocol/02 §1.2
const BYTES = '84a269642aa76963655f6d7367a4750a700aa86973416e73776572c2a8636f6e6e54797065a473796e63'
const REQUEST = { id: 42, iceMessage: 'u\np\n', isAnswer: false, connType: 'sync' }

describe('connection requests', () => {
  it('ICE-1 travel on SHA-1 of "peer:" and the hex text of the id', () => {
    const id = '0123456789abcdef'.repeat(4)
    expect(peerKey(id as DeviceId)).toBe('08290c8ae6c290890e3cbb0b969e17a9e1dd2cb0')
    expect(infoHashOf('peer:0123456789abcdef0123456789abcdef01234567')).toBe('4cd47ad6cb518d2526b121fe8b909f7913660775')
  })

  it('ICE-2 are written and read byte by byte as documented', () => {
    expect(toHex(encodePeerRequest(REQUEST))).toBe(BYTES)
    expect(decodePeerRequest(fromHex(BYTES))).toEqual(REQUEST)
  })

  it('are read by key: any order, unknown keys ignored, missing ones have defaults', () => {
    expect(decodePeerRequest(encodeMsgpack({ later: 1, isAnswer: true, id: 7 }))).toEqual({ id: 7, iceMessage: '', isAnswer: true, connType: '' })
  })

  const map = (fields: Record<string, unknown>) => encodeMsgpack({ id: 1, ice_msg: 'x', isAnswer: false, connType: '', ...fields } as never)
  it.each([
    ['an array', encodeMsgpack([1, 2])],
    ['no id', encodeMsgpack({ ice_msg: 'x' })],
    ['id 0', map({ id: 0 })],
    ['a negative id', map({ id: -1 })],
    ['id 2^53', map({ id: 9_007_199_254_740_992n })],
    ['a text as id', map({ id: '1' })],
    ['a number as description', map({ ice_msg: 5 })],
    ['bytes as description', map({ ice_msg: utf8('x') })],
    ['a description of 20,000 characters', map({ ice_msg: 'x'.repeat(20_000) })],
    ['a number as isAnswer', map({ isAnswer: 1 })],
    ['a connType of 257 characters', map({ connType: 'x'.repeat(257) })],
    ['bytes after it', fromHex(`${BYTES}00`)],
    ['half of it', fromHex(BYTES).subarray(0, 20)],
    ['too many items', encodeMsgpack(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, i])))],
    ['a lying length', fromHex('84a26964dbffffffff')],
  ])('refuse %s', (_, bytes) => {
    expect(refusal(() => decodePeerRequest(bytes))).toMatch(/^ERR_(CODEC|LIMIT)$/)
  })

  it('round trip, and any bytes are read or refused (fuzz)', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), fc.string({ maxLength: 200 }), fc.boolean(), fc.string({ maxLength: 50 }), (id, iceMessage, isAnswer, connType) => {
      const request = { id, iceMessage, isAnswer, connType }
      expect(decodePeerRequest(encodePeerRequest(request))).toEqual(request)
    }), { numRuns: 500 })
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), fc.tuple(fc.nat(), fc.nat(255)).map(([at, b]) => fromHex(BYTES).map((x, i) => (i === at % 42 ? b : x)))), (bytes) => {
      refusal(() => decodePeerRequest(bytes))
    }), { numRuns: 10_000 })
  })
})
