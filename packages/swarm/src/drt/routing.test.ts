// Routing tables over links and channels: members find each other and use links that are there, strangers and banned ones stay out, mobile
// devices are remembered over a restart, nothing is left behind.
import { silentLogger } from '@jamikit/core/base'
import type { AccountUri, Channel, ChannelHandler, ConversationId, DeviceId, DeviceIdentity, PeerIdentity } from '@jamikit/core/contracts'
import { FakeCertificates, type FakeConnectionManager, FakeConnectionNetwork, FakeDirectory, ManualClock, SeededRandom, TEST_IDENTITIES, testCrypto, testIdentity, testPeer, testStorage, type TestStorage } from '@jamikit/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { Routing } from './routing.ts'
import { Slots } from './slots.ts'
import { encodeDrtMessage } from './wire.ts'

const CONVERSATION = 'c'.repeat(40) as ConversationId
const OTHER = 'd'.repeat(40) as ConversationId
const crypto = testCrypto()
const everything: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of everything.splice(0)) await stop()
})

interface Someone {
  readonly identity: DeviceIdentity
  readonly routing: Routing
  readonly manager: FakeConnectionManager
  readonly storage: TestStorage
  readonly told: string[]
  /** Hands it a channel, as its connection manager does. */
  take(channel: Channel): void
  /** Hears which channels it is asked for. */
  hear(asked: (name: string) => void): void
  stop(): Promise<void>
}

class Lab {
  readonly clock = new ManualClock()
  readonly network = new FakeConnectionNetwork({ clock: this.clock })
  readonly members = new Set<AccountUri>()
  readonly banned = new Set<AccountUri | DeviceId>()
  /** Who is announced, as all see it. */
  readonly directory: FakeDirectory
  readonly certificates: FakeCertificates

  constructor() {
    this.certificates = new FakeCertificates({ clock: this.clock })
    this.directory = new FakeDirectory({ clock: this.clock })
  }

  async join(identity: DeviceIdentity, options: { storage?: TestStorage; announced?: boolean; follows?: boolean; conversations?: ConversationId[]; stranger?: boolean; contacts?: AccountUri[] } = {}): Promise<Someone> {
    const { clock, network, certificates, directory } = this
    if (!options.stranger) this.members.add(identity.accountId)
    certificates.publish(identity.chain)
    const manager = network.manager({ identity, policy: { allowsLink: () => true, classOf: ({ accountId }) => (options.contacts?.includes(accountId) ? 'contact' : this.members.has(accountId) && !this.banned.has(accountId) ? 'member' : 'stranger') } })
    await manager.start()
    let swarm: ChannelHandler | undefined
    let onAsked: ((name: string) => void) | undefined
    const handle = manager.handle.bind(manager)
    manager.handle = (scheme, handler) => {
      if (scheme !== 'swarm') return handle(scheme, handler)
      swarm = handler
      return handle(scheme, { ...handler, accept: (name, peer) => (onAsked?.(name), handler.accept(name, peer)), open: (channel) => handler.open(channel) })
    }
    const storage = options.storage ?? testStorage()
    const isMember = (account: AccountUri) => this.members.has(account) && !this.banned.has(account)
    const own = identity.accountId
    const routing = new Routing({
      clock, random: new SeededRandom(identity.deviceId), crypto, logger: silentLogger, identity, connections: manager, certificates, directory, storage, prefix: 'account',
      withMember: (account) => (isMember(account) ? (options.conversations ?? [CONVERSATION]) : []),
    })
    const told: string[] = []
    routing.onConnected(({ connected }) => told.push(connected ? 'connected' : 'alone'))
    routing.start()
    for (const id of options.conversations ?? [CONVERSATION]) {
      routing.open(id, {
        isAllowed: (account, device) => isMember(account) && !this.banned.has(device), isMember,
        members: () => (options.follows === false ? [] : [...this.members].filter((account) => account !== own)),
      })
    }
    if (options.announced !== false) directory.announce(own, identity.deviceId)
    const stop = async () => {
      directory.withdraw(own, identity.deviceId)
      await routing.stop()
      await manager.stop()
    }
    everything.push(stop)
    return { identity, routing, manager, storage, told, stop, take: (channel) => swarm?.open(channel), hear: (asked) => (onAsked = asked) }
  }

