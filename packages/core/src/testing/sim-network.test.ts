// The simulated network: the contract of real sockets, then what only it has: chance, partitions, a trace that repeats.
import { describe, expect, it } from 'vitest'
import { utf8 } from '../codec/bytes.ts'
import type { SocketAddress, StreamSocket } from '../contracts/socket.ts'
import { ManualClock } from './manual-clock.ts'
import { SeededRandom } from './seeded-random.ts'
import { SimNetwork } from './sim-network.ts'
import type { SimWireOptions } from './sim-wire.ts'
import { networkSuite } from './suites/network.ts'

function make(options: Partial<SimWireOptions> = {}, seed = 1) {
  const clock = new ManualClock()
  const network = new SimNetwork({ clock, random: new SeededRandom(seed), ...options })
  return { clock, network, a: network.host('a'), b: network.host('b') }
}

const BAD_WEATHER = { jitterMs: 5, lossRate: 0.1, duplicateRate: 0.1, reorderRate: 0.2 }

describe('SimNetwork by the contract of sockets', () => {
  for (const family of [4, 6] as const)
    for (const { title, run } of networkSuite(() => {
      const { clock, network, a, b } = make()
      const [hostA, hostB] = family === 4 ? [a.ipv4, b.ipv4] : [a.ipv6, b.ipv6]
      const dispose = async () => {
        await clock.advance(10_000)
        expect(network.openSockets()).toEqual([])
        expect(clock.pending()).toEqual([])
      }
      return { a, b, hostA: String(hostA), hostB: String(hostB), family, drive: (work) => clock.run(work), dispose }
    })) it(`IPv${family}: ${title}`, run)

  for (const { title, run } of networkSuite(() => {
    const { clock, a } = make()
    return { a, b: a, hostA: '127.0.0.1', hostB: '127.0.0.1', family: 4, drive: (work) => clock.run(work) }
  })) it(`loopback: ${title}`, run)
})

describe('UDP', () => {
  async function send(options: Partial<SimWireOptions>, count: number, size = 100) {
    const t = make(options)
    const [from, to] = [await t.a.bindDatagram({ family: 4 }), await t.b.bindDatagram({ family: 4, port: 4000 })]
    const got: { value: number; at: number }[] = []
    const start = t.clock.now()
    to.onDatagram = (bytes) => got.push({ value: new DataView(bytes.buffer).getUint32(0), at: t.clock.now() - start })
    for (let i = 0; i < count; i++) {
      const bytes = new Uint8Array(size)
      new DataView(bytes.buffer).setUint32(0, i)
      from.send(bytes, { host: String(t.b.ipv4), port: 4000, family: 4 })
      await t.clock.advance(1)
    }
    await t.clock.advance(1000)
    return got
  }

  it('takes the latency of the link, and keeps order under jitter', async () => {
    expect((await send({ latencyMs: 30 }, 2)).map(({ at }) => at)).toEqual([30, 31])
    const got = await send({ latencyMs: 30, jitterMs: 20 }, 200)
    expect(got.map(({ value }) => value)).toEqual(Array.from({ length: 200 }, (_, i) => i))
    expect(got.every(({ at, value }) => at >= 30 + value && at <= 50 + 199)).toBe(true)
    expect(new Set(got.map(({ at, value }) => at - value)).size).toBeGreaterThan(20)
  })

  it('loses, duplicates and reorders as often as asked for', async () => {
    const lost = 1000 - (await send({ lossRate: 0.2 }, 1000)).length
    expect(lost).toBeGreaterThan(150)
    expect(lost).toBeLessThan(250)
    const twice = (await send({ duplicateRate: 0.2 }, 1000)).length - 1000
    expect(twice).toBeGreaterThan(150)
    expect(twice).toBeLessThan(250)
    const order = (await send({ reorderRate: 0.2 }, 1000)).map(({ value }) => value)
    expect(order).toHaveLength(1000)
    expect(order.filter((value, i) => i > 0 && value < (order[i - 1] ?? 0)).length).toBeGreaterThan(50)
  })

  it('drops datagrams above the size a link takes', async () => {
    expect(await send({ maxDatagramBytes: 1280 }, 3, 1280)).toHaveLength(3)
    expect(await send({ maxDatagramBytes: 1280 }, 3, 1281)).toHaveLength(0)
  })

  it('a link of its own overrides the network', async () => {
    const { clock, network, a, b } = make({ latencyMs: 10 })
    network.link(a, 'b', { latencyMs: 100 })
    const [from, to] = [await a.bindDatagram({ family: 6 }), await b.bindDatagram({ family: 6 })]
    let at = 0
    to.onDatagram = () => {
      at = clock.now()
    }
    const start = clock.now()
    from.send(utf8('x'), { host: String(b.ipv6), port: to.local.port, family: 6 })
    await clock.advance(200)
    expect(at - start).toBe(100)
  })

  it('does not cross a partition, also when it comes while the datagram flies', async () => {
    const { clock, network, a, b } = make()
    const c = network.host('c')
    const [from, to, other] = [await a.bindDatagram({ family: 4 }), await b.bindDatagram({ family: 4, port: 1 }), await c.bindDatagram({ family: 4, port: 1 })]
    const got: string[] = []
    to.onDatagram = (_, { host }) => got.push(`b from ${host}`)
    other.onDatagram = (_, { host }) => got.push(`c from ${host}`)
    const say = () => {
      for (const host of [b.ipv4, c.ipv4]) from.send(utf8('x'), { host: String(host), port: 1, family: 4 })
    }
    say()
    network.partition([a], [b])
    await clock.advance(100)
    say()
    await clock.advance(100)
    expect(got).toEqual(['c from 10.0.0.1', 'c from 10.0.0.1'])
    network.heal()
    say()
    await clock.advance(100)
    expect(got.slice(2)).toEqual(['b from 10.0.0.1', 'c from 10.0.0.1'])
  })
})

