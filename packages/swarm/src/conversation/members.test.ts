// Who is in a conversation: places and their precedence, and no more reading than what changed.
import { expect, it } from 'vitest'
import { receivedPack } from '../../test/received.ts'
import { editTree } from '../repo/edit-tree.ts'
import { EMPTY_BLOB, type GitObject, objectId, type Oid } from '../repo/object.ts'
import { Members } from './members.ts'

const uri = (n: number) => `${n}`.padStart(40, '0') as never
const empty: GitObject = { type: 'blob', data: EMPTY_BLOB }

async function grow(objects: Map<Oid, GitObject>, root: Oid | undefined, ...paths: string[]): Promise<Oid> {
  objects.set(objectId(empty), empty)
  const made = await editTree({ read: async (oid) => objects.get(oid) }, root, new Map(paths.map((path) => [path, objectId(empty)])))
  for (const object of made.objects) objects.set(objectId(object), object)
  return made.root
}

it('the first place wins; founders who are nowhere have left; files of other names are nobody', async () => {
  const objects = new Map<Oid, GitObject>()
  const root = await grow(objects, undefined, `admins/${uri(1)}.crt`, `members/${uri(1)}.crt`, `members/${uri(2)}.crt`, `invited/${uri(3)}`, `banned/members/${uri(4)}.crt`, `banned/invited/${uri(5)}`, 'members/readme.crt', 'invited/x')
  const members = new Members(receivedPack(objects))
  await members.refresh(root, [uri(1), uri(6)])
  expect(members.list).toEqual([
    { uri: uri(1), role: 'admin' }, { uri: uri(2), role: 'member' }, { uri: uri(3), role: 'invited' }, { uri: uri(4), role: 'banned' }, { uri: uri(5), role: 'banned' }, { uri: uri(6), role: 'left' },
  ])
  expect([members.roleOf(uri(2)), members.roleOf(uri(9))]).toEqual(['member', undefined])
})

it('a message reads nothing, a profile the top only, a new member its directory', async () => {
  const objects = new Map<Oid, GitObject>()
  const root = await grow(objects, undefined, ...Array.from({ length: 50 }, (_, i) => `members/${uri(i)}.crt`), `admins/${uri(99)}.crt`)
  const withProfile = await grow(objects, root, 'profile.vcf')
  const withGuest = await grow(objects, withProfile, `invited/${uri(70)}`)
  const pack = receivedPack(objects)
  const members = new Members(pack)
  await members.refresh(root, [])
  const cost = async (tree: Oid) => {
    const before = pack.reads
    await members.refresh(tree, [])
    return pack.reads - before
  }
  expect(await cost(root)).toBe(0)
  expect(await cost(withProfile)).toBeLessThanOrEqual(1)
  expect(await cost(withGuest)).toBeLessThanOrEqual(2)
  expect(members.roleOf(uri(70))).toBe('invited')
})

it('SWM-S17 whoever was banned is, wherever else the name lies; a banned device is, whoever has it; the list is the same until a role changes', async () => {
  const objects = new Map<Oid, GitObject>()
  const root = await grow(objects, undefined, `admins/${uri(1)}.crt`, `members/${uri(2)}.crt`, `invited/${uri(3)}`)
  const members = new Members(receivedPack(objects))
  expect(await members.refresh(root, [])).toEqual([])
  const before = members.list
  const device = 'd'.repeat(64)
  const withDevice = await grow(objects, root, `banned/devices/${device}.crt`)
  expect([await members.refresh(withDevice, []), members.list === before, members.isBanned(uri(2), device as never), members.isBanned(uri(2))]).toEqual([[], true, true, false])
  const banned = await grow(objects, withDevice, `banned/invited/${uri(3)}`, `banned/admins/${uri(4)}.crt`, `banned/members/${uri(5)}.crt`)
  expect((await members.refresh(banned, [])).sort()).toEqual([uri(3), uri(4), uri(5)])
  expect([3, 4, 5, 1].map((n) => members.isBanned(uri(n)))).toEqual([true, true, true, false])
  expect([members.roleOf(uri(3)), members.roleOf(uri(4)), members.roleOf(uri(5))]).toEqual(['invited', undefined, 'banned'])
})
