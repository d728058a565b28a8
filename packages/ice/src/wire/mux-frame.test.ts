// Multiplexer messages: documented and captured bytes, every split point, refusals, fuzz.
import { readFileSync } from 'node:fs'
import { concatBytes, encodeMsgpack, fromBase64, fromHex, toHex, utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { copiedBytes } from '../../test/copied.ts'
import { refusal } from '../../test/refusals.ts'
import { decodeControl, encodeBeacon, encodeChannelRequest, encodeMessage, encodeVersion, MuxDecoder, type MuxItem, STATE } from './mux-frame.ts'

const { control } = JSON.parse(readFileSync(new URL('../../test/vectors/jami-core-links.json', import.meta.url), 'utf8')) as {
  control: { channel: number; payload: string; object: [string, number, number] | { v?: number; p?: boolean } }[]
}
const show = (items: MuxItem[]) => items.map((item) => (item === 'strange' ? item : `${item.channel}:${toHex(item.data)}`))

describe('multiplexer messages', () => {
  it.each([
    ['version 1', encodeVersion(1), '92cdffffc40481a17601'],
    ['ping', encodeBeacon(true), '92cdffffc40481a170c3'],
    ['pong', encodeBeacon(false), '92cdffffc40481a170c2'],
    ['request on 1', encodeChannelRequest('sip', 1, STATE.request), '9200c40793a37369700100'],
    ['request on 0x8000', encodeChannelRequest('sip', 0x8000, STATE.request), '9200c40993a3736970cd800000'],
    ['accept on 0x8000', encodeChannelRequest('sip', 0x8000, STATE.accept), '9200c40993a3736970cd800001'],
    ['decline on 0x8000', encodeChannelRequest('sip', 0x8000, STATE.decline), '9200c40993a3736970cd800002'],
    ['data', encodeMessage(1, utf8('hi')), '9201c4026869'],
    ['end of 0x8000', encodeMessage(0x8000, new Uint8Array(0)), '92cd8000c400'],
    ['a channel of 8 bits', encodeMessage(200, Uint8Array.of(1)), '92ccc8c40101'],
  ])('ICE-34 %s is written exactly', (_, bytes, expected) => {
    expect(toHex(bytes)).toBe(expected)
  })

  it.each(control.map((c, i) => [i, c] as const))('ICE-34 captured object %i of a real link is read, and written again byte by byte', (_, { channel, payload, object }) => {
    const bytes = fromBase64(payload)
    const [read] = decodeControl(bytes)
    const message = encodeMessage(channel, bytes)
    if (Array.isArray(object)) {
      expect(read).toEqual({ kind: 'channel', name: object[0], channel: object[1], state: object[2] })
      expect(toHex(encodeChannelRequest(...object))).toBe(toHex(message))
    } else if (object.v !== undefined) {
      expect(read).toEqual({ kind: 'version', version: object.v })
      expect(toHex(encodeVersion(object.v))).toBe(toHex(message))
    } else {
      expect(read).toEqual({ kind: 'beacon', ping: object.p })
      expect(toHex(encodeBeacon(object.p === true))).toBe(toHex(message))
    }
  })

  it('every split point of a stream gives the same messages', () => {
    const stream = concatBytes(encodeVersion(1), encodeMessage(1, new Uint8Array(300).fill(4)), encodeMessage(0x8001, utf8('x')), encodeMsgpack({ a: 1 }), encodeMessage(5, new Uint8Array(0)), encodeMessage(200, new Uint8Array(255).fill(1)))
    const whole = show(new MuxDecoder().push(stream))
    expect(whole.length).toBe(6)
    for (let cut = 0; cut <= stream.length; cut++) {
      const decoder = new MuxDecoder()
      expect(show([...decoder.push(stream.slice(0, cut)), ...decoder.push(stream.slice(cut))])).toEqual(whole)
    }
    const decoder = new MuxDecoder()
    expect(show([...stream].flatMap((b) => decoder.push(Uint8Array.of(b))))).toEqual(whole)
  })

  it('the largest message arrives in pieces of any size', () => {
    const stream = encodeMessage(3, new Uint8Array(65_535).map((_, i) => i))
    for (const size of [1, 7, 16_384, 65_541]) {
      const decoder = new MuxDecoder()
      const got: MuxItem[] = []
      for (let at = 0; at < stream.length; at += size) got.push(...decoder.push(stream.slice(at, at + size)))
      expect(show(got)).toEqual(show(new MuxDecoder().push(stream)))
    }
  })

  it.each([
    ['a message', encodeMessage(3, new Uint8Array(65_535))],
    ['a message with text as data', encodeMsgpack([3, 'x'.repeat(65_535)])],
    ['an object of another shape', encodeMsgpack({ a: new Uint8Array(65_500) })],
    ['a thousand small objects of another shape', concatBytes(...Array.from({ length: 1000 }, () => encodeMsgpack({ a: 'x'.repeat(60) })))],
  ])('the largest of its kind byte by byte (%s): each byte is copied a few times, not once for every byte before it', (_, stream) => {
    const decoder = new MuxDecoder()
    let items = 0
    const copied = copiedBytes(() => {
      for (let at = 0; at < stream.length; at++) items += decoder.push(stream.subarray(at, at + 1)).length
    })
    expect(items).toBeGreaterThan(0)
    expect(copied).toBeLessThan(8 * stream.length)
  })

  it('nothing is allocated for a declared length: decoders that wait for 65,535 bytes hold what came', () => {
    const head = encodeMessage(3, new Uint8Array(65_535)).slice(0, 7)
    const before = process.memoryUsage().arrayBuffers
    const decoders = Array.from({ length: 500 }, () => new MuxDecoder())
    for (const decoder of decoders) decoder.push(head)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(decoders.length * 4096)
  })

  it('an object that never ends is given up at the size of the largest message', () => {
    const decoder = new MuxDecoder()
    decoder.push(fromHex('9401'))
    const text = encodeMsgpack('x'.repeat(30_000))
    decoder.push(text)
    decoder.push(text)
    expect(refusal(() => decoder.push(text))).toBe('ERR_LIMIT')
  })

  it('after an object of another form the usual one is read again, at every split point', () => {
    const stream = concatBytes(encodeMsgpack({ a: 'x'.repeat(40) }), encodeMessage(7, utf8('after')), encodeMsgpack([8, 'text']), encodeMessage(9, utf8('last')))
    for (let cut = 0; cut <= stream.length; cut++) {
      const decoder = new MuxDecoder()
      expect(show([...decoder.push(stream.slice(0, cut)), ...decoder.push(stream.slice(cut))])).toEqual(['strange', '7:6166746572', '8:74657874', '9:6c617374'])
    }
  })

  it('tolerates text as data and longer arrays; other shapes are told apart, not fatal', () => {
    expect(show(new MuxDecoder().push(encodeMsgpack([1, 'hi'])))).toEqual(['1:6869'])
    expect(show(new MuxDecoder().push(encodeMsgpack([1, utf8('hi'), 3])))).toEqual(['1:6869'])
    for (const odd of [[1], [], 5, null, { a: 1 }, ['x', utf8('hi')], [65_536, utf8('hi')], [-1, utf8('hi')], [1, 2]]) expect(new MuxDecoder().push(encodeMsgpack(odd as never))).toEqual(['strange'])
  })

  it.each([
    ['an undefined tag', 'c1'],
    ['an undefined tag inside', '9201c1'],
    ['a declared payload of 4 GiB', '9201c6ffffffff'],
    ['a declared payload of 65,536 bytes', '9201c600010000'],
    ['a declared text of 4 GiB', '9201dbffffffff'],
    ['an array of 4 G items', 'ddffffffff'],
    ['endless nesting', '91'.repeat(20)],
    ['text that is no UTF-8', '9201a2fffe'],
  ])('ICE-S5 %s is refused at its header', (_, hex) => {
    expect(refusal(() => new MuxDecoder().push(fromHex(hex)))).toMatch(/^ERR_(CODEC|LIMIT)$/)
  })

  it('control payloads: several objects are read, unreadable rest is left', () => {
    const two = concatBytes(encodeMsgpack(['a', 1, 0]), encodeMsgpack({ v: 1 }))
    expect(decodeControl(two).map((o) => o.kind)).toEqual(['channel', 'version'])
    expect(decodeControl(concatBytes(two, fromHex('c1'), two)).length).toBe(2)
    for (const odd of [['a'], ['a', 70_000, 0], [1, 1, 0], ['a', 1, -1], {}, { v: 'x' }, { p: 1 }, 5]) expect(decodeControl(encodeMsgpack(odd as never))).toEqual([])
  })

  it('ICE-34 any bytes in any pieces are read or refused (fuzz)', () => {
    const valid = fc.tuple(fc.nat(0xffff), fc.uint8Array({ maxLength: 40 })).map(([id, data]) => encodeMessage(id, data))
    fc.assert(fc.property(fc.array(fc.oneof(valid, fc.uint8Array({ maxLength: 12 })), { maxLength: 8 }), fc.nat(20), (chunks, cut) => {
      const stream = concatBytes(...chunks)
      refusal(() => {
        const decoder = new MuxDecoder()
        for (const item of [...decoder.push(stream.slice(0, cut)), ...decoder.push(stream.slice(cut))]) if (item !== 'strange') decodeControl(item.data)
      })
    }), { numRuns: 10_000 })
    fc.assert(fc.property(fc.array(valid, { maxLength: 8 }), (messages) => {
      expect(concatBytes(...new MuxDecoder().push(concatBytes(...messages)).map((i) => (i === 'strange' ? new Uint8Array(0) : encodeMessage(i.channel, i.data))))).toEqual(concatBytes(...messages))
    }), { numRuns: 1000 })
  })
})
