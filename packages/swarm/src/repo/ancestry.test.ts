// Ancestors, merge bases and what a peer misses, against walks over everything on random histories. docs/protocol/04 §4.3, §4.6.
import { ManualClock } from '@jamikit/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ancestors, newCommit, type Step, steps } from '../../test/histories.ts'
import { isAncestor, mergeBases, missing } from './ancestry.ts'
import { CommitGraph } from './graph.ts'
import { LinearOrder } from './linear-order.ts'

const clock = new ManualClock()

async function grown(history: readonly Step[]): Promise<{ graph: CommitGraph; order: LinearOrder }> {
  const graph = new CommitGraph(1)
  const order = new LinearOrder(graph, clock)
  for (const [n, step] of history.entries()) {
    graph.append(newCommit(step, n))
    graph.publish()
    if (step.main && (order.head < 0 || ancestors(history, n).has(order.head))) order.apply(await order.plan(n))
  }
  return { graph, order }
}

const all = (history: readonly Step[]) => history.map((_, n) => n)

describe('ancestry', () => {
  it('isAncestor says what a walk over everything says, for every pair', async () => {
    await fc.assert(fc.asyncProperty(steps(18), async (history) => {
      const { graph, order } = await grown(history)
      for (const a of all(history)) {
        const of = all(history).filter((b) => isAncestor(graph, order, a, b))
        expect(of).toEqual(all(history).filter((b) => ancestors(history, b).has(a)))
      }
    }), { numRuns: 400 })
  })

  it('merge bases are the common ancestors that no other common ancestor builds on', async () => {
    await fc.assert(fc.asyncProperty(steps(16), fc.nat(), fc.nat(), async (history, x, y) => {
      const { graph, order } = await grown(history)
      const [a, b] = [x % history.length, y % history.length]
      const common = [...ancestors(history, a)].filter((n) => ancestors(history, b).has(n))
      const best = common.filter((n) => !common.some((other) => other !== n && ancestors(history, other).has(n)))
      expect(mergeBases(graph, order, a, b).sort()).toEqual(best.sort())
    }), { numRuns: 1500 })
  })

  it('what a peer misses is what its wants reach and its haves do not, children first', async () => {
    await fc.assert(fc.asyncProperty(steps(18), fc.array(fc.nat(), { minLength: 1, maxLength: 3 }), fc.array(fc.nat(), { maxLength: 4 }), async (history, w, h) => {
      const { graph, order } = await grown(history)
      const [wants, haves] = [w.map((n) => n % history.length), h.map((n) => n % history.length)]
      const had = new Set(haves.flatMap((n) => [...ancestors(history, n)]))
      const wanted = new Set(wants.flatMap((n) => [...ancestors(history, n)]).filter((n) => !had.has(n)))
      const got = [...missing(graph, order, wants, haves)]
      expect([...got].sort((a, b) => a - b)).toEqual([...wanted].sort((a, b) => a - b))
      for (const [at, n] of got.entries()) for (const parent of history[n]?.parents ?? []) expect(got.slice(0, at)).not.toContain(parent)
    }), { numRuns: 1500 })
  })

  it('questions about a long history touch what lies between the commits, not the history', async () => {
    const history: Step[] = Array.from({ length: 20_000 }, (_, n) => ({ parents: n === 0 ? [] : [n - 1], timeS: n, main: n === 19_999 }))
    const { graph, order } = await grown(history)
    let asked = 0
    const generation = graph.generation.bind(graph)
    graph.generation = (row) => {
      asked++
      return generation(row)
    }
    expect(isAncestor(graph, order, 3, 19_999)).toBe(true)
    expect(isAncestor(graph, order, 19_999, 3)).toBe(false)
    expect(mergeBases(graph, order, 5, 19_990)).toEqual([5])
    expect([...missing(graph, order, [19_999], [19_997, 4])]).toEqual([19_999, 19_998])
    expect([...missing(graph, order, [17], [19_997])]).toEqual([])
    expect(asked).toBeLessThan(100)
  })
})
