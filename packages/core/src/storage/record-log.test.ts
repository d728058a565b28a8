import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JamiError } from '../base/errors.ts'
import { concatBytes, utf8 } from '../codec/bytes.ts'
import type { StorageOp } from '../contracts/storage.ts'
import { encodeFrame, LOG_HEADER, replay } from './record-log.ts'

const op = (key: string, text: string | null): StorageOp => ({ key, value: text === null ? null : utf8(text) })
const BATCHES: StorageOp[][] = [[op('a', '1'), op('b/c', 'two')], [op('a', null), op('d', '')], [op('a', '4'), op('b/c', 'x'.repeat(300))]]

function build(batches: StorageOp[][]): { log: Uint8Array; ends: number[] } {
  let log = LOG_HEADER
  const ends = [log.length]
  for (const ops of batches) {
    log = concatBytes(log, encodeFrame(ops, log.length))
    ends.push(log.length)
  }
  return { log, ends }
}

/** The records after the first `n` batches. */
function stateAfter(n: number): Map<string, string> {
  return stateOf(BATCHES.slice(0, n))
}

function stateOf(batches: StorageOp[][]): Map<string, string> {
  const out = new Map<string, string>()
  for (const { key, value } of batches.flat()) {
    if (value === null) out.delete(key)
    else out.set(key, new TextDecoder().decode(value))
  }
  return out
}

function read(log: Uint8Array): { records: Map<string, string>; end: number } {
  const records = new Map<string, Uint8Array>()
  const { end } = replay(log, records)
  return { records: new Map([...records].map(([key, value]) => [key, new TextDecoder().decode(value)])), end }
}

describe('record log', () => {
  const { log, ends } = build(BATCHES)

  it('gives all of a batch or nothing of it, wherever the file is cut', () => {
    for (let cut = 0; cut <= log.length; cut++) {
      const whole = ends.filter((end) => end <= cut).length - 1
      const { records, end } = read(log.subarray(0, cut))
      expect([...records]).toEqual([...stateAfter(Math.max(0, whole))])
      expect(end).toBe(whole < 0 ? 0 : ends[whole])
    }
  })

  it('a tail of zeros, as a power cut may leave it, is no write', () => {
    for (const zeros of [1, 7, 8, 100]) expect(read(concatBytes(log, new Uint8Array(zeros)))).toEqual({ records: stateAfter(3), end: log.length })
  })

  it('holes in the last frame end the log before it', () => {
    const holed = log.slice()
    holed.fill(0, log.length - 100, log.length - 50)
    expect(read(holed)).toEqual({ records: stateAfter(2), end: ends[2] })
  })

  it('damage of anything older costs at most what follows, at every byte; what is before it is kept, and it is told', () => {
    for (let at = LOG_HEADER.length; at < (ends[2] ?? 0); at++) {
      const damaged = log.slice()
      damaged[at] = (damaged[at] ?? 0) ^ 0x55
      const frame = ends.filter((end) => end <= at).length - 1
      const inHead = at - (ends[frame] ?? 0) < 8
      const records = new Map<string, Uint8Array>()
      const { end, damage } = replay(damaged, records)
      expect(damage).toEqual([{ what: inHead ? 'frame length' : 'frame', position: ends[frame] }])
      expect(end).toBe(inHead ? ends[frame] : log.length)
      expect([...records].map(([key, value]) => [key, new TextDecoder().decode(value)])).toEqual([...stateOf(BATCHES.filter((_, i) => i < frame || (!inHead && i > frame)))])
    }
  })

  it('what is no record log is ERR_STORAGE_CORRUPT', () => {
    for (let at = 0; at < LOG_HEADER.length; at++) {
      const damaged = log.slice()
      damaged[at] = (damaged[at] ?? 0) ^ 0x55
      expect(() => read(damaged)).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
    }
  })

  it('a frame in another place does not count', () => {
    const records = new Map<string, Uint8Array>()
    const frame = encodeFrame(BATCHES[0] ?? [], 1000)
    expect(replay(concatBytes(LOG_HEADER, frame, frame), records).damage).toHaveLength(1)
    expect(records.size).toBe(0)
  })

  it('any bytes are replayed or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, withHeader) => {
        try {
          read(withHeader ? concatBytes(LOG_HEADER, bytes) : bytes)
        } catch (error) {
          expect(JamiError.is(error, 'ERR_STORAGE_CORRUPT')).toBe(true)
        }
      }),
      { numRuns: 10_000 },
    )
  })
})
