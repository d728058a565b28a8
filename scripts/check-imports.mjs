// The walls of the house, checked: import arrows (type imports included), no rings, no ambient time or randomness, a first comment
// in every file, whose named tests exist, nothing that points outside the project. docs/architecture.md has the arrows in words.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const problems = []
const walk = (dir) => readdirSync(dir).flatMap((name) => {
  const path = join(dir, name)
  if (name === 'node_modules' || name === 'dist') return []
  return statSync(path).isDirectory() ? walk(path) : [path]
})
const sources = ['core', 'dht', 'ice', 'swarm', 'media', 'jamikit'].flatMap((name) => walk(join(root, 'packages', name, 'src'))).filter((f) => f.endsWith('.ts'))

/** Rooms of core: what each may import of core. */
const ROOMS = {
  contracts: ['contracts'],
  base: ['base', 'contracts'],
  codec: ['codec', 'base', 'contracts'],
  crypto: ['crypto', 'codec', 'base', 'contracts'],
  identity: ['identity', 'crypto', 'codec', 'base', 'contracts'],
  storage: ['storage', 'io', 'crypto', 'codec', 'base', 'contracts'],
  io: ['io', 'codec', 'base', 'contracts'],
  account: ['account', 'identity', 'crypto', 'codec', 'base', 'contracts'],
  node: ['node', 'account', 'identity', 'crypto', 'codec', 'base', 'contracts', 'storage', 'io'],
  testing: ['testing', 'identity', 'crypto', 'codec', 'base', 'contracts', 'storage'],
  index: ['node', 'account', 'identity', 'crypto', 'codec', 'base', 'contracts', 'storage', 'io'],
}
const SUBPATHS = new Set(['contracts', 'base', 'codec', 'crypto', 'identity'])
const isTest = (file) => /\.test\.ts$/.test(file)
const packageOf = (file) => relative(join(root, 'packages'), file).split('/')[0]
const roomOf = (file) => {
  const parts = relative(join(root, 'packages', 'core', 'src'), file).split('/')
  return parts.length === 1 ? 'index' : parts[0]
}
const graph = new Map()
for (const file of sources) {
  const text = readFileSync(file, 'utf8')
  const lines = text.split('\n')
  const at = (i) => `${relative(root, file)}:${i + 1}`
  const own = packageOf(file)
  if (!isTest(file) && !/^(\/\/|\/\*)/.test(text)) problems.push(`${at(0)} does not begin with a comment that says why the file exists`)
  const edges = []
  for (const match of text.matchAll(/(?:^|\n)\s*(?:import|export)\b[^'"\n]*(?:\{[^}]*\}[^'"\n]*)?from\s+'([^']+)'|(?:^|[^\w.])import\('([^']+)'\)/g)) {
    const target = match[1] ?? match[2]
    const line = text.slice(0, match.index + match[0].length).split('\n').length - 1
    if (target.startsWith('.')) {
      const path = resolve(dirname(file), target)
      if (packageOf(path) !== own) problems.push(`${at(line)} climbs into another package: ${target}`)
      if (!target.endsWith('.ts')) problems.push(`${at(line)} relative imports end in .ts: ${target}`)
      if (/\/src\/index\.ts$/.test(path) && !isTest(file)) problems.push(`${at(line)} imports its own package's index.ts`)
      if (own === 'core' && !isTest(file) && !ROOMS[roomOf(file)]?.includes(roomOf(path))) problems.push(`${at(line)} core/${roomOf(file)} may not import core/${roomOf(path)}`)
      edges.push(path)
    } else if (target.startsWith('@jamikit/') || target === 'jamikit') {
      const [, name, sub] = target.split('/')
      if (own === 'core') problems.push(`${at(line)} core imports no other package: ${target}`)
      else if (own === 'jamikit') { if (sub && !['testing', 'contracts', 'identity', 'base'].includes(sub)) problems.push(`${at(line)} jamikit imports packages by their roots: ${target}`) }
      else if (name !== 'core') problems.push(`${at(line)} ${own} depends on core only: ${target}`)
      else if (!SUBPATHS.has(sub) && !(sub === 'testing' && isTest(file))) problems.push(`${at(line)} not a subpath for packages: ${target}`)
    }
  }
  graph.set(file, edges)
  const ambient = own === 'core' && roomOf(file) === 'io'
  if (!ambient && !isTest(file) && !file.includes('/testing/'))
    for (const [i, line] of lines.entries())
      if (/\bDate\.now\(|\bsetTimeout\(|\bsetInterval\(|\bMath\.random\(|\brandomBytes\(/.test(line.replace(/\/\/.*$/, ''))) problems.push(`${at(i)} ambient time or randomness: use the Clock and Random contracts`)
  if (!isTest(file) && !file.includes('/testing/'))
    for (const [i, line] of lines.entries()) if (line.replace(/\/\/.*$/, '').includes('AbortSignal.any(')) problems.push(`${at(i)} AbortSignal.any() leaks at long-lived signals on Node 20: use LinkedSignal`)
}
// the tests that a file names in its first lines exist: beside it, in src, or in the package's test folder
const tests = ['core', 'dht', 'ice', 'swarm', 'media', 'jamikit'].flatMap((name) => walk(join(root, 'packages', name))).filter((f) => /\.(test|sim)\.ts$/.test(f))
for (const file of sources.filter((f) => !isTest(f)))
  for (const [i, line] of readFileSync(file, 'utf8').split('\n').slice(0, 6).entries())
    for (const [name] of line.startsWith('//') ? line.matchAll(/[\w./*-]+\.(?:test|sim)\.ts/g) : []) {
      const pattern = new RegExp(`/${name.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`)
      if (!tests.some((test) => packageOf(test) === packageOf(file) && pattern.test(test))) problems.push(`${relative(root, file)}:${i + 1} names a test that does not exist: ${name}`)
    }
// rings
const state = new Map()
const visit = (file, path) => {
  if (state.get(file) === 'done' || !graph.has(file)) return
  if (state.get(file) === 'open') return problems.push(`ring: ${[...path.slice(path.indexOf(file)), file].map((f) => relative(root, f)).join(' → ')}`)
  state.set(file, 'open')
  for (const next of graph.get(file)) visit(next, [...path, file])
  state.set(file, 'done')
}
for (const file of graph.keys()) visit(file, [])
// nothing points outside
const OUTSIDE = new RegExp(['\\.\\./' + 'shared', '/' + 'work/'].join('|'))
for (const dir of ['packages', 'examples', 'interop', 'bench', 'docs', 'scripts', '.ci'])
  for (const file of walk(join(root, dir)).filter((f) => /\.(ts|mjs|md|json|sh|run)$|\.ci\/run$/.test(f) && statSync(f).size < 2_000_000))
    for (const [i, line] of readFileSync(file, 'utf8').split('\n').entries()) if (OUTSIDE.test(line)) problems.push(`${relative(root, file)}:${i + 1} refers to a place outside the project`)
for (const problem of problems) console.error(problem)
console.log(`imports: ${sources.length} files, ${problems.length} problems`)
process.exit(problems.length > 0 ? 1 : 0)
