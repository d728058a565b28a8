// A crash at every single write of appending, adopting, sealing, packing, merging and checkpointing; and each write failing once while
// life goes on. docs/protocol/04 §1.1.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { JamiError } from '@jamikit/core/base'
import { concatBytes, utf8 } from '@jamikit/core/codec'
import type { FileTree } from '@jamikit/core/contracts'
import { sha512 } from '@jamikit/core/crypto'
import { failingStorage, testStorage } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { encodePack } from '../../test/packs.ts'
import { advance, type Made, make, options, received, unique } from '../../test/repositories.ts'
import { type GitObject, objectId } from './object.ts'
import { Repository } from './repository.ts'
import type { Advance } from './types.ts'

const LIMITS = { adoptBytes: 1 << 20, adoptObjects: 6, manyRows: 5, sealBytes: 1 << 20, sealObjects: 4 }

interface Step {
  readonly made: readonly Made[]
  readonly how: 'objects' | 'pack' | 'part of a pack'
  readonly waits?: boolean
}

/** Messages one by one with a seal now and then, packs whole and in part, a fork that waits and its merge, until packs are merged. */
function script(): Step[] {
  const steps: Step[] = []
  let n = 0
  let head: Made | undefined
  const next = (): Made => {
    head = make(n, head ? [head.commit.oid] : [])
    n++
    return head
  }
  const messages = (count: number) => {
    for (let i = 0; i < count; i++) steps.push({ made: [next()], how: 'objects' })
  }
  messages(9)
  steps.push({ made: Array.from({ length: 8 }, next), how: 'pack' })
  const base = head as Made
  const fork = make(n, [base.commit.oid], 1_700_000_000 + n, ' elsewhere')
  messages(3)
  steps.push({ made: [fork], how: 'objects', waits: true })
  head = make(n++, [(head as Made).commit.oid, fork.commit.oid])
  steps.push({ made: [head], how: 'objects' })
  steps.push({ made: Array.from({ length: 7 }, next), how: 'part of a pack' })
  messages(16)
  return steps
}

const STEPS = script()
const JUNK: GitObject = { type: 'blob', data: new TextEncoder().encode('junk') }
/** Larger than what a spool holds in memory, so that a scratch file is adopted. */
const BULK: GitObject = { type: 'blob', data: concatBytes(...Array.from({ length: 4200 }, (_, i) => sha512(utf8(`${i}`)))) }
const headOf = ({ made, waits }: Step) => (waits ? undefined : made.at(-1)?.commit.oid)

async function change(step: Step, files: FileTree): Promise<Advance> {
  if (step.how === 'objects') return { ...advance(step.made), head: headOf(step) }
  const { objects, bytes } = packOf(step)
  const pack = await received([], files, 'jamikit/incoming-1', bytes)
  return { commits: step.made.map((m) => m.commit), head: headOf(step), pack: { received: pack, used: new Set(objects.map(objectId)) } }
}

const packs = new Map<Step, { objects: GitObject[]; bytes: Uint8Array }>() // made once
function packOf(step: Step): { objects: GitObject[]; bytes: Uint8Array } {
  const known = packs.get(step)
  if (known) return known
  const objects = unique([...step.made.flatMap((m) => m.objects), BULK])
  const made = { objects, bytes: encodePack(step.how === 'pack' ? objects : [...objects, JUNK]) }
  packs.set(step, made)
  return made
}

const limits = () => options({ limits: LIMITS })

const order = (repository: Repository) => Array.from({ length: repository.length }, (_, position) => repository.at(position).oid)

/** What was acknowledged is there and can be read, nothing else is on main but perhaps what was under way. */
async function judge(repository: Repository, done: number): Promise<void> {
  const heads = STEPS.slice(0, done).map(headOf).filter((oid) => oid !== undefined)
  expect([heads.at(-1), headOf(STEPS[done] ?? STEPS[0] as Step)]).toContain(repository.head)
  const faults: string[] = []
  for (const { made, waits } of STEPS.slice(0, done)) {
    for (const { commit, objects } of made) {
      const info = repository.info(commit.oid)
      if (info?.tree !== commit.tree || info.timeS !== commit.timeS) faults.push(`commit ${commit.oid}`)
      else if (!waits && repository.at(info.position).oid !== commit.oid) faults.push(`place of ${commit.oid}`)
      for (const object of objects) if (Buffer.compare((await repository.read(objectId(object)))?.data ?? Buffer.alloc(0), object.data) !== 0) faults.push(`object ${objectId(object)}`)
    }
  }
  expect(faults).toEqual([])
}

