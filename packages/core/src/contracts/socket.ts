// Sockets as the SDK needs them. Types only. Real: core/io/node-network.ts. Double: core/testing/sim-network.ts.
// Suite: testing/suites/network.ts.
import type { Op } from './service.ts'

export interface SocketAddress {
  /** Textual IPv4 or IPv6 address, no zone, no brackets; IPv4-mapped IPv6 appears as IPv4. */
  host: string
  port: number
  family: 4 | 6
}

export interface DatagramSocket {
  readonly local: SocketAddress
  /** Fire and forget: loss is normal, errors are dropped. `bytes` is not kept. */
  send(bytes: Uint8Array, to: SocketAddress): void
  /** `bytes` is lent for the duration of the call. */
  onDatagram: (bytes: Uint8Array, from: SocketAddress) => void
  close(): Promise<void>
}

/**
 * A TCP connection. Reads are pulled, so not reading is back-pressure. One stream of bytes: every iterator continues where
 * the last one stopped, and leaving a loop does not close the socket. The iteration ends when either side closed, and
 * throws ERR_LINK_LOST when the connection broke or was aborted.
 */
export interface StreamSocket extends AsyncIterable<Uint8Array> {
  readonly local: SocketAddress
  readonly remote: SocketAddress
  /** Resolves when the bytes are accepted below the high-water mark; they must not change before. @throws ERR_LINK_LOST once closed. */
  write(bytes: Uint8Array): Promise<void>
  /** Flushes, then ends both directions. */
  close(): Promise<void>
  /** Ends both directions at once; pending reads and writes end with ERR_LINK_LOST. */
  abort(reason?: Error): void
}

export interface StreamListener {
  readonly local: SocketAddress
  close(): Promise<void>
}

export interface Network {
  /** Addresses of the up, non-internal interfaces; loopback addresses only when there are no others. */
  addresses(): { host: string; family: 4 | 6 }[]
  /** Numeric addresses of a host name or of a numeric host; empty when it does not resolve. */
  resolve(host: string, op?: Op): Promise<{ host: string; family: 4 | 6 }[]>
  /** Binds to all addresses of a family, or to `host`. Port 0 = any. */
  bindDatagram(options: { family: 4 | 6; port?: number; host?: string }): Promise<DatagramSocket>
  listenStream(options: { host: string; port?: number; onConnection: (socket: StreamSocket) => void }): Promise<StreamListener>
  /** @throws ERR_NO_ROUTE when refused or unreachable. */
  connectStream(to: { host: string; port: number }, options?: { localHost?: string; localPort?: number } & Op): Promise<StreamSocket>
}
