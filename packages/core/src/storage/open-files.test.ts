import { type FileHandle, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { utf8 } from '../codec/bytes.ts'
import { OpenFiles } from './open-files.ts'

let directory = ''
let files = new OpenFiles()
let prototype: FileHandle
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
  files = new OpenFiles()
  const handle = await open(join(directory, 'any'), 'w')
  prototype = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
})
afterEach(async () => {
  vi.restoreAllMocks()
  await files.close()
  await rm(directory, { recursive: true, force: true })
})

const at = (name: string) => join(directory, name)
const full = () => Promise.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' }))

describe('open files', () => {
  it.skipIf(process.platform !== 'linux')('however many files are appended to and read, a bounded number of handles is open, and none after close', async () => {
    const handles = async () => (await readdir('/proc/self/fd')).length
    const before = await handles()
    for (let i = 0; i < 300; i++) await files.append(at(`f${i}`), utf8(String(i)), false)
    for (let i = 0; i < 300; i++) expect(await files.read(at(`f${i}`), 0, 10)).toEqual(utf8(String(i)))
    await Promise.all(Array.from({ length: 300 }, (_, i) => files.append(at(`f${i}`), utf8('+'), false)))
    expect(await handles()).toBeGreaterThan(before + 30)
    expect(await handles()).toBeLessThanOrEqual(before + 64 + 10)
    for (let i = 0; i < 300; i++) expect(await readFile(at(`f${i}`), 'utf8')).toBe(`${i}+`)
    await files.close()
    expect(await handles()).toBeLessThanOrEqual(before + 2)
  })

  it('a thousand appends one after the other open the file once; those that wait for one another share a write and a sync', async () => {
    await files.append(at('j'), utf8('x'), true)
    const [writes, syncs, opened] = [vi.spyOn(prototype, 'write'), vi.spyOn(prototype, 'datasync'), vi.spyOn(prototype, 'stat')]
    for (let i = 0; i < 100; i++) await files.append(at('j'), utf8('y'), true)
    expect([writes.mock.calls.length, syncs.mock.calls.length, opened.mock.calls.length]).toEqual([100, 100, 0])
    const sizes = await Promise.all(Array.from({ length: 1000 }, () => files.append(at('j'), utf8('z'), true)))
    expect(sizes.at(-1)).toBe(1101)
    expect(writes.mock.calls.length).toBeLessThan(110)
    expect(syncs.mock.calls.length).toBe(writes.mock.calls.length)
  })

  it('a failed append leaves the old length, also when it cannot be taken back at once; nobody ever sees half of it', async () => {
    await files.append(at('j'), utf8('good'), true)
    const write = prototype.write
    vi.spyOn(prototype, 'write').mockImplementationOnce(async function (this: FileHandle, bytes: Uint8Array) {
      await (write as (bytes: Uint8Array, offset: number, length: number) => Promise<unknown>).call(this, bytes, 0, 3)
      return full()
    } as never)
    vi.spyOn(prototype, 'truncate').mockImplementationOnce(full)
    await expect(files.append(at('j'), utf8('never'), true)).rejects.toThrow('no space left')
    expect(await readFile(at('j'), 'utf8')).toBe('goodnev')
    expect([await files.read(at('j'), 0, 100), files.visible(at('j'))]).toEqual([utf8('good'), 4])
    expect(await files.append(at('j'), utf8(' again'), true)).toBe(10)
    expect(await readFile(at('j'), 'utf8')).toBe('good again')
  })

  it('an append whose sync fails is taken back', async () => {
    await files.append(at('j'), utf8('good'), true)
    vi.spyOn(prototype, 'datasync').mockImplementationOnce(full)
    await expect(files.append(at('j'), utf8('never'), true)).rejects.toThrow('no space left')
    expect(await readFile(at('j'), 'utf8')).toBe('good')
  })
})
