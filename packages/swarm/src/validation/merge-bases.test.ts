// Best common ancestors, against walks over everything.
import { Slices } from '@jamikit/core/base'
import { ManualClock } from '@jamikit/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { basesOf } from './merge-bases.ts'
import { Budget } from './trees.ts'

const slices = () => new Slices(new ManualClock(), 1e9)

describe('best common ancestors', () => {
  it('are those of brute force, on any graph', async () => {
    const graphs = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), { minLength: 1, maxLength: 24 }).map((rows) =>
      rows.map(([a, b, merge], i) => (i === 0 ? [] : merge ? [...new Set([Math.max(0, i - 1 - (a % 4)), b % i])] : [Math.max(0, i - 1 - (a % 4))])))
    await fc.assert(fc.asyncProperty(graphs, fc.nat(), fc.nat(), async (graph, a, b) => {
      const below = (of: number) => {
        const out = new Set([of])
        for (const at of out) for (const parent of graph[at] ?? []) out.add(parent)
        return out
      }
      const [first, second] = [a % graph.length, b % graph.length]
      const others = below(second)
      const common = [...below(first)].filter((commit) => others.has(commit))
      const best = common.filter((commit) => !common.some((other) => other !== commit && below(other).has(commit)))
      const got = await basesOf(first, second, (commit) => graph[commit] ?? [], new Budget('steps', 1000), slices())
      expect(got.sort()).toEqual(best.sort())
    }), { numRuns: 500 })
  })

  it('cost what lies between, and no more than the budget', async () => {
    const line = (commit: number) => (commit === 0 ? [] : [commit - 1])
    await expect(basesOf(100_000, 99_990, line, new Budget('steps', 20), slices())).resolves.toEqual([99_990])
    await expect(basesOf(100_000, 10, line, new Budget('steps', 20), slices())).rejects.toMatchObject({ code: 'ERR_LIMIT' })
  })
})
