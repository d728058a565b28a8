import { fc, it as property } from '../../test/property.ts'
import { JamiError } from '@jamikit/core/base'
import { concatBytes, fromUtf8, utf8 } from '@jamikit/core/codec'
import { channelPair, testPeer } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { alice, bob, clock, pair } from '../../test/harness.ts'
import { objectId } from '../repo/object.ts'
import { fetchFrom } from './fetch.ts'
import { GitStream } from './git-stream.ts'
import { applyDelta, decodePack, encodePack } from './pack.ts'
import { FLUSH, pkt, PktDecoder, pktText } from './pkt-line.ts'
import { serve } from './upload-pack.ts'

const never = new AbortController().signal
const peers = [testPeer(alice), testPeer(bob)] as const
const channel = () => channelPair({ name: `git://${alice.deviceId}/x`, peers })

describe('packet lines', () => {
  it('SWM-15 a request comes out the same at every split point', () => {
    const bytes = concatBytes(pkt(`git-upload-pack /${'a'.repeat(40)}\0host=${'b'.repeat(64)}\0`), FLUSH, pkt('done\n'))
    expect(fromUtf8(bytes.subarray(0, 4))).toBe('0084')
    for (let cut = 0; cut <= bytes.length; cut++) {
      const decoder = new PktDecoder()
      const items = [...decoder.push(bytes.subarray(0, cut)), ...decoder.push(bytes.subarray(cut))]
      expect(items.map((i) => (i === 'flush' ? i : pktText(i)))).toEqual([`git-upload-pack /${'a'.repeat(40)}\0host=${'b'.repeat(64)}\0`, 'flush', 'done'])
    }
  })

  it.each([['0003', 'too short'], ['zzzz', 'no hex'], ['fff1', 'too long']])('refuses the length %s (%s)', (length) => {
    expect(() => new PktDecoder().push(utf8(`${length}x`))).toThrow(JamiError)
  })

  property('any bytes give packets or a typed error', fc.uint8Array({ maxLength: 300 }), (bytes) => {
    new PktDecoder().push(bytes)
  })
})

describe('packs', () => {
  const objects = [{ type: 'blob' as const, data: utf8('one') }, { type: 'blob' as const, data: new Uint8Array(5000).fill(7) }, { type: 'tree' as const, data: new Uint8Array(0) }]

  it('what is written is read back, by id', () => {
    expect([...decodePack(encodePack(objects)).keys()].sort()).toEqual(objects.map(objectId).sort())
  })

  it('SWM-14 a lying count, a wrong trailer, a cut and trailing bytes are refused', () => {
    const good = encodePack(objects)
    const flip = (at: number) => good.map((b, i) => (i === at ? b ^ 1 : b))
    for (const bad of [flip(11), flip(good.length - 1), good.subarray(0, good.length - 25), concatBytes(good, Uint8Array.of(0)), flip(20)]) expect(() => decodePack(bad)).toThrow(JamiError)
  })

  it('SWM-S11 an object that declares more than is allowed is refused before it is inflated', () => {
    const pack = encodePack([{ type: 'blob', data: utf8('x') }])
    const lying = concatBytes(pack.subarray(0, 12), Uint8Array.of(0xbf, 0xff, 0xff, 0xff, 0xff, 0x0f), pack.subarray(13, -20))
    expect(() => decodePack(concatBytes(lying, new Uint8Array(20)))).toThrow(JamiError)
  })

  it('a delta copies and inserts, and is refused outside its base', () => {
    const base = utf8('hello world')
    const delta = concatBytes(Uint8Array.of(11, 8), Uint8Array.of(0x91, 6, 5), Uint8Array.of(3), utf8('!!!'))
    expect(fromUtf8(applyDelta(base, delta))).toBe('world!!!')
    for (const bad of [Uint8Array.of(10, 8), Uint8Array.of(11, 8, 0), Uint8Array.of(11, 8, 0x91, 9, 5), Uint8Array.of(11, 2, 3, 1, 1, 1), Uint8Array.of(11, 8, 5, 1)]) expect(() => applyDelta(base, bad)).toThrow(JamiError)
  })

  property('any bytes are a pack or a typed error', fc.uint8Array({ maxLength: 200 }), (bytes) => {
    decodePack(bytes)
  })
  property('any delta fits its base or is a typed error', fc.uint8Array({ maxLength: 64 }), (bytes) => {
    applyDelta(utf8('a base'), bytes)
  })
})

describe('sessions over a channel', () => {
  async function served() {
    const { ours, theirs } = await pair()
    const [a, b] = channel()
    const fetched: string[] = []
    let ahead = 0
    const serving = serve(new GitStream(a, clock), () => ours.repository, { onFetched: (head) => fetched.push(head), onAhead: () => ahead++, signal: never })
    const stream = new GitStream(b, clock)
    const fetch = (haves: readonly string[], has: (oid: string) => boolean) =>
      fetchFrom(stream, { conversation: ours.id, server: alice.deviceId, haves, has, signal: never })
    return { ours, theirs, fetch, fetched, serving, close: () => b.close(), ahead: () => ahead }
  }

  it('SWM-15 SWM-17 a clone, then only what is new, then nothing, on one channel; each time the server knows what was fetched', async () => {
    const s = await served()
    const first = await s.fetch([], () => false)
    expect(first.head).toBe(s.ours.head)
    expect(first.objects.has(s.ours.id)).toBe(true)
    await s.ours.append({ type: 'text/plain', fields: { body: 'new' } }, undefined)
    const second = await s.fetch([s.theirs.head], (oid) => s.theirs.has(oid))
    expect([...second.objects.keys()]).toEqual([s.ours.head])
    const third = await s.fetch([], () => true)
    expect(third.objects.size).toBe(0)
    await s.close()
    await s.serving
    expect(s.fetched).toEqual([first.head, s.ours.head, s.ours.head])
    expect(s.ahead()).toBe(0)
  })

  it('SWM-S6 only owned haves count: an unknown one gives the whole history and tells that the peer has more', async () => {
    const s = await served()
    const all = await s.fetch(['e'.repeat(40)], () => false)
    expect(all.objects.has(s.ours.id)).toBe(true)
    expect(s.ahead()).toBe(1)
    await s.close()
  })

  it('a want that we do not have ends the session', async () => {
    const { ours } = await pair()
    const [a, b] = channel()
    const serving = serve(new GitStream(a, clock), () => ours.repository, { onFetched: () => {}, onAhead: () => {}, signal: never })
    await b.write(concatBytes(pkt(`git-upload-pack /${ours.id}\0host=${alice.deviceId}\0`), pkt(`want ${'d'.repeat(40)}\n`), FLUSH, pkt('done\n')))
    await expect(serving).rejects.toMatchObject({ code: 'ERR_REPO_INVALID' })
  })

  it('a hostile server is a typed error: no main, errors, text where a pack belongs', async () => {
    for (const answer of [FLUSH, concatBytes(pkt('ERR no\n'), FLUSH), concatBytes(pkt('garbage'), FLUSH)]) {
      const [a, b] = channel()
      await a.write(answer)
      const error: unknown = await fetchFrom(new GitStream(b, clock), { conversation: 'a'.repeat(40) as never, server: bob.deviceId, haves: [], has: () => false, signal: never }).catch((e: unknown) => e)
      expect(JamiError.is(error)).toBe(true)
    }
  })
})
