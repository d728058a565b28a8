// Both ends of a git session over a channel: a clone, a fetch, nothing new, hostile peers. docs/protocol/04 §4.2, §4.3.
import { JamiError } from '@jamikit/core/base'
import { concatBytes, utf8 } from '@jamikit/core/codec'
import { channelPair, testPeer } from '@jamikit/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alice, bob, clock, pair } from '../../test/harness.ts'
import { objectId } from '../repo/object.ts'
import { fetchFrom } from './fetch.ts'
import { GitStream } from './git-stream.ts'
import { encodePack } from './pack.ts'
import { FLUSH, pkt } from './pkt-line.ts'
import { objectsFor, serve } from './upload-pack.ts'

const never = new AbortController().signal
const peers = [testPeer(alice), testPeer(bob)] as const
const channel = () => channelPair({ name: `git://${alice.deviceId}/x`, peers })

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
    const { ours } = await pair()
    const words = [
      pkt(`git-upload-pack /${ours.id}\0host=${alice.deviceId}\0`), pkt(`git-upload-pack /${ours.id}\0host=x\0\0version=1\0`), pkt(`want ${ours.head}\n`), pkt(`want ${'d'.repeat(40)}\n`),
      pkt(`have ${ours.id}\n`), pkt(`have ${'e'.repeat(40)}\n`), pkt('done\n'), FLUSH, pkt('want x\n'), pkt('deepen 1\n'),
    ]
    let fetched = 0
    const whole = concatBytes(pkt(`git-upload-pack /${ours.id}\0host=x\0`), pkt(`want ${ours.head}\n`), FLUSH, pkt('done\n'))
    await fc.assert(fc.asyncProperty(fc.oneof({ weight: 20, arbitrary: anything(words) }, { weight: 1, arbitrary: fc.constant([whole]) }), async (said) => {
      const [a, b] = channel()
      const serving = ended(serve(new GitStream(a, clock), () => ours.repository, { onFetched: () => { fetched++ }, onAhead: () => {}, signal: never }))
      if (said.length > 0) await b.write(concatBytes(...said))
      await new Promise((resolve) => setImmediate(resolve))
      b.abort()
      await serving
    }), { numRuns: 10_000 })
    expect(fetched).toBeGreaterThan(100)
  }, 30_000)

  it('to our client gives a head and objects under their ids, or a typed error (10,000 sessions)', async () => {
    const { ours } = await pair()
    const pack = encodePack(await objectsFor(ours.repository, ours.head, []))
    const band = (n: number, bytes: Uint8Array) => concatBytes(utf8((bytes.length + 5).toString(16).padStart(4, '0')), Uint8Array.of(n), bytes)
    const words = [
      pkt(`${ours.head} HEAD\0side-band-64k\n`), pkt(`${ours.head} refs/heads/main\n`), pkt('ERR no\n'), FLUSH, pkt('NAK\n'), pkt(`ACK ${ours.id} continue\n`), band(1, pack), band(1, pack.subarray(0, 50)),
      band(2, utf8('counting')), band(3, utf8('fatal')),
    ]
    let good = 0
    const whole = concatBytes(pkt(`${ours.head} refs/heads/main\n`), FLUSH, pkt('NAK\n'), band(1, pack), FLUSH)
    await fc.assert(fc.asyncProperty(fc.oneof({ weight: 20, arbitrary: anything(words) }, { weight: 1, arbitrary: fc.constant([whole]) }), async (said) => {
      const [a, b] = channel()
      if (said.length > 0) await a.write(concatBytes(...said))
      const fetching = ended((async () => {
        const { objects } = await fetchFrom(new GitStream(b, clock), { conversation: ours.id, server: alice.deviceId, haves: [], has: () => false, signal: never })
        for (const [oid, object] of objects) expect(objectId(object)).toBe(oid)
        good++
      })())
      await new Promise((resolve) => setImmediate(resolve))
      a.abort() // whoever still waits waits in vain
      await fetching
    }), { numRuns: 10_000 })
    expect(good).toBeGreaterThan(100)
  }, 30_000)
})
