// Contract suite of Storage and FileTree: in memory, on disk, and whatever sealed or SQL form comes later.
import { deepStrictEqual, ok } from 'node:assert/strict'
import { utf8 } from '../../codec/bytes.ts'
import type { Storage } from '../../contracts/storage.ts'
import { type ContractTest, rejectsWith, sameBytes, throwsWith, testsOf } from './contract-test.ts'

/** A storage, empty. */
export interface StorageUnderTest {
  /** The one under test. */
  readonly storage: Storage
  /** Closes it and opens the same data again; left out by storages that keep nothing. */
  reopen?(): Promise<Storage>
  /** Ends what it is made of. */
  dispose?(): Promise<void>
}

const BAD_KEYS = ['', '/a', 'a/', 'a//b', '.', '..', 'a/../b', 'a/./b', 'a b', 'ä', 'a\\b', 'a\0b', 'x'.repeat(513)]

async function all(keys: AsyncIterable<string>): Promise<string[]> {
  const out: string[] = []
  for await (const key of keys) out.push(key)
  return out
}

/**
 * What a Storage must do, as tests to run one by one. @param make makes a fresh one for each test
 * @example for (const { title, run } of storageSuite(() => ({ storage: memoryStorage() }))) await run().catch((error: unknown) => console.log(title, error))
 */
