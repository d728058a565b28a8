// Where the scripted real peers live. One place, so that nothing else has a path of its own.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const own = fileURLToPath(new URL('../peers', import.meta.url))

/** Folder with `net.sh`, `jami-core/` and `opendht/`; JAMI_PEERS_SOURCE replaces it. */
export const peersDir = process.env.JAMI_PEERS_SOURCE ?? own

/** What the peers' setup scripts install into. */
export const installDir = process.env.JAMI_PEERS_DIR ?? '/var/tmp/jami-peers'

/** Folder of the checkout. */
export const rootDir = fileURLToPath(new URL('../..', import.meta.url))

export function requirePeers(): void {
  if (!existsSync(`${peersDir}/net.sh`)) throw new Error(`no scripted peers under ${peersDir}`)
}
