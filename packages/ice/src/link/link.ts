// A live link to a device: TLS, multiplexer, keep-alive and channels, until one of them ends it.
// docs/protocol/02 §4.5–4.7. Proof: link/link.test.ts, manager/connection-manager.test.ts (contract suite), interop.
import type { TLSSocket } from 'node:tls'
import { JamiError, Slices, throwIfAborted, withOp } from '@jamikit/core/base'
import type { BaseEnv, Channel, ChannelPath, PeerIdentity, Timer } from '@jamikit/core/contracts'
import { CHANNEL_TIMEOUT_MS, CLOSE_TIMEOUT_MS, KEEPALIVE_JITTER_MS, KEEPALIVE_MS, MAX_UNSENT_BYTES, MESSAGE_OVERHEAD_BYTES, READ_SLICE_BYTES, RECEIVE_HIGH_BYTES, SEND_STALL_MS, SILENCE_MS, STALL_MS } from '../defaults.ts'
import { MuxChannel } from '../mux/channel.ts'
import { Mux } from '../mux/mux.ts'
import { BINDING_INDICATION, encodeStun } from '../wire/stun.ts'
import type { FramedConnection } from './framed-connection.ts'
import { ReadPressure } from './read-pressure.ts'

/** A channel request that somebody takes. */
export interface Taken {
  /** Gets the channel after the ACCEPT has left. */
  open(channel: Channel): void
  /** Instead: there will be no channel. */
  dropped(): void
}

export interface LinkOptions {
  readonly env: Pick<BaseEnv, 'clock' | 'random' | 'logger'>
  readonly socket: TLSSocket
  readonly connection: FramedConnection
  readonly peer: PeerIdentity
  readonly id: number
  /** TLS client. */
  readonly client: boolean
  readonly kind: ChannelPath['kind']
  /** Decides within 2.5 s; undefined declines. */
  readonly onRequest: (name: string) => Promise<Taken | undefined>
  readonly onClosed: (link: Link, reason: Error) => void
}

export class Link {
  readonly peer: PeerIdentity
  readonly id: number
  readonly path: ChannelPath
  /** Unix time, and the instant on the clock. */
  readonly openedAtMs: number
  readonly sinceMs: number
  readonly #o: LinkOptions
  readonly #mux: Mux
  readonly #pressure: ReadPressure
  /** What the readers of all channels take between two turns of the event loop. */
  readonly #slices: Slices
  readonly #open = new Map<string, MuxChannel>() // newest channel of each name; bounded by the channels
  #keepalive: Timer | undefined
  #sending: Timer | undefined
  #heardMs: number
  #lastBytesIn = 0
  /** Handed to TLS and not taken yet, with what each write costs. */
  #unsentBytes = 0 // bounded by MAX_UNSENT_BYTES
  /** When the system last took something of it. */
  #takenMs = 0
  #reading = false
  #wasUsed = false
  #closed: Error | undefined
  #ended: Promise<void> | undefined

