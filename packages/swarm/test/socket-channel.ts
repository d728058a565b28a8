// A TCP socket as a channel: how stock git talks to our server in tests.
import type { Socket } from 'node:net'
import type { Channel } from '@jamikit/core/contracts'
import { testPeer } from '@jamikit/core/testing'
import { bob } from './people.ts'

export function socketChannel(socket: Socket): Channel {
  const closed = new Promise<Error | undefined>((resolve) => socket.once('close', () => resolve(undefined)))
  socket.on('error', () => {})
  return {
    name: 'git', remote: testPeer(bob), path: { kind: 'host', remote: '127.0.0.1:1' }, closed,
    write: (bytes) => new Promise((resolve, reject) => socket.write(bytes.slice(), (error) => (error ? reject(error) : resolve()))),
    async close() {
      socket.end()
      const drain = () => {
        while (socket.read() !== null) {} // what nobody reads any more would keep it open; cutting it off could cost the other side our last words
      }
      socket.on('readable', drain)
      drain()
      await closed
    },
    abort: () => void socket.destroy(),
    async *[Symbol.asyncIterator]() {
      for await (const chunk of socket) yield new Uint8Array(chunk as Buffer)
    },
  }
}
