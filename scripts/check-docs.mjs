// Documents are true: every error code is explained, every TypeScript block of READMEs and docs compiles (protocol texts apart) and so does
// every @example of a comment, every link to a file of the project, and to a heading in it, leads somewhere.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const problems = []
const codes = [...readFileSync(join(root, 'packages/core/src/contracts/errors.ts'), 'utf8').matchAll(/\| '(ERR_\w+)'/g)].map((m) => m[1])
const explained = readFileSync(join(root, 'docs/errors.md'), 'utf8')
for (const code of codes) if (!explained.includes(`## ${code}`)) problems.push(`docs/errors.md does not explain ${code}`)
for (const [, code] of explained.matchAll(/^## (ERR_\w+)/gm)) if (!codes.includes(code)) problems.push(`docs/errors.md explains ${code}, which does not exist`)
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const echo = readFileSync(join(root, 'examples/echo-bot.ts'), 'utf8').split('\n').filter((line) => !line.startsWith('//')).join('\n').trim()
if (!readme.includes(echo)) problems.push('README.md does not show examples/echo-bot.ts as it is')
const codeLines = echo.split('\n').filter((line) => line.trim() !== '').length
if (codeLines > 12) problems.push(`examples/echo-bot.ts has ${codeLines} lines of code, 12 allowed`)

// limits of packages that core's own test of the guide cannot see
const limits = readFileSync(join(root, 'docs/guides/limits.md'), 'utf8').split('\n')
for (const [what, file, name] of [
  ['links with', 'ice', 'MAX_LINKS_PER_DEVICE'], ['links with', 'ice', 'MAX_LINKS_PER_ACCOUNT'], ['bytes that wait', 'ice', 'RECEIVE_HIGH_BYTES'], ['bytes that wait', 'ice', 'MIN_READ_BYTES_PER_S'],
  ['one-to-one', 'swarm', 'MAX_WITH_ONE_PEER'], ['conversations of', 'swarm', 'MAX_CONVERSATIONS'], ['a fetch', 'swarm', 'MAX_FETCH_BYTES'], ['a fetch', 'swarm', 'MAX_FETCHED_COMMITS'], ['a fetch', 'swarm', 'MAX_CLONE_BYTES'],
  ['one commit', 'swarm', 'MAX_COMMIT_BYTES'], ['one commit', 'swarm', 'MAX_TREE_ENTRIES'], ['one commit', 'swarm', 'MAX_TREE_DEPTH'], ['a message of a peer', 'swarm', 'MAX_TEXT_LENGTH'],
  ['a message of a peer', 'swarm', 'MAX_FIELD_LENGTH'], ['a message of a peer', 'swarm', 'MAX_FIELDS'], ['values of others', 'dht', 'MAX_STORE_BYTES'],
]) {
  const [, number = '', , shift = 0] = readFileSync(join(root, `packages/${file}/src/defaults.ts`), 'utf8').match(new RegExp(`const ${name} = ([\\d_]+)( (?:<<|\\*) ([\\d_]+))?`)) ?? []
  const value = Number(number.replaceAll('_', '')) * (Number(shift) > 100 ? Number(shift) : 2 ** Number(shift))
  const shown = /BYTES/.test(name) && value >= 1024 ? (value % (1 << 20) === 0 ? `${value >> 20} MiB` : `${value >> 10} KiB`) : value.toLocaleString('en-US')
  const row = limits.find((line) => line.startsWith(`| ${what}`)) ?? ''
  if (!new RegExp(`(?<![\\d,])${shown}(?![\\d,]*\\d)`).test(row)) problems.push(`docs/guides/limits.md does not say of "${what}": ${shown} (${name})`)
}

const dir = join(root, '.tmp', 'snippets')
rmSync(dir, { recursive: true, force: true })
mkdirSync(dir, { recursive: true })
const guides = ['docs', 'docs/guides'].flatMap((dir) => readdirSync(join(root, dir)).filter((f) => f.endsWith('.md')).map((f) => join(dir, f)))
let count = 0
const readmes = readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`)
for (const file of ['README.md', 'CONTRIBUTING.md', ...readmes, ...guides])
  for (const [, code] of readFileSync(join(root, file), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)) {
    count++
    writeFileSync(join(dir, `${file.replace(/\W/g, '_')}_${count}.ts`), `${code}\nexport {}\n`)
  }
// what stands after @example in the comments of public symbols, among things of the names that guides use
const walk = (at) => readdirSync(at, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? (['node_modules', 'dist'].includes(e.name) ? [] : walk(join(at, e.name))) : [join(at, e.name)]))
const PRELUDE = `import { readFile } from 'node:fs/promises'
import { memoryStorage, parseBootstrap, sealedStorage, type TextMessage } from '@jamikit/core'
import { storageSuite } from '@jamikit/core/testing'
import { type Account, type Contact, type Conversation, createJamiNode, fileStorage, isolated, JamiError, type JamiNode, lineLogger, parseConversationId } from 'jamikit'
import { createTestNetwork } from 'jamikit/testing'
export const names = [memoryStorage, readFile, sealedStorage, storageSuite, parseBootstrap, createJamiNode, fileStorage, isolated, JamiError, lineLogger, parseConversationId, createTestNetwork]
export async function example({ node, account, chat, message, contact, error }: { node: JamiNode; account: Account; chat: Conversation; message: TextMessage; contact: Contact; error: unknown }) {
  console.log(node, account, chat, message, contact, error)
  {
`
for (const file of walk(join(root, 'packages')).filter((f) => /\/src\/.*\.ts$/.test(f) && !f.endsWith('.test.ts')))
  for (const [, code] of readFileSync(file, 'utf8').matchAll(/@example ([\s\S]*?)(?=\n\s*\* @|\*\/)/g)) {
    count++
    writeFileSync(join(dir, `example_${count}.ts`), `${PRELUDE}${code.replace(/^\s*\* ?/gm, '')}\n  }\n}\n`)
  }
writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', compilerOptions: { baseUrl: '../..' }, include: ['*.ts'] }))
const { status, stdout } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(dir, 'tsconfig.json'), '--noEmit'], { encoding: 'utf8' })
if (status !== 0) problems.push(`a snippet does not compile:\n${stdout}`)
rmSync(join(root, '.tmp'), { recursive: true, force: true })

const { homepage } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const anchors = (path) => [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, title]) => title.toLowerCase().replace(/[^\w\s-]/g, '').replaceAll(' ', '-'))
const protocol = readdirSync(join(root, 'docs/protocol')).filter((f) => f.endsWith('.md')).map((f) => `docs/protocol/${f}`)
let links = 0
for (const file of ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', ...readmes, ...guides, ...protocol])
  for (const [, link] of readFileSync(join(root, file), 'utf8').replace(/```[\s\S]*?```|`[^`\n]*`/g, '').matchAll(/\]\(([^)\s]+)\)/g)) {
    const own = link.startsWith(`${homepage}/blob/main/`) ? join(root, link.slice(`${homepage}/blob/main/`.length)) : /^\w+:/.test(link) ? undefined : join(root, dirname(file), link)
    if (own === undefined) continue
    links++
    const [path = '', anchor] = own.split('#')
    const target = link.startsWith('#') ? join(root, file) : path
    if (!existsSync(target)) problems.push(`${file}: ${link} leads nowhere`)
    else if (anchor !== undefined && statSync(target).isFile() && !anchors(target).includes(anchor)) problems.push(`${file}: ${link}: there is no such heading`)
  }
// files that are named in passing: by their path, or by its end
const files = ['packages', 'examples', 'interop', 'bench', 'test-kit', 'scripts'].flatMap((name) => walk(join(root, name))).map((file) => file.slice(root.length))
for (const file of ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...guides])
  for (const [, name] of readFileSync(join(root, file), 'utf8').matchAll(/`((?:[\w-]+\/)*[\w.-]+\.(?:ts|mjs))`/g)) {
    const end = `/${name.replace(/^(core|dht|ice|swarm|jamikit)\/(?!src\/)/, '$1/src/')}`
    if (!files.some((path) => `/${path}`.endsWith(end))) problems.push(`${file}: there is no file ${name}`)
  }
for (const problem of problems) console.error(problem)
console.log(`documents: ${codes.length} error codes, ${count} snippets, ${links} links, ${problems.length} problems`)
process.exit(problems.length > 0 ? 1 : 0)
