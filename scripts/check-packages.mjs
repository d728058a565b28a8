// What would be published, checked offline: every package packed, publint strict, types resolved as ESM, nothing native, no scripts; what a
// reader of npm needs is there (README, LICENSE, where the source and the bugs are), and nothing leads into a repository that is not shipped.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
export const PACKAGES = ['core', 'dht', 'ice', 'swarm', 'media', 'jamikit']

/** Packs all packages into a folder; gives the tarballs. */
export function packAll(into) {
  mkdirSync(into, { recursive: true })
  return PACKAGES.map((name) => {
    const out = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', into], { cwd: join(root, 'packages', name), encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    const [info] = JSON.parse(out)
    return { name, file: join(into, info.filename.replace('@', '').replace('/', '-')), files: info.files.map((f) => f.path), bytes: info.unpackedSize }
  })
}

/** What a reader of npm would miss in a tarball. */
function* missingOf(name, manifest, files, packed) {
  const { homepage } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const fields = { homepage, license: 'MIT', type: 'module', bugs: { url: `${homepage}/issues` }, repository: { type: 'git', url: `git+${homepage}.git`, directory: `packages/${name}` }, files: ['dist'] }
  for (const [field, value] of Object.entries(fields)) if (JSON.stringify(manifest[field]) !== JSON.stringify(value)) yield `package.json: ${field}: got ${JSON.stringify(manifest[field])}, expected ${JSON.stringify(value)}`
  if (!manifest.description) yield 'package.json: no description'
  const others = files.filter((path) => !/^(dist\/[\w.-]+\.(js|d\.ts)|README\.md|LICENSE|package\.json)$/.test(path))
  if (others.length > 0) yield `not to be shipped: ${others.join(', ')}`
  if (!files.includes('LICENSE') || packed('LICENSE') !== readFileSync(join(root, 'LICENSE'), 'utf8')) yield 'LICENSE: none, or another one than that of the repository'
  const readme = files.includes('README.md') ? packed('README.md') : ''
  if (!readme.startsWith(`# ${manifest.name}\n`)) yield `README.md: none, or it does not begin with the name`
  for (const [what, part] of [['how to install it', 'npm install '], ['code', '```ts\n'], ['ESM only', 'ESM only'], ['the documentation', `](${homepage}/blob/main/docs/`]]) if (!readme.includes(part)) yield `README.md: says nothing of ${what}`
  for (const [, link] of readme.matchAll(/\]\(([^)]*)\)/g)) if (!link.startsWith('https://')) yield `README.md: ${link} leads into the repository`
  for (const [, path] of readme.matchAll(/\]\(https[^)]*\/blob\/main\/([^)#]*)/g)) if (!existsSync(join(root, path))) yield `README.md: ${path} does not exist`
  for (const path of files.filter((f) => /\.d\.ts$/.test(f)))
    for (const [found] of packed(path).matchAll(/(?<!blob\/main\/)\bdocs\/[\w/-]+\.md|\.\.\/\.\.\/|\bpackages\/\w+\/src/g)) yield `${path}: ${found} leads into the repository`
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
      const packed = (path) => execFileSync('tar', ['-xzOf', file, `package/${path}`], { encoding: 'utf8', maxBuffer: 64 << 20 })
      const manifest = JSON.parse(packed('package.json'))
      check(`${name}: nothing native, no install script`, !files.some((f) => f.endsWith('.node')) && !['preinstall', 'install', 'postinstall', 'prepare'].some((s) => s in (manifest.scripts ?? {})))
      const missing = [...missingOf(name, manifest, files, packed)]
      check(`${name}: README, LICENSE, links and fields for readers of npm`, missing.length === 0, missing.join('\n'))
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
