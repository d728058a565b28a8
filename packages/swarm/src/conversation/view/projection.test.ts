// Messages as people see them, over real histories: editions, what is taken back, reactions; by the order of the history, also after merges.
import type { AccountUri, MessageId } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { alice, bob, clock, exchange, pair, problems } from '../../../test/harness.ts'
import { memoryFiles } from '../../../test/memory.ts'
import { Rows } from '../../../test/rows.ts'
import type { Conversation } from '../conversation.ts'
import { MAX_EDITIONS, MAX_EDITS, MAX_REACTION_CHANGES, MAX_REACTIONS, Projection } from './projection.ts'
import { Blocks } from './runs.ts'
import { ViewIndex } from './view-index.ts'

type Body = { type: string; fields: Record<string, string> }
export const text = (body: string, fields: Record<string, string> = {}): Body => ({ type: 'text/plain', fields: { body, ...fields } })

async function project(of: Conversation) {
  const entry = (oid: string) => of.entry(oid)
  const index = new ViewIndex({ files: memoryFiles().files('c'), clock, blocks: new Blocks(64), history: of.history, entry, onProblem: (error) => problems.push(error) })
  await index.load()
  await index.catchUp()
  const projection = new Projection({ history: of.history, index, entry, kept: new Map() })
  return {
    projection,
    async view(id: MessageId) {
      const found = await entry(id)
      if (!found) throw new Error('not here')
      const { fields, deleted, editions, editedMs, reactions } = await projection.view(found)
      return { body: fields.body, tid: fields.tid, deleted, editions: editions.map(({ body }) => body), edited: editedMs !== undefined, reactions: reactions.map(({ author, body }) => [author, body]) }
    },
  }
}

const write = async (who: Conversation, body: Body) => (await who.append(body, undefined)).id
const PLAIN = { tid: undefined, deleted: false, editions: [], edited: false, reactions: [] }

