import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { concatBytes } from '../codec/bytes.ts'
import { BLOCK, BLOCK_PLAIN, findEnd, HEADER, makeHeader, openFile, openHeader, sealFrames } from './sealed-file.ts'

const root = new Uint8Array(32).fill(3)
const bytesOf = (length: number) => new Uint8Array(length).map((_, i) => (i * 31) ^ (i >> 8))

/** A file of a written part and appends. */
function build(written: number, appends: readonly number[], path = 'p'): { file: Uint8Array; plain: Uint8Array; ends: number[] } {
  const plain = bytesOf(written + appends.reduce((a, b) => a + b, 0))
  const { key, header } = makeHeader(root, path, written)
  let file = concatBytes(header, sealFrames(key, HEADER, 0, plain.subarray(0, written)))
  const ends = [file.length]
  let size = written
  for (const length of appends) {
    file = concatBytes(file, sealFrames(key, file.length, size, plain.subarray(size, size + length)))
    size += length
    ends.push(file.length)
  }
  return { file, plain, ends }
}

describe('sealed file', () => {
  it('gives what was written and appended, whatever the sizes; its end is found from the last blocks', () => {
    const size = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: BLOCK_PLAIN - 300, max: BLOCK_PLAIN + 300 }), fc.integer({ min: 0, max: 3 * BLOCK }))
    fc.assert(
      fc.property(size, fc.array(size, { maxLength: 5 }), (written, appends) => {
        const { file, plain } = build(written, appends)
        expect(Buffer.compare(openFile(root, 'p', file), plain)).toBe(0)
        const { key } = openHeader(root, 'p', file)
        const block = Math.floor((file.length - 1) / BLOCK)
        const start = block === 0 ? HEADER : block * BLOCK
        if (plain.length > 0) expect(findEnd('p', key, file.subarray(start), start)).toEqual({ end: file.length, size: plain.length })
      }),
      { numRuns: 100 },
    )
  })

  it('cut anywhere, a torn append loses only itself, and a written part that is cut is noticed', () => {
    const { file, plain, ends } = build(50, [10, 1, 100])
    const sizes = [50, 60, 61, 161]
    for (let cut = 0; cut < file.length; cut++) {
      const whole = ends.filter((end) => end <= cut).length - 1
      const open = () => openFile(root, 'p', file.subarray(0, cut))
      if (whole < 0) expect(open).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
      else expect(open()).toEqual(plain.subarray(0, sizes[whole]))
    }
  })

  it('no byte can be changed without being noticed', () => {
    const { file } = build(50, [10, 20])
    for (let at = 0; at < file.length; at++) {
      const damaged = file.slice()
      damaged[at] = (damaged[at] ?? 0) ^ 0x55
      expect(() => openFile(root, 'p', damaged), String(at)).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
    }
  })

  it('frames in another order, twice, left out, or of another file do not open', () => {
    const { file, ends } = build(0, [10, 10, 10])
    const other = build(0, [10, 10, 10]).file
    const part = (from: Uint8Array, i: number) => from.subarray(ends[i], ends[i + 1])
    const header = file.subarray(0, ends[0])
    for (const frames of [[part(file, 1), part(file, 0), part(file, 2)], [part(file, 0), part(file, 0)], [part(file, 0), part(file, 2)], [part(file, 0), part(other, 1)], [part(other, 0)]])
      expect(() => openFile(root, 'p', concatBytes(header, ...frames))).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
    expect(() => openFile(root, 'q', file)).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
    expect(() => openFile(new Uint8Array(32), 'p', file)).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
  })

  it('zeros at the end, as a power cut may leave them, are no frame', () => {
    const { file, plain, ends } = build(5, [10, 30])
    for (const zeros of [1, 11, 12, 100, BLOCK]) expect(openFile(root, 'p', concatBytes(file, new Uint8Array(zeros)))).toEqual(plain)
    const holed = file.slice()
    holed.fill(0, (ends[1] as number) + 20)
    expect(openFile(root, 'p', holed)).toEqual(plain.subarray(0, 15))
  })

  it('any bytes are opened or refused', () => {
    const { file } = build(5, [10])
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, withHeader) => {
        try {
          openFile(root, 'p', withHeader ? concatBytes(file.subarray(0, HEADER), bytes) : bytes)
        } catch (error) {
          expect(JamiError.is(error, 'ERR_STORAGE_CORRUPT')).toBe(true)
        }
      }),
      { numRuns: 5000 },
    )
  })
})
