// Sorted files of records: what was put in is found, by whole keys and by beginnings, through any number of flushes and merges; damage is noticed.
import { JamiError } from '@jamikit/core/base'
import { ManualClock, SeededRandom } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { memoryFiles } from '../../../test/memory.ts'
import { Blocks, Runs } from './runs.ts'

const clock = new ManualClock()

function setUp(maxBlocks = 8, runs?: ConstructorParameters<typeof Runs>[1], files = memoryFiles().files('c')) {
  return { files, runs: new Runs({ files, clock, folder: 'i', letter: 'w', keyBytes: 4, blocks: new Blocks(maxBlocks) }, runs) }
}

async function flushed({ files, runs }: ReturnType<typeof setUp>): Promise<void> {
  for (const path of await runs.flush()) await files.remove(path)
}

describe('sorted records on disk', () => {
  it('find what was put in, in memory, in files and in merged ones, however it came (random against a plain list)', async () => {
    const random = new SeededRandom('runs')
    const all: [string, number][] = []
    const it = setUp()
    for (let flush = 0; flush < 30; flush++) {
      for (let i = 0, count = random.below(2500); i < count; i++) {
        const record: [string, number] = [String.fromCharCode(97 + random.below(3), 97 + random.below(5), random.below(256), random.below(3)), random.below(2 ** 32)]
        all.push(record)
        it.runs.add(...record)
      }
      if (flush % 7 !== 6) await flushed(it)
      for (const prefix of ['a', 'bc', 'b', 'c\xff', 'zz', all[random.below(all.length)]?.[0] ?? '']) {
        const expected = all.filter(([key]) => key.startsWith(prefix)).map(([, value]) => value)
        expect((await it.runs.find(prefix)).sort((a, b) => a - b), prefix).toEqual(expected.sort((a, b) => a - b))
      }
      const key = all[random.below(all.length)]?.[0] ?? ''
      const [low, high] = [random.below(2 ** 31), 2 ** 31 + random.below(2 ** 31)]
      for (const max of [1, 7, 100_000])
        expect(await it.runs.greatest(key, low, high, max)).toEqual(all.filter(([of, value]) => of === key && value >= low && value < high).map(([, value]) => value).sort((a, b) => a - b).slice(-max))
    }
  })

  it('of many records of a key the greatest ones cost their own blocks, not all', async () => {
    const { files, ...rest } = setUp(1)
    let reads = 0
    const counted = { ...files, read: (...args: Parameters<typeof files.read>) => (reads++, files.read(...args)) } as typeof files
    const it = { files, runs: new Runs({ files: counted, clock, folder: 'i', letter: 'w', keyBytes: 4, blocks: new Blocks(1) }, rest.runs.runs) }
    for (let i = 0; i < 60_000; i++) it.runs.add('key ', i)
    await flushed(it)
    expect(await it.runs.greatest('key ', 10, 59_000, 600)).toEqual(Array.from({ length: 600 }, (_, i) => 58_400 + i))
    expect(reads).toBeLessThan(12)
  })

  it('the number of files grows with the logarithm: four of a size become one', async () => {
    const it = setUp()
    for (let flush = 0; flush < 64; flush++) {
      it.runs.add('key ', flush)
      await flushed(it)
      expect(it.runs.runs.length).toBeLessThanOrEqual(3)
    }
    expect(await it.files.list('i')).toHaveLength(it.runs.runs.length)
    expect((await it.runs.find('key ')).sort((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, i) => i))
  })

  it('what was flushed is found by whoever comes later with the list of files', async () => {
    const one = setUp()
    for (let i = 0; i < 3000; i++) one.runs.add(i < 1000 ? `k${String(i).padStart(3, '0')}` : 'rest', i)
    await flushed(one)
    const other = setUp(8, one.runs.runs, one.files)
    expect(await other.runs.find('k999')).toEqual([999])
    other.runs.add('new ', 7)
    await flushed(other)
    expect([await other.runs.find('new '), await other.runs.find('k001')]).toEqual([[7], [1]])
  })

  it.each([['a flipped bit', (bytes: Uint8Array) => { bytes[10] = (bytes[10] ?? 0) ^ 1 }], ['a lost end', undefined]])('%s is noticed when it is read', async (_, damage) => {
    const one = setUp()
    one.runs.add('abcd', 1)
    await flushed(one)
    const path = `i/${one.runs.runs[0]?.name}`
    const bytes = (await one.files.read(path)) ?? new Uint8Array(0)
    if (damage) damage(bytes)
    await one.files.write(path, damage ? bytes : bytes.subarray(0, 5))
    const again = setUp(8, one.runs.runs, one.files)
    await expect(again.runs.find('abcd')).rejects.toSatisfy((error) => JamiError.is(error, 'ERR_STORAGE_CORRUPT'))
  })

  it('blocks that were read are kept up to a number, the ones used last', () => {
    const blocks = new Blocks(2)
    blocks.set('a', '1')
    blocks.set('b', '2')
    blocks.get('a')
    blocks.set('c', '3')
    expect([blocks.get('a'), blocks.get('b'), blocks.get('c')]).toEqual(['1', undefined, '3'])
  })
})
