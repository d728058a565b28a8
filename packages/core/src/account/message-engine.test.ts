// Small messages between devices over channels in memory: delivered, queued, replaced, given up. docs/protocol/03 §7, 04 §4.5.1.
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../base/logger.ts'
import type { PeerMessage } from '../contracts/account.ts'
import type { DeviceIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import { MemoryChannel } from '../testing/channel-pair.ts'
import { FakeConnectionNetwork } from '../testing/fake-connections.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { testIdentity } from '../testing/test-identities.ts'
import { INCOMING_RATE, MAX_QUEUED_PER_TARGET, MAX_UNSENT, MEMBER_RATE, MessageEngine } from './message-engine.ts'
import { OUTBOX } from './message-outbox.ts'
import { encodeMessageFrame, MAX_BODY_BYTES } from './message-wire.ts'

const MIME = 'text/x-test'
const text = (body: string) => ({ mime: MIME, body })

class Lab {
  readonly clock = new ManualClock()
  readonly network = new FakeConnectionNetwork({ clock: this.clock })
  readonly announced = new Set<DeviceIdentity>()
  readonly banned = new Set<AccountUri | DeviceId>()
  /** Who is no contact, and shares a conversation. */
  readonly members = new Set<AccountUri>()
  readonly #people: { stop(): Promise<void> }[] = []

  async come(identity: DeviceIdentity, allowsLink: () => boolean = () => true) {
    const manager = this.network.manager({ identity, policy: { allowsLink } })
    const counts: [AccountUri, number][] = []
    const got: PeerMessage[] = []
    const announced = this.announced
    const engine = new MessageEngine({
      clock: this.clock, random: new SeededRandom(identity.deviceId), logger: silentLogger, connections: manager, ownDevice: identity.deviceId,
      directory: { async *devicesOf(account) { for (const device of announced) if (device.accountId === account) yield device.deviceId } },
      contacts: { isContact: (account) => !this.members.has(account), isConfirmed: () => true, conversationWith: () => undefined, isBanned: (id) => this.banned.has(id) },
      onChannelCount: (account, by) => counts.push([account, by]), isMember: (account) => this.members.has(account),
    })
    engine.handle(MIME, (message) => void got.push(message))
    await engine.start()
    await manager.start()
    this.announced.add(identity)
    const stop = async () => {
      this.announced.delete(identity)
      await this.clock.run(engine.stop())
      await this.clock.run(manager.stop())
    }
    this.#people.push({ stop })
    return { identity, manager, engine, counts, got, stop }
  }

  /** Whether a message has been delivered by now: true, false, or undefined while it waits. */
  watch(sent: Promise<boolean>): { now: boolean | undefined } {
    const seen: { now: boolean | undefined } = { now: undefined }
    void sent.then((delivered) => { seen.now = delivered })
    return seen
  }

  async end(): Promise<unknown[]> {
    for (const person of this.#people) await person.stop()
    await this.clock.advance(120_000)
    return this.clock.pending()
  }
}

const alice = testIdentity(0).device
const carol = testIdentity(2).device
const [bob, bobsOther] = [testIdentity(1, 0).device, testIdentity(1, 1).device]

describe('channels', () => {
  it('a device gets so many message channels at once, however many it asks for in the same moment', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    const asking = Array.from({ length: 250 }, (_, i) => a.manager.openChannel(bob.deviceId, `msg:${i}`).then(() => 'open', (error: { code?: string }) => error.code))
    const outcomes = await lab.clock.run(Promise.all(asking))
    expect([outcomes.filter((o) => o === 'open').length, outcomes.filter((o) => o === 'ERR_CHANNEL_DECLINED').length]).toEqual([4, 246])
    expect(b.manager.links()).toMatchObject([{ channels: 4 }])
    expect(await lab.end()).toEqual([])
  })
})

describe('sending', () => {
  it('ACC-40 opens a channel to every announced device of an account: the first one gets what waits, then all that are connected', async () => {
    const lab = new Lab()
    const a = await lab.come(alice)
    const [b, c] = [await lab.come(bob), await lab.come(bobsOther)]
    expect(await lab.clock.run(a.engine.send(bob.accountId, text('waited')))).toBe(true)
    await lab.clock.advance(1000)
    expect([...b.got, ...c.got].map((m) => m.body)).toEqual(['waited'])
    expect(await lab.clock.run(a.engine.send(bob.accountId, text('hello')))).toBe(true)
    await lab.clock.advance(1000)
    for (const person of [b, c]) expect(person.got.at(-1)).toEqual({ from: alice.accountId, fromDevice: alice.deviceId, mime: MIME, body: 'hello' })
    expect(a.engine.connectedDevices(bob.accountId).sort()).toEqual([bob.deviceId, bobsOther.deviceId].sort())
    expect(a.manager.links().map((link) => link.channels)).toEqual([1, 1])
    expect(await lab.end()).toEqual([])
  })

  it('uses the channel that the peer opened, in the other direction, and the order stays', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    await lab.clock.run(a.engine.send(bob.deviceId, text('first')))
    for (let i = 0; i < 20; i++) await lab.clock.run(b.engine.send(alice.accountId, text(String(i))))
    await lab.clock.advance(1000)
    expect(a.got.map((m) => m.body)).toEqual(Array.from({ length: 20 }, (_, i) => String(i)))
    expect(a.manager.links()).toMatchObject([{ channels: 1 }])
    expect(await lab.end()).toEqual([])
  })

  it('to an absent account waits, and arrives in order when a device appears', async () => {
    const lab = new Lab()
    const a = await lab.come(alice)
    const sent = ['1', '2', '3'].map((body) => lab.watch(a.engine.send(bob.accountId, text(body))))
    await lab.clock.advance(5000)
    expect(sent.map((s) => s.now)).toEqual([undefined, undefined, undefined])
    const b = await lab.come(bob)
    a.engine.peerAppeared(bob.accountId, bob.deviceId)
    await lab.clock.advance(5000)
    expect(b.got.map((m) => m.body)).toEqual(['1', '2', '3'])
    expect(sent.map((s) => s.now)).toEqual([true, true, true])
    expect(await lab.end()).toEqual([])
  })

  it('replaces what still waits under the same slot for the same target only', async () => {
    const lab = new Lab()
    const a = await lab.come(alice)
    const old = lab.watch(a.engine.send(bob.accountId, text('old'), { replaces: 'slot' }))
    lab.watch(a.engine.send(bob.accountId, text('other'), { replaces: 'other slot' }))
    lab.watch(a.engine.send(bob.accountId, text('new'), { replaces: 'slot' }))
    await lab.clock.advance(1000)
    expect(old.now).toBe(false)
    const b = await lab.come(bob)
    a.engine.peerAppeared(bob.accountId, bob.deviceId)
    await lab.clock.advance(5000)
    expect(b.got.map((m) => m.body)).toEqual(['new', 'other'])
    expect(await lab.end()).toEqual([])
  })

  it('with connectedOnly drops the message when no channel is open, and connects nobody', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    expect(await lab.clock.run(a.engine.send(bob.accountId, text('typing'), { connectedOnly: true }))).toBe(false)
    await lab.clock.advance(60_000)
    expect([b.got, a.manager.links()]).toEqual([[], []])
    expect(await lab.end()).toEqual([])
  })

  it('gives up after 20 attempts', async () => {
    const lab = new Lab()
    const a = await lab.come(alice)
    const sent = lab.watch(a.engine.send(bob.accountId, text('nobody')))
    for (let i = 0; i < 18; i++) {
      await lab.clock.advance(1000)
      a.engine.connect(bob.accountId)
    }
    await lab.clock.advance(1000)
    expect(sent.now).toBeUndefined()
    a.engine.connect(bob.accountId)
    await lab.clock.advance(1000)
    expect(sent.now).toBe(false)
    expect(await lab.end()).toEqual([])
  })

  it('does not ask whom the policy refuses with every message; what waits goes out when it may and the peer appears', async () => {
    const lab = new Lab()
    let asked = 0
    let allowed = false
    const a = await lab.come(alice, () => {
      asked++
      return allowed
    })
    const b = await lab.come(bob)
    const sent: { now: boolean | undefined }[] = []
    for (let i = 0; i < 600; i++) { // for two minutes, the newest in the place of the one before
      sent.push(lab.watch(a.engine.send(bob.accountId, text(`${i}`), { replaces: 'news' })))
      await lab.clock.advance(200)
    }
    expect(asked).toBeGreaterThan(3)
    expect(asked).toBeLessThan(10)
    expect(sent.at(-1)?.now).toBeUndefined()
    allowed = true
    a.engine.peerAppeared(bob.accountId, bob.deviceId)
    await lab.clock.advance(1000)
    expect(b.got.map(({ body }) => body)).toEqual(['599'])
    expect(await lab.end()).toEqual([])
  })

  it(`refuses text over ${MAX_BODY_BYTES} bytes and the message after ${MAX_QUEUED_PER_TARGET} that wait`, async () => {
    const lab = new Lab()
    const a = await lab.come(alice)
    await expect(a.engine.send(bob.accountId, text('x'.repeat(MAX_BODY_BYTES + 1)))).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    await expect(a.engine.send(bob.accountId, text('é'.repeat(MAX_BODY_BYTES / 2 + 1)))).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    const waiting = Array.from({ length: MAX_QUEUED_PER_TARGET }, (_, i) => lab.watch(a.engine.send(bob.accountId, text(String(i)))))
    await expect(a.engine.send(bob.accountId, text('one more'))).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    await lab.end()
    expect(new Set(waiting.map((w) => w.now))).toEqual(new Set([false])) // stopped: nothing stays unanswered
  })

  it('what a broken link could not take goes out on the next one', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    await lab.clock.run(a.engine.send(bob.accountId, text('1')))
    await lab.clock.advance(1000)
    lab.network.partition([alice.deviceId], [bob.deviceId])
    await lab.clock.advance(1000)
    expect(a.engine.connectedDevices(bob.accountId)).toEqual([])
    const sent = lab.watch(a.engine.send(bob.accountId, text('2')))
    await lab.clock.advance(120_000)
    expect(sent.now).toBeUndefined()
    lab.network.heal()
    a.engine.peerAppeared(bob.accountId, bob.deviceId)
    await lab.clock.advance(60_000)
    expect(b.got.map((m) => m.body)).toEqual(['1', '2'])
    expect(sent.now).toBe(true)
    expect(await lab.end()).toEqual([])
  })
})

