// What programs do with messages: change, take back, react, look for, and see who has what; how kinds of messages look.
import { describe, expect, it } from 'vitest'
import { closeAll, friends } from '../../test/nodes.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { AccountUri, MessageId } from '../contracts/ids.ts'
import type { Message, TextMessage } from './api.ts'
import type { PublicAccount } from './public-account.ts'
import { messageOf, plainView } from './public-message.ts'

type Friends = Awaited<ReturnType<typeof friends>>

async function all(f: Friends, items: AsyncIterable<Message>): Promise<Message[]> {
  const out: Message[] = []
  await f.run((async () => {
    for await (const item of items) out.push(item)
  })())
  return out
}
const kinds = (messages: Message[]) => messages.map((message) => (message.type === 'text' ? message.text : message.type))
const asText = (message: Message) => message as TextMessage

describe('a message', () => {
  it('is edited and taken back by its author, which everybody sees; doing it again writes nothing', async () => {
    const f = await friends()
    const sent = await f.run(f.chat.send('helo'))
    expect([sent.editedAt, sent.deleted, sent.reactions.size]).toEqual([undefined, false, 0])
    await f.run(sent.edit('hello \ud83d'))
    await f.clock.advance(5000)
    const seen = asText(await f.run(f.hisChat.message(sent.id)))
    expect([seen.text, seen.editedAt instanceof Date, seen.deleted]).toEqual(['hello \ufffd', true, false])
    await f.run(sent.delete())
    await f.clock.advance(5000)
    const head = f.chat.head
    await f.run(sent.delete())
    expect(f.chat.head).toBe(head)
    for (const again of [() => sent.edit('back again'), () => seen.react('y')]) await expect(f.run(again())).rejects.toMatchObject({ code: 'ERR_NOT_FOUND', details: { deleted: true } }) // what was taken back stays so
    expect([f.chat.head, f.hisChat.head]).toEqual([head, head])
    expect(await f.run(f.hisChat.message(sent.id))).toMatchObject({ text: '', deleted: true })
    expect(kinds(await all(f, f.hisChat.history({ order: 'oldest' })))).toEqual(['initial', 'member', ''])
    await closeAll(f, f.hers, f.his)
  })

  it('of somebody else is neither edited nor taken back; nor is what is no text, file or document', async () => {
    const f = await friends()
    const sent = await f.run(f.chat.send('hers'))
    await f.clock.advance(5000)
    const his = asText(await f.run(f.hisChat.message(sent.id)))
    const refused = { code: 'ERR_ARGUMENT', details: { field: 'message' } }
    await expect(f.run(his.edit('his'))).rejects.toMatchObject(refused)
    await expect(f.run(his.delete())).rejects.toMatchObject(refused)
    await expect(f.run((await f.run(f.chat.message(f.chat.id))).delete())).rejects.toMatchObject(refused)
    await closeAll(f, f.hers, f.his)
  })

  it('is reacted to, once by each with the same emoji, until it is taken back', async () => {
    const f = await friends()
    const sent = await f.run(f.chat.send('party?'))
    await f.clock.advance(5000)
    const his = await f.run(f.hisChat.message(sent.id))
    await f.run(his.react('🎉'))
    const head = f.hisChat.head
    await f.run(his.react('🎉'))
    expect(f.hisChat.head).toBe(head)
    await f.run(his.react('👍'))
    await f.clock.advance(5000)
    await f.run(sent.react('🎉'))
    const reactions = async () => [...(await f.run(f.chat.message(sent.id))).reactions]
    expect(await reactions()).toEqual([['🎉', [f.bob.uri, f.alice.uri]], ['👍', [f.bob.uri]]])
    await f.run(sent.unreact('🎉'))
    await f.run(sent.unreact('👍')) // not ours
    expect(await reactions()).toEqual([['🎉', [f.bob.uri]], ['👍', [f.bob.uri]]])
    await closeAll(f, f.hers, f.his)
  })

  it('is given by the id of what changed it', async () => {
    const f = await friends()
    const sent = await f.run(f.chat.send('one'))
    await f.run(sent.edit('two'))
    const edit = f.chat.head as string
    await f.run(sent.react('x'))
    expect([(await f.run(f.chat.message(edit))).id, (await f.run(f.chat.message(f.chat.head as string))).id]).toEqual([sent.id, sent.id])
    await closeAll(f, f.hers, f.his)
  })

  it('SWM-17 says who has it and since when, and waits for one, for any, for all', async () => {
    const f = await friends()
    const sent = await f.run(f.chat.send('read me'))
    expect(sent.statuses()).toEqual([])
    await f.run(sent.delivered({ all: true }))
    expect(sent.statuses()).toEqual([{ member: f.bob.uri, status: 'sent', at: expect.any(Date) }])
    expect([f.hisChat.unread, f.chat.unread]).toEqual([1, 0])
    const told = f.alice.once('message:status', { filter: ({ messageId, status }) => messageId === sent.id && status === 'displayed' })
    await f.run(f.hisChat.markRead(sent.id))
    expect(await f.run(told)).toMatchObject({ member: f.bob.uri, at: expect.any(Date) })
    await f.run(sent.delivered({ all: true, status: 'displayed' }))
    expect(f.hisChat.unread).toBe(0)
    expect(f.chat.members.find(({ uri }) => uri === f.bob.uri)).toMatchObject({ role: 'member', lastRead: sent.id })
    await expect(f.run(sent.delivered({ to: f.bob.uri, all: true }))).rejects.toMatchObject({ code: 'ERR_ARGUMENT', details: { field: 'all' } })
    await closeAll(f, f.hers, f.his)
  })

  it('is found by words, pattern, author, kind and time', async () => {
    const f = await friends()
    const first = await f.run(f.chat.send('the first word'))
    await f.run(f.chat.send('another Word'))
    await f.run(first.edit('the first verb'))
    const find = async (query: Parameters<typeof f.chat.search>[0]) => kinds(await all(f, f.chat.search(query)))
    expect(await find({ text: 'word' })).toEqual(['another Word'])
    expect(await find({ text: /^the .* verb$/ })).toEqual(['the first verb'])
    expect(await find({ from: f.bob.uri })).toEqual(['member'])
    expect(await find({ type: 'text', limit: 1 })).toEqual(['another Word'])
    expect(await find({ text: 'word', after: new Date(f.clock.wallTimeMs() + 60_000) })).toEqual([])
    expect(await find({ before: new Date(0) })).toEqual([])
    expect(await find({ text: 'word', timeoutMs: 1000 })).toEqual(['another Word'])
    expect(() => f.chat.search({ text: new RegExp('x'.repeat(1001)) })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    expect(() => f.chat.search({ after: new Date(Number.NaN) })).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    await closeAll(f, f.hers, f.his)
  })
})

describe('kinds of messages', () => {
  const show = (type: string, fields: Record<string, string>) => messageOf(
    plainView({ id: 'a'.repeat(40) as MessageId, author: 'b'.repeat(40) as AccountUri, timeMs: 0, type, fields, parents: [] } as unknown as ConversationEntry), { ownUri: 'c' } as never)

  it('a file that is taken back is a file still; what cannot be asked for is of unknown type', () => {
    const fields = { tid: '7', displayName: 'a.txt', totalSize: '12', sha3sum: 'a'.repeat(128) }
    expect(show('application/data-transfer+json', fields)).toMatchObject({ type: 'file', fileId: `${'a'.repeat(40)}_7.txt`, name: 'a.txt', sizeBytes: 12, deleted: false })
    const { entry } = plainView({ id: 'a'.repeat(40), type: 'application/data-transfer+json', fields, parents: [], author: 'b', timeMs: 0 } as never)
    expect(messageOf({ ...plainView(entry), fields: { ...fields, tid: '' }, deleted: true }, { ownUri: 'c' } as never)).toMatchObject({ type: 'file', deleted: true })
    expect(show('application/data-transfer+json', { ...fields, totalSize: 'x' }).type).toBe('unknown')
  })

  it.each([
    ['text/plain', {}, 'text'], ['application/data-transfer+json', {}, 'unknown'], ['member', {}, 'member'], ['application/call-history+json', {}, 'call'], ['application/update-profile', {}, 'profile'],
    ['initial', {}, 'initial'], ['application/collab-doc+json', {}, 'document'], ['vote', {}, 'unknown'], ['merge', {}, 'unknown'], ['application/new', {}, 'unknown'], ['text/plain', { edit: 'x' }, 'unknown'],
    ['text/plain', { 'react-to': 'x' }, 'unknown'], ['member', { edit: 'x' }, 'unknown'], ['', {}, 'unknown'], ['__proto__', {}, 'unknown'],
  ])('%s with %j is shown as %s, and never dropped', (type, fields, shown) => {
    const message = show(type, fields)
    expect(message.type).toBe(shown)
    if (message.type === 'unknown') expect([message.wireType, message.fields]).toEqual([type, fields])
  })
})

describe('groups', () => {
  it('are made with a profile and members, who are invited once each; what is no member is refused before anything is made', async () => {
    const f = await friends()
    const { conversations } = (f.alice as PublicAccount).local
    const calls: unknown[] = []
    conversations.create = async (options) => {
      calls.push(options)
      return f.chat.id
    }
    conversations.invite = async (_, account) => void calls.push(account)
    await expect(f.run(f.alice.conversations.create({ members: [f.bob.uri, 'nobody'] }))).rejects.toMatchObject({ code: 'ERR_ADDRESS_INVALID' })
    await expect(f.run(f.alice.conversations.create({ members: [f.alice.uri] }))).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(f.run(f.alice.conversations.create({ title: 'two\nlines' }))).rejects.toMatchObject({ code: 'ERR_ARGUMENT', details: { field: 'title' } })
    expect(calls).toEqual([])
    const group = await f.run(f.alice.conversations.create({ title: 'T \ud83d', avatar: new Uint8Array([1]), members: [f.bob.uri, `jami:${f.bob.uri}`] }))
    expect([group.id, calls]).toEqual([f.chat.id, [{ mode: 2, profile: { title: 'T \ufffd', avatar: new Uint8Array([1]) } }, f.bob.uri]])
    await closeAll(f, f.hers, f.his)
  })

  it('what is done to members and profile goes to the conversation, with ids; nobody bans himself', async () => {
    const f = await friends()
    const { conversations } = (f.alice as PublicAccount).local
    const calls: unknown[] = []
    for (const name of ['invite', 'ban', 'unban', 'leave', 'updateProfile', 'setPreferences'] as const) conversations[name] = async (...args: unknown[]) => void calls.push([name, ...args.slice(1)])
    await f.run(f.chat.invite(`jami:${f.bob.uri}`))
    await f.run(f.chat.ban(f.alice.contacts.get(f.bob.uri)))
    await f.run(f.chat.unban(f.bob.uri))
    await f.run(f.chat.update({ title: 'new', description: null }))
    await f.run(f.chat.setPreferences({ color: 'red' }))
    await f.run(f.chat.leave())
    expect(calls).toEqual([['invite', f.bob.uri], ['ban', f.bob.uri], ['unban', f.bob.uri], ['updateProfile', { title: 'new', description: null }], ['setPreferences', { color: 'red' }], ['leave']])
    await expect(f.run(f.chat.ban(f.alice.uri))).rejects.toMatchObject({ code: 'ERR_ARGUMENT', details: { field: 'peer' } })
    await closeAll(f, f.hers, f.his)
  })

  it('invitations come as events, again to whoever listens later, and not when they were answered meanwhile', async () => {
    const f = await friends()
    const { conversations } = (f.bob as PublicAccount).local
    const invitation = { conversation: f.chat.id, from: f.alice.uri, mode: 2, receivedMs: 5, profile: { title: 'Team' } } as const
    let waiting: (typeof invitation)[] = [invitation]
    const answers: unknown[] = []
    conversations.invitations = () => waiting
    conversations.accept = async (given) => void answers.push(given)
    conversations.decline = async (id) => void answers.push(id)
    const heard: unknown[] = []
    f.bob.on('invite', (invite) => heard.push(invite))
    const [invite] = f.bob.conversations.invites()
    await f.clock.settle()
    expect(heard).toMatchObject([{ conversation: f.chat.id, from: { uri: f.alice.uri, displayName: 'Alice' }, title: 'Team', description: undefined, receivedAt: new Date(5) }])
    expect((await f.run(invite?.accept() ?? Promise.reject()))?.id).toBe(f.chat.id)
    await f.run(invite?.decline() ?? Promise.reject())
    expect(answers).toEqual([{ conversation: f.chat.id, from: f.alice.uri, mode: 2 }, f.chat.id])
    f.bob.on('invite', () => heard.push('too late'))
    waiting = []
    await f.clock.settle()
    expect(heard).toHaveLength(1)
    await closeAll(f, f.hers, f.his)
  })
})
