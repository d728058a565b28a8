// Trees as paths, both ways and within bounds. docs/protocol/04 §2, §3.9.
import { utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { objectId, type Oid } from './object.ts'
import { buildTrees, flatten } from './trees.ts'

describe('trees', () => {
  it('any set of paths comes back from the trees that were built of it', async () => {
    const segment = fc.constantFrom('a', 'b', 'c.d', 'e-f')
    await fc.assert(fc.asyncProperty(fc.array(fc.array(segment, { minLength: 1, maxLength: 4 }), { maxLength: 12 }), async (list) => {
      const files = new Map<string, Oid>()
      for (const parts of list) {
        const path = parts.join('/')
        if (![...files.keys()].some((known) => known === path || known.startsWith(`${path}/`) || path.startsWith(`${known}/`))) files.set(path, objectId({ type: 'blob', data: utf8(path) }))
      }
      const { root, objects } = buildTrees(files)
      const read = new Map(objects.map((o) => [objectId(o), o]))
      expect(await flatten(async (oid) => read.get(oid), root)).toEqual(files)
    }), { numRuns: 500 })
  })

  it('that are too deep, or lack a part, are refused', async () => {
    const deep = buildTrees(new Map([[`${'a/'.repeat(9)}x`, 'b'.repeat(40)]]))
    const read = new Map(deep.objects.map((o) => [objectId(o), o]))
    await expect(flatten(async (oid) => read.get(oid), deep.root)).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    await expect(flatten(async () => undefined, deep.root)).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
  })
})
