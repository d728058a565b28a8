// One file that comes in: does what the engine of a download decides, on channels and on disk. Disk first: the engine counts what is
// stored. docs/protocol/04 §7.2. Proof: transfer/receiving.test.ts (hostile holders, failing storage), transfer/transfers.test.ts.
import { deferred, JamiError, LinkedSignal, Slices, Source, type Tasks } from '@jamikit/core/base'
import type { AccountUri, Channel, Clock, ConnectionManager, DeviceId, Logger, Timer } from '@jamikit/core/contracts'
import { BULK_BYTES, HASH_SLICE_BYTES, MAX_SOURCES, OPEN_TIMEOUT_MS } from '../defaults.ts'
import { Download, type DownloadEffect, type Refusal } from './download.ts'
import { PartWriter } from './part-writer.ts'
import { Progress } from './progress.ts'
import { follow } from './reader.ts'
import { requestName } from './request.ts'
import type { Slots } from './slots.ts'
import type { FileKey, FileStore, Part } from './store.ts'

/** An announced file, and who announced it. */
export interface Announced extends FileKey {
  readonly fileId: string
  readonly author: AccountUri
  readonly device: DeviceId
}

export interface ReceivingEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly connections: Pick<ConnectionManager, 'openChannel'>
  readonly store: FileStore
  readonly slots: Slots
  readonly tasks: Tasks
  readonly ownDevice: DeviceId
  /** Devices that may have the file, the one that announced it first. */
  readonly devices: (file: Announced, signal: AbortSignal) => AsyncIterable<{ account: AccountUri; device: DeviceId }>
}

interface Attempt {
  readonly controller: AbortController
  channel: Channel | undefined
}

export class Receiving {
  readonly file: Announced
  readonly progress: Progress
  /** Rejects with what it failed of; resolves when the file is in the profile. */
  readonly kept: Promise<void>
  /** Nothing came: it was in the profile already. */
  wasHere = false
  readonly #env: ReceivingEnv
  readonly #part: Part
  readonly #life: LinkedSignal
  readonly #over = deferred<void>()
  /** Something came, or it is over: readers look again. */
  readonly #news = new Source<'more' | 'wrong'>(() => {})
  readonly #attempts = new Map<DeviceId, Attempt>() // bounded by MAX_OPENING and those that end
  readonly #accounts = new Map<DeviceId, AccountUri>() // bounded by MAX_SOURCES + 1
  readonly #slices: Slices
  readonly #writer: PartWriter
  #engine: Download | undefined
  #timer: Timer | undefined
  #slot: 'none' | 'waiting' | (() => void) = 'none'
  #paused = false
  #started = false
  #ended = false
  /** In place as the file, no part any more. */
  #whole = false

  constructor(env: ReceivingEnv, file: Announced) {
    this.#env = env
    this.file = file
    this.#part = env.store.part(file)
    this.#life = new LinkedSignal(env.tasks.signal)
    this.#slices = new Slices(env.clock, HASH_SLICE_BYTES)
    this.#writer = new PartWriter(this.#part, file.sizeBytes, this.#slices, (error) => this.fail(error))
    this.progress = new Progress(env.clock, file.sizeBytes, (err) => env.logger.error({ err }, 'a listener threw'))
    this.kept = this.#over.promise
    this.kept.catch(() => {}) // told to whoever waits
  }

  get isOver(): boolean {
    return this.#ended
  }

