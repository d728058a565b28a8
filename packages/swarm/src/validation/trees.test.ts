// Trees as validation reads them: what differs, against flattened trees; budgets reached by small trees that mean much.
import { Slices } from '@jamikit/core/base'
import { ManualClock } from '@jamikit/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { receivedPack } from '../../test/received.ts'
import { editTree } from '../repo/edit-tree.ts'
import { encodeTree, type GitObject, objectId, type Oid, TREE_MODE } from '../repo/object.ts'
import { Budget, Trees } from './trees.ts'

const blob = (text: string): GitObject => ({ type: 'blob', data: new TextEncoder().encode(text) })

async function treeOf(files: Readonly<Record<string, string>>, objects: Map<Oid, GitObject>): Promise<Oid> {
  const edits = new Map<string, Oid>()
  for (const [path, text] of Object.entries(files)) {
    const object = blob(text)
    objects.set(objectId(object), object)
    edits.set(path, objectId(object))
  }
  const { root, objects: trees } = await editTree({ read: async (oid) => objects.get(oid) }, undefined, edits)
  for (const object of trees) objects.set(objectId(object), object)
  return root
}

const reader = (objects: ReadonlyMap<Oid, GitObject>, limit = 1_000_000) => {
  const pack = receivedPack(objects)
  return { pack, trees: new Trees(pack, new Slices(new ManualClock(), 500), new Budget('entries', limit)) }
}
const plenty = () => new Budget('entries', 1_000_000)

describe('what differs between two trees', () => {
  it('SWM-S3 is every file whose content, place or existence is not the same, and nothing else', async () => {
    const files = fc.dictionary(fc.constantFrom('a', 'b', 'a.b', 'd/x', 'd/y', 'e/f/g', 'e/f/h', 'e/z'), fc.constantFrom('1', '2'), { maxKeys: 6 })
    await fc.assert(fc.asyncProperty(files, files, async (one, two) => {
      const objects = new Map<Oid, GitObject>()
      const [before, after] = [await treeOf(one, objects), await treeOf(two, objects)]
      const { trees } = reader(objects)
      const got = (await trees.diff(before, after, plenty())).map(({ path, before: b, after: a }) => [path, b, a])
      const id = (text: string | undefined) => (text === undefined ? undefined : objectId(blob(text)))
      const expected = [...new Set([...Object.keys(one), ...Object.keys(two)])].filter((path) => one[path] !== two[path]).map((path) => [path, id(one[path]), id(two[path])])
      expect(got.sort()).toEqual(expected.sort())
      for (const path of Object.keys(two)) expect(await trees.file(after, path, plenty())).toBe(id(two[path]))
      expect(await trees.file(after, 'nowhere/at/all', plenty())).toBeUndefined()
    }), { numRuns: 500 })
  })

  it('directories that are the same are not opened, and a tree is read once however often it is asked for', async () => {
    const objects = new Map<Oid, GitObject>()
    const common = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`members/${i}`, 'x']))
    const [before, after] = [await treeOf({ ...common, profile: '1' }, objects), await treeOf({ ...common, profile: '2' }, objects)]
    const { pack, trees } = reader(objects)
    for (let i = 0; i < 5; i++) expect(await trees.diff(before, after, plenty())).toHaveLength(1)
    expect(pack.reads).toBe(2)
  })
})

describe('trees made to hurt', () => {
  const nest = (inner: Oid, width: number, objects: Map<Oid, GitObject>): Oid => {
    const object: GitObject = { type: 'tree', data: encodeTree(Array.from({ length: width }, (_, i) => ({ mode: TREE_MODE, name: `d${i}`, oid: inner }))) }
    objects.set(objectId(object), object)
    return objectId(object)
  }

  it('SWM-S11 directories in directories of one file count each time, and end at the budget', async () => {
    const objects = new Map<Oid, GitObject>()
    let tree = await treeOf({ f: 'x' }, objects)
    for (let depth = 0; depth < 6; depth++) tree = nest(tree, 200, objects)
    const { pack, trees } = reader(objects)
    await expect(trees.diff(undefined, tree, new Budget('entries', 50_000))).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { allowed: 50_000 } })
    expect(pack.reads).toBeLessThan(10)
  })

  it('directories without any file are refused, where they are new', async () => {
    const objects = new Map<Oid, GitObject>()
    const empty: GitObject = { type: 'tree', data: new Uint8Array(0) }
    objects.set(objectId(empty), empty)
    let tree = objectId(empty)
    for (let depth = 0; depth < 6; depth++) tree = nest(tree, 200, objects)
    await expect(reader(objects).trees.diff(undefined, tree, plenty())).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
  })

  it('the budget of a whole fetch ends what stays within that of each commit', async () => {
    const objects = new Map<Oid, GitObject>()
    const trees = await Promise.all(Array.from({ length: 20 }, (_, i) => treeOf(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`f${n}`, `${i}`])), objects)))
    const { trees: walk } = reader(objects, 1_500)
    const all = async () => {
      for (const tree of trees) await walk.diff(undefined, tree, new Budget('entries', 1_000))
    }
    await expect(all()).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { allowed: 1_500 } })
  })

  it('too deep, a missing object, one of another kind, a file and a directory of one name: all refused', async () => {
    const objects = new Map<Oid, GitObject>()
    let deep = await treeOf({ f: 'x' }, objects)
    for (let depth = 0; depth < 9; depth++) deep = nest(deep, 1, objects)
    await expect(reader(objects).trees.diff(undefined, deep, plenty())).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    await expect(reader(objects).trees.diff(undefined, nest('a'.repeat(40), 1, objects), plenty())).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
    const file = objectId(blob('x'))
    await expect(reader(objects).trees.diff(undefined, nest(file, 1, objects), plenty())).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
    const twice: GitObject = { type: 'tree', data: encodeTree([{ mode: '100644', name: 'a', oid: file }, { mode: TREE_MODE, name: 'a', oid: await treeOf({ f: 'x' }, objects) }]) }
    objects.set(objectId(twice), twice)
    await expect(reader(objects).trees.diff(undefined, objectId(twice), plenty())).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
    const other: GitObject = { type: 'tree', data: encodeTree([{ mode: '100644', name: 'a', oid: objectId(twice) }]) }
    objects.set(objectId(other), other)
    await expect(reader(objects).trees.diff(undefined, objectId(other), plenty())).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
    await expect(reader(objects).trees.blob(file, 0)).rejects.toMatchObject({ code: 'ERR_LIMIT' })
  })

  it('other work of the process runs in between', async () => {
    const objects = new Map<Oid, GitObject>()
    let tree = await treeOf({ f: 'x' }, objects)
    for (let depth = 0; depth < 4; depth++) tree = nest(tree, 20, objects)
    let turns = 0
    let over = false
    const other = () => setImmediate(() => {
      turns++
      if (!over) other()
    })
    other()
    await reader(objects).trees.diff(undefined, tree, plenty()).catch(() => {})
    over = true
    expect(turns).toBeGreaterThan(50)
  })
})
