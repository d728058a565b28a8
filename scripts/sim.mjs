// `npm run sim [-- --ci]`: long simulations, crash points and long fuzz, in virtual time. With --ci at most 5 minutes.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
mkdirSync(`${root}reports`, { recursive: true })
const ci = process.argv.includes('--ci')
const { status } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.sim.config.ts', '--reporter=default', '--reporter=json', '--outputFile.json=reports/sim.json'], {
  cwd: root, stdio: 'inherit', env: { ...process.env, ...(process.stdout.isTTY ? {} : { NO_COLOR: '1', FORCE_COLOR: undefined }), JAMIKIT_SIM: ci ? 'ci' : 'full' },
})
process.exit(status ?? 1)
