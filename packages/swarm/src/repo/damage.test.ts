// Damage on disk: told where it is read, never a main that went back, indexes made anew. docs/protocol/04 §1.1.
import { testStorage } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { advance, chain, make, options } from '../../test/repositories.ts'
import { objectId } from './object.ts'
import { Repository } from './repository.ts'

const MADE = chain(60)
const oid = (n: number) => MADE[n]?.commit.oid ?? ''

/** A history of which some is in packs and the last ten commits in the journal only, as after kill -9. */
async function cutOff(): Promise<Map<string, Uint8Array>> {
  const { contents, files } = testStorageWithFiles()
  const repository = await Repository.create(files, advance(MADE.slice(0, 20)), options())
  await repository.close()
  const again = (await Repository.open(files, options())) as Repository
  await again.advance(advance(MADE.slice(20, 50)))
  await again.close()
  const last = (await Repository.open(files, options())) as Repository
  for (let n = 50; n < 60; n++) await last.advance(advance(MADE.slice(n, n + 1)))
  return contents.files
}

function testStorageWithFiles(files = new Map<string, Uint8Array>()) {
  const storage = testStorage({ records: new Map(), files })
  return { contents: storage.contents, files: storage.files('c') }
}

const opened = async (files: Map<string, Uint8Array>, more = options()) => ({ repository: await Repository.open(testStorageWithFiles(files).files, more), problems: more.problems })

function change(files: Map<string, Uint8Array>, name: RegExp, how: (bytes: Uint8Array) => Uint8Array | undefined): number {
  let count = 0
  for (const [path, bytes] of [...files]) {
    if (!name.test(path)) continue
    const next = how(new Uint8Array(bytes))
    if (next) files.set(path, next)
    else files.delete(path)
    count++
  }
  return count
}

const flip = (at: number) => (bytes: Uint8Array) => {
  const place = at < 0 ? bytes.length + at : at
  bytes[place] = (bytes[place] as number) ^ 0x20
  return bytes
}

