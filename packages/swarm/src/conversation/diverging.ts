// Does a fetched head build on ours, or is a merge due? Answered from the pack before it is validated: whoever merges waits first, in case the
// other side merges. docs/protocol/04 §4.6. Proof: conversation/merging.test.ts, conversation/conversations.test.ts.
import { fromUtf8 } from '@jamikit/core/codec'
import type { Oid } from '../repo/object.ts'
import type { Turns } from '../repo/turns.ts'
import type { ReceivedPack } from '../repo/types.ts'

/** A long way: nobody merges in between. */
const MAX_LOOKED_AT = 4096
const HEADER_BYTES = 400

export async function diverges(turns: Turns, ours: Oid, head: Oid, pack: ReceivedPack): Promise<boolean> {
  const seen = new Set<Oid>() // bounded by MAX_LOOKED_AT
  const open = [head]
  while (open.length > 0) {
    const oid = open.pop() as Oid
    if (oid === ours) return false
    if (seen.has(oid) || !pack.has(oid)) continue
    seen.add(oid)
    if (seen.size > MAX_LOOKED_AT) return false
    const object = await pack.read(oid)
    const pause = object && turns.object(object.data.length)
    if (pause) await pause
    if (object?.type === 'commit') open.push(...parentsIn(object.data))
  }
  return true
}

/** Parents of a commit object, from its first lines; whether they are well formed is for validation to say. */
function parentsIn(data: Uint8Array): Oid[] {
  const text = fromUtf8(data.subarray(0, HEADER_BYTES).map((byte) => (byte < 0x80 ? byte : 0x3f)))
  return [...text.matchAll(/^parent ([0-9a-f]{40})$/gm)].slice(0, 3).map((match) => match[1] as Oid)
}
