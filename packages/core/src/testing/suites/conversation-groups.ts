// Contract suite of groups, a part of Conversations: made, invited to, joined, declined, left, banned from, named. docs/protocol/04 §5, §8.
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { ConversationEntry } from '../../contracts/entry.ts'
import type { ConversationInvitation } from '../../contracts/groups.ts'
import type { ConversationId } from '../../contracts/ids.ts'
import { type ContractTest, rejectsWith, testsOf } from './contract-test.ts'
import type { ConversationsUnderTest, ConverserUnderTest } from './conversations.ts'

const text = (body: string) => ({ type: 'text/plain', fields: { body } })
const NOWHERE = 'e'.repeat(40) as ConversationId

const roles = (who: ConverserUnderTest, id: ConversationId) => Object.fromEntries(who.conversations.members(id).map(({ uri, role }) => [uri, role]))
const shown = ({ type, fields }: ConversationEntry) => (type === 'text/plain' ? fields.body : type === 'member' ? `member ${fields.action}` : type)

/** What groups must do, as tests to run one by one. @param make makes fresh ones for each test */
export function conversationGroupsSuite(make: () => ConversationsUnderTest | Promise<ConversationsUnderTest>): ContractTest[] {
  interface Tools {
    /** What somebody's history shows, oldest first. */
    story(who: ConverserUnderTest, id: ConversationId): Promise<(string | undefined)[]>
    /** A group of `a` to which `b` is invited, and knows it; both can reach each other. */
    invited(): Promise<ConversationId>
    /** The same, and `b` has joined. */
    joined(): Promise<ConversationId>
  }
  const test = testsOf(
    make,
    (t) => t.drive(Promise.all([t.a.conversations.stop(), t.b.conversations.stop()])),
    (t): Tools => {
      const invited = async () => {
        const id = await t.drive(t.a.conversations.create({ mode: 2, profile: { title: 'A group' } }))
        await t.meet()
        await t.drive(t.a.conversations.invite(id, t.b.account))
        await t.settle()
        return id
      }
      return {
        story: ({ conversations }, id) => t.drive((async () => {
          const out: (string | undefined)[] = []
          for await (const entry of conversations.history(id, { order: 'oldest' })) if (entry.type !== 'merge') out.push(shown(entry))
          return out
        })()),
        invited,
        joined: async () => {
          const id = await invited()
          await t.drive(t.b.conversations.accept({ conversation: id, from: t.a.account }))
          await t.settle()
          deepStrictEqual(t.b.conversations.get(id)?.state, 'ready')
          return id
        },
      }
    },
  )

  return [
    test('a group that is made here is ready, with us alone as admin; nothing is sent; what is asked of none is ERR_NOT_FOUND', async ({ a, b, meet, settle, drive, story }) => {
      await meet()
      const id = await drive(a.conversations.create({ mode: 2 }))
      const named = await drive(a.conversations.create({ mode: 2, profile: { title: 'One', description: 'of us', avatar: Uint8Array.of(1, 2, 3) } }))
      ok(id !== named)
      deepStrictEqual([a.conversations.get(id)?.mode, a.conversations.get(id)?.state, a.conversations.get(id)?.title, roles(a, id)], [2, 'ready', undefined, { [a.account]: 'admin' }])
      deepStrictEqual([await story(a, id), await story(a, named), a.conversations.get(named)?.title], [['initial'], ['initial', 'application/update-profile'], 'One'])
      const { title, description, avatar } = await drive(a.conversations.profile(named))
      deepStrictEqual([title, description, [...(avatar ?? [])], await drive(a.conversations.profile(id))], ['One', 'of us', [1, 2, 3], {}])
      await settle()
      deepStrictEqual([b.conversations.list(), b.conversations.invitations()], [[], []])
      for (const work of [
        () => a.conversations.invite(NOWHERE, b.account), () => a.conversations.ban(NOWHERE, b.account), () => a.conversations.unban(NOWHERE, b.account), () => a.conversations.leave(NOWHERE), () => a.conversations.decline(NOWHERE),
        () => a.conversations.profile(NOWHERE), () => a.conversations.updateProfile(NOWHERE, { title: 'x' }), () => a.conversations.setPreferences(NOWHERE, {}),
      ]) await rejectsWith('ERR_NOT_FOUND', drive<unknown>(work()))
      deepStrictEqual([a.conversations.members(NOWHERE), a.conversations.roleOf(NOWHERE, a.account), a.conversations.preferences(NOWHERE)], [[], undefined, {}])
    }),
    test('an invitation waits with what the group calls itself; accepted, both are in it and speak', async ({ a, b, settle, drive, invited, story }) => {
      const heard: ConversationInvitation[] = []
      b.conversations.onInvitation((invitation) => heard.push(invitation))
      const id = await invited()
      deepStrictEqual(b.conversations.invitations(), heard)
      const [invitation] = heard
      ok(invitation && invitation.receivedMs > 0)
      deepStrictEqual([heard.length, invitation.conversation, invitation.from, invitation.mode, invitation.profile, b.conversations.list()], [1, id, a.account, 2, { title: 'A group' }, []])
      deepStrictEqual([roles(a, id), a.conversations.roleOf(id, b.account), a.conversations.shares(b.account)], [{ [a.account]: 'admin', [b.account]: 'invited' }, 'invited', true])
      await drive(b.conversations.accept(invitation))
      deepStrictEqual(b.conversations.invitations(), [])
      await settle()
      await drive(b.conversations.append(id, text('hello')))
      await settle()
      for (const who of [a, b]) {
        deepStrictEqual(roles(who, id), { [a.account]: 'admin', [b.account]: 'member' })
        deepStrictEqual(await story(who, id), ['initial', 'application/update-profile', 'member add', 'member join', 'hello'])
        deepStrictEqual([who.conversations.get(id)?.mode, who.conversations.get(id)?.title], [2, 'A group'])
      }
      deepStrictEqual(b.conversations.shares(a.account), true)
    }),
    test('an invitation reaches who comes later', async ({ a, b, meet, settle, drive }) => {
      const id = await drive(a.conversations.create({ mode: 2 }))
      await drive(a.conversations.invite(id, b.account))
      await settle()
      deepStrictEqual(b.conversations.invitations(), [])
      await meet()
      await settle()
      deepStrictEqual(b.conversations.invitations().map(({ conversation }) => conversation), [id])
    }),
    test('declined, it is gone; only a later one is heard', async ({ a, b, settle, drive, invited }) => {
      const id = await invited()
      await drive(b.conversations.decline(id))
      await rejectsWith('ERR_NOT_FOUND', drive(b.conversations.decline(id)))
      await settle()
      deepStrictEqual([b.conversations.invitations(), b.conversations.list(), roles(a, id)[b.account]], [[], [], 'invited'])
      await drive(a.conversations.invite(id, b.account))
      await settle()
      deepStrictEqual(b.conversations.invitations().map(({ conversation }) => conversation), [id])
    }),
    test('an invitation that waits, an answer and preferences survive a restart', async ({ a, b, settle, drive, invited, restart }) => {
      const id = await invited()
      const there = await restart(b)
      deepStrictEqual(there.conversations.invitations().map(({ conversation, from, profile }) => [conversation, from, profile]), [[id, a.account, { title: 'A group' }]])
      await drive(there.conversations.accept({ conversation: id, from: a.account }))
      await drive(there.conversations.setPreferences(id, { hostConferences: 'true' }))
      const again = await restart(there)
      deepStrictEqual([again.conversations.invitations(), again.conversations.get(id)?.mode, again.conversations.preferences(id)], [[], 2, { hostConferences: 'true' }])
      await settle()
      await drive(again.conversations.stop())
    }),
    test('whoever leaves has it no more; the others keep it and see that', async ({ a, b, settle, drive, joined, story }) => {
      const id = await joined()
      const removed: ConversationId[] = []
      b.conversations.onRemoved(({ conversation }) => removed.push(conversation))
      await drive(b.conversations.append(id, text('bye')))
      await settle()
      await drive(b.conversations.leave(id))
      deepStrictEqual([b.conversations.list(), b.conversations.get(id), removed], [[], undefined, [id]])
      await rejectsWith('ERR_NOT_FOUND', drive(b.conversations.append(id, text('too late'))))
      await settle()
      deepStrictEqual([roles(a, id), (await story(a, id)).slice(-2), a.conversations.shares(b.account)], [{ [a.account]: 'admin' }, ['bye', 'member remove'], false])
      await drive(a.conversations.append(id, text('alone')))
      await settle()
      deepStrictEqual([b.conversations.list(), b.conversations.invitations()], [[], []])
    }),
    test('who left can be invited and join again, and has everything', async ({ a, b, settle, drive, joined, story }) => {
      const id = await joined()
      await drive(b.conversations.leave(id))
      await settle()
      await drive(a.conversations.append(id, text('meanwhile')))
      await drive(a.conversations.invite(id, b.account))
      await settle()
      deepStrictEqual(b.conversations.invitations().map(({ conversation }) => conversation), [id])
      await drive(b.conversations.accept({ conversation: id, from: a.account }))
      await settle()
      await drive(b.conversations.append(id, text('again')))
      await settle()
      for (const who of [a, b]) deepStrictEqual([roles(who, id), (await story(who, id)).slice(-4)], [{ [a.account]: 'admin', [b.account]: 'member' }, ['meanwhile', 'member add', 'member join', 'again']])
    }),
    test('whoever is banned is heard and served no more, until it is taken back', async ({ a, b, settle, drive, joined, story }) => {
      const id = await joined()
      await drive(a.conversations.ban(id, b.account))
      await drive(a.conversations.ban(id, b.account))
      deepStrictEqual([roles(a, id), a.conversations.shares(b.account), (await story(a, id)).slice(-2)], [{ [a.account]: 'admin', [b.account]: 'banned' }, false, ['vote', 'member ban']])
      await drive(a.conversations.append(id, text('without b')))
      await drive(b.conversations.append(id, text('let me in')))
      await settle()
      deepStrictEqual([(await story(a, id)).at(-1), (await story(b, id)).at(-1)], ['without b', 'let me in'])
      await drive(a.conversations.unban(id, b.account))
      await drive(a.conversations.append(id, text('welcome back')))
      await settle()
      deepStrictEqual([roles(a, id)[b.account], (await story(b, id)).includes('welcome back')], ['member', true])
    }),
    test('what only admins may do is ERR_NOT_ADMIN for members; nobody bans themselves, or whom there is not', async ({ a, b, absent, drive, joined }) => {
      const id = await joined()
      await rejectsWith('ERR_NOT_ADMIN', drive(b.conversations.ban(id, a.account)))
      await rejectsWith('ERR_NOT_ADMIN', drive(b.conversations.unban(id, a.account)))
      await rejectsWith('ERR_NOT_ADMIN', drive(b.conversations.updateProfile(id, { title: 'mine' })))
      await rejectsWith('ERR_ARGUMENT', drive(a.conversations.ban(id, a.account)))
      await rejectsWith('ERR_NOT_FOUND', drive(a.conversations.ban(id, absent)))
      await rejectsWith('ERR_ARGUMENT', drive(a.conversations.invite(id, a.account)))
      const direct = await drive(a.conversations.create({ mode: 0, peer: b.account }))
      await rejectsWith('ERR_ARGUMENT', drive(a.conversations.invite(direct, absent)))
      await rejectsWith('ERR_ARGUMENT', drive(a.conversations.ban(direct, b.account)))
    }),
    test('a member invites, too', async ({ a, b, absent, settle, drive, joined }) => {
      const id = await joined()
      await drive(b.conversations.invite(id, absent))
      await settle()
      deepStrictEqual([roles(a, id)[absent], roles(b, id)[absent]], ['invited', 'invited'])
    }),
    test('a profile changes in what is given, on both sides, which are told; preferences are our own', async ({ a, b, settle, drive, joined }) => {
      const id = await joined()
      const updated: ConversationId[] = []
      b.conversations.onUpdated(({ conversation }) => updated.push(conversation))
      await drive(a.conversations.updateProfile(id, { description: 'of two' }))
      await settle()
      deepStrictEqual([await drive(b.conversations.profile(id)), updated], [{ title: 'A group', description: 'of two' }, [id]])
      await drive(a.conversations.updateProfile(id, { title: 'Two', description: null }))
      await settle()
      deepStrictEqual([await drive(b.conversations.profile(id)), b.conversations.get(id)?.title, updated], [{ title: 'Two' }, 'Two', [id, id]])
      await rejectsWith('ERR_LIMIT', drive(a.conversations.updateProfile(id, { avatar: new Uint8Array(65_537) })))
      await rejectsWith('ERR_ARGUMENT', drive(a.conversations.updateProfile(id, { title: 'x'.repeat(1_001) })))
      await drive(b.conversations.setPreferences(id, { a: '1', b: '2' }))
      await drive(b.conversations.setPreferences(id, { a: '3' }))
      deepStrictEqual([b.conversations.preferences(id), a.conversations.preferences(id), updated.length], [{ a: '3' }, {}, 4])
      await rejectsWith('ERR_LIMIT', drive(b.conversations.setPreferences(id, Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`${i}`, ''])))))
    }),
  ]
}
