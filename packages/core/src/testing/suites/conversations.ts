// Contract suite of Conversations: git repositories fetched over links, and the double in memory. docs/protocol/04 §4, §5.
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { Conversations, MessageStatusEvent } from '../../contracts/conversations.ts'
import type { ConversationEntry } from '../../contracts/entry.ts'
import type { AccountUri, ConversationId, DeviceId, MessageId } from '../../contracts/ids.ts'
import type { Op } from '../../contracts/service.ts'
import { type ContractTest, rejectsWith, throwsWith, testsOf } from './contract-test.ts'

/** One device and its conversations. */
export interface ConverserUnderTest {
  /** The ones under test. */
  readonly conversations: Conversations
  /** Whose device. */
  readonly account: AccountUri
  /** Which one. */
  readonly device: DeviceId
}

/** Two people, and what the tests do around them. */
export interface ConversationsUnderTest {
  /** Confirmed contacts of each other; started; they cannot reach each other until `meet`. */
  readonly a: ConverserUnderTest
  /** See `a`. */
  readonly b: ConverserUnderTest
  /** An account that is not here. */
  readonly absent: AccountUri
  /** The two can reach each other from now on, and know it. */
  meet(): Promise<void>
  /** They cannot any more. */
  part(): Promise<void>
  /** Stops one and starts it again on what it kept. It must be told to `meet` again. */
  restart(who: ConverserUnderTest): Promise<ConverserUnderTest>
  /** Waits for `work`, letting time pass as it must. */
  drive<T>(work: Promise<T>): Promise<T>
  /** Lets everything that is under way come to its end: at least a second, less than five. */
  settle(): Promise<void>
  /** Lets this much time pass; left out where time is real: then nothing that ends by itself is tested. */
  advance?(ms: number): Promise<void>
  /** Ends what it is made of. */
  dispose?(): Promise<void>
}

type HistoryOptions = Parameters<Conversations['history']>[1]

const text = (body: string) => ({ type: 'text/plain', fields: { body } })
const NOWHERE = 'e'.repeat(40) as ConversationId
const NOTHING = 'd'.repeat(40) as MessageId
/** Typing ends by itself after this. */
const TYPING_MS = 12_000

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = []
  for await (const item of items) out.push(item)
  return out
}

const shown = (entries: readonly ConversationEntry[]) => entries.map(({ type, fields }) => (type === 'text/plain' ? fields.body : type))
const roles = (who: ConverserUnderTest, id: ConversationId) => Object.fromEntries(who.conversations.members(id).map(({ uri, role }) => [uri, role]))