describe('receiving', () => {
  it('ACC-41 the author is the device of the link, whatever the frame says', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    const channel = await lab.clock.run(a.manager.openChannel(bob.deviceId, `msg:${bob.deviceId}`))
    await lab.clock.run(channel.write(encodeMessageFrame(1n, { mime: MIME, body: `from ${bob.accountId}` })))
    await lab.clock.advance(1000)
    expect(b.got).toMatchObject([{ from: alice.accountId, fromDevice: alice.deviceId }])
    expect(await lab.end()).toEqual([])
  })

  it('ACC-41 bytes that are no message cost the channel, and only that', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    await lab.clock.run(a.engine.send(bob.accountId, text('good')))
    const channel = await lab.clock.run(a.manager.openChannel(bob.deviceId, `msg:${bob.deviceId}`))
    await lab.clock.run(channel.write(Uint8Array.of(0x82, 0xa1, 0x74, 0xa1, 0x61, 0xa1, 0x63, 0xa2, 0xff, 0xfe)))
    await lab.clock.advance(1000)
    await expect(channel.write(Uint8Array.of(1))).rejects.toThrow()
    await lab.clock.run(a.engine.send(bob.accountId, text('still')))
    await lab.clock.advance(1000)
    expect(b.got.map((m) => m.body)).toEqual(['good', 'still'])
    expect(await lab.end()).toEqual([])
  })

  it('of a banned account is nothing, and its channels are declined', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    await lab.clock.run(a.engine.send(bob.accountId, text('before')))
    await lab.clock.advance(1000)
    lab.banned.add(alice.accountId)
    await lab.clock.run(a.engine.send(bob.accountId, text('after')))
    await lab.clock.advance(1000)
    expect(b.got.map((m) => m.body)).toEqual(['before'])
    await expect(lab.clock.run(a.manager.openChannel(bob.deviceId, `msg:${bob.deviceId}`))).rejects.toMatchObject({ code: 'ERR_CHANNEL_DECLINED' })
    expect(await lab.end()).toEqual([])
  })

  it('a device gets at most four message channels', async () => {
    const lab = new Lab()
    const [a] = [await lab.come(alice), await lab.come(bob)]
    for (let i = 0; i < 4; i++) await lab.clock.run(a.manager.openChannel(bob.deviceId, `msg:${bob.deviceId}`))
    await expect(lab.clock.run(a.manager.openChannel(bob.deviceId, `msg:${bob.deviceId}`))).rejects.toMatchObject({ code: 'ERR_CHANNEL_DECLINED' })
    expect(await lab.end()).toEqual([])
  })

  it('a handler that fails, and a type that nobody handles, lose only their message', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    b.engine.handle('bad', () => { throw new Error('handler') })
    for (const mime of ['bad', 'unknown', MIME]) await lab.clock.run(a.engine.send(bob.accountId, { mime, body: mime }))
    await lab.clock.advance(1000)
    expect(b.got.map((m) => m.body)).toEqual([MIME])
    expect(await lab.end()).toEqual([])
  })

  it('one handler per type; taken away, another may come', async () => {
    const lab = new Lab()
    const a = await lab.come(alice)
    const off = a.engine.handle('x', () => {})
    expect(() => a.engine.handle('x', () => {})).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    off()
    a.engine.handle('x', () => {})
    expect(await lab.end()).toEqual([])
  })
})

