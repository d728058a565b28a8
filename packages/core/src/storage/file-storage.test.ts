// What only the disk has: crashes, rights, locks of other processes, rewriting, readability by git.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { deflateSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { JamiError } from '../base/errors.ts'
import { fromUtf8, toHex, utf8 } from '../codec/bytes.ts'
import type { Storage } from '../contracts/storage.ts'
import { sha1 } from '../crypto/hash.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { fileStorage } from './file-storage.ts'
import { sealedStorage } from './sealed-storage.ts'

let directory = ''
const children: ChildProcess[] = []
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'jamikit-'))
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await rm(directory, { recursive: true, force: true })
})

const logPath = () => join(directory, 'records.log')
const text = async (work: Promise<Uint8Array | undefined>) => {
  const bytes = await work
  return bytes && fromUtf8(bytes)
}

function startWriter(start: number, sealed = false): { child: ChildProcess; confirmed: () => number; untilConfirmed: (n: number) => Promise<void> } {
  const child = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('../../test/crash-writer.ts', import.meta.url)), directory, String(start), ...(sealed ? ['sealed'] : [])], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  let last = start - 1
  let wake = () => {}
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    last = Number(line)
    wake()
  })
  return {
    child,
    confirmed: () => last,
    async untilConfirmed(n) {
      while (last < n) await new Promise<void>((resolve) => (wake = resolve))
    },
  }
}

