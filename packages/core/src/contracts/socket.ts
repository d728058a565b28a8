// Sockets as the SDK needs them. Types only. Real: core/io/node-network.ts. Double: core/testing/sim-network.ts.
// Suite: testing/suites/network.ts.
import type { Op } from './service.ts'

/** Where a socket is. */
export interface SocketAddress {
  /** Textual IPv4 or IPv6 address, no zone, no brackets; IPv4-mapped IPv6 appears as IPv4. */
  host: string
  /** 0 to 65,535. */
  port: number
  /** Of `host`. */
  family: 4 | 6
}

/** A UDP socket. */
export interface DatagramSocket {
  /** Where it is bound. */
  readonly local: SocketAddress
  /** Fire and forget: loss is normal, errors are dropped. `bytes` is not kept. */
  send(bytes: Uint8Array, to: SocketAddress): void
  /** `bytes` is lent for the duration of the call. */
  onDatagram: (bytes: Uint8Array, from: SocketAddress) => void
  /** Nothing is sent or received afterwards. Idempotent. */
  close(): Promise<void>
}

/**
 * A TCP connection. Reads are pulled, so not reading is back-pressure. One stream of bytes: every iterator continues where
 * the last one stopped, and leaving a loop does not close the socket. The iteration ends when either side closed, and
 * throws ERR_LINK_LOST when the connection broke or was aborted.
 */
export interface StreamSocket extends AsyncIterable<Uint8Array> {
  /** Our end. */
  readonly local: SocketAddress
  /** The other end. */
  readonly remote: SocketAddress
  /** Resolves when the bytes are accepted below the high-water mark; they must not change before. @throws ERR_LINK_LOST once closed. */
  write(bytes: Uint8Array): Promise<void>
  /** Flushes, then ends both directions. */
  close(): Promise<void>
  /** Ends both directions at once; pending reads and writes end with ERR_LINK_LOST. */
  abort(reason?: Error): void
}

/** A TCP port that takes connections. */
export interface StreamListener {
  /** Where it listens. */
  readonly local: SocketAddress
  /** Takes no more; those that are open stay. Idempotent. */
  close(): Promise<void>
}

/** Sockets and names: the only way to the outside. */
export interface Network {
  /** Addresses of the up, non-internal interfaces; loopback addresses only when there are no others. */
  addresses(): { host: string; family: 4 | 6 }[]
  /** Numeric addresses of a host name or of a numeric host; empty when it does not resolve. */
  resolve(host: string, op?: Op): Promise<{ host: string; family: 4 | 6 }[]>
  /** Binds to all addresses of a family, or to `host`. Port 0 = any. */
  bindDatagram(options: { family: 4 | 6; port?: number; host?: string }): Promise<DatagramSocket>
  /** Takes TCP connections at an address; port 0 = any. @throws ERR_ARGUMENT when the port is taken */
  listenStream(options: { host: string; port?: number; onConnection: (socket: StreamSocket) => void }): Promise<StreamListener>
  /** @throws ERR_NO_ROUTE when refused or unreachable. */
  connectStream(to: { host: string; port: number }, options?: { localHost?: string; localPort?: number } & Op): Promise<StreamSocket>
}
