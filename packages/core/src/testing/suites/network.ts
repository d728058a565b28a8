// Contract suite of Network: real sockets on loopback and the simulated network.
import { deepStrictEqual, ok } from 'node:assert/strict'
import { concatBytes, utf8 } from '../../codec/bytes.ts'
import type { DatagramSocket, Network, SocketAddress, StreamListener, StreamSocket } from '../../contracts/socket.ts'
import { type ContractTest, rejectsWith, sameBytes } from './contract-test.ts'

/** Two hosts that reach each other without loss. */
export interface NetworkUnderTest {
  /** One host's network. */
  readonly a: Network
  /** The other one's. */
  readonly b: Network
  /** An address of the first. */
  readonly hostA: string
  /** An address of the second. */
  readonly hostB: string
  /** Of both addresses. */
  readonly family: 4 | 6
  /** Waits for `work`, letting the time of the network pass. */
  drive<T>(work: Promise<T>): Promise<T>
  /** Ends what it is made of. */
  dispose?(): Promise<void>
}

type Tools = NetworkUnderTest & {
  datagram(side: 'a' | 'b', port?: number): Promise<DatagramSocket>
  listen(): Promise<{ listener: StreamListener; accepted: Promise<StreamSocket> }>
  pair(): Promise<[StreamSocket, StreamSocket]>
}

const CHUNK = 65_536
/** More than this must not be taken from a writer whose reader does not read. */
const MAX_UNREAD = 512

function received(socket: DatagramSocket, count: number): Promise<{ bytes: Uint8Array; from: SocketAddress }[]> {
  return new Promise((resolve) => {
    const got: { bytes: Uint8Array; from: SocketAddress }[] = []
    socket.onDatagram = (bytes, from) => {
      got.push({ bytes: bytes.slice(), from })
      if (got.length === count) resolve(got)
    }
  })
}

async function readAll(socket: StreamSocket, atMost = Infinity): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  const iterator = socket[Symbol.asyncIterator]()
  while (length < atMost) {
    const { value, done } = await iterator.next()
    if (done) break
    parts.push(value)
    length += value.length
  }
  return concatBytes(...parts)
}

