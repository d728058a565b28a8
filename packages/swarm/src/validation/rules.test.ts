// What each type of commit may change, as a table of its own beside the code: every type × mode × author × file × way of changing it,
// beside what the type is there for. What the table does not allow is refused. docs/protocol/04 §1.2, §3.5, traps S1, S3, S4.
import { JamiError } from '@jamikit/core/base'
import type { DeviceIdentity } from '@jamikit/core/contracts'
import { testIdentity } from '@jamikit/core/testing'
import { beforeAll, describe, expect, it } from 'vitest'
import { knownOf } from '../../test/known.ts'
import { receivedPack } from '../../test/received.ts'
import { accountPem, devicePem, Story } from '../../test/story.ts'
import { flatten } from '../repo/repository.ts'
import type { History } from '../repo/types.ts'
import { validateHistory } from './validate-history.ts'

const who = (i: number) => testIdentity(i).device
const [alice, bob, carol, dave, erin, frank, grace, heidi] = [0, 1, 2, 3, 4, 5, 6, 7].map(who) as [DeviceIdentity, DeviceIdentity, DeviceIdentity, DeviceIdentity, DeviceIdentity, DeviceIdentity, DeviceIdentity, DeviceIdentity]
// alice made it and is the admin, bob, frank and grace are members, carol is nobody, dave is invited, erin was banned as a member, heidi as an invited person
type Role = 'admin' | 'member' | 'invited' | 'banned' | 'nobody'
const AUTHORS: Record<Role, DeviceIdentity> = { admin: alice, member: bob, invited: dave, banned: erin, nobody: carol }

type Edits = Record<string, string | undefined>
const crt = (place: string, of: DeviceIdentity): string => `${place}/${of.accountId}.crt`
const device = (of: DeviceIdentity): string => `devices/${of.deviceId}.crt`
/** By the ids that git gives to nothing and to `x` with a line end. */
const EMPTY_ATTACHMENT = 'attachments/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
const X_ATTACHMENT = 'attachments/587be6b4c3f93f93c489c0111bba5596147a26cb'

/** A file by its label: where, and what is good for its place. */
const FILES: Record<string, (author: DeviceIdentity, other: DeviceIdentity) => [path: string, good: string]> = {
  'own device': (a) => [device(a), devicePem(a)],
  "the other's device": (_, b) => [device(b), devicePem(b)],
  "a stranger's device": () => [device(carol), devicePem(carol)],
  "frank's device": () => [device(frank), devicePem(frank)],
  "erin's device": () => [device(erin), devicePem(erin)],
  'own admin file': (a) => [crt('admins', a), accountPem(a)],
  'own member file': (a) => [crt('members', a), accountPem(a)],
  "the other's admin file": (_, b) => [crt('admins', b), accountPem(b)],
  "the other's member file": (_, b) => [crt('members', b), accountPem(b)],
  "a stranger's member file": () => [crt('members', carol), accountPem(carol)],
  "grace's member file": () => [crt('members', grace), accountPem(grace)],
  'own invitation': (a) => [`invited/${a.accountId}`, ''],
  "the other's invitation": (_, b) => [`invited/${b.accountId}`, ''],
  "a stranger's invitation": () => [`invited/${carol.accountId}`, ''],
  "dave's invitation": () => [`invited/${dave.accountId}`, ''],
  'the profile': () => ['profile.vcf', 'BEGIN:VCARD\nEND:VCARD'],
  'a file at the top': () => ['notes.txt', 'x'],
  'a revocation list': (a) => [`CRLs/${a.accountId}`, 'x'],
  "the other's ban": (_, b) => [crt('banned/members', b), accountPem(b)],
  "erin's ban": () => [crt('banned/members', erin), accountPem(erin)],
  "frank's ban as an admin": () => [crt('banned/admins', frank), accountPem(frank)],
  "heidi's ban": () => [`banned/invited/${heidi.accountId}`, ''],
  'a vote on the other': (a, b) => [`votes/ban/members/${b.accountId}/${a.accountId}`, ''],
  "alice's vote on frank": () => [`votes/ban/members/${frank.accountId}/${alice.accountId}`, ''],
  "bob's vote on frank": () => [`votes/ban/members/${frank.accountId}/${bob.accountId}`, ''],
  "alice's vote on frank's device": () => [`votes/ban/devices/${frank.deviceId}/${alice.accountId}`, ''],
  "alice's vote for erin": () => [`votes/unban/members/${erin.accountId}/${alice.accountId}`, ''],
  'a vote in a place of its own': (a) => [`votes/other/${a.accountId}`, ''],
  'an attachment': () => [EMPTY_ATTACHMENT, ''],
  'an attachment that is there': () => [X_ATTACHMENT, 'x\n'],
  'an attachment below another': () => [`${EMPTY_ATTACHMENT}x/y`, ''],
  'a file below a device': (a) => [`${device(a)}/x`, 'x'],
}

