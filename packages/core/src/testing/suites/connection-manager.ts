// Contract suite of ConnectionManager: links over the DHT, ICE and TLS, and the double in memory.
import { deepStrictEqual, ok } from 'node:assert/strict'
import { utf8 } from '../../codec/bytes.ts'
import type { Channel } from '../../contracts/channel.ts'
import type { ChannelHandler, ConnectionManager } from '../../contracts/connection-manager.ts'
import type { PeerIdentity } from '../../contracts/identity.ts'
import type { DeviceId } from '../../contracts/ids.ts'
import { type ContractTest, rejectsWith, sameBytes, throwsWith, testsOf } from './contract-test.ts'

/** A manager, and who it is. */
export interface ManagerUnderTest {
  /** The one under test. */
  readonly manager: ConnectionManager
  /** Who this manager is, as others see it. */
  readonly self: PeerIdentity
}

/** Three managers. */
export interface ConnectionsUnderTest {
  /** Started; `a` and `b` (of different accounts) allow each other. */
  readonly a: ManagerUnderTest
  /** See `a`. */
  readonly b: ManagerUnderTest
  /** Started; allows everybody, and nobody allows it. */
  readonly stranger: ManagerUnderTest
  /** Waits for `work`, letting time pass as it must. */
  drive<T>(work: Promise<T>): Promise<T>
  /** Ends what it is made of. */
  dispose?(): Promise<void>
}

type Served = { readonly asked: { name: string; peer: PeerIdentity }[]; next(): Promise<Channel>; readonly handler: ChannelHandler }

function serve(accept: ChannelHandler['accept'] = () => true): Served {
  const asked: { name: string; peer: PeerIdentity }[] = []
  const open: Channel[] = []
  const waiting: ((channel: Channel) => void)[] = []
  return {
    asked,
    next: () => {
      const channel = open.shift()
      return channel ? Promise.resolve(channel) : new Promise((resolve) => waiting.push(resolve))
    },
    handler: {
      accept(name, peer) {
        asked.push({ name, peer })
        return accept(name, peer)
      },
      open(channel) {
        const waiter = waiting.shift()
        if (waiter) waiter(channel)
        else open.push(channel)
      },
    },
  }
}

async function readOne(channel: Channel): Promise<Uint8Array | undefined> {
  for await (const bytes of channel) return bytes
  return undefined
}

/** Resolves when `manager` reports this. */
function link(manager: ConnectionManager, device: DeviceId, up: boolean): Promise<void> {
  return new Promise((resolve) => {
    const off = manager.onLink((event) => {
      if (event.peer.deviceId !== device || event.up !== up) return
      off()
      resolve()
    })
  })
}

