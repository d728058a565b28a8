// Stock git against our server, over a socket: it clones and fetches in every protocol version it has, and what we do not serve ends with words. docs/protocol/04 §4.3.
import { execFile } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { type StockGit, withGit } from '../../test/git.ts'
import { MapHistory } from '../../test/map-history.ts'
import { conversation, type ServedEnd, servesOn } from '../../test/serving.ts'
import { socketChannel } from '../../test/socket-channel.ts'
import { bundle } from '../../test/vectors.ts'
import type { Served } from './answer.ts'

const exec = promisify(execFile)

interface Server {
  readonly url: string
  readonly sessions: ServedEnd[]
  fetched(): string[]
  /** Both outputs, whether it succeeds or not. */
  git(dir: string, ...args: readonly string[]): Promise<string>
}

async function serving(history: Served, work: (server: Server, git: StockGit) => Promise<void>): Promise<void> {
  const sessions: ServedEnd[] = []
  const server = createServer((socket) => {
    const session = servesOn(socketChannel(socket), history)
    sessions.push(session)
    session.serving.then(() => socket.end(), () => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    await withGit(async (own) => {
      const env = { PATH: process.env.PATH, HOME: own.dir, GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0' }
      await work({
        url: `git://127.0.0.1:${port}/${conversation}`, sessions, fetched: () => sessions.flatMap((s) => s.fetched),
        git: (dir, ...args) => exec('git', [...args], { cwd: dir, env, timeout: 20_000 }).then((r) => r.stdout + r.stderr, (e: { stdout: string; stderr: string; killed: boolean }) => `${e.killed ? 'HUNG ' : 'FAILED '}${e.stdout}${e.stderr}`),
      }, own)
    })
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
}

function written(): MapHistory {
  const history = new MapHistory()
  history.commit({ 'admins/a.crt': 'certificate', 'devices/d.crt': 'device' })
  for (let i = 0; i < 60; i++) history.commit({ 'admins/a.crt': 'certificate', 'devices/d.crt': 'device', [`members/${i >> 4}.crt`]: `${i}` }, [history.head], `message ${i}`)
  return history
}

describe('stock git', () => {
  it.each(['0', '1', '2'])('SWM-15 clones from us and fetches what is new in protocol version %s', async (version) => {
    const history = written()
    await serving(history, async ({ url, git, fetched }, own) => {
      expect(await git(own.dir, '-c', `protocol.version=${version}`, 'clone', '-q', '--bare', url, 'copy')).toBe('')
      const copy = join(own.dir, 'copy')
      expect((await git(copy, 'rev-parse', 'main')).trim()).toBe(history.head)
      expect(await git(copy, 'fsck', '--strict', '--no-progress')).toBe('')
      const first = history.head
      for (let i = 0; i < 30; i++) history.commit({ 'admins/a.crt': `${i}` })
      expect(await git(copy, '-c', `protocol.version=${version}`, 'fetch', '-q', url, 'main:main')).toBe('')
      expect((await git(copy, 'rev-list', '--count', 'main')).trim()).toBe('91')
      expect(await git(copy, 'fsck', '--strict', '--no-progress')).toBe('')
      expect(fetched()).toEqual([first, history.head])
    })
  }, 60_000)

  it('a captured history, and one that goes its own way with more than 16 commits of which we know none', async () => {
    const objects = bundle('one-to-one')
    const commits = [...objects].filter(([, o]) => o.type === 'commit').map(([oid]) => oid)
    const parents = new Set([...objects.values()].flatMap((o) => (o.type === 'commit' ? [...Buffer.from(o.data).toString('latin1').matchAll(/^parent ([0-9a-f]{40})$/gm)].map((m) => m[1]) : [])))
    const history = MapHistory.of(objects, commits.find((oid) => !parents.has(oid)) ?? '')
    await serving(history, async ({ url, git, sessions }, own) => {
      const copy = join(own.dir, 'copy')
      expect(await git(own.dir, 'clone', '-q', url, 'copy')).toBe('')
      const more = history.commit({ a: 'ours' })
      await git(copy, 'config', 'user.name', 'x')
      await git(copy, 'config', 'user.email', 'x')
      for (let i = 0; i < 20; i++) await git(copy, 'commit', '-q', '--allow-empty', '-m', `${i}`)
      expect(await git(copy, 'fetch', '-q', url, 'main')).toBe('')
      expect((await git(copy, 'rev-parse', 'FETCH_HEAD')).trim()).toBe(more)
      expect(sessions.reduce((sum, s) => sum + s.ahead(), 0)).toBe(1)
    })
  }, 60_000)

  it('what is not served ends with words, at once: push, archive, a shallow clone', async () => {
    const history = written()
    await serving(history, async ({ url, git }, own) => {
      own.run(['commit', '-q', '--allow-empty', '-m', 'x'])
      expect(await git(own.dir, 'push', url, 'main')).toMatch(/^FAILED .*git-receive-pack is not served here/s)
      expect(await git(own.dir, 'archive', `--remote=${url}`, 'main')).toMatch(/^FAILED .*git-upload-archive is not served here/s)
      expect(await git(own.dir, 'clone', '-q', '--depth', '1', url, 'shallow')).toMatch(/^FAILED .*shallow/s)
    })
  }, 60_000)

  it('looking at our refs is not fetching: ls-remote does not count as delivered, in any version', async () => {
    const history = written()
    await serving(history, async ({ url, git, sessions, fetched }, own) => {
      for (const version of ['0', '1', '2']) expect(await git(own.dir, '-c', `protocol.version=${version}`, 'ls-remote', url)).toContain(`${history.head}\trefs/heads/main`)
      await Promise.all(sessions.map((s) => s.serving))
      expect(sessions).toHaveLength(3)
      expect(fetched()).toEqual([])
    })
  }, 60_000)
})
