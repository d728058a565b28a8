// Builds the packages: core first, then those that need only core side by side, then jamikit. Run by `npm ci` (prepare).
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const build = (name) => new Promise((resolve, reject) => {
  const child = spawn(process.execPath, [`${root}node_modules/tsup/dist/cli-default.js`, '--config', '../../tsup.config.ts', '--silent'], { cwd: `${root}packages/${name}`, stdio: 'inherit' })
  child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`build of ${name} failed`))))
})
for (const step of [['core'], ['dht', 'ice', 'swarm', 'media'], ['jamikit']]) await Promise.all(step.map(build))
