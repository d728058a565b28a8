// What the program has handled: in the order of arrival, durable in groups, again after a crash, nothing lost by a full disk.
import { ManualClock } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { memoryFiles } from '../../test/memory.ts'
import { Rows } from '../../test/rows.ts'
import { Handled } from './handled.ts'

async function handledOver(rows: Rows, storage = memoryFiles()) {
  const handled = new Handled({ clock: new ManualClock(), history: rows.history, storage, key: 'c/handled', own: 'me' as never })
  await handled.load()
  return { handled, storage, open: () => [...handled.open()].map(({ oid }) => oid) }
}

describe('handled', () => {
  it('others’ commits wait in the order of arrival; one counts with all before it, one beside it does not', async () => {
    const rows = new Rows({ oid: '0', author: 'me' }, { oid: '1' }, { oid: '2' }, { oid: 'side', parents: ['1'] }, { oid: '3', author: 'me', parents: ['2', 'side'] }, { oid: '4' })
    const { handled, open } = await handledOver(rows)
    expect(open()).toEqual(['1', '2', 'side', '4'])
    await handled.add('2')
    expect(open()).toEqual(['side', '4'])
    await handled.add('4')
    expect(open()).toEqual([])
  })

  it('survives a restart, and continues with what arrives while somebody reads', async () => {
    const rows = new Rows({ oid: '0' }, { oid: '1' })
    const { handled, storage } = await handledOver(rows)
    await handled.add('0')
    const again = await handledOver(rows, storage)
    const seen: string[] = []
    for (const { oid } of again.handled.open()) {
      seen.push(oid)
      if (oid === '1') rows.add({ oid: '2' })
    }
    expect(seen).toEqual(['1', '2'])
  })

  it('acknowledgements that come while one is written share the next write', async () => {
    const rows = new Rows()
    for (let i = 0; i < 500; i++) rows.add({ oid: `${i}` })
    const { handled, storage, open } = await handledOver(rows)
    let writes = 0
    storage.onWrite = () => {
      writes++
    }
    await Promise.all(Array.from({ length: 500 }, (_, i) => handled.add(`${i}`)))
    expect([writes, open()]).toEqual([2, []])
  })

  it('a write that failed has acknowledged nothing', async () => {
    const rows = new Rows({ oid: '0' }, { oid: '1' })
    const { handled, storage, open } = await handledOver(rows)
    storage.onWrite = () => {
      throw new Error('disk full')
    }
    await expect(Promise.all([handled.add('0'), handled.add('1')])).rejects.toThrow()
    expect(open()).toEqual(['0', '1'])
    storage.onWrite = () => {}
    await handled.add('1')
    expect(open()).toEqual([])
  })

  it('a program that only sends leaves nothing to walk over', async () => {
    const rows = new Rows()
    for (let i = 0; i < 100_000; i++) rows.add({ oid: `${i}`, author: 'me' })
    const { open } = await handledOver(rows)
    expect(open()).toEqual([])
    rows.add({ oid: 'last' })
    expect(open()).toEqual(['last'])
  })
})