describe('damage', () => {
  it('of a message in a pack is told when it is read; main, order and all others stay', async () => {
    const files = await cutOff()
    // the middle of every pack entry is hit somewhere: find the commit that it was
    expect(change(files, /\.pack$/, flip(1500))).toBeGreaterThan(0)
    const { repository, problems } = await opened(files)
    expect(problems).toEqual([])
    expect([repository?.head, repository?.length]).toEqual([oid(59), 60])
    const failed: unknown[] = []
    for (const { objects } of MADE) for (const object of objects) await repository?.read(objectId(object)).catch((error: { code: string }) => failed.push(error.code))
    expect(new Set(failed)).toEqual(new Set(['ERR_STORAGE_CORRUPT']))
    expect(failed.length).toBeLessThan(4)
    await repository?.advance(advance([make(60, [oid(59)])]))
    expect(repository?.length).toBe(61)
  })

  it('that took all packs away is told at opening and at every read, and main stays', async () => {
    const files = await cutOff()
    change(files, /\.pack$/, () => undefined)
    const { repository, problems } = await opened(files)
    expect(problems.map((p) => p.code)).toEqual(['ERR_STORAGE_CORRUPT', 'ERR_STORAGE_CORRUPT'])
    expect(repository?.head).toBe(oid(59))
    await expect(repository?.read(oid(3))).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    await expect(repository?.commit(oid(30))).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    await expect(repository?.packed(MADE[0]?.commit.tree ?? '')).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    expect((await repository?.commit(oid(55)))?.tree).toBe(MADE[55]?.commit.tree) // in the journal
  })

  it.each<[string, RegExp, (bytes: Uint8Array) => Uint8Array | undefined]>([
    ['a graph file that is gone', /jamikit\/graph$/, () => undefined],
    ['a graph file that was cut', /jamikit\/graph$/, (bytes) => bytes.slice(0, -30)],
    ['a flipped bit in the graph file', /jamikit\/graph$/, flip(300)],
    ['pack indexes that are gone', /\.idx$/, () => undefined],
    ['pack indexes with a flipped bit', /\.idx$/, flip(1100)],
    ['pack indexes that are empty', /\.idx$/, () => new Uint8Array(0)],
  ])('%s: made anew from the objects, nothing is missing', async (_title, name, how) => {
    const files = await cutOff()
    expect(change(files, name, how)).toBeGreaterThan(0)
    let { repository, problems } = await opened(files)
    for (let round = 0; round < 2; round++) {
      expect(Array.from({ length: 60 }, (_, position) => repository?.at(position).oid)).toEqual(MADE.map((m) => m.commit.oid))
      for (const { objects } of MADE) for (const object of objects) expect((await repository?.read(objectId(object)))?.type).toBe(object.type)
      if (!String(name).includes('idx')) expect(problems.length).toBe(round === 0 ? 2 : 0)
      await repository?.close()
      ;({ repository, problems } = await opened(files))
    }
    expect(problems).toEqual([])
  })

  it('of the journal, wherever one bit flips: everything that was acknowledged is there, or it is told and main does not go back', async () => {
    const whole = await cutOff()
    const [path = '', journal = new Uint8Array(0)] = [...whole].find(([name]) => name.endsWith('jamikit/journal')) ?? []
    for (let at = 0; at < journal.length; at += at > journal.length - 200 ? 5 : 53) {
      const files = new Map(whole)
      files.set(path, flip(at)(new Uint8Array(journal)))
      const more = options()
      const repository = await Repository.open(testStorageWithFiles(files).files, more).catch((error: { code: string }) => {
        expect(error.code).toBe('ERR_STORAGE_CORRUPT')
        return undefined
      })
      if (!repository) continue
      expect(repository.head).toBe(oid(59))
      expect(more.problems.length).toBeGreaterThan(0)
      let failed = 0
      for (const { commit } of MADE) {
        expect(repository.has(commit.oid)).toBe(true)
        await repository.read(commit.oid).catch((error: { code: string }) => {
          expect(error.code).toBe('ERR_STORAGE_CORRUPT')
          failed++
        })
      }
      expect(failed).toBeLessThan(2)
    }
  }, 60_000)

  it('of the journal by a power cut: a last change that never finished is cut off, all others are there, and the next one is kept', async () => {
    const whole = await cutOff()
    const [path = '', journal = new Uint8Array(0)] = [...whole].find(([name]) => name.endsWith('jamikit/journal')) ?? []
    const before = new Map(whole)
    const { files: at59 } = testStorageWithFiles(before)
    const repository = (await Repository.open(at59, options())) as Repository
    await repository.advance(advance([make(60, [oid(59)])]))
    const longer = before.get(path) as Uint8Array
    for (let cut = journal.length; cut <= longer.length; cut += 1 + (cut % 29)) {
      for (const hole of [false, true]) {
        const files = new Map(whole)
        const torn = new Uint8Array(hole ? longer.length : cut)
        torn.set(longer.subarray(0, cut))
        files.set(path, torn)
        if (hole && longer.length - cut < 64) continue
        const more = options()
        const opened = (await Repository.open(testStorageWithFiles(files).files, more)) as Repository
        expect([opened.head, more.problems]).toEqual([cut === longer.length && !hole ? repository.head : oid(59), []])
        if (opened.head === oid(59)) await opened.advance(advance([make(60, [oid(59)])]))
        const again = (await Repository.open(testStorageWithFiles(files).files, more)) as Repository
        expect([again.head, more.problems]).toEqual([repository.head, []])
        expect((await again.commit(repository.head))?.parents).toEqual([oid(59)])
      }
    }
  }, 60_000)

  it('of a journal that is gone: made anew up to where git sees main, and told', async () => {
    const files = await cutOff()
    change(files, /jamikit\/journal$/, () => undefined)
    const { repository, problems } = await opened(files)
    expect([repository?.head, problems.map((p) => p.code)]).toEqual([oid(49), ['ERR_STORAGE_CORRUPT']])
  })

  it.each<[string, RegExp, () => Uint8Array | undefined]>([
    ['a main that is no id', /refs\/heads\/main$/, () => new TextEncoder().encode('junk\n')],
    ['a main that is nowhere', /refs\/heads\/main$/, () => new TextEncoder().encode(`${'0'.repeat(40)}\n`)],
    ['no packs', /objects\//, () => undefined],
  ])('%s, where nothing else tells what main is, is an error that leaves everything as it is', async (_title, name, how) => {
    const files = await cutOff()
    change(files, /jamikit\//, () => undefined)
    change(files, name, how)
    const before = new Map(files)
    await expect(opened(files)).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    expect(files).toEqual(before)
  })

  it('that leaves the author of a commit unknown is an error, not a history without authors', async () => {
    const files = await cutOff()
    change(files, /jamikit\/graph$/, () => undefined)
    await expect(opened(files, options({ authorOf: async () => undefined }))).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
  })
})
