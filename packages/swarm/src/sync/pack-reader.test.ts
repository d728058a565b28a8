// The pack reader: what git writes is read, what lies or bursts is refused before it costs, nothing holds the event loop. docs/protocol/04 §3.9, §4.3.
import { readFileSync } from 'node:fs'
import { deflateSync } from 'node:zlib'
import { JamiError } from '@jamikit/core/base'
import { concatBytes, utf8 } from '@jamikit/core/codec'
import { sha1 } from '@jamikit/core/crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { objectsOf, withGit } from '../../test/git.ts'
import { decodePack, encodePack, entry, rawEntry, rawPack, refDelta, varint } from '../../test/packs.ts'
import { MemoryScratch, scratch } from '../../test/scratch.ts'
import { bundlePack } from '../../test/vectors.ts'
import { OBJECT_COST_BYTES, SLICE_BYTES } from '../defaults.ts'
import { type GitObject, objectId, type Oid } from '../repo/object.ts'
import type { ReceivedPack } from '../repo/types.ts'
import type { PackLimits } from './pack-objects.ts'
import { PackReader } from './pack-reader.ts'

const clock = { track: <T>(work: Promise<T>) => work }
const NONE = new Uint8Array(0)
/** Comparing large arrays number by number takes seconds. */
const same = (a: Uint8Array | undefined, b: Uint8Array) => a !== undefined && Buffer.compare(a, b) === 0
const blob = (text: string): GitObject => ({ type: 'blob', data: utf8(text) })

async function receive(pack: Uint8Array, options: { limits?: Partial<PackLimits>; piece?: number; files?: MemoryScratch; clock?: typeof clock } = {}): Promise<ReceivedPack> {
  const reader = new PackReader({ clock: options.clock ?? clock, scratch: scratch(options.files), ...(options.limits ? { limits: options.limits } : {}) })
  const piece = options.piece ?? 65_515
  for (let at = 0; at < pack.length; at += piece) await reader.push(pack.subarray(at, at + piece))
  return reader.finish()
}

async function contents(pack: ReceivedPack): Promise<Map<Oid, GitObject>> {
  const out = new Map<Oid, GitObject>()
  for (const { oid } of pack.entries()) out.set(oid, (await pack.read(oid)) as GitObject)
  return out
}

/** Versions of a file, many of which git stores as deltas. */
const versions = (n: number) => Array.from({ length: n }, (_, i) => Array.from({ length: 120 }, (_, line) => `line ${line} ${line % 30 === i % 30 ? `changed in ${i}` : 'as it was'}\n`).join(''))

describe('packs of git', () => {
  it.each([['by offset', ['--delta-base-offset']], ['by id', []]] as const)('SWM-14 with deltas %s come out as the objects that git has, ids, sizes, places and checksums alike', async (_, options) =>
    withGit(async (git) => {
      for (const text of versions(60)) git.run(['hash-object', '-w', '--stdin'], text)
      const listed = objectsOf(git)
      const pack = git.run(['pack-objects', '--stdout', '--depth=50', '--window=60', ...options], listed.map((o) => `${o.oid}\n`).join(''))
      const received = await receive(pack)
      expect(received).toMatchObject({ count: 60, bytes: pack.length, inflatedBytes: listed.reduce((sum, o) => sum + o.size, 0), name: pack.subarray(-20).toString('hex') })
      expect([...received.entries()].map(({ oid, type, size }) => ({ oid, type, size })).sort((a, b) => (a.oid < b.oid ? -1 : 1))).toEqual(listed)
      for (const [oid, object] of await contents(received)) expect(git.run(['cat-file', 'blob', oid]).equals(object.data)).toBe(true)
      // what git says of its own pack: sizes in the pack tell where each entry lies
      git.run(['index-pack', '--stdin', '--index-version=2'], pack)
      const shown = git.run(['show-index'], readFileSync(`${git.dir}/.git/objects/pack/pack-${received.name}.idx`)).toString()
      const lines = new Set(shown.trim().split('\n'))
      for (const { oid, offset, crc } of received.entries()) expect(lines.has(`${offset} ${oid} (${crc.toString(16).padStart(8, '0')})`)).toBe(true)
      // copied entries are good entries, deltas among them
      const copied = rawPack(await Promise.all([...received.entries()].map(async ({ oid }) => {
        const packed = await received.packed(oid)
        return rawEntry(3, packed?.size ?? 0, NONE, packed?.deflated ?? NONE)
      })))
      expect([...decodePack(copied).keys()].sort()).toEqual(listed.map((o) => o.oid))
    }))

  it('captured packs come out the same in pieces of any size, in memory and in a file', async () => {
    for (const name of ['one-to-one', 'group-mode-2']) {
      const pack = bundlePack(name)
      const expected = decodePack(pack)
      expect(expected.size).toBeGreaterThan(20)
      for (const piece of [1, 7, 65_515]) {
        const found = await contents(await receive(pack, { piece }))
        expect([...found.keys()].sort()).toEqual([...expected.keys()].sort())
        for (const [oid, object] of expected) expect(found.get(oid)?.type === object.type && same(found.get(oid)?.data, object.data)).toBe(true)
      }
    }
  })

  it('a pack above the memory bound lies whole in the scratch file and goes with discard', async () => {
    const files = new MemoryScratch()
    files.contents.set('scratch/pack', utf8('left by an earlier run'))
    const noise = Array.from({ length: 12 }, (_, i) => ({ type: 'blob' as const, data: concatBytes(...Array.from({ length: 2500 }, (_, at) => sha1(Uint8Array.of(i, at & 255, at >> 8)))) }))
    const pack = encodePack(noise)
    const received = await receive(pack, { files })
    expect(received.path).toBe('scratch/pack')
    expect(same(files.contents.get('scratch/pack'), pack)).toBe(true)
    expect([...(await contents(received)).keys()]).toEqual(noise.map(objectId))
    expect(files.appends).toBeLessThan(6)
    await received.discard()
    await received.discard()
    expect(files.contents.size).toBe(0)
    expect((await receive(encodePack([blob('small')]), { files })).path).toBeUndefined()
    expect(files.contents.size).toBe(0)
  })
})