describe('a device that floods', () => {
  it(`is heard ${INCOMING_RATE.burst} times at once and then ${INCOMING_RATE.perSecond} times a second, over all its channels and after it came back; others wait for nothing`, async () => {
    const lab = new Lab()
    const [a, b, c] = [await lab.come(alice), await lab.come(bob), await lab.come(carol)]
    const flood = async () => {
      const channel = await lab.clock.run(a.manager.openChannel(bob.deviceId, `msg:${bob.deviceId}`))
      for (let i = 0; i < 2000; i++) void channel.write(encodeMessageFrame(1n, { mime: MIME, body: 'x' })).catch(() => {})
      return channel
    }
    const from = (who: DeviceIdentity) => b.got.filter(({ fromDevice }) => fromDevice === who.deviceId).length
    const channels = [await flood(), await flood()]
    await lab.clock.advance(900)
    expect(from(alice)).toBeGreaterThanOrEqual(INCOMING_RATE.burst)
    expect(from(alice)).toBeLessThanOrEqual(INCOMING_RATE.burst + INCOMING_RATE.perSecond)
    expect(await lab.clock.run(c.engine.send(bob.accountId, text('hello')))).toBe(true)
    await lab.clock.advance(100)
    expect(from(carol)).toBe(1)
    for (const channel of channels) await lab.clock.run(channel.close())
    const before = from(alice)
    await flood()
    await lab.clock.advance(1000)
    expect(from(alice) - before).toBeLessThanOrEqual(3 * INCOMING_RATE.perSecond)
    expect(await lab.end()).toEqual([])
  })

  it('a member who is no contact has a smaller share, and is heard and answered within it', async () => {
    const lab = new Lab()
    lab.members.add(alice.accountId)
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    const channel = await lab.clock.run(a.manager.openChannel(bob.deviceId, `msg:${bob.deviceId}`))
    for (let i = 0; i < 1000; i++) void channel.write(encodeMessageFrame(1n, { mime: MIME, body: 'x' })).catch(() => {})
    await lab.clock.advance(900)
    expect(b.got.length).toBeGreaterThanOrEqual(MEMBER_RATE.burst)
    expect(b.got.length).toBeLessThanOrEqual(MEMBER_RATE.burst + MEMBER_RATE.perSecond)
    expect(await lab.clock.run(b.engine.send(alice.accountId, text('hello')))).toBe(true)
    expect(await lab.end()).toEqual([])
  })

  it('what waits for members does not take the place of what waits for contacts', async () => {
    const lab = new Lab()
    const b = await lab.come(bob)
    const member = (n: number) => n.toString(16).padStart(40, '0') as AccountUri
    for (let n = 0; n <= OUTBOX.member.targets; n++) lab.members.add(member(n))
    const refused: unknown[] = []
    for (let n = 0; n <= OUTBOX.member.targets; n++) void b.engine.send(member(n), text('x')).catch((error: unknown) => refused.push(error))
    await Promise.resolve()
    const contact = lab.watch(b.engine.send(carol.accountId, text('x')))
    await lab.clock.advance(1)
    expect([refused.length, contact.now]).toEqual([1, undefined])
    await lab.end()
  })

  it('asks and never reads: the answers that wait for it are bounded, in memory and in number, and the others are dropped', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    const channel = await lab.clock.run(a.manager.openChannel(bob.deviceId, `msg:${bob.deviceId}`)) // which nobody reads
    await lab.clock.run(a.engine.stop())
    let written = 0
    const write = MemoryChannel.prototype.write
    const outcomes: (boolean | undefined)[] = []
    let waiting = 0
    let most = 0
    MemoryChannel.prototype.write = function (bytes) {
      written++
      most = Math.max(most, ++waiting)
      return write.call(this, bytes).finally(() => waiting--)
    }
    try {
      b.engine.handle('ask', () => void b.engine.send(alice.deviceId, text('y'.repeat(1000)), { connectedOnly: true }).then((sent) => outcomes.push(sent)))
      const asks = Array.from({ length: 900 }, () => encodeMessageFrame(1n, { mime: 'ask', body: '' }))
      for (const ask of asks) void write.call(channel as MemoryChannel, ask).catch(() => {})
      await lab.clock.advance(60_000)
    } finally {
      MemoryChannel.prototype.write = write
    }
    expect(most).toBeLessThanOrEqual(MAX_UNSENT.messages)
    expect(outcomes.filter((sent) => sent === false).length).toBeGreaterThan(300)
    expect(written + outcomes.filter((sent) => sent === false).length).toBe(900)
    expect(await lab.end()).toEqual([])
  })

  it('a device that reads nothing does not hold what the other devices of its account get', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    const deaf = await lab.come(bobsOther)
    deaf.engine.handle('hold', () => new Promise(() => {})) // reads no more after this one
    await lab.clock.run(b.engine.send(alice.accountId, text('here')))
    await lab.clock.run(deaf.engine.send(alice.accountId, text('here')))
    await lab.clock.advance(1000)
    void a.engine.send(bobsOther.deviceId, { mime: 'hold', body: '' })
    await lab.clock.advance(1000)
    const all = []
    for (let i = 0; i < 600; i++) all.push(await lab.clock.run(a.engine.send(bob.accountId, text(`${i} ${'z'.repeat(1000)}`))))
    await lab.clock.advance(1000)
    expect([new Set(all), b.got.length]).toEqual([new Set([true]), 600])
    for (const { deviceId } of [bobsOther]) await lab.clock.run(a.manager.closePeer(deviceId))
  })
})

