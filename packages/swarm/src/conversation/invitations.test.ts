// Invitations: the table of what is stored, clamped dates, floods by class, and the way from an invitation to a place in the group.
// docs/protocol/04 §5.2, §4.5.3.
import type { AccountUri, ConversationId } from '@jamikit/core/contracts'
import { failingStorage, FakeContacts, ManualClock } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { memoryFiles } from '../../test/memory.ts'
import { alice, bob, carol, everybody, roles, World } from '../../test/world.ts'
import { INVITED_AHEAD_MS, MAX_DECLINED, MAX_INVITATIONS, MAX_INVITATIONS_OF_ONE, STALE_INVITATION_MS } from '../defaults.ts'
import { Invitations } from './invitations.ts'
import { parseInvitation, printCommitNotice, printInvitation } from './small-payloads.ts'

const id = (n: number) => n.toString(16).padStart(40, '0') as ConversationId
const account = (n: number) => `c${n.toString(16).padStart(39, '0')}` as AccountUri
const FRIEND = account(0)

function store(storage = memoryFiles(), clock = new ManualClock()) {
  const problems: string[] = []
  const contacts = new FakeContacts(FRIEND)
  const invitations = new Invitations({ clock, storage, prefix: 'a', contacts, onProblem: (of) => problems.push(of) })
  const offer = async (n: number, receivedMs: number, from: AccountUri = FRIEND) => (await invitations.offer(from, parseInvitation(printInvitation(id(n), 2, receivedMs, { title: `group ${n}` })))).outcome
  return { storage, clock, contacts, invitations, problems, offer }
}

describe('SWM-29 an invitation', () => {
  it('that is new is stored; while it waits, others to the same conversation are ignored', async () => {
    const { invitations, clock, offer } = store()
    const now = clock.wallTimeMs()
    expect([await offer(1, now - 5000), await offer(1, now), await offer(1, now, account(7))]).toEqual(['stored', 'known', 'known'])
    expect(invitations.list).toEqual([{ conversation: id(1), from: FRIEND, mode: 2, receivedMs: now - 5000, profile: { title: 'group 1' } }])
  })

  it('that was declined comes again only when it is later than that', async () => {
    const { invitations, clock, offer } = store()
    const now = clock.wallTimeMs()
    await offer(1, now - 10)
    await invitations.decline(id(1))
    expect([await offer(1, now - 5), await offer(1, now), invitations.list.length, invitations.isDeclined(id(1))]).toEqual(['known', 'known', 0, true])
    await clock.advance(1000)
    expect([await offer(1, now + 500), invitations.list.length, invitations.isDeclined(id(1))]).toEqual(['stored', 1, false])
    await expect(invitations.decline(id(2))).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
  })

  it.each([
    ['nothing', 0, 0], ['300 s ahead', INVITED_AHEAD_MS, 0], ['more than 300 s ahead', INVITED_AHEAD_MS + 1, 0], ['a day ago', -86_400_000, -86_400_000], ['the end of time', Number.MAX_SAFE_INTEGER, 0],
  ])('whose date says %s is not of the future', async (_what, ahead, got) => {
    const { invitations, clock, offer } = store()
    await offer(1, ahead === 0 ? 0 : Math.min(Number.MAX_SAFE_INTEGER, clock.wallTimeMs() + ahead))
    expect((invitations.list[0]?.receivedMs ?? 0) - clock.wallTimeMs()).toBe(got)
  })

  it('is there after a restart, declined ones too; a record that cannot be read costs itself', async () => {
    const first = store()
    for (const n of [1, 2, 3]) await first.offer(n, first.clock.wallTimeMs() - 10 + n)
    await first.invitations.decline(id(2))
    await first.storage.batch([{ key: `a/invitations/${id(3)}`, value: Uint8Array.of(0xc1) }])
    const again = store(first.storage, first.clock)
    await again.invitations.load()
    expect([again.invitations.list, again.invitations.isDeclined(id(2)), again.problems]).toEqual([[first.invitations.get(id(1))], true, [id(3)]])
  })

  it('is in memory when it is on disk, and gone from memory when it is gone from disk', async () => {
    const storage = failingStorage(memoryFiles())
    const { invitations, clock } = store()
    const failing = new Invitations({ clock, storage, prefix: 'a', contacts: new FakeContacts(FRIEND), onProblem: () => {} })
    const one = parseInvitation(printInvitation(id(1), 2, 1))
    storage.plan = { from: 1 }
    await expect(failing.offer(FRIEND, one)).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    expect(failing.list).toEqual([])
    storage.plan = {}
    await failing.offer(FRIEND, one)
    storage.plan = { from: 1 }
    await expect(failing.decline(id(1))).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    await expect(failing.answered(id(1), (ops) => storage.batch(ops))).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    expect([failing.list.length, failing.isDeclined(id(1)), invitations.list]).toEqual([1, false, []])
    storage.plan = {}
    await failing.decline(id(1))
    expect([failing.list.length, failing.isDeclined(id(1))]).toEqual([0, true])
  })
})

