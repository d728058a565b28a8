// Git objects: ids, the loose form, trees. docs/protocol/04 §1.3, §2.
import { deflateSync } from 'node:zlib'
import { concatBytes, utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { fuzz } from 'test-kit/fuzz'
import { describe, expect, it } from 'vitest'
import { bundle } from '../../test/harness.ts'
import { decodeLoose, decodeTree, encodeLoose, encodeTree, type GitObject, objectId } from './object.ts'

describe('ids', () => {
  it.each<[string, GitObject, string]>([
    ['the empty blob', { type: 'blob', data: new Uint8Array(0) }, 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'],
    ['the empty tree', { type: 'tree', data: new Uint8Array(0) }, '4b825dc642cb6eb9a060e54bf8d69288fbee4904'],
    ['"hello"', { type: 'blob', data: utf8('hello\n') }, 'ce013625030ba8dba906f756967f9e9ca394464a'],
  ])('of %s is the one that git gives', (_what, object, id) => expect(objectId(object)).toBe(id))
})

describe('loose objects', () => {
  it('captured ones come back as they were', () => {
    for (const [oid, object] of bundle('one-to-one')) expect(decodeLoose(encodeLoose(object), oid)).toEqual(object)
  })

  const blob: GitObject = { type: 'blob', data: utf8('hello') }
  const oid = objectId(blob)
  it.each<[string, Uint8Array]>([
    ['another object', encodeLoose({ type: 'blob', data: utf8('other') })], ['no zlib', utf8('hello')], ['nothing', new Uint8Array(0)],
    ['half of it', encodeLoose(blob).subarray(0, 8)], ['a lying length', deflateSync(utf8('blob 6\0hello'))], ['a type that is none', deflateSync(utf8('blub 5\0hello'))],
    ['no header', deflateSync(utf8('hello'))],
  ])('that are %s are damaged, and said to be', (_what, bytes) => expect(() => decodeLoose(bytes, oid)).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' })))

  fuzz('any bytes are the object or damage', fc.uint8Array({ maxLength: 100 }), (bytes) => {
    try {
      decodeLoose(bytes, oid)
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    }
  })
})

it('SWM-8 captured trees are encoded to the same bytes', () => {
  for (const o of bundle('group-mode-2').values()) if (o.type === 'tree') expect(encodeTree(decodeTree(o.data))).toEqual(o.data)
})

describe('trees', () => {
  const entry = (mode: string, name: string) => utf8(`${mode} ${name}\0${'x'.repeat(20)}`)
  it.each([['100755', 'a'], ['120000', 'a'], ['160000', 'a'], ['100644', '..'], ['100644', '.git'], ['100644', 'a/b'], ['100644', '']])('SWM-8 refuse mode %s and name %j', (mode, name) => {
    expect(() => decodeTree(entry(mode, name))).toThrow(/tree/)
  })

  it('are sorted as git does: a folder as if its name ended in a slash', () => {
    const oid = 'a'.repeat(40)
    const names = ['a', 'a-b', 'a.b', 'ab', 'b']
    const sorted = decodeTree(encodeTree([...names.map((name) => ({ mode: '100644', name, oid })).slice(1), { mode: '40000', name: 'a', oid }]))
    expect(sorted.map((e) => e.name)).toEqual(['a-b', 'a.b', 'a', 'ab', 'b'])
  })

  it('out of order, with a name twice, or cut anywhere are refused', () => {
    const good = encodeTree([{ mode: '100644', name: 'a', oid: 'a'.repeat(40) }, { mode: '100644', name: 'b', oid: 'b'.repeat(40) }])
    const half = good.length / 2
    for (const bad of [concatBytes(good.subarray(half), good.subarray(0, half)), concatBytes(good.subarray(0, half), good.subarray(0, half))]) expect(() => decodeTree(bad)).toThrow(/order/)
    for (let cut = 1; cut < good.length; cut++) if (cut !== half) expect(() => decodeTree(good.subarray(0, cut))).toThrow(/truncated/)
  })
})

fuzz('any bytes are a tree or a typed error', fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeTree(bytes))
