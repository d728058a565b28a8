// STUN by captured messages of two daemons, refusals, round trip and fuzz.
import { readFileSync } from 'node:fs'
import { fromHex, toHex } from '@jamikit/core/codec'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { refusal } from '../../test/refusals.ts'
import { BINDING_ERROR, BINDING_INDICATION, BINDING_REQUEST, BINDING_SUCCESS, decodeStun, encodeStun, hasIntegrity, isStun } from './stun.ts'

const hex = (text: string) => fromHex(text.replace(/\s/g, ''))
// docs/protocol/02 §12.1 to 12.4, without their frame headers
const REQUEST = hex('000100602112a442562900000a8fb801d4adf672 00240004 6efffeff 80290008 78dbe23949007030 80220010 706a6e6174682d322e31352e31000000 00060011 33633237623264613a3465613738336565 000000 00080014 235fc8b7521728d33ea2b89ccf540a29edc6c234 80280004 8ba28425')
const SUCCESS = hex('010100402112a442562900000a8fb801d4adf672 00200008 00019ec82b4aa44f 80220010 706a6e6174682d322e31352e31000000 00080014 db35788b928a61abd85bab7564559a6bba2e1dee 80280004 dcd23b64')
const NOMINATION = hex('000100642112a44254290000fa6c162d452d687c 00240004 6effffff 00250000 802a0008 71251a6b76a8cc53 80220010 706a6e6174682d322e31352e31000000 00060011 34656137383365653a3363323762326461 000000 00080014 42b9eced97ddc72bf0dc6110727d9cfbe78b34bb 80280004 3ce1b6dc')
const INDICATION = hex('001100082112a4425429000036736f6f462d687c 80280004 65dbd168')
const ALICE = '6f09df4202938b30119f4ee6'
const BOB = '0f4a0d9b37acdc5b7e6c6a98'
const { messages } = JSON.parse(readFileSync(new URL('../../test/vectors/jamid-2023-stun.json', import.meta.url), 'utf8')) as { messages: { stun: string }[] }

