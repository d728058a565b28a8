// DHT entry points as programs write them. docs/protocol/01 §6.4. Pure. Proof: identity/bootstrap.test.ts.
import { argumentError } from '../base/errors.ts'

/** A DHT entry point, taken apart. */
export interface BootstrapEntry {
  /** A name or a numeric address, IPv6 without brackets. */
  readonly host: string
  /** 1 to 65,535. */
  readonly port: number
  /** One text per entry point. */
  readonly text: string
}

const DEFAULT_PORT = 4222
const MAX_ENTRIES = 256
const MAX_HOST_LENGTH = 253
const ALLOWED = 'host, host:port or [v6]:port with a port of 1 to 65535'

/**
 * `host`, `host:port`, `[v6]` or `[v6]:port`; the port is 4222 when left out. Blanks around an entry are cut, entries that repeat are
 * taken once. @throws ERR_ARGUMENT naming the first entry that is none
 * @example const [entry] = parseBootstrap(['[2001:db8::1]:4222']) // { host: '2001:db8::1', port: 4222, text: '[2001:db8::1]:4222' }
 */
export function parseBootstrap(list: readonly string[], field = 'bootstrap'): BootstrapEntry[] {
  if (!Array.isArray(list)) throw argumentError(field, list === null ? 'null' : typeof list, `a list of ${ALLOWED}, maybe empty`)
  if (list.length > MAX_ENTRIES) throw argumentError(field, `${list.length} entries`, `at most ${MAX_ENTRIES}`)
  const entries = new Map<string, BootstrapEntry>() // bounded by MAX_ENTRIES
  for (const [i, entry] of list.entries()) {
    const parsed = parseEntry(entry)
    if (!parsed) throw argumentError(`${field}[${i}]`, typeof entry === 'string' ? JSON.stringify(entry.slice(0, 100)) : entry === null ? 'null' : typeof entry, ALLOWED)
    entries.set(parsed.text, parsed)
  }
  return [...entries.values()]
}

function parseEntry(entry: unknown): BootstrapEntry | undefined {
  if (typeof entry !== 'string' || entry.length > MAX_HOST_LENGTH + 10) return undefined
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/?#@[\]\\%]+))(?::(\d{1,5}))?$/.exec(entry.trim())
  const port = match?.[3] === undefined ? DEFAULT_PORT : Number(match[3])
  const host = match?.[1] ?? match?.[2]
  if (!match || host === undefined || port < 1 || port > 65_535 || host.length > MAX_HOST_LENGTH) return undefined
  const written = match[1] === undefined ? host : `[${host}]`
  return isHost(written) ? { host, port, text: `${written}:${port}` } : undefined
}

/** What the URL standard takes as host: names, IPv4 with four numbers below 256, IPv6 in brackets. */
function isHost(written: string): boolean {
  try {
    return new URL(`http://${written}/`).hostname !== ''
  } catch {
    return false
  }
}
