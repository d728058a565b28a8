// Stock git as an oracle: a repository in a folder of its own that goes away with the test.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface StockGit {
  readonly dir: string
  /** Standard output. Throws what git says when it fails. */
  run(args: readonly string[], input?: Uint8Array | string): Buffer
}

export async function withGit<T>(work: (git: StockGit) => T | Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'swarm-git-'))
  const env = {
    PATH: process.env.PATH, HOME: dir, GIT_CONFIG_NOSYSTEM: '1', GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@example.org', GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@example.org',
    GIT_AUTHOR_DATE: '1700000000 +0000', GIT_COMMITTER_DATE: '1700000000 +0000', LC_ALL: 'C',
  }
  const run = (args: readonly string[], input?: Uint8Array | string) => execFileSync('git', args, { cwd: dir, env, maxBuffer: 256 << 20, stdio: ['pipe', 'pipe', 'pipe'], ...(input === undefined ? {} : { input }) })
  try {
    run(['init', '-q', '-b', 'main', '.'])
    return await work({ dir, run })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Objects as `git cat-file` tells them. */
export function objectsOf(git: StockGit): { oid: string; type: string; size: number }[] {
  return git.run(['cat-file', '--batch-check', '--batch-all-objects']).toString().trim().split('\n').map((line) => {
    const [oid = '', type = '', size = ''] = line.split(' ')
    return { oid, type, size: Number(size) }
  })
}
