// What a scenario has at hand: hosts, peers, and steps. A step is one assertion of the report: a title (which may carry
// checklist tags, at most three), a deadline, and a line on stdout.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Daemon } from './daemon.ts'
import { type Event, LineChild } from './line-child.ts'
import type { Namespaces } from './namespaces.ts'
import { OpenDht } from './opendht.ts'
import { rootDir } from './peers-dir.ts'
import { Sdk, type SdkStart, tsProgram } from './sdk.ts'

export interface Scenario {
  readonly name: string
  readonly about: string
  /** Host namespaces that it needs. */
  readonly hosts: number
  /** The whole scenario must be over by then, at CI sizes and at full ones. */
  readonly budgetMs: { readonly ci: number; readonly full: number }
  readonly needs: readonly ('daemon' | 'opendht')[]
  /** Why it is not among those that run when none is named and sizes are those of CI. */
  readonly notInCi?: string
  run(stage: Stage): Promise<void>
}

interface StepResult {
  readonly title: string
  readonly ok: boolean
  readonly ms: number
  readonly error?: string
}

export interface StageOptions {
  readonly scenario: Scenario
  readonly net: Namespaces
  readonly dir: string
  readonly full: boolean
  readonly verbose: boolean
  readonly print: (line: object) => void
}

const DEFAULT_STEP_MS = 60_000

export class Stage {
  readonly net: Namespaces
  readonly dir: string
  readonly full: boolean
  readonly steps: StepResult[] = []
  readonly #options: StageOptions
  readonly #peers: { stop(): Promise<void> }[] = []
  readonly #deadline: number
  readonly #traced: string[] = []

  constructor(options: StageOptions) {
    this.#options = options
    this.net = options.net
    this.dir = options.dir
    this.full = options.full
    this.#deadline = performance.now() + (options.full ? options.scenario.budgetMs.full : options.scenario.budgetMs.ci)
  }

  /** Runs one assertion. Its result is passed on; a failure ends the scenario. */
  async step<T>(title: string, body: () => Promise<T>, options: { timeoutMs?: number } = {}): Promise<T> {
    const start = performance.now()
    const allowed = Math.min(options.timeoutMs ?? DEFAULT_STEP_MS, this.#deadline - start)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done in ${Math.round(allowed)} ms`)), Math.max(0, allowed))
    })
    try {
      const result = await Promise.race([body(), late])
      this.#done({ title, ok: true, ms: Math.round(performance.now() - start) })
      return result
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.#done({ title, ok: false, ms: Math.round(performance.now() - start), error: text })
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  #done(result: StepResult): void {
    this.steps.push(result)
    this.#options.print({ scenario: this.#options.scenario.name, step: result.title, ok: result.ok, ms: result.ms, ...(result.error === undefined ? {} : { error: result.error }) })
  }

  /** For figures that belong into the log of a run, without being an assertion. */
  note(fields: object): void {
    this.#options.print({ scenario: this.#options.scenario.name, note: fields })
  }

  #trace = (label: string, event: Event): void => {
    this.#traced.push(JSON.stringify({ t: Math.round(event.atMs), peer: label, ...event.line }).slice(0, 2000))
    if (this.#traced.length > 5000) this.#traced.splice(0, 1000)
  }

  folder(label: string): string {
    const path = join(this.dir, label)
    mkdirSync(path, { recursive: true })
    return path
  }

  async daemon(label: string, host: number): Promise<Daemon> {
    const verbose = this.#options.verbose ? { JAMI_LOG_DHTNET: '1', JAMI_LOG_DHT: '1', JAMI_PEER_KEYLOG: '1', JAMI_PEER_FLAGS: '193' } : {}
    const daemon = await Daemon.start({
      label, netns: this.net.name(host), dir: this.folder(label), trace: this.#trace,
      env: { JAMI_PEER_HOSTS: `${this.net.v4(1)} bootstrap.sfl.io bootstrap.jami.net`, ...verbose },
    })
    this.#peers.push(daemon)
    return daemon
  }

  async opendht(label: string, host: number, start: Record<string, unknown>): Promise<OpenDht> {
    const peer = new OpenDht({ label, argv: this.net.inside(host, ...OpenDht.driver), dir: this.dir, trace: this.#trace })
    this.#peers.push(peer)
    await peer.start(start)
    return peer
  }

  /** The DHT that daemons and nodes meet in: OpenDHT 2.4.12 in host 1. */
  async bootstrapNode(): Promise<string> {
    const node = await this.opendht('bootstrap', 1, { port: 4222, isBootstrap: true })
    return `${this.net.v4(1)}:${node.port}`
  }

  /** The process of an SDK node in a host, nothing started in it: for the calls `dht.*`, which need no account. */
  async bareSdk(label: string, host: number): Promise<Sdk> {
    const sdk = this.#spawnSdk(label, host)
    await sdk.spawned()
    return sdk
  }

  /** An SDK node as a child process in a host. The same label again is the same profile again. */
  async sdk(label: string, host: number, start: SdkStart): Promise<Sdk> {
    const sdk = this.#spawnSdk(label, host)
    await sdk.start({ storage: join(sdk.dir, 'profile'), ...start })
    return sdk
  }

  #spawnSdk(label: string, host: number): Sdk {
    const dir = this.folder(label)
    const flags = this.#options.verbose ? [`--tls-keylog=${join(dir, 'tls-keys.log')}`] : []
    const sdk = new Sdk({
      label, dir, argv: this.net.inside(host, ...tsProgram(join(rootDir, 'interop', 'sdk-peer.ts'), flags)), trace: this.#trace,
      env: { JAMIKIT_LOG: this.#options.verbose ? 'trace' : 'debug' },
    })
    this.#peers.push(sdk)
    return sdk
  }

  /** Any TypeScript program of the checkout, such as an example, in a host. */
  program(label: string, host: number, file: string, env: Record<string, string>, args: readonly string[] = []): LineChild {
    const dir = this.folder(label)
    const child = new LineChild({
      label, argv: this.net.inside(host, ...tsProgram(join(rootDir, file)), ...args), cwd: dir, stderrFile: join(dir, 'stderr.log'), trace: this.#trace,
      env: { TSX_TSCONFIG_PATH: join(rootDir, 'tsconfig.json'), ...env },
    })
    this.#peers.push({
      stop: async () => {
        child.signal('SIGTERM')
        await child.ended(10_000)
      },
    })
    return child
  }

  /** Stops every peer, all at once. */
  async end(): Promise<void> {
    await Promise.allSettled(this.#peers.map((peer) => peer.stop()))
    writeFileSync(join(this.dir, 'events.jsonl'), `${this.#traced.join('\n')}\n`)
  }
}

/** Asks until it is so: for conditions of another process that has no event to wait for, such as its files. */
export async function eventually<T>(what: string, ask: () => T | undefined | false | Promise<T | undefined | false>, timeoutMs = 30_000, everyMs = 50): Promise<T> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}

export function must(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message)
}

/** The rejection of `promise`; throws when it resolves. */
export async function rejection(promise: Promise<unknown>): Promise<{ code: string | undefined; message: string }> {
  try {
    await promise
  } catch (error) {
    const code = typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : undefined
    return { code, message: error instanceof Error ? error.message : String(error) }
  }
  throw new Error('resolved, but had to be refused')
}
