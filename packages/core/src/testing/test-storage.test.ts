// The storage of tests, by the contract suite, and its hook.
import { describe, expect, it } from 'vitest'
import { utf8 } from '../codec/bytes.ts'
import { storageSuite } from './suites/storage.ts'
import { copyOf, testStorage } from './test-storage.ts'

describe('testStorage', () => {
  for (const { title, run } of storageSuite(() => {
    const storage = testStorage()
    return {
      storage,
      async reopen() {
        await storage.close()
        return testStorage(storage.contents)
      },
    }
  })) it(title, run)

  it('a hook that throws is a crash: nothing of that write is there, everything before it is', async () => {
    const storage = testStorage()
    const files = storage.files('repo')
    await storage.batch([{ key: 'a', value: utf8('1') }])
    await files.write('x', utf8('1'))
    const seen: string[] = []
    storage.onWrite = (what) => {
      seen.push(what)
      throw new Error('power cut')
    }
    await expect(storage.batch([{ key: 'a', value: utf8('2') }])).rejects.toThrow('power cut')
    await expect(files.write('y', utf8('2'))).rejects.toThrow('power cut')
    await expect(files.rename('x', 'z')).rejects.toThrow('power cut')
    await expect(files.remove('x')).rejects.toThrow('power cut')
    expect(seen).toEqual(['a', 'y', 'z', 'x'])
    expect([...storage.contents.records.values(), ...storage.contents.files.values()]).toEqual([utf8('1'), utf8('1')])
    expect([...storage.contents.files.keys()]).toEqual(['repo/x'])
  })

  it('no crash point splits a batch', async () => {
    const storage = testStorage()
    const change = [{ key: 'a', value: utf8('2') }, { key: 'b', value: utf8('2') }]
    for (let crashAt = 0; crashAt < 2; crashAt++) {
      let writes = 0
      storage.onWrite = () => {
        if (writes++ === crashAt) throw new Error('power cut')
      }
      await expect(storage.batch(change)).rejects.toThrow('power cut')
      expect(storage.contents.records.size).toBe(0)
    }
  })

  it('a copy goes its own way', async () => {
    const storage = testStorage()
    await storage.batch([{ key: 'a', value: utf8('1') }])
    const copy = testStorage(copyOf(storage.contents))
    await copy.batch([{ key: 'a', value: null }])
    expect([await storage.get('a'), await copy.get('a')]).toEqual([utf8('1'), undefined])
  })
})
