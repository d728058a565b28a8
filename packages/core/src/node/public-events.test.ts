// One timeline of messages, edits, deletions, reactions and members: each event with the message as it stands, in order, at least once.
import { describe, expect, it } from 'vitest'
import { closeAll, friends } from '../../test/nodes.ts'
import type { ConversationEntry } from '../contracts/entry.ts'
import type { ConversationId, MessageId } from '../contracts/ids.ts'
import type { MessageView } from '../contracts/messages.ts'
import { testStorage } from '../testing/test-storage.ts'
import type { Account, AccountEvents } from './api.ts'
import { eventOf } from './public-events.ts'
import { messageOf, plainView } from './public-message.ts'

/** What an account is told, in order, in short. */
function told(account: Account, events: readonly (keyof AccountEvents)[] = ['message', 'message:edited', 'message:deleted', 'reaction', 'member']): string[] {
  const out: string[] = []
  const text = (message: AccountEvents['message']) => (message.type === 'text' ? message.text : message.type)
  if (events.includes('message')) account.on('message', (message) => out.push(text(message)))
  if (events.includes('message:edited')) account.on('message:edited', ({ message, previous }) => out.push(`${previous} > ${text(message)}`))
  if (events.includes('message:deleted')) account.on('message:deleted', ({ message }) => out.push(`deleted ${message.id.slice(0, 4)}`))
  if (events.includes('reaction')) account.on('reaction', ({ emoji, removed, from }) => out.push(`${removed ? '-' : '+'}${emoji} ${from.slice(0, 4)}`))
  if (events.includes('member')) account.on('member', ({ action, uri }) => out.push(`${action} ${uri.slice(0, 4)}`))
  return out
}

describe('the timeline', () => {
  it('tells messages, edits, reactions, what was taken back, in the order in which they came', async () => {
    const f = await friends()
    const seen = told(f.bob)
    const sent = await f.run(f.chat.send('one'))
    await f.clock.advance(1000)
    await f.run(sent.edit('two'))
    await f.clock.advance(1000)
    await f.run(sent.react('👍'))
    await f.clock.advance(1000)
    await f.run(sent.unreact('👍'))
    await f.clock.advance(1000)
    await f.run(sent.delete())
    await f.clock.advance(5000)
    const alice = f.alice.uri.slice(0, 4)
    expect(seen).toEqual(['one', 'one > two', `+👍 ${alice}`, `-👍 ${alice}`, `deleted ${sent.id.slice(0, 4)}`])
    await closeAll(f, f.hers, f.his)
  })

  it('that happened while the program was down comes with the next start, each with the message as it stands', async () => {
    const f = await friends()
    await f.run(f.his.close())
    const sent = await f.run(f.chat.send('one'))
    await f.run(sent.edit('two'))
    await f.run(sent.edit('three'))
    await f.run(sent.react('👍'))
    const again = await f.node({ storage: testStorage({ records: new Map(f.storage.contents.records), files: new Map(f.storage.contents.files) }) })
    const bob = await f.run(again.accounts.open('bob'))
    const seen = told(bob)
    await f.clock.advance(10_000)
    expect(seen).toEqual(['three', 'one > three', 'two > three', `+👍 ${f.alice.uri.slice(0, 4)}`])
    await f.run(Promise.all([again.close(), f.hers.close()]))
  })

  it('a program that listens to messages only is not held up by the rest', async () => {
    const f = await friends()
    const seen = told(f.bob, ['message'])
    const sent = await f.run(f.chat.send('one'))
    await f.run(sent.react('👍'))
    await f.run(sent.edit('ONE'))
    await f.run(f.chat.send('two'))
    await f.clock.advance(5000)
    expect(seen).toHaveLength(2)
    expect(seen[1]).toBe('two')
    await closeAll(f, f.hers, f.his)
  })

  it('a program that listens to reactions only hears them as they happen; messages wait for who wants them', async () => {
    const f = await friends()
    const seen = told(f.bob, ['reaction'])
    const sent = await f.run(f.chat.send('one'))
    await f.run(sent.react('👍'))
    await f.clock.advance(5000)
    expect(seen).toEqual([`+👍 ${f.alice.uri.slice(0, 4)}`])
    const later = told(f.bob, ['message'])
    await f.clock.advance(1000)
    expect(later).toEqual(['one'])
    await closeAll(f, f.hers, f.his)
  })

  it('a loop over one event pulls from the same timeline', async () => {
    const f = await friends()
    const sent = await f.run(f.chat.send('one'))
    await f.run(sent.edit('two'))
    await f.run(sent.edit('three'))
    await f.clock.advance(5000)
    const previous: string[] = []
    await f.run((async () => {
      for await (const edit of f.bob.events('message:edited')) if (previous.push(edit.previous) === 2) break
    })())
    expect(previous).toEqual(['one', 'two'])
    await closeAll(f, f.hers, f.his)
  })
})