/** What a Network must do, as tests to run one by one. @param make makes a fresh one for each test */
export function networkSuite(make: () => NetworkUnderTest | Promise<NetworkUnderTest>): ContractTest[] {
  const test = (title: string, run: (t: Tools) => Promise<void>): ContractTest => ({
    title,
    run: async () => {
      const t = await make()
      const cleanup: (() => unknown)[] = []
      const keep = <S>(socket: S, close: () => unknown): S => {
        cleanup.push(close)
        return socket
      }
      const tools: Tools = {
        ...t,
        async datagram(side, port) {
          const options = { family: t.family, host: side === 'a' ? t.hostA : t.hostB, ...(port === undefined ? {} : { port }) }
          const socket = await t.drive((side === 'a' ? t.a : t.b).bindDatagram(options))
          return keep(socket, () => socket.close())
        },
        async listen() {
          let give: (socket: StreamSocket) => void = () => {}
          const accepted = new Promise<StreamSocket>((resolve) => {
            give = (socket) => resolve(keep(socket, () => socket.abort()))
          })
          const listener = await t.drive(t.b.listenStream({ host: t.hostB, onConnection: (socket) => give(socket) }))
          return { listener: keep(listener, () => listener.close()), accepted }
        },
        async pair() {
          const { listener, accepted } = await tools.listen()
          const client = await t.drive(t.a.connectStream({ host: t.hostB, port: listener.local.port }))
          keep(client, () => client.abort())
          return [client, await t.drive(accepted)]
        },
      }
      try {
        await run(tools)
      } finally {
        for (const close of cleanup.reverse()) await t.drive(Promise.resolve(close()))
        await t.dispose?.()
      }
    },
  })
  return [
    test('addresses() names addresses without zone or brackets', async ({ a }) => {
      const list = a.addresses()
      ok(list.length > 0)
      for (const { host, family } of list) ok(family === (host.includes(':') ? 6 : 4) && !/[%[\]]/.test(host), host)
    }),
    test('resolve() gives a numeric host itself, and nothing for what does not resolve', async ({ a, hostB, family, drive }) => {
      deepStrictEqual(await drive(a.resolve(hostB)), [{ host: hostB, family }])
      deepStrictEqual(await drive(a.resolve('nothing.invalid')), [])
      await rejectsWith('ERR_ABORTED', drive(a.resolve('other.invalid', { signal: AbortSignal.abort() })))
    }),
    test('a datagram arrives whole, with the address of its sender', async (t) => {
      const [a, b] = [await t.datagram('a'), await t.datagram('b')]
      ok(a.local.port > 0 && a.local.family === t.family)
      deepStrictEqual(a.local.host, t.hostA)
      const arriving = received(b, 1)
      a.send(utf8('hello'), b.local)
      const [first] = await t.drive(arriving)
      sameBytes(first?.bytes, utf8('hello'))
      deepStrictEqual(first?.from, a.local)
    }),
    test('send() keeps nothing of the caller: the buffer may change at once', async (t) => {
      const [a, b] = [await t.datagram('a'), await t.datagram('b')]
      const arriving = received(b, 3)
      const buffer = new Uint8Array(1000)
      for (const fill of [1, 2, 3]) a.send(buffer.fill(fill), b.local)
      buffer.fill(9)
      const got = await t.drive(arriving)
      deepStrictEqual(got.map(({ bytes }) => [bytes.length, bytes[0], bytes[999]]).sort(), [[1000, 1, 1], [1000, 2, 2], [1000, 3, 3]])
    }),
    test('datagrams that cannot be sent are dropped without an error', async (t) => {
      const [a, b] = [await t.datagram('a'), await t.datagram('b')]
      const arriving = received(b, 1)
      a.send(utf8('x'), { host: t.family === 4 ? '::1' : '127.0.0.1', port: 9, family: t.family === 4 ? 6 : 4 })
      a.send(utf8('x'), { host: t.hostB, port: 0, family: t.family })
      a.send(utf8('x'), { host: 'not an address', port: 9, family: t.family })
      a.send(new Uint8Array(70_000), b.local)
      a.send(utf8('good'), b.local)
      const [first] = await t.drive(arriving)
      sameBytes(first?.bytes, utf8('good'))
    }),
    test('two sockets cannot have the same port, and a closed one gives it back', async (t) => {
      const first = await t.datagram('a')
      await rejectsWith('ERR_ARGUMENT', t.drive(t.a.bindDatagram({ family: t.family, host: t.hostA, port: first.local.port })))
      await t.drive(first.close())
      const second = await t.datagram('a', first.local.port)
      deepStrictEqual(second.local.port, first.local.port)
    }),
    test('a closed datagram socket neither sends nor receives', async (t) => {
      const [a, b, c] = [await t.datagram('a'), await t.datagram('b'), await t.datagram('a')]
      await t.drive(a.close())
      await t.drive(a.close())
      a.onDatagram = () => {
        throw new Error('received after close')
      }
      const arriving = received(b, 1)
      a.send(utf8('late'), b.local)
      c.send(utf8('void'), a.local)
      c.send(utf8('good'), b.local)
      sameBytes((await t.drive(arriving))[0]?.bytes, utf8('good'))
    }),
    test('a stream carries bytes both ways, and both ends agree about addresses', async (t) => {
      const [client, server] = await t.pair()
      deepStrictEqual(client.remote, server.local)
      deepStrictEqual(server.remote, client.local)
      await t.drive(client.write(utf8('question')))
      sameBytes(await t.drive(readAll(server, 8)), utf8('question'))
      await t.drive(server.write(utf8('answer')))
      sameBytes(await t.drive(readAll(client, 6)), utf8('answer'))
    }),
    test('a mebibyte in odd pieces arrives in order', async (t) => {
      const [client, server] = await t.pair()
      const bytes = new Uint8Array(1 << 20).map((_, i) => (i * 2654435761) >>> 24)
      const reading = readAll(server, bytes.length)
      const writing = (async () => {
        for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7) % 20_011) await client.write(bytes.subarray(at, at + size))
      })()
      await t.drive(writing)
      sameBytes(await t.drive(reading), bytes)
    }),
    test('leaving a loop keeps the stream: the next one goes on', async (t) => {
      const [client, server] = await t.pair()
      await t.drive(client.write(utf8('one')))
      const loop = async () => {
        for await (const bytes of server) return bytes
        return undefined
      }
      sameBytes(await t.drive(loop()), utf8('one'))
      await t.drive(client.write(utf8('two')))
      sameBytes(await t.drive(loop()), utf8('two'))
    }),
    test('not reading is back-pressure: the writer is held, and nothing is lost', async (t) => {
      const [client, server] = await t.pair()
      const total = 2 * MAX_UNREAD
      let accepted = 0
      const writing = (async () => {
        for (let i = 0; i < total; i++) {
          await client.write(new Uint8Array(CHUNK).fill(i))
          accepted++
        }
      })()
      // The writer stands still: no progress while the reader's event loop turned many times.
      const stall = async () => {
        for (let before = -1, quiet = 0; quiet < 50 && accepted < total; before = accepted) {
          await new Promise((resolve) => setImmediate(resolve))
          quiet = accepted === before ? quiet + 1 : 0
        }
      }
      await t.drive(stall())
      ok(accepted < MAX_UNREAD, `${accepted} chunks were taken`)
      const reading = readAll(server, total * CHUNK)
      await t.drive(writing)
      const got = await t.drive(reading)
      deepStrictEqual(got.length, total * CHUNK)
      for (let i = 0; i < total; i++) ok(got[i * CHUNK] === i % 256 && got[(i + 1) * CHUNK - 1] === i % 256)
    }),
    test('close() delivers what was written, then ends both directions', async (t) => {
      const [client, server] = await t.pair()
      void client.write(utf8('last words')).catch(() => {})
      const closing = client.close()
      sameBytes(await t.drive(readAll(server)), utf8('last words'))
      await t.drive(closing)
      await t.drive(client.close())
      await rejectsWith('ERR_LINK_LOST', t.drive(client.write(utf8('more'))))
      sameBytes(await t.drive(readAll(client)), new Uint8Array(0))
      await t.drive(server.close())
      await rejectsWith('ERR_LINK_LOST', t.drive(server.write(utf8('more'))))
    }),
    test('close() ends a read that waits', async (t) => {
      const [client] = await t.pair()
      const reading = readAll(client)
      await t.drive(client.close())
      sameBytes(await t.drive(reading), new Uint8Array(0))
    }),
    test('abort() fails pending reads and later writes with ERR_LINK_LOST and the reason', async (t) => {
      const [client, server] = await t.pair()
      const reading = client[Symbol.asyncIterator]().next()
      const remote = server[Symbol.asyncIterator]().next()
      const reason = new Error('because')
      client.abort(reason)
      client.abort()
      const failure = await t.drive(reading.catch((error: unknown) => error))
      ok((failure as { code?: string }).code === 'ERR_LINK_LOST' && (failure as Error).cause === reason, String(failure))
      await rejectsWith('ERR_LINK_LOST', t.drive(client.write(utf8('x'))))
      await t.drive(client.close())
      const end = await t.drive(remote.then((r) => (r.done ? 'end' : 'bytes'), (error: unknown) => (error as { code?: string }).code))
      ok(end === 'end' || end === 'ERR_LINK_LOST', String(end))
    }),
    test('a refused connection is ERR_NO_ROUTE', async (t) => {
      const { listener } = await t.listen()
      await t.drive(listener.close())
      await t.drive(listener.close())
      await rejectsWith('ERR_NO_ROUTE', t.drive(t.a.connectStream({ host: t.hostB, port: listener.local.port })))
    }),
    test('an aborted connection is ERR_ABORTED', async (t) => {
      const { listener } = await t.listen()
      await rejectsWith('ERR_ABORTED', t.drive(t.a.connectStream({ host: t.hostB, port: listener.local.port }, { signal: AbortSignal.abort() })))
      const controller = new AbortController()
      const connecting = t.a.connectStream({ host: t.hostB, port: listener.local.port }, { signal: controller.signal })
      controller.abort()
      await rejectsWith('ERR_ABORTED', t.drive(connecting))
    }),
    test('connections stay when their listener closes', async (t) => {
      const { listener, accepted } = await t.listen()
      const client = await t.drive(t.a.connectStream({ host: t.hostB, port: listener.local.port }))
      const server = await t.drive(accepted)
      await t.drive(listener.close())
      await t.drive(client.write(utf8('still here')))
      sameBytes(await t.drive(readAll(server, 10)), utf8('still here'))
      client.abort()
    }),
    test('a connection can leave from a chosen port', async (t) => {
      const { listener, accepted } = await t.listen()
      const free = await t.drive(t.a.listenStream({ host: t.hostA, onConnection: (socket) => socket.abort() }))
      const localPort = free.local.port
      await t.drive(free.close())
      const client = await t.drive(t.a.connectStream({ host: t.hostB, port: listener.local.port }, { localHost: t.hostA, localPort }))
      deepStrictEqual(client.local.port, localPort)
      deepStrictEqual((await t.drive(accepted)).remote.port, localPort)
      client.abort()
    }),
  ]
}
