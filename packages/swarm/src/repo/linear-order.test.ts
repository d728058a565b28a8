// The order of main against its plain definition, on random histories that grow step by step. docs/protocol/04 §4.10.
import { ManualClock } from '@jamikit/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ancestors, AUTHOR, DEVICE, id, linear, newCommit, type Step, steps } from '../../test/histories.ts'
import { CommitGraph } from './graph.ts'
import { LinearOrder } from './linear-order.ts'

const clock = new ManualClock()

class Main {
  readonly graph = new CommitGraph(7)
  readonly order = new LinearOrder(this.graph, clock)

  add(step: Step, n: number): number {
    const row = this.graph.append(newCommit(step, n))
    this.graph.publish()
    return row
  }

  async move(row: number): Promise<{ changedFrom: number; added: number[] }> {
    const plan = await this.order.plan(row)
    this.order.apply(plan)
    return { changedFrom: plan.changedFrom, added: [...plan.added] }
  }

  /** Newest first. */
  shown(): number[] {
    return Array.from({ length: this.order.length }, (_, i) => this.order.row(this.order.length - 1 - i))
  }
}

describe('linear order', () => {
  it('kept step by step is the order made from scratch, positions and what changed are right', async () => {
    await fc.assert(fc.asyncProperty(steps(24), async (history) => {
      const main = new Main()
      let head = -1
      for (const [n, step] of history.entries()) {
        main.add(step, n)
        if (!step.main || (head >= 0 && !ancestors(history, n).has(head))) continue
        const before = main.shown().reverse()
        const { changedFrom, added } = await main.move(n)
        head = n
        expect(main.shown()).toEqual(linear(history, n))
        const after = main.shown().reverse()
        for (const [position, row] of after.entries()) expect(main.graph.position[row]).toBe(position)
        expect(added).toEqual([...ancestors(history, n)].filter((row) => !before.includes(row)).sort((a, b) => a - b))
        let same = 0
        while (same < before.length && before[same] === after[same]) same++
        expect(changedFrom).toBe(same)
      }
      for (let n = 0; n < history.length; n++) if (!ancestors(history, head).has(n)) expect(main.graph.position[n]).toBe(-1)
    }), { numRuns: 600 })
  })

  it('a cut is where no line of descent passes by: everything above builds on it, it builds on everything below', async () => {
    await fc.assert(fc.asyncProperty(steps(20), async (history) => {
      const main = new Main()
      let head = -1
      for (const [n, step] of history.entries()) {
        main.add(step, n)
        if (!step.main || (head >= 0 && !ancestors(history, n).has(head))) continue
        await main.move(n)
        head = n
        const order = main.shown().reverse()
        for (const [position, row] of order.entries()) {
          const passed = order.slice(position + 1).some((above) => history[above]?.parents.some((parent) => order.indexOf(parent) < position))
          expect(main.order.cutAt(position) === position).toBe(!passed)
          if (!passed) for (const [at, other] of order.entries()) expect(at >= position ? ancestors(history, other).has(row) : ancestors(history, row).has(other)).toBe(true)
        }
      }
    }), { numRuns: 400 })
  })

  it('a head that does not build on main is refused and changes nothing; a plan that is given up leaves no trace', async () => {
    const main = new Main()
    const history: Step[] = [{ parents: [], timeS: 1, main: true }, { parents: [0], timeS: 2, main: true }, { parents: [0], timeS: 3, main: false }, { parents: [1, 2], timeS: 4, main: true }]
    for (const [n, step] of history.entries()) main.add(step, n)
    await main.move(1)
    for (const wrong of [0, 1, 2]) await expect(main.order.plan(wrong)).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
    main.order.discard(await main.order.plan(3))
    expect(main.shown()).toEqual([1, 0])
    expect([...main.graph.children.subarray(0, 4)]).toEqual([1, 0, 0, 0])
    await main.move(3)
    expect(main.shown()).toEqual(linear(history, 3))
  })

  it('a message on top of 50,000 costs no more than one on top of 50, and other work runs while many are ordered', async () => {
    const main = new Main()
    const chain = (from: number, to: number) => {
      for (let n = from; n < to; n++) main.graph.append({ oid: id(n), tree: id('t'), parents: n === 0 ? [] : [id(n - 1)], timeS: n, author: AUTHOR, device: DEVICE })
      main.graph.publish()
    }
    chain(0, 50_000)
    let turns = 0
    const turn = (): void => {
      turns++
      if (turns < 1000) handle = setImmediate(turn)
    }
    let handle = setImmediate(turn)
    await main.move(49_999)
    clearImmediate(handle)
    expect(turns).toBeGreaterThanOrEqual(5)
    chain(50_000, 50_001)
    const plan = await main.order.plan(50_000)
    expect(plan).toMatchObject({ from: 50_000, changedFrom: 50_000, shown: [50_000] })
  })
})