  connected(who: Someone, conversation = CONVERSATION): DeviceId[] {
    return who.routing.devices(conversation).map(({ device }) => device)
  }

  /** Pairs that are connected as one of them sees it, and not as the other does. */
  oneSided(all: readonly Someone[]): string[] {
    return all.flatMap((a) => all.filter((b) => a !== b && this.connected(a).includes(b.identity.deviceId) !== this.connected(b).includes(a.identity.deviceId)).map((b) => `${a.identity.deviceId} ${b.identity.deviceId}`))
  }
}
const device = (i: number) => testIdentity(i).device

describe('routing', () => {
  it('SWM-27 members find each other by presence and by questions, and form one overlay', async () => {
    const lab = new Lab()
    const all: Someone[] = []
    for (let i = 0; i < Math.min(8, TEST_IDENTITIES); i++) all.push(await lab.join(device(i)))
    await lab.clock.advance(60_000)
    const reached = new Set<DeviceId>([device(0).deviceId])
    for (const id of reached) for (const next of lab.connected(all.find((one) => one.identity.deviceId === id) as Someone)) reached.add(next)
    expect(reached.size).toBe(all.length)
    expect(lab.oneSided(all)).toEqual([])
    expect(all.every(({ told }) => told.length === 1 && told[0] === 'connected')).toBe(true)
  })

  it('a member that nobody announces to us is found through another one', async () => {
    const lab = new Lab()
    const carol = await lab.join(device(2), { announced: false })
    const bob = await lab.join(device(1), { follows: false })
    bob.routing.learn(CONVERSATION, [{ device: carol.identity.deviceId, account: carol.identity.accountId }])
    await lab.clock.advance(2_000)
    const alice = await lab.join(device(0), { announced: false })
    await lab.clock.advance(5_000)
    expect(lab.connected(alice).sort()).toEqual([bob.identity.deviceId, carol.identity.deviceId].sort())
  })

  it('a link that is up is used for each conversation with that member, whoever made it and whatever for', async () => {
    const lab = new Lab()
    const [alice, bob] = [await lab.join(device(0), { follows: false, conversations: [CONVERSATION, OTHER] }), await lab.join(device(1), { follows: false, conversations: [CONVERSATION, OTHER] })]
    bob.manager.handle('test', { accept: () => true, open: () => {} })
    await lab.clock.advance(60_000)
    expect(lab.connected(alice)).toEqual([])
    await lab.clock.run(alice.manager.openChannel(bob.identity.deviceId, 'test:1'))
    await lab.clock.advance(1_000)
    for (const id of [CONVERSATION, OTHER]) expect([lab.connected(alice, id), lab.connected(bob, id)]).toEqual([[bob.identity.deviceId], [alice.identity.deviceId]])
    expect(alice.manager.links()).toHaveLength(1)
    expect(alice.manager.links()[0]?.channels).toBeLessThanOrEqual(1 + 2 * 2) // both sides open at once, at worst
  })

  it('a conversation that opens while links are up uses them', async () => {
    const lab = new Lab()
    const alice = await lab.join(device(0), { follows: false, conversations: [] })
    const bob = await lab.join(device(1), { follows: false })
    bob.manager.handle('test', { accept: () => true, open: () => {} })
    await lab.clock.run(alice.manager.openChannel(bob.identity.deviceId, 'test:1'))
    alice.routing.open(CONVERSATION, { isAllowed: () => true, isMember: () => true, members: () => [] })
    await lab.clock.advance(1_000)
    expect(lab.connected(bob)).toEqual([alice.identity.deviceId])
  })

  it('two that dial each other at the same time are connected once', async () => {
    const lab = new Lab()
    const [alice, bob] = [await lab.join(device(0), { follows: false }), await lab.join(device(1), { follows: false })]
    alice.routing.learn(CONVERSATION, [{ device: bob.identity.deviceId, account: bob.identity.accountId }])
    bob.routing.learn(CONVERSATION, [{ device: alice.identity.deviceId, account: alice.identity.accountId }])
    await lab.clock.advance(5_000)
    expect([lab.connected(alice), lab.connected(bob), alice.told]).toEqual([[bob.identity.deviceId], [alice.identity.deviceId], ['connected']])
  })

  it('SWM-26 strangers and banned members get no channel; who is banned loses the one it has, at once', async () => {
    const lab = new Lab()
    const [alice, bob] = [await lab.join(device(0)), await lab.join(device(1))]
    const stranger = await lab.join(device(2), { stranger: true, follows: false })
    await lab.clock.advance(5_000)
    const open = (who: Someone, name: string) => lab.clock.run(who.manager.openChannel(alice.identity.deviceId, name).then(() => 'open', (error: { code: string }) => error.code))
    expect(await open(stranger, `swarm://${CONVERSATION}`)).toBe('ERR_CHANNEL_DECLINED')
    expect(await open(bob, `swarm://${OTHER}`)).toBe('ERR_CHANNEL_DECLINED')
    expect(await open(bob, `swarm://${CONVERSATION}/x`)).toBe('ERR_CHANNEL_DECLINED')
    expect(lab.connected(alice)).toEqual([bob.identity.deviceId])
    lab.banned.add(bob.identity.accountId)
    alice.routing.membersChanged(CONVERSATION)
    expect(lab.connected(alice)).toEqual([])
    await lab.clock.advance(700_000)
    expect([lab.connected(alice), lab.connected(bob), alice.told]).toEqual([[], [], ['connected', 'alone']])
  })

  it('who was linked as a member only loses the link with the last conversation; a contact keeps it', async () => {
    const lab = new Lab()
    const carol = await lab.join(device(2))
    const alice = await lab.join(device(0), { contacts: [carol.identity.accountId] })
    const bob = await lab.join(device(1))
    await lab.clock.advance(20_000)
    expect(lab.connected(alice).sort()).toEqual([bob.identity.deviceId, carol.identity.deviceId].sort())
    for (const { identity } of [bob, carol]) lab.members.delete(identity.accountId)
    alice.routing.membersChanged(CONVERSATION)
    await lab.clock.advance(1_000)
    expect([lab.connected(alice), alice.manager.links().map(({ peer }) => peer.deviceId)]).toEqual([[], [carol.identity.deviceId]])
  })

  it('whoever comes online is known with all devices: those of one account form no islands', async () => {
    const lab = new Lab()
    const alice = await lab.join(device(0), { follows: false })
    const other = await lab.join(testIdentity(0, 1).device, { follows: false })
    const [bob, bobs] = [await lab.join(device(1), { follows: false }), await lab.join(testIdentity(1, 1).device, { follows: false })]
    alice.routing.memberAppeared(alice.identity.accountId)
    alice.routing.memberAppeared(bob.identity.accountId)
    alice.routing.memberAppeared(bob.identity.accountId)
    await lab.clock.advance(5_000)
    expect(lab.connected(alice).sort()).toEqual([other, bob, bobs].map(({ identity }) => identity.deviceId).sort())
  })

  it('SWM-27 a commit is announced to connected devices and mobile ones, not to its source, and by its author to two members beyond', async () => {
    const lab = new Lab()
    const [alice, bob, carol] = [await lab.join(device(0)), await lab.join(device(1)), await lab.join(device(2))]
    await lab.clock.advance(20_000)
    const members = Array.from({ length: 6 }, (_, i) => `${i}`.repeat(40) as AccountUri)
    const all = [...members, ...lab.members]
    const relay = alice.routing.noticeTargets(CONVERSATION, { members: all, except: bob.identity.deviceId, isAuthor: false })
    expect(relay).toEqual({ devices: [{ device: carol.identity.deviceId, account: carol.identity.accountId }], accounts: [] })
    const own = alice.routing.noticeTargets(CONVERSATION, { members: all, isAuthor: true })
    expect([own.devices.length, own.accounts.length, new Set(own.accounts).size, own.accounts.every((account) => members.includes(account))]).toEqual([2, 2, 2, true])
    expect(alice.routing.noticeTargets(CONVERSATION, { members: lab.members, isAuthor: true }).accounts).toEqual([])
    expect(alice.routing.noticeTargets(OTHER, { members: ['9'.repeat(40) as AccountUri], isAuthor: true })).toEqual({ devices: [], accounts: ['9'.repeat(40)] })
  })

  it('a link carries channels of 64 conversations of ours at most, however many there are', async () => {
    const lab = new Lab()
    const conversations = Array.from({ length: 100 }, (_, i) => i.toString(16).padStart(40, '0') as ConversationId)
    const alice = await lab.join(device(0), { follows: false, conversations })
    const bob = await lab.join(device(1), { follows: false, conversations: [] })
    const asked: string[] = []
    bob.manager.handle('test', { accept: () => true, open: () => {} })
    bob.hear((name) => asked.push(name))
    await lab.clock.run(alice.manager.openChannel(bob.identity.deviceId, 'test:1'))
    await lab.clock.advance(1_000)
    expect(asked).toHaveLength(64)
  })

  it('an id that a peer named is dialled only when its owner is a member', async () => {
    const lab = new Lab()
    const stranger = await lab.join(device(3), { stranger: true, follows: false })
    const alice = await lab.join(device(0), { follows: false })
    const bob = device(1)
    lab.members.add(bob.accountId)
    const asked: string[] = []
    stranger.manager.onLink(({ peer }) => asked.push(peer.deviceId))
    const manager = lab.network.manager({ identity: bob, policy: { allowsLink: () => true } })
    await manager.start()
    everything.push(() => manager.stop())
    const channel = await lab.clock.run(manager.openChannel(alice.identity.deviceId, `swarm://${CONVERSATION}`))
    await channel.write(encodeDrtMessage({ isMobile: false, response: { query: 2, nodes: [stranger.identity.deviceId, 'ab'.repeat(32) as DeviceId], mobileNodes: [], mobileInfos: [] } }))
    await lab.clock.advance(60_000)
    expect([asked, lab.connected(alice)]).toEqual([[], [bob.deviceId]])
  })

  it('bytes that are no messages end the channel; a peer that does not read is given up', async () => {
    const lab = new Lab()
    const alice = await lab.join(device(0), { follows: false })
    const bob = device(1)
    lab.members.add(bob.accountId)
    const manager = lab.network.manager({ identity: bob, policy: { allowsLink: () => true } })
    await manager.start()
    everything.push(() => manager.stop())
    const channel = await lab.clock.run(manager.openChannel(alice.identity.deviceId, `swarm://${CONVERSATION}`))
    await lab.clock.advance(100)
    expect(lab.connected(alice)).toEqual([bob.deviceId])
    await channel.write(Uint8Array.of(0xc1))
    await lab.clock.advance(1_000)
    expect(lab.connected(alice)).toEqual([])
    let ended: unknown
    const deaf: Channel = deafChannel(`swarm://${CONVERSATION}`, testPeer(bob), lab.clock, (reason) => (ended = reason))
    alice.take(deaf)
    await lab.clock.advance(400_000)
    expect(ended).toMatchObject({ code: 'ERR_LIMIT' })
    expect(lab.connected(alice)).toEqual([])
  })

  it('SWM-25 mobile devices that were met are remembered over a restart, and are to be woken', async () => {
    const lab = new Lab()
    const alice = await lab.join(device(0), { announced: false, follows: false })
    const bob = await lab.join(device(1), { announced: false, follows: false })
    bob.routing.setMobile(true)
    await lab.clock.advance(100)
    bob.routing.learn(CONVERSATION, [{ device: alice.identity.deviceId, account: alice.identity.accountId }])
    await lab.clock.advance(5_000)
    expect(alice.routing.toWake(CONVERSATION)).toEqual([])
    await bob.stop()
    await lab.clock.advance(5_000)
    expect(alice.routing.toWake(CONVERSATION)).toEqual([{ device: bob.identity.deviceId, account: bob.identity.accountId }])
    await alice.stop()
    const again = await lab.join(device(0), { storage: alice.storage, announced: false, follows: false })
    await lab.clock.advance(100)
    expect(again.routing.toWake(CONVERSATION)).toEqual([{ device: bob.identity.deviceId, account: bob.identity.accountId }])
  })

  it('a record of mobile devices that is damaged costs itself only', async () => {
    const lab = new Lab()
    const storage = testStorage()
    await storage.batch([{ key: `account/conversation/${CONVERSATION}/mobiles`, value: Uint8Array.of(1, 2, 3) }])
    const [alice, bob] = [await lab.join(device(0), { storage }), await lab.join(device(1))]
    await lab.clock.advance(5_000)
    expect([alice.routing.toWake(CONVERSATION), lab.connected(bob)]).toEqual([[], [alice.identity.deviceId]])
  })

  it('whoever is alone looks for members again and again, and finds the one that comes', async () => {
    const lab = new Lab()
    const alice = await lab.join(device(0))
    lab.members.add(device(1).accountId)
    alice.routing.membersChanged(CONVERSATION)
    await lab.clock.advance(3_600_000)
    await lab.join(device(1), { follows: false })
    await lab.clock.advance(800_000)
    expect(lab.connected(alice)).toEqual([device(1).deviceId])
  })

  it('after stop nothing is left: no timer, no channel, and no new one is taken', async () => {
    const lab = new Lab()
    const [alice, bob] = [await lab.join(device(0)), await lab.join(device(1))]
    await lab.clock.advance(5_000)
    await lab.clock.run(Promise.all([alice.routing.stop(), bob.routing.stop()]))
    await lab.clock.advance(1_000)
    expect([lab.connected(alice), alice.manager.links().map(({ channels }) => channels), lab.clock.pending()]).toEqual([[], [0], []])
    alice.routing.open(CONVERSATION, { isAllowed: () => true, isMember: () => true, members: () => [] })
    expect(await lab.clock.run(bob.manager.openChannel(alice.identity.deviceId, `swarm://${CONVERSATION}`).then(() => 'open', (error: { code: string }) => error.code))).toBe('ERR_CHANNEL_DECLINED')
  })
})

