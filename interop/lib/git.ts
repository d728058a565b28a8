// Judging conversations by their repositories with git itself: what is on disk is the truth, signals are not.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The git directory of a work tree or of a bare repository. */
const gitDir = (repository: string) => (existsSync(join(repository, '.git')) ? join(repository, '.git') : repository)

function git(repository: string, ...args: string[]): { ok: boolean; out: string; error: string } {
  const result = spawnSync('git', ['-c', 'safe.directory=*', `--git-dir=${gitDir(repository)}`, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 })
  return { ok: result.status === 0, out: result.stdout, error: result.stderr }
}

/** Commit of refs/heads/main; empty while there is none. Cheap: no process. */
export function head(repository: string): string {
  try {
    return readFileSync(join(gitDir(repository), 'refs', 'heads', 'main'), 'utf8').trim()
  } catch {
    return ''
  }
}

/** Bodies of all text messages reachable from main, in git's order (newest first). */
export function bodies(repository: string): string[] {
  const { out } = git(repository, 'log', 'main', '--format=%s')
  const found: string[] = []
  for (const line of out.split('\n')) {
    try {
      const commit = JSON.parse(line) as { type?: unknown; body?: unknown }
      if (commit.type === 'text/plain' && typeof commit.body === 'string') found.push(commit.body)
    } catch {
      // merges and others have no JSON subject of this kind
    }
  }
  return found
}

/** All commit ids reachable from main, sorted. */
export function commits(repository: string): string[] {
  return git(repository, 'rev-list', 'main').out.split('\n').filter((line) => line !== '').sort()
}

/** Throws with git's words when the repository is not perfect. */
export function fsck(repository: string): void {
  const result = git(repository, 'fsck', '--strict', '--full', '--no-dangling')
  if (!result.ok || /error|missing|broken|corrupt/i.test(result.out + result.error)) throw new Error(`git fsck --strict of ${repository}: ${result.out}${result.error}`)
}
