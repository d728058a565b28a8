// Contract suite of what people see of conversations: git repositories with an index beside them, and the double in memory. Runs in the same
// surroundings as the suite of Conversations. docs/protocol/04 §1.6, §5.10.
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { Conversations } from '../../contracts/conversations.ts'
import type { ConversationId, MessageId } from '../../contracts/ids.ts'
import type { MessageQuery, MessageView } from '../../contracts/messages.ts'
import { type ContractTest, rejectsWith, testsOf, throwsWith } from './contract-test.ts'
import type { ConversationsUnderTest, ConverserUnderTest } from './conversations.ts'

type Range = Parameters<Conversations['messages']>[1]
type Fields = Record<string, string>

const NOWHERE = 'e'.repeat(40) as ConversationId
const NOTHING = 'd'.repeat(40) as MessageId
const FILE = 'application/data-transfer+json'

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const out: T[] = []
  for await (const item of items) out.push(item)
  return out
}

const shown = ({ entry, fields }: MessageView) => (entry.type === 'text/plain' ? fields.body : entry.type)

/** What ConversationMessages must do, as tests to run one by one. @param make makes fresh ones for each test */
export function conversationMessagesSuite(make: () => ConversationsUnderTest | Promise<ConversationsUnderTest>): ContractTest[] {
  interface Tools {
    /** A conversation of `a` that `b` has joined; both can reach each other. */
    joined(): Promise<ConversationId>
    write(who: ConverserUnderTest, id: ConversationId, body: string, fields?: Fields): Promise<MessageId>
    /** What somebody sees. */
    sees(who: ConverserUnderTest, id: ConversationId, range?: Range): Promise<(string | undefined)[]>
    found(who: ConverserUnderTest, id: ConversationId, query: MessageQuery): Promise<(string | undefined)[]>
    view(who: ConverserUnderTest, id: ConversationId, message: MessageId): Promise<MessageView | undefined>
  }
  const test = testsOf(
    make,
    (t) => t.drive(Promise.all([t.a.conversations.stop(), t.b.conversations.stop()])),
    (t): Tools => ({
      async joined() {
        const id = await t.drive(t.a.conversations.create({ mode: 0, peer: t.b.account }))
        await t.drive(t.b.conversations.accept({ conversation: id, from: t.a.account }))
        await t.meet()
        await t.settle()
        return id
      },
      write: ({ conversations }, id, body, fields = {}) => t.drive(conversations.append(id, { type: 'text/plain', fields: { body, ...fields } })),
      sees: async ({ conversations }, id, range) => (await t.drive(all(conversations.messages(id, range)))).map(shown),
      found: async ({ conversations }, id, query) => (await t.drive(all(conversations.search(id, query)))).map((view) => view.fields.body || view.fields.displayName || view.entry.type),
      view: ({ conversations }, id, message) => t.drive(conversations.message(id, message)),
    }),
  )
  const bodies = (view: MessageView | undefined) => [view?.fields.body, view?.deleted, view?.editions.map(({ body }) => body), view?.reactions.map(({ body }) => body)]

  return [
    test('of a conversation that is not here everything is ERR_NOT_FOUND', async ({ a: { conversations, account }, drive }) => {
      await rejectsWith('ERR_NOT_FOUND', drive(conversations.message(NOWHERE, NOTHING)))
      await rejectsWith('ERR_NOT_FOUND', drive(all(conversations.messages(NOWHERE))))
      await rejectsWith('ERR_NOT_FOUND', drive(all(conversations.search(NOWHERE, { text: 'x' }))))
      throwsWith('ERR_NOT_FOUND', () => conversations.unread(NOWHERE))
      throwsWith('ERR_NOT_FOUND', () => conversations.lastRead(NOWHERE, account))
    }),
    test('SWM-6 what people see has no edits and reactions, in either order, in pages, between messages', async (t) => {
      const { a, write, sees } = t
      const id = await t.joined()
      const one = await write(a, id, 'one')
      const two = await write(a, id, 'two')
      await write(a, id, 'ONE', { edit: one })
      await write(a, id, '👍', { 'react-to': two })
      const last = await write(a, id, 'three')
      deepStrictEqual(await sees(a, id), ['three', 'two', 'ONE', 'member', 'initial'])
      deepStrictEqual(await sees(a, id, { order: 'oldest' }), ['initial', 'member', 'ONE', 'two', 'three'])
      deepStrictEqual(await sees(a, id, { limit: 2 }), ['three', 'two'])
      deepStrictEqual(await sees(a, id, { before: last, limit: 2 }), ['two', 'ONE'])
      deepStrictEqual(await sees(a, id, { after: two, order: 'oldest' }), ['three'])
      deepStrictEqual(await sees(a, id, { limit: 0 }), [])
      await rejectsWith('ERR_NOT_FOUND', t.drive(all(a.conversations.messages(id, { before: NOTHING }))))
    }),
    test('SWM-6 a message as it stands: editions newest first, taken back, given by the id of what belongs to it', async (t) => {
      const { a, b, write, view } = t
      const id = await t.joined()
      const message = await write(a, id, 'helo')
      const edit = await write(a, id, 'hello', { edit: message })
      const reaction = await write(a, id, '👍', { 'react-to': message })
      await t.settle()
      for (const who of [a, b]) for (const of of [message, edit, reaction]) {
        const seen = await view(who, id, of)
        deepStrictEqual([seen?.entry.id, ...bodies(seen), seen?.reactions[0]?.id, seen?.reactions[0]?.author], [message, 'hello', false, ['helo'], ['👍'], reaction, a.account])
        ok(seen?.editedMs !== undefined && seen.editions[0]?.id === message)
      }
      const gone = await write(a, id, '', { edit: message })
      deepStrictEqual(bodies(await view(a, id, gone)), ['', true, ['hello', 'helo'], []])
      deepStrictEqual(await view(a, id, NOTHING), undefined)
    }),
    test('SWM-6 who reacted takes it back', async (t) => {
      const { a, b, write, view } = t
      const id = await t.joined()
      const message = await write(a, id, 'party?')
      await t.settle()
      const reaction = await write(b, id, '🎉', { 'react-to': message })
      await write(b, id, '👍', { 'react-to': message })
      await write(b, id, '', { edit: reaction })
      await t.settle()
      for (const who of [a, b]) deepStrictEqual(bodies(await view(who, id, message)), ['party?', false, [], ['👍']])
    }),
    test('SWM-6 a file that is taken back has an empty tid', async (t) => {
      const id = await t.joined()
      const append = (fields: Fields) => t.drive(t.a.conversations.append(id, { type: FILE, fields }))
      const file = await append({ tid: '7', displayName: 'report.pdf', totalSize: '1', sha3sum: 'a'.repeat(128) })
      await append({ tid: '', edit: file })
      const seen = await t.view(t.a, id, file)
      deepStrictEqual([seen?.fields.tid, seen?.deleted, seen?.fields.displayName], ['', true, 'report.pdf'])
    }),
    test('SWM-6 two who wrote apart see the same afterwards', async (t) => {
      const { a, b, write, sees, view } = t
      const id = await t.joined()
      const message = await write(a, id, 'first')
      await t.settle()
      await t.part()
      await write(a, id, 'second', { edit: message })
      await write(a, id, 'hers')
      await write(b, id, '💬', { 'react-to': message })
      await write(b, id, 'his')
      await t.meet()
      await t.settle()
      deepStrictEqual(await sees(a, id), await sees(b, id))
      deepStrictEqual((await sees(a, id)).toSorted(), ['member', 'initial', 'second', 'hers', 'his'].sort())
      for (const who of [a, b]) deepStrictEqual(bodies(await view(who, id, message)), ['second', false, ['first'], ['💬']])
    }),
    test('SWM-17 unread are messages of others after what we read or wrote last; members show how far they read', async (t) => {
      const { a, b, write } = t
      const id = await t.joined()
      const one = await write(a, id, 'one')
      await write(a, id, 'two')
      await write(a, id, 'ONE', { edit: one })
      await t.settle()
      const counted = async () => {
        await t.drive(b.conversations.message(id, one)) // everything that came is looked at
        return b.conversations.unread(id)
      }
      deepStrictEqual([await counted(), a.conversations.unread(id)], [2, 0])
      await t.drive(b.conversations.markDisplayed(id, one))
      await t.settle()
      deepStrictEqual([await counted(), b.conversations.lastRead(id, b.account), a.conversations.lastRead(id, b.account)], [1, one, one])
      await write(b, id, 'answer')
      deepStrictEqual(await counted(), 0)
    }),
    test('search finds words as the beginnings of words, of the text as it stands; everything given must hold', async (t) => {
      const { a, b, write, found } = t
      const id = await t.joined()
      const old = await write(a, id, 'the quick brown fox')
      await t.settle()
      await write(b, id, 'Quick answer')
      await t.drive(b.conversations.append(id, { type: FILE, fields: { tid: '7', displayName: 'Quick report.pdf', totalSize: '1', sha3sum: 'a'.repeat(128) } }))
      await t.settle()
      await write(a, id, 'the slow brown fox', { edit: old })
      deepStrictEqual(await found(a, id, { text: 'QUI' }), ['Quick report.pdf', 'Quick answer'])
      deepStrictEqual(await found(a, id, { text: 'fox bro' }), ['the slow brown fox'])
      deepStrictEqual(await found(a, id, { text: 'rown' }), [])
      deepStrictEqual(await found(a, id, { text: 'quick', type: 'text/plain' }), ['Quick answer'])
      deepStrictEqual(await found(a, id, { text: 'quick', author: a.account }), [])
      deepStrictEqual(await found(a, id, { type: 'member' }), ['member'])
      deepStrictEqual(await found(a, id, { text: 'quick', limit: 1 }), ['Quick report.pdf'])
      deepStrictEqual(await found(a, id, { text: /^the .* fox$/ }), ['the slow brown fox'])
      deepStrictEqual(await found(a, id, { text: 'quick', beforeMs: 1 }), [])
      await rejectsWith('ERR_ABORTED', t.drive(all(a.conversations.search(id, { text: 'x', signal: AbortSignal.abort() }))))
    }),
    test('everything is seen and found after a restart', async (t) => {
      const { a, write } = t
      const id = await t.joined()
      const message = await write(a, id, 'helo world')
      await write(a, id, 'hello world', { edit: message })
      const again = await t.restart(a)
      deepStrictEqual(bodies(await t.view(again, id, message)), ['hello world', false, ['helo world'], []])
      deepStrictEqual([await t.found(again, id, { text: 'world' }), await t.found(again, id, { text: 'helo' })], [['hello world'], []])
      await t.drive(again.conversations.stop())
    }),
  ]
}
