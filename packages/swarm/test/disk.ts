// A history's folder on a real disk, with stock git at hand; goes away with the test.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileStorage } from '@jamikit/core'
import type { FileTree, Storage } from '@jamikit/core/contracts'

export interface Disk {
  readonly storage: Storage
  readonly files: FileTree
  readonly dir: string
  /** Output of git in the folder; `ls-packs` lists the pack files. */
  git(...args: string[]): string
  packs(): string[]
}

export async function onDisk<T>(work: (disk: Disk) => Promise<T>): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), 'swarm-disk-'))
  const storage = fileStorage(root)
  const dir = join(root, 'files', 'c')
  const packs = () => (existsSync(join(dir, 'objects', 'pack')) ? readdirSync(join(dir, 'objects', 'pack')) : []).filter((name) => name.endsWith('.pack'))
  const git = (...args: string[]): string => {
    if (args[0] === 'ls-packs') return packs().map((name) => `objects/pack/${name}\n`).join('')
    return execFileSync('git', args, { cwd: dir, env: { PATH: process.env.PATH, HOME: root, GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C' }, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 64 << 20 }).toString()
  }
  try {
    return await work({ storage, files: storage.files('c'), dir, git, packs })
  } finally {
    await storage.close()
    rmSync(root, { recursive: true, force: true })
  }
}