interface Kind {
  type: string
  fields?: Record<string, string>
  /** What the type is there for. */
  edits?: Edits
}

const member = (action: string, uri: string, edits: Edits = {}): Kind => ({ type: 'member', fields: { action, uri }, edits })
const KINDS: Record<string, (author: DeviceIdentity, other: DeviceIdentity, own: string) => Kind> = {
  message: () => ({ type: 'text/plain', fields: { body: 'x' } }),
  edit: (_a, _b, own) => ({ type: 'text/plain', fields: { body: 'x', edit: own } }),
  'old edit': (_a, _b, own) => ({ type: 'application/edited-message', fields: { body: 'x', edit: own } }),
  'unknown type': () => ({ type: 'application/x-new+json' }),
  call: () => ({ type: 'application/call-history+json', fields: { to: alice.accountId, duration: '1' } }),
  profile: () => ({ type: 'application/update-profile' }),
  'add the other': (_a, b) => member('add', b.accountId, { [`invited/${b.accountId}`]: '' }),
  'add a stranger': () => member('add', carol.accountId, { [`invited/${carol.accountId}`]: '' }),
  'add oneself': (a) => member('add', a.accountId, { [`invited/${a.accountId}`]: '' }),
  'add somebody banned': () => member('add', erin.accountId, { [`invited/${erin.accountId}`]: '' }),
  'add somebody banned while invited': () => member('add', heidi.accountId, { [`invited/${heidi.accountId}`]: '' }),
  join: (a) => member('join', a.accountId, { [`invited/${a.accountId}`]: undefined, [crt('members', a)]: accountPem(a), [device(a)]: devicePem(a) }),
  leave: (a) => member('remove', a.accountId),
  'remove the other': (_a, b) => member('remove', b.accountId),
  'vote against grace': (a) => ({ type: 'vote', fields: { uri: grace.accountId }, edits: { [`votes/ban/members/${grace.accountId}/${a.accountId}`]: '' } }),
  'vote for heidi': (a) => ({ type: 'vote', fields: { uri: heidi.accountId }, edits: { [`votes/unban/invited/${heidi.accountId}/${a.accountId}`]: '' } }),
  'vote against a device': (a) => ({ type: 'vote', fields: { uri: grace.deviceId }, edits: { [`votes/ban/devices/${grace.deviceId}/${a.accountId}`]: '' } }),
  'ban frank': () => member('ban', frank.accountId, { [crt('members', frank)]: undefined, [crt('banned/members', frank)]: accountPem(frank), [`votes/ban/members/${frank.accountId}/${alice.accountId}`]: undefined }),
  'ban dave': () => member('ban', dave.accountId, { [`invited/${dave.accountId}`]: undefined, [`banned/invited/${dave.accountId}`]: '', [`votes/ban/invited/${dave.accountId}/${alice.accountId}`]: undefined }),
  "ban frank's device": () => member('ban', frank.deviceId, { [device(frank)]: undefined, [`banned/${device(frank)}`]: devicePem(frank), [`votes/ban/devices/${frank.deviceId}/${alice.accountId}`]: undefined }),
  'unban erin': () => member('unban', erin.accountId, { [crt('banned/members', erin)]: undefined, [crt('members', erin)]: accountPem(erin), [`votes/unban/members/${erin.accountId}/${alice.accountId}`]: undefined }),
  'ban without votes': () => member('ban', grace.accountId, { [crt('members', grace)]: undefined, [crt('banned/members', grace)]: accountPem(grace) }),
  'unknown action': () => member('promote', bob.accountId),
  checkpoint: () => ({ type: 'application/checkpoint', fields: { body: '' }, edits: { [EMPTY_ATTACHMENT]: '' } }),
}

