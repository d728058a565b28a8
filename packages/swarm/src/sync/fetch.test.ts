// The fetching side against servers that lie, burst, stall and refuse. docs/protocol/04 §3.9, §4.3.
import { JamiError } from '@jamikit/core/base'
import { concatBytes, utf8 } from '@jamikit/core/codec'
import { sha1 } from '@jamikit/core/crypto'
import { ManualClock } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { alice } from '../../test/people.ts'
import { MapHistory } from '../../test/map-history.ts'
import { encodePack, reachableObjects } from '../../test/packs.ts'
import { MemoryScratch, scratch } from '../../test/scratch.ts'
import { channel, conversation, never } from '../../test/serving.ts'
import { MAX_HAVES, MAX_REFS, SESSION_IDLE_MS } from '../defaults.ts'
import { type FetchOptions, fetchFrom } from './fetch.ts'
import { GitStream } from './git-stream.ts'
import { FLUSH, pkt, PktDecoder, pktText } from './pkt-line.ts'

const history = new MapHistory()
for (let i = 0; i < 3; i++) history.commit({ a: `${i}` })
const { head } = history
const refs = concatBytes(pkt(`${head} HEAD\0side-band-64k\n`), pkt(`${head} refs/heads/main\n`), FLUSH)
const band = (n: number, bytes: Uint8Array) => pkt(concatBytes(Uint8Array.of(n), bytes))

/** What a fetch makes of a server that says this whatever it is asked; and what it was asked. */
async function fetched(said: readonly Uint8Array[], more: Partial<FetchOptions> = {}, files = new MemoryScratch()) {
  const clock = new ManualClock()
  const [a, b] = channel({ highWaterBytes: 1 << 30 })
  for (const bytes of said) await a.write(bytes)
  const options: FetchOptions = { conversation, server: alice.deviceId, haves: [], has: () => false, scratch: scratch(files), signal: never, ...more }
  const outcome = fetchFrom(new GitStream(b, clock), options).then((value) => value, (error: unknown) => error)
  await clock.settle()
  await clock.advance(SESSION_IDLE_MS + 1) // who waits now waits in vain
  const result = await outcome
  void b.close()
  const decoder = new PktDecoder()
  for await (const bytes of a) decoder.push(bytes)
  const asked: string[] = []
  for (let item = decoder.next(); item !== undefined; item = decoder.next()) asked.push(item === 'flush' ? item : pktText(item))
  return { result, asked, files }
}

