// Pack indexes: the bytes that git writes, found in place, refused when damaged. git's pack-format, version 2.
import { readFileSync } from 'node:fs'
import { concatBytes, fromHex, utf8 } from '@jamikit/core/codec'
import { sha1 } from '@jamikit/core/crypto'
import { describe, expect, it } from 'vitest'
import { withGit } from '../../test/git.ts'
import { id } from '../../test/histories.ts'
import { encodePack } from '../../test/packs.ts'
import { clock, received } from '../../test/repositories.ts'
import { memoryFiles } from '../../test/memory.ts'
import { Turns } from './turns.ts'
import type { GitObject } from './object.ts'
import { encodePackIndex, PackIndex } from './pack-index.ts'

const entries = (count: number) => Array.from({ length: count }, (_, n) => ({ oid: id(n), offset: 12 + ((n * 7919) % count) * 30, crc: (n * 2654435761) >>> 0 }))
const encode = (count: number) => encodePackIndex(entries(count), id('pack'), new Turns(clock))
const resealed = (bytes: Uint8Array) => concatBytes(bytes.subarray(0, -20), sha1(bytes.subarray(0, -20)))

describe('pack index', () => {
  it('is byte for byte what git index-pack writes', () => withGit(async (git) => {
    const objects = Array.from({ length: 300 }, (_, n): GitObject => ({ type: 'blob', data: utf8(`text ${n}`) }))
    const bytes = encodePack(objects)
    git.run(['index-pack', '--stdin', '--index-version=2'], bytes)
    const pack = await received([], memoryFiles().files('c'), 'in', bytes)
    const ours = await encodePackIndex(pack.entries(), pack.name, new Turns(clock))
    expect(Buffer.compare(ours, readFileSync(`${git.dir}/.git/objects/pack/pack-${pack.name}.idx`))).toBe(0)
  }))

  it.each([0, 1, 2, 300])('finds each of %i objects and no other, and where the next one begins', async (count) => {
    const index = new PackIndex(await encode(count))
    expect([index.count, index.packName]).toEqual([count, id('pack')])
    for (const { oid, offset, crc } of entries(count)) {
      const row = index.find(fromHex(oid))
      expect([index.offset(row), index.crc(row), index.rowAt(offset), index.rowAt(offset + 1)]).toEqual([offset, crc, row, -1])
      expect(index.next(offset)).toBe(offset === 12 + (count - 1) * 30 ? undefined : offset + 30)
    }
    for (let n = count; n < count + 50; n++) expect(index.find(fromHex(id(n)))).toBe(-1)
    expect([...index.byOffset()].map((row) => index.offset(row))).toEqual(entries(count).map((e) => e.offset).sort((a, b) => a - b))
  })

  it('a page of neighbours, from either end, is read without putting all entries in order; whoever looks everywhere gets the same answers', async () => {
    const count = 20_000
    const sizes = Array.from({ length: count }, (_, n) => (n % 500 === 0 ? 300_000 : 100 + (n % 900)))
    const offsets = sizes.map((_, n) => n)
    for (let n = 0, at = 12; n < count; n++) [offsets[n], at] = [at, at + (sizes[n] as number)]
    const bytes = await encodePackIndex(offsets.map((offset, n) => ({ oid: id((n * 7919) % count), offset, crc: n })), id('pack'), new Turns(clock))
    for (const page of [offsets.slice(-50).reverse(), offsets.slice(0, 50), offsets.slice(9000, 9100)]) {
      const index = new PackIndex(bytes)
      let ordered = 0
      const order = index.byOffset.bind(index)
      index.byOffset = () => (ordered++, order())
      for (const offset of page.filter((_, i) => i > 0 || page[0] === offsets.at(-1))) expect(index.next(offset)).toBe(offsets[offsets.indexOf(offset) + 1])
      expect(ordered).toBe(0)
      for (let n = 0; n < count; n += 37) expect(index.next(offsets[n] as number)).toBe(offsets[n + 1])
      expect(ordered).toBeGreaterThan(0)
    }
  })

  it('with any byte flipped, cut, or with a fan-out that goes down, is refused', async () => {
    const bytes = await encode(3)
    for (let at = 0; at < bytes.length; at += 3) {
      const hurt = new Uint8Array(bytes)
      hurt[at] = (hurt[at] as number) ^ 1
      expect(() => new PackIndex(hurt)).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
    }
    for (const length of [0, 20, 1071, bytes.length - 1]) expect(() => new PackIndex(bytes.slice(0, length))).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
    const down = new Uint8Array(bytes)
    down.set([0, 0, 0, 9], 8)
    expect(() => new PackIndex(resealed(down))).toThrow(expect.objectContaining({ code: 'ERR_STORAGE_CORRUPT' }))
  })

  it('of a pack of 2 GiB or more is neither written nor read', async () => {
    await expect(encodePackIndex([{ oid: id(1), offset: 2 ** 31, crc: 0 }], id('pack'), new Turns(clock))).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    const bytes = await encode(1)
    const large = resealed(concatBytes(bytes.subarray(0, -40), new Uint8Array(8), bytes.subarray(-40)))
    expect(() => new PackIndex(large)).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
  })
})