export function storageSuite(make: () => StorageUnderTest | Promise<StorageUnderTest>): ContractTest[] {
  const test = testsOf(make)
  const put = (storage: Storage, key: string, text: string) => storage.batch([{ key, value: utf8(text) }])
  return [
    test('a record is undefined before it is written, then what was written, then gone', async ({ storage }) => {
      deepStrictEqual(await storage.get('a'), undefined)
      await put(storage, 'a', 'one')
      sameBytes(await storage.get('a'), utf8('one'))
      await put(storage, 'a', 'two')
      sameBytes(await storage.get('a'), utf8('two'))
      await storage.batch([{ key: 'a', value: null }])
      deepStrictEqual(await storage.get('a'), undefined)
      await storage.batch([{ key: 'never', value: null }])
    }),
    test('an empty value is a value, and a large one is kept whole', async ({ storage }) => {
      const large = new Uint8Array(3_000_000).map((_, i) => i * 7)
      await storage.batch([{ key: 'empty', value: new Uint8Array(0) }, { key: 'large', value: large }])
      sameBytes(await storage.get('empty'), new Uint8Array(0))
      sameBytes(await storage.get('large'), large)
    }),
    test('bytes are copied in and out', async ({ storage }) => {
      const value = utf8('mine')
      const writing = storage.batch([{ key: 'a', value }])
      value.fill(0)
      await writing
      const got = (await storage.get('a')) as Uint8Array
      sameBytes(got, utf8('mine'))
      got.fill(0)
      sameBytes(await storage.get('a'), utf8('mine'))
      const buffer = Buffer.from('mine') // its slice() is a view
      await storage.batch([{ key: 'b', value: buffer }])
      await storage.files('repo').write('b', buffer)
      buffer.fill(0)
      sameBytes(await storage.get('b'), utf8('mine'))
      sameBytes(await storage.files('repo').read('b'), utf8('mine'))
    }),
    test('operations of a batch happen in order, the last one of a key wins', async ({ storage }) => {
      await storage.batch([{ key: 'a', value: utf8('1') }, { key: 'a', value: null }, { key: 'b', value: null }, { key: 'b', value: utf8('2') }])
      deepStrictEqual(await storage.get('a'), undefined)
      sameBytes(await storage.get('b'), utf8('2'))
    }),
    test('batches started at the same time all happen, in the order of their calls', async ({ storage }) => {
      await Promise.all(Array.from({ length: 50 }, (_, i) => storage.batch([{ key: 'last', value: utf8(String(i)) }, { key: `k/${i}`, value: utf8('x') }])))
      sameBytes(await storage.get('last'), utf8('49'))
      deepStrictEqual((await all(storage.keys('k/'))).length, 50)
    }),
    test('a batch with one bad key changes nothing', async ({ storage }) => {
      await rejectsWith('ERR_ARGUMENT', storage.batch([{ key: 'good', value: utf8('1') }, { key: '../bad', value: utf8('2') }]))
      deepStrictEqual(await storage.get('good'), undefined)
    }),
    test('keys outside the alphabet are refused everywhere', async ({ storage }) => {
      for (const key of BAD_KEYS) {
        await rejectsWith('ERR_ARGUMENT', storage.get(key))
        await rejectsWith('ERR_ARGUMENT', storage.batch([{ key, value: utf8('x') }]))
      }
      sameBytes(await storage.batch([{ key: `${'x'.repeat(511)}y`, value: utf8('longest') }]).then(() => storage.get(`${'x'.repeat(511)}y`)), utf8('longest'))
    }),
    test('a key may be the beginning of another key', async ({ storage }) => {
      await storage.batch([{ key: 'a', value: utf8('1') }, { key: 'a/b', value: utf8('2') }, { key: 'a/b/c', value: utf8('3') }])
      sameBytes(await storage.get('a'), utf8('1'))
      sameBytes(await storage.get('a/b'), utf8('2'))
      sameBytes(await storage.get('a/b/c'), utf8('3'))
    }),
    test('keys() gives the keys with the prefix in code unit order, as of the call', async ({ storage }) => {
      await storage.batch(['b', 'a/2', 'a/10', 'a/1', 'a', 'ab', 'B'].map((key) => ({ key, value: utf8(key) })))
      deepStrictEqual(await all(storage.keys('')), ['B', 'a', 'a/1', 'a/10', 'a/2', 'ab', 'b'])
      deepStrictEqual(await all(storage.keys('a/')), ['a/1', 'a/10', 'a/2'])
      deepStrictEqual(await all(storage.keys('c')), [])
      const iterating = storage.keys('a/')
      await storage.batch([{ key: 'a/3', value: utf8('new') }, { key: 'a/1', value: null }])
      deepStrictEqual(await all(iterating), ['a/1', 'a/10', 'a/2'])
    }),
    test('purge() takes away what begins with the prefix, and only that', async ({ storage }) => {
      await storage.batch(['a/1', 'a/2', 'ab', 'b'].map((key) => ({ key, value: utf8(key) })))
      const purging = storage.purge('a/')
      const after = put(storage, 'a/3', 'new')
      await Promise.all([purging, after])
      deepStrictEqual(await all(storage.keys('')), ['a/3', 'ab', 'b'])
      deepStrictEqual(await storage.get('a/1'), undefined)
      sameBytes(await storage.get('ab'), utf8('ab'))
      await storage.purge('nothing')
      await rejectsWith('ERR_ARGUMENT', storage.purge('ä'))
      await storage.purge('')
      deepStrictEqual(await all(storage.keys('')), [])
      await put(storage, 'a/1', 'again')
      sameBytes(await storage.get('a/1'), utf8('again'))
    }),
    test('a record above 8 MiB, or of no bytes, is refused, and nothing of its batch happens', async ({ storage }) => {
      await rejectsWith('ERR_LIMIT', storage.batch([{ key: 'a', value: utf8('1') }, { key: 'b', value: new Uint8Array((8 << 20) + 1) }]))
      await rejectsWith('ERR_ARGUMENT', storage.batch([{ key: 'a', value: utf8('1') }, { key: 'b', value: 'text' as unknown as Uint8Array }]))
      deepStrictEqual(await storage.get('a'), undefined)
    }),
    test('files are read as written, replaced, and undefined when missing', async ({ storage }) => {
      const tree = storage.files('repo')
      deepStrictEqual(await tree.read('objects/ab/cd'), undefined)
      await tree.write('objects/ab/cd', utf8('one'))
      sameBytes(await tree.read('objects/ab/cd'), utf8('one'))
      await tree.write('objects/ab/cd', utf8('two'), { durable: false })
      sameBytes(await tree.read('objects/ab/cd'), utf8('two'))
      deepStrictEqual(await tree.read('objects/ab'), undefined)
      deepStrictEqual(await tree.read('objects/ab/cd/ef'), undefined)
    }),
    test('a range gives the part of the file that exists', async ({ storage }) => {
      const tree = storage.files('repo')
      const bytes = new Uint8Array(200_000).map((_, i) => (i * 31) ^ (i >> 8))
      await tree.write('f', bytes)
      for (const [start, length] of [[0, 0], [0, 1], [0, 200_000], [1, 65_535], [65_530, 20], [131_072, 1], [199_999, 1], [199_990, 1000], [0, Number.MAX_SAFE_INTEGER]] as const)
        sameBytes(await tree.read('f', { start, length }), bytes.subarray(start, start + length))
      sameBytes(await tree.read('f', { start: 200_000, length: 10 }), new Uint8Array(0))
      sameBytes(await tree.read('f', { start: 2 ** 50, length: 10 }), new Uint8Array(0))
      deepStrictEqual(await tree.read('nothing', { start: 0, length: 10 }), undefined)
      deepStrictEqual([await tree.size('f'), await tree.size('nothing')], [200_000, undefined])
      await tree.write('f', utf8('other'))
      sameBytes(await tree.read('f', { start: 1, length: 3 }), utf8('the'))
      await tree.write('empty', new Uint8Array(0))
      sameBytes(await tree.read('empty'), new Uint8Array(0))
      deepStrictEqual(await tree.size('empty'), 0)
    }),
    test('append() makes a file and lets it grow; every read sees it', async ({ storage }) => {
      const tree = storage.files('repo')
      deepStrictEqual(await tree.append('deep/journal', utf8('one ')), 4)
      deepStrictEqual(await tree.append('deep/journal', utf8('two '), { durable: false }), 8)
      await tree.flush('deep/journal')
      await tree.flush('nothing')
      deepStrictEqual(await tree.append('deep/journal', new Uint8Array(0)), 8)
      sameBytes(await tree.read('deep/journal'), utf8('one two '))
      sameBytes(await tree.read('deep/journal', { start: 4, length: 3 }), utf8('two'))
      deepStrictEqual(await tree.size('deep/journal'), 8)
      await tree.write('whole', utf8('written '))
      deepStrictEqual(await tree.append('whole', utf8('and more')), 16)
      sameBytes(await tree.read('whole'), utf8('written and more'))
      await tree.write('whole', utf8('new'))
      deepStrictEqual(await tree.append('whole', utf8('er')), 5)
      sameBytes(await tree.read('whole'), utf8('newer'))
      deepStrictEqual((await tree.list('')).sort(), ['deep/', 'whole'])
    }),
    test('appends are in the order of their calls, also those that wait for one another, and tell the size after each', async ({ storage }) => {
      const tree = storage.files('repo')
      const parts = Array.from({ length: 200 }, (_, i) => new Uint8Array((i * 37) % 3000).fill(i))
      const sizes = await Promise.all(parts.map((part, i) => tree.append('j', part, { durable: i % 3 === 0 })))
      let size = 0
      deepStrictEqual(sizes, parts.map((part) => (size += part.length)))
      sameBytes(await tree.read('j'), Buffer.concat(parts))
      sameBytes(await tree.read('j', { start: 100_000, length: 70_000 }), Buffer.concat(parts).subarray(100_000, 170_000))
    }),
    test('calls on one file happen in their order', async ({ storage }) => {
      const tree = storage.files('repo')
      const outcomes = await Promise.all([
        tree.append('j', utf8('abc')), tree.truncate('j', 1), tree.append('j', utf8('X')), tree.write('j', utf8('new ')), tree.append('j', utf8('Y')), tree.append('k', utf8('1')), tree.rename('j', 'd/j'),
        tree.append('j', utf8('again')), tree.remove('k'), tree.append('k', utf8('22')),
      ])
      deepStrictEqual([outcomes[0], outcomes[2], outcomes[4], outcomes[7], outcomes[9]], [3, 2, 5, 5, 2])
      sameBytes(await tree.read('d/j'), utf8('new Y'))
      sameBytes(await tree.read('j'), utf8('again'))
      sameBytes(await tree.read('k'), utf8('22'))
    }),
    test('truncate() cuts and never grows; appends go on from there', async ({ storage }) => {
      const tree = storage.files('repo')
      const bytes = new Uint8Array(150_000).map((_, i) => i * 13)
      await rejectsWith('ERR_NOT_FOUND', tree.truncate('f', 1))
      for (let at = 0; at < bytes.length; at += 30_000) await tree.append('f', bytes.subarray(at, at + 30_000))
      await tree.truncate('f', 150_001)
      deepStrictEqual(await tree.size('f'), 150_000)
      for (const size of [150_000, 100_001, 65_536, 30_000, 7]) {
        await tree.truncate('f', size)
        deepStrictEqual(await tree.size('f'), size)
        sameBytes(await tree.read('f'), bytes.subarray(0, size))
        deepStrictEqual(await tree.append('f', utf8('end')), size + 3)
        sameBytes(await tree.read('f', { start: size - 5, length: 100 }), Buffer.concat([bytes.subarray(size - 5, size), utf8('end')]))
      }
      await tree.truncate('f', 0)
      sameBytes(await tree.read('f'), new Uint8Array(0))
      deepStrictEqual(await tree.append('f', utf8('x')), 1)
      await tree.write('w', bytes)
      await tree.truncate('w', 70_000)
      sameBytes(await tree.read('w'), bytes.subarray(0, 70_000))
    }),
    test('a moved file is appended to and read at its new place, and a new one begins at the old', async ({ storage }) => {
      const tree = storage.files('repo')
      await tree.append('a/j', utf8('one'))
      sameBytes(await tree.read('a/j', { start: 0, length: 9 }), utf8('one'))
      await tree.rename('a', 'b')
      deepStrictEqual(await tree.read('a/j', { start: 0, length: 9 }), undefined)
      deepStrictEqual(await tree.append('a/j', utf8('x')), 1)
      deepStrictEqual(await tree.append('b/j', utf8('two')), 6)
      sameBytes(await tree.read('b/j', { start: 2, length: 9 }), utf8('etwo'))
      await tree.rename('b/j', 'a/j')
      sameBytes(await tree.read('a/j'), utf8('onetwo'))
      deepStrictEqual(await tree.size('b/j'), undefined)
      await tree.remove('a')
      deepStrictEqual(await tree.append('a/j', utf8('fresh')), 5)
      sameBytes(await tree.read('a/j', { start: 0, length: 9 }), utf8('fresh'))
    }),
    test('ranges and sizes that are no whole numbers from 0 are refused', async ({ storage }) => {
      const tree = storage.files('repo')
      await tree.write('f', utf8('x'))
      for (const bad of [-1, 0.5, Number.NaN, Infinity]) {
        await rejectsWith('ERR_ARGUMENT', tree.read('f', { start: bad, length: 1 }))
        await rejectsWith('ERR_ARGUMENT', tree.read('f', { start: 0, length: bad }))
        await rejectsWith('ERR_ARGUMENT', tree.truncate('f', bad))
      }
      sameBytes(await tree.read('f'), utf8('x'))
    }),
    test('list() names files and directories', async ({ storage }) => {
      const tree = storage.files('repo')
      await tree.write('HEAD', utf8('x'))
      await tree.write('refs/heads/main', utf8('y'))
      deepStrictEqual((await tree.list('')).sort(), ['HEAD', 'refs/'])
      deepStrictEqual(await tree.list('refs'), ['heads/'])
      deepStrictEqual(await tree.list('refs/heads'), ['main'])
      deepStrictEqual(await tree.list('nowhere'), [])
    }),
    test('trees and records do not see each other', async ({ storage }) => {
      await put(storage, 'x/a', 'record')
      await storage.files('x').write('a', utf8('file'))
      await storage.files('x/sub').write('b', utf8('inner'))
      sameBytes(await storage.get('x/a'), utf8('record'))
      sameBytes(await storage.files('x').read('a'), utf8('file'))
      sameBytes(await storage.files('x').read('sub/b'), utf8('inner'))
      deepStrictEqual(await storage.files('y').read('a'), undefined)
      deepStrictEqual(await all(storage.keys('')), ['x/a'])
    }),
    test('paths never leave the tree', async ({ storage }) => {
      const tree = storage.files('repo')
      for (const path of BAD_KEYS) {
        await rejectsWith('ERR_ARGUMENT', tree.read(path))
        await rejectsWith('ERR_ARGUMENT', tree.write(path, utf8('x')))
        await rejectsWith('ERR_ARGUMENT', tree.append(path, utf8('x')))
        await rejectsWith('ERR_ARGUMENT', tree.flush(path))
        await rejectsWith('ERR_ARGUMENT', tree.size(path))
        await rejectsWith('ERR_ARGUMENT', tree.truncate(path, 0))
        await rejectsWith('ERR_ARGUMENT', tree.remove(path))
        await rejectsWith('ERR_ARGUMENT', tree.rename('a', path))
        await rejectsWith('ERR_ARGUMENT', tree.rename(path, 'a'))
        if (path !== '') await rejectsWith('ERR_ARGUMENT', tree.list(path))
        throwsWith('ERR_ARGUMENT', () => storage.files(path))
      }
    }),
    test('rename() moves a file over another one', async ({ storage }) => {
      const tree = storage.files('repo')
      await tree.write('new', utf8('new'))
      await tree.write('dir/old', utf8('old'))
      await tree.rename('new', 'dir/old')
      sameBytes(await tree.read('dir/old'), utf8('new'))
      deepStrictEqual(await tree.read('new'), undefined)
      await tree.rename('dir/old', 'deep/er/place')
      sameBytes(await tree.read('deep/er/place'), utf8('new'))
    }),
    test('rename() moves a directory to a free name only', async ({ storage }) => {
      const tree = storage.files('repo')
      await tree.write('from/a/b', utf8('1'))
      await tree.write('from/c', utf8('2'))
      await tree.write('taken/x', utf8('3'))
      await rejectsWith('ERR_ARGUMENT', tree.rename('from', 'taken'))
      await rejectsWith('ERR_ARGUMENT', tree.rename('from', 'from/inside'))
      await tree.rename('from', 'to')
      sameBytes(await tree.read('to/a/b'), utf8('1'))
      sameBytes(await tree.read('to/c'), utf8('2'))
      deepStrictEqual((await tree.list('')).sort(), ['taken/', 'to/'])
      await rejectsWith('ERR_NOT_FOUND', tree.rename('from', 'again'))
    }),
    test('a file cannot take the place of a directory, nor lie below a file', async ({ storage }) => {
      const tree = storage.files('repo')
      await tree.write('dir/file', utf8('1'))
      await rejectsWith('ERR_ARGUMENT', tree.write('dir', utf8('2')))
      await rejectsWith('ERR_ARGUMENT', tree.write('dir/file/below', utf8('2')))
      await rejectsWith('ERR_ARGUMENT', tree.append('dir', utf8('2')))
      await rejectsWith('ERR_ARGUMENT', tree.append('dir/file/below', utf8('2')))
      deepStrictEqual([await tree.size('dir'), await tree.size('dir/file/below'), await tree.read('dir', { start: 0, length: 1 })], [undefined, undefined, undefined])
      sameBytes(await tree.read('dir/file'), utf8('1'))
    }),
    test('remove() takes a file or a whole directory, or nothing', async ({ storage }) => {
      const tree = storage.files('repo')
      await tree.write('a/b/c', utf8('1'))
      await tree.write('a/d', utf8('2'))
      await tree.remove('a/d')
      deepStrictEqual(await tree.list('a'), ['b/'])
      await tree.remove('a')
      deepStrictEqual(await tree.list('a'), [])
      deepStrictEqual(await tree.read('a/b/c'), undefined)
      await tree.remove('a')
    }),
    test('readers never see half of a file', async ({ storage }) => {
      const tree = storage.files('repo')
      await tree.write('f', new Uint8Array(200_000).fill(1))
      const writing = (async () => {
        for (let i = 2; i < 12; i++) await tree.write('f', new Uint8Array(200_000).fill(i), { durable: false })
      })()
      for (let i = 0; i < 20; i++) {
        const got = (await tree.read('f')) as Uint8Array
        ok(got.length === 200_000 && got.every((byte) => byte === got[0]))
      }
      await writing
    }),
    test('the profile is locked until the lock is given back', async ({ storage }) => {
      const lock = await storage.lock()
      await rejectsWith('ERR_STORAGE_LOCKED', storage.lock())
      await lock[Symbol.asyncDispose]()
      await lock[Symbol.asyncDispose]()
      const again = await storage.lock()
      await again[Symbol.asyncDispose]()
    }),
    test('after close() every call is refused', async ({ storage }) => {
      await put(storage, 'a', '1')
      const tree = storage.files('repo')
      await storage.close()
      await storage.close()
      await rejectsWith('ERR_CLOSED', storage.get('a'))
      await rejectsWith('ERR_CLOSED', put(storage, 'a', '2'))
      await rejectsWith('ERR_CLOSED', tree.read('a'))
      await rejectsWith('ERR_CLOSED', tree.write('a', utf8('x')))
      await rejectsWith('ERR_CLOSED', tree.append('a', utf8('x')))
      await rejectsWith('ERR_CLOSED', storage.purge('a'))
      await rejectsWith('ERR_CLOSED', storage.lock())
    }),
    test('records and files are there after closing and opening again', async (t) => {
      if (!t.reopen) return
      await t.storage.batch([{ key: 'a', value: utf8('1') }, { key: 'b/c', value: utf8('2') }, { key: 'gone', value: utf8('3') }])
      await t.storage.batch([{ key: 'gone', value: null }, { key: 'a', value: utf8('4') }])
      await t.storage.files('repo').write('HEAD', utf8('head'))
      await t.storage.files('repo').append('journal', utf8('one'))
      await t.storage.files('repo').append('journal', utf8('two'), { durable: false })
      await t.storage.purge('gone')
      const storage = await t.reopen()
      deepStrictEqual(await all(storage.keys('')), ['a', 'b/c'])
      sameBytes(await storage.get('a'), utf8('4'))
      sameBytes(await storage.files('repo').read('HEAD'), utf8('head'))
      deepStrictEqual(await storage.files('repo').append('journal', utf8('three')), 11)
      sameBytes(await storage.files('repo').read('journal'), utf8('onetwothree'))
      await storage.batch([{ key: 'd', value: utf8('5') }])
      sameBytes(await storage.get('d'), utf8('5'))
    }),
  ]
}
