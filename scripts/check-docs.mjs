// Documents are true: every error code is explained, and every TypeScript block of README and docs compiles (protocol texts apart).
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
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

const dir = join(root, '.tmp', 'snippets')
rmSync(dir, { recursive: true, force: true })
mkdirSync(dir, { recursive: true })
const guides = ['docs', 'docs/guides'].flatMap((dir) => readdirSync(join(root, dir)).filter((f) => f.endsWith('.md')).map((f) => join(dir, f)))
let count = 0
for (const file of ['README.md', 'CONTRIBUTING.md', ...guides])
  for (const [, code] of readFileSync(join(root, file), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)) {
    count++
    writeFileSync(join(dir, `${file.replace(/\W/g, '_')}_${count}.ts`), `${code}\nexport {}\n`)
  }
writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', compilerOptions: { baseUrl: '../..' }, include: ['*.ts'] }))
const { status, stdout } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(dir, 'tsconfig.json'), '--noEmit'], { encoding: 'utf8' })
if (status !== 0) problems.push(`a snippet does not compile:\n${stdout}`)
rmSync(join(root, '.tmp'), { recursive: true, force: true })
for (const problem of problems) console.error(problem)
console.log(`documents: ${codes.length} error codes, ${count} snippets, ${problems.length} problems`)
process.exit(problems.length > 0 ? 1 : 0)
