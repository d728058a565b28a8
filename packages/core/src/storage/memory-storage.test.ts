// What only memory has: a second life with the same contents, copies that share bytes, and cost that does not grow with what is kept.
import { describe, expect, it } from 'vitest'
import { utf8 } from '../codec/bytes.ts'
import { memoryStorage } from './memory-storage.ts'

const copyOf = ({ records, files }: { records: Map<string, Uint8Array>; files: Map<string, Uint8Array> }) => ({ records: new Map(records), files: new Map(files) })

/** A map that counts how often somebody walks over it. */
class WatchedMap extends Map<string, Uint8Array> {
  walks = 0
  override keys() {
    this.walks++
    return super.keys()
  }
  override [Symbol.iterator]() {
    this.walks++
    return super[Symbol.iterator]()
  }
}

describe('memoryStorage', () => {
  it('no call walks over all files or all records, however many there are', async () => {
    const contents = { records: new WatchedMap(), files: new WatchedMap() }
    const storage = memoryStorage(contents)
    const tree = storage.files('repo')
    await tree.write('first', utf8('x'))
    await tree.list('') // the index is made once, and again only after changes from outside
    contents.files.walks = contents.records.walks = 0
    for (let i = 0; i < 2000; i++) {
      await tree.write(`objects/${i % 256}/${i}`, utf8('x'))
      await storage.batch([{ key: `k/${i}`, value: utf8('x') }])
      for await (const _ of storage.keys(`k/${i}`));
      await tree.list(`objects/${i % 256}`)
    }
    await tree.rename('objects/0', 'objects/moved')
    await tree.remove('objects/1')
    await tree.append('journal', utf8('x'))
    expect(await tree.list('objects/moved')).toHaveLength(8)
    expect([contents.files.walks, contents.records.walks]).toEqual([0, 0])
  })

  it('what somebody puts into the contents from outside is seen', async () => {
    const contents = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
    const storage = memoryStorage(contents)
    expect(await storage.files('repo').list('')).toEqual([])
    contents.files.set('repo/a/b', utf8('1'))
    contents.records.set('k', utf8('1'))
    expect(await storage.files('repo').list('a')).toEqual(['b'])
    const keys: string[] = []
    for await (const key of storage.keys('')) keys.push(key)
    expect(keys).toEqual(['k'])
    contents.files.delete('repo/a/b')
    expect(await storage.files('repo').list('a')).toEqual([])
  })

  it('two copies of a file that grew go their own ways', async () => {
    const contents = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
    const [one, two] = [memoryStorage(contents).files('r'), () => memoryStorage(copyOf(contents)).files('r')]
    await one.append('j', utf8('a'))
    await one.append('j', utf8('b'))
    const copy = two()
    await copy.append('j', utf8('X'))
    await one.append('j', utf8('c'))
    await copy.append('j', utf8('Y'))
    expect([await one.read('j'), await copy.read('j')]).toEqual([utf8('abc'), utf8('abXY')])
    await one.truncate('j', 1)
    await one.append('j', utf8('z'))
    expect([await one.read('j'), await copy.read('j')]).toEqual([utf8('az'), utf8('abXY')])
  })
})
