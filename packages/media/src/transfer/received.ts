// What one caller of `receive` gets: a file that several may wait for, brought to where this one wants it. docs/protocol/04 §7.2.
// Proof: transfer/transfers.test.ts.
import { deferred, JamiError } from '@jamikit/core/base'
import type { ConversationId, FileTransfer, MessageId } from '@jamikit/core/contracts'
import type { Receiving } from './receiving.ts'

export class Received implements FileTransfer {
  readonly direction = 'receive'
  readonly conversation: ConversationId
  readonly message: MessageId
  readonly done: Promise<MessageId>
  path: string | undefined
  readonly #over = deferred<MessageId>()
  readonly #cancel: (keep: boolean) => Promise<void>
  #receiving: Receiving | undefined

  constructor(conversation: ConversationId, message: MessageId, cancel: (view: Received, keep: boolean) => Promise<void>) {
    this.conversation = conversation
    this.message = message
    this.#cancel = (keep) => cancel(this, keep)
    this.done = this.#over.promise
    this.done.catch(() => {}) // told to whoever waits
  }

  #wishes: ((receiving: Receiving) => void)[] = [] // bounded by the program's own calls before it is known what is to come

  /** The transfer behind it is known. */
  attach(receiving: Receiving): void {
    this.#receiving = receiving
    for (const wish of this.#wishes.splice(0)) wish(receiving)
  }

  resolve(): void {
    this.#over.resolve(this.message)
  }

  reject(error: unknown): void {
    this.#over.reject(JamiError.from(error))
    for (const wish of this.#wishes.splice(0)) wish(undefined as never)
  }

  #with(wish: (receiving: Receiving) => void): void {
    if (this.#receiving) wish(this.#receiving)
    else this.#wishes.push((receiving) => receiving && wish(receiving))
  }

  progress() {
    return this.#receiving?.progress.value() ?? { doneBytes: 0, totalBytes: undefined, bytesPerSec: 0 }
  }

  readonly onProgress: FileTransfer['onProgress'] = (fn) => {
    let off = (): void => {}
    let over = false
    this.#with((receiving) => {
      if (!over) off = receiving.progress.onProgress(fn)
    })
    return () => {
      over = true
      off()
    }
  }

  async *read(): AsyncGenerator<Uint8Array> {
    if (!this.#receiving) await Promise.race([new Promise<void>((resolve) => this.#wishes.push(() => resolve())), this.done])
    const receiving = this.#receiving
    if (!receiving) await this.done // throws
    else yield* receiving.read()
  }

  pause(): void {
    this.#with((receiving) => receiving.pause())
  }

  resume(): void {
    this.#with((receiving) => receiving.resume())
  }

  cancel({ keep = false }: { keep?: boolean } = {}): Promise<void> {
    return this.#cancel(keep)
  }
}
