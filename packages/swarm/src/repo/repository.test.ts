// One history on storage: kept, opened again, read; as git sees it while the node is stopped; packs of peers. docs/protocol/04 §1, §4.10.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { FileTree } from '@jamikit/core/contracts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { linear, type Step, steps } from '../../test/histories.ts'
import { memoryFiles } from '../../test/memory.ts'
import { advance, chain, type Made, make, options, real, received, unique } from '../../test/repositories.ts'
import { onDisk } from '../../test/disk.ts'
import { encodeLoose, type GitObject, objectId } from './object.ts'
import { Repository } from './repository.ts'

const SMALL = { adoptBytes: 2000, adoptObjects: 10, manyRows: 8, sealBytes: 1 << 20, sealObjects: 12 }
const oids = (repository: Repository) => Array.from({ length: repository.length }, (_, position) => repository.at(position).oid)

async function reopened(files: FileTree, more = options()): Promise<Repository> {
  const repository = await Repository.open(files, more)
  if (!repository) throw new Error('no history')
  expect(more.problems).toEqual([])
  return repository
}

/** Every commit is there, and some sixty of them with all their objects, whole. */
async function allThere(repository: Repository, made: readonly Made[]): Promise<void> {
  const step = Math.ceil(made.length / 60)
  for (const [n, { commit, objects }] of made.entries()) {
    expect(repository.has(commit.oid)).toBe(true)
    if (n % step !== 0 && n !== made.length - 1) continue
    expect(repository.info(commit.oid)).toMatchObject({ ...commit, parents: commit.parents.map((oid) => repository.info(oid)?.row) })
    expect((await repository.commit(commit.oid))?.tree).toBe(commit.tree)
    for (const object of objects) {
      const oid = objectId(object)
      expect(await repository.read(oid)).toEqual(object)
      expect(await repository.stat(oid)).toEqual({ type: object.type, size: object.data.length })
    }
  }
}

describe('a history', () => {
  it('comes back as it was after every kind of end: closed, cut off, with journal, packs and merged packs', async () => {
    const storage = memoryFiles()
    const made = chain(300)
    let repository = await Repository.create(storage.files('c'), advance(made.slice(0, 1)), options({ limits: SMALL }))
    for (let n = 1; n < made.length; n++) {
      expect(await repository.advance(advance(made.slice(n, n + 1)))).toEqual({ onMain: [repository.info(made[n]?.commit.oid ?? '')], changedFrom: n })
      if (n % 37 === 0) {
        if (n % 2 === 0) await repository.close()
        repository = await reopened(storage.files('c'), options({ limits: SMALL }))
      }
    }
    await repository.settled()
    expect(oids(repository)).toEqual(made.map((m) => m.commit.oid))
    await allThere(repository, made)
    const packs = (await storage.files('c').list('objects/pack')).filter((name) => name.endsWith('.pack'))
    expect(packs.length).toBeGreaterThan(1)
    expect(packs.length).toBeLessThan(20)
  })

  it('has its order, ancestors and bases after it was opened again, whatever its shape', async () => {
    await fc.assert(fc.asyncProperty(steps(14), async (history) => {
      const storage = memoryFiles()
      const made = real(history)
      const whole = [...made, make(history.length, [made.at(-1)?.commit.oid ?? ''])]
      const shape: Step[] = [...history, { parents: [history.length - 1], timeS: 1_700_000_000 + history.length, main: true }]
      const repository = await Repository.create(storage.files('c'), advance(whole.slice(0, 1)), options({ limits: SMALL }))
      for (const m of whole.slice(1)) {
        const builds = m.commit.parents.some((oid) => repository.isAncestor(repository.head, oid))
        await repository.advance({ commits: [m.commit], objects: m.objects, head: builds ? m.commit.oid : undefined })
      }
      const again = await reopened(storage.files('c'), options({ limits: SMALL }))
      expect([again.head, again.rows, oids(again)]).toEqual([repository.head, whole.length, oids(repository)])
      for (let row = 0; row < again.rows; row++) expect(again.row(row)).toEqual(repository.row(row))
      const headRow = whole.findIndex((m) => m.commit.oid === again.head)
      // the plain definition breaks ties by the ids of its own commits: compare where no two have the same time
      if (new Set(shape.map((s) => s.timeS)).size === shape.length) expect(oids(again).reverse()).toEqual(linear(shape, headRow).map((n) => whole[n]?.commit.oid))
    }), { numRuns: 60 })
  })

  it('refuses what it cannot keep and is then as before', async () => {
    const made = chain(4)
    const other = make(7, [made[0]?.commit.oid ?? ''])
    const repository = await Repository.create(memoryFiles().files('c'), advance(made.slice(0, 2)), options())
    await expect(repository.advance(advance(made.slice(3)))).rejects.toMatchObject({ code: 'ERR_INTERNAL' }) // its parent is not there
    await expect(repository.advance({ commits: [other.commit], objects: other.objects, head: other.commit.oid })).rejects.toMatchObject({ code: 'ERR_INTERNAL' }) // main would lose a commit
    await expect(repository.advance({ commits: [], head: 'f'.repeat(40) })).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
    expect([repository.rows, repository.length, repository.has(other.commit.oid), repository.info(other.commit.oid)]).toEqual([2, 2, false, undefined])
    expect(() => repository.at(2)).toThrow(expect.objectContaining({ code: 'ERR_INTERNAL' }))
    expect(() => repository.row(-1)).toThrow(expect.objectContaining({ code: 'ERR_INTERNAL' }))
    const first = repository.advance(advance(made.slice(2, 3)))
    await expect(repository.advance(advance(made.slice(2, 4)))).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
    await first
    await repository.advance({ commits: [other.commit], objects: other.objects, head: undefined })
    expect(repository.info(other.commit.oid)).toMatchObject({ position: -1, row: 3 })
    expect([repository.length, repository.head]).toEqual([3, made[2]?.commit.oid])
    expect(() => [...repository.missing([repository.head], [], 2)]).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
    expect([...repository.missing([repository.head], ['e'.repeat(40), made[1]?.commit.oid ?? ''])].map((c) => c.oid)).toEqual([made[2]?.commit.oid])
    await repository.close()
    await expect(repository.advance(advance(made.slice(3)))).rejects.toMatchObject({ code: 'ERR_CLOSED' })
    await expect(repository.read(made[0]?.commit.oid ?? '')).rejects.toMatchObject({ code: 'ERR_CLOSED' })
  })

  it('is not made where one is, and one whose creation was cut off is none', async () => {
    const storage = memoryFiles()
    const made = chain(2)
    let left = 3
    storage.onWrite = () => {
      if (left-- <= 0) throw new Error('crash')
    }
    await expect(Repository.create(storage.files('c'), advance(made), options())).rejects.toThrow()
    storage.onWrite = () => {}
    expect(await Repository.open(storage.files('c'), options())).toBeUndefined()
    await Repository.create(storage.files('c'), advance(made), options())
    await expect(Repository.create(storage.files('c'), advance(made), options())).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await allThere(await reopened(storage.files('c')), made)
  })
})