describe('a scratch file that changes under us', () => {
  it('gives damage, not another object', async () => {
    const files = new MemoryScratch()
    const one = { type: 'blob' as const, data: new Uint8Array(300_000) }
    const stored = (fill: number) => deflateSync(one.data.fill(fill), { level: 0 })
    const received = await receive(rawPack([rawEntry(3, 300_000, NONE, stored(1))]), { files })
    files.contents.set('scratch/pack', rawPack([rawEntry(3, 300_000, NONE, stored(2))]))
    const [{ oid } = { oid: '' }] = received.entries()
    await expect(received.read(oid)).rejects.toThrow('damaged')
  })
})

describe('packs that lie', () => {
  const good = encodePack([blob('one'), blob('two'), { type: 'tree', data: NONE }])

  it('SWM-14 every cut and every changed byte of a small pack is refused with a typed error, and its scratch file is gone', async () => {
    for (let cut = 0; cut < good.length; cut++) await expect(receive(good.subarray(0, cut))).rejects.toSatisfy(JamiError.is)
    for (let at = 0; at < good.length; at++) await expect(receive(good.map((b, i) => (i === at ? b ^ 0x55 : b)))).rejects.toSatisfy(JamiError.is)
    const files = new MemoryScratch()
    const large = encodePack([{ type: 'blob', data: Uint8Array.from({ length: 400_000 }, (_, i) => (i * i * 31) >> 3) }])
    await expect(receive(concatBytes(large, Uint8Array.of(0)), { files })).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
    expect(files.contents.size).toBe(0)
  })

  it('the checksum is checked by itself: a wrong one over good objects is refused', async () => {
    await expect(receive(concatBytes(good.subarray(0, -20), sha1(utf8('other'))))).rejects.toThrow('checksum')
  })

  it('more or fewer objects than declared, bytes after the last one, the same object twice, unknown types', async () => {
    const [one, two] = [entry(blob('one')), entry(blob('two'))]
    await expect(receive(rawPack([one, two], 3))).rejects.toThrow('fewer objects')
    await expect(receive(rawPack([one, two, NONE, new Uint8Array(20)], 3))).rejects.toSatisfy(JamiError.is)
    await expect(receive(rawPack([one, two], 1))).rejects.toThrow('bytes after')
    await expect(receive(rawPack([one, one]))).rejects.toThrow('twice')
    for (const kind of [0, 5]) await expect(receive(rawPack([rawEntry(kind, 1, NONE, deflateSync(utf8('x')))]))).rejects.toThrow('object type')
  })

  it('an object that is longer or shorter than it says, or is no zlib stream', async () => {
    for (const size of [2, 4, 0]) await expect(receive(rawPack([rawEntry(3, size, NONE, deflateSync(utf8('one')))]))).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
    await expect(receive(rawPack([rawEntry(3, 3, NONE, new Uint8Array(12))]))).rejects.toThrow('inflate')
  })

  it('deltas: a base outside the pack, before it, between objects, in a ring', async () => {
    const delta = Uint8Array.of(3, 1, 1, 120)
    const base = entry(blob('one'))
    const back = (n: number) => rawEntry(6, delta.length, Uint8Array.of(n), deflateSync(delta))
    expect([...(await contents(await receive(rawPack([base, back(base.length)])))).values()]).toEqual([blob('one'), blob('x')])
    for (const n of [0, 1, base.length - 1, base.length + 1, 100]) await expect(receive(rawPack([base, back(n)]))).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
    await expect(receive(rawPack([base, refDelta('e'.repeat(40), delta)]))).rejects.toThrow('without its base')
    await expect(receive(rawPack([base, rawEntry(6, delta.length, new Uint8Array(9).fill(0xff), deflateSync(delta))]))).rejects.toThrow('outside')
    // a delta may come before its base
    expect((await contents(await receive(rawPack([refDelta(objectId(blob('one')), delta), base])))).get(objectId(blob('x')))).toEqual(blob('x'))
  })
})

