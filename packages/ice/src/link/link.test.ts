// A live link whose peer does as it likes: what it may cost, and what goes on meanwhile. Virtual time.
import { utf8 } from '@jamikit/core/codec'
import { deviceIdOf } from '@jamikit/core/identity'
import { afterEach, describe, expect, it } from 'vitest'
import { endWorld, linked, own, peer, sent, settle, world } from '../../test/met.ts'
import { RawPeer } from '../../test/raw-peer.ts'
import { LINK_RECEIVE_BYTES, LINK_SEND_BYTES, MESSAGE_OVERHEAD_BYTES, RECEIVE_HIGH_BYTES, SEND_STALL_MS, STALL_MS, STUN_PER_SECOND } from '../defaults.ts'
import { parseIceDescription } from '../wire/ice-text.ts'
import { encodeBeacon, encodeChannelRequest, encodeMessage, encodeVersion, STATE } from '../wire/mux-frame.ts'
import { encodeFrames } from '../wire/rfc4571.ts'
import { BINDING_INDICATION, BINDING_REQUEST, decodeStun, encodeStun } from '../wire/stun.ts'

afterEach(async () => expect(await endWorld()).toEqual([]))

describe('a link', () => {
  it('ICE-37 every channel request is answered within 3 s: at once, or with a decline when the handler does not decide', async () => {
    const t = await linked()
    t.manager.handle('slow', { accept: () => new Promise<boolean>(() => {}), open: () => {} })
    t.socket.write(encodeChannelRequest('slow:x', 0x8001, STATE.request))
    t.socket.write(encodeChannelRequest('nobody:x', 0x8002, STATE.request))
    await t.open('msg:x', 0x8003)
    expect([sent(t.got, encodeChannelRequest('nobody:x', 0x8002, STATE.decline)), sent(t.got, encodeChannelRequest('msg:x', 0x8003, STATE.accept))]).toEqual([true, true])
    expect(sent(t.got, encodeChannelRequest('slow:x', 0x8001, STATE.decline))).toBe(false)
    await world.lab.clock.advance(2400)
    expect(sent(t.got, encodeChannelRequest('slow:x', 0x8001, STATE.decline))).toBe(true)
    t.socket.destroy()
    await world.lab.drive(t.over)
  })

  it('a channel that its handler takes when the link is gone already counts for nothing', async () => {
    const t = await linked()
    let decide = (_yes: boolean) => {}
    const asked: string[] = []
    t.manager.handle('slow', { limit: () => ({ of: 'all', max: 1 }), accept: (name) => (asked.push(name), new Promise<boolean>((resolve) => { decide = resolve })), open: () => {} })
    await t.open('slow:1', 0x8000)
    t.socket.destroy()
    t.connection.destroy()
    await settle()
    decide(true)
    await settle()
    expect([asked, t.manager.links()]).toEqual([['slow:1'], []])
    const raw = new RawPeer(world.lab, peer, await world.lab.dht(), 'again')
    world.raws.push(raw)
    const { socket, over } = raw.secure(await world.lab.drive(raw.connect(own, 78)))
    await settle()
    socket.write(encodeChannelRequest('slow:2', 0x8000, STATE.request))
    await settle()
    expect(asked).toEqual(['slow:1', 'slow:2'])
    socket.destroy()
    await world.lab.drive(over)
  })

  it('ICE-26 our own channels as TLS client begin with id 1', async () => {
    const t = await linked()
    const opening = t.manager.openChannel(peer.deviceId, 'msg:y')
    await settle()
    expect(sent(t.got, encodeChannelRequest('msg:y', 1, STATE.request))).toBe(true)
    t.socket.write(encodeChannelRequest('msg:y', 1, STATE.accept))
    expect((await world.lab.drive(opening)).name).toBe('msg:y')
    t.socket.destroy()
    await world.lab.drive(t.over)
  })

  it('ICE-22 sends an indication every 20 to 24 s, and takes those of the peer in the middle of TLS', async () => {
    const t = await linked()
    const at: number[] = []
    t.connection.onStun = (frame) => {
      if (decodeStun(frame).type === BINDING_INDICATION) at.push(world.lab.clock.now())
    }
    for (let i = 0; i < 5; i++) {
      t.connection.sendStun(Uint8Array.from(Buffer.from('001100082112a4425429000036736f6f462d687c8028000465dbd168', 'hex')))
      t.socket.write(encodeBeacon(true))
      await world.lab.clock.advance(24_000)
    }
    expect(at.length).toBeGreaterThanOrEqual(4)
    const gaps = at.slice(1).map((ms, i) => ms - (at[i] ?? 0))
    expect(gaps.every((ms) => ms >= 20_000 && ms <= 24_100)).toBe(true)
    expect([t.got.filter((m) => m.channel === 0xffff && m.data[3] === 0xc2).length, t.manager.links().length]).toEqual([5, 1])
    t.socket.destroy()
    await world.lab.drive(t.over)
  })

  it('ICE-49 is probed when local addresses change; without an answer it closes after 3 s', async () => {
    const t = await linked()
    t.socket.write(encodeVersion(1))
    await settle()
    t.manager.connectivityChanged()
    await settle()
    expect(sent(t.got, encodeBeacon(true))).toBe(true)
    expect(t.manager.links().length).toBe(1)
    await world.lab.clock.advance(3000)
    expect(t.manager.links()).toEqual([])
    await world.lab.drive(t.over)
  })

  it('ICE-41 an unread channel holds the peer, not our memory', async () => {
    const t = await linked()
    await t.open('msg:x', 0x8000)
    const piece = Buffer.from(encodeMessage(0x8000, new Uint8Array(65_535)))
    let written = 0
    let held = false
    while (!held && written < 64 << 20) {
      held = !t.socket.write(piece)
      written += piece.length
      if (held) {
        await world.lab.clock.advance(200)
        held = t.socket.writableNeedDrain
      }
    }
    expect(written).toBeLessThan(16 << 20)
    expect(t.manager.links()[0]?.bytesIn ?? 0).toBeLessThan(8 << 20)
    t.socket.destroy()
    await world.lab.clock.advance(5000)
    t.channels[0]?.abort()
    await world.lab.clock.advance(5000)
    expect(t.manager.links()).toEqual([])
  })

  it('a full channel that nobody reads is ended in time with a typed error; the link and its other channels live on', async () => {
    const t = await linked()
    await t.open('msg:unread', 0x8000)
    await t.open('msg:other', 0x8001)
    const [unread, other] = t.channels
    const piece = Buffer.from(encodeMessage(0x8000, new Uint8Array(65_535)))
    for (let i = 0; i < 40; i++) t.socket.write(piece)
    t.socket.write(Buffer.from(encodeMessage(0x8001, utf8('behind it'))))
    const reading = other?.[Symbol.asyncIterator]().next()
    let read = false
    void reading?.then(() => { read = true })
    await world.lab.clock.advance(STALL_MS - 1000)
    expect(read).toBe(false)
    await world.lab.clock.advance(1000)
    await settle()
    expect(await unread?.closed).toMatchObject({ code: 'ERR_LIMIT', details: { allowed: 1 << 20 } })
    await world.lab.clock.runUntil(() => read)
    expect(t.manager.links()).toMatchObject([{ channels: 1 }])
    t.socket.destroy()
    await world.lab.drive(t.over)
  })

  it('a reader that takes a message now and then does not hold the link for ever; one that keeps up with the minimum does', async () => {
    for (const [everyMs, kept] of [[STALL_MS - 1000, false], [1000, true]] as const) {
      const t = await linked()
      await t.open('msg:slow', 0x8000)
      const piece = Buffer.from(encodeMessage(0x8000, new Uint8Array(65_535)))
      for (let i = 0; i < 80; i++) t.socket.write(piece)
      const reader = t.channels[0]?.[Symbol.asyncIterator]()
      for (let ms = 0; ms < 3 * STALL_MS; ms += everyMs) {
        await world.lab.clock.advance(everyMs)
        await reader?.next().catch(() => {})
      }
      expect(t.manager.links()).toMatchObject([{ channels: kept ? 1 : 0 }])
      t.socket.destroy()
      t.channels[0]?.abort()
      await world.lab.clock.advance(5000)
      await world.lab.drive(t.over)
      await endWorld()
    }
  })

  it('messages of one byte count with what each of them costs: four million on channels that nobody reads do not get in', async () => {
    const t = await linked()
    for (let i = 0; i < 4; i++) await t.open(`msg:${i}`, 0x8000 + i)
    const many = Buffer.concat(Array.from({ length: 10_000 }, (_, i) => Buffer.from(encodeMessage(0x8000 + (i % 4), Uint8Array.of(i)))))
    let written = 0
    for (let i = 0; i < 400 && !t.socket.writableNeedDrain; i++) {
      t.socket.write(many)
      written += 10_000
      await world.lab.clock.advance(20)
    }
    expect(t.socket.writableNeedDrain).toBe(true)
    // what the link took, in messages of 8 bytes: not much more than the room of a channel has place for
    expect((t.manager.links()[0]?.bytesIn ?? 0) / 8).toBeLessThan((4 * RECEIVE_HIGH_BYTES) / MESSAGE_OVERHEAD_BYTES + 600_000 / 8)
    expect(written).toBeLessThan(400_000)
    t.socket.destroy()
    for (const channel of t.channels) channel.abort()
    await world.lab.clock.advance(5000)
    await world.lab.drive(t.over)
  })

  it('channels that the peer fills and ends, one after the other, are bounded together', async () => {
    const t = await linked()
    const most = Math.ceil(LINK_RECEIVE_BYTES / (15 * 65_535)) + 3
    for (let i = 0; i < 40 && !t.socket.writableNeedDrain; i++) {
      t.socket.write(encodeChannelRequest(`msg:${i}`, 0x8000 + i, STATE.request))
      await settle()
      for (let k = 0; k < 15; k++) t.socket.write(Buffer.from(encodeMessage(0x8000 + i, new Uint8Array(65_535))))
      t.socket.write(Buffer.from(encodeMessage(0x8000 + i, new Uint8Array(0))))
      await settle()
    }
    expect(t.channels.length).toBeLessThanOrEqual(most)
    await world.lab.clock.advance(STALL_MS + 1000)
    const first = await t.channels[0]?.[Symbol.asyncIterator]().next().then((r) => r.value?.length, (error: { code: string }) => error.code)
    expect(first).toBe('ERR_LIMIT')
    t.socket.destroy()
    await world.lab.clock.advance(5000)
    await world.lab.drive(t.over)
  })

  it('ICE-18 checks on a live link that are sent without end and never read cost nothing that grows', async () => {
    const t = await linked()
    const { ufrag, password } = parseIceDescription(t.raw.answers()[0]?.request.iceMessage ?? '')
    const check = encodeStun({ type: BINDING_REQUEST, transaction: new Uint8Array(12), username: `${ufrag}:x`, controlled: new Uint8Array(8) }, password)
    t.socket.pause()
    let answers = 0
    t.connection.onStun = () => answers++
    for (let i = 0; i < 20_000; i++) {
      t.connection.socket.write(encodeFrames(check)).catch(() => {})
      if (i % 1000 === 0) await world.lab.clock.advance(10)
    }
    await settle()
    expect([answers > 0, answers <= STUN_PER_SECOND]).toEqual([true, true])
    expect(t.manager.links().length).toBe(1)
    t.socket.resume()
    t.socket.write(encodeBeacon(true))
    await settle()
    expect(t.got.filter((m) => m.channel === 0xffff && m.data[3] === 0xc2).length).toBe(1)
    t.socket.destroy()
    await world.lab.drive(t.over)
  })

  it('writes to a peer that does not read wait: in each channel, and sooner when many channels wait; the link is given up a minute after its last byte', async () => {
    const t = await linked()
    const count = 60
    for (let i = 0; i < count; i++) await t.open(`msg:${i}`, 0x8000 + i)
    t.socket.pause()
    const piece = new Uint8Array(65_000)
    const taken = Array<number>(count).fill(0)
    const outcomes = t.channels.map(async (channel, i) => {
      try {
        for (;;) {
          await channel.write(piece)
          taken[i] = (taken[i] ?? 0) + piece.length
        }
      } catch (error) {
        return (error as { code: string }).code
      }
    })
    await world.lab.clock.advance(10_000)
    expect(Math.max(...taken)).toBeGreaterThan(0)
    const first = taken.reduce((sum, n) => sum + n, 0)
    expect(first).toBeLessThan(LINK_SEND_BYTES + (6 << 20)) // and what TLS and TCP hold
    expect(t.manager.links().length).toBe(1)
    await world.lab.clock.advance(SEND_STALL_MS)
    expect(t.manager.links()).toEqual([])
    expect(new Set(await world.lab.drive(Promise.all(outcomes)))).toEqual(new Set(['ERR_LINK_LOST']))
    t.socket.destroy()
    await world.lab.drive(t.over)
  })

  it('a peer that takes something now and then stays; whenever it took its last, a minute later it is given up', async () => {
    const t = await linked()
    await t.open('msg:x', 0x8000)
    t.socket.pause()
    const outcome = (async () => {
      for (;;) await t.channels[0]?.write(new Uint8Array(65_000))
    })().catch((error: { code: string }) => error.code)
    for (let i = 0; i < 3; i++) {
      await world.lab.clock.advance(SEND_STALL_MS - 20_000)
      let bytes = 0
      t.socket.on('data', function some(data: Buffer) {
        bytes += data.length
        if (bytes < 400_000) return // not all that waits
        t.socket.off('data', some)
        t.socket.pause()
      })
      t.socket.resume()
      await world.lab.clock.advance(100)
    }
    await world.lab.clock.advance(SEND_STALL_MS - 1000)
    expect(t.manager.links().length).toBe(1)
    await world.lab.clock.advance(1100)
    expect([t.manager.links(), await world.lab.drive(outcome)]).toEqual([[], 'ERR_LINK_LOST'])
    t.socket.destroy()
    await world.lab.drive(t.over)
  })

  it('ICE-S12 questions whose answers are not read cost the link', async () => {
    const t = await linked()
    t.socket.pause()
    const flood = Buffer.concat(Array.from({ length: 2000 }, () => Buffer.from(encodeBeacon(true))))
    for (let i = 0; i < 400 && !t.connection.destroyed; i++) {
      t.socket.write(flood)
      if (i % 20 === 0) await world.lab.clock.advance(50)
    }
    await world.lab.clock.advance(5000)
    expect(t.manager.links()).toEqual([])
    t.socket.destroy()
    await settle()
  }, 20_000)

  it.each([
    ['broken msgpack', Buffer.from([0xc1])],
    ['a lying length', Buffer.from([0x92, 1, 0xc6, 0xff, 0xff, 0xff, 0xff])],
  ])('%s closes it', async (_, bytes) => {
    const t = await linked()
    t.socket.write(bytes)
    await world.lab.drive(t.over)
    expect(t.manager.links()).toEqual([])
  })

  it('ICE-47 a channel that was asked for on a link that dies is asked for once more on a new one', async () => {
    const t = await linked()
    const opening = t.manager.openChannel(peer.deviceId, 'msg:again').then(() => 'open', (error: { code: string }) => error.code)
    await settle()
    t.socket.destroy()
    t.connection.destroy()
    const before = t.raw.got.length
    await world.lab.clock.runUntil(() => t.raw.got.length > before)
    expect(t.raw.got.at(-1)?.request.isAnswer).toBe(false)
    expect(await world.lab.drive(opening)).toBe('ERR_PEER_REFUSED')
    expect(t.raw.got.filter(({ request }) => !request.isAnswer).length).toBe(1)
  })

  it('the device is who its key says', async () => {
    const t = await linked()
    const [link] = t.manager.links()
    expect([link?.peer.deviceId, link?.peer.accountId]).toEqual([deviceIdOf(peer.privateKey.publicKey), peer.accountId])
    t.socket.destroy()
    await world.lab.drive(t.over)
  })
})
