// Keeps the buckets of one family fresh: asks for ids in buckets where little was heard, and for our own neighbourhood. No I/O.
// docs/protocol/01 §3.3. Proof: engine/engine.test.ts, engine/split.test.ts.
import { fromHex, toHex } from '@jamikit/core/codec'
import type { InfoHash, Random } from '@jamikit/core/contracts'
import type { NodeRecord, NodeTable } from './nodes.ts'

const STALE_MS = 600_000

/** What to ask whom now. `find` gives false when nothing was sent. @returns when to come back, ms from now */
export function maintain(table: NodeTable, nodeId: InfoHash, random: Random, now: number, find: (node: NodeRecord, target: InfoHash) => boolean): number {
  let sent = false
  const own = fromHex(nodeId)
  const alive = table.inTable().filter((n) => !n.expired)
  const ask = (target: Uint8Array, among: readonly NodeRecord[]) => {
    const node = among[among.length > 0 ? random.below(among.length) : 0]
    if (node && find(node, toHex(target) as InfoHash)) sent = true
  }
  const deepest = table.depth()
  for (let bits = 0; bits <= Math.min(deepest + 1, 159); bits++) {
    const bucket = table.bucket(bits).filter((n) => !n.expired)
    if (bucket.some((n) => now - n.repliedMs < STALE_MS) || (bits > deepest && alive.length > 0)) continue
    ask(randomBelow(own, bits, random), bucket.length > 0 ? bucket : alive)
  }
  const near = own.slice()
  near[19] = random.below(256)
  if (!sent) ask(near, alive)
  return sent ? 5000 + random.below(20_000) : 60_000 + random.below(120_000)
}

/** A random id that shares exactly `bits` leading bits with `own`. */
function randomBelow(own: Uint8Array, bits: number, random: Random): Uint8Array {
  const out = random.bytes(20)
  const whole = bits >> 3
  out.set(own.subarray(0, whole))
  if (whole < 20) {
    const keep = 0xff00 >> (bits & 7)
    const flip = 0x80 >> (bits & 7)
    out[whole] = ((own[whole] as number) & keep & 0xff) | (~(own[whole] as number) & flip) | ((out[whole] as number) & (flip - 1))
  }
  return out
}
