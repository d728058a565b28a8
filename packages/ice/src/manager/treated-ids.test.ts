// What is remembered of request ids, what is written for it, and what a full disk or an old record costs.
import { encodeMsgpack } from '@jamikit/core/codec'
import { JamiError, silentLogger } from '@jamikit/core/base'
import type { Storage, StorageOp } from '@jamikit/core/contracts'
import { ManualClock, testStorage } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { MAX_REFUSED, MAX_TREATED, TREATED_TTL_MS } from '../defaults.ts'
import { TreatedIds } from './treated-ids.ts'

function lab(storage = testStorage()) {
  const clock = new ManualClock()
  const batches: StorageOp[][] = []
  const state = { fails: false }
  const counting = {
    get: storage.get.bind(storage), keys: storage.keys.bind(storage),
    batch: async (ops: readonly StorageOp[]) => {
      if (state.fails) throw new JamiError('ERR_STORAGE_IO', 'disk full')
      batches.push([...ops])
      await storage.batch(ops)
    },
  } as unknown as Storage
  const make = async () => {
    const ids = new TreatedIds(counting, 'p', clock, silentLogger)
    await ids.load()
    return ids
  }
  const keys = async () => {
    const out: string[] = []
    for await (const key of storage.keys('p/')) out.push(key)
    return out
  }
  return { clock, batches, state, make, keys, storage }
}
const treat = (ids: TreatedIds, id: number) => {
  const fresh = ids.begin(id)
  ids.keep(id)
  return fresh
}

describe('treated ids', () => {
  it('ICE-5 an id is treated once, also while it is being looked at, and after a restart', async () => {
    const t = lab()
    const ids = await t.make()
    expect([ids.begin(5), ids.begin(5)]).toEqual([true, false])
    ids.keep(5)
    expect(ids.begin(5)).toBe(false)
    await ids.flush()
    expect((await t.make()).begin(5)).toBe(false)
  })

  it('an id that found no room is not burnt', async () => {
    const ids = await lab().make()
    expect(ids.begin(5)).toBe(true)
    ids.release(5)
    expect(ids.begin(5)).toBe(true)
  })

  it('each id writes itself, not the table: the cost does not grow with what is remembered', async () => {
    const t = lab()
    const ids = await t.make()
    for (let id = 1; id <= 2000; id++) treat(ids, id)
    await ids.flush()
    t.batches.length = 0
    treat(ids, 9999)
    await ids.flush()
    expect(t.batches.map((ops) => ops.map(({ value }) => (value?.length ?? 0) < 20))).toEqual([[true]])
  })

  it('refused ids write nothing, are bounded, and push no treated one out', async () => {
    const t = lab()
    const ids = await t.make()
    treat(ids, 1)
    await ids.flush()
    t.batches.length = 0
    for (let id = 10; id < 10 + 3 * MAX_REFUSED; id++) {
      ids.begin(id)
      ids.refuse(id)
    }
    await ids.flush()
    expect([ids.begin(1), ids.begin(10 + 3 * MAX_REFUSED - 1), ids.begin(10), t.batches]).toEqual([false, false, true, []])
  })

  it('forgets after 24 hours, and beyond its bound the oldest first, on disk, too', async () => {
    const t = lab()
    const ids = await t.make()
    treat(ids, 1)
    await t.clock.advance(TREATED_TTL_MS / 2)
    treat(ids, 2)
    await t.clock.advance(TREATED_TTL_MS / 2 + 1)
    expect([ids.begin(2), treat(ids, 1)]).toEqual([false, true])
    await ids.flush()
    expect(await t.keys()).toEqual(['p/treated-requests/1', 'p/treated-requests/2'])
    for (let id = 100; id < 100 + MAX_TREATED; id++) treat(ids, id)
    await ids.flush()
    expect([ids.begin(1), ids.begin(100), (await t.keys()).length]).toEqual([true, false, MAX_TREATED])
  })

  it('reads the table of earlier versions once, and writes it anew id by id', async () => {
    const t = lab()
    const now = t.clock.wallTimeMs()
    await t.storage.batch([{ key: 'p/treated-requests', value: encodeMsgpack([[5, now - 1000], [6, now - TREATED_TTL_MS - 1]]) }])
    const ids = await t.make()
    expect([ids.begin(5), ids.begin(6)]).toEqual([false, true])
    await ids.flush()
    expect(await t.keys()).toEqual(['p/treated-requests/5'])
    expect((await t.make()).begin(5)).toBe(false)
  })

  it.each([['the table of earlier versions', 'p/treated-requests'], ['one id', 'p/treated-requests/7']])('%s that cannot be read costs itself', async (_, key) => {
    const t = lab()
    await t.storage.batch([{ key, value: Uint8Array.of(0xc1) }, { key: 'p/treated-requests/8', value: encodeMsgpack(t.clock.wallTimeMs()) }])
    const ids = await t.make()
    expect([ids.begin(7), ids.begin(8)]).toEqual([true, false])
  })

  it('what a full disk refused is written with the next id', async () => {
    const t = lab()
    const ids = await t.make()
    t.state.fails = true
    treat(ids, 5)
    await ids.flush()
    expect(ids.begin(5)).toBe(false)
    t.state.fails = false
    treat(ids, 6)
    await ids.flush()
    expect(await t.keys()).toEqual(['p/treated-requests/5', 'p/treated-requests/6'])
  })
})
