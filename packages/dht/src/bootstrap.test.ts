// Entry points: each by itself, resolved again whenever they are tried, and tried now and then for as long as the node runs.
import { getEventListeners } from 'node:events'
import { withOp } from '@jamikit/core/base'
import type { Network } from '@jamikit/core/contracts'
import { ManualClock, recordingLogger, SeededRandom, SimNetwork, testCrypto } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { dht } from './dht.ts'

const HOUR_MS = 3_600_000

interface Answers {
  [host: string]: readonly { host: string; family: 4 | 6 }[] | 'error' | 'silence' | undefined
}

function world() {
  const clock = new ManualClock()
  const random = new SeededRandom(1)
  const network = new SimNetwork({ clock, random: random.fork('network') })
  const asked: { host: string; atMs: number }[] = []
  const logger = recordingLogger()
  /** Names that `answers` has an answer for are resolved by it, others as the network does. */
  const node = (name: string, bootstrap: readonly string[], answers: Answers = {}) => {
    const host = network.host(name)
    const wrapped: Network = {
      addresses: () => host.addresses(), bindDatagram: (o) => host.bindDatagram(o), listenStream: (o) => host.listenStream(o), connectStream: (to, o) => host.connectStream(to, o),
      resolve: async (what, op) => {
        asked.push({ host: what, atMs: clock.now() })
        const answer = answers[what]
        if (answer === 'error') throw new Error('no resolver')
        if (answer === 'silence') return withOp(clock, op, 'resolution', () => new Promise<never>(() => {}))
        return answer ? [...answer] : host.resolve(what, op)
      },
    }
    return dht()({ clock, crypto: testCrypto(), random: random.fork(name), network: wrapped, logger, bootstrap, port: 4222 })
  }
  return { clock, network, node, asked, logger }
}

