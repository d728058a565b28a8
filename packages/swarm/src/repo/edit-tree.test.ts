// Editing trees, against trees built whole; only what is on the way is read.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { editTree } from './edit-tree.ts'
import { EMPTY_BLOB, type GitObject, objectId, type Oid } from './object.ts'

const files = fc.dictionary(fc.constantFrom('a', 'b', 'd/x', 'd/y', 'e/f/g', 'e/z'), fc.constantFrom('1'.repeat(40), '2'.repeat(40)), { maxKeys: 6 })

async function whole(paths: Readonly<Record<string, Oid>>, objects: Map<Oid, GitObject>): Promise<Oid> {
  const made = await editTree({ read: async (oid) => objects.get(oid) }, undefined, new Map(Object.entries(paths)))
  for (const object of made.objects) objects.set(objectId(object), object)
  return made.root
}

it('from any tree to any other one gives the tree that is built whole; nothing to do makes no object', async () => {
  await fc.assert(fc.asyncProperty(files, files, async (from, to) => {
    const objects = new Map<Oid, GitObject>()
    const [before, expected] = [await whole(from, objects), await whole(to, objects)]
    const edits = new Map<string, Oid | undefined>([...Object.keys(from).map((path): [string, undefined] => [path, undefined]), ...Object.entries(to)])
    const { root, objects: made } = await editTree({ read: async (oid) => objects.get(oid) }, before, edits)
    expect(root).toBe(expected)
    for (const object of made) expect(object.type).toBe('tree')
    expect((await editTree({ read: async (oid) => objects.get(oid) }, before, new Map())).objects.filter((o) => objectId(o) === before)).toEqual([])
  }), { numRuns: 1000 })
})

it('reads only the directories on the way, and refuses a tree that is missing', async () => {
  const objects = new Map<Oid, GitObject>()
  const blob = objectId({ type: 'blob', data: EMPTY_BLOB })
  const root = await whole({ 'a/1': blob, 'b/1': blob, 'c/d/1': blob }, objects)
  const read: Oid[] = []
  await editTree({ read: async (oid) => {
    read.push(oid)
    return objects.get(oid)
  } }, root, new Map([['c/d/2', blob]]))
  expect(read).toHaveLength(3)
  await expect(editTree({ read: async () => undefined }, root, new Map([['x', blob]]))).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
})
