// One history on storage: order and merge bases against plain definitions, damage, and a crash at every single write.
// docs/protocol/04 §1, §4.10.
import { JamiError } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { ConversationId } from '@jamikit/core/contracts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alice, all, bob, cloneFor, crypto, exchange, person } from '../../test/harness.ts'
import { memoryFiles } from '../../test/memory.ts'
import { Conversation } from '../conversation/conversation.ts'
import { type Commit, parseCommit, signedCommit, unsignedCommit } from './commit.ts'
import { type GitObject, objectId, type Oid } from './object.ts'
import { buildTrees, flatten, Repository } from './repository.ts'

/** A history of given shape: each commit has earlier ones as parents. */
async function history(shape: readonly { parents: readonly number[]; timeS: number }[]): Promise<{ repository: Repository; ids: Oid[] }> {
  const { root, objects } = buildTrees(new Map())
  const made: { oid: Oid; object: GitObject; commit: Commit }[] = []
  for (const [i, { parents, timeS }] of shape.entries()) {
    const unsigned = unsignedCommit({ tree: root, parents: parents.map((p) => made[p]?.oid ?? ''), name: 'x', device: alice.deviceId, timeS, message: `{"n":${i}}` })
    const data = signedCommit(unsigned, new Uint8Array(4))
    made.push({ oid: objectId({ type: 'commit', data }), object: { type: 'commit', data }, commit: parseCommit(data) })
  }
  const [first, ...others] = made
  if (!first) throw new Error('unreachable')
  const repository = await Repository.create(memoryFiles().files('r'), first.oid, [first.object, ...objects])
  await repository.advance(made.at(-1)?.oid ?? '', others.map((m) => m.object), new Map(others.map((m) => [m.oid, m.commit])))
  return { repository, ids: made.map((m) => m.oid) }
}

/** Random connected histories: every commit but the first has one or two earlier parents. */
const shapes = fc.array(fc.record({ a: fc.nat(), b: fc.option(fc.nat(), { nil: undefined }), timeS: fc.integer({ min: 1, max: 5 }) }), { minLength: 1, maxLength: 12 }).map((steps) => [
  { parents: [], timeS: 1 },
  ...steps.map(({ a, b, timeS }, i) => ({ parents: [...new Set([a % (i + 1), ...(b === undefined ? [] : [b % (i + 1)])])], timeS })),
])

describe('order', () => {
  it('shows children before parents, and of what may come next the latest, then the greater id', async () => {
    await fc.assert(fc.asyncProperty(shapes, async (shape) => {
      const { repository, ids } = await history(shape)
      const known = repository.reachable([repository.head])
      const order = repository.linear(known)
      expect([...order].sort()).toEqual([...known].sort())
      const left = new Set(known)
      for (const oid of order) {
        const may = [...left].filter((c) => ![...left].some((other) => repository.commit(other)?.parents.includes(c)))
        may.sort((x, y) => (repository.commit(x)?.committerTimeS ?? 0) - (repository.commit(y)?.committerTimeS ?? 0) || (x < y ? -1 : 1))
        expect(oid).toBe(may.at(-1))
        left.delete(oid)
      }
      expect(ids.length).toBe(shape.length)
    }), { numRuns: 300 })
  })

  it('merge bases are the common ancestors that no other common ancestor builds on', async () => {
    await fc.assert(fc.asyncProperty(shapes, fc.nat(), fc.nat(), async (shape, x, y) => {
      const { repository, ids } = await history(shape)
      const [a, b] = [ids[x % ids.length] ?? '', ids[y % ids.length] ?? '']
      const common = [...repository.reachable([a])].filter((oid) => repository.reachable([b]).has(oid))
      const best = common.filter((oid) => !common.some((other) => other !== oid && repository.isAncestor(oid, other)))
      expect(repository.mergeBases(a, b).sort()).toEqual(best.sort())
    }), { numRuns: 300 })
  })

  it('what we tell a peer begins with the head and is bounded', async () => {
    const { repository } = await history(Array.from({ length: 30 }, (_, i) => ({ parents: i === 0 ? [] : [i - 1], timeS: i })))
    expect([repository.recent(19)[0], repository.recent(19).length]).toEqual([repository.head, 19])
  })
})

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

