// npx tsx bench/history-open.ts [commits]      default: 100,000
//
// A history of so many messages on disk, made through the repository itself (commits of real size, signed by nobody), then measured in
// processes of their own. One JSON line per figure:
//
//   history.repository.build                seconds, all of it
//   history.repository.append_ms            one durable message on top, median of 200 (`fresh` = of a new history)
//   history.repository.open_ms              opening, in a fresh process; `heap_mb` = heap and array buffers it takes
//   history.repository.page_ms              the newest 50 commits read and parsed, first time
//   history.repository.loop_delay_max_ms    longest turn of the event loop while opening, paging and appending
//   history.repository.disk_bytes_per_message
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { fileStorage } from '../packages/core/src/storage/file-storage.ts'
import type { AccountUri, DeviceId } from '../packages/core/src/contracts/ids.ts'
import { signedCommit, unsignedCommit } from '../packages/swarm/src/repo/commit.ts'
import { type GitObject, objectId, type Oid } from '../packages/swarm/src/repo/object.ts'
import { Repository } from '../packages/swarm/src/repo/repository.ts'
import { buildTrees } from '../packages/swarm/src/repo/trees.ts'
import type { NewCommit } from '../packages/swarm/src/repo/types.ts'

const AUTHOR = 'a'.repeat(40) as AccountUri
const DEVICE = 'd'.repeat(64) as DeviceId
const options = { clock: { track: <T>(work: Promise<T>) => work }, authorOf: async () => AUTHOR, onProblem: (error: Error) => console.error(error.message), seed: 4711 }
const blob: GitObject = { type: 'blob', data: new TextEncoder().encode('certificate\n') }
const { root, objects: trees } = buildTrees(new Map([[`devices/${DEVICE}.crt`, objectId(blob)]]))
const print = (name: string, unit: string, value: number, more: object = {}) => console.log(JSON.stringify({ name, unit, value: Math.round(value * 100) / 100, ...more }))

function message(n: number, parent: Oid | undefined): { commit: NewCommit; object: GitObject } {
  const timeS = 1_700_000_000 + n
  const parents = parent === undefined ? [] : [parent]
  const unsigned = unsignedCommit({ tree: root, parents, name: 'Alice', device: DEVICE, timeS, message: `{"body":"message number ${n} of a long history","type":"text/plain"}` })
  const signature = Buffer.concat(Array.from({ length: 8 }, (_, i) => createHash('sha512').update(`${n} ${i}`).digest()))
  const object: GitObject = { type: 'commit', data: signedCommit(unsigned, new Uint8Array(signature)) }
  return { commit: { oid: objectId(object), tree: root, parents, timeS, author: AUTHOR, device: DEVICE }, object }
}

const bytesBelow = (dir: string): number => readdirSync(dir, { withFileTypes: true }).reduce((sum, e) => sum + (e.isDirectory() ? bytesBelow(join(dir, e.name)) : statSync(join(dir, e.name)).size), 0)
const median = (list: number[]) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0

async function append(repository: Repository, n: number, count: number): Promise<number[]> {
  const took: number[] = []
  for (let i = 0; i < count; i++) {
    const { commit, object } = message(n + i, repository.head)
    const start = performance.now()
    await repository.advance({ commits: [commit], objects: [object], head: commit.oid })
    took.push(performance.now() - start)
  }
  return took
}

async function build(dir: string, count: number): Promise<void> {
  const storage = fileStorage(dir)
  const first = message(0, undefined)
  const repository = await Repository.create(storage.files('c'), { commits: [first.commit], objects: [first.object, ...trees, blob], head: first.commit.oid }, options)
  print('history.repository.append_ms', 'ms', median(await append(repository, 1, 200)), { fresh: true })
  const start = performance.now()
  for (let n = 201; n < count; ) {
    // as they come from a fetch: some at a time
    const commits: NewCommit[] = []
    const objects: GitObject[] = []
    for (let parent: Oid = repository.head; commits.length < 50 && n < count; n++) {
      const { commit, object } = message(n, parent)
      commits.push(commit)
      objects.push(object)
      parent = commit.oid
    }
    await repository.advance({ commits, objects, head: commits.at(-1)?.oid })
  }
  await repository.settled()
  print('history.repository.build', 's', (performance.now() - start) / 1000)
  await repository.close()
  await storage.close()
  print('history.repository.disk_bytes_per_message', 'B', bytesBelow(dir) / count)
}

async function measure(dir: string, count: number): Promise<void> {
  const storage = fileStorage(dir)
  await storage.get('nothing')
  const used = () => {
    globalThis.gc?.()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const before = used()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const start = performance.now()
  const repository = await Repository.open(storage.files('c'), options)
  if (!repository) throw new Error('no history')
  const took = performance.now() - start
  const opening = delay.max / 1e6
  print('history.repository.open_ms', 'ms', took, { heap_mb: Math.round((used() - before) / 104857.6) / 10, commits: repository.length })
  delay.reset()
  const page = performance.now()
  for (let position = repository.length - 1; position >= repository.length - 50; position--) await repository.commit(repository.at(position).oid)
  print('history.repository.page_ms', 'ms', performance.now() - page)
  print('history.repository.append_ms', 'ms', median(await append(repository, count, 200)), { fresh: false })
  delay.disable()
  print('history.repository.loop_delay_max_ms', 'ms', Math.max(opening, delay.max / 1e6))
  await repository.close()
  await storage.close()
}

const [mode = '100000', dir = '', commits = ''] = process.argv.slice(2)
if (mode === 'measure') await measure(dir, Number(commits))
else {
  const made = mkdtempSync(join(tmpdir(), 'history-open-'))
  try {
    await build(made, Number(mode))
    execFileSync(process.execPath, ['--expose-gc', '--import', 'tsx', fileURLToPath(import.meta.url), 'measure', made, mode], { stdio: 'inherit' })
    execFileSync('git', ['fsck', '--strict'], { cwd: join(made, 'files', 'c'), stdio: 'inherit' })
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}
