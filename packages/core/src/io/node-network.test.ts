// Real sockets on loopback, by the contract suite, and what only real ones have: system errors, resets, kernel buffers.
import { createServer, connect as rawConnect, type Socket } from 'node:net'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { describe, expect, it } from 'vitest'
import { networkSuite } from '../testing/suites/network.ts'
import { bindError, connectError, lostError } from './errors.ts'
import { nodeNetwork } from './node-network.ts'

const network = nodeNetwork()
const drive = <T>(work: Promise<T>) => work
const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some((a) => a.address === '::1'))

describe('IPv4', () => {
  for (const { title, run } of networkSuite(() => ({ a: network, b: network, hostA: '127.0.0.1', hostB: '127.0.0.1', family: 4, drive }))) it(title, run, 30_000)
})

describe.skipIf(!hasIpv6)('IPv6', () => {
  for (const { title, run } of networkSuite(() => ({ a: network, b: network, hostA: '::1', hostB: '::1', family: 6, drive }))) it(title, run, 30_000)

  it('an IPv6 socket leaves the IPv4 port to an IPv4 one', async () => {
    const four = await network.bindDatagram({ family: 4 })
    const six = await network.bindDatagram({ family: 6, port: four.local.port })
    expect(six.local.port).toBe(four.local.port)
    await Promise.all([four.close(), six.close()])
    const streamFour = await network.listenStream({ host: '0.0.0.0', onConnection: (s) => s.abort() })
    const streamSix = await network.listenStream({ host: '::', port: streamFour.local.port, onConnection: (s) => s.abort() })
    await Promise.all([streamFour.close(), streamSix.close()])
  })
})

describe('real sockets', () => {
  const listen = async (onSocket: (socket: Socket) => void) => {
    const server = createServer(onSocket).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { port: (server.address() as { port: number }).port, close: () => void server.close() }
  }

  it('a reset by the peer is ERR_LINK_LOST for reader and writer, and no unhandled event', async () => {
    const server = await listen((socket) => void socket.once('data', () => socket.resetAndDestroy()))
    const client = await network.connectStream({ host: '127.0.0.1', port: server.port })
    await client.write(Uint8Array.of(1))
    const reading = (async () => {
      for await (const _ of client);
    })()
    await expect(reading).rejects.toMatchObject({ code: 'ERR_LINK_LOST' })
    await expect(client.write(Uint8Array.of(1))).rejects.toMatchObject({ code: 'ERR_LINK_LOST' })
    await client.close()
    server.close()
  })

  it('a reset that nobody reads is no unhandled event either', async () => {
    let accepted: () => void = () => {}
    const gone = new Promise<void>((resolve) => {
      accepted = resolve
    })
    const listener = await network.listenStream({ host: '127.0.0.1', onConnection: () => accepted() })
    const raw = rawConnect(listener.local.port, '127.0.0.1')
    await gone
    raw.resetAndDestroy()
    await once(raw, 'close')
    await new Promise((resolve) => setImmediate(resolve))
    await listener.close()
  })

  it('close() does not wait forever for a peer that does not read', async () => {
    const sockets: Socket[] = []
    const server = await listen((socket) => void sockets.push(socket.pause()))
    const client = await network.connectStream({ host: '127.0.0.1', port: server.port })
    const writes = Array.from({ length: 400 }, () => client.write(new Uint8Array(65_536)).then(() => 'ok', (e: { code: string }) => e.code))
    await client.close()
    expect(new Set(await Promise.all(writes))).toContain('ERR_LINK_LOST')
    for (const socket of sockets) socket.destroy()
    server.close()
  }, 15_000)

  it('the peer gets an end, not a reset, when we close with its bytes unread', async () => {
    let done: (outcome: string) => void = () => {}
    const outcome = new Promise<string>((resolve) => {
      done = resolve
    })
    const server = await listen((socket) => {
      socket.write(new Uint8Array(50_000))
      socket.resume()
      socket.on('end', () => done('end')).on('error', (error) => done(error.message))
    })
    const client = await network.connectStream({ host: '127.0.0.1', port: server.port })
    await client.write(Uint8Array.of(1))
    await client.close()
    expect(await outcome).toBe('end')
    server.close()
  })

  it('a bad port is ERR_ARGUMENT, an address that is not ours ERR_UNSUPPORTED or ERR_NO_ROUTE', async () => {
    await expect(network.connectStream({ host: '127.0.0.1', port: 0 })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(network.connectStream({ host: '127.0.0.1', port: 70_000 })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(network.bindDatagram({ family: 4, host: '192.0.2.77' })).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' })
    await expect(network.bindDatagram({ family: 4, port: 70_000 })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(network.listenStream({ host: '192.0.2.77', onConnection: () => {} })).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' })
    await expect(network.listenStream({ host: '127.0.0.1', port: 70_000, onConnection: () => {} })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    const server = await listen(() => {})
    await expect(network.connectStream({ host: '127.0.0.1', port: server.port }, { localHost: '192.0.2.77' })).rejects.toMatchObject({ code: 'ERR_NO_ROUTE' })
    server.close()
  })

  it('several connections leave from one port to different peers', async () => {
    const servers = await Promise.all([listen(() => {}), listen(() => {})])
    const free = await listen(() => {})
    free.close()
    const [first, second] = await Promise.all(servers.map(({ port }) => network.connectStream({ host: '127.0.0.1', port }, { localPort: free.port })))
    if (!first || !second) throw new Error('unreachable')
    expect([first.local.port, second.local.port]).toEqual([free.port, free.port])
    first.abort()
    second.abort()
    for (const server of servers) server.close()
  })

  it('errors of the system keep their code in details', () => {
    const refused = Object.assign(new Error('x'), { code: 'EADDRINUSE' })
    expect(bindError(refused, 'UDP')).toMatchObject({ code: 'ERR_ARGUMENT', details: { code: 'EADDRINUSE' }, cause: refused })
    expect(connectError(refused, { host: 'h', port: 1 })).toMatchObject({ code: 'ERR_NO_ROUTE', details: { code: 'EADDRINUSE' } })
    const lost = lostError(refused)
    expect(lost).toMatchObject({ code: 'ERR_LINK_LOST', cause: refused })
    expect(lostError(lost)).toBe(lost)
  })
})
