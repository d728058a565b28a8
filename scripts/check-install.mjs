// The promise of a small install, measured: jamikit from packed tarballs into an empty folder, its size, packages and import time
// beside grammy's. Needs the npm registry (for @noble/hashes and grammy).
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { packAll } from './check-packages.mjs'

const MAX_BYTES = 20 << 20
const MAX_PACKAGES = 80
const MAX_RATIO = 2
const ROUNDS = 9

const dir = mkdtempSync(join(tmpdir(), 'jamikit-install-'))
const walk = (path) => readdirSync(path, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? walk(join(path, e.name)) : e.isFile() ? [join(path, e.name)] : []))
let failed = 0
const check = (what, ok) => {
  if (!ok) failed++
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${what}`)
}
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]
const start = (cwd, code) => {
  const t = performance.now()
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', code], { cwd })
  if (run.status !== 0) throw new Error(run.stderr.toString())
  return performance.now() - t
}
try {
  const tarballs = packAll(join(dir, 'tarballs'))
  const install = (name, what) => {
    const at = join(dir, name)
    mkdirSync(at)
    writeFileSync(join(at, 'package.json'), JSON.stringify({ name, private: true, type: 'module' }))
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...what], { cwd: at, stdio: ['ignore', 'ignore', 'inherit'] })
    return at
  }
  const ours = install('ours', tarballs.map((t) => t.file))
  const theirs = install('theirs', ['grammy'])
  const files = walk(join(ours, 'node_modules'))
  const bytes = files.reduce((sum, f) => sum + statSync(f).size, 0)
  const manifests = files.filter((f) => /node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(f)).map((f) => JSON.parse(readFileSync(f, 'utf8')))
  check(`size: ${(bytes / 2 ** 20).toFixed(2)} MB, at most 20`, bytes <= MAX_BYTES)
  check(`packages: ${manifests.length}, at most ${MAX_PACKAGES}`, manifests.length <= MAX_PACKAGES)
  check('no native file', !files.some((f) => f.endsWith('.node')))
  check('no install script', !manifests.some((m) => ['preinstall', 'install', 'postinstall'].some((s) => m.scripts?.[s])))
  const entries = tarballs.flatMap(({ name }) => {
    const manifest = JSON.parse(readFileSync(join(ours, 'node_modules', name === 'jamikit' ? name : `@jamikit/${name}`, 'package.json'), 'utf8'))
    return Object.keys(manifest.exports).filter((e) => e !== './package.json').map((e) => manifest.name + e.slice(1))
  })
  start(ours, entries.map((e) => `await import(${JSON.stringify(e)})`).join('\n'))
  check(`every export imports: ${entries.length}`, true)
  const times = { node: [], ours: [], theirs: [] }
  for (let i = 0; i < ROUNDS; i++) {
    times.node.push(start(dir, ''))
    times.ours.push(start(ours, "await import('jamikit')"))
    times.theirs.push(start(theirs, "await import('grammy')"))
  }
  const base = median(times.node)
  const [a, b] = [median(times.ours) - base, median(times.theirs) - base]
  check(`import: ${a.toFixed(0)} ms, grammy ${b.toFixed(0)} ms, ratio ${(a / b).toFixed(2)}, at most ${MAX_RATIO} (median of ${ROUNDS}, Node's start of ${base.toFixed(0)} ms subtracted)`, a / b <= MAX_RATIO)
} finally {
  rmSync(dir, { recursive: true, force: true })
}
process.exit(failed > 0 ? 1 : 0)
