// Writes a pack piece by piece: entries are copied as they come, the checksum goes along, nothing is held. docs/protocol/04 §4.3.
// Proof: sync/pack-writer.test.ts (git index-pack as oracle).
import { createHash } from 'node:crypto'
import { JamiError } from '@jamikit/core/base'
import { toHex } from '@jamikit/core/codec'
import type { PackedObject } from '../repo/types.ts'
import { entryHeader, packHeader } from './pack-format.ts'

/**
 * @param count objects that follow; fewer or more are ERR_INTERNAL, and the pack is no pack then
 * @param write is awaited before the next piece is made
 * @returns the name of the pack
 */
export async function writePack(count: number, objects: AsyncIterable<PackedObject> | Iterable<PackedObject>, write: (piece: Uint8Array) => Promise<void>): Promise<string> {
  const hash = createHash('sha1')
  const put = (piece: Uint8Array) => {
    hash.update(piece)
    return write(piece)
  }
  await put(packHeader(count))
  let written = 0
  for await (const { type, size, deflated } of objects) {
    if (++written > count) throw new JamiError('ERR_INTERNAL', `pack: more than the ${count} objects that it declares`)
    await put(entryHeader(type, size))
    await put(deflated)
  }
  if (written < count) throw new JamiError('ERR_INTERNAL', `pack: got ${written} objects, declared ${count}`)
  const trailer = new Uint8Array(hash.digest())
  await write(trailer)
  return toHex(trailer)
}
