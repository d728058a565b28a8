// What a node keeps between runs: node id, snapshot, permanent values; written seldom; what is damaged costs itself.
import { JamiError } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { InfoHash, Storage } from '@jamikit/core/contracts'
import { ManualClock, recordingLogger, SeededRandom, SimNetwork, spareKey, testCrypto, testStorage } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { dht } from './dht.ts'
import { MAX_KEPT_PUTS, SAVE_MS, StateStore } from './state-store.ts'

const KEY = 'ab'.repeat(20) as InfoHash
const OTHER = 'cd'.repeat(20) as InfoHash
const NODE = '12'.repeat(20) as InfoHash

/** Counts the writes, and fails them while `broken`. */
function watched(storage: Storage): Storage & { writes: string[]; broken: boolean } {
  const self = {
    writes: [] as string[], broken: false,
    get: (key: string) => storage.get(key), purge: (prefix: string) => storage.purge(prefix), keys: (prefix: string) => storage.keys(prefix), files: (prefix: string) => storage.files(prefix), lock: () => storage.lock(), close: () => storage.close(),
    batch: async (ops: Parameters<Storage['batch']>[0]) => {
      if (self.broken) throw new JamiError('ERR_STORAGE_IO', 'the disk is full')
      self.writes.push(...ops.map(({ key, value }) => `${value ? '+' : '-'}${key}`))
      await storage.batch(ops)
    },
  }
  return self
}

function store() {
  const clock = new ManualClock()
  const logger = recordingLogger()
  const storage = watched(testStorage())
  return { clock, logger, storage, open: () => new StateStore({ clock, logger, storage, prefix: 'dht' }) }
}

describe('snapshots', () => {
  it('come back as they were; without one there is nothing', async () => {
    const { clock, open } = store()
    const first = open()
    expect(await first.load()).toBeUndefined()
    first.begin(() => ({ nodeId: NODE, nodes: Uint8Array.of(1, 2, 3) }))
    await clock.run(first.close())
    expect(await open().load()).toEqual({ nodeId: NODE, nodes: Uint8Array.of(1, 2, 3) })
    expect(clock.pending()).toEqual([])
  })

  it('are written now and then, and only when they changed', async () => {
    const { clock, storage, open } = store()
    let nodes = 0
    const one = open()
    one.begin(() => ({ nodeId: NODE, nodes: Uint8Array.of(nodes) }))
    await clock.advance(59_000)
    expect(storage.writes).toEqual([])
    await clock.advance(6 * SAVE_MS)
    expect(storage.writes).toHaveLength(1)
    for (nodes = 1; nodes < 60; nodes++) await clock.advance(SAVE_MS / 10)
    expect(storage.writes.length).toBeLessThanOrEqual(8)
    await clock.run(one.close())
  })

  it('a full disk is told, and tried again', async () => {
    const { clock, storage, logger, open } = store()
    const one = open()
    storage.broken = true
    one.begin(() => ({ nodeId: NODE, nodes: new Uint8Array(0) }))
    await clock.advance(SAVE_MS)
    expect(logger.entries.filter(({ level }) => level === 'error').length).toBeGreaterThan(0)
    storage.broken = false
    await clock.advance(2 * SAVE_MS)
    expect(await open().load()).toBeDefined()
    await clock.run(one.close())
  })

  it.each([['bytes that are none', utf8('garbage')], ['another version', Uint8Array.of(0x81, 0xa1, 0x76, 0x09)], ['nothing', new Uint8Array(0)]])('a damaged one (%s) is told and costs only itself', async (_, bytes) => {
    const { storage, logger, open } = store()
    await storage.batch([{ key: 'dht/state', value: bytes }])
    expect(await open().load()).toBeUndefined()
    expect(logger.entries.map(({ level }) => level)).toEqual(['warn'])
  })
})

describe('permanent values', () => {
  it('are there until they are dropped, in the order of the calls', async () => {
    const { clock, open } = store()
    const one = open()
    await clock.run(Promise.all([one.keepPut({ key: KEY, id: 1n, packed: utf8('a') }), one.keepPut({ key: OTHER, id: 2n ** 64n - 1n, packed: utf8('b') }), one.keepPut({ key: KEY, id: 1n, packed: utf8('c') })]))
    await one.keepPut({ key: KEY, id: 3n, packed: utf8('d') })
    one.dropPut(KEY, 3n)
    one.dropPut(KEY, 99n)
    await clock.run(one.close())
    expect(await open().loadPuts()).toEqual([{ key: KEY, id: 1n, packed: utf8('c') }, { key: OTHER, id: 2n ** 64n - 1n, packed: utf8('b') }])
  })

  it('a damaged record costs itself', async () => {
    const { storage, logger, clock, open } = store()
    await clock.run(open().keepPut({ key: KEY, id: 1n, packed: utf8('a') }))
    await storage.batch([{ key: 'dht/puts/nothing', value: utf8('x') }, { key: `dht/puts/${KEY}-zz`, value: utf8('x') }, { key: `dht/puts/${OTHER}-0000000000000001`, value: new Uint8Array(1 << 20) }])
    expect((await open().loadPuts()).map(({ key }) => key)).toEqual([KEY])
    expect(logger.entries).toHaveLength(3)
  })

  it(`are at most ${MAX_KEPT_PUTS}`, async () => {
    const { clock, open } = store()
    const one = open()
    await clock.run(Promise.all(Array.from({ length: MAX_KEPT_PUTS }, (_, i) => one.keepPut({ key: KEY, id: BigInt(i + 1), packed: utf8('a') }))))
    await expect(one.keepPut({ key: KEY, id: 0xffffn, packed: utf8('a') })).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    await one.keepPut({ key: KEY, id: 1n, packed: utf8('again') })
    one.dropPut(KEY, 2n)
    await one.keepPut({ key: KEY, id: 0xffffn, packed: utf8('a') })
    await clock.run(one.close())
  })
})

