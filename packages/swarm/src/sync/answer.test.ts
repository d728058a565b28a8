// What is sent: enough for any peer, no more than is new where history is straight, and no walk over trees that are the same. docs/protocol/04 §4.3.
import { ManualClock } from '@jamikit/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MapHistory } from '../../test/map-history.ts'
import { reachableObjects } from '../../test/packs.ts'
import { objectId, type Oid } from '../repo/object.ts'
import { answerFor, answerIds, answerSize } from './answer.ts'
import { Turns } from './turns.ts'

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
    }), { numRuns: 1000 })
  })

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

  it('a tree that is missing or something else is damage of ours', async () => {
    const history = new MapHistory()
    history.commit({ a: '1' })
    const { tree } = history.row(0)
    history.objects.delete(tree)
    await expect(sent(history, [history.head], [])).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
  })

  it('an answer has a bound on trees and files', async () => {
    const history = new MapHistory()
    const many = (from: number) => Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`f${from + i}`, `${from + i}`]))
    for (let i = 0; i < 41; i++) history.commit(many(i * 5000))
    await expect(sent(history, [history.head], [])).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    expect((await sent(history, [history.row(38).oid], [])).length).toBe(39 * 5002)
  }, 30_000)
})
