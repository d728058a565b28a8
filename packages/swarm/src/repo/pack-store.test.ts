// Packs of one repository: written as git reads them, merged while they are small, read while they are merged. docs/protocol/04 §1.1.
import { deflateSync } from 'node:zlib'
import { utf8 } from '@jamikit/core/codec'
import type { FileTree } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { onDisk } from '../../test/disk.ts'
import { memoryFiles } from '../../test/memory.ts'
import { options, received } from '../../test/repositories.ts'
import { rawEntry, rawPack, refDelta, varint } from '../../test/packs.ts'
import { encodeLoose, type GitObject, objectId, type Oid } from './object.ts'
import { PackStore } from './pack-store.ts'
import type { PackedObject } from './types.ts'

const blob = (text: string): GitObject => ({ type: 'blob', data: utf8(text) })
const packed = ({ type, data }: GitObject): PackedObject => ({ type, size: data.length, deflated: new Uint8Array(deflateSync(data)) })
const list = (objects: readonly GitObject[]): [Oid, PackedObject][] => objects.map((o) => [objectId(o), packed(o)])
const texts = (from: number, count: number) => Array.from({ length: count }, (_, i) => blob(`text ${from + i} ${'y'.repeat((from + i) % 50)}`))

describe('packs', () => {
  it('are what git verify-pack and git fsck take, before and after they were merged', () => onDisk(async ({ files, git, packs }) => {
    const { problems, ...more } = options()
    const store = await PackStore.open(files, more)
    await files.write('HEAD', utf8('ref: refs/heads/main\n'))
    await files.write('refs/heads/main.keep', utf8(''))
    for (let n = 0; n < 12; n++) {
      await store.write(5, list(texts(n * 4, 5))) // one object is in two packs each
      store.tidy()
      await store.rest()
    }
    expect(store.packs.length).toBe(5)
    expect(packs().length).toBe(5)
    git('verify-pack', ...git('ls-packs').trim().split('\n'))
    const all = git('cat-file', '--batch-check', '--batch-all-objects').trim().split('\n').map((line) => line.slice(0, 40))
    expect(all.sort()).toEqual(texts(0, 49).map(objectId).sort())
    for (const object of texts(0, 49)) expect(await store.read(objectId(object))).toEqual(object)
    expect(problems).toEqual([])
  }))

  it('are few, however often one object comes: at most eight of a size, each eight times the one below', async () => {
    const store = await PackStore.open(memoryFiles().files('c'), options())
    for (let n = 0; n < 200; n++) {
      await store.write(1, list(texts(n, 1)))
      store.tidy()
      if (n % 3 === 0) await store.rest()
    }
    await store.rest()
    expect(store.packs.length).toBeLessThan(3 * 8)
    for (const object of texts(0, 200)) expect(await store.read(objectId(object))).toEqual(object)
  })

  it('are read while they are merged and taken away', async () => {
    const store = await PackStore.open(memoryFiles().files('c'), options())
    for (let n = 0; n < 30; n++) await store.write(2, list(texts(n * 2, 2)))
    store.tidy()
    for (let round = 0; round < 3; round++)
      for (const object of texts(0, 60)) {
        const oid = objectId(object)
        const [read, stat, copy, missing] = await Promise.all([store.read(oid), store.stat(oid), store.packed(oid), store.read('e'.repeat(40))])
        expect([read, stat, copy?.size, missing]).toEqual([object, { type: 'blob', size: object.data.length }, object.data.length, undefined])
      }
    await store.rest()
    expect(store.packs.length).toBeLessThan(10)
  })

  it('with deltas, by offset and by id, are read, told and copied as whole objects, and come out of a merge whole', async () => {
    const storage = memoryFiles()
    const files = storage.files('c')
    const store = await PackStore.open(files, options())
    const base = blob('a base that others build on')
    const grown = (below: GitObject, text: string) => ({ object: blob(`${Buffer.from(below.data).toString()}${text}`), delta: Uint8Array.from([...varint(below.data.length), ...varint(below.data.length + text.length), 0x90, below.data.length, text.length, ...utf8(text)]) })
    const one = grown(base, ' one')
    const two = grown(one.object, ' two')
    const whole = rawEntry(3, base.data.length, new Uint8Array(0), deflateSync(base.data))
    const pack = rawPack([whole, rawEntry(6, one.delta.length, Uint8Array.of(whole.length), deflateSync(one.delta)), refDelta(objectId(one.object), two.delta)])
    await files.write('jamikit/in', pack)
    const peer = await received([], files, 'elsewhere/in', pack)
    await store.adopt({ ...wrapped(peer), path: 'jamikit/in' }, new Set([base, one.object, two.object].map(objectId)))
    const check = async () => {
      for (const object of [base, one.object, two.object]) {
        expect(await store.read(objectId(object))).toEqual(object)
        expect(await store.stat(objectId(object))).toEqual({ type: 'blob', size: object.data.length })
        expect((await store.packed(objectId(object)))?.size).toBe(object.data.length)
      }
    }
    await check()
    expect(store.packs.length).toBe(1)
    for (let n = 0; n < 7; n++) await store.write(2, list(texts(n * 2, 2)))
    store.tidy()
    await store.rest()
    expect(store.packs.length).toBe(1)
    await check()
  })

  it('that are damaged are told, stay as they are, and do not keep others from being merged', async () => {
    const storage = memoryFiles()
    const files = storage.files('c')
    const more = options()
    const store = await PackStore.open(files, more)
    for (let n = 0; n < 9; n++) await store.write(2, list(texts(n * 2, 2)))
    const path = store.packs[4]?.path ?? ''
    const hurt = (await files.read(path)) as Uint8Array
    hurt[20] = (hurt[20] as number) ^ 0x55
    await files.write(path, hurt)
    store.tidy()
    await store.rest()
    expect(more.problems.map((p) => p.code)).toEqual(['ERR_STORAGE_CORRUPT'])
    expect(store.packs.length).toBe(9)
    store.tidy()
    await store.rest()
    expect([store.packs.length, more.problems.length, await files.size(path)]).toEqual([2, 1, hurt.length])
    const results = await Promise.allSettled(texts(0, 18).map((o) => store.read(objectId(o))))
    expect(results.filter((r) => r.status === 'rejected').length).toBe(1)
  })

  it('loose objects are found, told and copied; a damaged one is told', async () => {
    const files = memoryFiles().files('c')
    const [good, bad] = [blob('good'), blob('bad')]
    for (const [object, bytes] of [[good, encodeLoose(good)], [bad, encodeLoose(good)]] as const) await files.write(`objects/${objectId(object).slice(0, 2)}/${objectId(object).slice(2)}`, bytes)
    const store = await PackStore.open(files, options())
    expect([await store.has(objectId(good)), await store.has('e'.repeat(40)), await store.read(objectId(good)), await store.stat(objectId(good))]).toEqual([true, false, good, { type: 'blob', size: 4 }])
    expect((await store.packed(objectId(good)))?.deflated).toEqual(packed(good).deflated)
    await expect(store.read(objectId(bad))).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
  })
})

