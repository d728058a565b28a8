// Regular expressions over texts, in a thread and under a limit of time, since one that runs into a dead end for hours cannot be stopped from
// the loop. The thread's program is a string, so that it works alike from src, from dist and in a bundle; it starts at first use and never
// keeps the process alive. docs/protocol/04 §12.7 S9. Proof: conversation/view/pattern.test.ts.
import { Worker } from 'node:worker_threads'
import { type Deferred, deferred, JamiError } from '@jamikit/core/base'

const PROGRAM = `
const { parentPort } = require('node:worker_threads')
const vm = require('node:vm')
const script = new vm.Script('(() => { const pattern = new RegExp(source, flags); const found = []; for (let i = 0; i < texts.length; i++) if (pattern.test(texts[i])) found.push(i); return found.join() })()')
parentPort.on('message', ({ id, source, flags, texts, timeMs }) => {
  const begin = performance.now()
  const answer = { id }
  try {
    const found = script.runInNewContext({ source, flags, texts }, { timeout: timeMs, contextCodeGeneration: { strings: false, wasm: false } })
    answer.found = found === '' ? [] : found.split(',').map(Number)
  } catch (error) {
    if (error?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') answer.slow = true
    else answer.error = String(error)
  }
  answer.tookMs = performance.now() - begin
  parentPort.postMessage(answer)
})
`

export interface PatternJob {
  readonly pattern: RegExp
  readonly texts: readonly string[]
  /** Milliseconds that it may run. */
  readonly timeMs: number
}

/** Which texts match; undefined: it took too long. */
export type PatternAnswer = { readonly found: readonly number[] | undefined; readonly tookMs: number }

/** One thread; jobs run in order. */
export class PatternThread {
  #worker: Worker | undefined
  readonly #pending = new Map<number, Deferred<PatternAnswer>>() // bounded by the callers' own calls
  #next = 0

  /** @throws ERR_INTERNAL when the thread fails, ERR_CLOSED when it was stopped meanwhile */
  run({ pattern, texts, timeMs }: PatternJob): Promise<PatternAnswer> {
    const worker = (this.#worker ??= this.#start())
    const id = this.#next++
    const waiting = deferred<PatternAnswer>()
    this.#pending.set(id, waiting)
    worker.ref()
    worker.postMessage({ id, source: pattern.source, flags: pattern.flags.replace(/[gyd]/g, ''), texts, timeMs: Math.max(1, Math.ceil(timeMs)) })
    return waiting.promise
  }

  #start(): Worker {
    const worker = new Worker(PROGRAM, { eval: true, execArgv: [], name: 'jamikit-search', resourceLimits: { maxOldGenerationSizeMb: 64 } })
    worker.unref()
    worker.on('message', (answer: { id: number; found?: number[]; slow?: true; error?: string; tookMs: number }) => {
      const waiting = this.#pending.get(answer.id)
      this.#pending.delete(answer.id)
      if (this.#pending.size === 0) worker.unref()
      if (answer.error !== undefined) waiting?.reject(new JamiError('ERR_INTERNAL', `the search thread: ${answer.error}`))
      else waiting?.resolve({ found: answer.slow ? undefined : (answer.found ?? []), tookMs: answer.tookMs })
    })
    const lost = (cause: unknown) => {
      if (this.#worker === worker) this.#fail(new JamiError('ERR_INTERNAL', 'the search thread ended', { cause }))
    }
    worker.on('error', lost)
    worker.on('exit', lost)
    return worker
  }

  #fail(error: JamiError): void {
    this.#worker = undefined
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const waiting of pending) waiting.reject(error)
  }

  /** Ends the thread and fails what it was doing; the next job starts another one. */
  async stop(): Promise<void> {
    const worker = this.#worker
    this.#fail(new JamiError('ERR_CLOSED', 'searching was ended'))
    await worker?.terminate()
  }
}