describe('crashes', () => {
  it.each([
    ['plain', (storage: Storage) => storage],
    ['sealed', (storage: Storage) => sealedStorage(storage, new Uint8Array(32).fill(7))],
  ])('after kill -9 every confirmed batch and append is there, and the last one wholly or not at all (%s)', async (kind, open) => {
    let next = 0
    for (let round = 0; round < 6; round++) {
      const { child, confirmed, untilConfirmed } = startWriter(next, kind === 'sealed')
      await untilConfirmed(next + 3 + ((round * 7) % 11))
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
      const storage = open(fileStorage(directory))
      const n = Number(await text(storage.get('last')))
      expect(n).toBeGreaterThanOrEqual(confirmed())
      expect(await text(storage.get('first'))).toBe(String(n))
      expect(await text(storage.get(`log/${n}`))).toBe(String(n))
      expect((await storage.get(`ballast/${n % 5}`))?.every((byte) => byte === n % 256)).toBe(true)
      const kept: string[] = []
      for await (const key of storage.keys('log/')) kept.push(key)
      expect(kept).toHaveLength(Math.min(3, n + 1))
      const file = (await text(storage.files('tree').read('current')))?.trim().split(' ') ?? []
      expect([file.length, new Set(file).size]).toEqual([5000, 1])
      expect(Number(file[0])).toBeGreaterThanOrEqual(confirmed())
      const journal = (await storage.files('tree').read('journal')) ?? new Uint8Array(0)
      const frames: number[] = []
      let at = 0
      for (const view = new DataView(journal.buffer, journal.byteOffset, journal.length); journal.length - at >= 8; ) {
        const end = at + 8 + view.getUint32(at + 4)
        if (end > journal.length) break // an append that had not resolved
        frames.push(view.getUint32(at))
        expect(journal.subarray(at + 8, end).every((byte) => byte === (frames.at(-1) ?? 0) % 256)).toBe(true)
        at = end
      }
      expect(frames).toEqual(frames.map((_, i) => i)) // none missing, none twice, none torn before the end
      expect(frames.length - 1).toBeGreaterThanOrEqual(confirmed())
      await storage.files('tree').truncate('journal', at)
      const lock = await storage.lock() // the dead process's lock is taken over
      await lock[Symbol.asyncDispose]()
      await storage.close()
      next = frames.length
    }
    expect((await readdir(directory)).filter((name) => name.startsWith('lock'))).toEqual([])
  }, 120_000)

  it('a torn end is cut off and written over', async () => {
    const first = fileStorage(directory)
    await first.batch([{ key: 'a', value: utf8('1') }])
    await first.close()
    const whole = (await stat(logPath())).size
    await appendFile(logPath(), new Uint8Array(11).fill(0))
    const second = fileStorage(directory)
    await second.batch([{ key: 'b', value: utf8('2') }])
    await second.close()
    const third = fileStorage(directory)
    expect([await text(third.get('a')), await text(third.get('b'))]).toEqual(['1', '2'])
    await third.close()
    await truncate(logPath(), whole - 1)
    const fourth = fileStorage(directory)
    expect(await fourth.get('a')).toBeUndefined()
    await fourth.close()
  })

  it('a damaged frame of the log costs itself: the rest is kept, the owner is told, the damaged log stays beside it', async () => {
    const first = fileStorage(directory)
    for (const key of ['a', 'b', 'c']) await first.batch([{ key, value: utf8(key) }])
    await first.close()
    const bytes = new Uint8Array(await readFile(logPath()))
    bytes[18 + 32 + 10] = (bytes[18 + 32 + 10] ?? 0) ^ 1 // in the body of the second
    await writeFile(logPath(), bytes)
    for (const told of [1, 0]) {
      const problems: JamiError[] = []
      const second = fileStorage(directory, { onProblem: (problem) => problems.push(problem) })
      expect([await text(second.get('a')), await text(second.get('b')), await text(second.get('c'))]).toEqual(['a', undefined, 'c'])
      expect(problems).toMatchObject(told ? [{ code: 'ERR_STORAGE_CORRUPT', details: { damage: [{ what: 'frame', position: 50 }] } }] : [])
      await second.batch([{ key: 'd', value: utf8('d') }])
      await second.close()
    }
    const names = (await readdir(directory)).filter((name) => name.startsWith('records.damaged'))
    expect(names).toHaveLength(1)
    expect(new Uint8Array(await readFile(join(directory, names[0] ?? '')))).toEqual(bytes)
  })

  it('a file that is no log is ERR_STORAGE_CORRUPT for every call, and is left as it is', async () => {
    await writeFile(logPath(), 'my other notes, which are long enough')
    const second = fileStorage(directory)
    await expect(second.get('a')).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    await expect(second.batch([{ key: 'a', value: null }])).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    await expect((async () => {
      for await (const _ of second.keys(''));
    })()).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    await second.close()
    expect(await readFile(logPath(), 'utf8')).toBe('my other notes, which are long enough')
  })

  it('a writer that bypassed the lock is noticed', async () => {
    const storage = fileStorage(directory)
    await storage.batch([{ key: 'a', value: utf8('1') }])
    await appendFile(logPath(), 'x')
    await expect(storage.batch([{ key: 'a', value: utf8('2') }])).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    await storage.close()
  })

  it('a directory that cannot be made is ERR_STORAGE_IO with the system’s error', async () => {
    await writeFile(join(directory, 'file'), '')
    const storage = fileStorage(join(directory, 'file', 'profile'))
    await expect(storage.get('a')).rejects.toMatchObject({ code: 'ERR_STORAGE_IO', details: { code: 'ENOTDIR' } })
    await expect(storage.lock()).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    await storage.close()
  })
})

describe('size', () => {
  it('the log is rewritten when most of it is out of date', async () => {
    const storage = fileStorage(directory)
    await storage.batch([{ key: 'kept', value: utf8('kept') }])
    for (let i = 0; i < 50; i++) await storage.batch([{ key: 'big', value: new Uint8Array(200_000).fill(i) }])
    expect((await stat(logPath())).size).toBeLessThan(2_000_000)
    await storage.close()
    const again = fileStorage(directory)
    expect(await text(again.get('kept'))).toBe('kept')
    expect((await again.get('big'))?.[0]).toBe(49)
    await again.batch([{ key: 'big', value: null }])
    await again.close()
    expect(await readdir(join(directory, 'scratch'))).toEqual([])
  })

  it('batches that wait share a write', async () => {
    const storage = fileStorage(directory)
    await storage.batch([{ key: 'a', value: utf8('0') }])
    await Promise.all(Array.from({ length: 200 }, (_, i) => storage.batch([{ key: `k${i}`, value: utf8(String(i)) }])))
    const frames = ((await stat(logPath())).size - 18 - 200 * 10) / 24
    expect(frames).toBeLessThan(50) // 24 bytes of frame for each batch would be 4800
    await storage.close()
  })
})

