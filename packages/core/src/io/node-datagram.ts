// UDP sockets over node:dgram. Only node-network.ts uses it. Proof: io/node-network.test.ts with testing/suites/network.ts.
import { createSocket, type Socket } from 'node:dgram'
import { isIP } from 'node:net'
import type { DatagramSocket } from '../contracts/socket.ts'
import { plainHost, socketAddress } from './addresses.ts'
import { bindError, checkPort } from './errors.ts'

const RECEIVE_BUFFER_BYTES = 4 << 20
/** Datagrams the kernel does not take at once wait in libuv; beyond this much they are dropped, as a router would. */
const MAX_SEND_QUEUE_BYTES = 4 << 20

/** @throws ERR_ARGUMENT (port taken), ERR_UNSUPPORTED (family or address not available here) */
export async function bindDatagram(options: { family: 4 | 6; port?: number; host?: string }): Promise<DatagramSocket> {
  checkPort(options.port ?? 0, 0) // node:dgram would wrap it
  const socket = createSocket({
    type: options.family === 4 ? 'udp4' : 'udp6',
    ipv6Only: options.family === 6,
    recvBufferSize: RECEIVE_BUFFER_BYTES,
    lookup: (host, _options, done) => done(null, host, options.family), // hosts are numeric: no resolver on the way
  })
  return new Promise((resolve, reject) => {
    const refused = (error: Error) => {
      socket.close()
      reject(bindError(error, 'UDP'))
    }
    socket.once('error', refused)
    try {
      socket.bind({ port: options.port ?? 0, ...(options.host === undefined ? {} : { address: options.host }) }, () => {
        socket.off('error', refused)
        socket.on('error', () => {}) // loss is normal
        resolve(wrap(socket, options.family))
      })
    } catch (error) {
      refused(error as Error)
    }
  })
}

function wrap(socket: Socket, family: 4 | 6): DatagramSocket {
  const bound = socket.address()
  let closing: Promise<void> | undefined
  const result: DatagramSocket = {
    local: socketAddress(bound.address, bound.port),
    onDatagram: () => {},
    send(bytes, to) {
      if (closing || isIP(to.host) !== family || !(to.port > 0 && to.port < 65_536) || socket.getSendQueueSize() > MAX_SEND_QUEUE_BYTES) return
      socket.send(Buffer.from(bytes), to.port, to.host, () => {})
    },
    close() {
      closing ??= new Promise((resolve) => socket.close(() => resolve()))
      return closing
    },
  }
  socket.on('message', (message, from) => {
    if (!closing) result.onDatagram(new Uint8Array(message.buffer, message.byteOffset, message.length), { host: plainHost(from.address), port: from.port, family })
  })
  return result
}
