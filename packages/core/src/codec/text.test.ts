// Text before it leaves, against the runtime's own toWellFormed.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromUtf8, utf8 } from './bytes.ts'
import { cutText, wellFormed } from './text.ts'

const units = fc.array(fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0xd7f0, max: 0xe010 })), { maxLength: 30 }).map((codes) => String.fromCharCode(...codes))

describe('wellFormed', () => {
  it('replaces lone surrogates and nothing else', () => {
    expect([wellFormed('a\ud83d'), wellFormed('\ude00b'), wellFormed('😀'), wellFormed('\ude00\ud83d')]).toEqual(['a\ufffd', '\ufffdb', '😀', '\ufffd\ufffd'])
  })

  it('any text: is what the runtime makes of it, and survives UTF-8', () => {
    fc.assert(fc.property(units, (text) => {
      const out = wellFormed(text)
      expect(out).toBe((text as unknown as { toWellFormed(): string }).toWellFormed())
      expect(fromUtf8(utf8(out))).toBe(out)
    }))
  })
})

describe('cutText', () => {
  it('never leaves half a character', () => {
    expect([cutText('ab😀', 3), cutText('ab😀', 4), cutText('ab😀c', 4), cutText('abc', 0), cutText('a\ud83d', 5)]).toEqual(['ab', 'ab😀', 'ab😀', '', 'a\ufffd'])
  })

  it('any text and bound: is well-formed, at most so long, and a beginning of the text', () => {
    fc.assert(fc.property(units, fc.nat(40), (text, max) => {
      const out = cutText(text, max)
      expect(out.length).toBeLessThanOrEqual(max)
      expect(out).toBe(wellFormed(out))
      expect(wellFormed(text).startsWith(out)).toBe(true)
    }))
  })
})
