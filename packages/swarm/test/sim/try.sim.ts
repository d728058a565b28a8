import { it } from 'vitest'
import { ConvergeWorld, SdkNode } from '../converge-world.ts'
const SIZES: [number, number][] = [[2,0],[5,0],[8,0],[3,2],[5,3],[1,3]]

for (const gap of [5, 100, 500, 2000]) for (const [sdk, daemons] of SIZES) it(`${sdk}+${daemons} gap ${gap}`, async () => {
  const tooks: number[] = [], perText: number[] = [], after: number[] = [], p95: number[] = [], max: number[] = [], rest: number[] = [], fetches: number[] = []
  const never: number[] = []
  for (let seed = 0; seed < (gap >= 500 ? 8 : 40); seed++) {
    const world = new ConvergeWorld(`${seed} ${gap}`)
    world.start(sdk, daemons)
    for (let i = 0; i < 20; i++) { for (const n of world.nodes) { world.clock.after(world.random.below(gap + 1), () => n.write()) } ; await world.clock.advance(gap) }
    const texts = 20 * (sdk + daemons)
    const m0 = world.merges
    let took = Infinity
    try { took = await world.untilOne(60_000) } catch { never.push(seed) }
    const m1 = world.merges
    await world.clock.advance(30_000)
    const m2 = world.merges, f2 = world.fetches
    fetches.push(f2 / texts)
    await world.clock.advance(60_000)
    if (world.heads.size > 1) never.push(seed)
    const seen = world.nodes.filter((n) => n instanceof SdkNode).flatMap((n) => n.seenMs).sort((a, b) => a - b)
    tooks.push(took); perText.push(m1 / texts); after.push(m2 - m1); p95.push(seen[Math.floor(seen.length * .95)]!); max.push(seen.at(-1)!); rest.push(world.fetches - f2 + world.merges - m2)
  }
  const q = (a: number[]) => { a.sort((x, y) => x - y); return `${(a[a.length >> 1] as number).toFixed(2)}/${(a.at(-1) as number).toFixed(2)}` }
  console.log(`== ${sdk}+${daemons} gap ${gap}: ms to one head ${q(tooks)}; merges/text ${q(perText)}; merges after ${q(after)}; seen p95 ${q(p95)} max ${q(max)}; fetches/text ${q(fetches)}; rest ${q(rest)}; NEVER ${never}`)
})
