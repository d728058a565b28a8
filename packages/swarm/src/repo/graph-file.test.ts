// Segments of the commit graph on disk: what was appended comes back, what did not count is cut, damage is told. docs/protocol/04 §1.1.
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { newCommit, steps } from '../../test/histories.ts'
import { memoryFiles } from '../../test/memory.ts'
import { clock } from '../../test/repositories.ts'
import { CommitGraph } from './graph.ts'
import { decodeSegment, encodeSegment, GRAPH_PATH, GraphFile } from './graph-file.ts'

const infos = (graph: CommitGraph) => Array.from({ length: graph.rows }, (_, row) => graph.info(row))

describe('graph file', () => {
  it('comes back row for row, however it was appended; what was appended and did not count is gone with the next append', async () => {
    await fc.assert(fc.asyncProperty(steps(20), fc.nat(19), fc.boolean(), async (history, split, counts) => {
      const files = memoryFiles().files('c')
      const graph = new CommitGraph(5)
      const file = new GraphFile(files, clock)
      for (const [n, step] of history.entries()) {
        graph.append({ ...newCommit(step, n), device: `${n % 4}`.repeat(64) as never })
        if (n !== split) continue
        const appended = await file.append(graph)
        if (counts) file.commit(appended)
      }
      file.commit(await file.append(graph))
      expect(await files.size(GRAPH_PATH)).toBe(file.end)
      const again = new CommitGraph(6)
      const loaded = new GraphFile(files, clock)
      await loaded.load(again, file.end)
      expect(infos(again)).toEqual(infos(graph))
      expect([loaded.mark, loaded.end]).toEqual([file.mark, file.end])
    }), { numRuns: 100 })
  })

  it('every cut and every flipped byte is told as ERR_STORAGE_CORRUPT', async () => {
    const graph = new CommitGraph(5)
    for (let n = 0; n < 6; n++) graph.append(newCommit({ parents: n === 0 ? [] : [n - 1], timeS: n, main: true }, n))
    const bytes = encodeSegment(graph, { rows: 0, authors: 0, trees: 0 }, graph.mark())
    expect(decodeSegment(bytes, 0, new CommitGraph(1))).toBe(bytes.length)
    for (let at = 0; at < bytes.length; at++) {
      const hurt = new Uint8Array(bytes)
      hurt[at] = (hurt[at] as number) ^ 0x10
      for (const wrong of [hurt, bytes.subarray(0, at)]) expect(() => decodeSegment(wrong, 0, new CommitGraph(1))).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
    }
  })

  it('a row that points at itself or beyond, as parent, other parent, author or tree, is told, however good the checksum is', () => {
    const graph = new CommitGraph(5)
    for (let n = 0; n < 6; n++) graph.append(newCommit({ parents: n === 0 ? [] : [n - 1], timeS: n, main: true }, n))
    const bytes = encodeSegment(graph, { rows: 0, authors: 0, trees: 0 }, graph.mark())
    const last = bytes.length - 44
    const changed = (at: number, value: number) => {
      const out = new Uint8Array(bytes)
      const view = new DataView(out.buffer)
      view.setInt32(last + at, value)
      view.setUint32(28, crc32(out.subarray(32), crc32(out.subarray(0, 28))))
      return out
    }
    expect(decodeSegment(changed(20, 3), 0, new CommitGraph(1))).toBe(bytes.length)
    const { authors, trees } = graph.mark()
    for (const wrong of [changed(20, 5), changed(24, 5), changed(20, 6), changed(36, authors), changed(40, trees)])
      expect(() => decodeSegment(wrong, 0, new CommitGraph(1))).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
  })

  it('rows that are there already are passed over, rows after a gap refused', () => {
    const graph = new CommitGraph(5)
    for (let n = 0; n < 6; n++) graph.append(newCommit({ parents: n === 0 ? [] : [n - 1], timeS: n, main: true }, n))
    const none = { rows: 0, authors: 0, trees: 0 }
    const part = new CommitGraph(1)
    for (let n = 0; n < 3; n++) part.append(newCommit({ parents: n === 0 ? [] : [n - 1], timeS: n, main: true }, n))
    decodeSegment(encodeSegment(graph, none, { ...graph.mark(), rows: 2 }), 0, part)
    expect(part.rows).toBe(3)
    const later = encodeSegment(graph, part.mark(), graph.mark())
    expect(() => decodeSegment(later, 0, new CommitGraph(1))).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
    decodeSegment(later, 0, part)
    expect(infos(part)).toEqual(infos(graph))
  })
})
