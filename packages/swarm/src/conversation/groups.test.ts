// Groups of several people over doubles of links and messages: made, invited to, joined, banned from, renamed; what a hostile member may not.
// docs/protocol/04 §1.3, §5.4, §5.5, B.5.
import type { ConversationId, DeviceIdentity } from '@jamikit/core/contracts'
import { failingStorage, FakeContacts } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { memoryFiles } from '../../test/memory.ts'
import { alice, bob, carol, dave, roles, story, text, texts, World } from '../../test/world.ts'
import { MAX_ANNOUNCED, MAX_AVATAR_BYTES, MAX_LATELY_INVITED } from '../defaults.ts'
import { parseInvitation, printCommitNotice } from './small-payloads.ts'
import type { SwarmConversations } from './swarm.ts'

interface Crowd {
  readonly world: World
  readonly a: SwarmConversations
  readonly b: SwarmConversations
  readonly c: SwarmConversations
}

const settle = (world: World, ms = 10_000) => world.clock.advance(ms)

/** Three who can reach each other. */
async function crowd(): Promise<Crowd> {
  const world = new World()
  const [a, b, c] = [await world.join(alice), await world.join(bob), await world.join(carol)]
  for (const [one, other] of [[alice, bob], [alice, carol], [bob, carol]] as const) world.meet(one, other)
  return { world, a, b, c }
}

async function joins(world: World, inviter: SwarmConversations, who: SwarmConversations, identity: DeviceIdentity, id: ConversationId): Promise<void> {
  await inviter.invite(id, identity.accountId)
  await settle(world, 1000)
  const [invitation] = who.invitations().filter((known) => known.conversation === id)
  if (!invitation) throw new Error('no invitation came')
  await who.accept(invitation)
  await settle(world)
}

/** Alice's group, which Bob and Carol have joined. */
async function trio(): Promise<Crowd & { id: ConversationId }> {
  const all = await crowd()
  const id = await all.a.create({ mode: 2, profile: { title: 'Trio' } })
  await joins(all.world, all.a, all.b, bob, id)
  await joins(all.world, all.a, all.c, carol, id)
  return { ...all, id }
}

