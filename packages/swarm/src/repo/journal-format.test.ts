// Frames of the journal: what was whole comes back, what never finished is cut off, what was damaged is told. docs/protocol/04 §1.1.
import { concatBytes, utf8 } from '@jamikit/core/codec'
import { sha512 } from '@jamikit/core/crypto'
import { describe, expect, it } from 'vitest'
import { id } from '../../test/histories.ts'
import { Frame, JOURNAL_HEADER, replayJournal } from './journal-format.ts'

const frames = Array.from({ length: 4 }, (_, n) => {
  const frame = new Frame()
  if (n === 0) frame.checkpoint({ bytes: 5_000_000_000, rows: 7 })
  for (let i = 0; i < n; i++) frame.object(id(`${n} ${i}`), { type: i === 0 ? 'commit' : 'blob', size: 100 + i, deflated: sha512(utf8(`${n} ${i}`)) })
  frame.rows(sha512(utf8(`rows ${n}`)))
  frame.head(id(n))
  return frame
})

function journal(): { bytes: Uint8Array; starts: number[] } {
  let bytes: Uint8Array = JOURNAL_HEADER
  const starts: number[] = []
  for (const frame of frames) {
    starts.push(bytes.length)
    bytes = concatBytes(bytes, frame.encode(bytes.length))
  }
  return { bytes, starts: [...starts, bytes.length] }
}

function told(bytes: Uint8Array): { seen: string[]; end: number; damaged: number; frames: number } {
  const seen: string[] = []
  const result = replayJournal(bytes, {
    object: (oid, { type, size, at, length }) => seen.push(`${type} ${oid} ${size} ${Buffer.from(bytes.subarray(at, at + length)).toString('hex')}`),
    rows: (segment) => seen.push(`rows ${Buffer.from(segment).toString('hex')}`),
    head: (oid) => seen.push(`head ${oid}`),
    checkpoint: ({ bytes: size, rows }) => seen.push(`checkpoint ${size} ${rows}`),
  })
  return { seen, ...result }
}

describe('journal', () => {
  const { bytes, starts } = journal()

  it('comes back as it was written, objects where their frames said', () => {
    const { seen, end, damaged, frames: count } = told(bytes)
    expect([end, damaged, count]).toEqual([bytes.length, 0, 4])
    expect(seen[0]).toBe('checkpoint 5000000000 7')
    expect(seen.filter((line) => line.startsWith('head'))).toEqual([0, 1, 2, 3].map((n) => `head ${id(n)}`))
    const placed = [...(frames[3] as Frame).placed(starts[3] as number)]
    for (const [oid, { at, length }] of placed) expect(seen.some((line) => line.includes(`${oid} `) && line.endsWith(Buffer.from(bytes.subarray(at, at + length)).toString('hex')))).toBe(true)
    expect(placed.length).toBe(3)
  })

  it('cut anywhere, ends with its last whole frame', () => {
    for (let cut = JOURNAL_HEADER.length; cut <= bytes.length; cut++) {
      const whole = starts.filter((start) => start <= cut).length - 1
      expect(told(bytes.subarray(0, cut))).toMatchObject({ end: starts[whole], damaged: 0, frames: whole })
    }
  })

  it('any flipped byte is told, and never is main said to be elsewhere than the last frame put it', () => {
    for (let at = 0; at < bytes.length; at++) {
      const hurt = new Uint8Array(bytes)
      hurt[at] = (hurt[at] as number) ^ 0x41
      try {
        const { seen, damaged } = told(hurt)
        expect(damaged).toBe(1)
        const heads = seen.filter((line) => line.startsWith('head'))
        // in the last head itself it is another id, which no history knows
        if (at < bytes.length - 20) expect(heads.at(-1)).toBe(`head ${id(3)}`)
        else expect(heads.at(-1)).not.toBe(`head ${id(2)}`)
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
      }
    }
  })

  it('pages without data at its end, as a power cut leaves them, are a frame that never finished', () => {
    for (const zeros of [64, 4096]) expect(told(concatBytes(bytes, new Uint8Array(zeros)))).toMatchObject({ end: bytes.length, damaged: 0 })
    const holed = new Uint8Array(bytes)
    holed.fill(0, (starts[3] as number) + 100, (starts[3] as number) + 170)
    expect(told(holed)).toMatchObject({ end: starts[3], damaged: 0, frames: 3 })
    const middle = new Uint8Array(bytes) // what was followed by another one had been finished
    middle.fill(0, (starts[2] as number) + 100, (starts[2] as number) + 170)
    expect(told(middle)).toMatchObject({ end: bytes.length, damaged: 1 })
    holed.set(middle.subarray(0, starts[3])) // and when the only later one never finished, nobody knows where main was
    expect(() => told(holed)).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
  })

  it('frames of another place, or of another file, are none', () => {
    const moved = concatBytes(JOURNAL_HEADER, utf8('x'), bytes.subarray(JOURNAL_HEADER.length))
    expect(() => told(moved)).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
    expect(() => told(utf8('something else'.repeat(20)))).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
  })
})
