// A transfer as programs see it: a promise of its message, a loop over its progress, a stream of its bytes. Over the FileTransfer contract;
// a call that could not begin is a transfer that has failed. Proof: node/public-files.test.ts.
import { JamiError } from '../base/errors.ts'
import { withOp } from '../base/operation.ts'
import type { Clock } from '../contracts/clock.ts'
import type { MessageId } from '../contracts/ids.ts'
import type { Op } from '../contracts/service.ts'
import type { FileTransfer } from '../contracts/transfers.ts'
import type { Progress, Transfer } from './api-files.ts'

export interface TransferEnv<M> {
  readonly clock: Clock
  readonly message: (transfer: FileTransfer, id: MessageId) => Promise<M>
}

const NOTHING: Progress = Object.freeze({ doneBytes: 0, totalBytes: undefined, bytesPerSec: 0 })

export class PublicTransfer<M> implements Transfer<M> {
  readonly direction: 'send' | 'receive'
  readonly #inner: FileTransfer | undefined
  readonly #result: Promise<M>
  #readable: ReadableStream<Uint8Array> | undefined
  #over = false

  /** @param begin what throws makes a transfer that has failed @param also has to be done, too, before it counts as done */
  constructor(env: TransferEnv<M>, direction: 'send' | 'receive', op: Op, begin: () => FileTransfer, also?: (transfer: Transfer<M>) => Promise<unknown>) {
    this.direction = direction
    let failure: unknown
    try {
      this.#inner = begin()
    } catch (error) {
      failure = error
    }
    const inner = this.#inner
    this.#result = inner ? this.#run(env, inner, op, also) : Promise.reject(JamiError.from(failure))
    const over = () => {
      this.#over = true
    }
    this.#result.then(over, over) // also: a program that only loops, or only listens, must not die of its failure
  }

  async #run(env: TransferEnv<M>, inner: FileTransfer, op: Op, also: ((transfer: Transfer<M>) => Promise<unknown>) | undefined): Promise<M> {
    let settled = false
    const settle = () => {
      settled = true
    }
    inner.done.then(settle, settle)
    const beside = also && Promise.resolve().then(() => also(this))
    beside?.catch(() => {})
    try {
      const id = await withOp(env.clock, op, inner.direction === 'send' ? 'sending a file' : 'receiving a file', async () => {
        const first = beside ? await Promise.race([inner.done, beside.then(() => inner.done)]) : await inner.done
        await beside
        return first
      })
      return await env.message(inner, id)
    } catch (error) {
      if (!settled) await inner.cancel({ keep: true }).catch(() => {}) // whoever asked has left; what came stays
      throw JamiError.from(error, 'ERR_LISTENER') // what the program's own stream threw
    }
  }

  get path(): string | undefined {
    return this.#over ? this.#inner?.path : undefined
  }

  get readable(): ReadableStream<Uint8Array> {
    this.#readable ??= streamOf(this.#inner ? this.#inner.read() : failed(this.#result))
    return this.#readable
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise of its message
  then<A = M, B = never>(onDone?: ((message: M) => A | PromiseLike<A>) | null, onFailed?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<A | B> {
    return this.#result.then(onDone, onFailed)
  }

  progress(): Progress {
    return this.#inner?.progress() ?? NOTHING
  }

  pause(): void {
    this.#inner?.pause()
  }

  resume(): void {
    this.#inner?.resume()
  }

  async cancel(): Promise<void> {
    await this.#inner?.cancel()
  }

  /** The newest progress for whoever asks; ends with the last one, or throws what the transfer failed of. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Progress> {
    const inner = this.#inner
    if (!inner) return void (await this.#result)
    let latest: Progress | undefined = inner.progress()
    let told: Progress | undefined
    let wake = (): void => {}
    const off = inner.onProgress((progress) => {
      latest = progress
      wake()
    })
    let over = false
    const end = () => {
      over = true
      wake()
    }
    this.#result.then(end, end)
    try {
      for (;;) {
        if (latest) {
          told = latest
          latest = undefined
          yield told
        } else if (over) break
        else await new Promise<void>((resolve) => {
          wake = resolve
          if (latest || over) resolve()
        })
      }
      await this.#result
      const last = inner.progress()
      if (told?.doneBytes !== last.doneBytes) yield last
    } finally {
      off()
    }
  }
}

async function* failed(result: Promise<unknown>): AsyncGenerator<Uint8Array> {
  await result
  yield* []
}

/** One block at a time, when it is asked for. */
function streamOf(source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const blocks = source[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await blocks.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await blocks.return?.()
    },
  }, { highWaterMark: 0 })
}
