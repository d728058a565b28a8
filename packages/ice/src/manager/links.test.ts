// Two real managers and the links between them: sharing, reuse, simultaneous connects, loss, bans. Virtual time.
import type { TLSSocket } from 'node:tls'
import type { Channel, Clock } from '@jamikit/core/contracts'
import { FakeCertificates, testIdentity } from '@jamikit/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { Lab } from '../../test/harness.ts'
import { RawPeer } from '../../test/raw-peer.ts'
import { MAX_INCOMING, MAX_LINKS_PER_DEVICE, MAX_UNVERIFIED } from '../defaults.ts'
import { parseIceDescription, printIceDescription } from '../wire/ice-text.ts'
import { encodeChannelRequest, STATE } from '../wire/mux-frame.ts'
import { encodeFrames } from '../wire/rfc4571.ts'
import { BINDING_REQUEST, encodeStun } from '../wire/stun.ts'

let lab = new Lab()

afterEach(async () => {
  expect(await lab.end()).toEqual([])
  lab = new Lab()
})

async function two(options: { ipv4?: boolean; ipv6?: boolean } = {}) {
  if (options.ipv4 === false || options.ipv6 === false) for (const host of ['host0', 'host1']) lab.network.host(host, options)
  const [a, b] = [await lab.side(0), await lab.side(1)]
  const opened: Channel[] = []
  for (const { manager } of [a, b]) manager.handle('msg', { accept: () => true, open: (channel) => opened.push(channel) })
  const open = (name = 'msg:x', more = {}) => lab.drive(a.manager.openChannel(b.self.deviceId, name, more))
  return { a, b, opened, open, drive: lab.drive }
}

const outcome = (work: Promise<unknown>) => work.then(() => 'resolved', (error: { code?: string }) => error.code ?? 'unknown')

