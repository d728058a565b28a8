// Packs of ours: git takes them in strict mode, any number of objects, one entry at a time. docs/protocol/04 §4.3.
import { deflateSync } from 'node:zlib'
import { toHex, utf8 } from '@jamikit/core/codec'
import { describe, expect, it } from 'vitest'
import { objectsOf, withGit } from '../../test/git.ts'
import { bundle } from '../../test/vectors.ts'
import { decodePack } from '../../test/packs.ts'
import { type GitObject, objectId } from '../repo/object.ts'
import type { PackedObject } from '../repo/types.ts'
import { writePack } from './pack-writer.ts'

const packed = (o: GitObject): PackedObject => ({ type: o.type, size: o.data.length, deflated: deflateSync(o.data) })

async function collect(count: number, objects: Iterable<PackedObject>): Promise<{ pack: Uint8Array; name: string }> {
  const parts: Uint8Array[] = []
  const name = await writePack(count, objects, async (piece) => void parts.push(piece.slice()))
  return { pack: new Uint8Array(Buffer.concat(parts)), name }
}

describe('packs that we write', () => {
  it('git takes a captured history in strict mode and finds every object', async () => {
    const objects = bundle('one-to-one')
    const { pack, name } = await collect(objects.size, [...objects.values()].map(packed))
    expect(name).toBe(toHex(pack.subarray(-20)))
    expect(decodePack(pack)).toEqual(objects)
    await withGit((git) => {
      expect(git.run(['index-pack', '--strict', '--stdin'], pack).toString()).toContain(name)
      expect(objectsOf(git).map((o) => o.oid).sort()).toEqual([...objects.keys()].sort())
    })
  })

  it('sizes of every length of header, and 61,000 objects (one list of arguments held 60,035)', async () => {
    const sizes = [0, 1, 15, 16, 2047, 2048, 262_143, 262_144, 300_000].map((n): GitObject => ({ type: 'blob', data: new Uint8Array(n) }))
    const many = Array.from({ length: 61_000 }, (_, i): GitObject => ({ type: 'blob', data: utf8(`object ${i}`) }))
    const all = [...sizes, ...many]
    const { pack } = await collect(all.length, all.map(packed))
    await withGit((git) => {
      git.run(['index-pack', '--strict', '--stdin'], pack)
      expect(objectsOf(git).map((o) => o.oid)).toEqual(all.map(objectId).sort())
    })
  }, 60_000)

  it('the next entry is asked for when the one before is taken', async () => {
    let [made, taken] = [0, 0]
    const objects = function* () {
      for (; made < 100; made++) {
        expect(made - taken).toBeLessThan(2)
        yield packed({ type: 'blob', data: utf8(`${made}`) })
      }
    }
    await writePack(100, objects(), async (piece) => {
      await new Promise((resolve) => setImmediate(resolve))
      if (piece.length > 8) taken++
    })
    expect(made).toBe(100)
  })

  it('fewer or more objects than declared are a defect of ours, not a pack', async () => {
    const one = packed({ type: 'blob', data: utf8('x') })
    await expect(collect(2, [one])).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
    await expect(collect(1, [one, one])).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
  })
})