/** What Conversations must do, as tests to run one by one. @param make makes fresh ones for each test */
export function conversationsSuite(make: () => ConversationsUnderTest | Promise<ConversationsUnderTest>): ContractTest[] {
  interface Tools {
    /** What somebody's history shows, oldest first. */
    story(who: ConverserUnderTest, id: ConversationId, options?: HistoryOptions): Promise<(string | undefined)[]>
    /** A conversation of `a` that `b` has joined; both can reach each other. */
    joined(): Promise<ConversationId>
  }
  const test = testsOf(
    make,
    (t) => t.drive(Promise.all([t.a.conversations.stop(), t.b.conversations.stop()])),
    (t): Tools => ({
      story: async ({ conversations }, id, options) => shown(await t.drive(all(conversations.history(id, { order: 'oldest', ...options })))),
      joined: async () => {
        const id = await t.drive(t.a.conversations.create({ mode: 0, peer: t.b.account }))
        await t.drive(t.b.conversations.accept({ conversation: id, from: t.a.account }))
        await t.meet()
        await t.settle()
        deepStrictEqual(t.b.conversations.get(id)?.state, 'ready')
        return id
      },
    }),
  )
  const unseen = async (t: ConversationsUnderTest, who: ConverserUnderTest, id: ConversationId) => await t.drive(all(who.conversations.unacknowledged(id)))

  return [
    test('there is none at first, and what is asked of one is ERR_NOT_FOUND', async ({ a: { conversations, account }, drive }) => {
      deepStrictEqual([conversations.list(), conversations.get(NOWHERE), conversations.statusOf(NOWHERE, NOTHING, account)], [[], undefined, undefined])
      await rejectsWith('ERR_NOT_FOUND', drive(conversations.append(NOWHERE, text('x'))))
      await rejectsWith('ERR_NOT_FOUND', drive(conversations.entry(NOWHERE, NOTHING)))
      await rejectsWith('ERR_NOT_FOUND', drive(all(conversations.history(NOWHERE))))
      await rejectsWith('ERR_NOT_FOUND', drive(all(conversations.unacknowledged(NOWHERE))))
      await rejectsWith('ERR_NOT_FOUND', drive(conversations.acknowledge(NOWHERE, NOTHING)))
      await rejectsWith('ERR_NOT_FOUND', drive(conversations.markDisplayed(NOWHERE, NOTHING)))
      await rejectsWith('ERR_NOT_FOUND', drive(conversations.sync(NOWHERE)))
      throwsWith('ERR_NOT_FOUND', () => conversations.setTyping(NOWHERE, true))
      await drive(conversations.remove(NOWHERE))
    }),
    test('a 1:1 that is made here is ready, with us as admin and the peer invited; nothing is sent', async ({ a, b, meet, settle, drive }) => {
      const ready: ConversationId[] = []
      a.conversations.onReady(({ conversation }) => ready.push(conversation))
      await meet()
      const id = await drive(a.conversations.create({ mode: 0, peer: b.account }))
      ok(/^[0-9a-f]{40}$/.test(id))
      const info = a.conversations.get(id)
      deepStrictEqual([info?.id, info?.mode, info?.state, info?.head], [id, 0, 'ready', id])
      deepStrictEqual(roles(a, id), { [a.account]: 'admin', [b.account]: 'invited' })
      deepStrictEqual([a.conversations.list().map((known) => known.id), ready], [[id], [id]])
      const [first, ...more] = await drive(all(a.conversations.history(id)))
      deepStrictEqual([more, first?.id, first?.parents, first?.author, first?.device, first?.type, first?.fields.invited], [[], id, [], a.account, a.device, 'initial', b.account])
      await settle()
      deepStrictEqual(b.conversations.list(), [])
    }),
    test('an accepted invitation is being fetched until the inviter is met, then it is ready and joined', async ({ a, b, meet, settle, drive, story }) => {
      const ready: ConversationId[] = []
      b.conversations.onReady(({ conversation }) => ready.push(conversation))
      const id = await drive(a.conversations.create({ mode: 0, peer: b.account }))
      await drive(b.conversations.accept({ conversation: id, from: a.account }))
      await drive(b.conversations.accept({ conversation: id, from: a.account }))
      await settle()
      const info = b.conversations.get(id)
      deepStrictEqual([info?.id, info?.state, info?.head, b.conversations.list().length, ready], [id, 'cloning', undefined, 1, []])
      await rejectsWith('ERR_NOT_FOUND', drive(b.conversations.append(id, text('too early'))))
      await meet()
      await settle()
      deepStrictEqual([b.conversations.get(id)?.state, b.conversations.list().length, ready], ['ready', 1, [id]])
      for (const who of [a, b]) {
        deepStrictEqual(roles(who, id), { [a.account]: 'admin', [b.account]: 'member' })
        deepStrictEqual(await story(who, id), ['initial', 'member'])
      }
      deepStrictEqual(b.conversations.get(id)?.head, a.conversations.get(id)?.head)
      await drive(b.conversations.accept({ conversation: id, from: a.account }))
      await settle()
      deepStrictEqual([b.conversations.get(id)?.state, ready.length, await story(b, id)], ['ready', 1, ['initial', 'member']])
    }),
    test('what is accepted after the inviter was met is fetched at once', async ({ a, b, meet, settle, drive }) => {
      await meet()
      const id = await drive(a.conversations.create({ mode: 0, peer: b.account }))
      await drive(b.conversations.accept({ conversation: id, from: a.account }))
      await settle()
      deepStrictEqual(b.conversations.get(id)?.state, 'ready')
    }),
    test('a conversation with somebody else is not ours, whoever invites', async ({ a, b, absent, meet, settle, drive }) => {
      const id = await drive(a.conversations.create({ mode: 0, peer: absent }))
      await drive(b.conversations.accept({ conversation: id, from: a.account }))
      await meet()
      await settle()
      deepStrictEqual([b.conversations.get(id)?.state, b.conversations.get(id)?.head], ['cloning', undefined])
    }),
    test('a message is an entry on both sides, told once: as own and as the other\'s', async ({ a, b, settle, drive, joined }) => {
      const id = await joined()
      const told: Record<'here' | 'there', { entry: ConversationEntry; own: boolean }[]> = { here: [], there: [] }
      a.conversations.onEntry((event) => told.here.push(event))
      b.conversations.onEntry((event) => told.there.push(event))
      const head = a.conversations.get(id)?.head
      const message = await drive(a.conversations.append(id, { type: 'text/plain', fields: { body: 'héllo\n"𝄞"', 'reply-to': id } }))
      deepStrictEqual(a.conversations.get(id)?.head, message)
      await settle()
      const entry = await drive(b.conversations.entry(id, message))
      deepStrictEqual(
        [entry?.id, entry?.conversation, entry?.parents, entry?.author, entry?.device, entry?.type, entry?.fields],
        [message, id, [head], a.account, a.device, 'text/plain', { body: 'héllo\n"𝄞"', 'reply-to': id }],
      )
      ok(Number.isInteger((entry?.timeMs ?? 0.5) / 1000))
      deepStrictEqual(await drive(a.conversations.entry(id, message)), entry)
      deepStrictEqual(told, { here: [{ entry, own: true }], there: [{ entry, own: false }] })
      deepStrictEqual(b.conversations.get(id)?.head, message)
      deepStrictEqual(await drive(a.conversations.entry(id, NOTHING)), undefined)
    }),
    test('messages are told in the order of the history, in both directions', async ({ a, b, settle, drive, joined, story }) => {
      const id = await joined()
      const told: (string | undefined)[] = []
      b.conversations.onEntry(({ entry, own }) => told.push(`${own ? 'own' : 'other'} ${entry.fields.body}`))
      for (const n of ['1', '2', '3']) await drive(a.conversations.append(id, text(n)))
      await settle()
      await drive(b.conversations.append(id, text('4')))
      await settle()
      await drive(Promise.all(['5', '6', '7'].map((n) => a.conversations.append(id, text(n)))))
      await settle()
      deepStrictEqual(told, ['other 1', 'other 2', 'other 3', 'own 4', 'other 5', 'other 6', 'other 7'])
      for (const who of [a, b]) deepStrictEqual(await story(who, id), ['initial', 'member', '1', '2', '3', '4', '5', '6', '7'])
    }),
    test('what was written while the other was away arrives when they meet again', async ({ a, b, part, meet, settle, drive, joined, story }) => {
      const id = await joined()
      await part()
      for (const n of ['1', '2']) await drive(a.conversations.append(id, text(n)))
      await settle()
      deepStrictEqual(await story(b, id), ['initial', 'member'])
      await meet()
      await settle()
      deepStrictEqual(await story(b, id), ['initial', 'member', '1', '2'])
    }),
    test('two who wrote apart end with one head, one order and everything', async ({ a, b, part, meet, settle, drive, joined, story }) => {
      const id = await joined()
      await part()
      const told: (string | undefined)[] = []
      a.conversations.onEntry(({ entry, own }) => own || told.push(entry.fields.body))
      for (const n of ['1', '2']) {
        await drive(a.conversations.append(id, text(`a${n}`)))
        await drive(b.conversations.append(id, text(`b${n}`)))
      }
      await meet()
      await settle()
      await settle()
      deepStrictEqual(b.conversations.get(id)?.head, a.conversations.get(id)?.head)
      const [here, there] = [await story(a, id), await story(b, id)]
      deepStrictEqual(here, there)
      deepStrictEqual(here.filter((body) => /^[ab]\d$/.test(body ?? '')).sort(), ['a1', 'a2', 'b1', 'b2'])
      deepStrictEqual(told.filter((body) => body?.startsWith('b')), ['b1', 'b2'])
      await drive(b.conversations.append(id, text('after')))
      await settle()
      deepStrictEqual([(await story(a, id)).at(-1), await story(a, id)], ['after', await story(b, id)])
    }),
    test('the same key writes once; other keys and other conversations are free', async ({ a, b, absent, drive, story }) => {
      const told: (string | undefined)[] = []
      a.conversations.onEntry(({ entry }) => told.push(entry.fields.body))
      const id = await drive(a.conversations.create({ mode: 0, peer: b.account }))
      const other = await drive(a.conversations.create({ mode: 0, peer: absent }))
      const send = (to: ConversationId, body: string, key?: string) => a.conversations.append(to, text(body), key === undefined ? {} : { key })
      const first = await drive(send(id, 'x', 'k'))
      const [again, meanwhile] = await drive(Promise.all([send(id, 'y', 'k'), send(id, 'z', 'other')]))
      deepStrictEqual([again === first, meanwhile === first], [true, false])
      const [one, two] = await drive(Promise.all([send(id, 'at once', 'both'), send(id, 'at once', 'both')]))
      deepStrictEqual(one, two)
      ok((await drive(send(other, 'elsewhere', 'k'))) !== first)
      deepStrictEqual(new Set([await drive(send(id, 'free')), await drive(send(id, 'free'))]).size, 2)
      deepStrictEqual(await story(a, id), ['initial', 'x', 'z', 'at once', 'free', 'free'])
      deepStrictEqual(told, ['x', 'z', 'at once', 'elsewhere', 'free', 'free'])
    }),
    test('what may not be written is refused, and nothing is written', async ({ a, b, drive, story }) => {
      const id = await drive(a.conversations.create({ mode: 0, peer: b.account }))
      const aborted: Op = { signal: AbortSignal.abort() }
      await rejectsWith('ERR_ABORTED', drive(a.conversations.append(id, text('x'), aborted)))
      await rejectsWith('ERR_ARGUMENT', drive(a.conversations.append(id, text('a\0b'))))
      deepStrictEqual([await story(a, id), a.conversations.get(id)?.head], [['initial'], id])
    }),
    test('history goes page by page, from either end, before and after a message', async ({ a, b, drive }) => {
      const id = await drive(a.conversations.create({ mode: 0, peer: b.account }))
      const ids: MessageId[] = []
      for (const n of ['0', '1', '2', '3', '4']) ids.push(await drive(a.conversations.append(id, text(n))))
      const page = async (options?: HistoryOptions) => shown(await drive(all(a.conversations.history(id, options))))
      const [, one, two, three] = ids as [MessageId, MessageId, MessageId, MessageId, MessageId]
      deepStrictEqual(await page(), ['4', '3', '2', '1', '0', 'initial'])
      deepStrictEqual(await page({ limit: 2 }), ['4', '3'])
      deepStrictEqual(await page({ order: 'oldest', limit: 2 }), ['initial', '0'])
      deepStrictEqual(await page({ before: two }), ['1', '0', 'initial'])
      deepStrictEqual(await page({ before: two, limit: 1 }), ['1'])
      deepStrictEqual(await page({ after: two, order: 'oldest' }), ['3', '4'])
      deepStrictEqual(await page({ after: one, before: three }), ['2'])
      deepStrictEqual(await page({ limit: 0 }), [])
      await rejectsWith('ERR_NOT_FOUND', drive(page({ before: NOTHING })))
      await rejectsWith('ERR_NOT_FOUND', drive(page({ after: NOTHING })))
      const firstOnly = async () => {
        for await (const entry of a.conversations.history(id)) return entry.fields.body
        return undefined
      }
      deepStrictEqual(await drive(firstOnly()), '4')
    }),
    test('what the program has not acknowledged is shown, oldest first; own entries never', async (t) => {
      const { a, b, settle, drive, joined } = t
      const id = await joined()
      const sent: MessageId[] = []
      for (const n of ['1', '2', '3']) sent.push(await drive(a.conversations.append(id, text(n))))
      await settle()
      await drive(b.conversations.append(id, text('own')))
      await settle()
      deepStrictEqual(shown(await unseen(t, b, id)), ['initial', '1', '2', '3'])
      await drive(b.conversations.acknowledge(id, id as string as MessageId))
      await drive(b.conversations.acknowledge(id, sent[0] as MessageId))
      await drive(b.conversations.acknowledge(id, sent[0] as MessageId))
      deepStrictEqual(shown(await unseen(t, b, id)), ['2', '3'])
      await rejectsWith('ERR_NOT_FOUND', drive(b.conversations.acknowledge(id, NOTHING)))
      await drive(b.conversations.acknowledge(id, sent[1] as MessageId))
      await drive(b.conversations.acknowledge(id, sent[2] as MessageId))
      deepStrictEqual(await unseen(t, b, id), [])
      await drive(a.conversations.append(id, text('4')))
      await settle()
      deepStrictEqual(shown(await unseen(t, b, id)), ['4'])
      deepStrictEqual(shown(await unseen(t, a, id)), ['member', 'own'])
    }),
    test('a message is sent when a device of the member has it, displayed when it says so', async ({ a, b, absent, part, meet, settle, drive, joined }) => {
      const id = await joined()
      await part()
      const told: Omit<MessageStatusEvent, 'atMs'>[] = []
      const times: number[] = []
      a.conversations.onStatus(({ atMs, ...event }) => {
        told.push(event)
        times.push(atMs)
      })
      const [first, second] = [await drive(a.conversations.append(id, text('1'))), await drive(a.conversations.append(id, text('2')))]
      const status = () => [first, second].map((message) => a.conversations.statusOf(id, message, b.account)?.status)
      const event = (message: MessageId, is: 'sent' | 'displayed') => ({ conversation: id, message, member: b.account, status: is })
      await settle()
      deepStrictEqual([status(), told], [[undefined, undefined], []])
      await meet()
      await settle()
      deepStrictEqual([status(), told], [['sent', 'sent'], [event(first, 'sent'), event(second, 'sent')]])
      await drive(b.conversations.markDisplayed(id, second))
      await settle()
      deepStrictEqual(status(), ['displayed', 'displayed'])
      deepStrictEqual(told.filter((e) => e.status === 'displayed' && [first, second].includes(e.message)), [event(first, 'displayed'), event(second, 'displayed')])
      ok(times.every((atMs, i) => atMs > 0 && atMs >= (times[i - 1] ?? 0)), 'the times at which it became known do not run backwards')
      await drive(b.conversations.markDisplayed(id, first))
      await settle()
      deepStrictEqual(status(), ['displayed', 'displayed'])
      deepStrictEqual([a.conversations.statusOf(id, first, absent)?.status, a.conversations.statusOf(id, NOTHING, b.account)], [undefined, undefined])
      await rejectsWith('ERR_NOT_FOUND', drive(b.conversations.markDisplayed(id, NOTHING)))
    }),
    test('typing is told when it begins and when it ends', async ({ a, b, settle, joined }) => {
      const id = await joined()
      const told: boolean[] = []
      b.conversations.onTyping(({ conversation, from, active }) => {
        deepStrictEqual([conversation, from], [id, a.account])
        told.push(active)
      })
      for (const active of [true, true, false, false]) {
        a.conversations.setTyping(id, active)
        await settle()
      }
      deepStrictEqual(told, [true, false])
    }),
    test('typing ends by itself, unless it goes on', async ({ a, b, settle, advance, joined }) => {
      if (!advance) return
      const id = await joined()
      const told: boolean[] = []
      b.conversations.onTyping(({ active }) => told.push(active))
      for (let i = 0; i < 3; i++) {
        a.conversations.setTyping(id, true)
        await advance(TYPING_MS - 1000)
      }
      deepStrictEqual(told, [true])
      await advance(TYPING_MS)
      await settle()
      deepStrictEqual(told, [true, false])
    }),
    test('a removed conversation is gone here, and only here', async ({ a, b, settle, drive, joined, story }) => {
      const id = await joined()
      const gone: ConversationId[] = []
      b.conversations.onRemoved(({ conversation }) => gone.push(conversation))
      await drive(b.conversations.remove(id))
      await drive(b.conversations.remove(id))
      deepStrictEqual([b.conversations.get(id), b.conversations.list(), gone], [undefined, [], [id]])
      await rejectsWith('ERR_NOT_FOUND', drive(b.conversations.append(id, text('x'))))
      await settle()
      deepStrictEqual([b.conversations.list(), gone], [[], [id]])
      await drive(a.conversations.append(id, text('still here')))
      deepStrictEqual(await story(a, id), ['initial', 'member', 'still here'])
    }),
    test('a removed conversation can be accepted again', async ({ a, b, settle, drive, joined, story }) => {
      const id = await joined()
      await drive(a.conversations.append(id, text('before')))
      await settle()
      await drive(b.conversations.remove(id))
      await drive(b.conversations.accept({ conversation: id, from: a.account }))
      await settle()
      deepStrictEqual([b.conversations.get(id)?.state, await story(b, id)], ['ready', await story(a, id)])
    }),
    test('what is removed while it is being fetched does not come', async ({ a, b, meet, settle, drive }) => {
      const gone: ConversationId[] = []
      b.conversations.onRemoved(({ conversation }) => gone.push(conversation))
      const id = await drive(a.conversations.create({ mode: 0, peer: b.account }))
      await drive(b.conversations.accept({ conversation: id, from: a.account }))
      await drive(b.conversations.remove(id))
      await meet()
      await settle()
      deepStrictEqual([b.conversations.get(id), b.conversations.list(), gone], [undefined, [], [id]])
    }),
    test('conversations are told apart', async ({ a, b, settle, drive, joined, absent, story }) => {
      const id = await joined()
      const other = await drive(a.conversations.create({ mode: 0, peer: absent }))
      await drive(a.conversations.append(other, text('other')))
      await drive(a.conversations.append(id, text('this')))
      await settle()
      deepStrictEqual([await story(a, other), await story(b, id)], [['initial', 'other'], ['initial', 'member', 'this']])
      deepStrictEqual([a.conversations.list().map((known) => known.id).sort(), b.conversations.list().map((known) => known.id)], [[id, other].sort(), [id]])
      await drive(a.conversations.remove(other))
      deepStrictEqual(await story(a, id), ['initial', 'member', 'this'])
    }),
    test('sync brings what the others have', async ({ a, b, drive, joined, settle }) => {
      const id = await joined()
      await drive(a.conversations.append(id, text('1')))
      await drive(b.conversations.sync(id))
      await settle()
      deepStrictEqual(b.conversations.get(id)?.head, a.conversations.get(id)?.head)
      await rejectsWith('ERR_ABORTED', drive(b.conversations.sync(id, { signal: AbortSignal.abort() })))
    }),
    test('a listener that throws disturbs nobody, and one that left hears nothing', async ({ a, b, settle, drive, joined, story }) => {
      const id = await joined()
      const told: (string | undefined)[] = []
      for (const who of [a, b]) {
        who.conversations.onEntry(() => {
          throw new Error('a listener of the test')
        })
      }
      const off = b.conversations.onEntry(({ entry }) => told.push(entry.fields.body))
      await drive(a.conversations.append(id, text('1')))
      await settle()
      off()
      off()
      await drive(a.conversations.append(id, text('2')))
      await settle()
      deepStrictEqual([told, await story(b, id)], [['1'], ['initial', 'member', '1', '2']])
    }),
    test('everything is there after a restart: entries, keys, what was acknowledged, who has what', async (t) => {
      const { a, b, restart, meet, settle, drive, joined, story } = t
      const id = await joined()
      const sent = await drive(a.conversations.append(id, text('1'), { key: 'k' }))
      await settle()
      await drive(a.conversations.append(id, text('2')))
      await settle()
      await drive(b.conversations.acknowledge(id, sent))
      const [here, there] = [await restart(a), await restart(b)]
      for (const who of [here, there]) {
        deepStrictEqual(await story(who, id), ['initial', 'member', '1', '2'])
        deepStrictEqual([who.conversations.get(id)?.state, roles(who, id)], ['ready', { [a.account]: 'admin', [b.account]: 'member' }])
      }
      deepStrictEqual(await drive(here.conversations.append(id, text('1'), { key: 'k' })), sent)
      deepStrictEqual(here.conversations.statusOf(id, sent, b.account)?.status, 'sent')
      deepStrictEqual(shown(await unseen(t, there, id)), ['2'])
      await meet()
      await drive(there.conversations.append(id, text('3')))
      await settle()
      deepStrictEqual(await story(here, id), ['initial', 'member', '1', '2', '3'])
      await drive(Promise.all([here.conversations.stop(), there.conversations.stop()]))
    }),
    test('an accepted invitation is fetched after a restart, and a removed conversation stays away', async ({ a, b, restart, meet, settle, drive }) => {
      const id = await drive(a.conversations.create({ mode: 0, peer: b.account }))
      await drive(b.conversations.accept({ conversation: id, from: a.account }))
      const removed = await drive(b.conversations.create({ mode: 0, peer: a.account }))
      await drive(b.conversations.remove(removed))
      const there = await restart(b)
      deepStrictEqual(there.conversations.list().map(({ id: known, state }) => [known, state]), [[id, 'cloning']])
      await meet()
      await settle()
      deepStrictEqual(there.conversations.list().map(({ id: known, state }) => [known, state]), [[id, 'ready']])
      await drive(there.conversations.stop())
    }),
  ]
}
