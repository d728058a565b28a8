import { readFileSync } from 'node:fs'
import { JamiError } from '@jamikit/core/base'
import { concatBytes, decodeMsgpack, encodeMsgpack, fromHex, type MsgpackInput, MsgpackExt, toHex, utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { bytesToHost, hostToBytes, isMartian, sourceKey } from './address.ts'
import { FragmentAssembler, MAX_HELD_BYTES, MAX_PIECES, MAX_SESSIONS, MAX_SESSIONS_PER_NETWORK, MAX_SESSIONS_PER_SOURCE } from './fragments.ts'
import { decodeMessage, type DhtMessage, encodeError, encodeMessage, type RequestMessage } from './message.ts'
import { decodeNodes, encodeNodes } from './node-info.ts'
import { decodeValue, encodeBody, encodeValue } from './value.ts'

const ID = '11'.repeat(20)
const packets = (name: string): { hex: string; kind: string; y: string }[] =>
  JSON.parse(readFileSync(new URL(`../../test/vectors/${name}.json`, import.meta.url), 'utf8')).packets
const from = { host: '10.0.0.1', port: 4222, family: 4 as const }

function encode(m: DhtMessage): Uint8Array[] {
  if (m.kind === 'error') return [encodeError(m)]
  if (m.kind === 'request' || m.kind === 'reply') return encodeMessage(m)
  throw new Error('not encoded here')
}

describe('captured packets', () => {
  for (const name of ['ping-find-v4', 'ping-find-v6', 'put-get-plain', 'put-large', 'put-signed', 'listen-update', 'permanent-refresh', 'network-id'])
    it(`DHT-2 DHT-8 ${name}: every packet is read, and what is whole in one datagram is written to the same bytes`, () => {
      let same = 0
      for (const { hex } of packets(name)) {
        const bytes = fromHex(hex)
        const m = decodeMessage(bytes)
        if (m.kind === 'fragment' || m.kind === 'push' || m.agent !== 'RNG1' || (m.kind !== 'error' && (m.args.sizes || m.args.rows))) continue
        expect(toHex(encode(m)[0] ?? new Uint8Array(0))).toBe(hex)
        same++
      }
      expect(same).toBeGreaterThan(10)
    })

  it('DHT-31 a large value comes out of its fragments, and goes into the same ones', () => {
    const assembler = new FragmentAssembler()
    const all = packets('put-large').map(({ hex }) => fromHex(hex))
    let whole = 0
    for (const bytes of all) {
      const m = decodeMessage(bytes)
      const done = m.kind === 'fragment' ? assembler.fragment(m, from, 0) : (m.kind === 'request' || m.kind === 'reply') && m.args.sizes ? assembler.header(m, from, 0) : undefined
      if (!done) continue
      whole++
      const again = encodeMessage(done)
      const sent = all.filter((b) => decodeMessage(b).tid === done.tid).map(toHex)
      expect(sent).toEqual(expect.arrayContaining(again.map(toHex)))
    }
    expect(whole).toBeGreaterThan(0)
  })
})

describe('tolerance', () => {
  const ping = (change: Record<string, MsgpackInput | undefined>) => encodeMsgpack({ a: { id: fromHex(ID) }, q: 'ping', t: 7, y: 'q', v: 'RNG1', ...change })

  it('DHT-3 any key order, unknown keys, other than string keys, no y, no v', () => {
    expect(decodeMessage(ping({ y: undefined, v: undefined, zz: 1 }))).toMatchObject({ kind: 'request', name: 'ping', tid: 7 })
    expect(decodeMessage(encodeMsgpack(new Map<MsgpackInput, MsgpackInput>([[5, 6], ['t', 7], ['q', 'ping'], ['a', { id: fromHex(ID) }]])))).toMatchObject({ name: 'ping' })
  })

  it('DHT-4 transaction ids as integer, 4 bytes, 4 characters', () => {
    expect(decodeMessage(ping({ t: fromHex('000004d2') })).tid).toBe(1234)
    expect(decodeMessage(ping({ t: 'abcd' })).tid).toBe(0x61626364)
  })

  it('DHT-5 blobs as bin, str or array; ids only as bin of 20', () => {
    for (const token of [fromHex('616263'), 'abc', [0x61, 0x62, 0x63]]) expect(decodeMessage(ping({ a: { id: fromHex(ID), token } }))).toMatchObject({ args: { token: utf8('abc') } })
    for (const id of ['1'.repeat(20), new Uint8Array(19), [1, 2]]) expect(() => decodeMessage(ping({ a: { id } }))).toThrow(JamiError)
  })

  it('DHT-10 wanted families of other systems', () => {
    for (const six of [10, 23, 24, 28, 30]) expect(decodeMessage(ping({ a: { id: fromHex(ID), w: [2, six, 99] } }))).toMatchObject({ args: { want: [4, 6] } })
  })

  it('the hints for push servers that links to members come with are read, as their requests would be lost otherwise', () => {
    for (const pushType of ['', 'audioCall', `application/im-gitmessage-id/${'c'.repeat(40)}`]) {
      const value = encodeValue({ id: 2n, priority: 0, pushType, cypher: new Uint8Array(700), body: undefined })
      expect(decodeValue(value).pushType).toBe(pushType)
    }
  })

  it('DHT-9 value ids keep 64 bits', () => {
    for (const id of [1n, 2n ** 53n + 1n, 2n ** 64n - 1n]) expect(decodeValue(encodeValue({ id, priority: 0, pushType: '', cypher: undefined, body: { type: 0, data: utf8('x'), userType: '', owner: undefined, seq: 0, to: undefined, signature: undefined } })).id).toBe(id)
  })

  it('one bad value costs itself', () => {
    const m = decodeMessage(encodeMsgpack({ a: { id: fromHex(ID), values: [{ id: 1 }, { id: 2, dat: { body: { type: 0, data: utf8('x') } } }] }, q: 'put', t: 1 }))
    expect(m).toMatchObject({ args: { values: [{ id: 2n }] } })
  })

  it('one bad node, row, id, size, part, or list of a datagram costs itself, not the datagram', () => {
    const node = encodeNodes([{ id: ID as never, address: { host: '10.0.0.7', port: 9, family: 4 } }])
    const reply = (r: Record<string, MsgpackInput>) => decodeMessage(encodeMsgpack({ r: { id: fromHex(ID), token: utf8('t'), ...r }, t: 1, y: 'r' }))
    expect(reply({ n4: concatBytes(node, new Uint8Array(25)), n6: new Uint8Array(3) })).toMatchObject({ args: { n4: [{ id: ID }], n6: [], token: utf8('t') } })
    expect(reply({ n4: 'x'.repeat(10), n6: 5, sa: 'no' })).toMatchObject({ args: { n4: [], n6: [], token: utf8('t') } })
    expect(reply({ fileds: { f: [1, 4], v: [7, 0, 'x', 0, 8, -1, 9, 3, 10] } })).toMatchObject({ args: { rows: [{ id: 7n, seq: 0 }, { id: 9n, seq: 3 }] } })
    expect(reply({ fileds: 1, values: [-5, 31] })).toMatchObject({ args: { rows: [], sizes: [0, 31] } })
    expect(decodeMessage(encodeMsgpack({ a: { id: fromHex(ID), sid: 1, exp: [1, 'x', 2] }, q: 'update', t: 1 }))).toMatchObject({ args: { expired: [1n, 2n] } })
    const parts = new Map<MsgpackInput, MsgpackInput>([[0, { o: -1, d: utf8('x') }], [1, { o: 0, d: utf8('y') }], [2, 3]])
    expect(decodeMessage(encodeMsgpack({ p: parts, t: 1, y: 'p' }))).toMatchObject({ kind: 'fragment', parts: [{ index: 1 }] })
  })

  it('one bad value among fragments costs itself', () => {
    const good = encodeValue({ id: 2n, priority: 0, pushType: '', cypher: new Uint8Array(700), body: undefined })
    const assembler = new FragmentAssembler()
    const header = { kind: 'request' as const, name: 'put' as const, tid: 1, network: 0, client: false, args: { id: ID as never, values: [], sizes: [10, good.length] } }
    expect(assembler.header(header, from, 0)).toBeUndefined()
    const piece = (index: number, bytes: Uint8Array) => assembler.fragment({ kind: 'fragment', tid: 1, network: 0, client: false, parts: [{ index, offset: 0, bytes }] }, from, 0)
    expect(piece(0, new Uint8Array(10).fill(0xc1))).toBeUndefined()
    expect(piece(1, good)?.args.values?.map((v) => v.id)).toEqual([2n])
  })
})

it.each([
  ['no map', encodeMsgpack([1])], ['nothing', new Uint8Array(0)], ['no id', encodeMsgpack({ a: {}, q: 'ping', t: 1 })], ['an unknown request', encodeMsgpack({ a: { id: fromHex(ID) }, q: 'dance', t: 1 })],
  ['a wrong y', encodeMsgpack({ a: { id: fromHex(ID) }, q: 'ping', y: 'z' })], ['an error without text list', encodeMsgpack({ e: 1, r: { id: fromHex(ID) } })],
  ['a where on the sequence number', encodeMsgpack({ a: { id: fromHex(ID), h: fromHex(ID), q: { s: [], w: [{ f: 4, v: 1 }] } }, q: 'get', t: 1 })],
  ['an extension', encodeMsgpack(new MsgpackExt(1, new Uint8Array(1)))],
])('DHT-6 drops %s with a typed error', (_what, bytes) => {
  expect(() => decodeMessage(bytes)).toThrow(JamiError)
})

fuzz('DHT-6 any datagram is a message or a typed error', fc.uint8Array({ maxLength: 300 }), (bytes) => void decodeMessage(bytes))
fuzz('any damaged packet is a message or a typed error', fc.tuple(fc.nat(200), fc.nat(255)), ([at, b]) => {
  const bytes = encodeMsgpack({ a: { id: fromHex(ID), h: fromHex(ID), values: [{ id: 2, dat: { body: { type: 0, data: utf8('x') } } }], token: utf8('t') }, q: 'put', t: 1, y: 'q' })
  bytes[at % bytes.length] = b
  decodeMessage(bytes)
})
fuzz('any value bytes are a value or a typed error', fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeValue(bytes))

describe('captured values', () => {
  const values = JSON.parse(readFileSync(new URL('../../test/vectors/values.json', import.meta.url), 'utf8')) as Record<string, Record<string, { packed?: string; toSign?: string }>>
  it('DHT-45 DHT-1 are written to the same bytes, and so is what is signed', () => {
    let packed = 0
    let signed = 0
    for (const group of Object.values(values)) {
      for (const v of Object.values(group)) {
        if (typeof v?.packed !== 'string') continue
        const bytes = new Uint8Array(Buffer.from(v.packed, /^[0-9a-f]+$/.test(v.packed) ? 'hex' : 'base64'))
        const value = decodeValue(bytes)
        expect(toHex(encodeValue(value))).toBe(toHex(bytes))
        packed++
        if (typeof v.toSign !== 'string' || !value.body) continue
        expect(toHex(encodeBody(value.body))).toBe(toHex(new Uint8Array(Buffer.from(v.toSign, /^[0-9a-f]+$/.test(v.toSign) ? 'hex' : 'base64'))))
        signed++
      }
    }
    expect(packed).toBeGreaterThan(3)
    expect(signed).toBeGreaterThanOrEqual(0)
  })
})

describe('fragments', () => {
  const big: RequestMessage = {
    kind: 'request', name: 'put', tid: 5, network: 3, client: false,
    args: { id: ID as never, h: ID as never, values: [{ id: 1n, priority: 0, pushType: '', cypher: new Uint8Array(5000).fill(1), body: undefined }] },
  }
  const parts = encodeMessage(big).map(decodeMessage)
  const feed = (order: readonly number[]) => {
    const assembler = new FragmentAssembler()
    let out: unknown
    for (const i of order) {
      const m = parts[i]
      if (m?.kind === 'fragment') out = assembler.fragment(m, from, 0) ?? out
      else if (m?.kind === 'request') out = assembler.header(m, from, 0) ?? out
    }
    return out
  }

  it('DHT-8 carry the network id', () => expect(parts.every((p) => p.network === 3)).toBe(true))
  it('come together in order, out of order, before their header, and doubled', () => {
    const n = parts.length
    const inOrder = Array.from({ length: n }, (_, i) => i)
    for (const order of [inOrder, [...inOrder].reverse(), [0, 2, 1, ...inOrder.slice(3)], [0, 1, 1, 2, 2, ...inOrder.slice(3)], [2, 1, 0, ...inOrder.slice(3)]])
      expect(feed(order)).toMatchObject({ args: { values: [{ id: 1n }] } })
    expect(feed(inOrder.slice(0, -1))).toBeUndefined()
  })

  it('DHT-27 sessions are bounded per source and in time', () => {
    const assembler = new FragmentAssembler()
    const piece = parts[1]
    if (piece?.kind !== 'fragment') throw new Error('a fragment expected')
    for (let tid = 0; tid < 500; tid++) assembler.fragment({ ...piece, tid }, from, 0)
    expect(assembler.size).toBe(MAX_SESSIONS_PER_SOURCE)
    assembler.expire(3_001)
    expect(assembler.size).toBe(0)
  })
})

describe('fragments of somebody hostile', () => {
  const header = (sizes: number[]): RequestMessage => ({ kind: 'request', name: 'put', tid: 1, network: 0, client: false, args: { id: ID as never, h: ID as never, values: [], sizes } })
  const piece = (index: number, offset: number, length: number, tid = 1) => ({ kind: 'fragment' as const, tid, network: 0, client: false, parts: [{ index, offset, bytes: new Uint8Array(length) }] })

  it('DHT-27 a value of tiny pieces is given up, not put together for ever', () => {
    const assembler = new FragmentAssembler()
    assembler.header(header([60_000]), from, 0)
    for (let i = 0; i < 5000; i++) assembler.fragment(piece(0, i, 1), from, 0)
    expect(assembler.heldBytes).toBe(MAX_PIECES)
    assembler.expire(10_001)
    expect([assembler.heldBytes, assembler.size]).toEqual([0, 0])
  })

  it('DHT-27 a network has a quarter of the sessions, and answers to our own requests have room of their own', () => {
    const assembler = new FragmentAssembler()
    const open = (host: string, tid: number, asked = false) => {
      const before = assembler.size
      assembler.fragment(piece(0, 0, 1, tid), { ...from, host }, 0, asked)
      return assembler.size - before
    }
    for (let host = 0; host < 200; host++) for (let tid = 0; tid < 70; tid++) open(`10.1.0.${host}`, tid)
    expect(assembler.size).toBe(MAX_SESSIONS_PER_NETWORK)
    expect(open('10.2.0.1', 1)).toBe(1)
    for (let net = 3; net < 20; net++) for (let host = 0; host < 8; host++) for (let tid = 0; tid < 64; tid++) open(`10.${net}.0.${host}`, tid)
    expect([assembler.size, open('10.200.0.1', 1), open('10.200.0.1', 1, true)]).toEqual([MAX_SESSIONS, 0, 1])
  })

  it('DHT-27 all sources together hold 64 MiB at most, and get it back', () => {
    const assembler = new FragmentAssembler()
    for (let host = 0; host < 40; host++) {
      const source = { ...from, host: `10.1.${host}.1` }
      assembler.header(header(Array<number>(60).fill(60_000)), source, 0)
      for (let index = 0; index < 60; index++) assembler.fragment(piece(index, 0, 59_000), source, 0)
    }
    expect(assembler.heldBytes).toBeGreaterThan(MAX_HELD_BYTES - 60_000)
    expect(assembler.heldBytes).toBeLessThanOrEqual(MAX_HELD_BYTES)
    assembler.expire(3001)
    expect(assembler.heldBytes).toBe(0)
  })

  it('DHT-27 pieces without a header: 98 and 122,912 bytes at most', () => {
    for (const [count, length, left] of [[98, 1, 1], [99, 1, 0], [2, 61_456, 1], [2, 61_457, 0]] as const) {
      const assembler = new FragmentAssembler()
      for (let i = 0; i < count; i++) assembler.fragment(piece(0, i * length, length), from, 0)
      expect([assembler.size, assembler.heldBytes]).toEqual([left, left * count * length])
    }
  })

  it('a header that announces more than 4 MiB is dropped', () => {
    const assembler = new FragmentAssembler()
    expect(assembler.header(header(Array<number>(70).fill(65_000)), from, 0)).toBeUndefined()
    expect(assembler.size).toBe(0)
  })
})

describe('addresses', () => {
  it.each(['10.0.0.1', '::1', 'fd77:77:77:1::b', '2001:db8::1', '::', 'fe80::1', '1:2:3:4:5:6:7:8'])('%s comes back as it was', (host) => {
    expect(bytesToHost(hostToBytes(host) ?? new Uint8Array(4))).toBe(host)
  })
  it('DHT-11 IPv4 in IPv6 counts as IPv4', () => expect(hostToBytes('::ffff:10.0.0.1')).toEqual(Uint8Array.of(10, 0, 0, 1)))
  it('DHT-7 martians', () => {
    const at = (host: string, port = 4222) => isMartian({ host, port, family: host.includes(':') ? 6 : 4 })
    expect([at('0.0.0.1'), at('224.0.0.1'), at('ff02::1'), at('::'), at('1.2.3.4', 0), at('::ffff:a00:1')]).toEqual([true, true, true, true, true, true])
    expect([at('10.0.0.1'), at('127.0.0.1'), at('fe80::1'), at('2001:db8::1')]).toEqual([false, false, false, false])
  })
  it('DHT-26 IPv6 is counted by /64', () => expect(sourceKey({ host: '2001:db8::1', port: 1, family: 6 })).toBe(sourceKey({ host: '2001:db8::ffff', port: 2, family: 6 })))
  it('compact nodes of both families come back as they were', () => {
    const n4 = [{ id: ID as never, address: { host: '127.0.0.1', port: 41001, family: 4 as const } }]
    expect(toHex(encodeNodes(n4))).toBe(`${ID}7f000001a029`)
    expect(decodeNodes(encodeNodes(n4), 4)).toEqual(n4)
    const n6 = [{ id: ID as never, address: { host: 'fd77::b', port: 1, family: 6 as const } }]
    expect(decodeNodes(encodeNodes(n6), 6)).toEqual(n6)
  })
})

it('what is encoded is one msgpack map', () => expect(decodeMsgpack(encodeMessage({ kind: 'request', name: 'ping', tid: 1, network: 0, client: false, args: { id: ID as never } })[0] ?? new Uint8Array(0))).toBeInstanceOf(Map))
