// Messages of `swarm://` channels: captured bytes of the daemon, versions 1 and 2, refusals, every split point, the signed payload.
import { encodeMsgpack, fromBase64, fromHex, type MsgpackInput, toHex, utf8 } from '@jamikit/core/codec'
import type { AccountUri, DeviceId } from '@jamikit/core/contracts'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { refusal } from '../../test/refusal.ts'
import { MAX_CERTIFICATE_BYTES, MAX_CERTIFICATE_IDS, MAX_MESSAGE_BYTES, MAX_MOBILE_INFOS, MAX_NODES } from './limits.ts'
import { type DrtMessage, DrtStream, encodeDrtMessage, leasePayload, type MobileLease } from './wire.ts'

/** Of two daemons 16.0.0 that met (interop/peers/jami-core/captures/wire/peers.jsonl). */
const CAPTURED = {
  find: 'h6F2A6lpc19tb2JpbGXCsHNlbGZfbW9iaWxlX2luZm/Ap3JlcXVlc3SDoXEBo251bQKmbm9kZUlkxCCi7zJpTkgL3C6wgvOZbti+Lzk4BqaYW32LUrelB83Zu6hyZXNwb25zZcCsY2VydF9yZXF1ZXN0wK1jZXJ0X3Jlc3BvbnNlwA==',
  foundNothing: 'h6F2A6lpc19tb2JpbGXCsHNlbGZfbW9iaWxlX2luZm/Ap3JlcXVlc3TAqHJlc3BvbnNlhKFxAqVub2Rlc5CsbW9iaWxlX25vZGVzkLFtb2JpbGVfbm9kZV9pbmZvc5CsY2VydF9yZXF1ZXN0wK1jZXJ0X3Jlc3BvbnNlwA==',
  foundOne: 'h6F2A6lpc19tb2JpbGXCsHNlbGZfbW9iaWxlX2luZm/Ap3JlcXVlc3TAqHJlc3BvbnNlhKFxAqVub2Rlc5HEINvMUSsVCd6lX2eZDHTDxtKmTEaY6lXneu6nTXe3evxorG1vYmlsZV9ub2Rlc5CxbW9iaWxlX25vZGVfaW5mb3OQrGNlcnRfcmVxdWVzdMCtY2VydF9yZXNwb25zZcA=',
}
const device = (byte: number) => byte.toString(16).padStart(2, '0').repeat(32) as DeviceId
const lease: MobileLease = {
  format: 1, conversation: 'c'.repeat(40), issuer: 'ab'.repeat(20) as AccountUri, device: device(7), issuedAt: 1_700_000_000, expiresAt: 1_702_592_000, signature: new Uint8Array(512).fill(9),
}
const read = (bytes: Uint8Array) => new DrtStream().push(bytes)
const readMap = (map: MsgpackInput) => read(encodeMsgpack(map))[0]

