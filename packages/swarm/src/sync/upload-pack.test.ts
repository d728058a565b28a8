// The serving side: what it sends and how often, to whom, and what it does not do. docs/protocol/04 §4.3.
import { concatBytes } from '@jamikit/core/codec'
import { ManualClock } from '@jamikit/core/testing'
import type { Channel } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { alice } from '../../test/people.ts'
import { MapHistory } from '../../test/map-history.ts'
import { channel, conversation, servesOn } from '../../test/serving.ts'
import { MAX_PEER_HAVES, MAX_PEER_WANTS, SERVED_BYTES, SERVED_SESSIONS, SESSION_IDLE_MS } from '../defaults.ts'
import type { Oid } from '../repo/object.ts'
import { FLUSH, pkt, type Pkt, PktDecoder, pktText } from './pkt-line.ts'
import { ServeRate } from './serve-rate.ts'
import { ServeSlots } from './serve-slots.ts'
import type { ServeOptions } from './upload-pack.ts'

const daemon = pkt(`git-upload-pack /${conversation}\0host=${alice.deviceId}\0`)
const want = (oid: Oid) => pkt(`want ${oid} side-band-64k include-tag \n`)
const have = (oid: Oid) => pkt(`have ${oid}\n`)
const DONE = pkt('done\n')

function written(n = 3): MapHistory {
  const history = new MapHistory()
  for (let i = 0; i < n; i++) history.commit({ a: 'same' }, history.head ? [history.head] : [], `${i}`)
  return history
}

const show = (item: Pkt) => (item === 'flush' ? item : item[0] === 1 ? 'pack' : pktText(item))

/** Everything that comes until the peer ends. */
async function heard(end: Channel): Promise<string[]> {
  const decoder = new PktDecoder()
  for await (const bytes of end) decoder.push(bytes)
  const out: string[] = []
  for (let item = decoder.next(); item !== undefined; item = decoder.next()) out.push(show(item))
  return out
}

function serving(history = written(), more: Partial<ServeOptions> = {}, highWaterBytes = 1 << 24) {
  const clock = new ManualClock()
  const [a, b] = channel({ highWaterBytes })
  const served = servesOn(a, history, more, clock)
  return { ...served, history, clock, b, a }
}

async function said(history: MapHistory, ...words: readonly Uint8Array[]): Promise<{ answer: string[]; error: unknown; fetched: Oid[]; ahead: number }> {
  const s = serving(history)
  const answer = heard(s.b)
  await s.b.write(concatBytes(...words))
  await s.clock.settle()
  const error = await Promise.race([s.serving.then(() => undefined, (e: unknown) => e), new Promise((resolve) => setImmediate(() => resolve('still there')))])
  if (error === 'still there') {
    await s.a.close()
    await s.serving.catch(() => {})
  }
  return { answer: await answer, error, fetched: s.fetched, ahead: s.ahead() }
}

