// The spool of packs: memory up to its bound, then a file; what it gives back is what it took or a typed error. docs/protocol/04 §3.9.
import { concatBytes } from '@jamikit/core/codec'
import { describe, expect, it } from 'vitest'
import { MemoryScratch, scratch } from '../../test/scratch.ts'
import { SPOOL_MEMORY_BYTES } from '../defaults.ts'
import { Spool } from './spool.ts'

const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7) & 255)

describe('the spool', () => {
  it('holds less than the bound in memory, and everything in the file from there on', async () => {
    const files = new MemoryScratch()
    const spool = new Spool(scratch(files))
    await spool.append(bytes(SPOOL_MEMORY_BYTES - 1))
    expect([spool.path, files.contents.size]).toEqual([undefined, 0])
    await spool.append(bytes(1))
    expect([spool.path, files.contents.size]).toEqual(['scratch/pack', 1])
    for (let i = 0; i < 1000; i++) await spool.append(bytes(600))
    expect(files.appends).toBe(1 + Math.floor(600_000 / SPOOL_MEMORY_BYTES))
    await spool.finish()
    const all = concatBytes(bytes(SPOOL_MEMORY_BYTES - 1), bytes(1), ...Array.from({ length: 1000 }, () => bytes(600)))
    expect(Buffer.compare(files.contents.get('scratch/pack') ?? new Uint8Array(0), all)).toBe(0)
    expect(await spool.read(SPOOL_MEMORY_BYTES - 5, 700)).toEqual(all.subarray(SPOOL_MEMORY_BYTES - 5, SPOOL_MEMORY_BYTES + 695))
  })

  it('a file that is gone, short or changed size by somebody else is told, not read', async () => {
    const files = new MemoryScratch()
    const spool = new Spool(scratch(files))
    await spool.append(bytes(SPOOL_MEMORY_BYTES))
    await files.append('scratch/pack', bytes(1))
    await expect(spool.append(bytes(SPOOL_MEMORY_BYTES))).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    const other = new Spool(scratch(files))
    await other.append(bytes(SPOOL_MEMORY_BYTES))
    await other.finish()
    files.contents.delete('scratch/pack')
    await expect(other.read(0, 10)).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
  })
})