describe('TCP', () => {
  async function connected(options: Partial<SimWireOptions> = {}) {
    const t = make(options)
    const accepted = new Promise<StreamSocket>((resolve) => {
      void t.b.listenStream({ host: '0.0.0.0', port: 80, onConnection: resolve })
    })
    const client = await t.clock.run(t.a.connectStream({ host: String(t.b.ipv4), port: 80 }))
    return { ...t, client, server: await t.clock.run(accepted) }
  }

  async function readAll(socket: StreamSocket): Promise<string> {
    let text = ''
    try {
      for await (const bytes of socket) text += new TextDecoder().decode(bytes)
    } catch (error) {
      text += `!${(error as { code: string }).code}`
    }
    return text
  }

  it('stays reliable and ordered on a link that loses half', async () => {
    const { clock, client, server } = await connected({ lossRate: 0.5, jitterMs: 20 })
    const reading = readAll(server)
    const text = Array.from({ length: 100 }, (_, i) => `${i},`).join('')
    const writing = (async () => {
      for (let i = 0; i < 100; i++) await client.write(utf8(`${i},`))
      await client.close()
    })()
    await clock.run(writing)
    expect(await clock.run(reading)).toBe(text)
  })

  it('a connection waits through a short partition and goes on after it', async () => {
    const { clock, network, client, server } = await connected()
    const reading = readAll(server)
    await client.write(utf8('before '))
    await clock.advance(50)
    network.partition(['a'], ['b'])
    await client.write(utf8('during '))
    await clock.advance(30_000)
    network.heal()
    await client.write(utf8('after'))
    await clock.run(client.close())
    expect(await clock.run(reading)).toBe('before during after')
  })

  it('a long partition breaks the end that writes, and the other one when it writes', async () => {
    const { clock, network, client, server } = await connected({ stallMs: 60_000 })
    const reading = readAll(client)
    network.partition(['a'], ['b'])
    await client.write(utf8('lost'))
    await clock.advance(61_000)
    expect(await clock.run(reading)).toBe('!ERR_LINK_LOST')
    network.heal()
    const other = readAll(server)
    await server.write(utf8('hello?'))
    expect(await clock.run(other)).toBe('!ERR_LINK_LOST')
    expect(network.openSockets()).toEqual(['b: tcp listener 0.0.0.0:80'])
  })

  it('an idle connection does not notice a partition', async () => {
    const { clock, network, client, server } = await connected()
    network.partition(['a'], ['b'])
    await clock.advance(3_600_000)
    network.heal()
    const reading = readAll(server)
    await client.write(utf8('still here'))
    await clock.run(client.close())
    expect(await clock.run(reading)).toBe('still here')
  })

  it('connecting across a partition succeeds when it heals in time, and fails after a while', async () => {
    const { clock, network, a, b } = make()
    await b.listenStream({ host: '::', port: 80, onConnection: () => {} })
    network.partition(['a'], ['b'])
    const patient = a.connectStream({ host: String(b.ipv6), port: 80 })
    const failing = a.connectStream({ host: String(b.ipv6), port: 80 }).catch((error: unknown) => error)
    await clock.advance(5000)
    network.heal()
    expect((await clock.run(patient)).remote.port).toBe(80)
    await clock.run(failing)
    network.partition(['a'], ['b'])
    const start = clock.now()
    await expect(clock.run(a.connectStream({ host: String(b.ipv6), port: 80 }))).rejects.toMatchObject({ code: 'ERR_NO_ROUTE', details: { code: 'ETIMEDOUT' } })
    expect(clock.now() - start).toBe(31_000)
    await expect(clock.run(a.connectStream({ host: String(b.ipv6), port: 80 }, { timeoutMs: 500 }))).rejects.toMatchObject({ code: 'ERR_TIMEOUT' })
    await expect(clock.run(a.connectStream({ host: '10.9.9.9', port: 80 }))).rejects.toMatchObject({ code: 'ERR_NO_ROUTE' })
    expect(network.openSockets().filter((line) => line.includes('connecting'))).toEqual([])
  })

  it('an abort resets the other end', async () => {
    const { clock, client, server, network } = await connected()
    const reading = readAll(server)
    client.abort()
    expect(await clock.run(reading)).toBe('!ERR_LINK_LOST')
    expect(network.openSockets()).toEqual(['b: tcp listener 0.0.0.0:80'])
  })

  it('a port that a listener has is not free for connections, and names are looked up', async () => {
    const { clock, a, b } = make()
    await a.listenStream({ host: '0.0.0.0', port: 5000, onConnection: () => {} })
    await b.listenStream({ host: '0.0.0.0', port: 80, onConnection: () => {} })
    await expect(clock.run(a.connectStream({ host: String(b.ipv4), port: 80 }, { localPort: 5000 }))).rejects.toMatchObject({ code: 'ERR_NO_ROUTE', details: { code: 'EADDRINUSE' } })
    expect(await clock.run(a.resolve('b'))).toEqual([{ host: b.ipv4, family: 4 }, { host: b.ipv6, family: 6 }])
  })

  it('a full backlog drops attempts, which succeed later', async () => {
    const { clock, network, a, b } = make({ backlog: 1, trace: 'lengths' })
    const start = clock.now()
    let accepted = 0
    await b.listenStream({ host: '0.0.0.0', port: 80, onConnection: () => accepted++ })
    await clock.run(Promise.all([1, 2].map(() => a.connectStream({ host: String(b.ipv4), port: 80 }))))
    await clock.advance(100)
    expect(accepted).toBe(2)
    expect(network.trace.filter((line) => line.includes('tcp-backlog'))).toHaveLength(1)
    expect(clock.now() - start).toBeGreaterThan(1000)
  })
})