describe('damage on disk', () => {
  it.each<[string, (files: Map<string, Uint8Array>) => void]>([
    ['a ref that is no id', (files) => { for (const key of files.keys()) if (key.endsWith('refs/heads/main')) files.set(key, utf8('junk\n')) }],
    ['a ref to nothing', (files) => { for (const key of files.keys()) if (key.endsWith('refs/heads/main')) files.set(key, utf8(`${'0'.repeat(40)}\n`)) }],
    ['a commit that is gone', (files) => { for (const key of [...files.keys()]) if (key.includes('/objects/')) files.delete(key) }],
    ['objects that were overwritten', (files) => { for (const key of files.keys()) if (key.includes('/objects/')) files.set(key, utf8('x')) }],
  ])('%s is told as ERR_STORAGE_CORRUPT', async (_what, damage) => {
    const shared = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
    const env = person(alice, memoryFiles(shared))
    const made = await Conversation.create(env, env('' as ConversationId), bob.accountId)
    damage(shared.files)
    await expect(Conversation.open(person(alice, memoryFiles(shared))(made.id), made.id)).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
  })
})

describe('a crash at any single write', () => {
  /** Runs a step again and again, each time cut off one write later, and judges what is left; until the step is not cut off any more. */
  async function everyCut(step: (c: Conversation, theirs: Conversation) => Promise<unknown>, judge: (c: Conversation, theirs: Conversation, done: boolean) => Promise<void>): Promise<number> {
    for (let cut = 0; ; cut++) {
      const disk = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
      const storage = memoryFiles(disk)
      const env = person(alice, storage)
      const ours = await Conversation.create(env, env('' as ConversationId), bob.accountId)
      const theirs = await cloneFor(bob, ours)
      await theirs.join()
      await exchange(theirs, ours)
      await ours.append({ type: 'text/plain', fields: { body: 'ours' } }, 'key 1')
      await theirs.append({ type: 'text/plain', fields: { body: 'theirs' } }, undefined)
      let left = cut
      storage.onWrite = () => {
        if (left-- <= 0) throw new JamiError('ERR_STORAGE_IO', 'crash')
      }
      const done = await step(ours, theirs).then(() => true, () => false)
      const again = await Conversation.open(person(alice, memoryFiles(disk))(ours.id), ours.id)
      if (!again) throw new Error('the conversation is gone')
      for (const oid of again.repository.reachable([again.head])) await again.repository.paths((again.repository.commit(oid) as Commit).tree)
      await judge(again, theirs, done)
      if (done) return cut
    }
  }

  const texts = async (c: Conversation) => {
    const out: string[] = []
    for await (const entry of c.history({ order: 'oldest' })) if (entry.type === 'text/plain') out.push(entry.fields.body ?? '')
    return out.sort()
  }

  it('of a message: it is there or not; sent again with its key, it is there once', async () => {
    const body = { type: 'text/plain', fields: { body: 'new' } }
    const cuts = await everyCut((c) => c.append(body, 'key 2'), async (again) => {
      const { id } = await again.append(body, 'key 2')
      expect((await again.append(body, 'key 2')).id).toBe(id)
      expect(await texts(again)).toEqual(['new', 'ours'])
      expect((await again.append({ type: 'text/plain', fields: { body: 'ours' } }, 'key 1')).change).toBeUndefined()
    })
    expect(cuts).toBeGreaterThan(2)
  })

  it('of a fetch that merges: everything or nothing, and the next fetch brings it', async () => {
    const cuts = await everyCut(async (c, theirs) => c.receive(theirs.head, await all(theirs)), async (again, theirs) => {
      await again.receive(theirs.head, await all(theirs))
      expect(await texts(again)).toEqual(['ours', 'theirs'])
      await exchange(again, theirs)
      expect(theirs.head).toBe(again.head)
    })
    expect(cuts).toBeGreaterThan(2)
  })

  it('of an acknowledgement: the message comes again or not, never is another one lost', async () => {
    await everyCut(
      async (c, theirs) => {
        await c.receive(theirs.head, await all(theirs))
        for await (const entry of c.unacknowledged()) await c.acknowledge(entry.id)
      },
      async (again, theirs, done) => {
        await again.receive(theirs.head, await all(theirs))
        const waiting: string[] = []
        for await (const entry of again.unacknowledged()) if (entry.type === 'text/plain') waiting.push(entry.fields.body ?? '')
        if (done) expect(waiting).toEqual([])
        else expect(['theirs', '']).toContain(waiting.join())
      },
    )
  })
})

it('signatures of the harness are real: a commit of Alice does not verify with the key of Bob', async () => {
  const env = person(alice)
  const made = await Conversation.create(env, env('' as ConversationId), bob.accountId)
  const object = await made.repository.read(made.id)
  const commit = parseCommit(object?.data ?? new Uint8Array(0))
  expect([await crypto.verify(alice.chain[0].publicKey, commit.signed, commit.signature), await crypto.verify(bob.chain[0].publicKey, commit.signed, commit.signature)]).toEqual([true, false])
})
