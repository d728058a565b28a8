// Sets closed under ancestors, against plain definitions over random histories; what is kept gives the same set again.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CommitInfo, History } from '../repo/types.ts'
import { Covered } from './covered.ts'

/** Rows with parents below them, as a history. */
function historyOf(parents: readonly (readonly number[])[]): History {
  const row = (at: number): CommitInfo => ({ oid: `c${at}` as never, row: at, tree: 't', parents: parents[at] ?? [], generation: 0, timeS: 0, author: 'a' as never, device: 'd' as never, position: at })
  const known = (oid: string) => {
    const at = Number(oid.slice(1))
    return at < parents.length ? row(at) : undefined
  }
  return { rows: parents.length, row, info: known, has: (oid: string) => known(oid) !== undefined } as never
}

const dag = fc.array(fc.array(fc.nat(), { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 30 })
  .map((all) => all.map((picks, at) => (at === 0 ? [] : [...new Set(picks.map((pick) => pick % at))])))

function ancestors(parents: readonly (readonly number[])[], of: readonly number[]): Set<number> {
  const out = new Set<number>()
  const open = [...of]
  while (open.length > 0) {
    const at = open.pop() as number
    if (out.has(at)) continue
    out.add(at)
    open.push(...(parents[at] ?? []))
  }
  return out
}

describe('commits that somebody has', () => {
  it('SWM-17 are the ancestors of what was told, whatever the order; each is reported once, and the heads are the maximal ones', () => {
    fc.assert(fc.property(dag, fc.array(fc.nat(), { maxLength: 8 }), (parents, told) => {
      const history = historyOf(parents)
      const covered = new Covered(history, undefined)
      const reported: number[] = []
      const said = told.map((n) => n % parents.length)
      for (const at of said) {
        const growth = covered.growth(`c${at}`)
        if (!growth) continue
        const state = covered.stateWith(growth)
        covered.grow(growth)
        reported.push(...growth.rows)
        const again = new Covered(history, state)
        for (let row = 0; row < parents.length; row++) expect(again.has(row)).toBe(covered.has(row))
      }
      const expected = ancestors(parents, said)
      for (let row = 0; row < parents.length; row++) expect(covered.has(row)).toBe(expected.has(row))
      expect([...reported].sort((a, b) => a - b)).toEqual([...expected].sort((a, b) => a - b))
      const maximal = [...expected].filter((at) => ![...expected].some((other) => other !== at && ancestors(parents, [other]).has(at)))
      const together = new Covered(history, undefined).growth(...said.map((at) => `c${at}`))
      expect([...(together?.heads ?? [])].sort()).toEqual(maximal.map((at) => `c${at}`).sort())
      expect(together?.rows ?? []).toEqual([...expected].sort((a, b) => a - b))
      expect(covered.growth(...maximal.map((at) => `c${at}`))).toBeUndefined()
    }), { numRuns: 2000 })
  })

  it('own commits need nobody to say so: a long row of them keeps nothing and is not walked again', () => {
    const parents = Array.from({ length: 10_000 }, (_, at) => (at === 0 ? [] : [at - 1]))
    const covered = new Covered(historyOf(parents), undefined, () => true)
    expect([covered.floor, covered.extra]).toEqual([10_000, 0])
  })

  it('what was kept for other rows (the index was made anew) is made again from the heads', () => {
    const parents = [[], [0], [1], [1]]
    const covered = new Covered(historyOf(parents), { heads: ['c1'], floor: 3, at: 'elsewhere' })
    expect([0, 1, 2, 3].map((row) => covered.has(row))).toEqual([true, true, false, false])
  })

  it('a chain of 100,000 keeps a floor, not a row each', () => {
    const parents = Array.from({ length: 100_000 }, (_, at) => (at === 0 ? [] : [at - 1]))
    const covered = new Covered(historyOf(parents), undefined)
    const growth = covered.growth('c99999')
    if (growth) covered.grow(growth)
    expect([covered.floor, covered.extra]).toEqual([100_000, 0])
  })

  it('whatever walks over a whole history comes to rest on the way', () => {
    const parents = Array.from({ length: 100_000 }, (_, at) => (at === 0 ? [] : [at - 1]))
    const rests = (work: Generator<void, unknown>) => {
      let count = 0
      while (!work.next().done) count++
      return count
    }
    const covered = new Covered(historyOf(parents), undefined, () => true)
    expect(rests(new Covered(historyOf(parents), undefined).growing('c99999'))).toBeGreaterThanOrEqual(10)
    expect(rests(covered.settling())).toBeGreaterThanOrEqual(10)
    expect(covered.floor).toBe(100_000)
  })
})
