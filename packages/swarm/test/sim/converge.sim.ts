// Many seeds of groups that write at once, of nodes of ours and with daemons, at several paces, over links that come and go: one head each time, in
// time, and rest. Figures of one run of it are in docs/protocol/04 §4.6.
import { describe, expect, it } from 'vitest'
import { burst, ConvergeWorld } from '../converge-world.ts'

const SEEDS = process.env.JAMIKIT_SIM === 'ci' ? 20 : 100

async function expectRest(w: ConvergeWorld): Promise<void> {
  await w.clock.advance(30_000)
  const { merges, fetches } = w
  await w.clock.advance(60_000)
  expect([w.merges - merges, w.fetches - fetches, w.heads.size]).toEqual([0, 0, 1])
}

describe('20 texts by each', () => {
  const sizes = [[5, 0, 3000], [8, 0, 3000], [3, 2, 15_000], [5, 3, 15_000], [1, 3, 15_000]] as const
  /** Merges for each text, at most: what a text every so many ms by each makes necessary, and daemons merge each text that they fetch. */
  const most = { 5: [0.1, 1], 100: [1.5, 3.5] } as const
  for (const gapMs of [5, 100] as const)
    it.each(sizes)(`SWM-21 %i nodes of ours and %i daemons, a text within ${gapMs} ms: one head within %i ms`, async (sdk, daemons, limitMs) => {
      for (let seed = 0; seed < SEEDS; seed++) {
        const w = new ConvergeWorld(`${seed} ${gapMs}`)
        w.start(sdk, daemons)
        await burst(w, 20, gapMs)
        expect(await w.untilOne(limitMs)).toBeLessThanOrEqual(limitMs)
        expect(w.merges / (20 * (sdk + daemons))).toBeLessThan(most[gapMs][daemons > 0 ? 1 : 0])
        await expectRest(w)
      }
    })
})

it('SWM-21 members that go and come while everybody writes, daemons too: one head once they are back', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const w = new ConvergeWorld(`churn ${seed}`)
    w.start(4, 2)
    for (let i = 0; i < 20; i++) {
      for (const node of w.nodes) {
        if (w.random.chance(0.7)) w.clock.after(w.random.below(1000), () => node.write())
        const away = w.random.chance(0.3)
        for (const other of w.nodes) if (other !== node) w.clock.after(w.random.below(1000), () => (away ? w.cut(node, other) : w.heal(node, other)))
      }
      await w.clock.advance(1000)
    }
    for (const a of w.nodes) for (const b of w.nodes) if (a.index < b.index) w.heal(a, b)
    await w.untilOne(20_000)
    await expectRest(w)
  }
})
