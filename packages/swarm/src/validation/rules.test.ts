// What each type of commit may change, as a table of its own beside the code: every type × author × file × way of changing it. What the
// table does not allow is refused, with the type and the file in the reason. docs/protocol/04 §3.5, traps S1, S3, S4.
import { JamiError } from '@jamikit/core/base'
import type { DeviceIdentity } from '@jamikit/core/contracts'
import { testIdentity } from '@jamikit/core/testing'
import { beforeAll, describe, expect, it } from 'vitest'
import { receivedPack } from '../../test/received.ts'
import { accountPem, devicePem, Story } from '../../test/story.ts'
import { validateHistory } from './validate-history.ts'

const alice = testIdentity(0).device // creator, admin
const bob = testIdentity(1).device // member
const carol = testIdentity(2).device // nobody

type Way = 'added' | 'removed' | 'replaced'
interface File {
  path: (author: DeviceIdentity, other: DeviceIdentity) => string
  /** What is put there: good for its place, and junk. */
  good: (author: DeviceIdentity, other: DeviceIdentity) => string
}

const FILES: Record<string, File> = {
  'own device': { path: (a) => `devices/${a.deviceId}.crt`, good: devicePem },
  "the other's device": { path: (_, b) => `devices/${b.deviceId}.crt`, good: (_, b) => devicePem(b) },
  "a stranger's device": { path: () => `devices/${carol.deviceId}.crt`, good: () => devicePem(carol) },
  'own admin file': { path: (a) => `admins/${a.accountId}.crt`, good: accountPem },
  'own member file': { path: (a) => `members/${a.accountId}.crt`, good: accountPem },
  "the other's admin file": { path: (_, b) => `admins/${b.accountId}.crt`, good: (_, b) => accountPem(b) },
  "the other's member file": { path: (_, b) => `members/${b.accountId}.crt`, good: (_, b) => accountPem(b) },
  "a stranger's member file": { path: () => `members/${carol.accountId}.crt`, good: () => accountPem(carol) },
  'own invitation': { path: (a) => `invited/${a.accountId}`, good: () => '' },
  "the other's invitation": { path: (_, b) => `invited/${b.accountId}`, good: () => '' },
  "a stranger's invitation": { path: () => `invited/${carol.accountId}`, good: () => '' },
  'the profile': { path: () => 'profile.vcf', good: () => 'BEGIN:VCARD\nEND:VCARD' },
  'a file at the top': { path: () => 'notes.txt', good: () => 'x' },
  'a revocation list': { path: (a) => `CRLs/${a.accountId}`, good: () => 'x' },
  'a ban': { path: (_, b) => `banned/members/${b.accountId}.crt`, good: (_, b) => accountPem(b) },
  'a vote': { path: (a, b) => `votes/ban/members/${b.accountId}/${a.accountId}`, good: () => '' },
  'an attachment': { path: () => 'attachments/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391', good: () => '' },
  'a file below a device': { path: (a) => `devices/${a.deviceId}/x`, good: () => 'x' },
}

const TYPES: Record<string, (author: DeviceIdentity, other: DeviceIdentity, own: string) => { type: string; fields: Record<string, string> }> = {
  message: () => ({ type: 'text/plain', fields: { body: 'x' } }),
  edit: (_a, _b, own) => ({ type: 'text/plain', fields: { body: 'x', edit: own } }),
  'old edit': (_a, _b, own) => ({ type: 'application/edited-message', fields: { body: 'x', edit: own } }),
  'unknown type': () => ({ type: 'application/x-new+json', fields: {} }),
  call: () => ({ type: 'application/call-history+json', fields: { to: alice.accountId, duration: '1' } }),
  profile: () => ({ type: 'application/update-profile', fields: {} }),
  'add the other': (_a, b) => ({ type: 'member', fields: { action: 'add', uri: b.accountId } }),
  'add a stranger': () => ({ type: 'member', fields: { action: 'add', uri: carol.accountId } }),
  'add oneself': (a) => ({ type: 'member', fields: { action: 'add', uri: a.accountId } }),
  join: (a) => ({ type: 'member', fields: { action: 'join', uri: a.accountId } }),
  leave: (a) => ({ type: 'member', fields: { action: 'remove', uri: a.accountId } }),
  'remove the other': (_a, b) => ({ type: 'member', fields: { action: 'remove', uri: b.accountId } }),
  ban: (_a, b) => ({ type: 'member', fields: { action: 'ban', uri: b.accountId } }),
  vote: (_a, b) => ({ type: 'vote', fields: { uri: b.accountId } }),
  checkpoint: () => ({ type: 'application/checkpoint', fields: { body: '' } }),
}