  start(): void {
    if (this.#started) return
    this.#started = true
    const { clock, store, tasks } = this.#env
    if (tasks.signal.aborted) return this.#onStop()
    tasks.signal.addEventListener('abort', this.#onStop, { once: true })
    tasks.run('receiving a file', async () => {
      try {
        const here = await store.open(this.file)
        await here?.close()
        if (here) {
          this.wasHere = true
          return this.#finish()
        }
        const have = await this.#writer.begin()
        if (this.#ended) return
        this.#engine = new Download({ size: this.file.sizeBytes, have, sender: this.file.device, nowMs: clock.now() })
        this.progress.moved(0, have)
        this.#news.emit('more')
        if (this.#paused) this.#engine.pause()
        else this.#do(this.#engine.tick(clock.now()))
      } catch (error) {
        this.fail(error)
      }
    })
  }

  readonly #onStop = (): void => this.fail(this.#env.tasks.signal.reason)

  pause(): void {
    if (this.#paused || this.#ended) return
    this.#paused = true
    if (this.#engine) this.#do(this.#engine.pause())
    this.#release()
  }

  resume(): void {
    if (!this.#paused || this.#ended) return
    this.#paused = false
    if (this.#engine) this.#do(this.#engine.resume(this.#env.clock.now()))
  }

  /** A device is there: worth a try. */
  encouraged(device: DeviceId, account: AccountUri): void {
    if (!this.#engine || this.#paused || this.#ended || device === this.#env.ownDevice) return
    this.#know(device, account)
    this.#do(this.#engine.encouraged(device, this.#env.clock.now()))
  }

  /** The announcement was deleted. */
  gone(): void {
    if (this.#engine) this.#do(this.#engine.gone())
    else this.fail(goneError(this.file.fileId))
  }

  /** Ends it with this error; what came stays on disk until somebody removes it. Idempotent. */
  fail(error: unknown): void {
    if (this.#ended) return
    this.#end()
    this.#over.reject(JamiError.from(error))
    this.#news.emit('more')
  }

  /** Nothing is written any more. */
  async settled(): Promise<void> {
    await this.#writer.settled()
  }

  /** The bytes as they come; the last one when all are checked. @throws what the transfer fails of, ERR_FILE_HASH when what was given before was wrong */
  read(): AsyncGenerator<Uint8Array> {
    const { file } = this
    return follow({
      sizeBytes: file.sizeBytes, onNews: this.#news.listen, readable: () => this.#readable, isWhole: () => this.#whole, isOver: () => this.#ended, over: this.kept,
      read: (at, length) => this.#readAt(at, length), wrong: () => hashError(file.fileId),
    })
  }

  /** How far readers may go: the last byte is given when all are checked. */
  get #readable(): number {
    return this.#whole ? this.file.sizeBytes : Math.min(this.#engine?.have ?? 0, Math.max(0, this.file.sizeBytes - 1))
  }

  async #readAt(at: number, length: number): Promise<Uint8Array> {
    if (!this.#whole) {
      const bytes = await this.#part.read(at, length)
      if (bytes.length > 0 || !this.#whole) return bytes // else it has just become the file
    }
    const file = await this.#env.store.open(this.file)
    try {
      if (!file) throw goneError(this.file.fileId)
      return await file.read(at, length)
    } finally {
      await file?.close()
    }
  }

  // ---------------------------------------------------------------- what the engine decides

  #do(effects: readonly DownloadEffect[]): void {
    const opens = effects.some(({ kind }) => kind === 'open')
    if (opens && !this.#paused && typeof this.#slot !== 'function') return this.#queue(effects)
    for (const effect of effects) this.#one(effect)
    this.#watch()
  }

  #one(effect: DownloadEffect): void {
    switch (effect.kind) {
      case 'find':
        return this.#find()
      case 'open':
        return this.#open(effect.device, effect.start)
      case 'drop':
        return this.#drop(effect.device)
      case 'reset':
        this.#writer.reset()
        if (effect.why === 'wrong') this.#news.emit('wrong')
        return
      case 'verify':
        return this.#verify()
      case 'failed':
        return this.fail(effect.code === 'ERR_FILE_HASH' ? hashError(this.file.fileId) : goneError(this.file.fileId))
      case 'done':
        return this.#finish()
    }
  }

  /** It is not our turn: the engine rests until it is. What does not open goes on. */
  #queue(effects: readonly DownloadEffect[]): void {
    for (const effect of effects) if (effect.kind !== 'open') this.#one(effect)
    const { clock, slots, tasks } = this.#env
    const engine = this.#engine
    if (!engine || this.#ended) return
    const now = slots.tryTake(this.file.author)
    if (now) {
      this.#slot = now
      for (const effect of effects) if (effect.kind === 'open') this.#one(effect)
      return this.#watch()
    }
    engine.pause()
    if (this.#slot === 'waiting') return this.#watch()
    this.#slot = 'waiting'
    tasks.run('waiting for a turn', async () => {
      const release = await slots.take(this.file.author, this.#life.signal).catch(() => undefined)
      if (!release) return
      if (this.#ended || this.#paused) {
        this.#slot = 'none'
        return release()
      }
      this.#slot = release
      this.#do(engine.resume(clock.now()))
    })
    this.#watch()
  }

  #watch(): void {
    const { clock } = this.#env
    this.#timer?.cancel()
    this.#timer = undefined
    const engine = this.#engine
    if (!engine || this.#ended) return
    if (engine.phase === 'seeking' && this.#attempts.size === 0) this.#release() // others may go on while nobody answers
    this.progress.run(engine.phase === 'running')
    const at = engine.wakeAtMs
    if (at !== undefined) this.#timer = clock.after(Math.max(0, at - clock.now()), () => this.#do(engine.tick(clock.now())))
  }

  #release(): void {
    if (typeof this.#slot !== 'function') return
    const release = this.#slot
    this.#slot = 'none'
    release()
  }

  #know(device: DeviceId, account: AccountUri): void {
    if (this.#accounts.size <= MAX_SOURCES) this.#accounts.set(device, account)
  }

  #find(): void {
    const { clock, devices, tasks, logger } = this.#env
    const engine = this.#engine
    if (!engine) return
    tasks.run('looking for a file', async () => {
      try {
        for await (const { account, device } of devices(this.file, this.#life.signal)) {
          if (this.#ended) return
          if (engine.phase === 'running' || this.#accounts.size > MAX_SOURCES) break // the others are looked for when it is needed
          this.#know(device, account)
          this.#do(engine.found(device, clock.now()))
        }
      } catch (err) {
        logger.debug({ err }, 'devices were not found')
      }
      if (!this.#ended) this.#do(engine.searched(clock.now()))
    })
  }

  #open(device: DeviceId, start: number): void {
    const { clock, connections, ownDevice, tasks } = this.#env
    const engine = this.#engine
    if (!engine) return
    const { conversation, fileId, sizeBytes } = this.file
    const account = this.#accounts.get(device)
    const attempt: Attempt = { controller: new AbortController(), channel: undefined }
    this.#attempts.set(device, attempt)
    const isMine = () => this.#attempts.get(device) === attempt && !this.#ended
    tasks.run('asking for a file', async (signal) => {
      const linked = new LinkedSignal(attempt.controller.signal, signal)
      try {
        const channel = await connections.openChannel(device, requestName(conversation, ownDevice, fileId, start), {
          signal: linked.signal, timeoutMs: OPEN_TIMEOUT_MS, ...(account ? { account } : {}), ...(sizeBytes - start >= BULK_BYTES ? { bulk: true } : {}),
        })
        if (!isMine()) return channel.abort()
        attempt.channel = channel
        this.#do(engine.opened(device, clock.now()))
        if (!isMine()) return channel.abort()
        await this.#take(engine, device, channel, isMine)
      } catch (error) {
        if (!isMine()) return
        this.#attempts.delete(device)
        const why: Refusal = JamiError.is(error, 'ERR_CHANNEL_DECLINED') ? 'declined' : 'away'
        this.#do(engine.refused(device, why, clock.now()))
      } finally {
        linked.release()
      }
    })
  }

  /** Reads the channel until it is over, or is not ours any more. */
  async #take(engine: Download, device: DeviceId, channel: Channel, isMine: () => boolean): Promise<void> {
    const { clock } = this.#env
    try {
      for await (const bytes of channel) {
        if (!isMine()) break
        const part = bytes.subarray(0, engine.room(bytes.length))
        if (part.length > 0 && !(await this.#store(engine, device, part, isMine))) break
        if (!isMine()) break
      }
    } catch {} // the link is lost: as good as the end
    channel.abort()
    if (!isMine()) return
    this.#attempts.delete(device)
    this.#do(engine.ended(device, clock.now()))
  }

  /** @returns false when nothing more is to be read */
  async #store(engine: Download, device: DeviceId, bytes: Uint8Array, isMine: () => boolean): Promise<boolean> {
    const { clock } = this.#env
    let taken: boolean
    try {
      taken = await this.#writer.append(bytes, () => engine.have, isMine)
    } catch (error) {
      this.fail(error)
      return false
    }
    if (!taken || !isMine()) return false
    this.#do(engine.bytes(device, bytes.length, clock.now()))
    this.progress.moved(bytes.length, engine.have)
    this.#news.emit('more')
    const pause = this.#slices.spend(bytes.length)
    if (pause) await pause
    return true
  }

  #drop(device: DeviceId): void {
    const attempt = this.#attempts.get(device)
    this.#attempts.delete(device)
    attempt?.channel?.abort()
    attempt?.controller.abort()
  }

  // ---------------------------------------------------------------- the end

  #verify(): void {
    const { clock, logger, tasks } = this.#env
    const engine = this.#engine
    if (!engine) return
    tasks.run('checking a file', async () => {
      try {
        const right = (await this.#writer.digest(() => this.#ended)) === this.file.sha3
        if (this.#ended) return
        if (right) await this.#part.complete()
        else logger.warn({ conversation: this.file.conversation, message: this.file.message }, 'what came is not the announced file')
        if (this.#ended) return
        if (right) this.#whole = true
        this.#do(engine.verified(right, clock.now()))
      } catch (error) {
        this.fail(error)
      }
    })
  }

  #finish(): void {
    if (this.#ended) return
    this.#whole = true
    this.progress.moved(0, this.file.sizeBytes)
    this.#end()
    this.#over.resolve()
    this.#news.emit('more')
  }

  #end(): void {
    this.#ended = true
    this.#env.tasks.signal.removeEventListener('abort', this.#onStop)
    this.#timer?.cancel()
    for (const device of [...this.#attempts.keys()]) this.#drop(device)
    this.#life.abort()
    this.#release()
    this.progress.end()
  }
}

export const hashError = (fileId: string) => new JamiError('ERR_FILE_HASH', `file ${fileId.slice(0, 80)}: what came is not what was announced`, { details: { fileId } })
export const goneError = (fileId: string) => new JamiError('ERR_FILE_GONE', `file ${fileId.slice(0, 80)}: it was deleted, or nobody has it any more`, { details: { fileId } })