describe('a folder that git reads', () => {
  it('git fsck --strict, log and gc work on it while it is closed, and it goes on afterwards', () => onDisk(async ({ files, git }) => {
    const made = chain(260)
    let repository = await Repository.create(files, advance(made.slice(0, 1)), options({ limits: SMALL }))
    for (let n = 1; n < 120; n++) await repository.advance(advance(made.slice(n, n + 1)))
    await repository.close()
    expect(git('fsck', '--strict')).toBe('')
    expect(git('log', '--format=%H', 'main').trim().split('\n').reverse()).toEqual(made.slice(0, 120).map((m) => m.commit.oid))
    repository = await reopened(files, options({ limits: SMALL }))
    for (let n = 120; n < 180; n++) await repository.advance(advance(made.slice(n, n + 1)))
    await repository.close()
    git('gc', '--quiet', '--aggressive', '--prune=now')
    expect(git('verify-pack', '-v', ...git('ls-packs').trim().split('\n'))).toMatch(/chain length = [1-9]/)
    repository = await reopened(files, options({ limits: SMALL }))
    await allThere(repository, made.slice(0, 180))
    const deltas = await repository.packed(made[170]?.commit.tree ?? '')
    expect(deltas?.type).toBe('tree')
    for (let n = 180; n < 260; n++) await repository.advance(advance(made.slice(n, n + 1)))
    await repository.settled()
    await repository.close()
    expect(git('fsck', '--strict')).toBe('')
    expect(git('rev-parse', 'main').trim()).toBe(made[259]?.commit.oid)
    await allThere(await reopened(files), made)
  }), 60_000)

  it('git agrees about merge bases and what is missing in a tangle', () => onDisk(async ({ files, git }) => {
    const history: Step[] = [{ parents: [], timeS: 1, main: true }]
    for (let n = 1; n < 60; n++) history.push({ parents: n % 7 === 0 ? [n - 1, n - 4] : n % 5 === 0 ? [n - 3] : [n - 1], timeS: 1_700_000_000 + ((n * 7919) % 1000), main: true })
    history.push({ parents: [59, 53], timeS: 1_700_002_000, main: true })
    const made = real(history)
    const repository = await Repository.create(files, advance(made), options())
    await repository.close()
    const open = await reopened(files)
    const at = (n: number) => made[n]?.commit.oid ?? ''
    const known = made.map((_, n) => n).filter((n) => open.info(at(n))?.position !== -1)
    for (let i = 0; i < 40; i++) {
      const [a, b] = [at(known[(i * 17) % known.length] ?? 0), at(known[(i * 29 + 5) % known.length] ?? 0)]
      expect(open.mergeBases(a, b).sort()).toEqual(git('merge-base', '--all', a, b).trim().split('\n').sort())
      expect([...open.missing([a], [b])].map((c) => c.oid).sort()).toEqual(git('rev-list', a, `^${b}`).trim().split('\n').filter((line) => line !== '').sort())
    }
  }), 30_000)

  it('one of loose objects only, as earlier versions wrote, is adopted with its authors', () => onDisk(async ({ files, git }) => {
    const made = chain(40)
    for (const object of unique(made.flatMap((m) => m.objects))) await files.write(`objects/${objectId(object).slice(0, 2)}/${objectId(object).slice(2)}`, encodeLoose(object))
    await files.write('refs/heads/main', new TextEncoder().encode(`${made[39]?.commit.oid}\n`))
    const repository = await reopened(files)
    await allThere(repository, made)
    expect(oids(repository)).toEqual(made.map((m) => m.commit.oid))
    await repository.advance(advance([make(40, [made[39]?.commit.oid ?? ''])]))
    await repository.close()
    expect(git('fsck', '--strict')).toBe('')
    const again = await reopened(files, options({ authorOf: async () => undefined })) // not asked again
    expect(again.length).toBe(41)
  }))

  it('is written of a history in memory', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'swarm-export-'))
    try {
      const made = chain(30)
      const repository = await Repository.create(memoryFiles().files('c'), advance(made), options())
      await repository.exportTo(async (path, chunks) => {
        mkdirSync(dirname(join(dir, path)), { recursive: true })
        await writeFile(join(dir, path), chunks)
      })
      expect(execFileSync('git', ['fsck', '--strict'], { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] }).toString()).toBe('')
      expect(execFileSync('git', ['rev-list', '--count', 'main'], { cwd: dir }).toString().trim()).toBe('30')
      await repository.advance(advance([make(30, [made[29]?.commit.oid ?? ''])]))
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

describe('a pack of a peer', () => {
  const base = chain(3)
  const head = base[2]?.commit.oid ?? ''
  const many: Made[] = []
  for (let n = 0; n < 420; n++) many.push(make(n + 3, [many.at(-1)?.commit.oid ?? head]))
  const objects = unique(many.flatMap((m) => m.objects))

  it.each<[string, number, number, boolean]>([
    ['a small one goes into the journal', 5, 0, false],
    ['a large one stays as it came when nothing else is in it', 420, 0, true],
    ['of a large one only what is used is kept', 420, 3, false],
  ])('%s', (_title, commits, junk, whole) => onDisk(async ({ files, git, packs }) => {
    const repository = await Repository.create(files, advance(base), options())
    const used = many.slice(0, commits)
    const wanted = unique(used.flatMap((m) => m.objects))
    const extra = Array.from({ length: junk }, (_, i): GitObject => ({ type: 'blob', data: new TextEncoder().encode(`junk ${i} ${'j'.repeat(400_000)}`) }))
    const pack = await received([...wanted, ...extra], files)
    const change = { commits: used.map((m) => m.commit), pack: { received: pack, used: new Set(wanted.map(objectId)) }, head: used.at(-1)?.commit.oid }
    const { onMain, changedFrom } = await repository.advance(change)
    await pack.discard()
    expect([onMain.map((c) => c.oid), changedFrom]).toEqual([used.map((m) => m.commit.oid), 3])
    await allThere(repository, used)
    if (commits > 5) expect(pack.path).toBeDefined()
    expect(packs().includes(`pack-${pack.name}.pack`)).toBe(whole)
    for (const junk of extra) expect(await repository.read(objectId(junk))).toBeUndefined()
    await allThere(await reopened(files), [...base, ...used]) // not closed: as after kill -9
    await repository.close()
    expect(git('fsck', '--strict')).toBe('')
    expect(git('count-objects', '-v')).toContain('garbage: 0')
  }), 60_000)

  it('with deltas of git is read, served and merged', () => onDisk(async ({ files, git, dir }) => {
    const other = await Repository.create(files, advance([...base, ...many.slice(0, 200)]), options())
    await other.close()
    git('repack', '-adfq', '--depth=50', '--window=50')
    const [name = ''] = git('ls-packs').trim().split('\n')
    const bytes = execFileSync('cat', [join(dir, name)])
    const storage = memoryFiles()
    const here = await Repository.create(storage.files('d'), advance(base), options({ limits: SMALL }))
    const pack = await received([], storage.files('d'), 'jamikit/in', bytes)
    await here.advance({ commits: many.slice(0, 200).map((m) => m.commit), pack: { received: pack, used: new Set([...pack.entries()].map((e) => e.oid)) }, head: many[199]?.commit.oid })
    await allThere(await reopened(storage.files('d')), [...base, ...many.slice(0, 200)])
    const tree = many[190]?.commit.tree ?? ''
    const copied = await here.packed(tree)
    expect(copied?.size).toBe((await here.read(tree))?.data.length)
  }), 60_000)

  it('what is asked of it and is not in it keeps nothing of the change', async () => {
    const storage = memoryFiles()
    const repository = await Repository.create(storage.files('c'), advance(base), options({ limits: SMALL }))
    for (const count of [2, 60]) {
      const pack = await received(objects.slice(0, count), storage.files('c'))
      const used = new Set([...objects.slice(0, count).map(objectId), 'e'.repeat(40)])
      await expect(repository.advance({ commits: many.slice(0, 1).map((m) => m.commit), pack: { received: pack, used }, head: many[0]?.commit.oid })).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
      expect([repository.head, repository.rows]).toEqual([head, 3])
    }
  })
})