describe('a group', () => {
  it('SWM-1 SWM-6 is made, named, joined by two who were invited, and what each writes comes to all', async () => {
    const { world, a, b, c, id } = await trio()
    expect(await story(c, id)).toEqual(['initial', 'application/update-profile', 'member add', 'member join', 'member add', 'member join'])
    for (const [n, who] of [a, b, c].entries()) {
      await who.append(id, text(`from ${n}`))
      await settle(world)
    }
    for (const who of [a, b, c]) {
      expect(await texts(who, id)).toEqual(['from 0', 'from 1', 'from 2'])
      expect(roles(who, id)).toEqual({ [alice.accountId]: 'admin', [bob.accountId]: 'member', [carol.accountId]: 'member' })
      expect(who.get(id)).toMatchObject({ mode: 2, state: 'ready', title: 'Trio', head: a.get(id)?.head })
    }
    const members = b.members(id)
    await b.append(id, text('more'))
    expect(b.members(id)).toBe(members)
    expect([b.roleOf(id, carol.accountId), b.roleOf(id, dave.accountId), b.shares(carol.accountId), b.shares(dave.accountId)]).toEqual(['member', undefined, true, false])
  })

  it('what was said before somebody was invited is history to its program; what was said since is new', async () => {
    const { world, a, b, c } = await crowd()
    const id = await a.create({ mode: 2 })
    await joins(world, a, b, bob, id)
    await a.append(id, text('long ago'))
    await a.invite(id, carol.accountId)
    await a.append(id, text('since then'))
    await settle(world)
    await c.accept({ conversation: id, from: alice.accountId, mode: 2 })
    await settle(world)
    const fresh: (string | undefined)[] = []
    for await (const { type, fields } of c.unacknowledged(id)) if (type === 'text/plain') fresh.push(fields.body)
    expect([fresh, await texts(c, id)]).toEqual([['since then'], ['long ago', 'since then']])
  })

  it('begins with us alone, and two of one second are two', async () => {
    const { a } = await crowd()
    const [one, two] = await Promise.all([a.create({ mode: 2 }), a.create({ mode: 2 })])
    expect(one).not.toBe(two)
    expect([roles(a, one), await story(a, one), await a.profile(one), a.get(one)?.title]).toEqual([{ [alice.accountId]: 'admin' }, ['initial'], {}, undefined])
  })

  it('many of one second are made at once, none begins in the future, and a restart right after makes more', async () => {
    const world = new World()
    const storage = memoryFiles()
    const before = await world.join(alice, { storage })
    const ids = await Promise.all(Array.from({ length: 10 }, () => before.create({ mode: 2 })))
    await before.stop()
    await (world.network.managers.get(alice.deviceId)?.stop())
    const a = await world.join(alice, { storage })
    ids.push(await a.create({ mode: 2 }), await a.create({ mode: 2 }))
    expect(new Set(ids).size).toBe(12)
    for (const id of ids) for await (const { timeMs } of a.history(id)) expect(timeMs).toBeLessThanOrEqual(world.clock.wallTimeMs())
    await a.stop()
  })

  it('is named again by its admin: what is given changes, null takes away, the rest stays; nothing new writes nothing', async () => {
    const { world, a, b, id } = await trio()
    const updated: string[] = []
    b.onUpdated(({ conversation }) => updated.push(conversation))
    await a.updateProfile(id, { description: 'three of us', avatar: Uint8Array.of(1, 2, 3) })
    await settle(world)
    expect([await b.profile(id), b.get(id)?.title]).toEqual([{ title: 'Trio', description: 'three of us', avatar: Uint8Array.of(1, 2, 3) }, 'Trio'])
    await a.updateProfile(id, { title: 'Three', description: null, avatar: null })
    await settle(world)
    expect([await b.profile(id), b.get(id)?.title, updated]).toEqual([{ title: 'Three' }, 'Three', [id, id]])
    const head = a.get(id)?.head
    await a.updateProfile(id, { title: 'Three' })
    expect(a.get(id)?.head).toBe(head)
  })

  it('a profile that breaks a bound, or of somebody who is no admin, is refused before anything is written', async () => {
    const { a, b, id } = await trio()
    const heads = [a.get(id)?.head, b.get(id)?.head]
    await expect(b.updateProfile(id, { title: 'mine' })).rejects.toMatchObject({ code: 'ERR_NOT_ADMIN', details: { got: 'member', allowed: 'admin' } })
    await expect(a.updateProfile(id, { title: 'x'.repeat(1001) })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(a.updateProfile(id, { avatar: new Uint8Array(MAX_AVATAR_BYTES + 1) })).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { allowed: MAX_AVATAR_BYTES } })
    await expect(a.updateProfile(id, { title: 5 as never })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(a.create({ mode: 2, profile: { avatar: new Uint8Array(MAX_AVATAR_BYTES + 1) } })).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    expect([a.get(id)?.head, b.get(id)?.head, a.list().length]).toEqual([...heads, 1])
  })
})

