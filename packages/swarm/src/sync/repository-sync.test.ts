// Real histories that fetch from each other: what one writes the other has, pack by pack, also after merges and over the real file tree. docs/protocol/04 §4.3, §4.5.
import type { FileTree } from '@jamikit/core/contracts'
import { testStorage } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { alice, clock } from '../../test/people.ts'
import { reachableObjects } from '../../test/packs.ts'
import { advance, chain, make, options } from '../../test/repositories.ts'
import { channel, conversation, never, servesOn } from '../../test/serving.ts'
import { objectId, type Oid } from '../repo/object.ts'
import { Repository } from '../repo/repository.ts'
import type { NewCommit } from '../repo/types.ts'
import { fetchFrom } from './fetch.ts'
import { GitStream } from './git-stream.ts'

/** Fetches, keeps everything that came, and says how many objects that were. */
async function pull(from: Repository, to: Repository | undefined, files: FileTree, commits: ReadonlyMap<Oid, NewCommit>): Promise<{ repository: Repository; objects: number }> {
  const [a, b] = channel()
  const { serving } = servesOn(a, from)
  const { head, pack } = await fetchFrom(new GitStream(b, clock), {
    conversation, server: alice.deviceId, haves: to ? [to.head] : [], has: (oid) => to?.has(oid) ?? false, scratch: { files, path: 'jamikit/incoming-1' }, signal: never,
  })
  await b.close()
  await serving
  if (!pack) return { repository: to as Repository, objects: 0 }
  const entries = [...pack.entries()]
  const order = [...commits.keys()]
  const fresh = entries.filter((e) => e.type === 'commit').map((e) => e.oid).sort((x, y) => order.indexOf(x) - order.indexOf(y)).map((oid) => commits.get(oid) as NewCommit)
  const change = { commits: fresh, pack: { received: pack, used: new Set(entries.map((e) => e.oid)) }, head }
  const repository = to ?? (await Repository.create(files, change, options()))
  if (to) await to.advance(change)
  await pack.discard()
  return { repository, objects: entries.length }
}

describe('histories that fetch from each other', () => {
  it('a clone, what is new, nothing, and both sides of a merge', async () => {
    const [ours, theirs] = [testStorage().files('a'), testStorage().files('b')]
    const made = chain(45)
    const commits = new Map(made.map((m) => [m.commit.oid as Oid, m.commit]))
    const one = await Repository.create(ours, advance(made.slice(0, 30)), options())
    const { repository: two, objects } = await pull(one, undefined, theirs, commits)
    expect(objects).toBe(30 + 3 + 3 * 2) // commits, certificates, and for each of those two trees
    expect([two.head, two.length]).toEqual([one.head, 30])
    await one.advance(advance(made.slice(30)))
    expect((await pull(one, two, theirs, commits)).objects).toBe(15 + 2 + 2 * 2)
    expect((await pull(one, two, theirs, commits)).objects).toBe(0)
    // both write, one merges
    const tip = one.head
    const [left, right] = [make(45, [tip], 1_700_001_000, 'left'), make(45, [tip], 1_700_001_001, 'right')]
    const merge = make(46, [left.commit.oid, right.commit.oid], 1_700_001_002)
    for (const m of [left, right, merge]) commits.set(m.commit.oid, m.commit)
    await one.advance(advance([left]))
    await two.advance(advance([right, left], right.commit.oid))
    await two.advance(advance([merge]))
    expect((await pull(two, one, ours, commits)).objects).toBe(2)
    expect([one.head, one.length]).toEqual([two.head, 48])
    const whole = (await reachableObjects(two, two.head)).map(objectId).sort()
    expect((await reachableObjects(one, one.head)).map(objectId).sort()).toEqual(whole)
    await one.close()
    await two.close()
  })
})
