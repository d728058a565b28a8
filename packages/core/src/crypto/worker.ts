// The slow primitives that Node offers only in a blocking form, in a thread: the bare RSA decryption and, without
// crypto.argon2, Argon2i. The thread's program is a string, so that it works alike from src, from dist and in a bundle.
// It starts at first use and never keeps the process alive. docs/protocol/01 §5.3, 03 §3.1. Proof: crypto/node-crypto.test.ts.
import type { KeyObject } from 'node:crypto'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type Deferred, deferred } from '../base/operation.ts'
import { JamiError } from '../base/errors.ts'

const PROGRAM = `
const { parentPort, workerData } = require('node:worker_threads')
const { constants, privateDecrypt } = require('node:crypto')
async function run(job) {
  if (job.kind === 'rsa') {
    try {
      return new Uint8Array(privateDecrypt({ key: job.key, padding: constants.RSA_NO_PADDING }, job.block))
    } catch {
      return undefined
    }
  }
  const { argon2i } = await import(workerData.argon2)
  return argon2i(job.password, job.salt, { t: job.passes, m: job.memoryKib, p: job.lanes, dkLen: job.length, version: 0x13 })
}
parentPort.on('message', async (job) => {
  try {
    parentPort.postMessage({ id: job.id, result: await run(job) })
  } catch (error) {
    parentPort.postMessage({ id: job.id, error: String(error) })
  }
})
`

export interface Argon2Job {
  readonly kind: 'argon2i'
  readonly password: Uint8Array
  readonly salt: Uint8Array
  readonly passes: number
  readonly memoryKib: number
  readonly lanes: number
  readonly length: number
}

export type Job = Argon2Job | { readonly kind: 'rsa'; readonly key: KeyObject; readonly block: Uint8Array }

/** One thread; jobs run in order. While jobs are pending it keeps the process alive, otherwise not. */
export class CryptoWorker {
  #worker: Worker | undefined
  #nextId = 0
  readonly #pending = new Map<number, Deferred<Uint8Array | undefined>>() // bounded by the callers' own calls

  run(job: Job): Promise<Uint8Array | undefined> {
    const worker = (this.#worker ??= this.#start())
    const id = this.#nextId++
    const waiting = deferred<Uint8Array | undefined>()
    this.#pending.set(id, waiting)
    worker.ref()
    worker.postMessage({ ...job, id })
    return waiting.promise
  }

  /** Ends the thread when it is idle; the next job starts another one. */
  async stop(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }

  #start(): Worker {
    const argon2 = pathToFileURL(createRequire(import.meta.url).resolve('@noble/hashes/argon2.js')).href
    const worker = new Worker(PROGRAM, { eval: true, execArgv: [], workerData: { argon2 }, name: 'jamikit-crypto' })
    worker.unref()
    worker.on('message', (answer: { id: number; result?: Uint8Array; error?: string }) => {
      const waiting = this.#pending.get(answer.id)
      this.#pending.delete(answer.id)
      if (this.#pending.size === 0) worker.unref()
      if (answer.error === undefined) waiting?.resolve(answer.result)
      else waiting?.reject(new JamiError('ERR_INTERNAL', `crypto thread: ${answer.error}`))
    })
    const lost = (error: unknown) => {
      if (this.#worker !== worker) return
      this.#worker = undefined
      const pending = [...this.#pending.values()]
      this.#pending.clear()
      for (const waiting of pending) waiting.reject(new JamiError('ERR_INTERNAL', 'the crypto thread ended', { cause: error }))
    }
    worker.on('error', lost)
    worker.on('exit', lost)
    return worker
  }
}
