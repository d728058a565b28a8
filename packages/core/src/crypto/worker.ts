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

interface Thread {
  readonly worker: Worker
  readonly pending: Map<number, Deferred<Uint8Array | undefined>> // bounded by the callers' own calls
}

/** One thread; jobs run in order. While jobs are pending it keeps the process alive, otherwise not. */
export class CryptoWorker {
  #thread: Thread | undefined
  #nextId = 0

  /** @throws ERR_INTERNAL when the thread fails or ends */
  run(job: Job): Promise<Uint8Array | undefined> {
    const { worker, pending } = (this.#thread ??= this.#start())
    const id = this.#nextId++
    const waiting = deferred<Uint8Array | undefined>()
    pending.set(id, waiting)
    worker.ref()
    worker.postMessage({ ...job, id })
    return waiting.promise
  }

  /** Ends the thread and fails what it was doing; the next job starts another one. */
  async stop(): Promise<void> {
    const thread = this.#thread
    this.#thread = undefined
    await thread?.worker.terminate()
  }

  #start(): Thread {
    const argon2 = pathToFileURL(createRequire(import.meta.url).resolve('@noble/hashes/argon2.js')).href
    const worker = new Worker(PROGRAM, { eval: true, execArgv: [], workerData: { argon2 }, name: 'jamikit-crypto' })
    const thread: Thread = { worker, pending: new Map() }
    worker.unref()
    worker.on('message', (answer: { id: number; result?: Uint8Array; error?: string }) => {
      const waiting = thread.pending.get(answer.id)
      thread.pending.delete(answer.id)
      if (thread.pending.size === 0) worker.unref()
      if (answer.error === undefined) waiting?.resolve(answer.result)
      else waiting?.reject(new JamiError('ERR_INTERNAL', `crypto thread: ${answer.error}`))
    })
    const lost = (cause: unknown) => {
      if (this.#thread === thread) this.#thread = undefined
      const pending = [...thread.pending.values()]
      thread.pending.clear()
      for (const waiting of pending) waiting.reject(new JamiError('ERR_INTERNAL', 'the crypto thread ended', { cause }))
    }
    worker.on('error', lost)
    worker.on('exit', lost)
    return thread
  }
}
