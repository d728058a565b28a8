// Nodes of ours, daemons and a hostile member in virtual time: one head, soon, with few merges, and rest after it. The long ones: test/sim/converge.sim.ts.
import { describe, expect, it } from 'vitest'
import { burst, ConvergeWorld, HostileNode, SdkNode } from '../../test/converge-world.ts'

const world = (seed: number, sdk: number, daemons: number, hostile = 0) => {
  const made = new ConvergeWorld(seed)
  made.start(sdk, daemons, hostile)
  return made
}

/** Nothing is fetched, told or merged any more. */
async function expectRest(w: ConvergeWorld): Promise<void> {
  await w.clock.advance(30_000)
  const { merges, fetches, notices } = w
  const [head] = w.heads
  await w.clock.advance(60_000)
  expect([w.merges - merges, w.fetches - fetches, w.notices - notices, [...w.heads]]).toEqual([0, 0, 0, [head]])
}

describe('20 texts by each at once', () => {
  it.each([1, 2, 3])('SWM-21 of nodes of ours: one head within 3 s and fewer than one merge for ten texts (seed %i)', async (seed) => {
    for (const count of [5, 8]) {
      const w = world(seed, count, 0)
      await burst(w, 20, 5)
      expect(await w.untilOne(3000)).toBeLessThanOrEqual(3000)
      expect(w.merges).toBeLessThan(2 * count)
      await expectRest(w)
    }
  })

  it.each([1, 2, 3])('SWM-21 with daemons among them, who merge at once and announce no merge: one head within 15 s, then rest (seed %i)', async (seed) => {
    for (const [sdk, daemons] of [[3, 2], [5, 3]] as const) {
      const w = world(seed, sdk, daemons)
      await burst(w, 20, 5)
      expect(await w.untilOne(15_000)).toBeLessThanOrEqual(15_000)
      expect(w.merges).toBeLessThan(20 * (sdk + daemons))
      await expectRest(w)
    }
  })

  it('SWM-21 texts of others are seen within a second while everybody writes all the time', async () => {
    const w = world(1, 5, 0)
    await burst(w, 20, 100)
    const seen = w.nodes.flatMap(({ seenMs }) => seenMs).sort((a, b) => a - b)
    expect(seen[Math.floor(seen.length * 0.5)]).toBeLessThan(400)
    expect(seen.at(-1)).toBeLessThan(1000)
    await w.untilOne(3000)
    expect(w.merges).toBeLessThan(100 * 1.2)
  })
})

it('SWM-21 over links on which a fetch takes a quarter of a second others wait as long for the first to merge: few merges all the same', async () => {
  const w = world(1, 8, 0)
  w.latencyMs = 60.3
  await burst(w, 20, 5)
  await w.untilOne(5000)
  expect(w.merges).toBeLessThan(24)
  await expectRest(w)
})

it('a fresh text waits for nothing', async () => {
  const w = world(1, 5, 0)
  for (let i = 0; i < 20; i++) {
    w.nodes[i % 5]?.write()
    await w.clock.advance(200)
  }
  expect([w.merges, w.heads.size]).toEqual([0, 1])
  expect(Math.max(...w.nodes.flatMap(({ seenMs }) => seenMs))).toBeLessThan(100)
})

it('SWM-21 two sides of a partition that both wrote have one head after it, with two daemons on either side', async () => {
  const w = world(1, 4, 2)
  const side = (index: number) => index % 2
  for (const a of w.nodes) for (const b of w.nodes) if (side(a.index) !== side(b.index)) w.cut(a, b)
  await burst(w, 5, 50)
  await w.clock.advance(20_000)
  expect(w.heads.size).toBe(2)
  for (const a of w.nodes) for (const b of w.nodes) if (a.index < b.index) w.heal(a, b)
  await w.untilOne(15_000)
  await expectRest(w)
})

it('a member that merges for ever and announces each merge keeps nobody from seeing texts, and costs a bounded number of merges', async () => {
  const w = world(1, 4, 0, 1)
  const hostile = w.nodes.find((node) => node instanceof HostileNode) as HostileNode
  hostile.begin(60_000)
  const before = w.merges
  for (let i = 0; i < 60; i++) {
    w.nodes[i % 4]?.write()
    await w.clock.advance(1000)
  }
  const ours = [...w.commits.values()].filter(({ author, parents }) => author instanceof SdkNode && parents.length > 1).length
  expect(w.merges - before - ours).toBeGreaterThan(500) // its own
  expect(ours).toBeLessThan(60 * 4 * 1.5) // about one for each text and node
  expect(Math.max(...w.nodes.flatMap(({ seenMs }) => seenMs))).toBeLessThan(1500)
  await w.untilOne(60_000)
  await expectRest(w)
})
