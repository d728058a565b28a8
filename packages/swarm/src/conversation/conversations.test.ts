// Conversations of several people over doubles of links and messages: clone, fetch, merge, notices, what hostile ones may not. docs/protocol/04 §4.
import { silentLogger, Source } from '@jamikit/core/base'
import type { AccountUri, DeviceId, DeviceIdentity, PeerMessage, PeerMessages } from '@jamikit/core/contracts'
import { verifyPeerChain } from '@jamikit/core/identity'
import { FakeConnectionNetwork, ManualClock, SeededRandom, testIdentity } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { crypto } from '../../test/harness.ts'
import { memoryFiles, type MemoryFiles } from '../../test/memory.ts'
import { swarm, type SwarmConversations } from './conversations.ts'
import { parseCommitNotice, printCommitNotice, printInvitation } from './small-payloads.ts'

/** People whose messages and links cross a network of doubles. */
class World {
  readonly clock = new ManualClock()
  readonly network = new FakeConnectionNetwork({ clock: this.clock })
  readonly people = new Map<AccountUri, { handlers: Map<string, (m: PeerMessage) => void | Promise<void>>; ready: Source<{ account: AccountUri; device: DeviceId }>; identity: DeviceIdentity }>()
  readonly sent: { from: AccountUri; to: string; mime: string; body: string }[] = []
  readonly online = new Set<AccountUri>()

  async join(identity: DeviceIdentity, options: { storage?: MemoryFiles; banned?: Set<string>; strangers?: Set<string> } = {}): Promise<SwarmConversations> {
    const peers = () => verifyPeerChain(identity.chain, { nowMs: this.clock.wallTimeMs() })
    const me = { handlers: new Map(), ready: new Source<{ account: AccountUri; device: DeviceId }>(() => {}), identity }
    this.people.set(identity.accountId, me)
    this.online.add(identity.accountId)
    const of = (device: DeviceId) => [...this.people.values()].find((p) => p.identity.deviceId === device)
    const connections = this.network.manager({ identity, policy: { allowsLink: () => true } })
    await connections.start()
    const messages: PeerMessages = {
      send: async (to, { mime, body }) => {
        this.sent.push({ from: identity.accountId, to, mime, body })
        const target = this.people.get(to as AccountUri) ?? of(to as DeviceId)
        if (!target || !this.online.has(target.identity.accountId) || !this.online.has(identity.accountId)) return false
        this.clock.after(5, () => void target.handlers.get(mime)?.({ from: identity.accountId, fromDevice: identity.deviceId, mime, body }))
        return true
      },
      handle: (mime, fn) => {
        me.handlers.set(mime, fn)
        return () => me.handlers.delete(mime)
      },
      onPeerReady: me.ready.listen,
      connectedDevices: (account) => (this.online.has(account) ? [this.people.get(account)?.identity.deviceId as DeviceId] : []),
    }
    const find = async (device: DeviceId) => {
      const p = of(device)
      return p && verifyPeerChain(p.identity.chain, { nowMs: this.clock.wallTimeMs() })
    }
    const conversations = swarm()({
      clock: this.clock, random: new SeededRandom(Number.parseInt(identity.deviceId.slice(0, 8), 16)), crypto, logger: silentLogger, network: undefined as never, identity, displayName: () => '', connections,
      certificates: { get: find, find, pin: async () => peers() },
      contacts: {
        isContact: () => true, isConfirmed: (a) => !options.strangers?.has(a), isBanned: (id) => options.banned?.has(id) ?? false, conversationWith: () => undefined,
      },
      directory: { devicesOf: async function* (this: void) {}.bind(undefined) as never },
      presence: { state: () => 'available', onChange: () => () => {} }, messages, storage: options.storage ?? memoryFiles(), prefix: 'a',
    }) as SwarmConversations
    await conversations.start()
    return conversations
  }

  /** A message channel between two people opens. */
  meet(a: DeviceIdentity, b: DeviceIdentity): void {
    this.people.get(a.accountId)?.ready.emit({ account: b.accountId, device: b.deviceId })
    this.people.get(b.accountId)?.ready.emit({ account: a.accountId, device: a.deviceId })
  }
}

const alice = testIdentity(0).device
const bob = testIdentity(1).device
const carol = testIdentity(2).device
const text = (body: string) => ({ type: 'text/plain', fields: { body } })

async function friends(bobStorage?: MemoryFiles) {
  const world = new World()
  const a = await world.join(alice)
  const b = await world.join(bob, bobStorage ? { storage: bobStorage } : {})
  const id = await a.createOneToOne(bob.accountId)
  await b.accept(id, alice.accountId)
  world.meet(alice, bob)
  await world.clock.advance(10_000)
  return { world, a, b, id }
}