describe('messages of the routing table', () => {
  it.each(Object.entries(CAPTURED))('SWM-23 %s of the daemon is read, and written again byte for byte', (_, base64) => {
    const bytes = fromBase64(base64)
    const [message] = read(bytes) as [DrtMessage]
    expect(message.version).toBe(3)
    expect(toHex(encodeDrtMessage(message))).toBe(toHex(bytes))
  })

  it('SWM-23 a question and an answer say what was captured', () => {
    expect(read(fromBase64(CAPTURED.find))).toEqual([
      { version: 3, isMobile: false, request: { query: 1, count: 2, target: 'a2ef32694e480bdc2eb082f3996ed8be2f393806a6985b7d8b52b7a507cdd9bb' } },
    ])
    expect(read(fromBase64(CAPTURED.foundOne))).toEqual([
      { version: 3, isMobile: false, response: { query: 2, nodes: ['dbcc512b1509dea55f67990c74c3c6d2a64c4698ea55e77aeea74d77b77afc68'], mobileNodes: [], mobileInfos: [] } },
    ])
  })

  it('SWM-23 the payload that a lease signs is the documented one', () => {
    const payload = leasePayload({ ...lease, device: 'cd'.repeat(32) as DeviceId })
    expect(toHex(payload)).toBe(`97aa${toHex(utf8('DRT-MOBILE'))}01d928${'63'.repeat(40)}c414${'ab'.repeat(20)}d940${toHex(utf8('cd'.repeat(32)))}ce6553f100ce657b7e00`)
  })

  it('SWM-23 versions 1 and 2 are read: four keys, answers without leases, leases with a certificate that is not looked at', () => {
    const request = { q: 1, num: 2, nodeId: fromHex(device(1)) }
    expect(readMap({ v: 1, is_mobile: true, request, response: null })).toEqual({ version: 1, isMobile: true, request: { query: 1, count: 2, target: device(1) } })
    expect(readMap({ v: 1, is_mobile: false, request: null, response: { q: 2, nodes: [fromHex(device(2))], mobile_nodes: [fromHex(device(3))] } })).toEqual({
      version: 1, isMobile: false, response: { query: 2, nodes: [device(2)], mobileNodes: [device(3)], mobileInfos: undefined },
    })
    const info = { id: fromHex(device(7)), certificate: new Uint8Array(900), lease: null }
    expect(readMap({ v: 2, is_mobile: true, self_mobile_info: info, request: null, response: null })).toEqual({ version: 2, isMobile: true, self: { id: device(7), lease: undefined } })
  })

  it('unknown keys are skipped, missing ones have defaults, any width of integers is read', () => {
    expect(readMap({})).toEqual({ version: 3, isMobile: false })
    expect(readMap({ later: [{ deep: [1, { er: null }] }], v: 9, response: {} })).toEqual({ version: 9, isMobile: false, response: { query: 2, nodes: [], mobileNodes: [], mobileInfos: undefined } })
    expect(read(fromHex('81a176d30000000000000003'))).toEqual([{ version: 3, isMobile: false }])
  })

  it('everything that we write is read again as it was (property)', () => {
    const id = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((b) => toHex(b) as DeviceId)
    const time = fc.integer({ min: 0, max: 2 ** 40 })
    const leases = fc.record({
      format: fc.constantFrom(1, 2), conversation: fc.string({ maxLength: 40 }), issuer: fc.uint8Array({ minLength: 20, maxLength: 20 }).map((b) => toHex(b) as AccountUri),
      device: id, issuedAt: time, expiresAt: time, signature: fc.uint8Array({ maxLength: 600 }),
    })
    const infos = fc.record({ id, lease: fc.option(leases, { nil: undefined }) })
    const messages = fc.record({
      isMobile: fc.boolean(), self: infos, request: fc.record({ query: fc.nat(4), count: fc.nat(9), target: id }),
      response: fc.record({ query: fc.nat(4), nodes: fc.array(id, { maxLength: 4 }), mobileNodes: fc.array(id, { maxLength: 4 }), mobileInfos: fc.array(infos, { maxLength: 3 }) }),
      certificateRequest: fc.array(id, { maxLength: 16 }), certificates: fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 4 }),
    }, { requiredKeys: ['isMobile'] })
    fc.assert(fc.property(messages, (message) => {
      const bytes = encodeDrtMessage(message)
      const again = read(bytes)
      expect(again).toEqual([{ version: 3, ...message }])
      expect(toHex(encodeDrtMessage(again[0] as DrtMessage))).toBe(toHex(bytes))
    }), { numRuns: 300 })
  })

  it('a stream may be cut anywhere: every split point, and byte by byte', () => {
    const parts = [...Object.values(CAPTURED).map(fromBase64), encodeDrtMessage({ isMobile: true, self: { id: lease.device, lease } })]
    const bytes = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0))
    let at = 0
    for (const part of parts) {
      bytes.set(part, at)
      at += part.length
    }
    const whole = read(bytes)
    expect(whole).toHaveLength(4)
    const text = JSON.stringify(whole)
    const bad = Array.from({ length: bytes.length + 1 }, (_, cut) => cut).filter((cut) => {
      const stream = new DrtStream()
      return JSON.stringify([...stream.push(bytes.subarray(0, cut)), ...stream.push(bytes.subarray(cut))]) !== text
    })
    expect(bad).toEqual([])
    const stream = new DrtStream()
    expect([...bytes].flatMap((byte) => stream.push(Uint8Array.of(byte)))).toEqual(whole)
  })

  const good = { format_version: 1, conversation_id: 'c', issuer_id: new Uint8Array(20), device_id: new Uint8Array(32), issued_at: 1, expires_at: 2, signature: new Uint8Array(4) }
  const withLease = (fields: Record<string, MsgpackInput | undefined>) => encodeMsgpack({ v: 3, self_mobile_info: { id: new Uint8Array(32), lease: { ...good, ...fields } } })
  it.each([
    ['an array', encodeMsgpack([3, false])],
    ['a text', encodeMsgpack('swarm')],
    ['a version as text', encodeMsgpack({ v: '3' })],
    ['a negative version', encodeMsgpack({ v: -1 })],
    ['a version of nil', encodeMsgpack({ v: null })],
    ['a number as is_mobile', encodeMsgpack({ is_mobile: 1 })],
    ['a question that is a list', encodeMsgpack({ request: [1, 2] })],
    ['a question without an id', encodeMsgpack({ request: { q: 1, num: 2 } })],
    ['an id of 31 bytes', encodeMsgpack({ request: { q: 1, num: 2, nodeId: new Uint8Array(31) } })],
    ['an id as text', encodeMsgpack({ request: { q: 1, num: 2, nodeId: 'a'.repeat(32) } })],
    ['a count as float', encodeMsgpack({ request: { q: 1, num: 1.5, nodeId: new Uint8Array(32) } })],
    ['an answer with an id of 33 bytes', encodeMsgpack({ response: { q: 2, nodes: [new Uint8Array(33)] } })],
    ['nodes that are a map', encodeMsgpack({ response: { q: 2, nodes: {} } })],
    ['too many nodes', encodeMsgpack({ response: { q: 2, nodes: Array.from({ length: MAX_NODES + 1 }, () => new Uint8Array(32)) } })],
    ['too many leases', encodeMsgpack({ response: { q: 2, mobile_node_infos: Array.from({ length: MAX_MOBILE_INFOS + 1 }, () => ({ id: new Uint8Array(32), lease: null })) } })],
    ['an info without an id', encodeMsgpack({ self_mobile_info: { lease: null } })],
    ['an issuer of 32 bytes', withLease({ issuer_id: new Uint8Array(32) })],
    ['a lease for a short device id', withLease({ device_id: new Uint8Array(20) })],
    ['a lease without a time', withLease({ expires_at: undefined })],
    ['a time beyond what a double holds', withLease({ expires_at: 2n ** 63n })],
    ['a signature as text', withLease({ signature: 'x' })],
    ['a signature of 8 KiB', withLease({ signature: new Uint8Array(8_192) })],
    ['a conversation id of 2 KiB', withLease({ conversation_id: 'c'.repeat(2_048) })],
    ['a question for 17 certificates', encodeMsgpack({ cert_request: { ids: Array.from({ length: MAX_CERTIFICATE_IDS + 1 }, () => new Uint8Array(32)) } })],
    ['17 certificates', encodeMsgpack({ cert_response: { certificates: Array.from({ length: MAX_CERTIFICATE_IDS + 1 }, () => new Uint8Array(1)) } })],
    ['a certificate above its size', encodeMsgpack({ cert_response: { certificates: [new Uint8Array(MAX_CERTIFICATE_BYTES + 1)] } })],
    ['a certificate as text', encodeMsgpack({ cert_response: { certificates: ['-----BEGIN'] } })],
    ['nesting without end', fromHex(`81a178${'91'.repeat(40)}00`)],
    ['a map that says it has 4 billion entries', fromHex('dfffffffff')],
    ['a blob that says it has 4 GiB', fromHex('81a178c6ffffffff')],
  ])('refuses %s', (_, bytes) => {
    expect(refusal(() => read(bytes))).toMatch(/^ERR_(CODEC|LIMIT)$/)
  })

  it('a message that does not end is refused at its bound, not kept', () => {
    const stream = new DrtStream()
    stream.push(fromHex('de1000'))
    const filler = encodeMsgpack(new Uint8Array(MAX_CERTIFICATE_BYTES))
    expect(refusal(() => {
      for (let bytes = 0; bytes <= MAX_MESSAGE_BYTES; bytes += filler.length) stream.push(filler)
    })).toBe('ERR_LIMIT')
  })

  const seed = encodeDrtMessage({ isMobile: true, self: { id: lease.device, lease }, request: { query: 1, count: 2, target: device(4) }, response: { query: 2, nodes: [device(5)], mobileNodes: [device(6)], mobileInfos: [{ id: device(6), lease }] } })
  fuzz('any bytes, and damaged messages, are read or refused', fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.tuple(fc.nat(seed.length - 1), fc.nat(255)).map(([at, b]) => seed.map((x, i) => (i === at ? b : x)))), (bytes) => {
    read(bytes)
  })
})
