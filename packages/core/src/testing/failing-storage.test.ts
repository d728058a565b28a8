import { describe, expect, it } from 'vitest'
import { utf8 } from '../codec/bytes.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { failingStorage } from './failing-storage.ts'
import { storageSuite } from './suites/storage.ts'

const io = expect.objectContaining({ code: 'ERR_STORAGE_IO' })

describe('failingStorage', () => {
  describe('with nothing planned', () => {
    for (const { title, run } of storageSuite(() => ({ storage: failingStorage(memoryStorage()) }))) it(title, run)
  })

  /** One write of every kind, in order. */
  const writers = (storage: ReturnType<typeof failingStorage>) => {
    const tree = storage.files('t')
    return [
      () => storage.batch([{ key: 'a/1', value: utf8('1') }, { key: 'a/2', value: utf8('2') }]),
      () => tree.write('f', utf8('0123')),
      () => tree.append('f', utf8('4')),
      () => tree.flush('f'),
      () => tree.truncate('f', 2),
      () => tree.rename('f', 'g'),
      () => tree.remove('g'),
      () => storage.purge('a/'),
    ]
  }
  const stateOf = async (storage: ReturnType<typeof failingStorage>) => {
    const keys: string[] = []
    for await (const key of storage.keys('')) keys.push(key)
    const text = async (path: string) => new TextDecoder().decode((await storage.files('t').read(path)) ?? utf8('-'))
    return [keys.join(','), await text('f'), await text('g')].join(' ')
  }

  it('write number n of any kind fails, nothing of it happens, and the ones after it work', async () => {
    const count = writers(failingStorage(memoryStorage())).length
    for (let n = 1; n <= count; n++) {
      const storage = failingStorage(memoryStorage(), { at: n })
      for (const [i, write] of writers(storage).entries()) {
        const before = await stateOf(storage)
        if (i + 1 === n) {
          await expect(write()).rejects.toEqual(io)
          expect(await stateOf(storage)).toBe(before)
        }
        await write()
      }
      expect(storage.failed).toHaveLength(1)
      expect(storage.writes).toBe(count + 1)
    }
  })

  it('every write from n on fails until the plan is healed', async () => {
    const storage = failingStorage(memoryStorage(), { from: 2 })
    await storage.batch([{ key: 'a', value: utf8('1') }])
    for (let i = 0; i < 3; i++) await expect(storage.batch([{ key: 'a', value: utf8('2') }])).rejects.toEqual(io)
    expect(await storage.get('a')).toEqual(utf8('1'))
    expect(storage.failed).toEqual(Array(3).fill({ kind: 'batch', names: ['a'] }))
    storage.plan = {}
    await storage.batch([{ key: 'a', value: utf8('3') }])
    expect([await storage.get('a'), storage.failed, storage.writes]).toEqual([utf8('3'), [], 1])
  })

  it('a write that fails after it happened has happened', async () => {
    const plain = failingStorage(memoryStorage())
    const crashing = failingStorage(memoryStorage(), { from: 1, applied: true })
    for (const [i, write] of writers(plain).entries()) {
      await write()
      await expect(writers(crashing)[i]?.()).rejects.toEqual(io)
      expect(await stateOf(crashing)).toBe(await stateOf(plain))
    }
  })

  it('only the writes that are meant are counted and fail', async () => {
    const storage = failingStorage(memoryStorage(), { at: 2, only: ({ kind, names }) => kind === 'append' && names[0] === 't/journal' })
    const tree = storage.files('t')
    await tree.append('other', utf8('1'))
    await tree.append('journal', utf8('1'))
    await storage.batch([{ key: 'a', value: utf8('1') }])
    await expect(tree.append('journal', utf8('2'))).rejects.toEqual(io)
    expect([await tree.read('journal'), storage.writes]).toEqual([utf8('1'), 2])
  })
})
