// `npm run conformance`: the ledger over every report that the last runs left in reports/.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const reports = existsSync(`${root}reports`) ? readdirSync(`${root}reports`).filter((f) => f.endsWith('.json')).map((f) => `${root}reports/${f}`) : []
if (reports.length === 0) {
  console.error('no reports: run `npm test` (and `npm run interop`) first')
  process.exit(1)
}
process.exit(spawnSync(process.execPath, [fileURLToPath(new URL('ledger.mjs', import.meta.url)), ...process.argv.slice(2), ...reports], { stdio: 'inherit' }).status ?? 1)