describe('texts', () => {
  it('with a lone surrogate arrive with U+FFFD in its place', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    await lab.clock.run(a.engine.send(bob.accountId, text('a\ud83d')))
    await lab.clock.advance(1000)
    expect(b.got.map((m) => m.body)).toEqual(['a\ufffd'])
    expect(await lab.end()).toEqual([])
  })
})

describe('channels', () => {
  it('are counted per device: the first opens, the last closes; each one is told to be ready, as the others may be dead', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    const ready: DeviceId[] = []
    b.engine.onPeerReady(({ device }) => ready.push(device))
    await lab.clock.run(a.engine.send(bob.accountId, text('1')))
    const second = await lab.clock.run(a.manager.openChannel(bob.deviceId, `msg:${bob.deviceId}`))
    await lab.clock.advance(1000)
    expect([b.counts, ready]).toEqual([[[alice.accountId, 1]], [alice.deviceId, alice.deviceId]])
    await lab.clock.run(second.close())
    await lab.clock.advance(1000)
    expect(b.counts).toEqual([[alice.accountId, 1]])
    await a.stop()
    await lab.clock.advance(1000)
    expect(b.counts).toEqual([[alice.accountId, 1], [alice.accountId, -1]])
    expect(await lab.end()).toEqual([])
  })

  it('after stop nothing is sent, accepted or left open', async () => {
    const lab = new Lab()
    const [a, b] = [await lab.come(alice), await lab.come(bob)]
    await lab.clock.run(a.engine.send(bob.accountId, text('1')))
    await lab.clock.run(a.engine.stop())
    expect(await a.engine.send(bob.accountId, text('2'))).toBe(false)
    await lab.clock.advance(1000)
    expect([b.got.length, b.engine.connectedDevices(alice.accountId)]).toEqual([1, []])
    expect(await lab.end()).toEqual([])
  })
})
