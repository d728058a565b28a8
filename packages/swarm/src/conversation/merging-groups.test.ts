// Merges of groups: whatever honest people did on two sides, and merged again, the merge is one that every peer takes, and stock git agrees
// but for what is overtaken. docs/protocol/04 §3.6, §4.6, Appendix B.5.
import type { DeviceIdentity } from '@jamikit/core/contracts'
import { ManualClock, testIdentity } from '@jamikit/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withGit } from '../../test/git.ts'
import { encodePack } from '../../test/packs.ts'
import { receivedPack } from '../../test/received.ts'
import { accountPem, devicePem, Story } from '../../test/story.ts'
import { parseCommit } from '../repo/commit.ts'
import { editTree } from '../repo/edit-tree.ts'
import type { Oid } from '../repo/object.ts'
import { flatten } from '../repo/repository.ts'
import { validateHistory } from '../validation/validate-history.ts'
import { mergeTrees } from './merging.ts'

const [alice, bob, carol, dave, erin] = [0, 1, 2, 3, 4].map((i) => testIdentity(i).device) as [DeviceIdentity, DeviceIdentity, DeviceIdentity, DeviceIdentity, DeviceIdentity]
const alice2 = testIdentity(0, 1).device
const bob2 = testIdentity(1, 1).device
const crt = (place: string, of: DeviceIdentity): string => `${place}/${of.accountId}.crt`

const files = (story: Story, commit: Oid) => flatten(async (oid) => story.objects.get(oid), story.treeOf(commit))
const parentsOf = (story: Story, oid: Oid): readonly Oid[] => parseCommit(story.objects.get(oid)?.data ?? new Uint8Array(0)).parents
function below(story: Story, oid: Oid): Set<Oid> {
  const out = new Set<Oid>([oid])
  for (const at of out) for (const parent of parentsOf(story, at)) out.add(parent)
  return out
}

/** Best common ancestors, by walking everything. */
function basesOf(story: Story, a: Oid, b: Oid): Oid[] {
  const others = below(story, b)
  const common = [...below(story, a)].filter((oid) => others.has(oid))
  return common.filter((oid) => !common.some((other) => other !== oid && below(story, other).has(oid)))
}

/** As `author`'s device merges: a fast-forward where there is nothing to merge. */
async function merge(story: Story, author: DeviceIdentity, ours: Oid, theirs: Oid): Promise<Oid> {
  if (below(story, ours).has(theirs)) return ours
  if (below(story, theirs).has(ours)) return theirs
  const side = (head: Oid) => ({ head, tree: story.treeOf(head) })
  const { root, objects } = await mergeTrees({ clock: new ManualClock() }, receivedPack(story.objects), { ours: side(ours), theirs: side(theirs), bases: basesOf(story, ours, theirs).map(side) }, author)
  for (const object of objects) story.keep(object)
  return story.tell({ author, message: `Merge commit '${theirs}'`, parents: [ours, theirs], tree: root })
}

const valid = (story: Story, head: Oid) => validateHistory(story, { conversation: story.id as never, head, pack: receivedPack(story.objects), known: undefined })

async function group(fast = false): Promise<Story> {
  const story = await Story.group(alice)
  if (fast) story.crypto = { ...story.crypto, sign: async () => new Uint8Array(256), verify: async () => true }
  for (const who of [bob, carol]) {
    await story.add(alice, who)
    await story.join(who)
  }
  await story.add(bob, dave)
  return story
}