describe('links', () => {
  it('ICE-45 many channels asked for at once use one link', async () => {
    const { a, b, drive } = await two()
    const channels = await drive(Promise.all(Array.from({ length: 50 }, (_, i) => a.manager.openChannel(b.self.deviceId, `msg:${i}`))))
    expect([channels.length, a.manager.links().length, a.manager.links()[0]?.channels]).toEqual([50, 1, 50])
  })

  it.each([['IPv6 only', { ipv4: false }, '[fd00::'], ['IPv4 only', { ipv6: false }, '10.0.']] as const)('ICE-24 works %s', async (_, families, prefix) => {
    const { open } = await two(families)
    const channel = await open()
    expect(channel.path.remote.startsWith(prefix)).toBe(true)
    expect(channel.path.kind).toBe('host')
  })

  it('ICE-44 both sides connecting at the same time may give two links, and channels work on either', async () => {
    const { a, b, drive } = await two()
    const [x, y] = await drive(Promise.all([a.manager.openChannel(b.self.deviceId, 'msg:a'), b.manager.openChannel(a.self.deviceId, 'msg:b')]))
    await lab.clock.advance(5000)
    expect(a.manager.links().length).toBe(b.manager.links().length)
    expect(a.manager.links().length).toBeGreaterThanOrEqual(1)
    for (const channel of [x, y]) await drive(channel.write(new TextEncoder().encode('still here')))
    await lab.clock.advance(5000)
    expect(a.manager.links().length).toBeLessThanOrEqual(2)
    await drive(a.manager.openChannel(b.self.deviceId, 'msg:c'))
  })

  it('ICE-46 only over an existing link; joined when unique; on the link that is there', async () => {
    const { a, b, open } = await two()
    expect(await lab.drive(outcome(a.manager.openChannel(b.self.deviceId, 'msg:x', { existingLinkOnly: true })))).toBe('ERR_PEER_OFFLINE')
    const one = await open('msg:one', { unique: true })
    expect(await open('msg:one', { unique: true })).toBe(one)
    expect(await open('msg:one')).not.toBe(one)
    await open('msg:x', { existingLinkOnly: true })
    expect(a.manager.links().length).toBe(1)
    // also one that the other side opened
    const theirs = await lab.drive(b.manager.openChannel(a.self.deviceId, 'msg:one', { unique: true }))
    expect(theirs.name).toBe('msg:one')
    expect(b.manager.links()[0]?.channels).toBe(3)
  })

  it('a declined channel leaves the link and its channels alone', async () => {
    const { a, b, open } = await two()
    const channel = await open()
    expect(await lab.drive(outcome(a.manager.openChannel(b.self.deviceId, 'nobody:x')))).toBe('ERR_CHANNEL_DECLINED')
    await lab.drive(channel.write(Uint8Array.of(1)))
    expect(a.manager.links().length).toBe(1)
  })

  it('ICE-48 closing with an account ends its links and channels on both sides at once', async () => {
    const { a, b, open } = await two()
    const channel = await open()
    const before = lab.clock.now()
    await lab.drive(a.manager.closePeer(b.self.accountId))
    expect(a.manager.links()).toEqual([])
    expect(await lab.drive(channel.closed)).toBeDefined()
    await lab.clock.advance(100)
    expect(b.manager.links()).toEqual([])
    expect(lab.clock.now() - before).toBeLessThan(3000)
  })

  it('ICE-49 after a cut, a probe closes dead links and spares the living', async () => {
    const { a, b, opened, open } = await two()
    const channel = await open()
    a.manager.connectivityChanged()
    await lab.clock.advance(5000)
    expect(a.manager.links().length).toBe(1)
    lab.network.partition(['host0'], ['host1'])
    a.manager.connectivityChanged()
    await lab.clock.advance(3500)
    expect(await lab.drive(channel.closed)).toMatchObject({ code: 'ERR_LINK_LOST' })
    expect(a.manager.links()).toEqual([])
    lab.network.heal()
    await lab.clock.advance(60_000)
    expect(b.manager.links()).toEqual([])
    await open('msg:again')
    expect(opened.length).toBe(2)
  })

  it('clocks differ: for a peer whose clock says that our certificates begin in two minutes we are who we are, whoever asks; a link of two days before is none', async () => {
    for (const [earlyMs, linked] of [[120_000, true], [2 * 86_400_000, false]] as const) {
      const begins = Math.max(...testIdentity(0).device.chain.map((c) => c.notBeforeMs))
      const slow: Clock = {
        now: () => lab.clock.now(), wallTimeMs: () => begins - earlyMs + Math.floor(lab.clock.now() / 1000), after: (ms, fn) => lab.clock.after(ms, fn), track: (work) => lab.clock.track(work),
      }
      const known = new FakeCertificates({ clock: lab.clock, known: [testIdentity(1).device.chain] })
      const theirs = new FakeCertificates({ clock: slow })
      theirs.publish(testIdentity(0).device.chain)
      const a = await lab.side(0, { certificates: { get: (d) => known.get(d), find: (d, op) => known.find(d, op), pin: (chain) => known.pin(chain) } })
      const b = await lab.side(1, { certificates: { get: (d) => theirs.get(d), find: (d, op) => theirs.find(d, op), pin: (chain) => theirs.pin(chain) } })
      for (const { manager } of [a, b]) manager.handle('msg', { accept: () => true, open: () => {} })
      const expected = linked ? ['resolved', 'resolved'] : ['ERR_PEER_REFUSED', 'ERR_PEER_OFFLINE']
      const first = await lab.drive(outcome(a.manager.openChannel(b.self.deviceId, 'msg:x')))
      await lab.drive(a.manager.closePeer(b.self.deviceId))
      expect([first, await lab.drive(outcome(b.manager.openChannel(a.self.deviceId, 'msg:x')))]).toEqual(expected)
      await lab.end()
      lab = new Lab()
    }
  })

  it('ICE-50 tells peer, channels, bytes and age of each link', async () => {
    const { a, b, open } = await two()
    const channel = await open()
    await lab.drive(channel.write(new Uint8Array(50_000)))
    await lab.clock.advance(1000)
    const [here] = a.manager.links()
    const [there] = b.manager.links()
    expect(here).toMatchObject({ channels: 1, peer: { deviceId: b.self.deviceId, accountId: b.self.accountId } })
    expect(here?.bytesOut).toBeGreaterThan(50_000)
    expect(there?.bytesIn).toBeGreaterThan(50_000)
    expect(lab.clock.wallTimeMs() - (here?.openedAtMs ?? 0)).toBeGreaterThanOrEqual(1000)
  })

  it('ICE-43 a small message is not held up by a bulk transfer on another channel', async () => {
    const { a, opened, open } = await two()
    const bulk = await open('msg:bulk')
    const small = await open('msg:small')
    await lab.clock.runUntil(() => opened.length === 2)
    const [bulkThere, smallThere] = opened as [Channel, Channel]
    let bulkBytes = 0
    let stop = false
    const reading = (async () => {
      for await (const bytes of bulkThere) bulkBytes += bytes.length
    })().catch(() => {})
    const writing = (async () => {
      while (!stop) await bulk.write(new Uint8Array(65_535))
    })().catch(() => {})
    await lab.clock.advance(200)
    const arrived = (async () => {
      for await (const bytes of smallThere) return { bytes, at: bulkBytes }
      return undefined
    })()
    const before = bulkBytes
    await small.write(Uint8Array.of(1))
    const got = await lab.drive(arrived)
    stop = true
    expect(got?.bytes).toEqual(Uint8Array.of(1))
    expect((got?.at ?? 0) - before).toBeLessThan(4 << 20) // what was on its way before, in TCP's window included
    await lab.drive(a.manager.closePeer(testIdentity(1).device.deviceId))
    await Promise.all([reading, writing])
  })

  it('ICE-44 a device has so many links at most: of the older ones the least used gives way', async () => {
    const a = await lab.side(0)
    const opened: Channel[] = []
    a.manager.handle('msg', { accept: () => true, open: (channel) => opened.push(channel) })
    const identity = testIdentity(1).device
    const raws: { raw: RawPeer; socket: TLSSocket; over: Promise<string> }[] = []
    for (let id = 1; id <= MAX_LINKS_PER_DEVICE + 1; id++) {
      const raw = new RawPeer(lab, identity, await lab.dht(), `raw${id}`)
      const secured = raw.secure(await lab.drive(raw.connect(a.identity, id)))
      raws.push({ raw, ...secured })
      await lab.clock.advance(500)
      if (id === 1) secured.socket.write(encodeChannelRequest('msg:x', 0x8000, STATE.request)) // in use: it stays
      await lab.clock.advance(500)
    }
    await lab.clock.advance(3000)
    expect(a.manager.links().map(({ id, channels }) => [id, channels])).toEqual([['1', 1], ['3', 0], ['4', 0], ['5', 0]])
    for (const { raw, socket, over } of raws) {
      socket.destroy()
      await lab.drive(over)
      await lab.drive(raw.end())
    }
    await lab.clock.advance(5000)
  })

  it('odd candidates cost themselves: with one good one among them the link comes about', async () => {
    const a = await lab.side(0)
    const peer = new RawPeer(lab, testIdentity(1).device, await lab.dht())
    const description = await peer.session.gather()
    const good = printIceDescription(description).split('\n')
    const odd = [
      'garbage', '', ' ', '\u0000', 'H1 1 TCP', 'H1 1 UDP 1 10.0.0.9 1 typ host', 'H1 2 TCP 1 10.0.0.9 1 typ host tcptype passive', 'H1 1 TCP -1 10.0.0.9 1 typ host tcptype passive',
      'H1 1 TCP 99999999999 10.0.0.9 1 typ host tcptype passive', 'H1 1 TCP 1 name.local 1 typ host tcptype passive', 'H1 1 TCP 1 10.0.0.9 0 typ host tcptype passive', 'H1 1 TCP 1 10.0.0.9 70000 typ host tcptype passive',
      'H1 1 TCP 1 ::ffff:127.0.0.1 1 typ host tcptype passive', 'H1 1 TCP 1 255.255.255.255 1 typ host tcptype passive', 'H1 1 TCP 1 fe80::1%eth0 1 typ host tcptype passive', `${'x'.repeat(5000)} 1 TCP 1 10.0.0.9 1 typ host tcptype passive`,
      'H1 1 TCP 4294967295 10.0.0.77 1 typ relay tcptype passive', 'H1 1 TCP 4294967295 2001:db8::77 1 typ host tcptype passive',
    ]
    await lab.drive(peer.request(a.identity, { id: 9, iceMessage: [good[0], good[1], ...odd, ...good.slice(2)].join('\n') }))
    await lab.clock.runUntil(() => peer.answers().length > 0)
    const { connection } = await lab.drive(peer.session.connect(parseIceDescription(peer.answers()[0]?.request.iceMessage ?? '')))
    const { over, socket } = peer.secure(connection)
    await lab.clock.advance(1000)
    expect(a.manager.links().length).toBe(1)
    socket.destroy()
    await lab.drive(over)
    await lab.drive(peer.end())
    await lab.clock.advance(5000)
  })

  it('a peer that leaves without a word is noticed by keep-alives', async () => {
    const { a, open } = await two()
    await open()
    lab.network.partition(['host0'], ['host1'])
    await lab.clock.advance(120_000)
    expect(a.manager.links()).toEqual([])
    lab.network.heal()
  })

  it.each([
    ['that stay silent', 'silent'], ['that close at once', 'closed'], ['that send garbage', 'garbage'], ['that send checks with a wrong password', 'checks'],
  ] as const)('connections from anywhere %s do not keep the peer out of a negotiation', async (_, how) => {
    const a = await lab.side(0)
    const peer = new RawPeer(lab, testIdentity(1).device, await lab.dht())
    const description = await peer.session.gather()
    // it can only come to us: a connection of ours to it would hide what is tested
    const unreachable = description.candidates.map((c) => (c.tcpType === 'passive' ? { ...c, host: c.family === 4 ? '10.0.0.250' : 'fd00::fa' } : c))
    await lab.drive(peer.request(a.identity, { id: 9, iceMessage: printIceDescription({ ...description, candidates: unreachable }) }))
    await lab.clock.runUntil(() => peer.answers().length > 0)
    const answer = parseIceDescription(peer.answers()[0]?.request.iceMessage ?? '')
    const port = answer.candidates.find((c) => c.tcpType === 'passive')?.port ?? 0
    const intruder = lab.network.host('intruder')
    const check = encodeFrames(encodeStun({ type: BINDING_REQUEST, transaction: new Uint8Array(12), username: `${answer.ufrag}:x`, controlled: new Uint8Array(8) }, 'not-the-password-at-all'))
    for (let i = 0; i < 3 * (MAX_UNVERIFIED + MAX_INCOMING); i++) {
      const socket = await lab.drive(intruder.connectStream({ host: lab.network.host('host0').ipv4 ?? '', port }))
      if (how === 'closed') await lab.drive(socket.close())
      else if (how !== 'silent') await lab.drive(outcome(socket.write(how === 'garbage' ? new Uint8Array(4096).fill(i) : check)))
    }
    expect(lab.network.openSockets().filter((line) => line.startsWith('host0: tcp 1') || line.startsWith('host0: tcp [')).length).toBeLessThanOrEqual(MAX_UNVERIFIED + 2)
    const before = lab.clock.now()
    const { connection } = await lab.drive(peer.session.connect(answer))
    expect(lab.clock.now() - before).toBeLessThan(1000)
    connection.destroy()
    await lab.drive(peer.end())
    await lab.clock.advance(60_000)
  })

  it('garbage connections during a negotiation cost nothing but themselves', async () => {
    const { a, b, drive } = await two()
    const silent = new RawPeer(lab, testIdentity(2).device, await lab.dht())
    const opening = outcome(a.manager.openChannel(testIdentity(2).device.deviceId, 'msg:x'))
    await lab.clock.runUntil(() => silent.got.length > 0)
    const port = Number(/ (\d+) typ host tcptype passive/.exec(silent.got[0]?.request.iceMessage ?? '')?.[1])
    const intruder = lab.network.host('intruder')
    for (let i = 0; i < 40; i++) {
      const socket = await drive(intruder.connectStream({ host: lab.network.host('host0').ipv4 ?? '', port }))
      await drive(outcome(socket.write(new Uint8Array(4096).fill(i))))
    }
    await drive(a.manager.openChannel(b.self.deviceId, 'msg:fine'))
    expect(await drive(opening)).toBe('ERR_PEER_REFUSED')
    await lab.clock.advance(10_000)
    expect(a.manager.links().length).toBe(1)
    await drive(silent.end())
    await lab.clock.advance(10_000)
  })
})
