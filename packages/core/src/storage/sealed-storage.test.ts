// What sealing promises: nothing readable, another key told, changes noticed, moves whole after a crash.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JamiError } from '../base/errors.ts'
import { fromUtf8, utf8 } from '../codec/bytes.ts'
import type { Storage } from '../contracts/storage.ts'
import { failingStorage } from '../testing/failing-storage.ts'
import { fileStorage } from './file-storage.ts'
import { type MemoryContents, memoryStorage } from './memory-storage.ts'
import { isSealed, sealedStorage } from './sealed-storage.ts'

const key = new Uint8Array(32).fill(7)
const corrupt = expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' })
const empty = (): MemoryContents => ({ records: new Map(), files: new Map() })
const textOf = async (work: Promise<Uint8Array | undefined>) => {
  const bytes = await work
  return bytes && fromUtf8(bytes)
}
const keysOf = async (storage: Storage, prefix = '') => {
  const out: string[] = []
  for await (const name of storage.keys(prefix)) out.push(name)
  return out
}

describe('sealed storage', () => {
  it('a marker is found nowhere in the profile: not as record key or value, not as name of a file or directory, not as content', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
    try {
      const storage = sealedStorage(fileStorage(directory), key)
      const lock = await storage.lock()
      const marker = 'MARKERMARKERMARKER'
      await storage.batch([{ key: `accounts/${marker}/x`, value: utf8(marker) }, { key: 'removed', value: utf8(marker) }])
      await storage.batch([{ key: 'removed', value: null }])
      const tree = storage.files(`t/${marker}`)
      await tree.write(`${marker}/f`, utf8(marker.repeat(10_000)))
      for (let i = 0; i < 10; i++) await tree.append(`d/${marker}`, utf8(marker))
      await tree.write('w', utf8(marker))
      await tree.rename('w', 'moved')
      await tree.truncate(`d/${marker}`, 100)
      await storage.purge('nothing')
      await storage.close()
      await lock[Symbol.asyncDispose]()
      const readable: string[] = []
      let files = 0
      for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
        if (entry.name.includes('MARKER')) readable.push(entry.name)
        if (!entry.isFile()) continue
        files++
        const bytes = await readFile(join(entry.parentPath, entry.name))
        if (bytes.includes('MARKER') || bytes.includes(Buffer.from(key))) readable.push(entry.name)
      }
      expect([files, readable]).toEqual([4, []])
      const again = sealedStorage(fileStorage(directory), key)
      expect([await textOf(again.get(`accounts/${marker}/x`)), await keysOf(again), await textOf(again.files(`t/${marker}`).read('moved'))]).toEqual([marker, [`accounts/${marker}/x`], marker])
      await again.close()
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })

  it('a function that fails to give the key is a typed error with its cause', async () => {
    const down = new Error('the vault is down')
    await expect(sealedStorage(memoryStorage(empty()), () => Promise.reject(down)).get('a')).rejects.toMatchObject({ code: 'ERR_ARGUMENT', cause: down })
  })

  it('another key is ERR_PASSWORD for every call, and changes nothing', async () => {
    const contents = empty()
    await sealedStorage(memoryStorage(contents), key).batch([{ key: 'a', value: utf8('1') }])
    const before = new Map(contents.records)
    const wrong = sealedStorage(memoryStorage(contents), new Uint8Array(32).fill(8))
    const password = expect.objectContaining({ code: 'ERR_PASSWORD' })
    await expect(wrong.get('a')).rejects.toEqual(password)
    await expect(wrong.batch([{ key: 'a', value: null }])).rejects.toEqual(password)
    await expect(wrong.files('t').write('f', utf8('x'))).rejects.toEqual(password)
    await expect(keysOf(wrong)).rejects.toEqual(password)
    await wrong.close()
    expect(contents.records).toEqual(before)
    expect(await textOf(sealedStorage(memoryStorage(contents), () => Promise.resolve(key)).get('a'))).toBe('1')
  })

  it('keys of another length, or none, are refused at the call or when the function gives them', async () => {
    for (const bad of [new Uint8Array(31), new Uint8Array(0), 'x'.repeat(32), undefined, {}])
      expect(() => sealedStorage(memoryStorage(), bad as Uint8Array)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringContaining('32 bytes') }))
    for (const bad of [new Uint8Array(16), undefined, () => key])
      await expect(sealedStorage(memoryStorage(), (() => bad) as () => Uint8Array).get('a')).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  })

  it('a profile that is not sealed, or lost its header, is not sealed over', async () => {
    const plain = memoryStorage()
    await plain.batch([{ key: 'accounts/a', value: utf8('1') }])
    await expect(sealedStorage(plain, key).get('a')).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    const contents = empty()
    await sealedStorage(memoryStorage(contents), key).batch([{ key: 'a', value: utf8('1') }])
    expect([await isSealed(plain), await isSealed(memoryStorage(contents))]).toEqual([false, true])
    contents.records.delete('seal/header')
    await expect(sealedStorage(memoryStorage(contents), key).get('a')).rejects.toEqual(corrupt)
  })

  it('records that were changed or exchanged are told, and cost only themselves', async () => {
    const contents = empty()
    const storage = sealedStorage(memoryStorage(contents), key)
    for (const name of ['a', 'b', 'c']) await storage.batch([{ key: name, value: utf8(`value of ${name}`) }])
    const sealed = [...contents.records.keys()].filter((name) => name.startsWith('seal/r/'))
    const nameOf = async (name: string) => {
      for (const one of sealed) {
        const bytes = contents.records.get(one) as Uint8Array
        contents.records.set(one, new Uint8Array(40))
        const gone = await storage.get(name).then(() => false, () => true)
        contents.records.set(one, bytes)
        if (gone) return one
      }
      throw new Error('not found')
    }
    const [a, b] = [await nameOf('a'), await nameOf('b')]
    contents.records.set(a, contents.records.get(b) as Uint8Array)
    const problems: JamiError[] = []
    const again = sealedStorage(memoryStorage(contents), key, { onProblem: (problem) => problems.push(problem) })
    await expect(again.get('a')).rejects.toEqual(corrupt)
    expect([await textOf(again.get('b')), await textOf(again.get('c')), await keysOf(again)]).toEqual(['value of b', 'value of c', ['b', 'c']])
    expect(problems).toEqual([corrupt])
    await again.batch([{ key: 'a', value: utf8('new') }])
    expect([await textOf(again.get('a')), await keysOf(again)]).toEqual(['new', ['a', 'b', 'c']])
  })

  describe('files that somebody touched', () => {
    const made = async () => {
      const contents = empty()
      const storage = sealedStorage(memoryStorage(contents), key)
      const tree = storage.files('t')
      const names = new Map<string, string>()
      for (const name of ['one', 'two', 'dir/one', 'journal']) {
        const before = new Set(contents.files.keys())
        if (name === 'journal') for (let i = 0; i < 5; i++) await tree.append(name, utf8(`entry ${i};`))
        else await tree.write(name, utf8(`content of ${name}`))
        for (const sealed of contents.files.keys()) if (!before.has(sealed)) names.set(name, sealed)
      }
      await storage.close()
      return { contents, sealed: (name: string) => names.get(name) as string, open: () => sealedStorage(memoryStorage(contents), key).files('t') }
    }

    it('exchanged, moved or renamed: ERR_STORAGE_CORRUPT, the rest is readable', async () => {
      const { contents, sealed, open } = await made()
      const [one, two, inner] = ['one', 'two', 'dir/one'].map((name) => contents.files.get(sealed(name)) as Uint8Array) as [Uint8Array, Uint8Array, Uint8Array]
      contents.files.set(sealed('one'), two)
      contents.files.set(sealed('two'), inner) // of the same name or not
      contents.files.set(sealed('dir/one'), one)
      for (const name of ['one', 'two', 'dir/one']) {
        for (const work of [() => open().read(name), () => open().read(name, { start: 0, length: 3 }), () => open().size(name), () => open().append(name, utf8('x')), () => open().truncate(name, 1)]) await expect(work()).rejects.toEqual(corrupt)
      }
      expect(await textOf(open().read('journal'))).toBe('entry 0;entry 1;entry 2;entry 3;entry 4;')
      await open().write('one', utf8('again'))
      expect(await textOf(open().read('one'))).toBe('again')
    })

    it('cut anywhere: told, also a journal that was closed with more in it', async () => {
      const { contents, sealed, open } = await made()
      for (const name of ['one', 'journal']) {
        const bytes = contents.files.get(sealed(name)) as Uint8Array
        for (let cut = 0; cut < bytes.length; cut++) {
          contents.files.set(sealed(name), bytes.slice(0, cut))
          await expect(open().read(name)).rejects.toEqual(corrupt)
          await expect(open().size(name)).rejects.toEqual(corrupt)
        }
        contents.files.set(sealed(name), bytes)
        expect(await open().size(name)).toBe(name === 'one' ? 14 : 40)
      }
    })

    it('what somebody put there is no file', async () => {
      const { contents, sealed, open } = await made()
      contents.files.set(sealed('one').replace(/[^/]+$/, 'planted'), utf8('x'))
      expect((await open().list('')).sort()).toEqual(['dir/', 'journal', 'one', 'two'])
    })
  })

  it('after a crash a torn append is gone, what was acknowledged is there, and appends go on', async () => {
    const contents = empty()
    const first = sealedStorage(memoryStorage(contents), key).files('t')
    await first.append('j', utf8('acknowledged'))
    const name = [...contents.files.keys()][0] as string
    const [before, whole] = [contents.files.get(name)?.slice() as Uint8Array, await first.append('j', utf8(' torn')).then(() => contents.files.get(name)?.slice() as Uint8Array)]
    for (let cut = before.length; cut < whole.length; cut++) {
      contents.files.set(name, whole.slice(0, cut)) // no close: the process was killed
      const tree = sealedStorage(memoryStorage(contents), key).files('t')
      expect([await textOf(tree.read('j')), await tree.size('j')]).toEqual(['acknowledged', 12])
      expect(await tree.append('j', utf8(' more'))).toBe(17)
      expect(await textOf(sealedStorage(memoryStorage(contents), key).files('t').read('j'))).toBe('acknowledged more')
    }
  })

  it('a move is whole after a failure or crash at any of its writes', async () => {
    for (const applied of [false, true]) {
      for (let at = 1; ; at++) {
        const contents = empty()
        const failing = failingStorage(memoryStorage(contents))
        const storage = sealedStorage(failing, key)
        const tree = storage.files('t')
        await tree.write('dir/a', utf8('A'))
        await tree.write('dir/sub/b', new Uint8Array(200_000).fill(5))
        await tree.append('dir/j', utf8('J'))
        failing.plan = { from: at, applied }
        const outcome = await tree.rename('dir', 'new').then(() => 'moved', () => 'failed')
        const writes = failing.failed.length
        failing.plan = {}
        for (const life of [tree, sealedStorage(memoryStorage({ records: new Map(contents.records), files: new Map(contents.files) }), key).files('t')]) {
          const state = [await textOf(life.read('dir/a')), (await life.read('dir/sub/b'))?.length, await textOf(life.read('dir/j')), await textOf(life.read('new/a')), (await life.read('new/sub/b'))?.length, await textOf(life.read('new/j'))]
          if (outcome === 'moved') expect(state.slice(3)).toEqual(['A', 200_000, 'J'])
          expect([['A', 200_000, 'J', undefined, undefined, undefined], [undefined, undefined, undefined, 'A', 200_000, 'J']]).toContainEqual(state)
        }
        if (writes === 0) break
      }
    }
  }, 60_000)

  it('ranges of a large file read only the blocks they need', async () => {
    const contents = empty()
    const inner = memoryStorage(contents)
    let read = 0
    const counting: Storage = {
      ...inner,
      files: (prefix) => {
        const tree = inner.files(prefix)
        return { ...tree, read: (path, range) => tree.read(path, range).then((bytes) => ((read += bytes?.length ?? 0), bytes)) }
      },
    }
    const bytes = new Uint8Array(8_000_000).map((_, i) => (i * 31) ^ (i >> 8))
    const tree = sealedStorage(counting, key).files('t')
    await tree.write('pack', bytes)
    for (let i = 0; i < 30_000; i++) await tree.append('journal', bytes.subarray(i * 100, i * 100 + 100), { durable: false })
    for (const name of ['pack', 'journal']) {
      await tree.size(name)
      for (const [start, length] of [[0, 100], [1_234_567, 100], [2_999_000, 1000]] as const) {
        read = 0
        expect(Buffer.compare((await tree.read(name, { start, length })) as Uint8Array, bytes.subarray(start, start + length))).toBe(0)
        expect(read).toBeLessThan(200_000)
      }
    }
    const again = sealedStorage(memoryStorage(contents), key).files('t')
    expect(await again.append('journal', utf8('x'))).toBe(3_000_001)
  }, 30_000)
})
