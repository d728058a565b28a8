// Fetches that fail: whose fault it is decides whether, when and how often they are tried again, and who is told.
import { JamiError, silentLogger, Tasks } from '@jamikit/core/base'
import { concatBytes } from '@jamikit/core/codec'
import type { Channel, ConnectionManager, ConversationId } from '@jamikit/core/contracts'
import { channelPair, ManualClock, SeededRandom, testPeer } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { alice, bob, pair, problems } from '../../test/harness.ts'
import { memoryFiles } from '../../test/memory.ts'
import { FETCH_RETRIES, MAX_CLONE_OBJECTS, MAX_OBJECTS } from '../defaults.ts'
import { FLUSH, pkt } from '../sync/pkt-line.ts'
import type { Conversation } from './conversation.ts'
import { Fetching } from './fetching.ts'

/** Fetches of one conversation from Bob's device, over channels that `answer` gives. */
async function fetchingFrom(answer: () => Promise<Channel>) {
  const clock = new ManualClock()
  const { ours } = await pair()
  const world = { conversation: ours as Conversation | undefined, connected: true, sessions: 0, told: [] as string[] }
  const tasks = new Tasks(clock, () => {})
  const fetching = new Fetching({
    clock, random: new SeededRandom('fetching'), logger: silentLogger, tasks,
    connections: { openChannel: () => {
      world.sessions++
      return answer()
    } } as unknown as ConnectionManager,
    mayFetch: () => true, find: () => world.conversation, files: () => memoryFiles().files('c'), isConnected: () => world.connected,
    onHas: async () => {}, onChange: () => {}, onSame: () => {}, onDiverged: () => {}, onProblem: (_id: ConversationId, error) => world.told.push(error.code),
  })
  const request = () => fetching.request(ours, bob.accountId, bob.deviceId)
  return { clock, tasks, fetching, world, request, ours }
}

const failing = (code: 'ERR_LINK_LOST' | 'ERR_STORAGE_IO') => async (): Promise<Channel> => {
  throw new JamiError(code, 'it fails')
}

const GARBAGE = concatBytes(pkt('garbage'), FLUSH)

/** A server that says this and nothing else. */
const saying = (bytes: Uint8Array) => async (): Promise<Channel> => {
  const [theirs, mine] = channelPair({ name: 'git://x', peers: [testPeer(bob), testPeer(alice)] })
  await theirs.write(bytes)
  return mine
}

describe('a fetch that fails', () => {
  it('by the link is tried a few times while the device is connected, and not at all when it is gone', async () => {
    const a = await fetchingFrom(failing('ERR_LINK_LOST'))
    a.request()
    await a.clock.advance(3_600_000)
    expect([a.world.sessions, a.world.told]).toEqual([FETCH_RETRIES + 1, []])
    a.world.connected = false
    a.request()
    await a.clock.advance(3_600_000)
    expect(a.world.sessions).toBe(FETCH_RETRIES + 2)
  })

  it('by our own disk is told once and tried for as long as the device is connected, at least every minute', async () => {
    const a = await fetchingFrom(failing('ERR_STORAGE_IO'))
    a.request()
    await a.clock.advance(3_600_000)
    expect(a.world.told).toEqual(['ERR_STORAGE_IO'])
    expect(a.world.sessions).toBeGreaterThan(60)
    expect(a.world.sessions).toBeLessThan(80)
    a.world.connected = false
    await a.clock.advance(120_000)
    const end = a.world.sessions
    await a.clock.advance(3_600_000)
    expect(a.world.sessions).toBe(end)
    expect(a.clock.pending()).toEqual([])
  })

  it('by what the peer sends is told, and not fetched again from that device with every notice', async () => {
    const a = await fetchingFrom(saying(GARBAGE))
    for (let i = 0; i < 3600; i++) { // a notice every second, for an hour
      a.request()
      await a.clock.advance(1000)
    }
    expect(a.world.sessions).toBeGreaterThan(3)
    expect(a.world.sessions).toBeLessThan(15)
    expect(new Set(a.world.told)).toEqual(new Set(['ERR_REPO_INVALID']))
  })

  it('because there is more than a fetch may bring is tried once more, with the bounds of a clone; more than that is told once for a head', async () => {
    const head = 'd'.repeat(40)
    const serving = (objects: number) => {
      const header = Buffer.from('PACK\x00\x00\x00\x02\x00\x00\x00\x00')
      header.writeUInt32BE(objects, 8)
      return saying(concatBytes(pkt(`${head} refs/heads/main\n`), FLUSH, pkt('NAK\n'), pkt(concatBytes(Uint8Array.of(1), header)), FLUSH))
    }
    for (const [objects, sessions, code] of [[MAX_OBJECTS, 1, 'ERR_REPO_INVALID'], [MAX_OBJECTS + 1, 2, 'ERR_REPO_INVALID'], [MAX_CLONE_OBJECTS + 1, 2, 'ERR_LIMIT']] as const) {
      const a = await fetchingFrom(serving(objects))
      a.request()
      await a.clock.advance(4000)
      expect([a.world.sessions, a.world.told]).toEqual([sessions, [code]])
      for (let i = 0; i < 3600; i++) {
        a.fetching.request(a.ours, bob.accountId, bob.deviceId, head)
        await a.clock.advance(1000)
      }
      expect([a.world.sessions > sessions, a.world.sessions < 30, a.world.told]).toEqual([true, true, [code]])
    }
  })

  it('ends for whoever waits for it, refused or not, and when the account stops', async () => {
    const a = await fetchingFrom(saying(GARBAGE))
    await a.clock.run(a.fetching.whenFetched(a.ours, bob.accountId, bob.deviceId))
    await a.clock.run(a.fetching.whenFetched(a.ours, bob.accountId, bob.deviceId))
    const b = await fetchingFrom(() => new Promise(() => {}))
    const waiting = b.fetching.whenFetched(b.ours, bob.accountId, bob.deviceId)
    b.fetching.stop()
    await waiting
    expect(problems).toEqual([])
  })

  it('is over at once for who asks for it while the account stops: one after another fetched for a merge keeps nobody from closing', async () => {
    const a = await fetchingFrom(failing('ERR_LINK_LOST'))
    const over: string[] = []
    a.tasks.run('merging', async () => {
      await a.fetching.whenMerged(a.ours, bob.accountId, bob.deviceId)
      await a.fetching.whenMerged(a.ours, alice.accountId, alice.deviceId)
      over.push('merging')
    })
    const closed = a.tasks.close()
    a.fetching.stop()
    await closed
    expect(over).toEqual(['merging'])
  })

  it('of a conversation that was removed is not tried again', async () => {
    const a = await fetchingFrom(failing('ERR_STORAGE_IO'))
    a.request()
    await a.clock.advance(1000)
    a.world.conversation = undefined
    a.fetching.forget(a.ours.id)
    const { sessions } = a.world
    await a.clock.advance(3_600_000)
    expect(a.world.sessions).toBe(sessions)
    expect(a.clock.pending()).toEqual([])
  })
})
