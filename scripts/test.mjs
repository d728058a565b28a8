// `npm test`: everything that needs no network, no root and no real peer. Ends with one line that sums all runs.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
let passed = 0
let failed = 0
// plain text where nobody looks at colours
const env = process.stdout.isTTY ? process.env : { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined }
const run = (what, command, args) => {
  const started = Date.now()
  console.log(`...  ${what}`)
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env })
  console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${what} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
  return status === 0
}
const count = (ok) => (ok ? passed++ : failed++)
mkdirSync(`${root}reports`, { recursive: true })
count(run('types', process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json', '--noEmit']))
count(run('lint', process.execPath, ['node_modules/@biomejs/biome/bin/biome', 'lint', '--error-on-warnings', '.']))
count(run('imports', process.execPath, ['scripts/check-imports.mjs']))
count(run('documents', process.execPath, ['scripts/check-docs.mjs']))
const report = process.env.JAMIKIT_UNIT_REPORT ?? 'reports/unit.json'
const unit = run('unit, contract and short simulated tests (minutes: keys are made, half of them of 4096 bits, and whole nodes run)', process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--reporter=dot', '--reporter=json', `--outputFile.json=${report}`])
const result = JSON.parse(readFileSync(`${root}${report}`, 'utf8'))
passed += result.numPassedTests
failed += result.numFailedTests + (unit || result.numFailedTests > 0 ? 0 : 1)
count(run('packages', process.execPath, ['scripts/check-packages.mjs']))
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed > 0 ? 1 : 0)
