// Conversations of several people over doubles of links and messages: clone, fetch, merge, notices, what hostile ones may not. docs/protocol/04 §4.
import { JamiError } from '@jamikit/core/base'
import type { ConversationId } from '@jamikit/core/contracts'
import { FakeContacts } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { memoryFiles, type MemoryFiles } from '../../test/memory.ts'
import { alice, bob, carol, everybody, text, World } from '../../test/world.ts'
import { FETCH_RETRIES, MAX_SERVED_CHANNELS } from '../defaults.ts'
import type { SwarmConversations } from './swarm.ts'
import { parseCommitNotice, printCommitNotice, printInvitation } from './small-payloads.ts'

async function friends(bobStorage?: MemoryFiles) {
  const world = new World()
  const a = await world.join(alice)
  const b = await world.join(bob, bobStorage ? { storage: bobStorage } : {})
  const id = await a.create({ mode: 0, peer: bob.accountId })
  await b.accept({ conversation: id, from: alice.accountId })
  world.meet(alice, bob)
  await world.clock.advance(10_000)
  return { world, a, b, id }
}

const texts = async (c: SwarmConversations, id: Parameters<SwarmConversations['history']>[0]) => {
  const out: string[] = []
  for await (const e of c.history(id, { order: 'oldest' })) if (e.type === 'text/plain') out.push(e.fields.body ?? '')
  return out
}

it('an accepted invitation is cloned and joined; messages travel both ways and both have one head', async () => {
  const { world, a, b, id } = await friends()
  expect(a.members(id).map((m) => m.role).sort()).toEqual(['admin', 'member'])
  await a.append(id, text('one'))
  await world.clock.advance(1000)
  await b.append(id, text('two'))
  await world.clock.advance(1000)
  expect(await texts(a, id)).toEqual(['one', 'two'])
  expect(b.get(id)?.head).toBe(a.get(id)?.head)
})

it('SWM-21 writers who do not see each other converge to one head without losing anything', async () => {
  const { world, a, b, id } = await friends()
  for (let i = 0; i < 5; i++) await Promise.all([a.append(id, text(`a${i}`)), b.append(id, text(`b${i}`))])
  await world.clock.advance(30_000)
  expect(b.get(id)?.head).toBe(a.get(id)?.head)
  expect((await texts(a, id)).sort()).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'b0', 'b1', 'b2', 'b3', 'b4'])
})

it('SWM-17 the sender learns that a device of the receiver has the message', async () => {
  const { world, a, id } = await friends()
  const message = await a.append(id, text('x'))
  expect(a.statusOf(id, message, bob.accountId)).toBeUndefined()
  await world.clock.advance(1000)
  expect(a.statusOf(id, message, bob.accountId)?.status).toBe('sent')
})

it('a read receipt makes everything before it displayed', async () => {
  const { world, a, b, id } = await friends()
  const first = await a.append(id, text('x'))
  const second = await a.append(id, text('y'))
  await world.clock.advance(1000)
  await b.markDisplayed(id, second)
  await world.clock.advance(1000)
  expect([a.statusOf(id, first, bob.accountId)?.status, a.statusOf(id, second, bob.accountId)?.status]).toEqual(['displayed', 'displayed'])
})

it('the same key appends once, also after a restart', async () => {
  const storage = memoryFiles()
  const { a, b, id } = await friends(storage)
  void a
  const first = await b.append(id, text('x'), { key: 'k' })
  expect(await b.append(id, text('x'), { key: 'k' })).toBe(first)
  await b.stop()
  const again = await new World().join(bob, { storage })
  expect(await again.append(id, text('x'), { key: 'k' })).toBe(first)
})

it('what the program has not handled comes again after a restart, once each and in order', async () => {
  const storage = memoryFiles()
  const { world, a, b, id } = await friends(storage)
  for (const body of ['1', '2', '3']) await a.append(id, text(body))
  await world.clock.advance(1000)
  const open = async (c: SwarmConversations) => {
    const out: { id: string; body: string | undefined }[] = []
    for await (const e of c.unacknowledged(id)) if (e.type === 'text/plain') out.push({ id: e.id, body: e.fields.body })
    return out
  }
  const [first] = await open(b)
  await b.acknowledge(id, first?.id as never)
  await b.stop()
  const again = await new World().join(bob, { storage })
  expect((await open(again)).map((e) => e.body)).toEqual(['2', '3'])
})

