// Who has what: ancestors of what was told, also when it was told before the commit came; kept for each member, disk before memory.
import { ManualClock } from '@jamikit/core/testing'
import { memoryFiles } from '../../test/memory.ts'
import { describe, expect, it } from 'vitest'
import { Rows } from '../../test/rows.ts'
import { Marks, MAX_STEPS } from './marks.ts'

const me = 'me' as never
const bob = 'b'.repeat(40) as never

async function marksOver(rows: Rows, storage = memoryFiles()) {
  const marks = new Marks({ clock: new ManualClock(), history: rows.history, storage, prefix: 'c/marks/', own: me })
  expect(await marks.load()).toEqual([])
  return { marks, storage }
}

describe('marks', () => {
  it('SWM-17 cover a commit and what is before it; only own messages that are new are reported, oldest first', async () => {
    const rows = new Rows({ oid: '0', author: 'me' }, { oid: '1', author: bob }, { oid: '2', author: 'me' }, { oid: '3', author: 'me' })
    const { marks } = await marksOver(rows)
    expect(await marks.note(bob, '2', 'sent', 5)).toEqual(['0', '2'])
    expect(await marks.note(bob, '3', 'sent', 6)).toEqual(['3'])
    expect(await marks.note(bob, '1', 'sent', 7)).toEqual([])
    expect(await marks.note(bob, '2', 'displayed', 8)).toEqual(['0', '2'])
    expect([marks.statusOf('3' as never, bob), marks.statusOf('2' as never, bob)]).toEqual([{ status: 'sent', atMs: 6 }, { status: 'displayed', atMs: 8 }])
    expect(marks.statusOf('3' as never, 'c'.repeat(40) as never)).toBeUndefined()
  })

  it('SWM-17 tell when each message became known, also after a restart and of branches; beyond a bound the time of the oldest that is known', async () => {
    const rows = new Rows({ oid: '0', author: 'me' }, { oid: '1', author: 'me' }, { oid: '2', author: 'me', parents: ['0'] }, { oid: '3', author: 'me', parents: ['2'] })
    const { marks, storage } = await marksOver(rows)
    await marks.note(bob, '0', 'sent', 5)
    await marks.note(bob, '3', 'sent', 6)
    await marks.note(bob, '1', 'sent', 7)
    const times = (of: Marks, ...oids: string[]) => oids.map((oid) => of.statusOf(oid as never, bob)?.atMs)
    expect(times(marks, '0', '1', '2', '3')).toEqual([5, 7, 6, 6])
    const again = (await marksOver(rows, storage)).marks
    expect(times(again, '0', '1', '2', '3')).toEqual([5, 7, 6, 6])
    for (let i = 4; i < 4 + MAX_STEPS; i++) {
      rows.add({ oid: String(i), author: 'me' })
      await again.note(bob, String(i), 'sent', 100 + i)
    }
    expect(times(again, '0', '4', String(3 + MAX_STEPS))).toEqual([104, 104, 103 + MAX_STEPS])
    expect([...storage.contents.records.values()][0]?.length).toBeLessThan(600)
  })

  it('a receipt for a commit that is not here yet counts when it comes, also after a restart', async () => {
    const rows = new Rows({ oid: '0', author: 'me' })
    const { marks, storage } = await marksOver(rows)
    expect(await marks.note(bob, '1', 'displayed', 5)).toEqual([])
    const again = (await marksOver(rows, storage)).marks
    rows.add({ oid: '1', author: 'me' })
    const due = [...again.due()]
    expect(due).toEqual([{ member: bob, oid: '1', kind: 'displayed' }])
    for (const { member, oid, kind } of due) expect(await again.note(member, oid, kind, 9)).toEqual(['0', '1'])
    expect([...again.due()]).toEqual([])
  })

  it('a member that tells of commits which never come keeps a few of them, the newest', async () => {
    const rows = new Rows({ oid: '0', author: 'me' })
    const { marks, storage } = await marksOver(rows)
    for (let i = 0; i < 1000; i++) await marks.note(bob, `${i}`.padStart(40, '0'), 'sent', 1)
    expect([...(await storage.get(`c/marks/${bob}`) ?? [])].length).toBeLessThan(1000)
    rows.add({ oid: '999'.padStart(40, '0'), author: 'me' })
    expect([...marks.due()]).toHaveLength(1)
  })

  it('what could not be written has not happened: the same receipt reports again', async () => {
    const rows = new Rows({ oid: '0', author: 'me' })
    const { marks, storage } = await marksOver(rows)
    storage.onWrite = () => {
      throw new Error('disk full')
    }
    await expect(marks.note(bob, '0', 'sent', 5)).rejects.toThrow()
    await expect(marks.note(bob, 'later', 'sent', 5)).rejects.toThrow()
    expect(marks.statusOf('0' as never, bob)).toBeUndefined()
    storage.onWrite = () => {}
    expect(await marks.note(bob, '0', 'sent', 6)).toEqual(['0'])
  })

  it('old receipts cost no write: 20,000 of them over a long history', async () => {
    const rows = new Rows()
    for (let i = 0; i < 3000; i++) rows.add({ oid: `${i}`, author: i % 2 === 0 ? 'me' : bob })
    const { marks, storage } = await marksOver(rows)
    await marks.note(bob, '2999', 'displayed', 1)
    let writes = 0
    storage.onWrite = () => {
      writes++
    }
    for (let i = 0; i < 20_000; i++) expect(await marks.note(bob, `${i % 3000}`, 'displayed', 2)).toEqual([])
    expect(writes).toBe(0)
  })

  it('a damaged record costs its member, and is reported', async () => {
    const storage = memoryFiles()
    const rows = new Rows({ oid: '0', author: 'me' })
    const good = new Marks({ clock: new ManualClock(), history: rows.history, storage, prefix: 'c/marks/', own: me })
    await good.note(bob, '0', 'sent', 5)
    await storage.batch([{ key: `c/marks/${'a'.repeat(40)}`, value: Uint8Array.of(0xc1) }])
    const again = new Marks({ clock: new ManualClock(), history: rows.history, storage, prefix: 'c/marks/', own: me })
    expect(await again.load()).toHaveLength(1)
    expect(again.statusOf('0' as never, bob)).toEqual({ status: 'sent', atMs: 5 })
  })
})