describe('rights', () => {
  it.skipIf(process.platform === 'win32')('ACC-S1 files are 0600, directories 0700, whatever the umask', async () => {
    const before = process.umask(0)
    try {
      const storage = fileStorage(join(directory, 'deep', 'profile'))
      await storage.batch([{ key: 'a', value: utf8('1') }])
      await storage.files('repo').write('objects/ab/cd', utf8('x'))
      const lock = await storage.lock()
      const modes: [string, number][] = []
      const walk = async (path: string): Promise<void> => {
        for (const entry of await readdir(path, { withFileTypes: true })) {
          const child = join(path, entry.name)
          modes.push([entry.isDirectory() ? 'directory' : 'file', (await stat(child)).mode & 0o777])
          if (entry.isDirectory()) await walk(child)
        }
      }
      await walk(directory)
      expect(modes.length).toBeGreaterThan(8)
      for (const [kind, mode] of modes) expect(mode, kind).toBe(kind === 'file' ? 0o600 : 0o700)
      await lock[Symbol.asyncDispose]()
      await storage.close()
    } finally {
      process.umask(before)
    }
  })
})

describe('problems', () => {
  it.skipIf(process.platform === 'win32')('a profile that others can write to, or whose log they can read, is told', async () => {
    const problems: string[] = []
    const open = async () => {
      problems.length = 0
      const storage = fileStorage(directory, { onProblem: ({ message }) => problems.push(message) })
      await storage.batch([{ key: 'a', value: utf8('1') }])
      await storage.close()
      return problems
    }
    expect(await open()).toEqual([])
    await chmod(directory, 0o755)
    expect(await open()).toEqual([])
    await chmod(directory, 0o777)
    expect(await open()).toEqual([expect.stringContaining('got mode 777')])
    await chmod(directory, 0o700)
    await chmod(logPath(), 0o644)
    expect(await open()).toEqual([expect.stringContaining('got mode 644')])
  })

  it('an empty name is refused at the call, and does not mean the current directory', () => {
    for (const bad of ['', undefined, 7, 'a\0b']) expect(() => fileStorage(bad as string)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
  })
})

describe('purge', () => {
  const everywhere = async (marker: string): Promise<string[]> => {
    const found: string[] = []
    for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
      const path = join(entry.parentPath, entry.name)
      if (entry.isFile() && (await readFile(path)).includes(marker)) found.push(entry.name)
    }
    return found
  }

  it('what was removed, replaced or purged is nowhere in the directory afterwards; the rest is, also after a restart', async () => {
    const storage = fileStorage(directory)
    await storage.batch([{ key: 'accounts/a/identity', value: utf8('MARKER device key') }, { key: 'accounts/b/identity', value: utf8('other') }])
    await storage.batch([{ key: 'x', value: utf8('MARKER replaced') }])
    await storage.batch([{ key: 'x', value: utf8('new') }, { key: 'y', value: utf8('MARKER removed') }])
    await storage.batch([{ key: 'y', value: null }])
    expect(await everywhere('MARKER')).toEqual(['records.log'])
    await storage.purge('accounts/a/')
    expect(await everywhere('MARKER')).toEqual([])
    await storage.batch([{ key: 'z', value: utf8('z') }])
    await storage.close()
    const again = fileStorage(directory)
    expect([await again.get('accounts/a/identity'), await text(again.get('accounts/b/identity')), await text(again.get('x')), await text(again.get('z'))]).toEqual([undefined, 'other', 'new', 'z'])
    await again.close()
  })

  it('takes damaged logs away, too, and one that fails changes nothing', async () => {
    const storage = fileStorage(directory)
    await storage.batch([{ key: 'a', value: utf8('MARKER') }])
    await writeFile(join(directory, 'records.damaged.1'), 'MARKER')
    await rm(join(directory, 'scratch'), { recursive: true })
    await expect(storage.purge('a')).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    expect(await text(storage.get('a'))).toBe('MARKER')
    await mkdir(join(directory, 'scratch'))
    await storage.purge('a')
    expect(await everywhere('MARKER')).toEqual([])
    await storage.close()
  })
})

