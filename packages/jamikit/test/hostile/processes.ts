// Processes of peer-process.ts from the outside: started, asked, ended; only those that were started here.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface Up {
  hub: string
  uri: string
  /** Port of its DHT node. */
  udp: number
  openMs: number
  readyMs: number
}

export class PeerProcess {
  readonly #child: ChildProcess
  readonly #asked = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  readonly #up: Promise<Up>
  #next = 1
  #output = ''
  /** How it ended, when it has. */
  ended: string | undefined
  readonly exited: Promise<void>
  onEvent: (line: { event: string; [field: string]: unknown }) => void = () => {}

  constructor(role: 'victim' | 'friend', options: { profile: string; hub?: string; firstKey: number; heapMb?: number }) {
    const flags = ['--expose-gc', ...(options.heapMb ? [`--max-old-space-size=${options.heapMb}`] : []), ...(process.env.JAMIKIT_HOSTILE_FLAGS?.split(' ') ?? []).filter(() => role === 'victim')]
    const script = fileURLToPath(new URL('./peer-process.ts', import.meta.url))
    this.#child = spawn(process.execPath, [...flags, '--import', 'tsx', script, role, options.profile, options.hub ?? '', String(options.firstKey), process.env.JAMIKIT_HOSTILE_LOG || 'silent'], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stderr?.on('data', (bytes: Buffer) => {
      if (process.env.JAMIKIT_HOSTILE_LOG) process.stderr.write(String(bytes).replace(/^/gm, `${role} `))
      this.#output = (this.#output + bytes).slice(-4000)
    })
    this.#child.stdin?.on('error', () => {})
    let up: (value: Up) => void = () => {}
    this.#up = new Promise((resolve, reject) => {
      up = resolve
      this.#child.once('exit', () => reject(new Error(`${role} ended before it was up: ${this.#output}`)))
    })
    this.#up.catch(() => {})
    this.exited = new Promise((resolve) => this.#child.once('exit', (code, signal) => {
      this.ended = `${signal ?? code} ${this.#output}`
      for (const { reject } of this.#asked.values()) reject(new Error(`${role} ended: ${this.ended}`))
      resolve()
    }))
    if (this.#child.stdout) createInterface({ input: this.#child.stdout }).on('line', (text) => {
      const line = JSON.parse(text) as { answer?: number; result?: never; error?: string; event?: string }
      if (line.answer !== undefined) {
        const asked = this.#asked.get(line.answer)
        this.#asked.delete(line.answer)
        if (line.error === undefined) asked?.resolve(line.result as never)
        else asked?.reject(new Error(`${role}: ${line.error}`))
      } else if (line.event === 'up') up(line as unknown as Up)
      else if (line.event) this.onEvent(line as { event: string })
    })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  up(): Promise<Up> {
    return this.#up
  }

  ask<T = unknown>(what: string, options: Record<string, unknown> = {}): Promise<T> {
    if (this.ended !== undefined) return Promise.reject(new Error(`the process is gone: ${this.ended}`))
    const id = this.#next++
    return new Promise<T>((resolve, reject) => {
      this.#asked.set(id, { resolve: resolve as (value: never) => void, reject })
      this.#child.stdin?.write(`${JSON.stringify({ id, do: what, ...options })}\n`)
    })
  }

  /** In order; by force when it does not. */
  async end(): Promise<void> {
    if (this.ended !== undefined) return
    const force = setTimeout(() => this.#child.kill('SIGKILL'), 10_000)
    this.ask('end').catch(() => {})
    await this.exited
    clearTimeout(force)
  }
}