describe('a merge of two sides', () => {
  /** Both orders have to be valid and hold the same. */
  async function merged(left: (story: Story) => Promise<unknown>, right: (story: Story) => Promise<unknown>): Promise<{ story: Story; paths: Map<string, Oid> }> {
    const story = await group()
    const base = story.head
    await left(story)
    const ours = story.head
    story.head = base
    await right(story)
    const theirs = story.head
    const heads = [await merge(story, alice, ours, theirs), await merge(story, alice, theirs, ours)] as const
    for (const head of heads) await valid(story, head)
    const paths = await files(story, heads[0])
    expect([...(await files(story, heads[1]))].sort()).toEqual([...paths].sort())
    return { story, paths }
  }

  it('with a ban on one side keeps what the banned person wrote and did on the other, and the ban', async () => {
    const { story, paths } = await merged((s) => s.ban(alice, bob), async (s) => {
      await s.tell({ author: bob, edits: { [crt('members', bob)]: `${accountPem(bob)}\n` } })
      await s.add(bob, erin)
      await s.tell({ author: bob2, edits: { [`devices/${bob2.deviceId}.crt`]: devicePem(bob2) } })
    })
    expect([paths.has(crt('members', bob)), paths.has(crt('banned/members', bob)), paths.has(`invited/${erin.accountId}`)]).toEqual([false, true, true])
    await story.tell({ author: bob2 }) // on top of the merge: no more
    await expect(valid(story, story.head)).rejects.toMatchObject({ details: { rule: 'author' } })
  })

  it('with the ban of an invitation on one side and its acceptance on the other lets nobody in', async () => {
    const { paths } = await merged((s) => s.ban(alice, dave, 'invited'), (s) => s.join(dave))
    expect([paths.has(crt('members', dave)), paths.has(`banned/invited/${dave.accountId}`)]).toEqual([false, true])
  })

  it('with the ban of a device on both, and its commits on one', async () => {
    const { paths } = await merged((s) => s.ban(alice, carol, 'devices'), async (s) => {
      await s.tell({ author: carol })
      await s.ban(alice, carol, 'devices')
    })
    expect([paths.has(`devices/${carol.deviceId}.crt`), paths.has(`banned/devices/${carol.deviceId}.crt`)]).toEqual([false, true])
  })

  it('with a ban on one side and only the vote for it on the other has no vote left over', async () => {
    const { paths } = await merged((s) => s.ban(alice, bob), (s) => s.vote(alice, 'ban', bob))
    expect([...paths.keys()].filter((path) => path.startsWith('votes/'))).toEqual([])
  })

  it('with a leave on one side and a renewal on the other lets the person go', async () => {
    const { paths } = await merged((s) => s.leave(bob), (s) => s.tell({ author: bob, edits: { [crt('members', bob)]: `${accountPem(bob)}\n` } }))
    expect(paths.has(crt('members', bob))).toBe(false)
  })

  it('is not made by somebody whom the other side banned, or whose device, or who has not written yet', async () => {
    const story = await group()
    const base = story.head
    const theirs = await story.ban(alice, bob)
    const device = await story.ban(alice, carol, 'devices')
    const text = await story.tell({ author: carol, parents: [base] })
    for (const [who, head] of [[bob, theirs], [carol, device], [bob2, theirs], [dave, theirs]] as const) await expect(merge(story, who, text, head)).rejects.toMatchObject({ code: 'ERR_NOT_MEMBER' })
    const kept = { [crt('members', bob)]: accountPem(bob), [crt('banned/members', bob)]: accountPem(bob) } // a ban beside the file that it took away, as some merge may have left it
    const [left, right] = [await story.tell({ author: alice, parents: [base], edits: kept }), await story.tell({ author: alice2, parents: [base], edits: kept })]
    await expect(merge(story, bob, left, right)).rejects.toMatchObject({ code: 'ERR_NOT_MEMBER' })
    await expect(merge(story, alice, left, right)).resolves.toMatch(/^[0-9a-f]{40}$/)
    await valid(story, await merge(story, carol, text, theirs))
    await valid(story, await merge(story, alice, text, device))
  })

  it('SWM-22 with a profile on each side, the first ever too, has one of them whole', async () => {
    const card = (title: string, photo: string) => ({ author: alice, type: 'application/update-profile', fields: {}, edits: { 'profile.vcf': `BEGIN:VCARD\nFN:${title}\n\n\n\nPHOTO:${photo}\nEND:VCARD` } })
    const { story, paths } = await merged((s) => s.tell(card('a', '1')), (s) => s.tell(card('b', '2')))
    const base = paths.get('profile.vcf')
    const ours = await story.tell(card('c', '1'))
    const theirs = await story.tell({ ...card('a', '3'), parents: parentsOf(story, ours) })
    const head = await merge(story, alice, ours, theirs)
    await valid(story, head)
    const won = (await files(story, head)).get('profile.vcf')
    expect(won).toBe((await files(story, [ours, theirs].sort()[1] ?? '')).get('profile.vcf'))
    expect(won).not.toBe(base)
  })
})

// ---------------------------------------------------------------- anything that honest people may do

const PEOPLE = [bob, carol, dave, erin]
interface Step { branch: 0 | 1; what: number; who: number }
const steps = (minLength: number, maxLength: number) => fc.array(fc.record({ branch: fc.constantFrom<0 | 1>(0, 1), what: fc.nat(11), who: fc.nat(PEOPLE.length - 1) }), { minLength, maxLength })

