// The multiplexer of a link: messages in, messages out, channels by number. No sockets: bytes are pushed in and handed to `send`;
// time comes from the clock. docs/protocol/02 §4. Proof: mux/mux.test.ts (state table, bounds, fairness).
import { type Deferred, deferred, JamiError, limitError } from '@jamikit/core/base'
import type { Clock, Timer } from '@jamikit/core/contracts'
import { BEACON_MS, MAX_CHANNELS, MAX_NAME_LENGTH, MAX_PENDING_CHANNELS, MAX_STRANGE_OBJECTS } from '../defaults.ts'
import { CONTROL, decodeControl, encodeBeacon, encodeChannelRequest, encodeMessage, encodeVersion, MAX_PAYLOAD, MuxDecoder, PROTOCOL, STATE } from '../wire/mux-frame.ts'

const VERSION = 1

/** The application's end of a numbered channel. */
export interface ChannelSink {
  data(bytes: Uint8Array): void
  /** The peer ended it, or (with an error) the link is gone. */
  ended(error: Error | undefined): void
  /** Send one message: it is this channel's turn. */
  pump(): void
  /** More messages wait. */
  readonly pending: boolean
}

export interface MuxHost {
  /** False when the transport is full; `Mux.drained()` tells when it is not. */
  send(bytes: Uint8Array): boolean
  /** A channel is asked for; answer with `Mux.answer`. */
  onRequest(name: string, id: number): void
  /** The link must be closed. */
  onFatal(error: JamiError): void
}

interface Opening {
  readonly sink: ChannelSink
  readonly answer: Deferred<boolean>
}

export class Mux {
  readonly #clock: Clock
  readonly #host: MuxHost
  readonly #decoder = new MuxDecoder()
  readonly #channels = new Map<number, ChannelSink>() // bounded by MAX_CHANNELS
  readonly #opening = new Map<number, Opening>() // bounded by MAX_CHANNELS
  readonly #asked = new Map<number, string>() // bounded by MAX_PENDING_CHANNELS
  /** Channels with something to send, in turn. */
  readonly #ready: Set<ChannelSink> = new Set() // bounded by MAX_CHANNELS
  readonly #sinks = new WeakMap<ChannelSink, number>()
  /** What waits to be sent in all channels, counted by them. */
  unsentBytes = 0
  #nextId: number
  #blocked = false
  #strange = 0
  #peerVersion = 0
  #pings = 0
  #beacon: Timer | undefined
  #closed: Error | undefined

  /** @param client TLS client: ids from 1, else from 0x8000 */
  constructor(clock: Clock, client: boolean, host: MuxHost) {
    this.#clock = clock
    this.#host = host
    this.#nextId = client ? 1 : 0x8000
  }

  get channelCount(): number {
    return this.#channels.size
  }