describe('floods of invitations', () => {
  it('of one account end at its share, for a contact and for a stranger', async () => {
    const { invitations, offer } = store()
    for (let n = 0; n < 40; n++) {
      await offer(n, 0)
      await offer(100 + n, 0, account(9))
    }
    const of = (from: AccountUri) => invitations.list.filter((invitation) => invitation.from === from).length
    expect([of(FRIEND), of(account(9))]).toEqual([MAX_INVITATIONS_OF_ONE.contact, MAX_INVITATIONS_OF_ONE.stranger])
  })

  it('of many strangers end at the bound of all strangers; contacts keep their places', async () => {
    const { invitations, offer } = store()
    const outcomes = new Set<string>()
    for (let n = 0; n < MAX_INVITATIONS.stranger + 50; n++) outcomes.add(await offer(n, 0, account(100 + n)))
    expect([invitations.list.length, [...outcomes]]).toEqual([MAX_INVITATIONS.stranger, ['stored', 'full']])
    expect(await offer(5000, 0)).toBe('stored')
  })

  it('of contacts end at the bound of all contacts; what nobody answered for a month makes place', async () => {
    const { invitations, contacts, clock, offer } = store()
    for (let n = 0; n < MAX_INVITATIONS.contact; n++) {
      contacts.add(account(n))
      await offer(n, 0, account(n))
    }
    contacts.add(account(9000))
    expect(await offer(9000, 0, account(9000))).toBe('full')
    await clock.advance(STALE_INVITATION_MS + 1)
    expect([await offer(9000, 0, account(9000)), invitations.list.length, invitations.get(id(0))]).toEqual(['stored', MAX_INVITATIONS.contact, undefined])
  })

  it('that are declined one by one are remembered up to a bound, the oldest out', async () => {
    const { invitations, offer } = store()
    for (let n = 0; n <= MAX_DECLINED; n++) {
      await offer(n, 0)
      await invitations.decline(id(n))
    }
    expect([invitations.isDeclined(id(0)), invitations.isDeclined(id(1)), invitations.isDeclined(id(MAX_DECLINED))]).toEqual([false, true, true])
  })
})