const ORDINARY = ['own device replaced good', 'own account replaced good']
/** Everything that may be: changes of one file by each type. `own account` is the file of the place that the author has. */
const ALLOWED: Record<string, readonly string[]> = {
  message: ORDINARY, edit: ORDINARY, 'old edit': ORDINARY, 'unknown type': ORDINARY, call: ORDINARY,
  profile: ['own device replaced good', 'the profile added good', 'the profile added junk', 'the profile replaced good', 'the profile replaced junk', 'the profile removed'],
  'add the other': ["the other's invitation added good"],
  leave: ['own device removed', 'own account removed', 'own invitation removed'],
  join: [], 'add a stranger': [], 'add oneself': [], 'remove the other': [], ban: [], vote: [], checkpoint: [],
}
/** Types that may also change nothing. */
const EMPTY = new Set(['message', 'edit', 'old edit', 'unknown type', 'call', 'profile', 'leave'])

let story: Story
const texts = new Map<DeviceIdentity, string>()
beforeAll(async () => {
  story = await Story.oneToOne(alice, bob)
  await story.join(bob)
  for (const who of [alice, bob]) texts.set(who, await story.tell({ author: who }))
})

async function verdict(author: DeviceIdentity, body: { type: string; fields: Record<string, string> }, edits: Record<string, string | undefined>, base = story.head): Promise<string> {
  const before = story.head
  const head = await story.tell({ author, ...body, edits, parents: [base] })
  story.head = before
  try {
    await validateHistory(story, { conversation: story.id as never, head, pack: receivedPack(story.objects), known: undefined })
    return 'accepted'
  } catch (error) {
    if (!JamiError.is(error, 'ERR_REPO_INVALID')) throw error
    expect(error.details.commit).toBe(head)
    return `refused: ${error.message}`
  }
}

/** A commit in which everything that can be removed or replaced is there: put there by hand, it is only built on, never validated itself. */
async function full(author: DeviceIdentity, file: string, path: string): Promise<{ tree: string }> {
  const before = story.head
  const oid = await story.tell({ author, parents: [before], edits: { [path]: FILES[file]?.good(author, author === alice ? bob : alice) } })
  story.head = before
  return { tree: story.treeOf(oid) }
}

describe.each([['the admin', alice, bob], ['a member', bob, alice]] as const)('SWM-10 SWM-S3 %s', (role, author, other) => {
  for (const [type, body] of Object.entries(TYPES)) {
    it(`SWM-12 ${type} changes what the table allows and nothing else`, async () => {
      const allowed = ALLOWED[type] ?? []
      const mayChangeNothing = EMPTY.has(type) && !(type === 'profile' && role === 'a member')
      expect(await verdict(author, body(author, other, texts.get(author) ?? ''), {})).toMatch(mayChangeNothing ? /^accepted$/ : /^refused/)
      for (const [name, file] of Object.entries(FILES)) {
        const path = file.path(author, other)
        const [own] = [role === 'the admin' ? 'own admin file' : 'own member file']
        const label = name === own ? 'own account' : name
        const there = await hasFile(path)
        const ways: [Way, string | undefined, string][] = there
          ? [['removed', undefined, ''], ['replaced', `${file.good(author, other)}\n`, ' good'], ['replaced', 'junk', ' junk']]
          : [['added', file.good(author, other), ' good'], ['added', 'junk', ' junk']]
        for (const [way, content, quality] of ways) {
          const got = await verdict(author, body(author, other, texts.get(author) ?? ''), { [path]: content })
          const good = allowed.includes(`${label} ${way}${quality}`) && !(type === 'profile' && role === 'a member')
          expect(`${type}: ${label} ${way}${quality}: ${got.replace(/: .*/s, '')}`).toBe(`${type}: ${label} ${way}${quality}: ${good ? 'accepted' : 'refused'}`)
        }
      }
    }, 60_000)
  }
})

async function hasFile(path: string): Promise<boolean> {
  const { Trees, Budget } = await import('./trees.ts')
  const { Slices } = await import('@jamikit/core/base')
  const pack = receivedPack(story.objects)
  return (await new Trees(pack, new Slices(story.clock, 1000), new Budget('x', 1000)).file(story.treeOf(story.head), path, new Budget('x', 1000))) !== undefined
}

