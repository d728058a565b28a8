// Where everything ends that fails while nobody waits: the log, the `error` event, and without a listener a process warning, once for
// each kind. What fails before the program has its node is told when it has. Proof: node/problems.test.ts.
import { JamiError } from '../base/errors.ts'
import type { Clock, Timer } from '../contracts/clock.ts'
import type { Logger } from '../contracts/logger.ts'

export const MAX_EARLY = 100
const MAX_KINDS = 20
const HINT = "Register node.on('error', ({ error, source }) => …) to handle such errors. More of this kind are not printed."

/** A process warning: code, what it says, a hint. */
export type Warn = (code: string, message: string, hint?: string) => void

export interface ProblemsEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly warn: Warn
  readonly listeners: () => number
  readonly emit: (payload: { error: JamiError; source: string }) => void
}

export class Problems {
  readonly #env: ProblemsEnv
  readonly #warned = new Set<string>() // bounded by MAX_KINDS
  #early: { error: JamiError; source: string }[] | undefined = [] // bounded by MAX_EARLY
  #timer: Timer | undefined

  constructor(env: ProblemsEnv) {
    this.#env = env
  }

  report(error: unknown, source: string): void {
    const wrapped = JamiError.from(error)
    this.#env.logger.error({ err: wrapped, source }, 'error')
    if (!this.#early) this.#tell({ error: wrapped, source })
    else if (this.#early.length < MAX_EARLY) this.#early.push({ error: wrapped, source })
  }

  /** The program gets its node now: it has this turn to register a listener. */
  started(): void {
    if (this.#early?.length) this.#timer = this.#env.clock.after(0, () => this.flush())
    else this.#early = undefined
  }

  /** Tells what came early; once. */
  flush(): void {
    this.#timer?.cancel()
    const early = this.#early ?? []
    this.#early = undefined
    for (const problem of early) this.#tell(problem)
  }

  #tell(problem: { error: JamiError; source: string }): void {
    if (this.#env.listeners() > 0) return this.#env.emit(problem)
    const { error, source } = problem
    const kind = `${error.code} ${source}`
    if (this.#warned.has(kind) || this.#warned.size >= MAX_KINDS) return
    this.#warned.add(kind)
    const cause = error.code === 'ERR_INTERNAL' && error.cause instanceof Error ? `\n${error.cause.stack}` : ''
    this.#env.warn('JAMI_UNHANDLED_ERROR', `unhandled 'error' of a Jami node, from ${source}: ${error.code}: ${error.message}${cause}`, HINT)
  }
}