describe('SWM-S11 packs that burst', () => {
  const limited = (pack: Uint8Array, limits: Partial<PackLimits> = {}) => expect(receive(pack, { limits })).rejects

  it('bytes, objects: refused while they come in, not when they are there', async () => {
    const reader = new PackReader({ clock, scratch: scratch(), limits: { bytes: 1000 } })
    await reader.push(rawPack([], 5).subarray(0, 12))
    await expect(reader.push(new Uint8Array(989))).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    await reader.push(new Uint8Array(988))
    const counted = new PackReader({ clock, scratch: scratch() })
    await expect(counted.push(rawPack([], 100_001).subarray(0, 12))).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { got: 100_001, allowed: 100_000 } })
    await new PackReader({ clock, scratch: scratch() }).push(rawPack([], 100_000).subarray(0, 12))
  })

  it('an object, a commit: refused by what it declares, before it is inflated; at the bound it is read', async () => {
    const zeros = (n: number, kind = 3) => rawPack([rawEntry(kind, n, NONE, deflateSync(new Uint8Array(n)))])
    await limited(rawPack([rawEntry(3, (8 << 20) + 1, NONE, new Uint8Array(12))])).toMatchObject({ code: 'ERR_LIMIT' })
    await limited(rawPack([rawEntry(1, (1 << 20) + 1, NONE, new Uint8Array(12))])).toMatchObject({ code: 'ERR_LIMIT' })
    await limited(rawPack([rawEntry(3, 2 ** 50, NONE, new Uint8Array(12))])).toMatchObject({ code: 'ERR_LIMIT' })
    expect((await receive(zeros(8 << 20))).inflatedBytes).toBe(8 << 20)
    expect((await receive(zeros(1 << 20, 1))).count).toBe(1)
    // and as the result of a delta
    const base: GitObject = { type: 'commit', data: new Uint8Array(60_000) }
    const twice = Uint8Array.from([...varint(60_000), ...varint(120_000), ...Array.from({ length: 2 }, () => [0xb0, 0x60, 0xea]).flat()])
    expect((await receive(rawPack([entry(base), refDelta(objectId(base), twice)]))).inflatedBytes).toBe(180_000)
    await limited(rawPack([entry(base), refDelta(objectId(base), twice)]), { commitBytes: 119_999 }).toMatchObject({ code: 'ERR_LIMIT' })
  })

  it('a stream that goes on for ever without producing anything is not followed', async () => {
    const empty = Uint8Array.of(0, 0, 0, 0xff, 0xff)
    const stream = concatBytes(Uint8Array.of(0x78, 0x9c), ...Array.from({ length: 400 }, () => empty), deflateSync(utf8('x')).subarray(2))
    await limited(rawPack([rawEntry(3, 1, NONE, stream)])).toMatchObject({ code: 'ERR_REPO_INVALID' })
  })

  it('all of it: inflated bytes with an overhead for each object, delta data, results and instructions', async () => {
    const many = Array.from({ length: 100 }, (_, i) => entry(blob(`${i}`.padStart(10))))
    expect((await receive(rawPack(many), { limits: { inflatedBytes: 138 * 100 } })).count).toBe(100)
    await limited(rawPack(many), { inflatedBytes: 138 * 100 - 1 }).toMatchObject({ code: 'ERR_LIMIT' })
    const base = blob('0123456789')
    const delta = Uint8Array.of(10, 10, ...Array.from({ length: 10 }, () => [0x90, 1]).flat())
    const pack = rawPack([entry(base), refDelta(objectId(base), delta)])
    const cost = 2 * 128 + 10 + delta.length + 10 + 10 * 16
    expect((await receive(pack, { limits: { inflatedBytes: cost } })).count).toBe(2)
    await limited(pack, { inflatedBytes: cost - 1 }).toMatchObject({ code: 'ERR_LIMIT' })
  })

  it('a chain of deltas deeper than allowed', async () => {
    const chain = (depth: number) => {
      const objects = Array.from({ length: depth + 1 }, (_, i) => blob(`${i}`.padStart(4, '0')))
      return rawPack(objects.map((o, i) => (i === 0 ? entry(o) : refDelta(objectId(objects[i - 1] as GitObject), concatBytes(Uint8Array.of(4, 4, 4), o.data)))))
    }
    expect((await receive(chain(50))).count).toBe(51)
    await limited(chain(51)).toMatchObject({ code: 'ERR_LIMIT', details: { got: 51, allowed: 50 } })
  })

  it('reading the same deltas in circles ends; each object once does not', async () => {
    const base = { type: 'blob' as const, data: new Uint8Array(400_000) }
    const pack = await receive(encodePack([base]), { limits: { inflatedBytes: 500_000 } })
    const twenty = async () => {
      for (let i = 0; i < 20; i++) await pack.read(objectId(base))
    }
    await twenty() // kept from the first time
    const apart = await receive(rawPack([entry({ type: 'blob', data: new Uint8Array(7 << 20) }), entry({ type: 'blob', data: new Uint8Array(7 << 20).fill(1) }), entry({ type: 'blob', data: new Uint8Array(7 << 20).fill(2) })]), { limits: { inflatedBytes: 22 << 20 } })
    const again = async () => {
      for (let i = 0; i < 10; i++) for (const { oid } of apart.entries()) await apart.read(oid)
    }
    await expect(again()).rejects.toMatchObject({ code: 'ERR_LIMIT' })
  })
})