describe('from an invitation to a place', () => {
  const invited = async () => {
    const world = new World()
    const storage = memoryFiles()
    const [a, b] = [await world.join(alice), await world.join(bob, { storage })]
    world.meet(alice, bob)
    const heard: string[] = []
    b.onInvitation(({ conversation }) => heard.push(conversation))
    const group = await a.create({ mode: 2, profile: { title: 'Two' } })
    await a.invite(group, bob.accountId)
    await world.clock.advance(1000)
    return { world, a, b, group, heard, storage }
  }

  it('accepted, it is cloned and joined, and the inviter sees it; the invitation is gone', async () => {
    const { world, a, b, group, heard } = await invited()
    expect([heard, b.invitations().length, b.list()]).toEqual([[group], 1, []])
    await b.accept({ conversation: group, from: alice.accountId })
    expect([b.invitations(), b.get(group)]).toEqual([[], { id: group, mode: 2, state: 'cloning', title: undefined, head: undefined }])
    await world.clock.advance(10_000)
    for (const who of [a, b]) expect(roles(who, group)).toEqual({ [alice.accountId]: 'admin', [bob.accountId]: 'member' })
  })

  it('declined, it stays away over a restart, and neither it nor its commits are heard or asked about; a later one is', async () => {
    const { world, a, b, group, storage } = await invited()
    await b.decline(group)
    await b.stop()
    await world.network.managers.get(bob.deviceId)?.stop()
    await world.messages.messengers.get(bob.deviceId)?.stop()
    const again = await world.join(bob, { storage })
    world.meet(alice, bob)
    await world.clock.advance(70_000)
    await world.tell(bob, alice, 'application/im-gitmessage-id', printCommitNotice({ conversation: group, commit: a.get(group)?.head as never, device: alice.deviceId }))
    expect([again.invitations(), again.list(), world.count('application/invite')]).toEqual([[], [], 0])
    await a.invite(group, bob.accountId)
    await world.clock.advance(1000)
    expect(again.invitations().map(({ conversation }) => conversation)).toEqual([group])
  })

  it('SWM-18 while it waits, its commits are ignored: nobody is asked for an invitation', async () => {
    const { world, b, group } = await invited()
    await world.tell(bob, alice, 'application/im-gitmessage-id', printCommitNotice({ conversation: group, commit: 'e'.repeat(40) as never, device: alice.deviceId }))
    expect([world.count('application/invite'), b.list()]).toEqual([0, []])
  })

  it('an invitation to a document, and one whose sender is not in the group, lead nowhere', async () => {
    const { world, b, group } = await invited()
    await world.tell(bob, carol, 'application/invite+json', printInvitation(id(4), 4, 0))
    expect(b.invitations().map(({ conversation }) => conversation)).toEqual([group])
    await b.decline(group)
    await world.clock.advance(1000)
    await world.tell(bob, carol, 'application/invite+json', printInvitation(group, 2, 0))
    const problems: string[] = []
    b.onProblem(({ error }) => problems.push((error as { code?: string }).code ?? ''))
    await b.accept({ conversation: group, from: carol.accountId })
    await world.clock.advance(60_000)
    expect([b.get(group)?.state, problems]).toEqual(['cloning', []])
  })

  it('a disk that refuses the answer keeps the question', async () => {
    const world = new World()
    const storage = failingStorage(memoryFiles())
    const b = await world.join(bob, { storage, contacts: everybody() })
    await world.tell(bob, alice, 'application/invite+json', printInvitation(id(1), 2, 0))
    storage.plan = { from: 1 }
    await expect(b.accept({ conversation: id(1), from: alice.accountId })).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    await expect(b.decline(id(1))).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    expect([b.invitations().length, b.list()]).toEqual([1, []])
    storage.plan = {}
    await b.accept({ conversation: id(1), from: alice.accountId })
    expect([b.invitations(), b.list().map(({ mode }) => mode)]).toEqual([[], [2]])
    await b.stop()
  })

  it('a flood over the channel costs its sender: others are heard, nothing is asked or fetched, and the warnings are summed up', async () => {
    const world = new World()
    const b = await world.join(bob, { contacts: new FakeContacts(alice.accountId, carol.accountId) })
    let heard = 0
    b.onInvitation(() => heard++)
    const sent = world.messages.sent.length
    for (let n = 0; n < 500; n++) await world.tell(bob, alice, 'application/invite+json', printInvitation(id(n), 2, 0, { title: 'x'.repeat(1000), avatar: new Uint8Array(40_000) }))
    await world.tell(bob, carol, 'application/invite+json', printInvitation(id(1000), 2, 0))
    expect([heard, b.invitations().length, b.invitations().at(-1)?.from, world.messages.sent.length - sent, b.list()]).toEqual([MAX_INVITATIONS_OF_ONE.contact + 1, MAX_INVITATIONS_OF_ONE.contact + 1, carol.accountId, 0, []])
    await b.stop()
  })
})
