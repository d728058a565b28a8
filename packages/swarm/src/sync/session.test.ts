// Both ends of a git session over a channel: a clone, a fetch, nothing new, any words at either end. docs/protocol/04 §4.2, §4.3.
import { JamiError } from '@jamikit/core/base'
import { concatBytes, utf8 } from '@jamikit/core/codec'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alice, clock } from '../../test/people.ts'
import { MapHistory } from '../../test/map-history.ts'
import { encodePack, reachableObjects } from '../../test/packs.ts'
import { scratch } from '../../test/scratch.ts'
import { channel, conversation, never, servesOn } from '../../test/serving.ts'
import { bundle } from '../../test/vectors.ts'
import { objectId } from '../repo/object.ts'
import { type FetchOptions, fetchFrom } from './fetch.ts'
import { GitStream } from './git-stream.ts'
import { FLUSH, pkt } from './pkt-line.ts'

function written(): MapHistory {
  const history = new MapHistory()
  history.commit({ 'admins/a.crt': 'certificate', 'devices/d.crt': 'device', 'invited/b': '' })
  history.commit({ 'admins/a.crt': 'certificate', 'devices/d.crt': 'device', 'members/b.crt': 'joined' })
  for (let i = 0; i < 5; i++) history.commit({ 'admins/a.crt': 'certificate', 'devices/d.crt': 'device', 'members/b.crt': 'joined' }, [history.head], `message ${i}`)
  return history
}

const options = (more: Partial<FetchOptions> = {}): FetchOptions => ({ conversation, server: alice.deviceId, haves: [], has: () => false, scratch: scratch(), signal: never, ...more })

describe('sessions over a channel', () => {
  function served(history = written()) {
    const [a, b] = channel()
    const stream = new GitStream(b, clock)
    return { history, ...servesOn(a, history), fetch: (haves: readonly string[], has: (oid: string) => boolean) => fetchFrom(stream, options({ haves, has })), close: () => b.close() }
  }

  it('SWM-15 SWM-17 a clone, then only what is new, then nothing, on one channel; each time the server knows what was fetched', async () => {
    const s = served()
    const first = await s.fetch([], () => false)
    expect(first.head).toBe(s.history.head)
    expect([...(first.pack?.entries() ?? [])].map((e) => e.oid).sort()).toEqual([...s.history.objects.keys()].sort())
    const known = s.history.head
    const next = s.history.commit({ 'admins/a.crt': 'certificate', 'devices/d.crt': 'device', 'members/b.crt': 'joined' })
    const second = await s.fetch([known], (oid) => oid === known)
    expect([...(second.pack?.entries() ?? [])].map((e) => e.oid)).toEqual([next])
    expect((await s.fetch([], () => true)).pack).toBeUndefined()
    await s.close()
    await s.serving
    expect(s.fetched).toEqual([known, next, next])
    expect(s.ahead()).toBe(0)
  })

  it('SWM-S6 only owned haves count: an unknown one gives the whole history and tells that the peer has more', async () => {
    const s = served()
    expect((await s.fetch(['e'.repeat(40)], () => false)).pack?.count).toBe(s.history.objects.size)
    expect(s.ahead()).toBe(1)
    await s.close()
  })

  it('captured histories arrive whole, byte for byte', async () => {
    for (const name of ['one-to-one', 'group-mode-2']) {
      const objects = bundle(name)
      const parents = new Set([...objects.values()].flatMap((o) => (o.type === 'commit' ? [...Buffer.from(o.data).toString('latin1').matchAll(/^parent ([0-9a-f]{40})$/gm)].map((m) => m[1]) : [])))
      const head = [...objects].find(([oid, o]) => o.type === 'commit' && !parents.has(oid))?.[0] ?? ''
      const s = served(MapHistory.of(objects, head))
      const { pack } = await s.fetch([], () => false)
      for (const object of await reachableObjects(s.history, head)) expect(Buffer.compare((await pack?.read(objectId(object)))?.data ?? new Uint8Array(0), object.data)).toBe(0)
      await s.close()
    }
  })
})

describe('whatever a peer says', () => {
  const anything = (words: readonly Uint8Array[]) => fc.array(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...words) }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 12 }) }), { maxLength: 8 })
  const ended = async (work: Promise<unknown>) => {
    try {
      await work
    } catch (error) {
      expect(JamiError.is(error), String(error)).toBe(true)
    }
  }

  it('to our server ends in good order or with a typed error (10,000 sessions)', async () => {
    const history = written()
    const first = history.row(0).oid
    const words = [
      pkt(`git-upload-pack /${conversation}\0host=${alice.deviceId}\0`), pkt(`git-upload-pack /${conversation}\0host=x\0\0version=1\0`), pkt(`want ${history.head}\n`), pkt(`want ${'d'.repeat(40)}\n`),
      pkt(`have ${first}\n`), pkt(`have ${'e'.repeat(40)}\n`), pkt('done\n'), FLUSH, pkt('want x\n'), pkt('deepen 1\n'),
    ]
    let fetched = 0
    const whole = concatBytes(pkt(`git-upload-pack /${conversation}\0host=x\0`), pkt(`want ${history.head}\n`), FLUSH, pkt('done\n'))
    await fc.assert(fc.asyncProperty(fc.oneof({ weight: 20, arbitrary: anything(words) }, { weight: 1, arbitrary: fc.constant([whole]) }), async (said) => {
      const [a, b] = channel()
      const { serving } = servesOn(a, history, { onFetched: () => { fetched++ } })
      if (said.length > 0) await b.write(concatBytes(...said))
      await new Promise((resolve) => setImmediate(resolve))
      b.abort()
      await ended(serving)
    }), { numRuns: 10_000 })
    expect(fetched).toBeGreaterThan(100)
  }, 30_000)

  it('to our client gives a head and objects under their ids, or a typed error (10,000 sessions)', async () => {
    const history = written()
    const pack = encodePack(await reachableObjects(history, history.head))
    const band = (n: number, bytes: Uint8Array) => concatBytes(utf8((bytes.length + 5).toString(16).padStart(4, '0')), Uint8Array.of(n), bytes)
    const words = [
      pkt(`${history.head} HEAD\0side-band-64k\n`), pkt(`${history.head} refs/heads/main\n`), pkt('ERR no\n'), FLUSH, pkt('NAK\n'), pkt(`ACK ${history.row(0).oid} continue\n`), band(1, pack), band(1, pack.subarray(0, 50)),
      band(2, utf8('counting')), band(3, utf8('fatal')), band(1, new Uint8Array(0)),
    ]
    let good = 0
    const whole = concatBytes(pkt(`${history.head} refs/heads/main\n`), FLUSH, pkt('NAK\n'), band(1, pack), FLUSH)
    await fc.assert(fc.asyncProperty(fc.oneof({ weight: 20, arbitrary: anything(words) }, { weight: 1, arbitrary: fc.constant([whole]) }), async (said) => {
      const [a, b] = channel()
      if (said.length > 0) await a.write(concatBytes(...said))
      const fetching = ended((async () => {
        const { pack: received } = await fetchFrom(new GitStream(b, clock), options())
        for (const { oid } of received?.entries() ?? []) expect(objectId((await received?.read(oid)) as never)).toBe(oid)
        good++
      })())
      await new Promise((resolve) => setImmediate(resolve))
      a.abort() // whoever still waits waits in vain
      await fetching
    }), { numRuns: 10_000 })
    expect(good).toBeGreaterThan(100)
  }, 30_000)
})
