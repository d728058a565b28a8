// Packet lines: every split point, refused lengths, any bytes, work that is linear however they are cut. docs/protocol/04 §4.3.
import { JamiError } from '@jamikit/core/base'
import { concatBytes, fromUtf8, utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it, vi } from 'vitest'
import { FLUSH, pkt, type Pkt, PktDecoder, pktText } from './pkt-line.ts'

function decode(...chunks: readonly Uint8Array[]): Pkt[] {
  const decoder = new PktDecoder()
  const out: Pkt[] = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let item = decoder.next(); item !== undefined; item = decoder.next()) out.push(item)
  }
  return out
}

describe('packet lines', () => {
  it('SWM-15 a request comes out the same at every split point, and byte by byte', () => {
    const bytes = concatBytes(pkt(`git-upload-pack /${'a'.repeat(40)}\0host=${'b'.repeat(64)}\0`), FLUSH, pkt(''), pkt('done\n'))
    expect(fromUtf8(bytes.subarray(0, 4))).toBe('0084')
    const texts = (items: readonly Pkt[]) => items.map((i) => (i === 'flush' ? i : pktText(i)))
    const expected = [`git-upload-pack /${'a'.repeat(40)}\0host=${'b'.repeat(64)}\0`, 'flush', '', 'done']
    for (let cut = 0; cut <= bytes.length; cut++) expect(texts(decode(bytes.subarray(0, cut), bytes.subarray(cut)))).toEqual(expected)
    expect(texts(decode(...Array.from(bytes, (b) => Uint8Array.of(b))))).toEqual(expected)
  })

  it('the largest packet fed byte by byte is moved a few times in all, not once for each byte', () => {
    const bytes = pkt(new Uint8Array(65_516).fill(120))
    const set = vi.spyOn(Uint8Array.prototype, 'set')
    try {
      expect(decode(...Array.from(bytes, (b) => Uint8Array.of(b)))).toHaveLength(1)
      const moved = set.mock.calls.reduce((sum, [from]) => sum + from.length, 0)
      expect(moved).toBeLessThan(bytes.length * 6)
    } finally {
      set.mockRestore()
    }
  })

  it('packets are copies: what comes later does not change them', () => {
    const decoder = new PktDecoder()
    decoder.push(pkt('first'))
    const first = decoder.next() as Uint8Array
    decoder.push(pkt('other'))
    decoder.next()
    expect(pktText(first)).toBe('first')
  })

  it.each([['0003', 'too short'], ['0001', 'a delimiter of a protocol that is not spoken'], ['zzzz', 'no hex'], ['00g4', 'no hex'], ['00:4', 'no hex'], ['fff1', 'too long']])('refuses the length %s (%s)', (length) => {
    expect(() => decode(utf8(`${length}x`))).toThrow(JamiError)
  })

  it('the largest length is read, in either case, and one more is not written', () => {
    expect(decode(concatBytes(utf8('FFF0'), new Uint8Array(65_516)))).toHaveLength(1)
    expect(() => pkt(new Uint8Array(65_517))).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
  })

  fuzz('any bytes give packets or a typed error', fc.uint8Array({ maxLength: 300 }), (bytes) => {
    decode(bytes)
  })
})