describe('lock', () => {
  it('another living process holds it: ERR_STORAGE_LOCKED with its id', async () => {
    const { child, untilConfirmed } = startWriter(0)
    await untilConfirmed(0)
    const storage = fileStorage(directory)
    await expect(storage.lock()).rejects.toMatchObject({ code: 'ERR_STORAGE_LOCKED', details: { pid: child.pid } })
    await storage.close()
  }, 30_000)

  it('two objects of one process do not share it', async () => {
    const [one, two] = [fileStorage(directory), fileStorage(directory)]
    await one.lock()
    await expect(two.lock()).rejects.toMatchObject({ code: 'ERR_STORAGE_LOCKED', details: { pid: process.pid } })
    await one.close() // gives it back
    await (await two.lock())[Symbol.asyncDispose]()
    await two.close()
  })

  it('one that was lost ends every write, and the owner is told', async () => {
    const clock = new ManualClock()
    const problems: JamiError[] = []
    const storage = fileStorage(directory, { clock, onProblem: (problem) => problems.push(problem) })
    await clock.run(storage.lock())
    await storage.batch([{ key: 'a', value: utf8('1') }])
    for (const name of await readdir(directory)) if (name.startsWith('lock')) await rm(join(directory, name)) // as one that takes over does
    await clock.advance(5000)
    expect(problems).toMatchObject([{ code: 'ERR_STORAGE_LOCKED' }])
    await expect(storage.batch([{ key: 'a', value: utf8('2') }])).rejects.toMatchObject({ code: 'ERR_STORAGE_LOCKED' })
    await expect(storage.files('t').append('j', utf8('2'))).rejects.toMatchObject({ code: 'ERR_STORAGE_LOCKED' })
    await storage.close()
  })
})

describe('files', () => {
  it('a repository in a tree is an ordinary directory that git reads', async (context) => {
    const run = promisify(execFile)
    const git = (...args: string[]) => run('git', ['--git-dir', join(directory, 'files', 'account', 'repo'), ...args])
    if (await run('git', ['--version']).then(() => false, () => true)) return context.skip()
    const storage = fileStorage(directory)
    const tree = storage.files('account/repo')
    const write = async (type: string, body: Uint8Array) => {
      const whole = Buffer.concat([Buffer.from(`${type} ${body.length}\0`), body])
      const id = toHex(sha1(whole))
      await tree.write(`objects/${id.slice(0, 2)}/${id.slice(2)}`, deflateSync(whole), { durable: false })
      return id
    }
    const blob = await write('blob', utf8('hello\n'))
    const root = await write('tree', Buffer.concat([Buffer.from('100644 file\0'), Buffer.from(blob, 'hex')]))
    const commit = await write('commit', utf8(`tree ${root}\nauthor A <a@x> 1700000000 +0000\ncommitter A <a@x> 1700000000 +0000\n\nfirst\n`))
    await tree.write('HEAD', utf8('ref: refs/heads/main\n'))
    await tree.write('config', utf8('[core]\n\trepositoryformatversion = 0\n\tbare = true\n'))
    await tree.write('refs/heads/main', utf8(`${commit}\n`))
    await git('fsck', '--strict')
    expect((await git('show', 'main:file')).stdout).toBe('hello\n')
    await storage.close()
  })

  it('what a crash left in the scratch directory does no harm', async () => {
    await mkdir(join(directory, 'scratch', 'planted'), { recursive: true })
    await writeFile(join(directory, 'scratch', 'records.log'), 'half')
    await writeFile(join(directory, 'scratch', `${process.pid}.7`), 'half: in containers every process has the same number')
    const other = fileStorage(directory)
    const writing = other.files('t').write('f', new Uint8Array(1_000_000)) // of this process: not taken away
    const storage = fileStorage(directory)
    await storage.lock()
    await writing
    await other.close()
    expect(await readdir(join(directory, 'scratch'))).toEqual([])
    for (let i = 0; i < 12; i++) await storage.batch([{ key: 'big', value: new Uint8Array(200_000) }])
    await storage.close()
    const again = fileStorage(directory)
    expect(await again.get('big')).toHaveLength(200_000)
    await again.close()
  })
})
