// What people see of a conversation: pages without what is part of other messages, what is unread and read, what is found; caught up by itself.
import type { JamiError } from '@jamikit/core/base'
import { Tasks } from '@jamikit/core/base'
import type { AccountUri, MessageId, MessageQuery } from '@jamikit/core/contracts'
import { ManualClock } from '@jamikit/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { alice, bob, exchange, pair } from '../../../test/harness.ts'
import { memoryFiles } from '../../../test/memory.ts'
import type { Conversation } from '../conversation.ts'
import { PATTERN_TIME_MS } from './search.ts'
import { Views } from './views.ts'

type Fields = Record<string, string>
const text = (body: string, fields: Fields = {}) => ({ type: 'text/plain', fields: { body, ...fields } })
const write = async (who: Conversation, body: { type: string; fields: Fields }) => (await who.append(body, undefined)).id

const open: Views[] = []
afterEach(async () => {
  for (const views of open.splice(0)) await views.stop()
})

function look(of: Conversation, own: AccountUri, storage = memoryFiles()) {
  const problems: JamiError[] = []
  const clock = new ManualClock()
  const views = new Views({ clock, own, tasks: new Tasks(clock, (error) => problems.push(error as JamiError)), files: (id) => storage.files(id), get: () => of, isHere: () => true, onProblem: (_, error) => problems.push(error) })
  open.push(views)
  const shown = async (range?: Parameters<Views['messages']>[1]) => {
    const out: string[] = []
    for await (const { entry, fields } of views.messages(of.id, range)) out.push(entry.type === 'text/plain' ? (fields.body ?? '') : entry.type)
    return out
  }
  const found = async (query: MessageQuery) => {
    const out: string[] = []
    for await (const { entry, fields } of views.search(of.id, query)) out.push(fields.body || fields.displayName || entry.type)
    return out
  }
  return { views, shown, found, storage, problems, clock }
}

describe('pages of a history', () => {
  it('SWM-6 have no merges, votes, edits and reactions, which are in what they change; limits count what is seen', async () => {
    const { ours, theirs } = await pair()
    const one = await write(ours, text('one'))
    await write(ours, text('ONE', { edit: one }))
    await exchange(ours, theirs)
    await write(ours, text('left'))
    await write(theirs, text('right'))
    await write(theirs, text('👍', { 'react-to': one }))
    await exchange(theirs, ours)
    await write(ours, { type: 'vote', fields: { uri: bob.accountId } })
    await write(ours, { type: 'application/never-seen', fields: {} })
    const { shown, views } = look(ours, alice.accountId)
    const all = await shown({ order: 'oldest' })
    expect(all.filter((item) => item !== 'left' && item !== 'right')).toEqual(['initial', 'member', 'ONE', 'application/never-seen'])
    expect(all).toHaveLength(6)
    expect(await shown()).toEqual([...all].reverse())
    expect(await shown({ limit: 3 })).toEqual([...all].reverse().slice(0, 3))
    expect(await shown({ after: one, order: 'oldest', limit: 2 })).toEqual(all.slice(3, 5))
    expect(await shown({ before: one, order: 'newest' })).toEqual(['member', 'initial'])
    expect(await shown({ limit: 0 })).toEqual([])
    await expect(shown({ before: 'f'.repeat(40) as MessageId })).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    expect((await views.message(ours.id, ours.head))?.entry.type).toBe('application/never-seen')
    expect(await views.message(ours.id, 'f'.repeat(40) as MessageId)).toBeUndefined()
  })

  it('what comes while somebody reads the oldest first is read, too', async () => {
    const { ours } = await pair()
    await write(ours, text('one'))
    const { views } = look(ours, alice.accountId)
    const seen: string[] = []
    for await (const { entry, fields } of views.messages(ours.id, { order: 'oldest' })) {
      seen.push(fields.body ?? entry.type)
      if (fields.body === 'one') await write(ours, text('two'))
    }
    expect(seen.slice(2)).toEqual(['one', 'two'])
  })
})

describe('read and unread', () => {
  it('SWM-17 unread are messages of others after what we wrote or read last; not what happens, nor edits, reactions, merges', async () => {
    const { ours, theirs } = await pair()
    const { views } = look(ours, alice.accountId)
    const count = async () => {
      await exchange(theirs, ours)
      const before = views.unread(ours.id) // also while the index lags: an upper bound
      await views.message(ours.id, ours.head)
      expect(before).toBeGreaterThanOrEqual(views.unread(ours.id))
      return views.unread(ours.id)
    }
    expect(await count()).toBe(0)
    const one = await write(theirs, text('one'))
    await write(theirs, text('two'))
    expect(await count()).toBe(2)
    await write(theirs, text('ONE', { edit: one }))
    await write(theirs, text('👍', { 'react-to': one }))
    expect(await count()).toBe(2)
    await ours.note(alice.accountId, one, 'displayed')
    expect(await count()).toBe(1)
    await write(ours, text('answer'))
    expect(await count()).toBe(0)
    await exchange(ours, theirs)
    const three = await write(theirs, text('three'))
    expect(await count()).toBe(1)
    expect(await count()).toBe(1)
    await write(ours, text('👍', { 'react-to': three }))
    expect(await count()).toBe(0)
  })

  it('SWM-17 is right after merges: counted anew against a fresh look', async () => {
    const { ours, theirs } = await pair()
    const { views } = look(ours, alice.accountId)
    for (let round = 0; round < 4; round++) {
      await write(theirs, text(`theirs ${round}`))
      if (round % 2) await write(ours, text(`ours ${round}`))
      await exchange(theirs, ours)
      await views.message(ours.id, ours.head)
      const fresh = look(ours, alice.accountId).views
      await fresh.message(ours.id, ours.head)
      expect(views.unread(ours.id), `round ${round}`).toBe(fresh.unread(ours.id))
      await exchange(ours, theirs)
    }
  })

  it('SWM-17 how far a member has read is a message that people see', async () => {
    const { ours } = await pair()
    const one = await write(ours, text('one'))
    const edit = await write(ours, text('ONE', { edit: one }))
    const { views } = look(ours, alice.accountId)
    await views.message(ours.id, one)
    expect(views.lastRead(ours.id, bob.accountId)).toBeUndefined()
    await ours.note(bob.accountId, edit, 'displayed')
    expect(views.lastRead(ours.id, bob.accountId)).toBe(one)
  })
})