describe('determinism', () => {
  async function story(seed: number): Promise<string> {
    const { clock, network, a, b } = make({ ...BAD_WEATHER, trace: 'contents' }, seed)
    const random = new SeededRandom(seed).fork('traffic')
    const [x, y] = [await a.bindDatagram({ family: 4 }), await b.bindDatagram({ family: 4, port: 7 })]
    y.onDatagram = (bytes: Uint8Array, from: SocketAddress) => y.send(bytes, from)
    await b.listenStream({
      host: '0.0.0.0', port: 80,
      onConnection: async (socket) => {
        try {
          for await (const bytes of socket) await socket.write(bytes)
        } catch {} // aborted below
      },
    })
    const stream = await clock.run(a.connectStream({ host: String(b.ipv4), port: 80 }))
    for (let i = 0; i < 100; i++) {
      x.send(random.bytes(random.below(1000)), { host: String(b.ipv4), port: 7, family: 4 })
      void stream.write(random.bytes(random.below(1000))).catch(() => {})
      if (i === 40) network.partition([a], [b])
      if (i === 60) network.heal()
      await clock.advance(random.below(20))
    }
    stream.abort()
    await clock.advance(1000)
    return network.trace.join('\n')
  }

  it('the same seed gives the same trace, byte for byte; another seed another one', async () => {
    const first = await story(42)
    expect(first.split('\n').length).toBeGreaterThan(300)
    expect(await story(42)).toBe(first)
    expect(await story(43)).not.toBe(first)
  })
})