describe('inviting', () => {
  it('again, of somebody who was invited, writes nothing and sends a newer invitation', async () => {
    const { world, a, id } = await trio()
    await a.invite(id, dave.accountId)
    const head = a.get(id)?.head
    await settle(world)
    await a.invite(id, dave.accountId)
    await settle(world, 100)
    const sent = world.messages.sent.filter(({ mime, to }) => mime === 'application/invite+json' && to === dave.accountId).map(({ body }) => parseInvitation(body))
    expect([a.get(id)?.head, sent.length, sent[0]?.profile, (sent[1]?.receivedMs ?? 0) > (sent[0]?.receivedMs ?? 0)]).toEqual([head, 2, { title: 'Trio' }, true])
  })

  it('of the same person twice at once is one commit', async () => {
    const { a, id } = await trio()
    await Promise.all([a.invite(id, dave.accountId), a.invite(id, dave.accountId)])
    expect((await story(a, id)).filter((line) => line === 'member add')).toHaveLength(3)
  })

  it('is for members, of others, and in a 1:1 of the two only', async () => {
    const { world, a, b, id } = await trio()
    await expect(a.invite(id, alice.accountId)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    const direct = await a.create({ mode: 0, peer: bob.accountId })
    await expect(a.invite(direct, carol.accountId)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await a.ban(id, bob.accountId)
    await expect(b.invite('0'.repeat(40) as ConversationId, carol.accountId)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    await b.invite(id, dave.accountId) // by a member: he does not know yet
    await settle(world)
    expect(a.roleOf(id, dave.accountId)).toBeUndefined()
  })

  it('SWM-18 reaches a device that comes later, and one that lost it and asks; a stranger who asks gets none', async () => {
    const { world, a, id } = await trio()
    await a.invite(id, dave.accountId)
    const count = () => world.count('application/invite+json')
    const before = count()
    const d = await world.join(dave)
    world.meet(alice, dave)
    await settle(world, 1000)
    expect(d.invitations().map(({ conversation, from, mode, profile }) => [conversation, from, mode, profile])).toEqual([[id, alice.accountId, 2, { title: 'Trio' }]])
    await settle(world, 61_000)
    const again = count()
    await world.tell(alice, dave, 'application/invite', id)
    await world.tell(alice, dave, 'application/invite', id)
    await world.tell(alice, { ...dave, accountId: '9'.repeat(40) as never }, 'application/invite', id)
    await settle(world, 1000)
    expect([again > before, count() - again]).toEqual([true, 1])
  })
})

describe('a ban', () => {
  it('SWM-6 is a vote and what it comes to, in one step; the banned one can neither fetch nor be heard, and everybody is told', async () => {
    const { world, a, b, c, id } = await trio()
    const banned: unknown[] = []
    for (const who of [a, c]) who.onBanned((event) => banned.push(event))
    await a.ban(id, bob.accountId)
    await settle(world)
    for (const who of [a, c]) expect([(await story(who, id)).slice(-2), who.roleOf(id, bob.accountId), who.shares(bob.accountId)]).toEqual([['vote', 'member ban'], 'banned', false])
    expect(banned).toEqual([{ conversation: id, account: bob.accountId }, { conversation: id, account: bob.accountId }])
    expect((await story(b, id)).at(-1)).toBe('member join')
    await b.append(id, text('let me in'))
    await a.append(id, text('without Bob'))
    await settle(world, 60_000)
    expect([await texts(a, id), await texts(c, id), await texts(b, id)]).toEqual([['without Bob'], ['without Bob'], ['let me in']])
    expect(b.get(id)?.head).not.toBe(a.get(id)?.head)
  })

  it('drops what the banned one is typing, and what it reads is not counted any more', async () => {
    const { world, a, id } = await trio()
    const typing: boolean[] = []
    a.onTyping(({ active }) => typing.push(active))
    const message = await a.append(id, text('x'))
    await settle(world)
    await world.tell(alice, bob, 'application/im-iscomposing+xml', `<isComposing><state>active</state><conversation>${id}</conversation></isComposing>`)
    await a.ban(id, bob.accountId)
    expect(typing).toEqual([true, false])
    await world.tell(alice, bob, 'message/imdn+xml', `<imdn><message-id>${message}</message-id><conversation>${id}</conversation><status><displayed/></status></imdn>`)
    await world.tell(alice, bob, 'application/im-iscomposing+xml', `<isComposing><state>active</state><conversation>${id}</conversation></isComposing>`)
    await settle(world)
    expect([typing, a.statusOf(id, message, bob.accountId)?.status]).toEqual([[true, false], 'sent'])
  })

  it('ends the git channels of the banned one at once, and new ones are declined', async () => {
    const { world, a, id } = await trio()
    const connections = world.network.managers.get(bob.deviceId)
    const channel = await world.clock.run(connections?.openChannel(alice.deviceId, `git://${alice.deviceId}/${id}`, {}) ?? Promise.reject(new Error('nobody')))
    let closed = false
    void channel.closed.then(() => { closed = true })
    await a.ban(id, bob.accountId)
    await settle(world, 1000)
    expect(closed).toBe(true)
    const error: unknown = await world.clock.run((connections?.openChannel(alice.deviceId, `git://${alice.deviceId}/${id}`, {}) ?? Promise.reject(new Error('nobody'))).catch((e: unknown) => e))
    expect(error).toMatchObject({ code: 'ERR_CHANNEL_DECLINED' })
  })

  it('is taken back by unban, or by inviting again: the person fetches, and is what it was', async () => {
    for (const back of ['unban', 'invite'] as const) {
      const { world, a, b, id } = await trio()
      await a.ban(id, bob.accountId)
      await settle(world)
      await a[back](id, bob.accountId)
      await a.append(id, text('welcome back'))
      await settle(world, 20_000)
      expect([await texts(b, id), a.roleOf(id, bob.accountId), b.get(id)?.head === a.get(id)?.head, (await story(a, id)).slice(-3)]).toEqual([['welcome back'], 'member', true, ['vote', 'member unban', 'welcome back']])
    }
  })

  it('is for admins, of others who are there; twice is once', async () => {
    const { a, b, id } = await trio()
    await expect(b.ban(id, carol.accountId)).rejects.toMatchObject({ code: 'ERR_NOT_ADMIN' })
    await expect(b.unban(id, carol.accountId)).rejects.toMatchObject({ code: 'ERR_NOT_ADMIN' })
    await expect(a.ban(id, alice.accountId)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(a.ban(id, dave.accountId)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    await a.unban(id, bob.accountId)
    await Promise.all([a.ban(id, bob.accountId), a.ban(id, bob.accountId)])
    await a.ban(id, bob.accountId)
    expect((await story(a, id)).filter((line) => line === 'vote')).toHaveLength(1)
    const direct = await a.create({ mode: 0, peer: bob.accountId })
    await expect(a.ban(direct, bob.accountId)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  })

  it('of somebody who is only invited refuses the clone, and the invitation', async () => {
    const { world, a, id } = await trio()
    const d = await world.join(dave)
    world.meet(alice, dave)
    await a.invite(id, dave.accountId)
    await settle(world, 1000)
    await a.ban(id, dave.accountId)
    await d.accept({ conversation: id, from: alice.accountId, mode: 2 })
    await settle(world, 30_000)
    expect([d.get(id)?.state, a.roleOf(id, dave.accountId)]).toEqual(['cloning', 'banned'])
  })
})

describe('the disk that refuses', () => {
  it('keeps every change of a group out of memory too, and the same call makes it when the disk is back', async () => {
    const world = new World()
    const storage = failingStorage(memoryFiles())
    const a = await world.join(alice, { storage })
    const id = await a.create({ mode: 2 })
    await a.invite(id, bob.accountId)
    const steps: [string, () => Promise<unknown>][] = [
      ['create', () => a.create({ mode: 2, profile: { title: 'x' } })], ['invite', () => a.invite(id, carol.accountId)], ['profile', () => a.updateProfile(id, { title: 'y' })],
      ['ban', () => a.ban(id, bob.accountId)], ['unban', () => a.unban(id, bob.accountId)], ['preferences', () => a.setPreferences(id, { a: 'b' })], ['leave', () => a.leave(id)],
    ]
    const shown = () => JSON.stringify([a.list(), a.members(id), a.preferences(id)])
    for (const [what, step] of steps) {
      const before = shown()
      storage.plan = { from: 1 }
      await expect(step(), what).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
      expect(shown(), what).toBe(before)
      storage.plan = {}
      await step()
      expect(shown(), what).not.toBe(before)
    }
    expect(a.list().map((known) => known.title)).toEqual(['x'])
  })

  it('at any write of a ban leaves both commits or none', async () => {
    for (let at = 1; ; at++) {
      const world = new World()
      const storage = failingStorage(memoryFiles())
      const a = await world.join(alice, { storage })
      const id = await a.create({ mode: 2 })
      await a.invite(id, bob.accountId)
      storage.plan = { at }
      const outcome = await a.ban(id, bob.accountId).then(() => 'done', () => 'refused')
      storage.plan = {}
      const here = await story(a, id)
      await a.stop()
      const again = await new World().join(alice, { storage })
      const kept = await story(again, id)
      for (const seen of [here, kept]) expect([[], ['vote', 'member ban']]).toContainEqual(seen.slice(2))
      await again.ban(id, bob.accountId)
      expect((await story(again, id)).slice(2)).toEqual(['vote', 'member ban'])
      if (outcome === 'done') break
      expect(at).toBeLessThan(10)
    }
  })
})

describe('a hostile member', () => {
  it('brings us into no group by calling it a 1:1', async () => {
    const { world, a, b } = await crowd()
    const id = await a.create({ mode: 2 })
    await a.invite(id, bob.accountId)
    await world.tell(bob, alice, 'application/invite+json', JSON.stringify({ conversationId: id, metadatas: { mode: '0' } }))
    await settle(world, 60_000)
    expect([b.get(id)?.state, b.get(id)?.head]).toEqual(['cloning', undefined])
  })

  it('SWM-S17 is not heard in a group it is not in: notices, receipts and typing change nothing', async () => {
    const { world, a, id } = await trio()
    const d = await world.join(dave)
    void d
    world.meet(alice, dave)
    const sent = world.messages.sent.length
    let typing = 0
    a.onTyping(() => typing++)
    await world.tell(alice, dave, 'application/im-gitmessage-id', printCommitNotice({ conversation: id, commit: 'e'.repeat(40) as never, device: dave.deviceId }))
    await world.tell(alice, dave, 'application/im-iscomposing+xml', `<isComposing><state>active</state><conversation>${id}</conversation></isComposing>`)
    await world.tell(alice, dave, 'application/invite', id)
    await settle(world)
    expect([typing, world.messages.sent.length - sent]).toEqual([0, 0])
  })

  it('who adds a thousand people makes us announce to two of them', async () => {
    const world = new World()
    const a = await world.join(alice)
    const id = await a.create({ mode: 2 })
    for (let n = 0; n < MAX_ANNOUNCED + 20; n++) await a.invite(id, (n + 1).toString(16).padStart(40, '0') as never)
    const before = world.count('application/im-gitmessage-id')
    await a.append(id, text('hello'))
    expect(world.count('application/im-gitmessage-id') - before).toBe(2) // nobody is connected: two by chance
    await a.stop()
  })
})

it('invitations of the same contact to many groups are all accepted: only 1:1 conversations are counted by peer', async () => {
  const world = new World()
  const b = await world.join(bob, { contacts: new FakeContacts(alice.accountId) })
  for (let n = 1; n <= 20; n++) await b.accept({ conversation: n.toString(16).padStart(40, '0') as ConversationId, from: alice.accountId, mode: 2 })
  expect(b.list().map(({ mode, state }) => `${mode} ${state}`)).toEqual(Array.from({ length: 20 }, () => '2 cloning'))
  await b.stop()
})

it('SWM-S18 a device that asks again and again gets one invitation a minute; which devices got one is remembered up to a bound', async () => {
  const { world, a, id } = await trio()
  void a
  const device = (n: number) => n.toString(16).padStart(64, '0') as never
  const ask = (n: number) => world.tell(alice, { ...bob, deviceId: device(n) }, 'application/invite', id)
  const answers = () => world.messages.sent.filter(({ mime, to }) => mime === 'application/invite+json' && to === device(0)).length
  for (let n = 0; n < 5; n++) await ask(0)
  await settle(world, 100)
  expect(answers()).toBe(1)
  for (let n = 1; n <= MAX_LATELY_INVITED; n++) await ask(n)
  await ask(0)
  await settle(world, 100)
  expect(answers()).toBe(2)
})
