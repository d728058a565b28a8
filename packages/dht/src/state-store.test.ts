// What a node keeps between runs: a snapshot, written seldom and never by packet; a node id, known nodes and permanent values come back.
import { JamiError } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { InfoHash, Storage } from '@jamikit/core/contracts'
import { ManualClock, recordingLogger, SeededRandom, SimNetwork, spareKey, testCrypto, testStorage } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { dht } from './dht.ts'
import { FIRST_SAVE_MS, SAVE_MS, SOON_MS, StateStore } from './state-store.ts'

const KEY = 'ab'.repeat(20) as InfoHash
const OTHER = 'cd'.repeat(20) as InfoHash
const MINUTE_MS = 60_000

/** Counts the writes, and fails them while `broken`. */
function watched() {
  const storage = testStorage()
  const state = { storage, writes: [] as string[], broken: false }
  storage.onWrite = (what) => {
    if (state.broken) throw new JamiError('ERR_STORAGE_IO', 'the disk is full')
    state.writes.push(what)
  }
  return state
}

describe('snapshots', () => {
  function store() {
    const clock = new ManualClock()
    const logger = recordingLogger()
    const disk = watched()
    return { clock, logger, disk, open: () => new StateStore({ clock, logger, storage: disk.storage, prefix: 'dht' }) }
  }

  it('come back as they were; without one there is nothing', async () => {
    const { clock, open } = store()
    const first = open()
    expect(await first.load()).toBeUndefined()
    first.begin(() => Uint8Array.of(1, 2, 3))
    await clock.run(first.close())
    expect(await open().load()).toEqual(Uint8Array.of(1, 2, 3))
    expect(clock.pending()).toEqual([])
  })

  it('are written now and then, and only when they changed; nothing is written after the end', async () => {
    const { clock, disk, open } = store()
    let nodes = 0
    const one = open()
    one.begin(() => Uint8Array.of(nodes))
    await clock.advance(FIRST_SAVE_MS - 1)
    expect(disk.writes).toEqual([])
    await clock.advance(6 * SAVE_MS)
    expect(disk.writes).toEqual(['dht/state'])
    for (nodes = 1; nodes < 60; nodes++) await clock.advance(SAVE_MS / 10)
    expect(disk.writes.length).toBeLessThanOrEqual(8)
    const writes = disk.writes.length
    await clock.run(one.close())
    expect(disk.writes.length).toBe(writes + 1)
    one.soon()
    await clock.advance(SAVE_MS)
    expect([disk.writes.length, clock.pending()]).toEqual([writes + 1, []])
  })

  it('what must not wait is written within seconds, a thousand changes at once', async () => {
    const { clock, disk, open } = store()
    let state = 0
    const one = open()
    one.begin(() => Uint8Array.of(state, state >> 8))
    await clock.advance(FIRST_SAVE_MS)
    for (; state < 1000; state++) one.soon()
    await clock.advance(SOON_MS)
    expect(disk.writes).toHaveLength(2)
    expect(await open().load()).toEqual(Uint8Array.of(1000 & 255, 1000 >> 8))
    await clock.run(one.close())
  })

  it('what changes all the time is written all the same, and no more often', async () => {
    const { clock, disk, open } = store()
    let state = 0
    const one = open()
    one.begin(() => Uint8Array.of(state))
    for (; state < 60; state++) {
      one.soon()
      await clock.advance(1000)
    }
    expect(disk.writes.length).toBeGreaterThanOrEqual(60_000 / SOON_MS / 2)
    expect(disk.writes.length).toBeLessThanOrEqual(60_000 / SOON_MS)
    await clock.run(one.close())
  })

  it('a full disk is told, and tried again', async () => {
    const { clock, disk, logger, open } = store()
    const one = open()
    disk.broken = true
    one.begin(() => Uint8Array.of(1))
    await clock.advance(SAVE_MS)
    expect(logger.entries.filter(({ level }) => level === 'error').length).toBeGreaterThan(0)
    disk.broken = false
    await clock.advance(2 * SAVE_MS)
    expect(await open().load()).toEqual(Uint8Array.of(1))
    disk.broken = true
    one.begin(() => Uint8Array.of(2))
    await clock.run(one.close()) // never rejects
  })
})