it('a crash at any write loses nothing that was there before, and the conversation opens again', async () => {
  const shared = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
  const { world, a, b, id } = await friends(memoryFiles(shared))
  await a.append(id, text('before'))
  await world.clock.advance(1000)
  await b.stop()
  for (let crashAt = 0; crashAt < 8; crashAt++) {
    const copy = { records: new Map(shared.records), files: new Map(shared.files) }
    const storage = memoryFiles(copy)
    const crashing = await new World().join(bob, { storage })
    let writes = 0
    storage.onWrite = () => {
      if (writes++ >= crashAt) throw new Error('power cut')
    }
    const outcome = await crashing.append(id, text('during'), { key: 'k' }).then(() => true, () => false)
    const after = await new World().join(bob, { storage: memoryFiles(copy) })
    const seen = await texts(after, id)
    expect(seen.slice(0, 1)).toEqual(['before'])
    if (outcome) expect(seen).toEqual(['before', 'during'])
    await after.append(id, text('during'), { key: 'k' })
    expect((await texts(after, id)).filter((t) => t === 'during')).toEqual(['during'])
  }
})

it('SWM-16 a git channel is refused to strangers, to banned members, for other devices and unknown conversations', async () => {
  const { world, a, id } = await friends()
  void a
  const stranger = world.network.manager({ identity: carol, policy: { allowsLink: () => true } })
  await stranger.start()
  const tries = [`git://${alice.deviceId}/${id}`, `git://${bob.deviceId}/${id}`, `git://${alice.deviceId}/${'0'.repeat(40)}`, 'git://x']
  for (const name of tries) {
    const error: unknown = await Promise.all([stranger.openChannel(alice.deviceId, name, { timeoutMs: 5000 }).catch((e: unknown) => e), world.clock.advance(6000)]).then(([e]) => e)
    expect(error).toMatchObject({ code: 'ERR_CHANNEL_DECLINED' })
  }
})

it('of git channels asked for at once one device gets four for a conversation; an ended one makes room', async () => {
  const { world, a, id } = await friends()
  void a
  await world.clock.advance(3_600_000)
  const links = world.network.managers.get(bob.deviceId)
  const open = () => world.clock.run(Promise.all(Array.from({ length: 30 }, () => links?.openChannel(alice.deviceId, `git://${alice.deviceId}/${id}`).catch(() => undefined) ?? undefined)))
  const channels = (await open()).filter((channel) => channel !== undefined)
  const before = channels.length
  expect([before > 0, before <= MAX_SERVED_CHANNELS, (await open()).every((channel) => channel === undefined)]).toEqual([true, true, true])
  for (const channel of channels) channel.abort()
  await world.clock.advance(1000)
  expect((await open()).filter((channel) => channel !== undefined).length).toBe(before)
})

it('SWM-18 SWM-S18 a notice about an unknown conversation asks for an invitation, once a minute', async () => {
  const { world, b } = await friends()
  void b
  const before = world.count('application/invite')
  const notice = printCommitNotice({ conversation: 'f'.repeat(40) as never, commit: 'e'.repeat(40) as never, device: alice.deviceId })
  const tell = () => world.tell(bob, alice, 'application/im-gitmessage-id', notice)
  await tell()
  await tell()
  expect(world.count('application/invite') - before).toBe(1)
  await world.clock.advance(61_000)
  await tell()
  expect(world.count('application/invite') - before).toBe(2)
})

it('an invitation of a confirmed contact to a 1:1 whose request was lost is followed; one of anybody else is not', async () => {
  const world = new World()
  const contacts = new FakeContacts()
  const a = await world.join(alice)
  const b = await world.join(bob, { contacts })
  const id = await a.create({ mode: 0, peer: bob.accountId })
  const invite = () => world.tell(bob, alice, 'application/invite+json', printInvitation(id, 0, 1))
  await invite()
  expect(b.get(id)).toBeUndefined()
  contacts.add(alice.accountId, { confirmed: true })
  await invite()
  world.meet(alice, bob)
  await world.clock.advance(10_000)
  expect(b.get(id)).toMatchObject({ state: 'ready', head: a.get(id)?.head })
})

