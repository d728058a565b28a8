// Both ends of a git session over a channel: a clone, a fetch, nothing new, hostile peers. docs/protocol/04 §4.2, §4.3.
import { JamiError } from '@jamikit/core/base'
import { concatBytes } from '@jamikit/core/codec'
import { channelPair, testPeer } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { alice, bob, clock, pair } from '../../test/harness.ts'
import { fetchFrom } from './fetch.ts'
import { GitStream } from './git-stream.ts'
import { FLUSH, pkt } from './pkt-line.ts'
import { serve } from './upload-pack.ts'

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
