// Files that others ask us for: only members, only what was announced and is here as it was announced, with back-pressure and within
// limits. docs/protocol/04 §7.2, §12.7 S8. Proof: transfer/serving.test.ts (roles, names, hostile requesters).
import { JamiError, type Tasks, TokenBucket, withOp } from '@jamikit/core/base'
import { fileAnnouncementOf, fileIdOf } from '@jamikit/core/codec'
import type { Channel, ChannelHandler, Clock, ConversationId, DeviceId, Logger, MessageId, PeerIdentity } from '@jamikit/core/contracts'
import { BLOCK_BYTES, MESSAGE_BYTES, MAX_RATED_DEVICES, MAX_SERVED, MAX_SERVED_PER_DEVICE, REQUEST_BURST, REQUESTS_PER_SECOND, SERVE_MIN_RATE, SERVE_STALL_MS } from '../defaults.ts'
import { type FileConversations, isHolder } from './conversations.ts'
import { parseRequest, startOf } from './request.ts'
import type { FileKey, FileStore } from './store.ts'

export interface ServingEnv {
  readonly clock: Clock
  readonly logger: Logger
  readonly conversations: FileConversations
  readonly store: FileStore
  readonly tasks: Tasks
  readonly ownDevice: DeviceId
}

interface Wish extends FileKey {
  readonly start: number
}

export class Serving implements ChannelHandler {
  readonly #env: ServingEnv
  readonly #rates = new Map<DeviceId, TokenBucket>() // least used first; bounded by MAX_RATED_DEVICES
  readonly #open = new Map<Channel, FileKey>() // bounded by MAX_SERVED

  constructor(env: ServingEnv) {
    this.#env = env
  }

  /** Files that are being sent out. */
  get count(): number {
    return this.#open.size
  }

  limit(): { of: string; max: number } {
    return { of: 'files', max: MAX_SERVED_PER_DEVICE }
  }

  async accept(name: string, peer: PeerIdentity): Promise<boolean> {
    const { clock, logger } = this.#env
    if (this.#open.size >= MAX_SERVED || !this.#rate(peer.deviceId).tryTake(clock.now())) return false
    const wish = await this.#wish(name, peer)
    if (!wish) logger.debug({ device: peer.deviceId }, 'a file is not given: not a member, or not here')
    return wish !== undefined
  }

  open(channel: Channel): void {
    this.#env.tasks.run('giving a file', () => this.#serve(channel))
  }

  /** A deletion, or a conversation that is gone: what is being given of it ends. */
  end(conversation: ConversationId, message?: MessageId): void {
    for (const [channel, key] of this.#open) if (key.conversation === conversation && (message === undefined || key.message === message)) channel.abort(new JamiError('ERR_FILE_GONE', 'the file was deleted'))
  }

  #rate(device: DeviceId): TokenBucket {
    const bucket = this.#rates.get(device) ?? new TokenBucket({ burst: REQUEST_BURST, perSecond: REQUESTS_PER_SECOND }, this.#env.clock.now())
    this.#rates.delete(device)
    this.#rates.set(device, bucket)
    for (const [oldest] of this.#rates) {
      if (this.#rates.size <= MAX_RATED_DEVICES) break
      this.#rates.delete(oldest)
    }
    return bucket
  }

  /** What the name asks for, when this peer may have it and it is here. */
  async #wish(name: string, peer: PeerIdentity): Promise<Wish | undefined> {
    const { conversations, store, ownDevice } = this.#env
    const request = parseRequest(name)
    if (!request || request.device === ownDevice) return undefined
    const { conversation, message, rest } = request
    if (!isHolder(conversations, conversation, peer.accountId)) return undefined
    const entry = await conversations.entry(conversation, message)
    const file = entry && fileAnnouncementOf(entry)
    const start = file && startOf(rest, fileIdOf(message, file))
    if (!file || start === undefined || start > file.sizeBytes || (await store.isDeleted(conversation, message)) || (await conversations.message(conversation, message))?.deleted) return undefined
    const key = { conversation, message, sha3: file.sha3, sizeBytes: file.sizeBytes, start }
    const found = await store.open(key)
    await found?.close()
    return found && key
  }

  async #serve(channel: Channel): Promise<void> {
    const { logger, store } = this.#env
    if (this.#open.size >= MAX_SERVED) return channel.abort() // between the answer and now others came
    const wish = await this.#wish(channel.name, channel.remote).catch(() => undefined)
    const file = wish && (await store.open(wish))
    if (!wish || !file || this.#open.size >= MAX_SERVED) {
      await file?.close()
      return channel.abort()
    }
    this.#open.set(channel, wish)
    this.#env.tasks.run('a requester that says something', () => drain(channel)) // nothing is expected; unread bytes would hold up the link
    try {
      await this.#write(channel, file, wish.start)
      await channel.close()
      logger.debug({ device: channel.remote.deviceId, bytes: file.sizeBytes - wish.start }, 'a file was given')
    } catch (error) {
      channel.abort(JamiError.from(error))
      logger.debug({ err: error, device: channel.remote.deviceId }, 'a file was not given to its end')
    } finally {
      this.#open.delete(channel)
      await file.close()
    }
  }

  /** As fast as it is taken; whoever takes next to nothing is ended. */
  async #write(channel: Channel, file: { readonly sizeBytes: number; read(start: number, length: number): Promise<Uint8Array> }, start: number): Promise<void> {
    const { clock, tasks } = this.#env
    let windowMs = clock.now()
    let windowBytes = 0
    let next = file.read(start, BLOCK_BYTES)
    for (let at = start; at < file.sizeBytes; ) {
      const bytes = await next
      if (bytes.length === 0) throw new JamiError('ERR_STORAGE_IO', `a file ends after ${at} bytes, expected ${file.sizeBytes}`, { details: { got: at, allowed: file.sizeBytes } })
      at += bytes.length
      next = at < file.sizeBytes ? file.read(at, BLOCK_BYTES) : Promise.resolve(bytes)
      next.catch(() => {}) // seen in its turn, unless the requester leaves before
      for (let sent = 0; sent < bytes.length; sent += MESSAGE_BYTES)
        await withOp(clock, { timeoutMs: SERVE_STALL_MS, signal: tasks.signal }, 'a requester that takes nothing', () => channel.write(bytes.subarray(sent, sent + MESSAGE_BYTES)))
      windowBytes += bytes.length
      const now = clock.now()
      if (now - windowMs < SERVE_STALL_MS) continue
      if (windowBytes < (SERVE_MIN_RATE * (now - windowMs)) / 1000) throw new JamiError('ERR_LIMIT', 'the requester takes next to nothing', { details: { got: windowBytes, allowed: SERVE_MIN_RATE } })
      windowMs = now
      windowBytes = 0
    }
  }
}

async function drain(channel: Channel): Promise<void> {
  try {
    for await (const _ of channel) void _
  } catch {} // told by writing
}