describe('an entry', () => {
  const id = (letter: string) => letter.repeat(40) as MessageId
  const entry = (letter: string, type: string, fields: Record<string, string>, parents = ['p']): ConversationEntry =>
    ({ id: id(letter), conversation: 'c' as ConversationId, author: 'a', device: 'd', timeMs: 0, type, fields, parents }) as unknown as ConversationEntry
  const of = (one: ConversationEntry, view?: MessageView, others: ConversationEntry[] = []) =>
    eventOf(one, { conversation: {} as never, conversations: { message: async () => view, entry: async (_: unknown, wanted: string) => others.find((other) => other.id === wanted) } as never, show: (shown) => messageOf(shown, { ownUri: 'x' } as never) })

  it.each([
    ['a merge', entry('1', 'merge', {}, ['p', 'q'])], ['a vote', entry('1', 'vote', {})], ['a profile', entry('1', 'application/update-profile', {})], ['a call', entry('1', 'application/call-history+json', {})],
    ['a reaction to nothing', entry('1', 'text/plain', { 'react-to': id('2'), body: 'x' })], ['an edit of nothing', entry('1', 'text/plain', { edit: id('2'), body: 'x' })],
    ['an unknown membership', entry('1', 'member', { action: 'dance' })], ['a legacy edit without its target', entry('1', 'application/edited-message', { body: 'x' })],
  ])('%s is no event', async (_, one) => expect(await of(one)).toBeUndefined())

  it.each([['add', 'invited'], ['join', 'joined'], ['remove', 'left'], ['ban', 'banned'], ['unban', 'unbanned']])('member %s is told as %s', async (action, shown) => {
    expect(await of(entry('1', 'member', { action, uri: 'u' }))).toMatchObject({ event: 'member', payload: { uri: 'u', action: shown } })
  })

  it('of an unknown type is a message; a file that is taken back is deleted; a changed reaction is told with the new one', async () => {
    const unknown = entry('1', 'application/new', { x: 'y' })
    expect(await of(unknown, plainView(unknown))).toMatchObject({ event: 'message', payload: { type: 'unknown', wireType: 'application/new' } })
    const file = plainView(entry('2', 'application/data-transfer+json', { tid: '7' }))
    expect(await of(entry('3', 'application/data-transfer+json', { edit: id('2'), tid: '' }), file)).toMatchObject({ event: 'message:deleted', payload: { message: { id: id('2') } } })
    const reaction = entry('4', 'text/plain', { 'react-to': id('2'), body: 'old' })
    expect(await of(entry('5', 'text/plain', { edit: id('4'), body: 'new' }), file, [reaction])).toMatchObject({ event: 'reaction', payload: { emoji: 'new', removed: false } })
    expect(await of(entry('5', 'text/plain', { edit: id('4'), body: '' }), file, [reaction])).toMatchObject({ event: 'reaction', payload: { emoji: 'old', removed: true } })
    expect(await of(entry('5', 'text/plain', { edit: id('6'), body: 'x' }), file, [entry('6', 'text/plain', { edit: id('2') })])).toBeUndefined()
  })
})
