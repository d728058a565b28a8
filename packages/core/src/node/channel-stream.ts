// The Node and Web Streams faces of a channel. The only users of node:stream in core.
// docs/protocol/02 §4.4. Proof: node/channel-stream.test.ts.
import { Duplex, Readable, Writable } from 'node:stream'
import { JamiError } from '../base/errors.ts'
import type { Channel as WireChannel } from '../contracts/channel.ts'
import type { Channel } from './api.ts'

/** Names of SDK protocols on the wire; stock clients decline them. */
export const PROTOCOL_SCHEME = 'jamikit'

export function protocolOf(name: string): string {
  return name.slice(PROTOCOL_SCHEME.length + 1)
}

/** @throws ERR_ARGUMENT */
export function channelName(protocol: string): string {
  if (typeof protocol !== 'string' || !/^[A-Za-z0-9._/-]{1,100}$/.test(protocol))
    throw new JamiError('ERR_ARGUMENT', `protocol: got ${String(protocol).slice(0, 120)}, allowed 1 to 100 of A-Z a-z 0-9 . _ / -`)
  return `${PROTOCOL_SCHEME}:${protocol}`
}

class ChannelStream extends Duplex implements Channel {
  readonly protocol: string
  readonly remote: Channel['remote']
  readonly #channel: WireChannel
  readonly #reader: AsyncIterator<Uint8Array>

  constructor(channel: WireChannel) {
    super({ allowHalfOpen: false, readableHighWaterMark: 256 * 1024, writableHighWaterMark: 256 * 1024 })
    this.#channel = channel
    this.#reader = channel[Symbol.asyncIterator]()
    this.protocol = protocolOf(channel.name)
    this.remote = { uri: channel.remote.accountId, device: channel.remote.deviceId }
    this.on('error', () => {}) // a link that is lost is told to whoever listens or reads; it never ends the process of a program that does neither
    void channel.closed.then((error) => {
      if (error) this.destroy(error)
    })
  }

  get path(): Channel['path'] {
    return this.#channel.path
  }

  override _read(): void {
    this.#reader.next().then(
      (item) => this.push(item.done ? null : item.value),
      (error: Error) => this.destroy(error),
    )
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#channel.write(chunk).then(() => done(), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#channel.close().then(() => done(), done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (error) this.#channel.abort(error)
    else void this.#channel.close().catch(() => {})
    done(error)
  }

  web(): { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> } {
    return { readable: Readable.toWeb(this) as ReadableStream<Uint8Array>, writable: Writable.toWeb(this) as WritableStream<Uint8Array> }
  }
}

export function channelStream(channel: WireChannel): Channel {
  return new ChannelStream(channel)
}
