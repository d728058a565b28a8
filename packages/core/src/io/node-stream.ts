// TCP sockets over node:net with pulled reads. Only node-network.ts uses it.
// Proof: io/node-network.test.ts with testing/suites/network.ts.
import { connect, createServer, type Server, type Socket } from 'node:net'
import { JamiError } from '../base/errors.ts'
import { throwIfAborted, withOp } from '../base/operation.ts'
import type { Op } from '../contracts/service.ts'
import type { StreamListener, StreamSocket } from '../contracts/socket.ts'
import { socketAddress } from './addresses.ts'
import { bindError, checkPort, connectError, lostError } from './errors.ts'
import { systemClock } from './system-clock.ts'

/** How long close() waits for the peer to take what was written, and then for its end of the connection. */
const FLUSH_MS = 5000
const LINGER_MS = 500

/** @throws ERR_ARGUMENT (port taken), ERR_UNSUPPORTED (address not available) */
export async function listenStream(options: { host: string; port?: number; onConnection: (socket: StreamSocket) => void }): Promise<StreamListener> {
  checkPort(options.port ?? 0, 0)
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => options.onConnection(new NodeStreamSocket(socket)))
  return new Promise((resolve, reject) => {
    const refused = (error: Error) => reject(bindError(error, 'TCP'))
    server.once('error', refused)
    try {
      server.listen({ host: options.host, port: options.port ?? 0, ipv6Only: options.host.includes(':') }, () => {
        server.off('error', refused)
        server.on('error', () => {}) // a failed accept (no descriptors left) costs that connection
        resolve(listener(server))
      })
    } catch (error) {
      refused(error as Error)
    }
  })
}

function listener(server: Server): StreamListener {
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new JamiError('ERR_INTERNAL', 'a TCP server without address')
  return {
    local: socketAddress(bound.address, bound.port),
    async close() {
      if (server.listening) server.close() // the port is free at once; connections belong to whoever got them
    },
  }
}

/** @throws ERR_NO_ROUTE, ERR_ARGUMENT for a bad port, ERR_ABORTED, ERR_TIMEOUT */
export async function connectStream(to: { host: string; port: number }, options: { localHost?: string; localPort?: number } & Op = {}): Promise<StreamSocket> {
  checkPort(to.port, 1)
  checkPort(options.localPort ?? 0, 0)
  throwIfAborted(options.signal)
  return withOp(systemClock(), options, `TCP connection to ${to.host} port ${to.port}`, (signal) => open(to, options, signal))
}

function open(to: { host: string; port: number }, options: { localHost?: string; localPort?: number }, signal: AbortSignal): Promise<StreamSocket> {
  return new Promise((resolve, reject) => {
    let socket: Socket
    try {
      socket = connect({
        host: to.host,
        port: to.port,
        allowHalfOpen: true,
        noDelay: true,
        ...(options.localHost === undefined ? {} : { localAddress: options.localHost }),
        ...(options.localPort === undefined ? {} : { localPort: options.localPort }),
      })
    } catch (error) {
      return reject(connectError(error, to))
    }
    const stop = () => socket.destroy()
    const failed = (error?: unknown) => {
      signal.removeEventListener('abort', stop)
      reject(connectError(error, to))
    }
    signal.addEventListener('abort', stop, { once: true })
    socket.on('error', failed) // stays: after the connection is made it only settles a settled promise
    socket.once('close', failed)
    socket.once('connect', () => {
      signal.removeEventListener('abort', stop)
      socket.off('error', failed)
      socket.off('close', failed)
      resolve(new NodeStreamSocket(socket))
    })
  })
}

class NodeStreamSocket implements StreamSocket {
  readonly local
  readonly remote
  readonly #socket: Socket
  #readers: (() => void)[] = [] // bounded by the consumer's own pending next() calls
  #failure: JamiError | undefined
  #ended = false
  #closed = false
  #closing: Promise<void> | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    this.local = socketAddress(socket.localAddress, socket.localPort)
    this.remote = socketAddress(socket.remoteAddress, socket.remotePort)
    socket.on('readable', () => this.#wake())
    socket.on('end', () => {
      this.#ended = true
      this.#wake()
      void this.close() // no half-closed connections: once the peer ended, so do we
    })
    socket.on('error', (error) => {
      this.#failure ??= lostError(error)
    })
    socket.on('close', () => {
      this.#closed = true
      if (!this.#ended && !this.#closing) this.#failure ??= lostError(undefined)
      this.#wake()
    })
  }

  #wake(): void {
    const readers = this.#readers
    this.#readers = []
    for (const reader of readers) reader()
  }

  async #pull(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      if (this.#failure) throw this.#failure
      if (this.#ended || this.#closing || this.#closed) return { value: undefined, done: true }
      const chunk: Buffer | null = this.#socket.read()
      if (chunk) return { value: new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length), done: false } // a Buffer's slice() would not copy
      await new Promise<void>((resolve) => this.#readers.push(resolve))
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return { next: () => this.#pull() }
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#failure) throw this.#failure
    if (this.#closing || this.#closed) throw new JamiError('ERR_LINK_LOST', 'the TCP connection was closed')
    if (bytes.length === 0) return
    await new Promise<void>((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(this.#failure ?? lostError(error)) : resolve()))
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    const socket = this.#socket
    if (this.#closed) return
    const clock = systemClock()
    await new Promise<void>((resolve) => {
      let timer = clock.after(FLUSH_MS, () => socket.destroy())
      socket.once('close', () => {
        timer.cancel()
        resolve()
      })
      this.#wake()
      socket.end(() => {
        timer.cancel()
        timer = clock.after(LINGER_MS, () => socket.destroy())
        socket.removeAllListeners('readable')
        socket.resume() // what still comes is thrown away, so that the peer gets an end and not a reset
        if (this.#ended) socket.destroy()
      })
    })
  }

  abort(reason?: Error): void {
    if (this.#closed) return
    this.#failure ??= new JamiError('ERR_LINK_LOST', 'the TCP connection was aborted', reason === undefined ? {} : { cause: reason })
    this.#socket.destroy()
    this.#wake()
  }
}