  constructor(options: LinkOptions) {
    this.#o = options
    this.peer = options.peer
    this.id = options.id
    const { clock } = options.env
    const { socket, connection } = options
    this.openedAtMs = clock.wallTimeMs()
    this.sinceMs = this.#heardMs = clock.now()
    const { host, port, family } = connection.socket.remote
    this.path = { kind: options.kind, remote: family === 6 ? `[${host}]:${port}` : `${host}:${port}` }
    this.#slices = new Slices(clock, READ_SLICE_BYTES)
    this.#mux = new Mux(clock, options.client, {
      send: (bytes) => this.#send(bytes),
      onRequest: (name, id) => void this.#request(name, id),
      onFatal: (error) => void this.close(error),
    })
    this.#pressure = new ReadPressure(clock, {
      pause: () => void socket.pause(),
      resume: () => void (this.#reading && !this.#closed && socket.resume()),
      end: (channel) => this.#endUnread(channel as MuxChannel),
    })
    connection.onSent = () => {
      this.#takenMs = clock.now()
    }
    socket.on('drain', () => {
      this.#sending?.cancel()
      this.#sending = undefined
      this.#mux.drained()
    })
    socket.once('end', () => void this.close(new JamiError('ERR_LINK_LOST', 'the peer closed the link')))
    socket.once('close', () => void this.close(new JamiError('ERR_LINK_LOST', 'the connection ended')))
    socket.on('error', (error) => void this.close(JamiError.from(error, 'ERR_LINK_LOST')))
    connection.once('close', () => void this.close(new JamiError('ERR_LINK_LOST', 'the connection ended')))
  }

  #send(bytes: Uint8Array): boolean {
    const { socket } = this.#o
    if (this.#closed || socket.destroyed) return false
    const cost = bytes.length + MESSAGE_OVERHEAD_BYTES
    this.#unsentBytes += cost
    const room = socket.write(bytes, () => {
      this.#unsentBytes -= cost
    })
    // only answers can pile up like this: data waits in its channel
    if (this.#unsentBytes > MAX_UNSENT_BYTES)
      void this.close(new JamiError('ERR_LIMIT', 'the peer asks without reading the answers', { details: { got: this.#unsentBytes, allowed: MAX_UNSENT_BYTES } }))
    if (!room) this.#sending ??= this.#expectDrain(this.#o.env.clock.now())
    return room
  }

  /** As long as something waits, the peer must take some of it now and then: a look is due a minute after the last time it did. */
  #expectDrain(sinceMs: number): Timer {
    const { clock } = this.#o.env
    return clock.after(sinceMs + SEND_STALL_MS - clock.now(), () => {
      this.#sending = undefined
      if (this.#closed || !this.#o.socket.writableNeedDrain) return
      if (this.#takenMs <= sinceMs) void this.close(new JamiError('ERR_LINK_LOST', `the peer took nothing for ${SEND_STALL_MS} ms`))
      else this.#sending = this.#expectDrain(this.#takenMs)
    })
  }

  /** Begins to read; handlers must be in place. */
  start(): void {
    this.#mux.start()
    this.#o.socket.on('data', (bytes: Buffer) => this.#mux.receive(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)))
    this.#reading = true
    if (!this.#pressure.paused) this.#o.socket.resume()
    this.#scheduleKeepalive()
  }

  get isOpen(): boolean {
    return this.#closed === undefined
  }

  /** It had a channel. */
  get wasUsed(): boolean {
    return this.#wasUsed
  }

  get channels(): number {
    return this.#mux.channelCount
  }

  get bytesIn(): number {
    return this.#o.connection.bytesIn
  }

  get bytesOut(): number {
    return this.#o.connection.bytesOut
  }

  /** An open channel of this name, opened by either side. */
  find(name: string): Channel | undefined {
    return this.#open.get(name)
  }

  /** @throws ERR_CHANNEL_DECLINED, ERR_LINK_LOST, ERR_LIMIT, ERR_ABORTED, ERR_TIMEOUT */
  async openChannel(name: string, signal: AbortSignal): Promise<Channel> {
    throwIfAborted(signal)
    const channel = this.#make(name)
    try {
      const accepted = await withOp(this.#o.env.clock, { signal, timeoutMs: CHANNEL_TIMEOUT_MS }, `channel ${name}`, () => this.#mux.open(name, channel))
      if (!accepted) throw new JamiError('ERR_CHANNEL_DECLINED', `device ${this.peer.deviceId} declined channel ${name}`, { details: { name } })
    } catch (error) {
      this.#mux.abandon(channel)
      channel.abort(JamiError.from(error))
      throw error
    }
    this.#keep(channel)
    return channel
  }

  /** Is the peer still there? Closes the link when it does not answer. */
  probe(): void {
    if (!this.#pressure.paused) this.#mux.ping() // else the answer could not be read, and the peer is not to blame
  }

  /** Ends all channels, says goodbye in TLS, closes the connection. Resolves when it is gone. */
  close(reason: Error): Promise<void> {
    this.#ended ??= this.#close(reason)
    return this.#ended
  }

  async #close(reason: Error): Promise<void> {
    this.#closed = reason
    const { socket, connection, env } = this.#o
    this.#keepalive?.cancel()
    this.#sending?.cancel()
    this.#pressure.close()
    this.#mux.close(reason)
    this.#o.onClosed(this, reason)
    if (!socket.destroyed) {
      socket.removeAllListeners('data')
      socket.resume()
      socket.end()
      await withOp(env.clock, { timeoutMs: CLOSE_TIMEOUT_MS }, 'close_notify', () => new Promise<void>((resolve) => {
        if (socket.destroyed || connection.destroyed) return resolve()
        socket.once('close', () => resolve())
        socket.once('end', () => resolve())
        connection.once('close', () => resolve())
      })).catch(() => {})
    }
    socket.destroy()
    connection.destroy()
  }

  #make(name: string): MuxChannel {
    return new MuxChannel(this.#mux, name, this.peer, this.path, (channel, by) => this.#pressure.changed(channel, by), this.#slices)
  }

  #keep(channel: MuxChannel): void {
    this.#wasUsed = true
    this.#open.set(channel.name, channel)
    void channel.closed.then(() => {
      if (this.#open.get(channel.name) === channel) this.#open.delete(channel.name)
    })
  }

  async #request(name: string, id: number): Promise<void> {
    const taken = await this.#o.onRequest(name).catch(() => undefined)
    if (!taken || this.#closed) {
      taken?.dropped()
      return this.#mux.answer(id, undefined)
    }
    const channel = this.#make(name)
    this.#keep(channel)
    this.#mux.answer(id, channel)
    taken.open(channel)
  }

  #endUnread(channel: MuxChannel): void {
    this.#o.env.logger.warn({ device: this.peer.deviceId, channel: channel.name }, 'a channel was ended: its reader does not keep up')
    channel.giveUp(new JamiError('ERR_LIMIT', `channel ${channel.name}: its reader took too little in ${STALL_MS} ms, and held up every other channel of the link`, {
      details: { got: channel.waitingBytes, allowed: RECEIVE_HIGH_BYTES },
    }))
  }

  #scheduleKeepalive(): void {
    const { clock, random } = this.#o.env
    this.#keepalive = clock.after(KEEPALIVE_MS + random.below(KEEPALIVE_JITTER_MS), () => {
      const { connection } = this.#o
      const now = clock.now()
      if (connection.bytesIn !== this.#lastBytesIn) this.#heardMs = now
      this.#lastBytesIn = connection.bytesIn
      connection.sendStun(encodeStun({ type: BINDING_INDICATION, transaction: random.bytes(12) }))
      if (now - this.#heardMs > SILENCE_MS) this.probe()
      if (!this.#closed) this.#scheduleKeepalive()
    })
  }
}