/** Does it when it may be done; the tree says. */
async function act(story: Story, { what, who }: Step): Promise<void> {
  const at = await files(story, story.head)
  const x = PEOPLE[who] as DeviceIdentity
  const [member, invited] = [at.has(crt('members', x)), at.has(`invited/${x.accountId}`)]
  const banned = (['members', 'invited'] as const).find((kind) => at.has(kind === 'members' ? crt('banned/members', x) : `banned/invited/${x.accountId}`))
  const writes = (device: DeviceIdentity) => (at.has(crt('members', device)) || at.has(crt('admins', device))) && !at.has(`banned/devices/${device.deviceId}.crt`) && (device.accountId !== x.accountId || !banned)
  const ownDevice = (device: DeviceIdentity) => (at.has(`devices/${device.deviceId}.crt`) ? {} : { [`devices/${device.deviceId}.crt`]: devicePem(device) })
  const voted = (action: string, kind: string) => at.has(`votes/${action}/${kind}/${x.accountId}/${alice.accountId}`)
  const place = invited ? 'invited' : 'members'
  if (what === 0 && writes(x)) await story.tell({ author: x, edits: ownDevice(x) })
  else if (what === 1) await story.tell({ author: alice2, edits: ownDevice(alice2) })
  else if (what === 2 && writes(bob2) && !at.has(crt('banned/members', bob2))) await story.tell({ author: bob2, edits: ownDevice(bob2) })
  else if (what === 3 && !member && !invited && !banned) await story.add(alice, x)
  else if (what === 4 && invited && !member && !banned && !at.has(`banned/devices/${x.deviceId}.crt`)) await story.join(x)
  else if (what === 5 && member && writes(x) && at.has(`devices/${x.deviceId}.crt`)) await story.leave(x)
  else if (what === 6 && member && !banned && !voted('ban', 'members')) await story.vote(alice, 'ban', x)
  else if (what === 7 && (member || invited) && !banned) {
    if (!voted('ban', place)) await story.vote(alice, 'ban', x, place)
    await story.resolve(alice, 'ban', x, place)
  } else if (what === 8 && banned && !member && !invited) {
    if (!voted('unban', banned)) await story.vote(alice, 'unban', x, banned)
    await story.resolve(alice, 'unban', x, banned)
  } else if (what === 9) await story.tell({ author: alice, type: 'application/update-profile', fields: {}, edits: { 'profile.vcf': `${story.head}` } })
  else if (what === 10 && at.has(`devices/${x.deviceId}.crt`) && !at.has(`banned/devices/${x.deviceId}.crt`)) await story.ban(alice, x, 'devices')
}

async function told(all: readonly Step[]): Promise<{ story: Story; heads: [Oid, Oid] }> {
  const story = await group(true)
  const heads: [Oid, Oid] = [story.head, story.head]
  for (const step of all) {
    story.head = heads[step.branch]
    heads[step.branch] = step.what === 11 ? await merge(story, alice, heads[step.branch], heads[1 - step.branch as 0 | 1]) : await act(story, step).then(() => story.head)
  }
  return { story, heads }
}

describe('whatever is done on two sides', () => {
  it('SWM-21 SWM-10 merges are taken by every peer, in either direction and one upon the other, and nobody who is banned is anywhere else', async () => {
    let merges = 0
    await fc.assert(fc.asyncProperty(steps(10, 30), async (all) => {
      const { story, heads } = await told(all)
      const head = await merge(story, alice, heads[0], heads[1])
      const { commits } = await valid(story, head)
      merges += commits.filter(({ parents }) => parents.length === 2).length
      const at = await files(story, head)
      for (const path of at.keys()) {
        if (path.startsWith('banned/members/')) expect(at.has(path.replace('banned/', ''))).toBe(false)
        if (path.startsWith('banned/invited/')) expect(at.has(`members/${path.slice('banned/invited/'.length)}.crt`)).toBe(false)
        if (path.startsWith('banned/devices/')) expect(at.has(path.replace('banned/', ''))).toBe(false)
      }
    }), { numRuns: 150 })
    expect(merges).toBeGreaterThan(150)
  }, 60_000)

  it('stock git merges the same, but for conflicts and for what is overtaken', async () => {
    let same = 0
    await withGit(async (git) => {
      git.run(['config', 'merge.renames', 'false'])
      git.run(['config', 'merge.directoryRenames', 'false'])
      await fc.assert(fc.asyncProperty(steps(4, 12), async (all) => {
        const { story, heads } = await told(all.filter(({ what }) => what !== 11)) // one base: git makes virtual ones in another way
        const [ours, theirs] = heads
        if (below(story, ours).has(theirs) || below(story, theirs).has(ours)) return
        git.run(['unpack-objects', '-q'], encodePack([...story.objects.values()]))
        let tree: string
        try {
          tree = git.run(['merge-tree', '--write-tree', '--no-messages', ours, theirs]).toString().trim()
        } catch {
          return // a conflict; what we choose then the other tests say
        }
        const mine = await files(story, await merge(story, alice, ours, theirs))
        const its = new Map(git.run(['ls-tree', '-r', tree]).toString().trim().split('\n').map((line) => [line.slice(line.indexOf('\t') + 1), line.split(/\s/)[2]]))
        for (const [path, oid] of mine) expect(its.get(path)).toBe(oid)
        for (const path of its.keys()) if (!mine.has(path)) expect(path).toMatch(/^(votes|members|invited|devices)\//)
        if (its.size === mine.size) same++
        const at = await files(story, ours) // its own merge, when it is another one, is taken all the same
        const edits = new Map([...new Set([...at.keys(), ...its.keys()])].filter((path) => at.get(path) !== its.get(path)).map((path) => [path, its.get(path)]))
        const made = await editTree({ read: async (oid) => story.objects.get(oid) }, story.treeOf(ours), edits)
        for (const object of made.objects) story.keep(object)
        await valid(story, await story.tell({ author: alice, message: 'Merge', parents: [ours, theirs], tree: made.root }))
      }), { numRuns: 25 })
    })
    expect(same).toBeGreaterThan(5)
  }, 120_000)
})
