// Leaving a group: written, gone for the program, served until somebody has it, erased; what is gone stays gone, and can be joined again.
// docs/protocol/04 §8.1, §4.5.3, B.1.
import { failingStorage, FakeContacts } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { memoryFiles, type MemoryFiles } from '../../test/memory.ts'
import { alice, bob, everybody, roles, story, text, World } from '../../test/world.ts'
import { printCommitNotice } from './small-payloads.ts'

async function pair(options: { announced?: boolean } = {}) {
  const world = new World()
  const storage = memoryFiles()
  const a = await world.join(alice, options)
  const b = await world.join(bob, { storage, ...options })
  world.meet(alice, bob)
  const id = await a.create({ mode: 2 })
  await a.invite(id, bob.accountId)
  await world.clock.advance(1000)
  await b.accept({ conversation: id, from: alice.accountId })
  await world.clock.advance(10_000)
  expect(roles(a, id)).toEqual({ [alice.accountId]: 'admin', [bob.accountId]: 'member' })
  return { world, a, b, id, storage }
}

const keysOf = async (storage: MemoryFiles) => {
  const keys: string[] = []
  for await (const key of storage.keys('a/')) keys.push(key)
  return { keys, folders: await storage.files('a/conversations').list('') }
}

describe('SWM-30 leaving', () => {
  it('is seen by the others, and erased here when one of their devices has fetched it', async () => {
    const { world, a, b, id, storage } = await pair()
    const removed: string[] = []
    b.onRemoved(({ conversation }) => removed.push(conversation))
    await b.leave(id)
    expect([b.list(), b.get(id), b.members(id), removed]).toEqual([[], undefined, [], [id]])
    await expect(b.append(id, text('x'))).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    expect((await keysOf(storage)).folders).toEqual([`${id}/`])
    await world.clock.advance(10_000)
    expect([(await story(a, id)).at(-1), roles(a, id)]).toEqual(['member remove', { [alice.accountId]: 'admin' }])
    expect(await keysOf(storage)).toEqual({ keys: [`a/conversation-gone/${id}`], folders: [] })
  })

  it('waits for somebody to fetch it; meanwhile what comes is ignored, and nobody is asked', async () => {
    const { world, a, b, id, storage } = await pair()
    world.messages.messengers.get(alice.deviceId)?.setReachable(false)
    await b.leave(id)
    const sent = world.messages.sent.length
    await world.tell(bob, alice, 'application/im-gitmessage-id', printCommitNotice({ conversation: id, commit: 'e'.repeat(40) as never, device: alice.deviceId }))
    await world.clock.advance(60_000)
    expect([(await keysOf(storage)).folders, world.messages.sent.length - sent]).toEqual([[`${id}/`], 0])
    world.messages.messengers.get(alice.deviceId)?.setReachable(true)
    await world.clock.advance(20_000)
    expect([(await story(a, id)).at(-1), (await keysOf(storage)).folders]).toEqual(['member remove', []])
  })

  it('is over at the next start, whoever has fetched it', async () => {
    const { world, b, id, storage } = await pair()
    world.messages.messengers.get(alice.deviceId)?.setReachable(false)
    await b.leave(id)
    await b.stop()
    const again = await new World().join(bob, { storage })
    expect([again.list(), await keysOf(storage)]).toEqual([[], { keys: [`a/conversation-gone/${id}`], folders: [] }])
  })

  it('alone, or before it was joined, erases at once', async () => {
    const world = new World()
    const storage = memoryFiles()
    const a = await world.join(alice, { storage })
    const id = await a.create({ mode: 2 })
    await a.leave(id)
    const other = 'f'.repeat(40) as never
    await a.accept({ conversation: other, from: bob.accountId, mode: 2 })
    await a.leave(other)
    expect([a.list(), (await keysOf(storage)).folders, (await keysOf(storage)).keys.length]).toEqual([[], [], 2])
    await expect(a.leave(id)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
  })

  it('at any write that fails keeps the conversation or has left it, never half; the next call or start goes on', async () => {
    for (let at = 1; ; at++) {
      const world = new World()
      const inner = memoryFiles()
      const storage = failingStorage(inner)
      const a = await world.join(alice, { storage })
      const id = await a.create({ mode: 2 })
      await a.invite(id, bob.accountId)
      storage.plan = { at }
      const outcome = await a.leave(id).then(() => 'left', () => 'refused')
      storage.plan = {}
      const there = a.get(id) !== undefined
      if (outcome === 'left') expect(there).toBe(false)
      await a.stop()
      const again = await new World().join(alice, { storage: inner })
      expect(again.get(id) !== undefined).toBe(there)
      if (there) await again.leave(id)
      await again.stop()
      await new World().join(alice, { storage: inner })
      expect((await keysOf(inner)).folders).toEqual([])
      if (outcome === 'left') break
      expect(at).toBeLessThan(10)
    }
  })
})

describe('what is gone', () => {
  it('SWM-18 is not heard of again: notices and the invitation that was accepted then are ignored, over restarts', async () => {
    const { world, a, b, id, storage } = await pair()
    const invitation = world.messages.sent.find(({ mime }) => mime === 'application/invite+json')?.body ?? ''
    await b.leave(id)
    await world.clock.advance(10_000)
    await b.stop()
    await world.network.managers.get(bob.deviceId)?.stop()
    await world.messages.messengers.get(bob.deviceId)?.stop()
    const again = await world.join(bob, { storage })
    const sent = world.count('application/invite')
    await world.tell(bob, alice, 'application/im-gitmessage-id', printCommitNotice({ conversation: id, commit: a.get(id)?.head as never, device: alice.deviceId }))
    await world.tell(bob, alice, 'application/invite+json', invitation)
    expect([again.invitations(), again.list(), world.count('application/invite') - sent]).toEqual([[], [], 0])
  })

  it('SWM-30 can be joined again when somebody invites again', async () => {
    const { world, a, b, id } = await pair()
    await a.append(id, text('before'))
    await world.clock.advance(5000)
    await b.leave(id)
    await world.clock.advance(10_000)
    await a.invite(id, bob.accountId)
    await world.clock.advance(1000)
    expect(b.invitations().map(({ conversation }) => conversation)).toEqual([id])
    await b.accept({ conversation: id, from: alice.accountId })
    await world.clock.advance(20_000)
    await b.append(id, text('again'))
    await world.clock.advance(5000)
    expect([roles(a, id), (await story(b, id)).slice(-4), a.get(id)?.head === b.get(id)?.head]).toEqual([
      { [alice.accountId]: 'admin', [bob.accountId]: 'member' }, ['member remove', 'member add', 'member join', 'again'], true,
    ])
  })

  it('can be joined again while it is still served', async () => {
    const { world, a, b, id } = await pair()
    world.messages.messengers.get(alice.deviceId)?.setReachable(false)
    await b.leave(id)
    await b.accept({ conversation: id, from: alice.accountId, mode: 2 })
    expect(b.get(id)?.state).toBe('cloning')
    world.messages.messengers.get(alice.deviceId)?.setReachable(true)
    await world.clock.advance(20_000)
    expect([b.get(id)?.state, roles(a, id)[bob.accountId]]).toEqual(['ready', 'member'])
  })

  it('SWM-31 a removed 1:1 comes back when its contact came back and writes there, and speaks to us elsewhere by now', async () => {
    const world = new World()
    const contacts = everybody()
    const [a, b] = [await world.join(alice, { announced: true }), await world.join(bob, { contacts, announced: true })]
    const id = await a.create({ mode: 0, peer: bob.accountId })
    await b.accept({ conversation: id, from: alice.accountId })
    world.meet(alice, bob)
    await world.clock.advance(10_000)
    contacts.add(alice.accountId, { confirmed: true, conversation: id })
    await b.remove(id)
    await a.append(id, text('lost?'))
    await world.clock.advance(10_000)
    expect(b.get(id)).toBeUndefined()
    contacts.add(alice.accountId, { confirmed: true, conversation: 'c'.repeat(40) as never })
    await a.append(id, text('not lost'))
    await world.clock.advance(20_000)
    expect([b.get(id)?.state, (await story(b, id)).slice(-2)]).toEqual(['ready', ['lost?', 'not lost']])
  })

  it('of a group is never followed without being asked for', async () => {
    const { world, a, b, id } = await pair()
    await b.leave(id)
    await world.clock.advance(10_000)
    await a.append(id, text('x'))
    await world.tell(bob, alice, 'application/invite+json', JSON.stringify({ conversationId: id, metadatas: { mode: '0' } }))
    await world.clock.advance(10_000)
    expect([b.list(), new FakeContacts().isContact(alice.accountId)]).toEqual([[], false])
  })
})