/** Who may, in which modes. */
const [ALL, CONVERSATIONS, GROUPS, DOCUMENTS] = [[0, 2, 4], [0, 2], [2, 4], [4]]
const MEMBERS: readonly Role[] = ['admin', 'member']
const ADMINS: readonly Role[] = ['admin']
const ORDINARY = ['own device replaced good', 'own account replaced good']
const DEVICE = ['own device replaced good']
interface Allowed {
  modes: readonly number[]
  by: readonly Role[]
  /** Changes that may stand beside what the type is there for. `own account` is the author's file in its place. */
  beside: readonly string[]
  /** Who may write the type without any change. */
  empty: readonly Role[]
}
const ALLOWED: Record<string, Allowed> = {
  message: { modes: CONVERSATIONS, by: MEMBERS, beside: ORDINARY, empty: MEMBERS },
  edit: { modes: ALL, by: MEMBERS, beside: ORDINARY, empty: MEMBERS },
  'old edit': { modes: ALL, by: MEMBERS, beside: ORDINARY, empty: MEMBERS },
  'unknown type': { modes: CONVERSATIONS, by: MEMBERS, beside: ORDINARY, empty: MEMBERS },
  call: { modes: CONVERSATIONS, by: MEMBERS, beside: ORDINARY, empty: MEMBERS },
  profile: { modes: ALL, by: ADMINS, beside: [...DEVICE, 'the profile added good', 'the profile added junk'], empty: ADMINS },
  'add the other': { modes: ALL, by: MEMBERS, beside: DEVICE, empty: [] },
  'add a stranger': { modes: GROUPS, by: MEMBERS, beside: DEVICE, empty: [] },
  'add oneself': { modes: [], by: [], beside: [], empty: [] },
  'add somebody banned': { modes: [], by: [], beside: [], empty: [] },
  'add somebody banned while invited': { modes: [], by: [], beside: [], empty: [] },
  join: { modes: GROUPS, by: ['invited'], beside: [], empty: [] },
  leave: { modes: ALL, by: MEMBERS, beside: ['own device removed', 'own account removed'], empty: MEMBERS },
  'remove the other': { modes: [], by: [], beside: [], empty: [] },
  'vote against grace': { modes: GROUPS, by: ADMINS, beside: DEVICE, empty: MEMBERS },
  'vote for heidi': { modes: GROUPS, by: ADMINS, beside: DEVICE, empty: MEMBERS },
  'vote against a device': { modes: GROUPS, by: ADMINS, beside: DEVICE, empty: MEMBERS },
  'ban frank': { modes: GROUPS, by: ADMINS, beside: [...DEVICE, "frank's device removed", "bob's vote on frank removed"], empty: [] },
  'ban dave': { modes: GROUPS, by: ADMINS, beside: DEVICE, empty: [] },
  "ban frank's device": { modes: GROUPS, by: ADMINS, beside: DEVICE, empty: [] },
  'unban erin': { modes: GROUPS, by: ADMINS, beside: [...DEVICE, "erin's device added good"], empty: [] },
  'ban without votes': { modes: [], by: [], beside: [], empty: [] },
  'unknown action': { modes: [], by: [], beside: [], empty: [] },
  checkpoint: { modes: DOCUMENTS, by: MEMBERS, beside: DEVICE, empty: MEMBERS },
}

interface Scene {
  story: Story
  known: History
  there: ReadonlySet<string>
  texts: Map<DeviceIdentity, string>
}

/** Commits of the scene are there already and never judged: so everything that can be removed or replaced can be put there by hand. */
async function scene(mode: number): Promise<Scene> {
  const story = mode === 0 ? await Story.oneToOne(alice, bob) : await Story.group(alice, mode)
  story.crypto = { ...story.crypto, sign: async () => new Uint8Array(256), verify: async () => true } // signatures are judged elsewhere
  if (mode === 0) await story.join(bob)
  else await story.tell({
    author: alice, edits: {
      ...Object.fromEntries([bob, frank, grace].flatMap((m) => [[crt('members', m), accountPem(m)], [device(m), devicePem(m)]])),
      [`invited/${dave.accountId}`]: '', [crt('banned/members', erin)]: accountPem(erin), [`banned/invited/${heidi.accountId}`]: '', [X_ATTACHMENT]: 'x\n',
      ...Object.fromEntries([`ban/members/${frank.accountId}/${alice.accountId}`, `ban/members/${frank.accountId}/${bob.accountId}`, `ban/devices/${frank.deviceId}/${alice.accountId}`,
        `ban/invited/${dave.accountId}/${alice.accountId}`, `unban/members/${erin.accountId}/${alice.accountId}`].map((vote) => [`votes/${vote}`, ''])),
    },
  })
  const texts = new Map<DeviceIdentity, string>()
  for (const author of [alice, bob]) texts.set(author, await story.tell({ author }))
  return { story, known: await knownOf(story), texts, there: new Set((await flatten(async (oid) => story.objects.get(oid), story.treeOf(story.head))).keys()) }
}