const cut = (bytes: Uint8Array, length: number) => {
  const out = bytes.slice(0, length)
  new DataView(out.buffer).setUint16(2, length - 20)
  return out
}
describe('STUN', () => {
  it('ICE-17 reads the captured check of 2026: user name, role and integrity under the right password only', () => {
    const m = decodeStun(REQUEST)
    expect(m).toMatchObject({ type: BINDING_REQUEST, username: '3c27b2da:4ea783ee', priority: 0x6efffeff })
    expect([toHex(m.controlled ?? new Uint8Array(0)), m.controlling, m.useCandidate]).toEqual(['78dbe23949007030', undefined, undefined])
    expect([hasIntegrity(m, ALICE), hasIntegrity(m, BOB)]).toEqual([true, false])
  })

  it('reads the captured answer: the address is unmasked', () => {
    const m = decodeStun(SUCCESS)
    expect(m.type).toBe(BINDING_SUCCESS)
    expect([[...(m.mapped?.address ?? [])], m.mapped?.port]).toEqual([[10, 88, 0, 13], 49_114])
    expect(hasIntegrity(m, ALICE)).toBe(true)
  })

  it('reads the captured nomination and the captured keep-alive', () => {
    const m = decodeStun(NOMINATION)
    expect([m.useCandidate, toHex(m.controlling ?? new Uint8Array(0)), hasIntegrity(m, BOB)]).toEqual([true, '71251a6b76a8cc53', true])
    const alive = decodeStun(INDICATION)
    expect([alive.type, hasIntegrity(alive, BOB)]).toEqual([BINDING_INDICATION, false])
  })

  it('ICE-22 writes the keep-alive byte by byte as captured: 28 bytes, fingerprint only', () => {
    expect(toHex(encodeStun({ type: BINDING_INDICATION, transaction: INDICATION.subarray(8, 20) }))).toBe(toHex(INDICATION))
  })

  it.each(messages.map(({ stun }, i) => [i, stun]))('reads message %i of the daemon of 2023, fingerprint checked', (_, stun) => {
    const m = decodeStun(fromHex(stun as string))
    expect([BINDING_REQUEST, BINDING_SUCCESS, BINDING_INDICATION, BINDING_ERROR]).toContain(m.type)
    if (m.type === BINDING_REQUEST) expect(m.username).toMatch(/^[0-9a-f]{8}:[0-9a-f]{8}$/)
    if (m.type === BINDING_SUCCESS) expect(m.mapped?.port).toBeGreaterThan(0)
  })

  it('our own messages read back with all their fields', () => {
    const transaction = fromHex('00112233445566778899aabb')
    const request = { type: BINDING_REQUEST, transaction, username: 'a:b', priority: 1, useCandidate: true, controlling: fromHex('0102030405060708') } as const
    const m = decodeStun(encodeStun(request, ALICE))
    expect(m).toMatchObject({ ...request, controlling: expect.anything() })
    expect(hasIntegrity(m, ALICE)).toBe(true)
    const six = { address: fromHex('20010db8000000000000000000000001'), port: 4242 }
    expect(decodeStun(encodeStun({ type: BINDING_SUCCESS, transaction, mapped: six }, ALICE)).mapped).toEqual(six)
    expect(decodeStun(encodeStun({ type: BINDING_ERROR, transaction, errorCode: 487 }, ALICE)).errorCode).toBe(487)
  })

  it('ICE-S6 integrity is compared in constant time, and fails when any byte changes', () => {
    const source = readFileSync(new URL('./stun.ts', import.meta.url), 'utf8')
    expect(source).toMatch(/return constantTimeEqual\(hmac/)
    const bare = cut(REQUEST, REQUEST.length - 8) // without fingerprint, which would notice first
    expect(hasIntegrity(decodeStun(bare), ALICE)).toBe(true)
    for (let i = 0; i < bare.length; i++) {
      const bad = bare.map((b, at) => (at === i ? b ^ 1 : b))
      let passed = false
      refusal(() => {
        passed = hasIntegrity(decodeStun(bad), ALICE)
      })
      if (i !== 2 && i !== 3) expect([i, passed]).toEqual([i, false]) // the length is replaced before it is covered
    }
  })

  it.each([
    ['nothing', new Uint8Array(0)],
    ['less than a header', REQUEST.subarray(0, 19)],
    ['a wrong cookie', REQUEST.map((b, i) => (i === 4 ? 0x22 : b))],
    ['top bits of RTP', REQUEST.map((b, i) => (i === 0 ? 0x80 : b))],
    ['a length that lies', REQUEST.map((b, i) => (i === 3 ? 0x61 : b))],
    ['a cut attribute', cut(REQUEST, REQUEST.length - 2)],
    ['half an attribute header', cut(REQUEST, 22)],
    ['a wrong fingerprint', REQUEST.map((b, i) => (i === REQUEST.length - 1 ? b ^ 1 : b))],
    ['an attribute longer than the message', REQUEST.map((b, i) => (i === 23 ? 0xff : b))],
    ['a priority of three bytes', REQUEST.map((b, i) => (i === 23 ? 3 : b))],
    ['33 attributes', (() => {
      const out = new Uint8Array(20 + 33 * 4)
      out.set(REQUEST.subarray(0, 20))
      new DataView(out.buffer).setUint16(2, 33 * 4)
      for (let i = 0; i < 33; i++) new DataView(out.buffer).setUint16(20 + 4 * i, 0x8000)
      return out
    })()],
  ])('refuses %s', (_, bytes) => {
    expect(refusal(() => decodeStun(bytes))).toBe('ERR_CODEC')
  })

  it('ICE-S5 whatever comes is read or refused, nothing else (fuzz)', () => {
    const noise = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.tuple(fc.constantFrom(REQUEST, SUCCESS, NOMINATION), fc.nat(), fc.nat(255)).map(([m, at, b]) => m.map((x, i) => (i === at % m.length ? b : x))))
    fc.assert(fc.property(noise, (bytes) => {
      const outcome = refusal(() => decodeStun(bytes))
      if (outcome === 'accepted') expect(isStun(bytes)).toBe(true)
    }), { numRuns: 10_000 })
  })
})
