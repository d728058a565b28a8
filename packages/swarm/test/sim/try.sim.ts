import { it } from 'vitest'
import { ConvergeWorld } from '../converge-world.ts'
const SIZES: [number, number][] = [[2,0],[5,0],[8,0],[3,2],[5,3],[1,3]]
for (const gap of [5, 100, 500]) for (const [sdk, daemons] of SIZES) it(`${sdk}+${daemons} gap ${gap}`, async () => {
  for (let seed = 0; seed < 4; seed++) {
    const world = new ConvergeWorld(`${seed} ${gap}`)
    world.start(sdk, daemons)
    for (let i = 0; i < 20; i++) { for (const n of world.nodes) { world.clock.after(world.random.below(gap + 1), () => n.write()) } ; await world.clock.advance(gap) }
    await world.clock.advance(gap)
    const texts = 20 * (sdk + daemons)
    const m0 = world.merges, f0 = world.fetches
    let took: number | string
    try { took = await world.untilOne(60_000) } catch { took = 'NEVER ' + world.heads.size }
    const m1 = world.merges, f1 = world.fetches
    await world.clock.advance(30_000)
    const m2 = world.merges, f2 = world.fetches
    await world.clock.advance(60_000)
    const seen = world.nodes.flatMap((n) => n.seenMs).sort((a, b) => a - b)
    console.log(`${sdk}+${daemons} gap ${gap} seed ${seed}: one head after ${took} ms; merges/text ${(m0/texts).toFixed(2)} +${m1-m0} later +${m2-m1} rest ${world.merges-m2}; fetches ${f0} +${f1-f0} +${f2-f1} rest ${world.fetches-f2}; seen p50 ${seen[seen.length>>1]} p95 ${seen[Math.floor(seen.length*.95)]} max ${seen.at(-1)}; notices ${world.notices}; heads ${world.heads.size}`)
  }
})
