// `npm run sim [-- [--ci] [hostile]]`: long simulations, crash points and long fuzz, in virtual time, with --ci at most 6 minutes; then, one by
// one, attacks on a node in real time. With --ci these run only when they are asked for (`hostile`, then alone): they measure, which wants a machine of their own.
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
mkdirSync(`${root}reports`, { recursive: true })
const ci = process.argv.includes('--ci')
/** @returns the exit status */
function run(report, ...more) {
  const { status } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.sim.config.ts', '--reporter=default', '--reporter=json', `--outputFile.json=reports/${report}.json`, ...more], {
    cwd: root, stdio: 'inherit', env: { ...process.env, ...(process.stdout.isTTY ? {} : { NO_COLOR: '1', FORCE_COLOR: undefined }), JAMIKIT_SIM: ci ? 'ci' : 'full' },
  })
  return status ?? 1
}

const hostile = process.argv.includes('hostile')
const virtual = hostile ? 0 : run('sim', '--exclude', '**/hostile-*.sim.ts')
const real = ci && !hostile ? 0 : run('sim-hostile', '--no-file-parallelism', 'hostile-')
process.exit(virtual || real)
