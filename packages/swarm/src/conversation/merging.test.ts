// Where histories meet and what their merge holds, against whole trees merged by path.
import { ManualClock } from '@jamikit/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { receivedPack } from '../../test/received.ts'
import { Rows } from '../../test/rows.ts'
import { editTree } from '../repo/edit-tree.ts'
import { type GitObject, objectId, type Oid } from '../repo/object.ts'
import { flatten } from '../repo/repository.ts'
import { mergePaths, virtualBase } from '../sync/merge.ts'
import { MAX_JOINTS } from '../defaults.ts'
import { bestBases, joints, mergeTrees, unknownOf } from './merging.ts'

const commit = (parents: string[]) => ({ oid: 'new', tree: 't', parents, timeS: 0, author: 'a' as never, device: 'd' as never })

describe('where they meet', () => {
  it('at the known parents of the new commits, of which those are bases that no other one builds on', async () => {
    const rows = new Rows({ oid: '0' }, { oid: '1' }, { oid: '2', parents: ['0'] }, { oid: '3', parents: ['1', '2'] })
    const up: Record<string, string[]> = { '0': ['0', '1', '2', '3'], '1': ['1', '3'], '2': ['2', '3'], '3': ['3'] }
    const history = Object.assign(rows.history, { isAncestor: (a: string, of: string) => up[a]?.includes(of) === true })
    const common = await joints(new ManualClock(), history, [commit(['0', 'unknown']), commit(['1', '2'])])
    expect([...common].sort()).toEqual(['0', '1', '2'])
    expect(bestBases(history, common).sort()).toEqual(['1', '2'])
  })

  it('a fetch of a long history is looked through in slices, and only what is not here is left', async () => {
    const history = new Rows({ oid: '0' }).history
    const commits = Array.from({ length: 20_000 }, (_, i) => ({ ...commit([i === 0 ? '0' : `new ${i - 1}`]), oid: i === 7 ? '0' : `new ${i}` }))
    let turns = 0
    let over = false
    const turn = () => {
      turns++
      if (!over) setImmediate(turn)
    }
    setImmediate(turn)
    expect(await unknownOf(new ManualClock(), history, commits)).toHaveLength(commits.length - 1)
    expect([...(await joints(new ManualClock(), history, commits))]).toEqual(['0'])
    over = true
    expect(turns).toBeGreaterThanOrEqual(8)
  })

  it('in more places than a fetch may have is refused', async () => {
    const rows = new Rows()
    for (let i = 0; i <= MAX_JOINTS; i++) rows.add({ oid: `${i}` })
    await expect(joints(new ManualClock(), rows.history, Array.from({ length: MAX_JOINTS + 1 }, (_, i) => commit([`${i}`])))).rejects.toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
  })
})

describe('what the merge holds', () => {
  const files = fc.dictionary(fc.constantFrom('profile.vcf', ...['members/x.crt', 'banned/members/x.crt', 'invited/x', 'votes/ban/members/x/y', 'members/y.crt'].map((path) => path.replace(/[xy]/g, (c) => (c === 'x' ? 'a' : 'b').repeat(40)))), fc.constantFrom('1', '2', '3'), { maxKeys: 5 })
  const tree = async (objects: Map<Oid, GitObject>, content: Readonly<Record<string, string>>): Promise<Oid> => {
    const edits = new Map<string, Oid>()
    for (const [path, text] of Object.entries(content)) {
      const object: GitObject = { type: 'blob', data: new TextEncoder().encode(text) }
      objects.set(objectId(object), object)
      edits.set(path, objectId(object))
    }
    const { root, objects: made } = await editTree({ read: async (oid) => objects.get(oid) }, undefined, edits)
    for (const object of made) objects.set(objectId(object), object)
    return root
  }

  it('SWM-22 is what whole trees merged by path hold, with one base or several', async () => {
    await fc.assert(fc.asyncProperty(fc.array(files, { minLength: 1, maxLength: 3 }), files, files, async (baseFiles, mine, theirs) => {
      const objects = new Map<Oid, GitObject>()
      const bases = await Promise.all(baseFiles.map(async (content, i) => ({ head: `b${i}`, tree: await tree(objects, content) })))
      const [ours, other] = [{ head: 'a', tree: await tree(objects, mine) }, { head: 'c', tree: await tree(objects, theirs) }]
      const read = async (oid: Oid) => objects.get(oid)
      const common = virtualBase(await Promise.all(bases.map(async (base) => ({ head: base.head, paths: await flatten(read, base.tree) }))))
      const expected = mergePaths(common, await flatten(read, ours.tree), await flatten(read, other.tree), ours.head, other.head)
      const merged = await mergeTrees({ clock: new ManualClock() }, receivedPack(objects), { ours, theirs: other, bases })
      for (const object of merged.objects) objects.set(objectId(object), object)
      expect([...(await flatten(read, merged.root))].sort()).toEqual([...expected].sort())
    }), { numRuns: 500 })
  })

  it('histories that have nothing in common are not merged', async () => {
    await expect(mergeTrees({ clock: new ManualClock() }, receivedPack([]), { ours: { head: 'a', tree: 'x' }, theirs: { head: 'b', tree: 'y' }, bases: [] })).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
  })
})