  /** Open, and on their way to be: what is asked for counts before it is answered. */
  get #used(): number {
    return this.#channels.size + this.#opening.size + this.#asked.size
  }

  /** First thing on a new link. */
  start(): void {
    this.#send(encodeVersion(VERSION))
  }

  /** Bytes of the link. */
  receive(bytes: Uint8Array): void {
    if (this.#closed) return
    try {
      for (const item of this.#decoder.push(bytes)) {
        if (item === 'strange') {
          if (++this.#strange > MAX_STRANGE_OBJECTS) throw limitError('objects of a wrong shape', this.#strange, MAX_STRANGE_OBJECTS)
        } else if (item.channel === CONTROL || item.channel === PROTOCOL) this.#control(item.data)
        else this.#data(item.channel, item.data)
        if (this.#closed) return
      }
    } catch (error) {
      this.#host.onFatal(JamiError.from(error, 'ERR_CODEC'))
    }
  }

  /** Asks for a channel; `sink` gets what follows the peer's ACCEPT. False when declined or abandoned. @throws ERR_LIMIT, ERR_LINK_LOST */
  async open(name: string, sink: ChannelSink): Promise<boolean> {
    if (this.#closed) throw this.#lost()
    if (this.#used >= MAX_CHANNELS) throw limitError('channels of a link', this.#used + 1, MAX_CHANNELS)
    const id = this.#allocate()
    const answer = deferred<boolean>()
    this.#opening.set(id, { sink, answer })
    this.#send(encodeChannelRequest(name, id, STATE.request))
    return answer.promise
  }

  /** Gives up waiting for an answer: a late ACCEPT is answered with the end of the channel. */
  abandon(sink: ChannelSink): void {
    for (const [id, opening] of this.#opening) {
      if (opening.sink !== sink) continue
      this.#opening.delete(id)
      opening.answer.resolve(false)
      return
    }
  }

  /** Answers a request: accepted when there is a sink for it. */
  answer(id: number, sink: ChannelSink | undefined): void {
    const name = this.#asked.get(id)
    if (name === undefined || this.#closed) return
    this.#asked.delete(id)
    if (sink) this.#attach(id, sink)
    this.#send(encodeChannelRequest(name, id, sink ? STATE.accept : STATE.decline))
  }

  #attach(id: number, sink: ChannelSink): void {
    this.#channels.set(id, sink)
    this.#sinks.set(sink, id)
  }

  /** True when the transport takes more; else the sink's `pump` is called in its turn. */
  mayWrite(sink: ChannelSink): boolean {
    if (!this.#blocked) return true
    this.#ready.add(sink)
    return false
  }

  /** A message of this sink, ready for `write`; a copy. @param bytes 1 to 65,535 bytes */
  encode(sink: ChannelSink, bytes: Uint8Array): Uint8Array | undefined {
    const id = this.#sinks.get(sink)
    return id === undefined || bytes.length === 0 || bytes.length > MAX_PAYLOAD ? undefined : encodeMessage(id, bytes)
  }

  /** Sends what `encode` made. */
  write(sink: ChannelSink, message: Uint8Array | undefined): void {
    if (message && this.#sinks.has(sink) && !this.#closed) this.#send(message)
  }

  /** Ends a channel from our side. */
  end(sink: ChannelSink): void {
    const id = this.#forget(sink)
    if (id !== undefined && !this.#closed) this.#send(encodeMessage(id, new Uint8Array(0)))
  }

  /** The transport takes bytes again: waiting channels send in turn, one message each. */
  drained(): void {
    this.#blocked = false
    while (!this.#blocked && this.#ready.size > 0) {
      const [sink] = this.#ready
      if (!sink) return
      this.#ready.delete(sink)
      if (!this.#sinks.has(sink)) continue
      sink.pump()
      if (sink.pending) this.#ready.add(sink)
    }
  }

  /** Asks for a sign of life; the link is closed when none comes in 3 s. Nothing happens before the peer told its version. */
  ping(): void {
    if (this.#peerVersion < 1 || this.#closed) return
    this.#pings++
    this.#send(encodeBeacon(true))
    this.#beacon ??= this.#expectPong()
  }

  #expectPong(): Timer {
    return this.#clock.after(BEACON_MS, () => {
      this.#beacon = undefined
      this.#host.onFatal(new JamiError('ERR_LINK_LOST', `no answer to a ping within ${BEACON_MS} ms`))
    })
  }

  /** The link is over: every channel ends with this reason. */
  close(reason: Error): void {
    if (this.#closed) return
    this.#closed = reason
    this.#beacon?.cancel()
    for (const opening of this.#opening.values()) opening.answer.reject(this.#lost())
    this.#opening.clear()
    this.#asked.clear()
    this.#ready.clear()
    const sinks = [...this.#channels.values()]
    this.#channels.clear()
    for (const sink of sinks) {
      this.#sinks.delete(sink)
      sink.ended(this.#lost())
    }
  }

  #lost(): JamiError {
    return JamiError.is(this.#closed) ? this.#closed : new JamiError('ERR_LINK_LOST', 'the link was lost', { cause: this.#closed })
  }

  #send(bytes: Uint8Array): void {
    if (!this.#host.send(bytes)) this.#blocked = true
  }

  #forget(sink: ChannelSink): number | undefined {
    const id = this.#sinks.get(sink)
    if (id === undefined) return undefined
    this.#sinks.delete(sink)
    this.#ready.delete(sink)
    this.#channels.delete(id)
    return id
  }

  #allocate(): number {
    for (;;) {
      const id = this.#nextId
      this.#nextId = id >= 0xfffe ? 1 : id + 1
      if (!this.#channels.has(id) && !this.#opening.has(id) && !this.#asked.has(id)) return id
    }
  }

  #data(id: number, bytes: Uint8Array): void {
    const sink = this.#channels.get(id)
    if (!sink) return // never opened, or ended by us
    if (bytes.length > 0) return sink.data(bytes)
    this.#forget(sink)
    sink.ended(undefined)
  }

  #control(payload: Uint8Array): void {
    for (const object of decodeControl(payload)) {
      if (object.kind === 'version') this.#peerVersion = Math.max(this.#peerVersion, object.version)
      else if (object.kind === 'beacon') {
        if (object.ping) this.#send(encodeBeacon(false))
        else if (this.#pings > 0) {
          this.#pings--
          this.#beacon?.cancel()
          this.#beacon = this.#pings > 0 ? this.#expectPong() : undefined
        }
      } else this.#channel(object.name, object.channel, object.state)
    }
  }

  #channel(name: string, id: number, state: number): void {
    if (state === STATE.request) {
      const taken = id === CONTROL || id === PROTOCOL || this.#channels.has(id) || this.#opening.has(id) || this.#asked.has(id)
      if (taken || name.length > MAX_NAME_LENGTH || this.#asked.size >= MAX_PENDING_CHANNELS || this.#used >= MAX_CHANNELS)
        return this.#send(encodeChannelRequest(name.slice(0, MAX_NAME_LENGTH), id, STATE.decline))
      this.#asked.set(id, name)
      return this.#host.onRequest(name, id)
    }
    const opening = this.#opening.get(id)
    if (opening) {
      this.#opening.delete(id)
      if (state === STATE.accept) this.#attach(id, opening.sink) // at once: data may follow in the same bytes
      opening.answer.resolve(state === STATE.accept)
    } else if (state === STATE.accept && !this.#channels.has(id)) this.#send(encodeMessage(id, new Uint8Array(0))) // nobody waits any more
    else if (state !== STATE.accept) {
      const sink = this.#channels.get(id)
      if (!sink) return
      this.#forget(sink)
      sink.ended(undefined)
    }
  }
}