/** What a ConnectionManager must do, as tests to run one by one. @param make makes a fresh one for each test */
export function connectionManagerSuite(make: () => ConnectionsUnderTest | Promise<ConnectionsUnderTest>): ContractTest[] {
  const test = testsOf(make, async (t) => {
    await t.drive(Promise.all([t.a, t.b, t.stranger].map(({ manager }) => manager.stop())))
    for (const { manager } of [t.a, t.b, t.stranger]) deepStrictEqual(manager.links(), [])
  })
  const code = (work: Promise<unknown>) => work.then(() => 'resolved', (error: unknown) => (error as { code?: string }).code ?? String(error))

  return [
    test('opens a channel: both ends have its name and the verified other device', async ({ a, b, drive }) => {
      const served = serve()
      b.manager.handle('test', served.handler)
      const own = await drive(a.manager.openChannel(b.self.deviceId, 'test:one'))
      const other = await drive(served.next())
      deepStrictEqual([own.name, other.name], ['test:one', 'test:one'])
      deepStrictEqual([own.remote.deviceId, own.remote.accountId], [b.self.deviceId, b.self.accountId])
      deepStrictEqual([other.remote.deviceId, other.remote.accountId], [a.self.deviceId, a.self.accountId])
      deepStrictEqual(served.asked.map(({ name, peer }) => [name, peer.deviceId]), [['test:one', a.self.deviceId]])
      await drive(own.write(utf8('ping')))
      sameBytes(await drive(readOne(other)), utf8('ping'))
      await drive(other.write(utf8('pong')))
      sameBytes(await drive(readOne(own)), utf8('pong'))
    }),
    test('the scheme is the text before the first colon, or all of the name', async ({ a, b, drive }) => {
      const [git, sip] = [serve(), serve()]
      b.manager.handle('git', git.handler)
      b.manager.handle('sip', sip.handler)
      await drive(a.manager.openChannel(b.self.deviceId, 'git://device/conversation'))
      await drive(a.manager.openChannel(b.self.deviceId, 'sip'))
      deepStrictEqual([(await drive(git.next())).name, (await drive(sip.next())).name], ['git://device/conversation', 'sip'])
    }),
    test('channels share one link, which both sides report', async ({ a, b, drive }) => {
      const [served, back] = [serve(), serve()]
      b.manager.handle('test', served.handler)
      a.manager.handle('back', back.handler)
      const up = Promise.all([link(a.manager, b.self.deviceId, true), link(b.manager, a.self.deviceId, true)])
      await drive(a.manager.openChannel(b.self.deviceId, 'test:1'))
      await drive(up)
      await drive(a.manager.openChannel(b.self.deviceId, 'test:2'))
      await drive(b.manager.openChannel(a.self.deviceId, 'back:3'))
      await drive(back.next())
      for (const [here, there] of [[a, b], [b, a]] as const) {
        const [only, ...more] = here.manager.links()
        deepStrictEqual([more.length, only?.peer.deviceId, only?.peer.accountId], [0, there.self.deviceId, there.self.accountId])
        ok((only?.channels ?? 0) >= 3 && (only?.openedAtMs ?? 0) > 0)
        deepStrictEqual([only?.class, only?.path.kind], ['contact', 'host'])
      }
      deepStrictEqual(a.manager.links()[0]?.id, b.manager.links()[0]?.id)
    }),
    test('closing a channel keeps the link', async ({ a, b, drive }) => {
      const served = serve()
      b.manager.handle('test', served.handler)
      const channel = await drive(a.manager.openChannel(b.self.deviceId, 'test:1'))
      const other = await drive(served.next())
      await drive(channel.close())
      deepStrictEqual(await drive(other.closed), undefined)
      await drive(a.manager.openChannel(b.self.deviceId, 'test:2', { existingLinkOnly: true }))
    }),
    test('a channel without a handler, or refused by it, is ERR_CHANNEL_DECLINED; the link stays', async ({ a, b, drive }) => {
      await rejectsWith('ERR_CHANNEL_DECLINED', drive(a.manager.openChannel(b.self.deviceId, 'nobody:1')))
      b.manager.handle('no', serve(() => false).handler)
      b.manager.handle('later', serve(async () => false).handler)
      b.manager.handle('throws', serve(() => {
        throw new Error('no')
      }).handler)
      for (const scheme of ['no', 'later', 'throws']) await rejectsWith('ERR_CHANNEL_DECLINED', drive(a.manager.openChannel(b.self.deviceId, `${scheme}:1`)))
      const served = serve()
      b.manager.handle('yes', served.handler)
      await drive(a.manager.openChannel(b.self.deviceId, 'yes:1', { existingLinkOnly: true }))
    }),
    test('a scheme has one handler, which can be taken away', async ({ a, b, drive }) => {
      const off = b.manager.handle('test', serve().handler)
      throwsWith('ERR_ARGUMENT', () => b.manager.handle('test', serve().handler))
      off()
      off()
      await rejectsWith('ERR_CHANNEL_DECLINED', drive(a.manager.openChannel(b.self.deviceId, 'test:1')))
      const served = serve()
      b.manager.handle('test', served.handler)
      off()
      await drive(a.manager.openChannel(b.self.deviceId, 'test:2'))
    }),
    test('unique joins a pending or open channel of the same name', async ({ a, b, drive }) => {
      b.manager.handle('test', serve().handler)
      const open = () => a.manager.openChannel(b.self.deviceId, 'test:only', { unique: true })
      const [first, second] = await drive(Promise.all([open(), open()]))
      const third = await drive(open())
      ok(first === second && second === third)
      await drive(first.close())
      ok((await drive(open())) !== first)
    }),
    test('many channels at once, and from both sides at once', async ({ a, b, drive }) => {
      a.manager.handle('test', serve().handler)
      b.manager.handle('test', serve().handler)
      const opened = await drive(
        Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? a.manager.openChannel(b.self.deviceId, `test:${i}`) : b.manager.openChannel(a.self.deviceId, `test:${i}`)))),
      )
      deepStrictEqual(opened.map(({ name }) => name), Array.from({ length: 10 }, (_, i) => `test:${i}`))
    }),
    test('a handler with a limit is asked for so many channels of a device, however many are asked for at once; a closed one makes room', async ({ a, b, drive }) => {
      const asked: string[] = []
      const open: Channel[] = []
      const decide: ((yes: boolean) => void)[] = []
      b.manager.handle('test', {
        limit: (name) => (name.startsWith('test:free') ? undefined : { of: 'all', max: 4 }),
        accept: (name) => {
          asked.push(name)
          return name.startsWith('test:free') || new Promise<boolean>((resolve) => decide.push(resolve))
        },
        open: (channel) => open.push(channel),
      })
      await drive(a.manager.openChannel(b.self.deviceId, 'test:free'))
      const many = Promise.all(Array.from({ length: 250 }, (_, i) => code(a.manager.openChannel(b.self.deviceId, `test:${i}`)).then((outcome) => {
        if (outcome === 'ERR_CHANNEL_DECLINED' && decide.length === 4) for (const yes of decide.splice(0)) yes(true)
        return outcome
      })))
      const outcomes = await drive(many)
      deepStrictEqual([outcomes.filter((o) => o === 'resolved').length, outcomes.filter((o) => o === 'ERR_CHANNEL_DECLINED').length], [4, 246])
      deepStrictEqual([asked.length, open.length], [5, 5])
      await drive(a.manager.openChannel(b.self.deviceId, 'test:free'))
      await rejectsWith('ERR_CHANNEL_DECLINED', drive(a.manager.openChannel(b.self.deviceId, 'test:more')))
      await drive(open[1]?.close() ?? Promise.resolve())
      const again = a.manager.openChannel(b.self.deviceId, 'test:again')
      const watch = (async () => {
        while (decide.length === 0) await new Promise((resolve) => setImmediate(resolve))
        decide[0]?.(true)
      })()
      await drive(again)
      await watch
    }),
    test('only over an existing link: ERR_PEER_OFFLINE without one', async ({ a, b, drive }) => {
      b.manager.handle('test', serve().handler)
      await rejectsWith('ERR_PEER_OFFLINE', drive(a.manager.openChannel(b.self.deviceId, 'test:1', { existingLinkOnly: true })))
      deepStrictEqual(a.manager.links(), [])
    }),
    test('a stranger gets no link', async ({ a, stranger, drive }) => {
      const served = serve()
      a.manager.handle('test', served.handler)
      let linked = 0
      a.manager.onLink(() => linked++)
      const outcome = await drive(code(stranger.manager.openChannel(a.self.deviceId, 'test:1', { timeoutMs: 60_000 })))
      ok(['ERR_PEER_REFUSED', 'ERR_NO_ROUTE', 'ERR_TIMEOUT', 'ERR_LINK_LOST'].includes(outcome), outcome)
      deepStrictEqual([served.asked.length, linked, a.manager.links().length], [0, 0, 0])
    }),
    test('nor do we make one with a stranger', async ({ a, stranger, drive }) => {
      stranger.manager.handle('test', serve().handler)
      const outcome = await drive(code(a.manager.openChannel(stranger.self.deviceId, 'test:1', { timeoutMs: 60_000 })))
      ok(['ERR_PEER_REFUSED', 'ERR_NO_ROUTE', 'ERR_TIMEOUT', 'ERR_LINK_LOST'].includes(outcome), outcome)
      deepStrictEqual(a.manager.links(), [])
    }),
    test('a device that nobody knows is not reached', async ({ a, drive }) => {
      const outcome = await drive(code(a.manager.openChannel('ab'.repeat(32) as DeviceId, 'test:1', { timeoutMs: 60_000 })))
      ok(['ERR_PEER_OFFLINE', 'ERR_NO_ROUTE', 'ERR_TIMEOUT'].includes(outcome), outcome)
    }),
    test('opening ends with its signal', async ({ a, b, drive }) => {
      b.manager.handle('test', serve().handler)
      await rejectsWith('ERR_ABORTED', drive(a.manager.openChannel(b.self.deviceId, 'test:1', { signal: AbortSignal.abort() })))
      const controller = new AbortController()
      const opening = code(a.manager.openChannel(b.self.deviceId, 'test:2', { signal: controller.signal }))
      controller.abort()
      deepStrictEqual(await drive(opening), 'ERR_ABORTED')
      deepStrictEqual(await drive(code(a.manager.openChannel(b.self.deviceId, 'test:3', { timeoutMs: 0 }))), 'ERR_TIMEOUT')
    }),
    test('closePeer() by device or account ends its links and channels', async ({ a, b, drive }) => {
      const served = serve()
      b.manager.handle('test', served.handler)
      for (const peer of [b.self.deviceId, b.self.accountId]) {
        const own = await drive(a.manager.openChannel(b.self.deviceId, 'test:1'))
        const other = await drive(served.next())
        const down = Promise.all([link(a.manager, b.self.deviceId, false), link(b.manager, a.self.deviceId, false)])
        await drive(a.manager.closePeer(peer))
        await drive(Promise.all([own.closed, other.closed]))
        await drive(down)
        deepStrictEqual([a.manager.links(), b.manager.links()], [[], []])
      }
      await drive(a.manager.closePeer(b.self.deviceId))
    }),
    test('closePeer() fails what is being opened', async ({ a, b, drive }) => {
      b.manager.handle('test', serve().handler)
      const opening = code(a.manager.openChannel(b.self.deviceId, 'test:1'))
      await drive(a.manager.closePeer(b.self.deviceId))
      ok((await drive(opening)) !== 'resolved')
    }),
    test('stop() ends links on both sides, and later calls are ERR_CLOSED', async ({ a, b, drive }) => {
      const served = serve()
      b.manager.handle('test', served.handler)
      const own = await drive(a.manager.openChannel(b.self.deviceId, 'test:1'))
      const other = await drive(served.next())
      const down = link(b.manager, a.self.deviceId, false)
      await drive(a.manager.stop())
      await drive(Promise.all([own.closed, other.closed, down]))
      deepStrictEqual(b.manager.links(), [])
      await rejectsWith('ERR_CLOSED', drive(a.manager.openChannel(b.self.deviceId, 'test:2')))
    }),
    test('stop() fails what is being opened', async ({ a, b, drive }) => {
      b.manager.handle('test', serve().handler)
      const opening = code(a.manager.openChannel(b.self.deviceId, 'test:1'))
      await drive(a.manager.stop())
      ok(['ERR_CLOSED', 'ERR_ABORTED', 'ERR_LINK_LOST'].includes(await drive(opening)))
    }),
  ]
}