describe('work of the reader', () => {
  it('tens of thousands of objects, and thousands of deltas on one base, are read in slices, with work that grows with their number only', async () => {
    let turns = 0
    const counting = { track: <T>(work: Promise<T>) => (turns++, work) }
    const base = { type: 'blob' as const, data: Uint8Array.from({ length: 20_000 }, (_, i) => i & 255) }
    const star = rawPack([entry(base), ...Array.from({ length: 5000 }, (_, i) => refDelta(objectId(base), Uint8Array.from([...varint(20_000), 5, 5, ...utf8(`${i}`.padStart(5))])))])
    const small = rawPack(Array.from({ length: 30_000 }, (_, i) => entry(blob(`${i}`))))
    expect((await receive(small, { clock: counting })).count).toBe(30_000)
    expect(turns).toBeGreaterThan((30_000 * OBJECT_COST_BYTES) / SLICE_BYTES - 1)
    turns = 0
    const files = new MemoryScratch()
    expect((await receive(star, { clock: counting, files })).count).toBe(5001)
    expect(turns).toBeGreaterThan((5000 * 3 * OBJECT_COST_BYTES) / SLICE_BYTES - 1) // found, read again, resolved
    // a window over all entries, then each delta once more; the base is not read again for each
    expect(files.bytesRead).toBeLessThan(star.length * 3)
  }, 60_000)

  it('a 300 kB bomb costs what the bound allows, not what it declares', async () => {
    const bomb = rawPack(Array.from({ length: 33 }, (_, i) => rawEntry(3, 8 << 20, NONE, deflateSync(new Uint8Array(8 << 20).fill(i)))))
    expect(bomb.length).toBeLessThan(300_000)
    let offLoop = 0
    const counting = { track: <T>(work: Promise<T>) => (offLoop++, work) }
    await expect(receive(bomb, { clock: counting })).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { allowed: 256 << 20 } })
    expect(offLoop).toBeLessThanOrEqual(32 * 2) // 31 objects in a thread, and a turn after each
  }, 30_000)
})

describe('any bytes', () => {
  it('are a pack or a typed error (10,000 packs)', async () => {
    const pieces = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(entry(blob('a')), entry(blob('b')), refDelta(objectId(blob('a')), Uint8Array.of(1, 1, 1, 99)), rawEntry(6, 4, Uint8Array.of(10), deflateSync(Uint8Array.of(1, 1, 1, 100)))),
    )
    let good = 0
    await fc.assert(fc.asyncProperty(fc.array(pieces, { maxLength: 4 }), fc.integer({ min: -1, max: 1 }), async (entries, more) => {
      try {
        const received = await receive(rawPack(entries, Math.max(0, entries.length + (more > 0 ? 1 : 0))), { piece: 30 })
        for (const [oid, object] of await contents(received)) expect(objectId(object)).toBe(oid)
        good++
      } catch (error) {
        expect(JamiError.is(error) && ['ERR_REPO_INVALID', 'ERR_LIMIT'].includes(error.code), String(error)).toBe(true)
      }
    }), { numRuns: 10_000 })
    expect(good).toBeGreaterThan(300)
  }, 30_000)
})