const texts = async (c: SwarmConversations, id: Parameters<SwarmConversations['history']>[0]) => {
  const out: string[] = []
  for await (const e of c.history(id, { order: 'oldest' })) if (e.type === 'text/plain') out.push(e.fields.body ?? '')
  return out
}

it('an accepted invitation is cloned and joined; messages travel both ways and both have one head', async () => {
  const { world, a, b, id } = await friends()
  expect(a.get(id)?.members.map((m) => m.role).sort()).toEqual(['admin', 'member'])
  await a.append(id, text('one'))
  await world.clock.advance(1000)
  await b.append(id, text('two'))
  await world.clock.advance(1000)
  expect(await texts(a, id)).toEqual(['one', 'two'])
  expect(b.get(id)?.head).toBe(a.get(id)?.head)
})

it('SWM-21 writers who do not see each other converge to one head without losing anything', async () => {
  const { world, a, b, id } = await friends()
  for (let i = 0; i < 5; i++) await Promise.all([a.append(id, text(`a${i}`)), b.append(id, text(`b${i}`))])
  await world.clock.advance(30_000)
  expect(b.get(id)?.head).toBe(a.get(id)?.head)
  expect((await texts(a, id)).sort()).toEqual(['a0', 'a1', 'a2', 'a3', 'a4', 'b0', 'b1', 'b2', 'b3', 'b4'])
})

it('SWM-17 the sender learns that a device of the receiver has the message', async () => {
  const { world, a, id } = await friends()
  const message = await a.append(id, text('x'))
  expect(a.statusOf(id, message, bob.accountId)).toBeUndefined()
  await world.clock.advance(1000)
  expect(a.statusOf(id, message, bob.accountId)).toBe('sent')
})

it('a read receipt makes everything before it displayed', async () => {
  const { world, a, b, id } = await friends()
  const first = await a.append(id, text('x'))
  const second = await a.append(id, text('y'))
  await world.clock.advance(1000)
  await b.markDisplayed(id, second)
  await world.clock.advance(1000)
  expect([a.statusOf(id, first, bob.accountId), a.statusOf(id, second, bob.accountId)]).toEqual(['displayed', 'displayed'])
})

it('the same key appends once, also after a restart', async () => {
  const storage = memoryFiles()
  const { a, b, id } = await friends(storage)
  void a
  const first = await b.append(id, text('x'), { key: 'k' })
  expect(await b.append(id, text('x'), { key: 'k' })).toBe(first)
  await b.stop()
  const again = await new World().join(bob, { storage })
  expect(await again.append(id, text('x'), { key: 'k' })).toBe(first)
})

it('what the program has not handled comes again after a restart, once each and in order', async () => {
  const storage = memoryFiles()
  const { world, a, b, id } = await friends(storage)
  for (const body of ['1', '2', '3']) await a.append(id, text(body))
  await world.clock.advance(1000)
  const open = async (c: SwarmConversations) => {
    const out: { id: string; body: string | undefined }[] = []
    for await (const e of c.unacknowledged(id)) if (e.type === 'text/plain') out.push({ id: e.id, body: e.fields.body })
    return out
  }
  const [first] = await open(b)
  await b.acknowledge(id, first?.id as never)
  await b.stop()
  const again = await new World().join(bob, { storage })
  expect((await open(again)).map((e) => e.body)).toEqual(['2', '3'])
})

it('a crash at any write loses nothing that was there before, and the conversation opens again', async () => {
  const shared = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
  const { world, a, b, id } = await friends(memoryFiles(shared))
  await a.append(id, text('before'))
  await world.clock.advance(1000)
  await b.stop()
  for (let crashAt = 0; crashAt < 8; crashAt++) {
    const copy = { records: new Map(shared.records), files: new Map(shared.files) }
    const storage = memoryFiles(copy)
    const crashing = await new World().join(bob, { storage })
    let writes = 0
    storage.onWrite = () => {
      if (writes++ >= crashAt) throw new Error('power cut')
    }
    const outcome = await crashing.append(id, text('during'), { key: 'k' }).then(() => true, () => false)
    const after = await new World().join(bob, { storage: memoryFiles(copy) })
    const seen = await texts(after, id)
    expect(seen.slice(0, 1)).toEqual(['before'])
    if (outcome) expect(seen).toEqual(['before', 'during'])
    await after.append(id, text('during'), { key: 'k' })
    expect((await texts(after, id)).filter((t) => t === 'during')).toEqual(['during'])
  }
})