describe('a node with a storage', () => {
  function world() {
    const clock = new ManualClock()
    const random = new SeededRandom(1)
    const network = new SimNetwork({ clock, random: random.fork('network') })
    const logger = recordingLogger()
    let runs = 0
    const node = (name: string, storage?: Storage, bootstrap = name === 'hub' ? [] : ['hub:4222']) =>
      dht()({ clock, crypto: testCrypto(), random: random.fork(`${name}${runs++}`), network: network.host(name), logger, bootstrap, port: 4222, ...(storage ? { storage, prefix: 'dht' } : {}) })
    const read = async (from: ReturnType<typeof node>, key: InfoHash) => {
      const texts: string[] = []
      for await (const { data } of from.get(key)) texts.push(new TextDecoder().decode(data))
      return texts
    }
    return { clock, node, read, logger }
  }

  it('has the same id after a restart, finds the others without an entry point, and goes on with permanent values', async () => {
    const { clock, node, read } = world()
    const { storage } = watched()
    const hub = node('hub')
    await hub.start()
    const first = node('bot', storage)
    await first.start()
    await clock.runUntil(() => first.status().ipv4 === 'connected')
    await clock.run(first.put(KEY, { data: utf8('kept'), id: 7n, sign: spareKey(0), seq: 3 }, { permanent: true }))
    await clock.run(first.put(KEY, { data: utf8('short-lived'), id: 8n }))
    const ended = await clock.run(first.put(OTHER, { data: utf8('ended'), id: 9n }, { permanent: true }))
    ended.cancel()
    await clock.run(first.stop())

    await clock.advance(30 * MINUTE_MS) // nothing of it is left in the network
    expect(await clock.run(read(hub, KEY))).toEqual([])
    const second = node('bot', storage, [])
    await second.start()
    expect(second.nodeId).toBe(first.nodeId)
    await clock.advance(45 * MINUTE_MS)
    expect(second.status().ipv4).toBe('connected')
    expect(await clock.run(read(hub, KEY))).toEqual(['kept'])
    expect(await clock.run(read(hub, OTHER))).toEqual([])

    const { cancel } = await clock.run(second.put(KEY, { data: utf8('put again'), id: 7n, sign: spareKey(0), seq: 4 }, { permanent: true }))
    await clock.advance(90 * MINUTE_MS)
    expect(await clock.run(read(hub, KEY))).toEqual(['put again'])
    cancel()
    await clock.run(second.stop())
    const third = node('bot', storage)
    await third.start()
    await clock.advance(30 * MINUTE_MS)
    expect(await clock.run(read(hub, KEY))).toEqual([])
    await clock.run(Promise.all([hub.stop(), third.stop()]))
    expect(clock.pending()).toEqual([])
  }, 60_000)

  it('a permanent put and its end survive a crash seconds later', async () => {
    const { clock, node, read } = world()
    const disk = watched()
    const [hub, bot] = [node('hub'), node('bot', disk.storage)]
    await hub.start()
    await bot.start()
    await clock.runUntil(() => bot.status().ipv4 === 'connected')
    await clock.run(bot.put(KEY, { data: utf8('kept'), id: 7n }, { permanent: true }))
    const { cancel } = await clock.run(bot.put(OTHER, { data: utf8('ended'), id: 8n }, { permanent: true }))
    await clock.advance(SOON_MS)
    cancel()
    await clock.advance(SOON_MS)
    disk.broken = true // from here on nothing reaches the disk
    await clock.run(bot.stop())
    disk.broken = false
    await clock.advance(30 * MINUTE_MS)
    const again = node('bot', disk.storage)
    await again.start()
    await clock.advance(5 * MINUTE_MS)
    expect([await clock.run(read(hub, KEY)), await clock.run(read(hub, OTHER))]).toEqual([['kept'], []])
    await clock.run(Promise.all([hub.stop(), again.stop()]))
  }, 60_000)

  it.each([['bytes that are none', utf8('garbage')], ['nothing', new Uint8Array(0)], ['another version', Uint8Array.of(0x81, 0xa7, ...utf8('version'), 9)]])('a damaged state (%s) is told and costs only itself', async (_, bytes) => {
    const { clock, node, logger } = world()
    const { storage } = watched()
    await storage.batch([{ key: 'dht/state', value: bytes }])
    const bot = node('bot', storage)
    await bot.start()
    expect(logger.entries.filter(({ level, fields }) => level === 'warn' && (fields as { err?: { code?: string } }).err?.code === 'ERR_STORAGE_CORRUPT')).toHaveLength(1)
    await clock.run(bot.stop())
  })

  it('a storage that cannot be read rejects the start, and leaves nothing open', async () => {
    const { clock, node } = world()
    const { storage } = watched()
    storage.get = () => Promise.reject(new JamiError('ERR_STORAGE_IO', 'the disk is gone'))
    const bot = node('bot', storage)
    await expect(bot.start()).rejects.toMatchObject({ code: 'ERR_STORAGE_IO' })
    await clock.run(bot.stop())
    const other = node('bot')
    await other.start() // the port is free again
    await clock.run(other.stop())
    expect(clock.pending()).toEqual([])
  })
})
