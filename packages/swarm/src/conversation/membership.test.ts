// Commits about membership as plans on a tree: who votes, when it is enough, what moves, what a leave takes away; and that others take them.
// docs/protocol/04 §2.2, §3.5.4, §5.5, B.5.
import { fromUtf8, utf8 } from '@jamikit/core/codec'
import type { ConversationId, DeviceIdentity } from '@jamikit/core/contracts'
import { testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { alice, all, bob, carol, clock, crypto, exchange, person } from '../../test/harness.ts'
import { receivedPack } from '../../test/received.ts'
import { MAX_INVITED_AT_ONCE } from '../defaults.ts'
import { editTree, readFile } from '../repo/edit-tree.ts'
import { type GitObject, objectId, type Oid } from '../repo/object.ts'
import { paths } from '../repo/tree-paths.ts'
import { Conversation } from './conversation.ts'
import { adding, type Ground, leaving, type Plan, profiling, resolving, voting } from './membership.ts'
import { Writer } from './writer.ts'

const files = (entries: Record<string, string>) => new Map(Object.entries(entries).map(([path, content]): [string, GitObject] => [path, { type: 'blob', data: utf8(content) }]))

/** A tree with these files, and plans on it by whoever writes. */
async function grounds(entries: Record<string, string>) {
  const objects = new Map<Oid, GitObject>()
  const reader = { read: async (oid: Oid) => objects.get(oid) }
  const put = async (root: Oid | undefined, edits: ReadonlyMap<string, GitObject | undefined>) => {
    for (const object of edits.values()) if (object) objects.set(objectId(object), object)
    const made = await editTree(reader, root, new Map([...edits].map(([path, object]) => [path, object && objectId(object)])))
    for (const object of made.objects) objects.set(objectId(object), object)
    return made.root
  }
  let tree = await put(undefined, files(entries))
  const ground = (who: DeviceIdentity): Ground => ({ reader, tree, writer: new Writer({ clock, crypto, identity: who, displayName: () => '' }) })
  return {
    ground,
    /** Writes what is planned. @returns what was written, and whether there was anything */
    write: async (who: DeviceIdentity, plan: Plan) => {
      const step = await plan(ground(who))
      if (step) tree = await put(tree, step.edits ?? new Map())
      return step && [step.body.fields.action ?? step.body.type, [...(step.edits?.keys() ?? [])]]
    },
    has: async (path: string) => (await readFile(reader, tree, path)) !== undefined,
    read: async (path: string) => fromUtf8((await readFile(reader, tree, path))?.data ?? new Uint8Array(0)),
  }
}

const admins = (...who: DeviceIdentity[]) => Object.fromEntries(who.map(({ accountId }) => [paths.admin(accountId), 'x']))

describe('votes', () => {
  it('of half of the admins are not enough, of more than half they are; the certificate moves as it is and the votes go', async () => {
    const target = carol.accountId
    const dave = testIdentity(3).device
    const { write, has, read } = await grounds({ ...admins(alice, bob, dave), [paths.member(target)]: 'certificate of Carol', [paths.vote('ban', 'members', bob.accountId, dave.accountId)]: '' })
    expect(await write(alice, voting('ban', target))).toEqual(['vote', [paths.vote('ban', 'members', target, alice.accountId)]])
    expect(await write(alice, voting('ban', target))).toBeUndefined()
    expect(await write(alice, resolving('ban', target))).toBeUndefined()
    await write(bob, voting('ban', target))
    expect((await write(bob, resolving('ban', target)))?.[0]).toBe('ban')
    expect([await has(paths.member(target)), await read(paths.banned('members', target)), await has(paths.vote('ban', 'members', target, bob.accountId)), await has(paths.vote('ban', 'members', bob.accountId, dave.accountId))])
      .toEqual([false, 'certificate of Carol', false, true])
    for (const who of [alice, bob]) await write(who, voting('unban', target))
    await write(bob, resolving('unban', target))
    expect([await read(paths.member(target)), await has(paths.banned('members', target))]).toEqual(['certificate of Carol', false])
  })

  it('of one of two admins are half, and of somebody who was an admin count for nothing', async () => {
    const two = await grounds({ ...admins(alice, bob), [paths.member(carol.accountId)]: 'x' })
    await two.write(alice, voting('ban', carol.accountId))
    expect(await two.write(alice, resolving('ban', carol.accountId))).toBeUndefined()
    const old = await grounds({ ...admins(alice, testIdentity(3).device), [paths.member(carol.accountId)]: 'x', [paths.vote('ban', 'members', carol.accountId, bob.accountId)]: '' })
    await old.write(alice, voting('ban', carol.accountId))
    expect(await old.write(alice, resolving('ban', carol.accountId))).toBeUndefined()
  })

  it('are cast by admins only, about somebody who is there', async () => {
    const { ground } = await grounds({ ...admins(alice), [paths.member(bob.accountId)]: 'x', [paths.invited(carol.accountId)]: '' })
    await expect(voting('ban', carol.accountId)(ground(bob))).rejects.toMatchObject({ code: 'ERR_NOT_ADMIN' })
    await expect(profiling({ title: 'x' })(ground(bob))).rejects.toMatchObject({ code: 'ERR_NOT_ADMIN' })
    expect(await voting('ban', '9'.repeat(40) as never)(ground(alice))).toBeUndefined()
    expect((await voting('ban', carol.accountId)(ground(alice)))?.edits?.keys().next().value).toBe(paths.vote('ban', 'invited', carol.accountId, alice.accountId))
  })
})

it('an add that somebody else has made, or made impossible, meanwhile', async () => {
  const { ground } = await grounds({ ...admins(alice), [paths.invited(carol.accountId)]: '', [paths.banned('members', bob.accountId)]: 'x' })
  expect(await adding(carol.accountId)(ground(alice))).toBeUndefined()
  await expect(adding(bob.accountId)(ground(alice))).rejects.toMatchObject({ code: 'ERR_NOT_ADMIN' })
  await expect(adding(bob.accountId)(ground(carol))).rejects.toMatchObject({ code: 'ERR_NOT_MEMBER' })
})

describe('SWM-30 a leave', () => {
  it('takes our places and all our devices away, and nobody else\'s', async () => {
    const laptop = testIdentity(0, 1).device
    const { write } = await grounds({
      [paths.admin(alice.accountId)]: 'x', [paths.device(alice.deviceId)]: alice.chain[0].pem, [paths.device(laptop.deviceId)]: laptop.chain[0].pem,
      [paths.member(bob.accountId)]: 'x', [paths.device(bob.deviceId)]: bob.chain[0].pem,
    })
    const written = await write(alice, leaving)
    expect([written?.[0], [...(written?.[1] ?? [])].sort()]).toEqual(['remove', [paths.admin(alice.accountId), paths.device(alice.deviceId), paths.device(laptop.deviceId)].sort()])
    expect(await write(alice, leaving)).toBeUndefined()
  })

  it('of a device that never wrote is believed by the others, because the device says so first', async () => {
    const env = person(alice)
    const group = await Conversation.create(env, env('' as ConversationId), undefined)
    await group.change(adding(bob.accountId))
    const theirs = await Conversation.clone(person(bob)(group.id), group.id, group.head, receivedPack(await all(group)), alice.accountId, 2)
    await theirs.join()
    await exchange(theirs, group)
    const laptop = testIdentity(0, 1).device
    const fresh = await Conversation.clone(person(laptop)(group.id), group.id, group.head, receivedPack(await all(group)), alice.accountId, 2)
    await fresh.leave(async () => {})
    await exchange(fresh, theirs)
    expect([theirs.head, theirs.members]).toEqual([fresh.head, [{ uri: bob.accountId, role: 'member' }]])
    await expect(fresh.append({ type: 'text/plain', fields: { body: 'x' } }, undefined)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
  })
})

it('a plan that refuses leaves nothing of those before it', async () => {
  const env = person(alice)
  const group = await Conversation.create(env, env('' as ConversationId), undefined)
  const refused = group.change(adding(bob.accountId), async () => {
    throw new Error('no')
  })
  await expect(refused).rejects.toThrow('no')
  expect([group.head, group.members.length]).toEqual([group.id, 1])
})

it('an invitation beyond what may wait at a time is not written', async () => {
  const waiting = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`invited/a${i.toString(16).padStart(39, '0')}`, '']))
  const room = await grounds({ ...admins(alice), ...waiting(MAX_INVITED_AT_ONCE - 1) })
  expect(await room.write(alice, adding(bob.accountId))).toEqual(['add', [paths.invited(bob.accountId)]])
  await expect(room.write(alice, adding(carol.accountId))).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { got: MAX_INVITED_AT_ONCE + 1, allowed: MAX_INVITED_AT_ONCE } })
  expect(await room.write(alice, adding(bob.accountId))).toBeUndefined() // who is invited is
})