function fsck(files: ReadonlyMap<string, Uint8Array>): void {
  const dir = mkdtempSync(join(tmpdir(), 'swarm-crash-'))
  try {
    for (const [path, bytes] of files) {
      mkdirSync(join(dir, dirname(path)), { recursive: true })
      writeFileSync(join(dir, path), bytes)
    }
    const { stdout, stderr, status } = spawnSync('git', ['fsck', '--strict'], { cwd: join(dir, 'c'), encoding: 'utf8' })
    const said = `${stdout}${stderr}${status === 0 ? '' : `exit ${status}`}`
    expect(said.split('\n').filter((line) => line !== '' && !line.startsWith('dangling'))).toEqual([])
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

describe('a crash', () => {
  it('at any write: everything acknowledged is there, git finds no fault, and what was under way can be done again', async () => {
    const kinds = new Set<string>()
    for (let at = 1; ; at++) {
      const inner = testStorage()
      const storage = failingStorage(inner, { from: at })
      const files = storage.files('c')
      let done = 0
      try {
        let repository: Repository | undefined
        for (const step of STEPS) {
          const next = await change(step, files)
          if (repository) await repository.advance(next)
          else repository = await Repository.create(files, next as Advance & { head: string }, limits())
          await next.pack?.received.discard()
          done++
          await repository.settled()
        }
        await repository?.close()
      } catch (error) {
        if (!JamiError.is(error, 'ERR_STORAGE_IO')) throw error
      }
      for (const { kind, names } of storage.failed.slice(0, 1)) kinds.add(`${kind} ${names[0]?.replace(/[0-9a-f]{40}/, 'X')}`)
      const again = inner.files('c')
      const more = limits()
      let repository = await Repository.open(again, more)
      expect(more.problems).toEqual([])
      if (!repository) {
        expect(done).toBe(0)
        repository = await Repository.create(again, advance(STEPS[0]?.made ?? []), limits())
      }
      await judge(repository, done)
      for (const step of STEPS.slice(done)) {
        const next = await change(step, again)
        await repository.advance(next)
        await next.pack?.received.discard()
      }
      await repository.close()
      if (at % 5 === 0 || storage.failed.length === 0) fsck(inner.contents.files)
      const last = await Repository.open(again, more)
      if (!last) throw new Error('the history is gone')
      await judge(last, STEPS.length)
      expect([more.problems, last.head]).toEqual([[], headOf(STEPS.at(-1) as Step)])
      if (storage.failed.length === 0) break
    }
    // all that is written was cut off once
    expect([...kinds].sort()).toEqual([
      'append c/jamikit/graph', 'append c/jamikit/incoming-1', 'append c/jamikit/journal', 'append c/jamikit/merged.pack', 'append c/jamikit/new.pack', 'flush c/jamikit/incoming-1',
      'remove c/jamikit/graph', 'remove c/jamikit/incoming-1', 'remove c/jamikit/index', 'remove c/jamikit/merged.pack', 'remove c/jamikit/new.pack', 'remove c/objects/pack/pack-X.idx', 'remove c/objects/pack/pack-X.pack',
      'rename c/objects/pack/pack-X.pack', 'write c/HEAD', 'write c/config', 'write c/jamikit/journal', 'write c/objects/pack/pack-X.idx', 'write c/refs/heads/main',
    ])
  }, 300_000)
})

describe('a write that fails once', () => {
  it.each([false, true])('rejects the change or is told, leaves memory as the disk, and the next change works (it happened all the same: %s)', async (applied) => {
    for (let at = 1; ; at++) {
      const inner = testStorage()
      const storage = failingStorage(inner, {})
      const files = storage.files('c')
      const told = limits()
      const repository = await Repository.create(files, (await change(STEPS[0] as Step, files)) as Advance & { head: string }, told)
      storage.plan = { at, applied }
      let rejected = 0
      for (const [n, step] of STEPS.entries()) {
        if (n === 0) continue
        const before = [repository.head, repository.length, repository.rows]
        const attempt = async () => {
          const next = await change(step, files)
          await repository.advance(next)
          await next.pack?.received.discard()
        }
        await attempt().catch(async (error: unknown) => {
          if (!JamiError.is(error, 'ERR_STORAGE_IO')) throw error
          rejected++
          const discarded = headOf(step) === repository.head // only the scratch file could not be taken away
          if (!discarded) expect([repository.head, repository.length, repository.rows]).toEqual(before)
          if (n % 4 === 0) await judge((await Repository.open(inner.files('c'), limits())) as Repository, discarded ? n + 1 : n)
          if (!discarded) await attempt()
        })
        await repository.settled()
      }
      await repository.close()
      // a journal that was replaced all the same needs no telling: it is written again before anything is added to it
      if (storage.failed.length > 0 && !(applied && storage.failed[0]?.names[0] === 'c/jamikit/journal')) expect(rejected + told.problems.length).toBeGreaterThan(0)
      const more = limits()
      const again = (await Repository.open(inner.files('c'), more)) as Repository
      await judge(again, STEPS.length)
      expect([more.problems, again.head, again.rows, order(again)]).toEqual([[], repository.head, repository.rows, order(repository)])
      if (storage.failed.length === 0) break
    }
  }, 300_000)
})

/** A storage of which single writes do what a test says. */
function hooked(files: FileTree, hooks: Partial<FileTree>): FileTree {
  return { ...files, ...hooks }
}

describe('a write that happened and was not acknowledged', () => {
  const full = () => new JamiError('ERR_STORAGE_IO', 'as planned')
  const pack = STEPS.findIndex((step) => step.how === 'pack')

  it('and cannot be taken back leaves nothing that speaks of objects that are gone', async () => {
    const inner = testStorage().files('c')
    let armed = false
    const files = hooked(inner, {
      append: async (path, bytes, how) => {
        const size = await inner.append(path, bytes, how)
        if (armed && path === 'jamikit/journal') throw full()
        return size
      },
      truncate: async (path, size) => {
        if (armed && path === 'jamikit/journal') throw full()
        await inner.truncate(path, size)
      },
    })
    const repository = await Repository.create(files, (await change(STEPS[0] as Step, files)) as Advance & { head: string }, limits())
    for (const step of STEPS.slice(1, pack)) await repository.advance(await change(step, files))
    const next = await change(STEPS[pack] as Step, files)
    armed = true
    await expect(repository.advance(next)).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    await judge((await Repository.open(inner, limits())) as Repository, pack + 1) // a crash now: the change was made after all
    armed = false
    await repository.advance(await change(STEPS[pack] as Step, files)) // no crash: it comes again
    await judge((await Repository.open(inner, limits())) as Repository, pack + 1)
  })

  it('of a new journal is made sure of before anything is added to it', async () => {
    const inner = testStorage().files('c')
    const writes: string[] = []
    let armed = false
    const files = hooked(inner, {
      write: async (path, bytes, how) => {
        await inner.write(path, bytes, how)
        writes.push(path)
        if (armed && path === 'jamikit/journal') throw full()
      },
      append: async (path, bytes, how) => {
        if (path === 'jamikit/journal') writes.push('added')
        return inner.append(path, bytes, how)
      },
    })
    const repository = await Repository.create(files, (await change(STEPS[0] as Step, files)) as Advance & { head: string }, limits())
    armed = true
    writes.length = 0
    let n = 1
    while (!writes.includes('jamikit/journal')) await repository.advance(await change(STEPS[n++] as Step, files))
    writes.length = 0
    await expect(repository.advance(await change(STEPS[n] as Step, files))).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    expect(writes).toEqual(['jamikit/journal'])
    armed = false
    await repository.advance(await change(STEPS[n] as Step, files))
    expect(writes.slice(0, 3)).toEqual(['jamikit/journal', 'jamikit/journal', 'added'])
    await judge((await Repository.open(inner, limits())) as Repository, n + 1)
  })
})
