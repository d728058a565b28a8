// The isolated network of one run: a switch and N hosts as network namespaces (interop/peers/net.sh), with a prefix of
// its own, so that runs never meet. Namespaces of runs that died are taken away when the next one starts.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { peersDir } from './peers-dir.ts'

const V4 = '10.77.0'
const V6 = 'fd77:77:77:1'

export function run(argv: readonly [string, ...string[]], env: Record<string, string> = {}): string {
  const [command, ...args] = argv
  const result = spawnSync(command, args, { encoding: 'utf8', env: { ...process.env, ...env }, maxBuffer: 1 << 28 })
  if (result.status !== 0) throw new Error(`${argv.join(' ')}: ${result.error?.message ?? result.stderr}`)
  return result.stdout
}

/** `kind` + process id + a letter: host numbers follow, so it must not end in a digit. */
const prefixOf = (kind: string, pid: number) => `${kind}${pid}n`

/** Takes away the namespaces of earlier runs of this kind whose process is gone. */
function sweep(kind: string): void {
  const pattern = new RegExp(`^${kind}(\\d+)n(?:\\d+|-sw)$`)
  for (const line of run(['ip', 'netns', 'list']).split('\n')) {
    const name = line.split(' ')[0] ?? ''
    const pid = pattern.exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) spawnSync('ip', ['netns', 'del', name])
  }
}

export class Namespaces {
  readonly prefix: string
  readonly #env: Record<string, string>
  #capture: ChildProcess | undefined

  constructor(kind: 'ji' | 'jb' = 'ji') {
    if (process.getuid?.() !== 0) throw new Error('needs root (network namespaces)')
    sweep(kind)
    this.prefix = prefixOf(kind, process.pid)
    this.#env = { JAMI_NET_PREFIX: this.prefix, JAMI_NET_V4: V4, JAMI_NET_V6: V6 }
  }

  up(hosts: number): void {
    run([`${peersDir}/net.sh`, 'up', String(hosts)], this.#env)
  }

  down(): void {
    this.endCapture()
    run([`${peersDir}/net.sh`, 'down'], this.#env)
  }

  /** Host i, from 1. */
  name(host: number): string {
    return `${this.prefix}${host}`
  }

  v4(host: number): string {
    return `${V4}.${10 + host}`
  }

  v6(host: number): string {
    return `${V6}::${(10 + host).toString(16)}`
  }

  /** Command line of a program in a host; the process that starts becomes the program, and ends with this one. */
  inside(host: number, ...argv: string[]): [string, ...string[]] {
    return ['ip', 'netns', 'exec', this.name(host), 'setpriv', '--pdeathsig', 'KILL', ...argv]
  }

  /** Ports on which something in a host accepts TCP connections. */
  listeningPorts(host: number): number[] {
    const lines = run(['ip', 'netns', 'exec', this.name(host), 'cat', '/proc/net/tcp', '/proc/net/tcp6']).split('\n')
    const ports = new Set<number>()
    for (const line of lines) {
      const fields = line.trim().split(/\s+/)
      if (fields[3] === '0A') ports.add(Number.parseInt(fields[1]?.split(':')[1] ?? '', 16))
    }
    return [...ports]
  }

  endCapture(): void {
    this.#capture?.kill('SIGTERM')
    this.#capture = undefined
  }

  /** Records everything that crosses the switch, until `endCapture`. */
  capture(file: string): Promise<void> {
    const child = spawn('ip', ['netns', 'exec', `${this.prefix}-sw`, 'setpriv', '--pdeathsig', 'TERM', 'tcpdump', '-i', 'br0', '-s', '0', '-U', '-Z', 'root', '-w', file], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#capture = child
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.stderr.on('data', (chunk: Buffer) => chunk.includes('listening on') && resolve())
    })
  }
}