describe('bootstrap', () => {
  it.each<[string, readonly string[], Answers]>([
    ['does not resolve', ['gone.example', 'hub:4222'], { 'gone.example': [] }],
    ['fails', ['gone.example', 'hub:4222'], { 'gone.example': 'error' }],
    ['never gets an answer from the resolver', ['gone.example', 'hub:4222'], { 'gone.example': 'silence' }],
    ['has an address where nobody is', ['gone.example', 'hub:4222'], { 'gone.example': [{ host: '10.9.9.9', family: 4 }] }],
    ['has no port', ['hub'], {}],
    ['has blanks around it', [' hub:4222 '], {}],
  ])('an entry that %s does not stop the others', async (_, entries, answers) => {
    const { clock, node } = world()
    const [hub, one] = [node('hub', []), node('one', entries, answers)]
    await hub.start()
    await one.start()
    await clock.advance(5000)
    expect(one.status().ipv4).toBe('connected')
    await clock.run(Promise.all([hub.stop(), one.stop()]))
  })

  it.each([[''], ['hub:99999'], ['http://hub:4222']])('an entry that is none (%j) is refused when the node is made', (entry) => {
    const { node } = world()
    expect(() => node('one', ['hub:4222', entry])).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', details: expect.objectContaining({ field: 'bootstrap[1]', got: JSON.stringify(entry) }) as object }))
  })

  it.each<[string, Answers]>([['an address of yesterday', { hub: [{ host: '10.9.9.9', family: 4 }] }], ['nothing', { hub: [] }]])('names are resolved again: after %s for a day, the right address is used within a minute', async (_, answers) => {
    const { clock, node, asked } = world()
    const [hub, one] = [node('hub', []), node('one', ['hub:4222'], answers)]
    await hub.start()
    await one.start()
    await clock.advance(24 * HOUR_MS)
    const times = asked.map(({ atMs }) => atMs)
    expect(Math.max(...times.slice(1).map((at, i) => at - (times[i] ?? 0)))).toBeLessThanOrEqual(60_000)
    answers.hub = undefined
    await clock.advance(65_000)
    expect(one.status().ipv4).toBe('connected')
    await clock.run(Promise.all([hub.stop(), one.stop()]))
    expect(clock.pending()).toEqual([])
  })

  it('nothing piles up while names do not resolve: two days without a resolver leave no listener on any signal', async () => {
    const signals = new Set<AbortSignal>()
    const add = AbortSignal.prototype.addEventListener
    AbortSignal.prototype.addEventListener = function (this: AbortSignal, ...args: Parameters<typeof add>) {
      signals.add(this)
      return add.apply(this, args)
    } as typeof add
    try {
      const { clock, node, logger } = world()
      const one = node('one', ['hub:4222'], { hub: [] })
      await one.start()
      await clock.advance(48 * HOUR_MS)
      expect(Math.max(0, ...[...signals].map((signal) => getEventListeners(signal, 'abort').length))).toBeLessThanOrEqual(2)
      expect(logger.entries.filter(({ message }) => message?.includes('does not resolve'))).toHaveLength(1) // told once, not every minute
      await clock.run(one.stop())
    } finally {
      AbortSignal.prototype.addEventListener = add
    }
  })

  it('a node that knows few others looks its entry points up again every few minutes, connected or not', async () => {
    const { clock, node, asked } = world()
    const [hub, one] = [node('hub', []), node('one', ['hub:4222'])]
    await hub.start()
    await one.start()
    await clock.advance(60_000)
    expect(one.status().ipv4).toBe('connected')
    const before = asked.length
    await clock.advance(HOUR_MS)
    expect(asked.length - before).toBeGreaterThanOrEqual(12)
    expect(asked.length - before).toBeLessThanOrEqual(25)
    await clock.run(Promise.all([hub.stop(), one.stop()]))
  })

  it('bootstrap() acts at once, connected or not, with new entries or without', async () => {
    const { clock, node, asked } = world()
    const [hub, other, one] = [node('hub', []), node('other', []), node('one', ['hub:4222'])]
    for (const each of [hub, other, one]) await each.start()
    await clock.advance(60_000)
    for (const hosts of [[], ['other:4222']]) {
      const before = asked.length
      await one.bootstrap(...hosts)
      await clock.settle()
      expect(asked.slice(before).map(({ host }) => host)).toEqual(['hub', ...hosts.map(() => 'other')])
    }
    await expect(one.bootstrap(...Array.from({ length: 255 }, (_, i) => `h${i}:1`))).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    await clock.run(Promise.all([hub.stop(), other.stop(), one.stop()]))
  })

  it('a call while an attempt waits for the resolver is not lost: another attempt follows at once', async () => {
    const { clock, node, asked } = world()
    const answers: Answers = { slow: 'silence' }
    const one = node('one', ['slow:4222'], answers)
    await one.start()
    await clock.advance(1000)
    await one.bootstrap('other:4222')
    expect(asked.map(({ host }) => host)).toEqual(['slow'])
    await clock.advance(10_000)
    expect(asked.map(({ host }) => host)).toEqual(['slow', 'slow', 'other'])
    await clock.run(one.stop())
  })
})

describe('sockets', () => {
  const start = async (options: { ipv4?: boolean; ipv6?: boolean; taken?: 4 | 6; port?: number }) => {
    const clock = new ManualClock()
    const random = new SeededRandom(1)
    const host = new SimNetwork({ clock, random }).host('one', options)
    const other = options.taken && (await host.bindDatagram({ family: options.taken, port: 4222 }))
    const logger = recordingLogger()
    const node = dht()({ clock, crypto: testCrypto(), random, network: host, logger, bootstrap: [], ...(options.port === undefined ? {} : { port: options.port }) })
    const outcome = await node.start().then(() => 'started', (error: unknown) => error)
    await clock.run(node.stop())
    await other?.close()
    return { outcome, said: logger.entries.filter(({ level }) => level === 'warn' || level === 'error').map(({ message }) => message).join('\n') }
  }

  it.each([4, 6] as const)('a port that was asked for and is taken in IPv%i is told, with the port, whatever the other family has', async (taken) => {
    const { outcome } = await start({ taken, port: 4222 })
    expect(outcome).toMatchObject({ code: 'ERR_ARGUMENT', message: expect.stringContaining(`4222, which is taken in IPv${taken}`) as string, details: { field: 'port', got: 4222 } })
  })

  it('a machine without IPv4 starts, and says so; without both it does not', async () => {
    expect(await start({ ipv4: false, port: 4222 })).toMatchObject({ outcome: 'started', said: expect.stringContaining('no IPv4') as string })
    expect(await start({ ipv6: false, port: 4222 })).toMatchObject({ outcome: 'started', said: '' })
    expect((await start({ ipv4: false, ipv6: false })).outcome).toMatchObject({ code: 'ERR_UNSUPPORTED' })
  })
})