describe('search', () => {
  async function searched() {
    const { ours, theirs } = await pair()
    const old = await write(ours, text('the quick brown fox'))
    await exchange(ours, theirs)
    await write(theirs, text('a Quick answer'))
    await write(theirs, { type: 'application/data-transfer+json', fields: { tid: '5', displayName: 'Quick report.pdf', totalSize: '1' } })
    const gone = await write(theirs, text('quick and gone'))
    await write(theirs, text('', { edit: gone }))
    await exchange(theirs, ours)
    await write(ours, text('the slow brown fox', { edit: old }))
    return { ours, theirs, ...look(ours, alice.accountId) }
  }

  it('SWM-6 finds words of the text as it is now and of names of files, newest first; not those of earlier editions or of what was taken back', async () => {
    const { found } = await searched()
    expect(await found({ text: 'quick' })).toEqual(['Quick report.pdf', 'a Quick answer'])
    expect(await found({ text: 'FO brow' })).toEqual(['the slow brown fox'])
    expect(await found({ text: 'slow' })).toEqual(['the slow brown fox'])
    expect(await found({ text: 'gone' })).toEqual([])
    expect(await found({ text: '???' })).toEqual([])
  })

  it('everything that is given must hold: author, type, times, limit', async () => {
    const { found, ours } = await searched()
    expect(await found({ text: 'quick', author: alice.accountId })).toEqual([])
    expect(await found({ text: 'quick', type: 'text/plain' })).toEqual(['a Quick answer'])
    expect(await found({ type: 'application/data-transfer+json' })).toEqual(['Quick report.pdf'])
    expect(await found({ type: 'member' })).toEqual(['member'])
    expect(await found({ text: 'quick', limit: 1 })).toEqual(['Quick report.pdf'])
    const timeMs = (await ours.entry(ours.head))?.timeMs ?? 0
    expect(await found({ text: 'quick', afterMs: timeMs + 1000 })).toEqual([])
    expect(await found({ beforeMs: (await ours.entry(ours.id))?.timeMs ?? 0 })).toEqual([])
    expect((await found({ beforeMs: timeMs + 1, author: bob.accountId })).length).toBeGreaterThan(2)
  })

  it('SWM-S9 a pattern reads the texts that are left, as they are now', async () => {
    const { found } = await searched()
    expect(await found({ text: /^the .* fox$/ })).toEqual(['the slow brown fox'])
    expect(await found({ text: /quick/i })).toEqual(['Quick report.pdf', 'a Quick answer'])
    expect(await found({ text: /quick/i, type: 'text/plain', author: bob.accountId })).toEqual(['a Quick answer'])
    await expect(found({ text: new RegExp('x'.repeat(2000)) })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  })

  it('SWM-S9 a pattern that takes too long is refused, and the loop goes on meanwhile', async () => {
    const { ours } = await pair()
    await write(ours, text(`${'a'.repeat(60)}b`))
    const { found } = look(ours, alice.accountId)
    let turns = 0
    let over = false
    const turn = () => {
      turns++
      if (!over) setImmediate(turn)
    }
    setImmediate(turn)
    await expect(found({ text: /(a+)+$/ })).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { allowed: PATTERN_TIME_MS } })
    over = true
    expect(turns).toBeGreaterThan(100)
  })

  it('ends with the signal and the time that it is given', async () => {
    const { found } = await searched()
    await expect(found({ text: 'quick', signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_ABORTED' })
  })

  it('an index that was kept is used after a restart, and written on', async () => {
    const { ours } = await pair()
    await write(ours, text('before'))
    const first = look(ours, alice.accountId)
    expect(await first.found({ text: 'before' })).toEqual(['before'])
    await first.views.stop()
    await write(ours, text('after the restart'))
    const second = look(ours, alice.accountId, first.storage)
    expect([await second.found({ text: 'before' }), await second.found({ text: 'after' })]).toEqual([['before'], ['after the restart']])
    expect([first.problems, second.problems]).toEqual([[], []])
  })

  it('after a conversation was forgotten nothing of the index is written', async () => {
    const { ours } = await pair()
    await write(ours, text('x'))
    const { views, found, storage } = look(ours, alice.accountId)
    await found({ text: 'x' })
    await views.forget(ours.id)
    expect([...storage.contents.files.keys()]).toEqual([])
  })
})
