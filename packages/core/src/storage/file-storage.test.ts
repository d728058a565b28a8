// What only the disk has: crashes, rights, locks of other processes, rewriting, readability by git.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { deflateSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { fromUtf8, toHex, utf8 } from '../codec/bytes.ts'
import { sha1 } from '../crypto/hash.ts'
import { fileStorage } from './file-storage.ts'

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

function startWriter(start: number): { child: ChildProcess; confirmed: () => number; untilConfirmed: (n: number) => Promise<void> } {
  const child = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL('../../test/crash-writer.ts', import.meta.url)), directory, String(start)], { stdio: ['ignore', 'pipe', 'inherit'] })
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
  it('after kill -9 every confirmed batch is there, and the last one wholly or not at all', async () => {
    let next = 0
    for (let round = 0; round < 6; round++) {
      const { child, confirmed, untilConfirmed } = startWriter(next)
      await untilConfirmed(next + 3 + ((round * 7) % 11))
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
      const storage = fileStorage(directory)
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
      const lock = await storage.lock() // the dead process's lock is taken over
      await lock[Symbol.asyncDispose]()
      await storage.close()
      next = n + 1
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

  it('damage is ERR_STORAGE_CORRUPT for every call, and the file is left as it is', async () => {
    const first = fileStorage(directory)
    await first.batch([{ key: 'a', value: utf8('1') }])
    await first.batch([{ key: 'b', value: utf8('2') }])
    await first.close()
    const bytes = new Uint8Array(await readFile(logPath()))
    bytes[30] = (bytes[30] ?? 0) ^ 1
    await writeFile(logPath(), bytes)
    const second = fileStorage(directory)
    await expect(second.get('a')).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    await expect(second.batch([{ key: 'a', value: null }])).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    await expect((async () => {
      for await (const _ of second.keys(''));
    })()).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    await second.close()
    expect(new Uint8Array(await readFile(logPath()))).toEqual(bytes)
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

  it.skipIf(process.platform !== 'linux')('an id used again by another process is not the owner', async () => {
    await writeFile(join(directory, 'lock'), JSON.stringify({ pid: process.pid, start: 'other-boot/1', nonce: '1' }))
    const storage = fileStorage(directory)
    await (await storage.lock())[Symbol.asyncDispose]()
    await writeFile(join(directory, 'lock'), '{"pid":')
    await (await storage.lock())[Symbol.asyncDispose]()
    await storage.close()
  })

  it('of many that find a dead lock at the same time, exactly one gets it', async () => {
    for (let round = 0; round < 10; round++) {
      await writeFile(join(directory, 'lock'), JSON.stringify({ pid: 2 ** 22 + 1, start: 'gone/1', nonce: String(round) }))
      const storages = Array.from({ length: 12 }, () => fileStorage(directory))
      const outcomes = await Promise.all(storages.map((storage) => storage.lock().then(() => 'taken', (error: { code: string }) => error.code)))
      expect(outcomes.filter((outcome) => outcome === 'taken')).toHaveLength(1)
      expect(outcomes.filter((outcome) => outcome === 'ERR_STORAGE_LOCKED')).toHaveLength(11)
      for (const storage of storages) await storage.close()
    }
    expect(await readdir(directory)).toEqual([])
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
    await mkdir(join(directory, 'scratch'))
    await writeFile(join(directory, 'scratch', 'records.log'), 'half')
    await writeFile(join(directory, 'scratch', '4194305.7'), 'half')
    await writeFile(join(directory, 'scratch', `${process.pid}.9999`), 'being written')
    const storage = fileStorage(directory)
    await storage.lock()
    expect((await readdir(join(directory, 'scratch'))).sort()).toEqual([`${process.pid}.9999`, 'records.log'].sort())
    for (let i = 0; i < 12; i++) await storage.batch([{ key: 'big', value: new Uint8Array(200_000) }])
    await storage.close()
    const again = fileStorage(directory)
    expect(await again.get('big')).toHaveLength(200_000)
    await again.close()
  })
})