it('a contact can bring 16 conversations, by whatever way; the next one is refused', async () => {
  const world = new World()
  const b = await world.join(bob)
  const id = (n: number) => n.toString(16).padStart(40, '0') as ConversationId
  for (let n = 0; n < 10; n++) await b.accept({ conversation: id(n), from: alice.accountId })
  for (let n = 10; n < 40; n++) await world.tell(bob, alice, 'application/invite+json', printInvitation(id(n), 0, 1))
  await expect(b.accept({ conversation: id(99), from: alice.accountId })).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { got: 17, allowed: 16 } })
  expect(b.list().length).toBe(16)
  await b.accept({ conversation: id(0), from: alice.accountId })
  await b.accept({ conversation: id(100), from: carol.accountId })
  expect(b.list().length).toBe(17)
  await b.stop()
})

it('a fetch that breaks is tried again while the device is connected, seven times in all, and again when there is something new', async () => {
  const { world, a, b, id } = await friends()
  const connections = world.network.managers.get(bob.deviceId)
  let sessions = 0
  let broken = true
  const open = connections?.openChannel.bind(connections)
  for (const link of connections?.links() ?? []) await world.clock.run(connections?.closePeer(link.peer.deviceId) ?? Promise.resolve()) // the git channel that is open
  if (connections && open) connections.openChannel = async (...args) => {
    if (!args[1].startsWith('git:')) return open(...args)
    sessions++
    if (broken) throw new JamiError('ERR_LINK_LOST', 'it breaks')
    return open(...args)
  }
  await a.append(id, text('hard to get'))
  await world.clock.advance(600_000)
  expect([sessions, await texts(b, id)]).toEqual([FETCH_RETRIES + 1, []])
  broken = false
  const message = await a.append(id, text('and one more'))
  await world.clock.advance(10_000)
  expect(b.get(id)?.head).toBe(message)
})

it('SWM-S7 a notice that names a foreign device is followed at its sender', async () => {
  const { world, a, b, id } = await friends()
  const bobs = world.messages.messengers.get(bob.deviceId)
  bobs?.setReachable(false)
  const message = await a.append(id, text('x'))
  await world.clock.advance(1000)
  bobs?.setReachable(true, { quietly: true }) // what waits for him does not go out
  expect(b.get(id)?.head).not.toBe(message)
  const body = printCommitNotice({ conversation: id, commit: message, device: carol.deviceId })
  await world.tell(bob, alice, 'application/im-gitmessage-id', body)
  await world.clock.advance(2000)
  expect(b.get(id)?.head).toBe(message)
})

it('SWM-S17 nothing is fetched from a banned account', async () => {
  const world = new World()
  const contacts = everybody()
  const a = await world.join(alice)
  const b = await world.join(bob, { contacts })
  const id = await a.create({ mode: 0, peer: bob.accountId })
  await b.accept({ conversation: id, from: alice.accountId })
  world.meet(alice, bob)
  await world.clock.advance(10_000)
  contacts.ban(alice.accountId)
  const head = b.get(id)?.head
  await a.append(id, text('let me in'))
  await world.clock.advance(5000)
  expect(b.get(id)?.head).toBe(head)
})

it('SWM-19 a commit notice replaces the one that waits', async () => {
  const { world, a, id } = await friends()
  await a.append(id, text('x'))
  const last = world.messages.sent.filter((s) => s.from === alice.accountId && s.mime === 'application/im-gitmessage-id').at(-1)
  expect(parseCommitNotice(last?.body ?? '')).toEqual({ conversation: id, commit: a.get(id)?.head, device: alice.deviceId })
})

it('history pages, from either end, around a message', async () => {
  const { a, id } = await friends()
  const ids: string[] = []
  for (let i = 0; i < 6; i++) ids.push(await a.append(id, text(`${i}`)))
  const page = async (options: Parameters<SwarmConversations['history']>[1]) => {
    const out: string[] = []
    for await (const e of a.history(id, options)) out.push(e.fields.body ?? e.type)
    return out
  }
  expect(await page({ limit: 2 })).toEqual(['5', '4'])
  expect(await page({ before: ids[2] as never, limit: 2 })).toEqual(['1', '0'])
  expect(await page({ after: ids[3] as never, order: 'oldest' })).toEqual(['4', '5'])
})
