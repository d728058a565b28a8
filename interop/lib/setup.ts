// Installs the real peers that a run needs and that are not there yet, with their own setup scripts.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { installDir, peersDir } from './peers-dir.ts'

const helperDir = process.env.PEERS_BIN ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'jami-peers', 'bin')

const PEERS = {
  daemon: { have: () => existsSync(join(installDir, 'trixie', 'opt', 'jami-core', 'package.json')), setup: 'jami-core/setup.sh' },
  opendht: { have: () => existsSync(join(helperDir, 'dht-peer')), setup: 'opendht/setup.sh' },
} as const

/** Debian packages that the scenarios themselves call. */
const TOOLS = { ip: 'iproute2', setpriv: 'util-linux', git: 'git', openssl: 'openssl' } as const

export function installPeers(needed: ReadonlySet<'daemon' | 'opendht'>): void {
  const missing = Object.entries(TOOLS).filter(([tool]) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0).map(([, name]) => name)
  if (missing.length > 0) {
    run('apt-get', ['update', '-q'])
    run('apt-get', ['install', '-y', '--no-install-recommends', ...missing])
  }
  for (const name of needed) if (!PEERS[name].have()) run(join(peersDir, PEERS[name].setup), [])
}

function run(command: string, args: string[]): void {
  process.stderr.write(`installing: ${command} ${args.join(' ')}\n`)
  const result = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  if (result.status !== 0) throw new Error(`${command} failed`)
}
