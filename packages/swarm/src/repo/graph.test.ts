// Ids in tables and rows in the graph: found again, taken back without a trace, invisible until published. docs/protocol/04 §4.10.
import { utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AUTHOR, DEVICE, id } from '../../test/histories.ts'
import { CommitGraph } from './graph.ts'
import { OidTable } from './oid-table.ts'

describe('table of object ids', () => {
  it('finds what was added and nothing else, also after the last ones were taken back', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.integer({ min: 1, max: 150 }), fc.integer({ min: -60, max: -1 })), { maxLength: 12 }), fc.integer(), (moves, seed) => {
      const table = new OidTable(seed)
      const model: string[] = []
      let next = 0
      for (const move of moves) {
        for (let i = 0; i < move; i++) {
          expect(table.add(id(next))).toBe(model.length)
          model.push(id(next++))
        }
        if (move < 0) {
          model.splice(Math.max(0, model.length + move))
          table.truncate(model.length)
        }
        expect(table.size).toBe(model.length)
      }
      for (let n = 0; n < next + 3; n++) expect(table.find(id(n))).toBe(model.indexOf(id(n)))
      for (const [n, oid] of model.entries()) expect(table.oid(n)).toBe(oid)
    }), { numRuns: 100 })
  })

  it.each(['', 'f'.repeat(39), 'F'.repeat(40), 'g'.repeat(40), `${'f'.repeat(39)}é`, 'f'.repeat(41)])('%j is no id: not found, not added', (oid) => {
    const table = new OidTable(0)
    expect([table.find(oid), table.add(oid), table.size]).toEqual([-1, -1, 0])
  })

  it('many ids that look alike do not make it slow: none shares a long way of others under an unknown seed', () => {
    const table = new OidTable(12345)
    for (let i = 0; i < 20_000; i++) table.add(i.toString(16).padStart(40, '0'))
    for (let i = 0; i < 20_000; i++) expect(table.find(i.toString(16).padStart(40, '0'))).toBe(i)
  })
})

describe('graph', () => {
  const commit = (n: number, parents: number[], device: string = DEVICE) => ({ oid: id(n), tree: id(`tree ${n}`), parents: parents.map(id), timeS: 1000 + n, author: AUTHOR, device: device as typeof DEVICE })

  it('rows on their way are not found until they are published, and leave nothing when taken back', () => {
    const graph = new CommitGraph(3)
    graph.append(commit(0, []))
    graph.publish()
    const mark = graph.mark()
    for (let n = 1; n < 200; n++) graph.append(commit(n, [n - 1], `${n}`.padStart(64, '0')))
    expect([graph.find(id(0)), graph.find(id(1)), graph.known, graph.rows]).toEqual([0, -1, 1, 200])
    graph.rollback(mark)
    expect(graph.mark()).toEqual({ rows: 1, authors: 1, trees: 1 })
    graph.append(commit(7, [0], '7'.padStart(64, '0')))
    graph.publish()
    expect(graph.info(graph.find(id(7)))).toEqual({ oid: id(7), row: 1, tree: id('tree 7'), parents: [0], generation: 1, timeS: 1007, author: AUTHOR, device: '7'.padStart(64, '0'), position: -1 })
  })

  it('a commit whose parent has no row, or with three parents, is refused', () => {
    const graph = new CommitGraph(3)
    graph.append(commit(0, []))
    expect(() => graph.append(commit(1, [5]))).toThrow(expect.objectContaining({ code: 'ERR_INTERNAL' }))
    expect(() => graph.append(commit(1, [0, 0, 0]))).toThrow(expect.objectContaining({ code: 'ERR_INTERNAL' }))
    expect(graph.rows).toBe(1)
  })

  it('100,000 commits take less than 20 MB', () => {
    const graph = new CommitGraph(3)
    const before = process.memoryUsage().arrayBuffers
    const base = utf8('0123456789abcdef0123')
    graph.trees.addBytes(base, 0)
    graph.addAuthor({ author: AUTHOR, device: DEVICE })
    const view = new DataView(base.buffer)
    for (let n = 0; n < 100_000; n++) {
      view.setUint32(0, n)
      graph.appendRow(base, 0, n - 1, -1, n, 0, 0)
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20 << 20)
    expect(graph.generation(99_999)).toBe(99_999)
  })
})
