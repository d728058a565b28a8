// Framing at every split point.
import { concatBytes, toHex } from '@jamikit/core/codec'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { copiedBytes } from '../../test/copied.ts'
import { encodeFrames, FrameDecoder, MAX_FRAME } from './rfc4571.ts'

const all = (decoder: FrameDecoder, ...chunks: Uint8Array[]) => chunks.flatMap((chunk) => decoder.push(chunk).map((frame) => toHex(frame)))

describe('RFC 4571 frames', () => {
  it('writes a 16-bit length before each piece', () => {
    expect(toHex(encodeFrames(Uint8Array.of(1, 2, 3)))).toBe('0003010203')
    expect(toHex(encodeFrames(Uint8Array.of(1, 2, 3), 2))).toBe('00020102000103')
  })

  it('ICE-14 every split point of a stream gives the same frames', () => {
    const frames = [Uint8Array.of(9), new Uint8Array(300).fill(7), Uint8Array.of(1, 2, 3)]
    const stream = concatBytes(...frames.map((f) => encodeFrames(f)), Uint8Array.of(0, 0), encodeFrames(Uint8Array.of(5)))
    const expected = [...frames, Uint8Array.of(5)].map((f) => toHex(f))
    for (let cut = 0; cut <= stream.length; cut++) expect(all(new FrameDecoder(), stream.slice(0, cut), stream.slice(cut))).toEqual(expected)
    expect(all(new FrameDecoder(), ...Array.from(stream, (b) => Uint8Array.of(b)))).toEqual(expected)
  })

  it('takes frames of 65,535 bytes and skips empty ones', () => {
    const big = new Uint8Array(MAX_FRAME).fill(3)
    const decoder = new FrameDecoder()
    expect(decoder.push(encodeFrames(big)).map((f) => f.length)).toEqual([MAX_FRAME])
    expect(decoder.push(new Uint8Array(1000))).toEqual([])
  })

  it('the largest frame byte by byte: each byte is copied a few times, not once for every byte before it', () => {
    const stream = encodeFrames(new Uint8Array(MAX_FRAME).fill(3))
    const decoder = new FrameDecoder()
    let got = 0
    const copied = copiedBytes(() => {
      for (let at = 0; at < stream.length; at++) for (const frame of decoder.push(stream.subarray(at, at + 1))) got += frame.length
    })
    expect(got).toBe(MAX_FRAME)
    expect(copied).toBeLessThan(4 * stream.length)
  })

  it('nothing is allocated for a declared length: decoders that wait for 65,535 bytes hold what came', () => {
    const before = process.memoryUsage().arrayBuffers
    const decoders = Array.from({ length: 500 }, () => new FrameDecoder())
    for (const decoder of decoders) decoder.push(Uint8Array.of(0xff, 0xff, 1))
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(decoders.length * 4096)
  })

  it('any bytes in any pieces are read without an error, and nothing is held beyond one frame (fuzz)', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }), (chunks) => {
      const decoder = new FrameDecoder()
      const got = chunks.flatMap((chunk) => decoder.push(chunk))
      const one = new FrameDecoder().push(concatBytes(...chunks))
      expect(got.map((f) => toHex(f))).toEqual(one.map((f) => toHex(f)))
    }), { numRuns: 10_000 })
  })
})