describe('answers of the server', () => {
  const history = written()
  const advert = [`${history.head} HEAD\0side-band side-band-64k no-progress include-tag`, `${history.head} refs/heads/main`, 'flush']

  it('SWM-16 the refs, HEAD first, without what we do not do', async () => {
    expect((await said(history, daemon)).answer).toEqual(advert)
    expect((await said(history, pkt(`git-upload-pack /${conversation}\0host=x\0\0version=1\0`))).answer).toEqual(['version 1\0', ...advert])
    expect((await said(history, pkt(`git-upload-pack /${conversation}\0host=x\0\0version=2\0`))).answer).toEqual(advert)
  })

  it('many haves are answered group by group with one that we own; the pack comes with the first that we own', async () => {
    const [first, unknown] = [history.row(0).oid, 'e'.repeat(40)]
    const one = await said(history, daemon, want(history.head), FLUSH, have(unknown), FLUSH, have(first), FLUSH, DONE, FLUSH)
    expect(one.answer).toEqual([...advert, 'NAK', `ACK ${first} continue`, 'NAK', `ACK ${first}`, 'pack', 'flush'])
    expect([one.fetched, one.ahead]).toEqual([[history.head], 1])
  })

  it('several wants give one pack that has them all', async () => {
    const both = new MapHistory()
    const root = both.commit({ a: '1' })
    const [left, right] = [both.commit({ a: '2' }, [root]), both.commit({ a: '3' }, [root])]
    const { fetched, answer } = await said(both, daemon, want(left), want(right), want(left), FLUSH, DONE)
    expect(fetched).toEqual([left, right])
    expect(answer.slice(-2)).toEqual(['pack', 'flush'])
  })

  it('a bare flush in a request of the daemon\'s form is "up to date", once; of stock git\'s form it is a look at the refs', async () => {
    expect((await said(history, daemon, FLUSH, FLUSH)).fetched).toEqual([history.head])
    for (const form of [`git-upload-pack /${conversation}\0host=localhost:9418\0`, `git-upload-pack /${conversation}\0host=${alice.deviceId}\0\0version=2\0`, `git-upload-pack /${'a'.repeat(40)}\0host=${alice.deviceId}\0`])
      expect((await said(history, pkt(form), FLUSH)).fetched).toEqual([])
    expect((await said(history, FLUSH)).fetched).toEqual([])
    expect((await said(history, daemon)).fetched).toEqual([]) // no flush: it went away
  })

  it.each([
    ['a push', pkt(`git-receive-pack /${conversation}\0host=x\0`), 'ERR_UNSUPPORTED', 'git-receive-pack is not served'], ['an archive', pkt(`git-upload-archive /${conversation}\0host=x\0`), 'ERR_UNSUPPORTED', 'git-upload-archive is not served'],
    ['a depth', pkt('deepen 1\n'), 'ERR_UNSUPPORTED', 'deepen is not served'], ['a shallow commit', pkt(`shallow ${'a'.repeat(40)}\n`), 'ERR_UNSUPPORTED', 'shallow is not served'], ['anything else', pkt('\u0001 hello\n'), 'ERR_UNSUPPORTED', 'this is not served'],
    ['an unknown want', concatBytes(daemon, want('e'.repeat(40))), 'ERR_REPO_INVALID', 'is not a commit that is here'], ['a want without refs', want('e'.repeat(40)), 'ERR_REPO_INVALID', 'before the refs'],
    ['a want that is no id', concatBytes(daemon, pkt('want x\n')), 'ERR_CODEC', 'something else than an id'], ['a have that is no id', concatBytes(daemon, pkt('have x\n')), 'ERR_CODEC', 'something else than an id'],
    ['done without a want', concatBytes(daemon, DONE), 'ERR_REPO_INVALID', 'without a want'],
  ])('%s ends with a line that says so, and the channel with it', async (_, words, code, text) => {
    const { answer, error } = await said(history, words)
    expect(error).toMatchObject({ code })
    expect(answer.at(-1)).toMatch(/^ERR /)
    expect(answer.at(-1)).toContain(text)
  })

  it('a blob or tree of the history is no commit to be wanted', async () => {
    for (const [oid, object] of history.objects) if (object.type !== 'commit') expect((await said(history, daemon, want(oid))).error).toMatchObject({ code: 'ERR_REPO_INVALID' })
  })

  it('haves and wants have a bound', async () => {
    const haves = (n: number) => Array.from({ length: n }, (_, i) => have(i.toString(16).padStart(40, '0')))
    expect((await said(history, daemon, want(history.head), FLUSH, ...haves(MAX_PEER_HAVES), DONE)).answer.at(-1)).toBe('flush')
    expect((await said(history, daemon, want(history.head), FLUSH, ...haves(MAX_PEER_HAVES + 1), DONE)).error).toMatchObject({ code: 'ERR_LIMIT' })
    const long = written(MAX_PEER_WANTS + 1)
    const wants = (n: number) => Array.from({ length: n }, (_, i) => want(long.row(i).oid))
    expect((await said(long, daemon, ...wants(MAX_PEER_WANTS), FLUSH, DONE)).answer.at(-1)).toBe('flush')
    expect((await said(long, daemon, ...wants(MAX_PEER_WANTS + 1), FLUSH, DONE)).error).toMatchObject({ code: 'ERR_LIMIT' })
  })
})