async function verdict({ story, known }: Scene, author: DeviceIdentity, { type, fields = {} }: Kind, edits: Edits): Promise<string> {
  const base = story.head
  const before = new Set(story.objects.keys())
  const head = await story.tell({ author, type, fields, edits })
  const brought = new Map([...story.objects].filter(([oid]) => !before.has(oid)))
  for (const oid of brought.keys()) story.objects.delete(oid)
  story.head = base
  try {
    await validateHistory(story, { conversation: story.id as never, head, pack: receivedPack(brought), known })
    return 'accepted'
  } catch (error) {
    if (!JamiError.is(error, 'ERR_REPO_INVALID')) throw error
    expect(error.details).toMatchObject({ commit: head, parents: [base], rule: expect.any(String), reason: expect.any(String) })
    return 'refused'
  }
}

describe.each([[0, 'one-to-one'], [2, 'group'], [4, 'document']] as const)('SWM-10 SWM-S3 mode %i, %s', (mode, _name) => {
  let at: Scene
  beforeAll(async () => {
    at = await scene(mode)
  })

  for (const [name, kind] of Object.entries(KINDS)) {
    const row = ALLOWED[name] as Allowed
    for (const [role, other] of [['admin', bob], ['member', alice]] as const) it(`SWM-12 ${name} by ${role === 'admin' ? 'the admin' : 'a member'} changes what the table allows and nothing else`, async () => {
      const author = AUTHORS[role]
      const made = kind(author, other, at.texts.get(author) ?? '')
      const may = row.modes.includes(mode) && row.by.includes(role)
      const got = async (what: string, edits: Edits) => `${what}: ${await verdict(at, author, made, edits)}`
      const judged = (what: string, good: boolean) => `${what}: ${good ? 'accepted' : 'refused'}`
      const parts = made.edits ?? {}
      expect(await got('as it should be', parts)).toBe(judged('as it should be', may))
      expect(await got('no change', {})).toBe(judged('no change', row.modes.includes(mode) && row.empty.includes(role)))
      if (Object.keys(parts).length > 1) for (const path of Object.keys(parts)) {
        const { [path]: _, ...others } = parts
        expect(await got(`without ${path}`, others)).toBe(judged(`without ${path}`, false))
      }
      for (const [file, of] of Object.entries(FILES)) {
        const [path, good] = of(author, other)
        if (path in parts) continue
        const label = file === (role === 'admin' ? 'own admin file' : 'own member file') ? 'own account' : file
        const ways: [way: string, content: string | undefined][] = at.there.has(path)
          ? [['removed', undefined], ...(good === '' ? [] : [['replaced good', `${good}\n`] as [string, string]]), ['replaced junk', 'junk']]
          : [['added good', good], ['added junk', 'junk']]
        for (const [way, content] of ways) {
          const what = `${name}: ${label} ${way}`
          expect(await got(what, { ...parts, [path]: content })).toBe(judged(what, may && row.beside.includes(`${label} ${way}`)))
        }
      }
    }, 60_000)

    it(`SWM-12 ${name} by somebody who is invited, banned or unknown`, async () => {
      for (const role of ['invited', 'banned', 'nobody'] as const) {
        const author = AUTHORS[role]
        const made = kind(author, alice, at.texts.get(alice) ?? '')
        const good = row.modes.includes(mode) && row.by.includes(role)
        expect(`${role}: ${await verdict(at, author, made, { ...made.edits, [device(author)]: devicePem(author) })}`).toBe(`${role}: ${good ? 'accepted' : 'refused'}`)
      }
    })
  }
})

it('the table knows every type, and only them', () => {
  expect(Object.keys(ALLOWED)).toEqual(Object.keys(KINDS))
})