describe('SWM-S4 a leave that does more', () => {
  it('makes nobody an admin, changes no certificate, adds no file, takes no other away: with the leave itself beside it', async () => {
    const leave = { [`members/${bob.accountId}.crt`]: undefined, [`devices/${bob.deviceId}.crt`]: undefined }
    const body = { type: 'member', fields: { action: 'remove', uri: bob.accountId } }
    expect(await verdict(bob, body, leave)).toBe('accepted')
    for (const [name, extra] of Object.entries({
      'an admin': { [`admins/${bob.accountId}.crt`]: accountPem(bob) },
      'junk in place of a certificate': { [`members/${bob.accountId}.crt`]: 'junk' },
      'a large invitation': { [`invited/${carol.accountId}`]: 'x'.repeat(1 << 20) },
      'an own invitation': { [`invited/${bob.accountId}`]: '' },
      "the other's device": { [`devices/${alice.deviceId}.crt`]: undefined },
    })) expect(`${name}: ${(await verdict(bob, body, { ...leave, ...extra })).slice(0, 7)}`).toBe(`${name}: refused`)
  })
})

describe('SWM-12 invitations and joins', () => {
  it('who left is invited again and joins; joining twice, for somebody else, or leaving the invitation behind is refused', async () => {
    const own = await Story.oneToOne(alice, bob)
    story = own
    const refusedJoin = async (edits: Record<string, string | undefined>, uri = bob.accountId) => verdict(bob, { type: 'member', fields: { action: 'join', uri } }, edits)
    const good = { [`invited/${bob.accountId}`]: undefined, [`members/${bob.accountId}.crt`]: accountPem(bob), [`devices/${bob.deviceId}.crt`]: devicePem(bob) }
    expect(await refusedJoin(good)).toBe('accepted')
    const { [`invited/${bob.accountId}`]: _, ...behind } = good
    expect(await refusedJoin(behind)).toMatch(/leaving it behind/)
    expect(await refusedJoin(good, alice.accountId)).toMatch(/somebody else/)
    expect(await refusedJoin({ ...good, [`members/${bob.accountId}.crt`]: accountPem(carol) })).toMatch(/^refused/)
    expect(await refusedJoin({ ...good, [`invited/${carol.accountId}`]: '' })).toMatch(/^refused/)
    await own.join(bob)
    await own.tell({ author: bob, type: 'member', fields: { action: 'remove', uri: bob.accountId }, edits: { [`members/${bob.accountId}.crt`]: undefined, [`devices/${bob.deviceId}.crt`]: undefined } })
    expect(await verdict(alice, { type: 'member', fields: { action: 'add', uri: bob.accountId } }, { [`invited/${bob.accountId}`]: 'not empty' })).toMatch(/empty/)
    await own.tell({ author: alice, type: 'member', fields: { action: 'add', uri: bob.accountId }, edits: { [`invited/${bob.accountId}`]: '' } })
    await own.join(bob)
    await expect(validateHistory(own, { conversation: own.id as never, head: own.head, pack: receivedPack(own.objects), known: undefined })).resolves.toMatchObject({ commits: { length: 5 } })
  })

  it('somebody who was banned is not added again', async () => {
    const own = await Story.oneToOne(alice, bob)
    story = own
    const tree = await full(alice, 'a ban', `banned/members/${bob.accountId}.crt`)
    const trees = receivedPack(own.objects)
    // the ban itself is no commit of a 1:1; only the rule is asked, over a tree that has one
    const { memberRule } = await import('./rules/member.ts')
    const { Trees, Budget } = await import('./trees.ts')
    const { Slices } = await import('@jamikit/core/base')
    const budget = new Budget('x', 1000)
    const { root } = await (await import('../repo/edit-tree.ts')).editTree(trees, tree.tree, new Map([[`invited/${bob.accountId}`, 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391']]))
    const walk = new Trees(trees, new Slices(own.clock, 1000), budget)
    await expect(memberRule({
      trees: walk, budget, before: tree.tree, after: root === tree.tree ? root : tree.tree,
      changes: [{ path: `invited/${bob.accountId}`, before: undefined, after: 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391' }],
      commit: { device: alice.deviceId } as never, body: { type: 'member', fields: { action: 'add', uri: bob.accountId } }, author: { uri: alice.accountId } as never,
      root: { mode: 0, creator: alice.accountId, invited: bob.accountId }, ancestor: async () => undefined,
    })).rejects.toThrow(/banned/)
  })
})
