// What would be published, checked offline: every package packed, publint strict, types resolved as ESM, nothing native, no scripts.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
export const PACKAGES = ['core', 'dht', 'ice', 'swarm', 'jamikit']

/** Packs all packages into a folder; gives the tarballs. */
export function packAll(into) {
  mkdirSync(into, { recursive: true })
  return PACKAGES.map((name) => {
    const out = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', into], { cwd: join(root, 'packages', name), encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    const [info] = JSON.parse(out)
    return { name, file: join(into, info.filename.replace('@', '').replace('/', '-')), files: info.files.map((f) => f.path), bytes: info.unpackedSize }
  })
}

function main() {
  const dir = mkdtempSync(join(tmpdir(), 'jamikit-pack-'))
  let failed = 0
  const check = (what, ok, detail = '') => {
    if (!ok) failed++
    console.log(`${ok ? 'ok  ' : 'FAIL'} ${what}${ok ? '' : `\n${detail}`}`)
  }
  try {
    for (const { name, file, files } of packAll(dir)) {
      const manifest = JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'))
      check(`${name}: nothing native, no install script`, !files.some((f) => f.endsWith('.node')) && !['preinstall', 'install', 'postinstall', 'prepare'].some((s) => s in (manifest.scripts ?? {})))
      const lint = spawnSync('npx', ['--no-install', 'publint', file, '--strict'], { cwd: root, encoding: 'utf8' })
      check(`${name}: publint --strict`, lint.status === 0, lint.stdout + lint.stderr)
      const types = spawnSync('npx', ['--no-install', 'attw', file, '--profile', 'esm-only', '--format', 'ascii'], { cwd: root, encoding: 'utf8' })
      check(`${name}: attw --profile esm-only`, types.status === 0, types.stdout + types.stderr)
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
  console.log(`packages: ${failed} failed`)
  process.exit(failed > 0 ? 1 : 0)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main()