describe('what asking again and again brings', () => {
  it('the same request is worked out once', async () => {
    const history = written(50)
    let asked = 0
    const missing = history.missing.bind(history)
    history.missing = (...args) => {
      asked++
      return missing(...args)
    }
    const s = serving(history)
    const answer = heard(s.b)
    for (let i = 0; i < 20; i++) await s.b.write(concatBytes(daemon, want(history.head), FLUSH, have(history.row(3).oid), DONE))
    await s.b.write(concatBytes(daemon, want(history.head), FLUSH, DONE))
    await s.clock.settle()
    await s.a.close()
    expect((await answer).filter((line) => line === 'pack')).toHaveLength(21)
    expect(asked).toBe(2)
  })

  it('so many sessions, so many bytes; then a line that says so, the end of the channel, and again a minute later', async () => {
    const history = written()
    for (const use of ['sessions', 'bytes'] as const) {
      const rate = new ServeRate()
      const device = channel()[0].remote.deviceId
      const now = new ManualClock().now()
      if (use === 'bytes') rate.sent(device, SERVED_BYTES, now)
      else for (let i = 0; i < SERVED_SESSIONS; i++) rate.session(device, now)
      const s = serving(history, { rate })
      const answer = heard(s.b)
      await s.b.write(concatBytes(daemon, want(history.head), FLUSH, DONE))
      await expect(s.serving).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { what: use } })
      expect((await answer).at(-1)).toBe(`ERR too many ${use}, try again in a minute`)
      expect(s.fetched).toEqual([])
      const later = serving(history, { rate })
      await later.clock.advance(61_000)
      const good = heard(later.b)
      await later.b.write(concatBytes(daemon, want(history.head), FLUSH, DONE))
      await later.clock.settle()
      await later.a.close()
      expect((await good).at(-1)).toBe('flush')
    }
  })

  it('answers that nobody reads are not made: the server stands at the first one that has no room', async () => {
    const s = serving(written(), {}, 1000)
    let asked = 0
    void (async () => {
      for (; asked < 100_000; asked++) await s.b.write(concatBytes(daemon, FLUSH))
    })().catch(() => {})
    await s.clock.settle()
    expect(asked).toBeLessThan(100)
    expect(s.fetched.length).toBeLessThan(20)
    await s.clock.advance(SESSION_IDLE_MS + 1)
    await expect(s.serving).rejects.toMatchObject({ code: 'ERR_TIMEOUT' })
    s.b.abort()
  })

  it('what is sent counts, so that the bound is reached by asking', async () => {
    const rate = new ServeRate()
    const s = serving(written(200), { rate })
    const answer = heard(s.b)
    const device = s.a.remote.deviceId
    await s.b.write(concatBytes(daemon, want(s.history.head), FLUSH, DONE))
    await s.clock.settle()
    const bytes = s.a.bytesOut
    await s.a.close()
    await answer
    rate.sent(device, SERVED_BYTES - bytes - 1, s.clock.now())
    expect(rate.mayPack(device, s.clock.now())).toBe(true)
    rate.sent(device, 1, s.clock.now())
    expect(rate.mayPack(device, s.clock.now())).toBe(false)
  })
})

describe('packs on their way', () => {
  /** 200 files of 20 kB that do not compress. */
  function large(): MapHistory {
    const history = new MapHistory()
    let seed = 1
    const noise = () => Array.from({ length: 20_000 }, () => String.fromCharCode(33 + ((seed = (seed * 16_807) % 2_147_483_647) % 90))).join('')
    history.commit(Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`f${i}`, noise()])))
    return history
  }

  it('objects are read as the peer takes them, not before', async () => {
    const history = large()
    let packed = 0
    const original = history.packed.bind(history)
    history.packed = (oid) => (packed++, original(oid))
    const s = serving(history, {}, 100_000)
    const reader = s.b[Symbol.asyncIterator]()
    await s.b.write(concatBytes(daemon, want(history.head), FLUSH, DONE))
    await s.clock.settle()
    expect(packed).toBeLessThan(30)
    for (let i = 0; i < 10; i++) await reader.next()
    await s.clock.settle()
    expect(packed).toBeGreaterThan(30)
    expect(packed).toBeLessThan(100)
    expect(s.fetched).toEqual([])
    await s.clock.advance(SESSION_IDLE_MS + 1)
    await expect(s.serving).rejects.toMatchObject({ code: 'ERR_TIMEOUT' }) // nobody reads any more
    expect(s.fetched).toEqual([])
  })

  it('one pack of a device at a time: the second channel waits, another device does not, and a failed one gives its place back', async () => {
    const history = large()
    const slots = new ServeSlots()
    const [stuck, waiting] = [serving(history, { slots }, 100_000), serving(history, { slots })]
    for (const s of [stuck, waiting]) await s.b.write(concatBytes(daemon, want(history.head), FLUSH, DONE))
    const answer = heard(waiting.b)
    await stuck.clock.settle()
    await waiting.clock.settle()
    expect(waiting.fetched).toEqual([])
    const leave = await slots.enter('another device', new AbortController().signal)
    leave()
    stuck.b.abort()
    await expect(stuck.serving).rejects.toMatchObject({ code: 'ERR_CHANNEL_CLOSED' })
    await waiting.clock.settle()
    expect(waiting.fetched).toEqual([history.head])
    await waiting.a.close()
    await answer
  })

  it('an object that is gone ends the session; it is damage of ours', async () => {
    const history = written()
    const s = serving(history)
    history.packed = async () => undefined
    await s.b.write(concatBytes(daemon, want(history.head), FLUSH, DONE))
    await expect(s.serving).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    expect(s.fetched).toEqual([])
  })
})
