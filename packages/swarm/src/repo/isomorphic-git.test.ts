// isomorphic-git as a second opinion on what we keep on disk: it reads our folder (log, trees, files) and makes the same index of our packs.
import fs from 'node:fs'
import { join } from 'node:path'
import * as git from 'isomorphic-git'
import { describe, expect, it } from 'vitest'
import { onDisk } from '../../test/disk.ts'
import { advance, chain, type Made, make, options } from '../../test/repositories.ts'
import { decodeTree, objectId } from './object.ts'
import { Repository } from './repository.ts'

const LIMITS = { adoptBytes: 2000, adoptObjects: 10, manyRows: 8, sealBytes: 1 << 20, sealObjects: 12 }

/** Kept commit by commit, and closed: packs, loose objects, refs as they come. */
async function kept(made: readonly Made[], work: (folder: { dir: string; packs: string[] }) => Promise<void>): Promise<void> {
  await onDisk(async ({ files, dir, packs }) => {
    const own = options({ limits: LIMITS })
    const repository = await Repository.create(files, advance(made.slice(0, 1)), own)
    for (let n = 1; n < made.length; n++) await repository.advance(advance(made.slice(n, n + 1)))
    await repository.settled()
    await repository.close()
    expect(own.problems).toEqual([])
    await work({ dir, packs: packs() })
  })
}

describe('isomorphic-git', () => {
  it('reads a history that we keep: main, the log, every tree and every file', async () => {
    const made = chain(45)
    await kept(made, async ({ dir: gitdir }) => {
      const cache = {}
      expect(await git.resolveRef({ fs, gitdir, ref: 'main' })).toBe(made.at(-1)?.commit.oid)
      const log = await git.log({ fs, gitdir, ref: 'main', cache })
      expect(log.map(({ oid, commit }) => ({ oid, tree: commit.tree, parents: commit.parent, timeS: commit.committer.timestamp })))
        .toEqual(made.map(({ commit: { oid, tree, parents, timeS } }) => ({ oid, tree, parents, timeS })).reverse())
      for (const object of made.flatMap((m) => m.objects)) {
        const oid = objectId(object)
        if (object.type === 'blob') expect(new Uint8Array((await git.readBlob({ fs, gitdir, oid, cache })).blob)).toEqual(object.data)
        else if (object.type === 'commit') expect(new Uint8Array((await git.readObject({ fs, gitdir, oid, format: 'content', cache })).object as Uint8Array)).toEqual(object.data)
        else expect((await git.readTree({ fs, gitdir, oid, cache })).tree.map((e) => [e.path, e.oid])).toEqual(decodeTree(object.data).map((e) => [e.name, e.oid]))
      }
    })
  })

  it('finds both sides of a merge', async () => {
    const made = chain(12)
    const last = made.at(-1)?.commit.oid ?? ''
    const sides = [make(12, [last], undefined, 'left'), make(13, [last], undefined, 'right')]
    const merge = make(14, sides.map((m) => m.commit.oid))
    await onDisk(async ({ files, dir: gitdir }) => {
      const repository = await Repository.create(files, advance(made), options())
      await repository.advance(advance([...sides, merge]))
      await repository.close()
      const log = await git.log({ fs, gitdir, ref: 'main' })
      expect(log[0]).toMatchObject({ oid: merge.commit.oid, commit: { parent: merge.commit.parents } })
      expect(log.map(({ oid }) => oid).sort()).toEqual([...made, ...sides, merge].map((m) => m.commit.oid).sort())
    })
  })

  it('makes the index of a pack that we made, byte for byte', async () => {
    const made = chain(45)
    await kept(made, async ({ dir: gitdir, packs }) => {
      expect(packs.length).toBeGreaterThan(0)
      const found: string[] = []
      for (const name of packs) {
        const folder = join(gitdir, 'objects', 'pack')
        const index = join(folder, name.replace(/pack$/, 'idx'))
        const ours = fs.readFileSync(index)
        fs.rmSync(index)
        found.push(...(await git.indexPack({ fs, dir: folder, gitdir, filepath: name })).oids)
        expect(fs.readFileSync(index).equals(ours)).toBe(true)
      }
      expect(found).toEqual(expect.arrayContaining(made.map((m) => m.commit.oid)))
    })
  })
})
