// Packet lines: every split point, refused lengths, any bytes. docs/protocol/04 §4.3.
import { JamiError } from '@jamikit/core/base'
import { concatBytes, fromUtf8, utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { FLUSH, pkt, PktDecoder, pktText } from './pkt-line.ts'

describe('packet lines', () => {
  it('SWM-15 a request comes out the same at every split point', () => {
    const bytes = concatBytes(pkt(`git-upload-pack /${'a'.repeat(40)}\0host=${'b'.repeat(64)}\0`), FLUSH, pkt('done\n'))
    expect(fromUtf8(bytes.subarray(0, 4))).toBe('0084')
    for (let cut = 0; cut <= bytes.length; cut++) {
      const decoder = new PktDecoder()
      const items = [...decoder.push(bytes.subarray(0, cut)), ...decoder.push(bytes.subarray(cut))]
      expect(items.map((i) => (i === 'flush' ? i : pktText(i)))).toEqual([`git-upload-pack /${'a'.repeat(40)}\0host=${'b'.repeat(64)}\0`, 'flush', 'done'])
    }
  })

  it.each([['0003', 'too short'], ['zzzz', 'no hex'], ['fff1', 'too long']])('refuses the length %s (%s)', (length) => {
    expect(() => new PktDecoder().push(utf8(`${length}x`))).toThrow(JamiError)
  })

  fuzz('any bytes give packets or a typed error', fc.uint8Array({ maxLength: 300 }), (bytes) => {
    new PktDecoder().push(bytes)
  })
})