/** The methods of a received pack, without its private parts. */
function wrapped(pack: Awaited<ReturnType<typeof received>>) {
  return {
    count: pack.count, bytes: pack.bytes, inflatedBytes: pack.inflatedBytes, name: pack.name, path: pack.path, entries: () => pack.entries(), has: (oid: Oid) => pack.has(oid),
    read: (oid: Oid) => pack.read(oid), stat: (oid: Oid) => pack.stat(oid), packed: (oid: Oid) => pack.packed(oid), discard: () => pack.discard(),
  }
}

it('neighbours in a pack, forwards or backwards, cost a read of the file for many, not one each', async () => {
  const storage = memoryFiles()
  let reads = 0
  const inner = storage.files('c')
  const files: FileTree = { ...inner, read: (path, range) => (path.endsWith('.pack') && reads++, inner.read(path, range)) }
  const store = await PackStore.open(files, options())
  const objects = Array.from({ length: 600 }, (_, n) => blob(`${n} ${'0123456789abcdef'.repeat(3)} ${(n * 2654435761) >>> 0}`))
  const large = blob('z'.repeat(100)) // and one that does not fit a window is read alone
  const noise: GitObject = { type: 'blob', data: Uint8Array.from({ length: 50_000 }, (_, i) => (Math.imul(i + 7, 2246822519) >>> 11) & 255) }
  await store.write(602, list([...objects, large, noise]))
  for (const object of [...objects].reverse()) expect(await store.read(objectId(object))).toEqual(object)
  for (const object of objects) expect((await store.packed(objectId(object)))?.size).toBe(object.data.length)
  expect(await store.read(objectId(noise))).toEqual(noise)
  expect(reads).toBeLessThan(40)
})