it('SWM-16 a git channel is refused to strangers, to banned members, for other devices and unknown conversations', async () => {
  const { world, a, id } = await friends()
  void a
  const stranger = world.network.manager({ identity: carol, policy: { allowsLink: () => true } })
  await stranger.start()
  const tries = [`git://${alice.deviceId}/${id}`, `git://${bob.deviceId}/${id}`, `git://${alice.deviceId}/${'0'.repeat(40)}`, 'git://x']
  for (const name of tries) {
    const error: unknown = await Promise.all([stranger.openChannel(alice.deviceId, name, { timeoutMs: 5000 }).catch((e: unknown) => e), world.clock.advance(6000)]).then(([e]) => e)
    expect(error).toMatchObject({ code: 'ERR_CHANNEL_DECLINED' })
  }
})

it('SWM-18 SWM-S18 a notice about an unknown conversation asks for an invitation, once a minute', async () => {
  const { world, b } = await friends()
  void b
  const before = world.sent.filter((s) => s.mime === 'application/invite').length
  const notice = printCommitNotice({ conversation: 'f'.repeat(40) as never, commit: 'e'.repeat(40) as never, device: alice.deviceId })
  const tell = () => world.people.get(bob.accountId)?.handlers.get('application/im-gitmessage-id')?.({ from: alice.accountId, fromDevice: alice.deviceId, mime: 'application/im-gitmessage-id', body: notice })
  await tell()
  await tell()
  expect(world.sent.filter((s) => s.mime === 'application/invite').length - before).toBe(1)
  await world.clock.advance(61_000)
  await tell()
  expect(world.sent.filter((s) => s.mime === 'application/invite').length - before).toBe(2)
})

it('an invitation of a confirmed contact to a 1:1 whose request was lost is followed; one of anybody else is not', async () => {
  const world = new World()
  const strangers = new Set<string>()
  const a = await world.join(alice)
  const b = await world.join(bob, { strangers })
  const id = await a.createOneToOne(bob.accountId)
  const invite = () => world.people.get(bob.accountId)?.handlers.get('application/invite+json')?.({ from: alice.accountId, fromDevice: alice.deviceId, mime: 'application/invite+json', body: printInvitation(id, 0, 1) })
  strangers.add(alice.accountId)
  await invite()
  expect(b.get(id)).toBeUndefined()
  strangers.clear()
  await invite()
  world.meet(alice, bob)
  await world.clock.advance(10_000)
  expect(b.get(id)).toMatchObject({ state: 'ready', head: a.get(id)?.head })
})

it('SWM-S7 a notice that names a foreign device is followed at its sender', async () => {
  const { world, a, b, id } = await friends()
  world.online.delete(bob.accountId)
  const message = await a.append(id, text('x'))
  world.online.add(bob.accountId)
  const body = printCommitNotice({ conversation: id, commit: message, device: carol.deviceId })
  await world.people.get(bob.accountId)?.handlers.get('application/im-gitmessage-id')?.({ from: alice.accountId, fromDevice: alice.deviceId, mime: 'application/im-gitmessage-id', body })
  await world.clock.advance(2000)
  expect(b.get(id)?.head).toBe(message)
})

it('SWM-S17 nothing is fetched from a banned account', async () => {
  const world = new World()
  const banned = new Set<string>()
  const a = await world.join(alice)
  const b = await world.join(bob, { banned })
  const id = await a.createOneToOne(bob.accountId)
  await b.accept(id, alice.accountId)
  world.meet(alice, bob)
  await world.clock.advance(10_000)
  banned.add(alice.accountId)
  const head = b.get(id)?.head
  await a.append(id, text('let me in'))
  await world.clock.advance(5000)
  expect(b.get(id)?.head).toBe(head)
})

it('SWM-19 a commit notice replaces the one that waits', async () => {
  const { world, a, id } = await friends()
  await a.append(id, text('x'))
  const last = world.sent.filter((s) => s.from === alice.accountId && s.mime === 'application/im-gitmessage-id').at(-1)
  expect(parseCommitNotice(last?.body ?? '')).toEqual({ conversation: id, commit: a.get(id)?.head, device: alice.deviceId })
})

it('history pages, from either end, around a message', async () => {
  const { a, id } = await friends()
  const ids: string[] = []
  for (let i = 0; i < 6; i++) ids.push(await a.append(id, text(`${i}`)))
  const page = async (options: Parameters<SwarmConversations['history']>[1]) => {
    const out: string[] = []
    for await (const e of a.history(id, options)) out.push(e.fields.body ?? e.type)
    return out
  }
  expect(await page({ limit: 2 })).toEqual(['5', '4'])
  expect(await page({ before: ids[2] as never, limit: 2 })).toEqual(['1', '0'])
  expect(await page({ after: ids[3] as never, order: 'oldest' })).toEqual(['4', '5'])
})
