// Side-band packets: as large as they may be, each awaited; what a peer sends counts, empty packets too. docs/protocol/04 §4.3.
import { concatBytes, utf8 } from '@jamikit/core/codec'
import { describe, expect, it } from 'vitest'
import { BandReader, BandWriter, printable } from './band.ts'
import { PktDecoder } from './pkt-line.ts'

describe('packets of ours', () => {
  async function written(pieces: readonly Uint8Array[]) {
    const packets: Uint8Array[] = []
    const writer = new BandWriter(async (packet) => void packets.push(packet.slice()))
    for (const piece of pieces) await writer.write(piece)
    await writer.end()
    return { packets, bytes: writer.bytes }
  }

  it('are full ones of band 1 and a last one, then a flush; nothing at all is a flush', async () => {
    const data = Uint8Array.from({ length: 140_000 }, (_, i) => i & 255)
    for (const cut of [1000, 65_515, 140_000]) {
      const pieces = Array.from({ length: Math.ceil(data.length / cut) }, (_, i) => data.subarray(i * cut, (i + 1) * cut))
      const { packets, bytes } = await written(pieces)
      expect(packets.map((p) => p.length)).toEqual([65_520, 65_520, 140_000 - 2 * 65_515 + 5, 4])
      expect(bytes).toBe(packets.reduce((sum, p) => sum + p.length, 0))
      const decoder = new PktDecoder()
      decoder.push(concatBytes(...packets))
      const out: Uint8Array[] = []
      for (let item = decoder.next(); item !== undefined && item !== 'flush'; item = decoder.next()) {
        expect(item[0]).toBe(1)
        out.push(item.subarray(1))
      }
      expect(Buffer.concat(out).equals(data)).toBe(true)
    }
    expect((await written([])).packets).toEqual([utf8('0000')])
  })

  it('wait until the one before is taken', async () => {
    let taken = 0
    let release = () => {}
    const writer = new BandWriter(() => new Promise((resolve) => {
      taken++
      release = resolve
    }))
    const writing = writer.write(new Uint8Array(65_515 * 3))
    await new Promise((resolve) => setImmediate(resolve))
    expect(taken).toBe(1)
    for (let i = 0; i < 3; i++) {
      release()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await writing
    expect(taken).toBe(3)
  })
})

describe('packets of a peer', () => {
  const band = (n: number, ...bytes: number[]) => Uint8Array.of(n, ...bytes)

  it('give pack data; progress gives nothing; lines of text may come before the pack only', () => {
    const reader = new BandReader(10_000)
    expect(reader.take(utf8('NAK\n'))).toBe('text')
    expect(reader.take(band(2, 120))).toBeUndefined()
    expect(reader.take(band(1, 7, 8))).toEqual(Uint8Array.of(7, 8))
    expect(reader.take(utf8('NAK\n'))).toBeUndefined()
    expect(() => reader.take(concatBytes(band(3), utf8('no\u0007 space\n')))).toThrow('the peer failed: no  space')
  })

  it.each([['empty', new Uint8Array(0)], ['of band 1 without data', band(1)], ['of one byte', band(1, 7)], ['of progress', band(2, 7)]])('%s count an overhead each: at the bound they are taken, one more is not', (_, packet) => {
    const reader = new BandReader(64 * 100)
    reader.take(band(1))
    for (let i = 1; i < 100; i++) reader.take(packet)
    expect(() => reader.take(packet)).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
  })

  it('large ones count what they are', () => {
    const reader = new BandReader(1000)
    reader.take(new Uint8Array(1000).fill(1))
    expect(() => reader.take(band(1))).toThrow(expect.objectContaining({ details: { what: 'fetched bytes', got: 1064, allowed: 1000 } }))
  })

  it('what a peer says is printed short, or as what it is', () => {
    expect(printable(utf8('x'.repeat(300)))).toHaveLength(200)
    expect(printable(Uint8Array.of(0xff, 0xfe))).toBe('2 bytes that are no text')
    expect(printable(utf8(`${'é'.repeat(99)}xé`))).toMatch(/^é+x|bytes/)
  })
})