describe('messages as people see them', () => {
  it('SWM-6 the newest edit wins, former texts come newest first, an empty one takes the message back (spec 04 D.2), and a later one brings it again', async () => {
    const { ours } = await pair()
    const id = await write(ours, text('helo'))
    await write(ours, text('hello', { edit: id }))
    expect(await (await project(ours)).view(id)).toEqual({ ...PLAIN, body: 'hello', editions: ['helo'], edited: true })
    await write(ours, text('', { edit: id }))
    expect(await (await project(ours)).view(id)).toEqual({ ...PLAIN, body: '', deleted: true, editions: ['hello', 'helo'], edited: true })
    await write(ours, text('again', { edit: id }))
    expect(await (await project(ours)).view(id)).toMatchObject({ body: 'again', deleted: false, editions: ['', 'hello', 'helo'] })
  })

  it('SWM-6 an edit of the legacy type counts as one', async () => {
    const { ours } = await pair()
    const id = await write(ours, text('old'))
    await write(ours, { type: 'application/edited-message', fields: { body: 'new', edit: id } })
    expect(await (await project(ours)).view(id)).toMatchObject({ body: 'new', editions: ['old'] })
  })

  it('SWM-6 reactions are those that were not taken back, in the order of the history; taking the message back clears them', async () => {
    const { ours, theirs } = await pair()
    const id = await write(ours, text('party?'))
    await exchange(ours, theirs)
    const thumb = await write(theirs, text('👍', { 'react-to': id }))
    await write(theirs, text('🎉', { 'react-to': id }))
    await exchange(theirs, ours)
    await write(ours, text('🎉', { 'react-to': id }))
    expect((await (await project(ours)).view(id)).reactions).toEqual([[bob.accountId, '👍'], [bob.accountId, '🎉'], [alice.accountId, '🎉']])
    await exchange(ours, theirs)
    await write(theirs, text('👎', { edit: thumb }))
    expect((await (await project(theirs)).view(id)).reactions[0]).toEqual([bob.accountId, '👎'])
    await write(theirs, text('', { edit: thumb }))
    await write(theirs, text('🤷', { edit: thumb })) // gone is gone
    await exchange(theirs, ours)
    expect((await (await project(ours)).view(id)).reactions).toEqual([[bob.accountId, '🎉'], [alice.accountId, '🎉']])
    await write(ours, text('', { edit: id }))
    expect(await (await project(ours)).view(id)).toMatchObject({ deleted: true, reactions: [] })
  })

  it('SWM-6 a file that is taken back has an empty tid and keeps its name', async () => {
    const { ours } = await pair()
    const id = await write(ours, { type: 'application/data-transfer+json', fields: { tid: '7', displayName: 'a.txt', totalSize: '1', sha3sum: 'a'.repeat(128) } })
    expect(await (await project(ours)).view(id)).toMatchObject({ tid: '7', deleted: false })
    await write(ours, { type: 'application/data-transfer+json', fields: { tid: '', edit: id } })
    expect(await (await project(ours)).view(id)).toMatchObject({ tid: '', deleted: true, editions: [] })
  })

  it('SWM-6 of two edits on two branches the one that is later in the order of the history wins, for everybody', async () => {
    const { ours, theirs } = await pair()
    const id = await write(ours, text('first'))
    await exchange(ours, theirs)
    await write(ours, text('second', { edit: id }))
    await write(theirs, text('💬', { 'react-to': id }))
    await exchange(theirs, ours)
    await exchange(ours, theirs)
    expect(theirs.head).toBe(ours.head)
    const views = await Promise.all([ours, theirs].map(async (who) => (await project(who)).view(id)))
    expect(views[0]).toEqual(views[1])
    expect(views[0]).toMatchObject({ body: 'second', reactions: [[bob.accountId, '💬']] })
  })

  it('every commit has the message that it belongs to: itself, the edited one, the one reacted to; one that belongs to nothing has none', async () => {
    const { ours } = await pair()
    const id = await write(ours, text('x'))
    const edit = await write(ours, text('y', { edit: id }))
    const reaction = await write(ours, text('z', { 'react-to': id }))
    const removal = await write(ours, text('', { edit: reaction }))
    const editOfEdit = await write(ours, text('w', { edit: edit }))
    const vote = await write(ours, { type: 'vote', fields: { uri: bob.accountId } })
    const unknown = await write(ours, { type: 'application/never-seen', fields: { body: 'b' } })
    const { projection, view } = await project(ours)
    expect(await Promise.all([id, edit, reaction, removal, vote, unknown, 'f'.repeat(40)].map((oid) => projection.rootOf(oid)))).toEqual([id, id, id, id, undefined, unknown, undefined])
    expect(await projection.rootOf(editOfEdit)).toBe(id)
    expect((await view(id)).body).toBe('y') // an edit of an edit changes nothing
  })

  it('bounds: editions, reactions, and what is looked at for one message', async () => {
    const entries = new Map<string, Record<string, unknown>>()
    const rows: { relation: number; row: number }[] = []
    const add = (relation: number, fields: Record<string, string>) => {
      const row = rows.length + 1
      entries.set(`e${row}`, { id: `e${row}`, author: 'a' as AccountUri, timeMs: row, fields })
      rows.push({ relation, row })
    }
    for (let i = 0; i < MAX_EDITIONS + 50; i++) add(0, { body: `b${i}`, edit: 'm' })
    for (let i = 0; i < MAX_REACTION_CHANGES + 10; i++) add(2, { body: 'r'.repeat(300) })
    let reads = 0
    const info = (row: number) => ({ oid: row === 0 ? 'm' : `e${row}`, row, position: row, timeS: row })
    const projection = new Projection({
      history: { info: () => info(0), row: info } as never, index: { kind: () => 1, changes: async (_row: number, of: readonly number[]) => rows.filter(({ relation }) => of.includes(relation)) } as never,
      entry: async (oid) => {
        reads++
        return entries.get(oid) as never
      },
      kept: new Map(),
    })
    const view = await projection.view({ id: 'm', timeMs: 0, fields: { body: 'first' } } as never)
    expect([view.fields.body, view.editions.length, view.editions[0]?.body, view.reactions.length, view.reactions[0]?.body.length]).toEqual([`b${MAX_EDITIONS + 49}`, MAX_EDITIONS, `b${MAX_EDITIONS + 48}`, MAX_REACTIONS, 256])
    expect(reads).toBeLessThanOrEqual(MAX_EDITIONS + 1 + MAX_REACTION_CHANGES)
    reads = 0
    await projection.view({ id: 'm', timeMs: 0, fields: { body: 'first' } } as never)
    expect(reads).toBeLessThanOrEqual(MAX_EDITIONS + 1) // reactions are known: each new one shows those before again
  })

  it('what a member who edits or reacts without end costs: a message that was changed 50,000 times is shown by looking at the newest changes', async () => {
    const rows = new Rows({ oid: 'm' })
    const entry = async (oid: string) => ({ id: oid, parents: ['p'], type: 'text/plain', author: 'a', timeMs: 0, fields: oid === 'm' ? { body: 'first' } : /[02468]$/.test(oid) ? { body: oid, edit: 'm' } : { body: oid, 'react-to': 'm' } }) as never
    for (let i = 0; i < 50_000; i++) rows.add({ oid: `e${i}` })
    let looked = 0
    const history = { ...rows.history, get rows() { return rows.history.rows }, row: (row: number) => (looked++, rows.history.row(row)) } as never
    const index = new ViewIndex({ files: memoryFiles().files('c'), clock, blocks: new Blocks(64), history, entry, onProblem: (error) => problems.push(error) })
    await index.load()
    await index.catchUp()
    looked = 0
    const { fields, editions, reactions } = await new Projection({ history, index, entry, kept: new Map() }).view(await entry('m'))
    expect([fields.body, editions[0]?.body, reactions.length, looked]).toEqual(['e49998', 'e49996', MAX_REACTIONS, MAX_EDITS + MAX_REACTION_CHANGES])
  })
})