/** A channel that asks without end and never takes what is written. */
function deafChannel(name: string, remote: PeerIdentity, clock: ManualClock, onAbort: (reason: unknown) => void): Channel {
  let end: (reason: Error | undefined) => void = () => {}
  let ended = false
  const closed = new Promise<Error | undefined>((resolve) => (end = resolve))
  return {
    name, remote, path: { kind: 'host', remote: '10.0.0.1:9' }, closed,
    write: () => new Promise(() => {}),
    close: async () => end(undefined),
    abort: (reason) => {
      if (ended) return
      ended = true
      onAbort(reason)
      end(reason)
    },
    async *[Symbol.asyncIterator]() {
      while (!ended) {
        yield encodeDrtMessage({ isMobile: false, request: { query: 1, count: 2, target: remote.deviceId } })
        await Promise.race([new Promise<void>((resolve) => clock.after(2_000, resolve)), closed])
      }
    },
  }
}

describe('slots', () => {
  it('any number may wait with one signal: no warning of leaking listeners', async () => {
    const warnings: Error[] = []
    const hear = (warning: Error) => warnings.push(warning)
    process.on('warning', hear)
    const ending = new AbortController()
    const slots = new Slots(1)
    const waiting = Array.from({ length: 40 }, () => slots.run(ending.signal, () => new Promise<void>(() => {})).catch(() => {}))
    ending.abort()
    await Promise.all(waiting.slice(1))
    await new Promise((resolve) => setImmediate(resolve)) // warnings come in the next turn
    process.off('warning', hear)
    expect(warnings).toEqual([])
  })

  it('run so many at once, the others in order; who gives up waiting takes no place', async () => {
    const slots = new Slots(2)
    const order: number[] = []
    const release: (() => void)[] = []
    const never = new AbortController().signal
    const giving = new AbortController()
    const work = (i: number, signal = never) => slots.run(signal, () => new Promise<void>((resolve) => {
      order.push(i)
      release.push(resolve)
    }))
    const all = [work(1), work(2), work(3, giving.signal), work(4), work(5)]
    const heard = expect(all[2]).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    giving.abort()
    await heard
    expect(order).toEqual([1, 2])
    release[0]?.()
    await all[0]
    await Promise.resolve()
    expect(order).toEqual([1, 2, 4])
    release[1]?.()
    await all[1]
    await Promise.resolve()
    release[2]?.()
    await all[3]
    release[3]?.()
    await all[4]
    expect(order).toEqual([1, 2, 4, 5])
  })
})
