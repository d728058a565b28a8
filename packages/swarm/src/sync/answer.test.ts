// What is sent: enough for any peer, no more than is new where history is straight, and no walk over trees that are the same. docs/protocol/04 §4.3.
import { utf8 } from '@jamikit/core/codec'
import { ManualClock } from '@jamikit/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapHistory } from '../../test/map-history.ts'
import { reachableObjects } from '../../test/packs.ts'
import { BLOB_MODE, encodeTree, type GitObject, objectId, type Oid } from '../repo/object.ts'
import { answerFor, answerIds, answerSize } from './answer.ts'
import { Turns } from '../repo/turns.ts'

const turns = () => new Turns(new ManualClock())
const closure = async (history: MapHistory, of: readonly Oid[]) => new Set((await Promise.all(of.map((oid) => reachableObjects(history, oid)))).flat().map(objectId))

async function sent(history: MapHistory, wants: readonly Oid[], haves: readonly Oid[]): Promise<Oid[]> {
  return [...answerIds(history, await answerFor(history, wants, haves, turns()))]
}

describe('answers', () => {
  it('any history with merges and files that come back: what the peer has and what it gets is everything, and nothing twice', async () => {
    const paths = ['a', 'b', 'd/x', 'd/y', 'd/e/z', 'f/x']
    const files = fc.dictionary(fc.constantFrom(...paths), fc.constantFrom('1', '2', '3'), { minKeys: 1 })
    const step = fc.record({ files, parents: fc.array(fc.nat(9), { minLength: 1, maxLength: 2 }) })
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 10 }), fc.array(fc.nat(9), { maxLength: 3 }), fc.nat(9), async (steps, owned, wanted) => {
      const history = new MapHistory()
      for (const { files: wants, parents } of steps) history.commit(wants, [...new Set(parents.map((p) => history.rows[p % Math.max(1, history.rows.length)]?.oid).filter((oid) => oid !== undefined))])
      const at = (i: number) => history.row(i % history.rows.length).oid
      const [haves, want] = [owned.map(at), at(wanted)]
      const ids = await sent(history, [want], haves)
      expect(new Set(ids).size).toBe(ids.length)
      const there = new Set([...(await closure(history, haves)), ...ids])
      for (const oid of await closure(history, [want])) expect(there.has(oid)).toBe(true)
    }), { numRuns: 400 })
  }, 30_000)

  it('on a straight history exactly what is new', async () => {
    const history = new MapHistory()
    const before = history.commit({ 'a/1': 'x', 'b/1': 'y' })
    const after = history.commit({ 'a/1': 'x', 'a/2': 'new', 'b/1': 'y' })
    const [had, has] = [await closure(history, [before]), await closure(history, [after])]
    expect((await sent(history, [after], [before])).sort()).toEqual([...has].filter((oid) => !had.has(oid)).sort())
  })

  it('messages cost no look at a tree, however many files members have', async () => {
    const history = new MapHistory()
    const files = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`members/${i}.crt`, `${i}`]))
    const first = history.commit(files)
    for (let i = 0; i < 500; i++) history.commit(files, [history.head], `${i}`)
    history.reads = []
    expect(answerSize(await answerFor(history, [history.head], [first], turns()))).toBe(500)
    expect(history.reads).toEqual([])
    history.commit({ ...files, 'members/new.crt': 'x' })
    expect(answerSize(await answerFor(history, [history.head], [first], turns()))).toBe(501 + 3)
    expect(new Set(history.reads).size).toBe(history.reads.length) // each tree once
    expect(history.reads).toHaveLength(4)
  })

  it('main that moves while the commits are counted: they are counted again, and in the end in one piece', async () => {
    const history = new MapHistory()
    const files = { a: '1' }
    for (let i = 0; i < 9000; i++) history.commit(files, history.head ? [history.head] : [], `${i}`)
    const want = history.head
    for (const times of [1, 100]) {
      let walks = 0
      const missing = history.missing.bind(history)
      history.missing = function* (...args) {
        walks++
        let n = 0
        for (const commit of missing(...args)) {
          if (++n === 1000 && walks <= times) setImmediate(() => history.commit(files))
          yield commit
        }
      }
      const ids = await sent(history, [want], [])
      expect([new Set(ids).size, ids.length]).toEqual([9002, 9002])
      expect(walks).toBe(times === 1 ? 2 : 5)
      history.missing = missing
    }
  }, 30_000)

  it('a tree that is missing or something else is damage of ours', async () => {
    const history = new MapHistory()
    history.commit({ a: '1' })
    const { tree } = history.row(0)
    history.objects.delete(tree)
    await expect(sent(history, [history.head], [])).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
  })

  it('folders in folders have a bound', async () => {
    const history = new MapHistory()
    history.commit({ [`${'d/'.repeat(7)}x`]: '1' })
    expect(await sent(history, [history.head], [])).toHaveLength(10)
    history.commit({ [`${'d/'.repeat(8)}x`]: '2' })
    await expect(sent(history, [history.head], [])).rejects.toMatchObject({ code: 'ERR_LIMIT' })
  })

  it('an answer has a bound on trees and files', async () => {
    const history = new MapHistory()
    for (let i = 0; i < 11; i++) {
      const tree: GitObject = { type: 'tree', data: encodeTree(Array.from({ length: 19_999 }, (_, n) => ({ mode: BLOB_MODE, name: `f${n}`, oid: (i * 20_000 + n).toString(16).padStart(40, '0') }))) }
      history.objects.set(objectId(tree), tree)
      history.add({ type: 'commit', data: utf8(`tree ${objectId(tree)}\n${history.head && `parent ${history.head}\n`}\nx`) })
    }
    await expect(sent(history, [history.head], [])).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { got: 200_001, allowed: 200_000 } })
    history.reads = []
    expect((await sent(history, [history.row(9).oid], [])).length).toBe(10 * 20_001)
    expect(history.reads).toHaveLength(10) // each was at hand as the parent of the next one
    // what was read long ago is read again, not kept
    const first = history.row(0)
    const again = history.add({ type: 'commit', data: utf8(`tree ${history.row(1).tree}\nparent ${first.oid}\n\nagain`) })
    const other: GitObject = { type: 'tree', data: encodeTree([{ mode: BLOB_MODE, name: 'x', oid: 'e'.repeat(40) }]) }
    history.objects.set(objectId(other), other)
    const late = history.add({ type: 'commit', data: utf8(`tree ${objectId(other)}\nparent ${first.oid}\n\nlate`) })
    history.reads = []
    await sent(history, [history.row(8).oid, again, late], [])
    expect(history.reads.filter((oid) => oid === first.tree)).toHaveLength(2)
  }, 30_000)
})
