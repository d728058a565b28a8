// Which commits of a fetch build on which, against plain reachability; a long chain costs a step, a tangle is bounded.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Ancestry } from './ancestry.ts'
import { Budget } from './trees.ts'

it('says what plain reachability says, for commits of the fetch and for those that were there', () => {
  const dag = fc.array(fc.array(fc.nat(), { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 24 })
  fc.assert(fc.property(dag, fc.nat(10), fc.nat(), fc.nat(), (all, oldCount, a, b) => {
    const parents = all.map((picks, at) => (at === 0 ? [] : [...new Set(picks.map((pick) => pick % at))]))
    const old = Math.min(oldCount, parents.length - 1)
    const reaches = (from: readonly number[], target: number): boolean => from.some((at) => at === target || reaches(parents[at] ?? [], target))
    const ancestry = new Ancestry((ancestor, of) => Number(ancestor) < old && Number(of) < old && reaches([Number(of)], Number(ancestor)))
    for (const [at, list] of parents.entries()) if (at >= old) ancestry.add(`${at}`, list.map(String))
    const of = old + (a % (parents.length - old))
    const target = b % parents.length
    expect(ancestry.reaches((parents[of] ?? []).map(String), `${target}`, new Budget('x', 10_000))).toBe(reaches(parents[of] ?? [], target))
  }), { numRuns: 5000 })
})

it('100,000 commits in a row cost a few steps; what is no ancestor at all is bounded', () => {
  const ancestry = new Ancestry(() => false)
  for (let at = 0; at < 100_000; at++) ancestry.add(`${at}`, at === 0 ? [] : [`${at - 1}`])
  expect(ancestry.reaches(['99999'], '0', new Budget('steps', 4))).toBe(true)
  expect(ancestry.reaches(['99999'], 'nothing', new Budget('steps', 4))).toBe(false)
  const tangle = new Ancestry(() => false)
  for (let at = 0; at < 1000; at++) tangle.add(`${at}`, at < 2 ? [] : [`${at - 2}`, `${at - 1}`])
  expect(() => tangle.reaches(['999'], 'nothing', new Budget('steps', 100))).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
})
