// The index of what people see: follows the history, is kept, is made anew when it is lost, damaged or of another history, and lives without disk.
import type { ConversationEntry } from '@jamikit/core/contracts'
import { JamiError } from '@jamikit/core/base'
import { ManualClock } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { memoryFiles } from '../../../test/memory.ts'
import { Rows } from '../../../test/rows.ts'
import { KIND } from './kinds.ts'
import { Blocks } from './runs.ts'
import { ViewIndex } from './view-index.ts'

const clock = new ManualClock()
type Fields = Record<string, string>

function world() {
  const rows = new Rows()
  const entries = new Map<string, ConversationEntry>()
  const storage = memoryFiles()
  const files = storage.files('c')
  const problems: JamiError[] = []
  let reads = 0
  const add = (fields: Fields, type = 'text/plain') => {
    const oid = String(entries.size).padStart(40, '0')
    rows.add({ oid })
    entries.set(oid, { id: oid, parents: ['p'], type, fields, author: 'a', device: 'd', timeMs: 0, conversation: 'c' } as never)
    return oid
  }
  const open = async () => {
    const index = new ViewIndex({
      files, clock, blocks: new Blocks(64), history: rows.history, onProblem: (error) => problems.push(error),
      entry: async (oid) => {
        reads++
        return entries.get(oid)
      },
    })
    await index.load()
    return index
  }
  return { rows, entries, storage, files, problems, add, open, reads: () => reads }
}

const changes = async (index: ViewIndex, row: number) => (await index.changes(row)).map(({ relation, row: by }) => [relation, by])

describe('the index of what people see', () => {
  it('knows what each commit is, what changes what, and the words of all editions by their message', async () => {
    const w = world()
    const message = w.add({ body: 'hello world' })
    const reaction = w.add({ body: '👍', 'react-to': message })
    w.add({ body: 'goodbye', edit: message })
    w.add({ body: '', edit: reaction })
    w.add({ body: '', edit: message })
    w.add({}, 'member')
    w.add({ body: 'x', 'react-to': 'f'.repeat(40) })
    const index = await w.open()
    await index.catchUp()
    expect(Array.from({ length: 8 }, (_, row) => index.kind(row))).toEqual([KIND.message, KIND.reaction, KIND.edit, KIND.edit, KIND.edit, KIND.event, KIND.reaction, KIND.unknown])
    expect(await changes(index, 0)).toEqual([[2, 1], [0, 2], [4, 3], [1, 4]].sort((a, b) => (a[0] as number) - (b[0] as number)))
    expect([await index.withWord('worl'), await index.withWord('good'), await index.withWord('x'), await index.ofType('member')]).toEqual([[0], [0], [], [5]])
  })

  it('is kept: whoever opens it again reads only what is new', async () => {
    const w = world()
    for (let i = 0; i < 20; i++) w.add({ body: `word${i}` })
    const first = await w.open()
    await first.catchUp()
    await first.close(true)
    const before = w.reads()
    w.add({ body: 'fresh' })
    const again = await w.open()
    expect(again.rows).toBe(20)
    await again.catchUp()
    expect(w.reads()).toBe(before + 1)
    expect([await again.withWord('word7'), await again.withWord('fresh')]).toEqual([[7], [20]])
  })

  it.each([
    ['lost', async (w: ReturnType<typeof world>) => w.files.remove('jamikit/index')],
    ['of another history', async (w: ReturnType<typeof world>) => w.files.write('jamikit/index/state', ((await w.files.read('jamikit/index/state')) ?? new Uint8Array()).map((byte) => (byte === 0x30 ? 0x31 : byte)))],
    ['torn', async (w: ReturnType<typeof world>) => w.files.write('jamikit/index/state', new Uint8Array([1, 2, 3]))],
    ['without the kinds', async (w: ReturnType<typeof world>) => w.files.remove('jamikit/index/kinds')],
    ['without a file', async (w: ReturnType<typeof world>) => w.files.remove('jamikit/index/w0')],
    ['damaged where it is read', async (w: ReturnType<typeof world>) => w.files.write('jamikit/index/w0', ((await w.files.read('jamikit/index/w0')) ?? new Uint8Array()).fill(7))],
  ])('is made anew when it is %s', async (_, harm) => {
    const w = world()
    for (let i = 0; i < 5; i++) w.add({ body: `word${i}` })
    const first = await w.open()
    await first.catchUp()
    await first.close(true)
    await harm(w)
    const again = await w.open()
    await again.catchUp()
    expect([await again.withWord('word3'), await again.withWord('word')]).toEqual([[3], [0, 1, 2, 3, 4]])
    await again.close(true)
  })

  it('a crash at any write costs nothing but reading again', async () => {
    for (let crash = 1; ; crash++) {
      const w = world()
      for (let i = 0; i < 10; i++) w.add({ body: `word${i}` })
      const first = await w.open()
      await first.catchUp()
      await first.close(true)
      for (let i = 10; i < 15; i++) w.add({ body: `word${i}` })
      const second = await w.open()
      await second.catchUp()
      let writes = 0
      w.storage.onWrite = () => {
        if (++writes >= crash) throw new Error('crash')
      }
      await second.close(true)
      w.storage.onWrite = () => {}
      const third = await w.open()
      await third.catchUp()
      expect([await third.withWord('word3'), await third.withWord('word12'), third.rows], `write ${crash}`).toEqual([[3], [12], 15])
      await third.close(true)
      if (writes < crash) break
      expect(crash).toBeLessThan(30)
    }
  })

  it('without a disk it answers from memory, and says once that it is not kept', async () => {
    const w = world()
    for (let i = 0; i < 2_500; i++) w.add({ body: `word${i}` })
    w.storage.onWrite = () => {
      throw new JamiError('ERR_STORAGE_IO', 'full')
    }
    const index = await w.open()
    await index.catchUp()
    expect(await index.withWord('word2499')).toEqual([2499])
    expect(w.problems.filter((error) => error.code === 'ERR_STORAGE_IO')).toHaveLength(1)
  })

  it('a commit that cannot be read costs itself', async () => {
    const w = world()
    w.add({ body: 'one' })
    const bad = w.add({ body: 'two' })
    w.add({ body: 'three' })
    const read = w.entries.get.bind(w.entries)
    w.entries.get = (oid) => {
      if (oid === bad) throw new JamiError('ERR_STORAGE_CORRUPT', 'damaged')
      return read(oid)
    }
    const index = await w.open()
    await index.catchUp()
    expect([index.kind(0), index.kind(1), index.kind(2), w.problems.length]).toEqual([KIND.message, KIND.hidden, KIND.message, 1])
  })
})
