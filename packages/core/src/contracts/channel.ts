// An ordered, reliable byte channel to a verified device. Types only. Real: @jamikit/ice mux. Double: core/testing/channel-pair.ts.
// Suite: testing/suites/channel.ts. Source: docs/protocol/02 §4. There is no half-close on this wire.
import type { PeerIdentity } from './identity.ts'

/** How a link goes. */
export interface ChannelPath {
  /** Kind of the local candidate in use. */
  readonly kind: 'host' | 'srflx' | 'prflx' | 'relay'
  /** Remote address, `host:port` or `[v6]:port`. */
  readonly remote: string
}

/**
 * Reading is back-pressure; but as the wire has no windows, an unread channel holds up its whole link, and one whose reader stays
 * away for long is ended with ERR_LIMIT.
 */
export interface Channel extends AsyncIterable<Uint8Array> {
  /** Full name, `msg:…`, `git://…`. */
  readonly name: string
  /** The verified device at the other end. */
  readonly remote: PeerIdentity
  /** Of the link that carries it. */
  readonly path: ChannelPath
  /**
   * Resolves when the bytes are accepted below the high-water mark (back-pressure). Copies what it keeps. An empty write
   * does nothing. Writes up to 65,535 bytes travel in one multiplexer message.
   * @throws ERR_CHANNEL_CLOSED, ERR_LINK_LOST
   */
  write(bytes: Uint8Array): Promise<void>
  /** Sends what was written, then the end marker; what waits to be read here is dropped. Idempotent. */
  close(): Promise<void>
  /** Ends now, dropping unsent bytes; both iterations end with the reason. Idempotent. */
  abort(reason?: Error): void
  /** Settles (never rejects) when the channel is over: undefined = ended by either side, error = aborted or link lost. */
  readonly closed: Promise<Error | undefined>
}