describe('a node with a storage', () => {
  function world() {
    const clock = new ManualClock()
    const random = new SeededRandom(1)
    const network = new SimNetwork({ clock, random: random.fork('network') })
    let runs = 0
    const node = (name: string, storage?: Storage) =>
      dht()({ clock, crypto: testCrypto(), random: random.fork(`${name}${runs++}`), network: network.host(name), logger: recordingLogger(), bootstrap: name === 'hub' ? [] : ['hub:4222'], port: 4222, ...(storage ? { storage, prefix: 'dht' } : {}) })
    const read = async (from: ReturnType<typeof node>, key: InfoHash) => {
      const texts: string[] = []
      for await (const { data } of from.get(key)) texts.push(new TextDecoder().decode(data))
      return texts
    }
    return { clock, network, node, read }
  }

  it('has the same id after a restart, and goes on with permanent values that have an id, until the id is put again and cancelled', async () => {
    const { clock, node, read } = world()
    const storage = watched(testStorage())
    const hub = node('hub')
    await hub.start()
    const first = node('bot', storage)
    await first.start()
    await clock.runUntil(() => first.status().ipv4 === 'connected')
    await clock.run(first.put(KEY, { data: utf8('kept'), id: 7n, sign: spareKey(0), seq: 3 }, { permanent: true }))
    await clock.run(first.put(KEY, { data: utf8('random id') }, { permanent: true }))
    await clock.run(first.put(KEY, { data: utf8('short-lived'), id: 8n }))
    const ended = await clock.run(first.put(OTHER, { data: utf8('ended'), id: 9n }, { permanent: true }))
    ended.cancel()
    await clock.run(first.stop())

    await clock.advance(30 * 60_000) // nothing of it is left in the network
    expect(await clock.run(read(hub, KEY))).toEqual([])
    const second = node('bot', storage)
    await second.start()
    expect(second.nodeId).toBe(first.nodeId)
    await clock.advance(45 * 60_000)
    expect(await clock.run(read(hub, KEY))).toEqual(['kept'])
    expect(await clock.run(read(hub, OTHER))).toEqual([])

    const { cancel } = await clock.run(second.put(KEY, { data: utf8('kept'), id: 7n, sign: spareKey(0), seq: 4 }, { permanent: true }))
    cancel()
    await clock.run(second.stop())
    const third = node('bot', storage)
    await third.start()
    await clock.advance(30 * 60_000)
    expect(await clock.run(read(hub, KEY))).toEqual([])
    await clock.run(Promise.all([hub.stop(), third.stop()]))
    expect(clock.pending()).toEqual([])
  })

  it('disk first: a permanent put that cannot be kept is not announced, and says why', async () => {
    const { clock, node, read } = world()
    const storage = watched(testStorage())
    const [hub, bot] = [node('hub'), node('bot', storage)]
    await hub.start()
    await bot.start()
    await clock.runUntil(() => bot.status().ipv4 === 'connected')
    storage.broken = true
    await expect(clock.run(bot.put(KEY, { data: utf8('x'), id: 7n }, { permanent: true }))).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    expect(await clock.run(read(hub, KEY))).toEqual([])
    await clock.run(Promise.all([hub.stop(), bot.stop()]))
  })

  it('a put that was not taken, or ended with the node, is not kept', async () => {
    const { clock, network, node } = world()
    const storage = watched(testStorage())
    const [hub, bot] = [node('hub'), node('bot', storage)]
    await hub.start()
    await bot.start()
    await clock.runUntil(() => bot.status().ipv4 === 'connected')
    network.partition(['hub'], ['bot'])
    await expect(clock.run(bot.put(KEY, { data: utf8('x'), id: 7n }, { permanent: true }))).rejects.toMatchObject({ code: 'ERR_DHT_UNREACHABLE' })
    const putting = bot.put(KEY, { data: utf8('x'), id: 8n }, { permanent: true }).catch((error: JamiError) => error.code)
    await clock.advance(100)
    await clock.run(bot.stop())
    expect(await putting).toBe('ERR_CLOSED')
    expect(storage.writes.filter((write) => write.includes('/puts/')).sort()).toEqual(['+', '-'].flatMap((sign) => [7, 8].map((id) => `${sign}dht/puts/${KEY}-000000000000000${id}`)))
    await clock.run(hub.stop())
  })
})