describe('a fetch', () => {
  const pack = async () => encodePack(await reachableObjects(history, head))

  it('asks in the form of a daemon, tells what it owns up to a bound, and ends with a flush', async () => {
    const haves = Array.from({ length: MAX_HAVES + 5 }, (_, i) => `${i}`.padStart(40, '0'))
    const { result, asked } = await fetched([refs, pkt('NAK\n'), pkt(`ACK ${head}\n`), band(2, utf8('counting')), band(1, await pack()), FLUSH], { haves })
    expect(result).toMatchObject({ head, pack: { count: 9 } })
    expect(asked).toEqual([
      `git-upload-pack /${conversation}\0host=${alice.deviceId}\0`, `want ${head} side-band-64k include-tag `, 'flush', ...haves.slice(0, MAX_HAVES).map((oid) => `have ${oid}`), 'done', 'flush',
    ])
  })

  it('a server that ends the session with the last byte of its pack has given it', async () => {
    const clock = new ManualClock()
    const [a, b] = channel({ highWaterBytes: 1 << 30 })
    await a.write(refs)
    const serving = (async () => {
      for await (const bytes of a) {
        if (!Buffer.from(bytes).includes('done')) continue
        await a.write(concatBytes(pkt('NAK\n'), band(1, await pack()), FLUSH))
        return a.close()
      }
    })()
    const options: FetchOptions = { conversation, server: alice.deviceId, haves: [], has: () => false, scratch: scratch(new MemoryScratch()), signal: never }
    await expect(clock.run(fetchFrom(new GitStream(b, clock), options))).resolves.toMatchObject({ head, pack: { count: 9 } })
    await serving
  })

  it('nothing is asked for when the head is here; a head that was refused is not asked for, and the server does not take us for having it', async () => {
    expect(await fetched([refs], { has: (oid) => oid === head })).toMatchObject({ result: { head, pack: undefined }, asked: [expect.anything(), 'flush'] })
    const refused = await fetched([refs], { refused: (oid) => oid === head })
    expect(refused.result).toMatchObject({ code: 'ERR_REPO_INVALID', details: { head, remembered: true } })
    expect(refused.asked).toHaveLength(1)
  })

  it('main counts before HEAD, HEAD where there is no main', async () => {
    const other = 'e'.repeat(40)
    for (const [lines, expected] of [[[`${other} HEAD`, `${head} refs/heads/main`], head], [[`${head} refs/heads/main`, `${other} HEAD`], head], [[`${other} refs/heads/other`, `${head} HEAD`], head]] as const)
      expect((await fetched([...lines.map((l) => pkt(`${l}\n`)), FLUSH], { has: () => true })).result).toMatchObject({ head: expected })
    expect((await fetched([pkt(`${other} refs/remotes/x/main\n`), FLUSH])).result).toMatchObject({ code: 'ERR_REPO_INVALID' })
  })

  it('so many refs are read, one more is refused', async () => {
    const lines = (n: number) => [concatBytes(...Array.from({ length: n }, () => pkt(`${head} refs/heads/main\n`)), FLUSH)]
    expect((await fetched(lines(MAX_REFS), { has: () => true })).result).toMatchObject({ head })
    expect((await fetched(lines(MAX_REFS + 1), { has: () => true })).result).toMatchObject({ code: 'ERR_LIMIT', details: { got: MAX_REFS + 1, allowed: MAX_REFS } })
  })

  it('a server that refuses, before the refs or before the pack, is not one that sends what is wrong', async () => {
    expect((await fetched([pkt('ERR not\u0000you\n')])).result).toMatchObject({ code: 'ERR_PEER_REFUSED', message: 'the peer refused: not you' })
    expect((await fetched([refs, pkt('ERR too much\n')])).result).toMatchObject({ code: 'ERR_PEER_REFUSED' })
    expect((await fetched([refs, band(3, utf8('no space'))])).result).toMatchObject({ code: 'ERR_REPO_INVALID', message: 'the peer failed: no space' })
    expect((await fetched([refs, pkt('hello\n')])).result).toMatchObject({ code: 'ERR_REPO_INVALID' })
  })

  it('the bound on bytes holds at the byte: as large is read, one less allowed is refused while it comes in, and the scratch file is gone', async () => {
    const noise = { type: 'blob' as const, data: new Uint8Array(Buffer.concat(Array.from({ length: 30_000 }, (_, i) => sha1(Uint8Array.of(i, i >> 8))))) }
    const big = encodePack([...(await reachableObjects(history, head)), noise])
    const packets = Array.from({ length: Math.ceil(big.length / 60_000) }, (_, i) => band(1, big.subarray(i * 60_000, (i + 1) * 60_000)))
    const counted = packets.reduce((sum, p) => sum + p.length - 4, 0)
    const good = await fetched([refs, ...packets, FLUSH], { limits: { bytes: counted } })
    expect(good.result).toMatchObject({ pack: { count: 10, path: 'scratch/pack' } })
    const bad = await fetched([refs, ...packets, FLUSH], { limits: { bytes: counted - 1 } })
    expect(bad.result).toMatchObject({ code: 'ERR_LIMIT', details: { head } }) // so that it is remembered
    expect(bad.files.contents.size).toBe(0)
  })

  it.each([['empty packets', new Uint8Array(0)], ['packets of band 1 without data', Uint8Array.of(1)], ['progress', Uint8Array.of(2, 46)]])('%s without end are refused by their number', async (_, packet) => {
    const stream = Array.from({ length: 40 }, () => concatBytes(...Array.from({ length: 1000 }, () => pkt(packet))))
    expect((await fetched([refs, band(1, utf8('PACK')), ...stream], { limits: { bytes: 64 * 30_000 } })).result).toMatchObject({ code: 'ERR_LIMIT' })
  })

  it('flushes before the pack without end are refused, too', async () => {
    const flushes = Array.from({ length: 40 }, () => concatBytes(...Array.from({ length: 1000 }, () => FLUSH)))
    expect((await fetched([refs, ...flushes], { limits: { bytes: 64 * 30_000 } })).result).toMatchObject({ code: 'ERR_LIMIT' })
  })

  it('a pack without the head, or with something else under it, is refused and discarded', async () => {
    const files = new MemoryScratch()
    expect((await fetched([refs, band(1, encodePack([{ type: 'blob', data: utf8('x') }])), FLUSH], {}, files)).result).toMatchObject({ code: 'ERR_REPO_INVALID' })
    const blob = history.objects.get(head)
    const blobHead = [...history.objects].find(([, o]) => o.type === 'blob')?.[0] ?? ''
    expect(blob?.type).toBe('commit')
    expect((await fetched([pkt(`${blobHead} refs/heads/main\n`), FLUSH, band(1, await pack()), FLUSH])).result).toMatchObject({ code: 'ERR_REPO_INVALID' })
  })

  it('silence at any point is a time-out, the end of the channel is told; both are typed and leave nothing behind', async () => {
    const whole = await pack()
    for (const said of [[], [refs], [refs, pkt('NAK\n')], [refs, band(1, whole.subarray(0, 40))], [refs, band(1, whole)]]) {
      const { result, files } = await fetched(said)
      expect(result).toMatchObject({ code: 'ERR_TIMEOUT' })
      expect(files.contents.size).toBe(0)
    }
    const [a, b] = channel()
    await a.write(refs)
    await a.close()
    const error: unknown = await fetchFrom(new GitStream(b, new ManualClock()), { conversation, server: alice.deviceId, haves: [], has: () => false, scratch: scratch(), signal: never }).catch((e: unknown) => e)
    expect(JamiError.is(error, 'ERR_CHANNEL_CLOSED')).toBe(true)
  })

  it('a server that sends a byte of pack now and then is ended, though it is never silent', async () => {
    const clock = new ManualClock()
    const [a, b] = channel({ clock })
    void a.write(refs)
    const outcome = fetchFrom(new GitStream(b, clock), { conversation, server: alice.deviceId, haves: [], has: () => false, scratch: scratch(), signal: never }).then(() => 'done', (error: unknown) => error)
    const whole = await pack()
    for (let i = 0; i < 90; i++) {
      void a.write(band(1, whole.subarray(i, i + 1))).catch(() => {})
      await clock.advance(1000)
    }
    expect(await Promise.race([outcome, 'still'])).toMatchObject({ code: 'ERR_TIMEOUT' })
  })

  it('a full disk is told as what it is, and whatever else breaks has a type', async () => {
    const noise = encodePack([{ type: 'blob', data: new Uint8Array(Buffer.concat(Array.from({ length: 30_000 }, (_, i) => sha1(Uint8Array.of(i, i >> 8))))) }])
    const packets = Array.from({ length: Math.ceil(noise.length / 60_000) }, (_, i) => band(1, noise.subarray(i * 60_000, (i + 1) * 60_000)))
    class Broken extends MemoryScratch {
      readonly #error: Error
      constructor(error: Error) {
        super()
        this.#error = error
      }
      override append(): Promise<number> {
        return Promise.reject(this.#error)
      }
    }
    expect((await fetched([refs, ...packets, FLUSH], {}, new Broken(new JamiError('ERR_STORAGE_IO', 'full')))).result).toMatchObject({ code: 'ERR_STORAGE_IO' })
    expect((await fetched([refs, ...packets, FLUSH], {}, new Broken(new RangeError('Invalid array length')))).result).toSatisfy((e) => JamiError.is(e))
  })
})
