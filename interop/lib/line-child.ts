// A child process that speaks newline-delimited JSON on stdin and stdout: the one way in which scenarios and benchmarks
// drive the real daemon, OpenDHT and our own nodes. Waits are for lines with a deadline, never for time.
// Request {"id",…} -> reply with the same id; every other line is an event and stays in the history.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'

export type Line = Record<string, unknown>

export interface Event {
  readonly line: Line
  /** performance.now() of this process when the line was read. */
  readonly atMs: number
}

/** A reply that says `error`, with its code where the peer has one. */
export class PeerError extends Error {
  override readonly name = 'PeerError'
  readonly code: string | undefined
  constructor(message: string, code?: string) {
    super(message)
    this.code = code
  }
}

export interface LineChildOptions {
  readonly label: string
  readonly argv: readonly [string, ...string[]]
  readonly env?: Record<string, string | undefined>
  readonly cwd?: string
  /** File for its stderr. */
  readonly stderrFile: string
  /** Sees every event as it comes. */
  readonly trace?: (label: string, event: Event) => void
}

const living = new Set<LineChild>()

/** Ends whatever is still running, at once: for the end of a run, however it came. */
export function killAllChildren(): void {
  for (const child of living) child.kill()
}

export class LineChild {
  readonly label: string
  readonly events: Event[] = []
  /** Lines that are not JSON, for programs that print plain text. */
  readonly text: string[] = []
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  readonly #child: ChildProcessWithoutNullStreams
  readonly #replies = new Map<number, { resolve: (line: Line) => void; reject: (error: Error) => void }>()
  readonly #waiters = new Set<{ offer: () => void; fail: (error: Error) => void }>()
  #nextId = 1
  #over: string | undefined
  #stderrTail = ''

  constructor(options: LineChildOptions) {
    this.label = options.label
    const [command, ...args] = options.argv
    // a process group of its own: ending it ends what it started
    this.#child = spawn(command, args, { stdio: 'pipe', detached: true, cwd: options.cwd, env: { ...process.env, ...options.env } })
    living.add(this)
    const log = createWriteStream(options.stderrFile, { flags: 'a' })
    this.#child.stderr.on('data', (chunk: Buffer) => {
      log.write(chunk)
      this.#stderrTail = (this.#stderrTail + chunk.toString()).slice(-1500)
    })
    this.#child.stdin.on('error', () => {})
    createInterface({ input: this.#child.stdout }).on('line', (text) => this.#receive(text, options.trace))
    this.exited = new Promise((resolve) => {
      const end = (why: string, code: number | null, signal: NodeJS.Signals | null) => {
        if (this.#over !== undefined) return
        this.#over = why
        living.delete(this)
        log.end()
        const error = new Error(`${this.label}: ${why}${this.#stderrTail === '' ? '' : `: ${this.#stderrTail.slice(-700)}`}`)
        for (const reply of this.#replies.values()) reply.reject(error)
        this.#replies.clear()
        for (const waiter of [...this.#waiters]) waiter.fail(error)
        resolve({ code, signal })
      }
      this.#child.on('error', (error) => end(`did not start: ${error.message}`, null, null))
      this.#child.on('close', (code, signal) => end(`ended (code ${code}, signal ${signal})`, code, signal))
    })
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.label}: did not start`)
    return this.#child.pid
  }

  get running(): boolean {
    return this.#over === undefined
  }

  #receive(text: string, trace: LineChildOptions['trace']): void {
    let line: Line | undefined
    try {
      const parsed: unknown = JSON.parse(text)
      if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) line = parsed as Line
    } catch {
      // plain text
    }
    if (line === undefined) {
      this.text.push(text)
      this.#offer()
      return
    }
    const reply = typeof line.id === 'number' ? this.#replies.get(line.id) : undefined
    if (reply !== undefined) {
      this.#replies.delete(line.id as number)
      reply.resolve(line)
      return
    }
    const event = { line, atMs: performance.now() }
    this.events.push(event)
    trace?.(this.label, event)
    this.#offer()
  }

  #offer(): void {
    for (const waiter of [...this.#waiters]) waiter.offer()
  }

  /** Sends `{id, …fields}` and gives the reply, whatever it says. */
  request(fields: Line, timeoutMs = 120_000): Promise<Line> {
    if (this.#over !== undefined) return Promise.reject(new Error(`${this.label}: ${this.#over}`))
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#replies.delete(id)
        reject(new Error(`${this.label}: no reply to ${JSON.stringify(fields).slice(0, 200)} in ${timeoutMs} ms`))
      }, timeoutMs)
      const settle = <T>(fn: (value: T) => void) => (value: T) => {
        clearTimeout(timer)
        fn(value)
      }
      this.#replies.set(id, { resolve: settle(resolve), reject: settle(reject) })
      this.#child.stdin.write(`${JSON.stringify({ id, ...fields })}\n`)
    })
  }

  /** A point in the history, for `since`. */
  mark(): number {
    return this.events.length
  }

  /** Resolves with what `find` gives as soon as it gives something; it is asked again after each line. */
  async until<T>(find: () => T | undefined, what: string, timeoutMs = 30_000): Promise<T> {
    const at = find()
    if (at !== undefined) return at
    if (this.#over !== undefined) throw new Error(`${this.label}: ${this.#over} while waiting for ${what}`)
    return new Promise<T>((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
      }
      const waiter = {
        offer: () => {
          const found = find()
          if (found === undefined) return
          end()
          resolve(found)
        },
        fail: (error: Error) => {
          end()
          reject(error)
        },
      }
      const timer = setTimeout(() => {
        const last = this.events.slice(-6).map((event) => JSON.stringify(event.line).slice(0, 200))
        waiter.fail(new Error(`${this.label}: no ${what} in ${timeoutMs} ms; last lines:\n  ${last.join('\n  ')}`))
      }, timeoutMs)
      this.#waiters.add(waiter)
    })
  }

  /** The first event from `since` on that `test` accepts. */
  waitEvent(test: (line: Line) => boolean, what: string, options: { since?: number; timeoutMs?: number } = {}): Promise<Event> {
    let from = options.since ?? 0
    return this.until(
      () => {
        for (; from < this.events.length; from++) {
          const event = this.events[from]
          if (event !== undefined && test(event.line)) return event
        }
        return undefined
      },
      what,
      options.timeoutMs,
    )
  }

  endInput(): void {
    this.#child.stdin.end()
  }

  signal(name: NodeJS.Signals): void {
    if (this.#over === undefined) process.kill(this.pid, name)
  }

  /** Ends the process and what it started, at once. */
  kill(): void {
    if (this.#over !== undefined || this.#child.pid === undefined) return
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {
      this.#child.kill('SIGKILL')
    }
  }

  /** Waits for the end that was asked for; kills when it does not come. True when it ended by itself. */
  async ended(timeoutMs: number): Promise<boolean> {
    let killed = false
    const timer = setTimeout(() => {
      killed = true
      this.kill()
    }, timeoutMs)
    await this.exited
    clearTimeout(timer)
    return !killed
  }
}
