// What a peer may show in TLS, what we show, and what it costs to misbehave after ICE. The peer is made of our own parts and does
// as it likes; the manager under test answers (TLS client). Virtual time.
import { readdirSync, readFileSync } from 'node:fs'
import { connect as tlsConnect } from 'node:tls'
import { utf8 } from '@jamikit/core/codec'
import { JamiError } from '@jamikit/core/base'
import type { Channel } from '@jamikit/core/contracts'
import { deviceIdOf, issueDeviceCertificate, parseChain, verifyPeerChain } from '@jamikit/core/identity'
import { testIdentity } from '@jamikit/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { Lab, type SideOptions } from '../../test/harness.ts'
import { RawPeer } from '../../test/raw-peer.ts'
import { LINK_RECEIVE_BYTES, LINK_SEND_BYTES, MESSAGE_OVERHEAD_BYTES, RECEIVE_HIGH_BYTES, SEND_STALL_MS, STALL_MS, STUN_PER_SECOND } from '../defaults.ts'
import { encodeBeacon, encodeChannelRequest, encodeMessage, encodeVersion, MuxDecoder, type MuxMessage, STATE } from '../wire/mux-frame.ts'
import { parseIceDescription } from '../wire/ice-text.ts'
import { encodeFrames } from '../wire/rfc4571.ts'
import { BINDING_INDICATION, BINDING_REQUEST, decodeStun, encodeStun } from '../wire/stun.ts'
import type { FramedConnection } from './framed-connection.ts'

const [own, peer, other] = [testIdentity(0).device, testIdentity(1).device, testIdentity(2).device]
let lab = new Lab()
let raws: RawPeer[] = []

afterEach(async () => {
  await lab.drive(Promise.all(raws.map((raw) => raw.end())))
  expect(await lab.end()).toEqual([])
  raws = []
  lab = new Lab()
})

/** A manager that answers, and the peer connected to it up to ICE. `accepted` counts what reached its application. */
async function met(options: SideOptions = {}) {
  const side = await lab.side(0, options)
  const accepted: string[] = []
  const channels: Channel[] = []
  let ups = 0
  side.manager.onLink(({ up }) => up && ups++)
  side.manager.handle('msg', { accept: (name) => (accepted.push(name), true), open: (channel) => channels.push(channel) })
  const raw = new RawPeer(lab, peer, await lab.dht())
  raws.push(raw)
  const connection = await lab.drive(raw.connect(own))
  return { ...side, raw, connection, accepted, channels, ups: () => ups }
}

const pem = (chain: readonly { pem: string }[]) => chain.map((c) => c.pem).join('')
const settle = () => lab.clock.advance(500)

/** The first TLS record that comes on a bare connection. */
async function clientHello(connection: FramedConnection): Promise<Buffer> {
  return lab.drive(new Promise<Buffer>((resolve) => connection.once('data', resolve)))
}

function parseHello(record: Buffer) {
  let at = 5 + 4 + 2 + 32
  at += 1 + (record[at] ?? 0)
  const ciphers = record.subarray(at + 2, at + 2 + record.readUInt16BE(at))
  at += 2 + ciphers.length
  at += 1 + (record[at] ?? 0) + 2
  const extensions = new Map<number, Buffer>()
  while (at + 4 <= record.length) {
    extensions.set(record.readUInt16BE(at), record.subarray(at + 4, at + 4 + record.readUInt16BE(at + 2)))
    at += 4 + record.readUInt16BE(at + 2)
  }
  const suites = Array.from({ length: ciphers.length / 2 }, (_, i) => ciphers.readUInt16BE(2 * i))
  return { type: record[0], suites, extensions }
}

describe('our TLS', () => {
  it('ICE-26 ICE-29 as answerer we send the ClientHello, with the renegotiation signal, without name or ALPN', async () => {
    const { connection } = await met()
    const hello = parseHello(await clientHello(connection))
    expect(hello.type).toBe(22)
    expect(hello.suites.includes(0x00ff) || hello.extensions.has(0xff01)).toBe(true)
    expect([hello.extensions.has(0), hello.extensions.has(16)]).toEqual([false, false])
    connection.destroy()
    await settle()
  })

  it('ICE-30 it offers the suites and curves of the network, the first key share for P-384, and nothing anonymous', async () => {
    const { connection } = await met()
    const hello = parseHello(await clientHello(connection))
    expect(hello.suites).toEqual(expect.arrayContaining([0x1302, 0x1303]))
    expect(hello.suites.filter((s) => [0x00a7, 0x00a6, 0x006d, 0x0034, 0x0018, 0x001b].includes(s))).toEqual([])
    expect(hello.extensions.get(0x33)?.readUInt16BE(2)).toBe(0x18)
    const groups = hello.extensions.get(10) ?? Buffer.alloc(0)
    expect([groups.readUInt16BE(2), groups.readUInt16BE(4)]).toEqual([0x18, 0x1d])
    connection.destroy()
    await settle()
  })

  it('ICE-27 we show device, account and CA', async () => {
    const { raw, connection, manager } = await met()
    const { socket, over } = raw.secure(connection)
    await lab.drive(new Promise((resolve) => socket.once('secure', resolve)))
    const leaf = socket.getPeerX509Certificate()
    const chain = parseChain([leaf, leaf?.issuerCertificate, leaf?.issuerCertificate?.issuerCertificate].map((c) => c?.toString() ?? '').join(''))
    const shown = verifyPeerChain(chain, { nowMs: lab.clock.wallTimeMs() })
    expect([chain.length, shown.deviceId, shown.accountId]).toEqual([3, own.deviceId, own.accountId])
    expect([socket.getProtocol(), socket.getCipher().name]).toEqual(['TLSv1.3', 'TLS_AES_256_GCM_SHA384'])
    await settle()
    expect(manager.links().length).toBe(1)
    socket.destroy()
    await lab.drive(over)
  })

  it('ICE-31 closing a link says close_notify, and waits at most 2 s for the other one', async () => {
    const { raw, connection, manager } = await met()
    const { over } = raw.secure(connection)
    await settle()
    expect(manager.links().length).toBe(1)
    const before = lab.clock.now()
    await lab.drive(manager.closePeer(peer.deviceId))
    expect(lab.clock.now() - before).toBeLessThanOrEqual(2500)
    expect(await lab.drive(over)).toBe('closed')
  })

  it('ICE-33 a peer may take its time for the handshake, up to 40 s', async () => {
    const { raw, connection, manager } = await met()
    await lab.clock.advance(38_000)
    const { socket } = raw.secure(connection)
    await settle()
    expect(manager.links().length).toBe(1)
    socket.destroy()
    await settle()
  })
})

it('ICE-S9 no source of this package asks TLS for its keys', () => {
  const root = new URL('..', import.meta.url)
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  expect(files.length).toBeGreaterThan(10)
  for (const name of files) expect([name, /keylog/i.test(readFileSync(new URL(name, root), 'utf8'))]).toEqual([name, false])
})

describe('a peer that shows', () => {
  it.each([
    ['no account certificate', { cert: peer.chain[0].pem }],
    ['the chain of another device', { cert: pem(other.chain), key: other.privateKey.pem }],
    ['another device of its own account', { cert: pem(testIdentity(1, 1).device.chain), key: testIdentity(1, 1).device.privateKey.pem }],
    ['the certificates of another account behind its own', { cert: peer.chain[0].pem + pem(other.chain.slice(1)) }],
    ['its account certificate as device', { cert: pem(peer.chain.slice(1)), key: testIdentity(1).accountKey.pem }],
  ])('ICE-28 %s gets no link', async (_, options) => {
    const t = await met()
    const { over, socket } = t.raw.secure(t.connection, options)
    socket.on('secure', () => socket.write(Buffer.concat([encodeVersion(1), encodeChannelRequest('msg:x', 0x8000, STATE.request)])))
    expect(['cut', 'broken', 'closed']).toContain(await lab.drive(over))
    expect([t.manager.links(), t.accepted, t.ups()]).toEqual([[], [], 0])
  })

  it('ICE-28 the right device key, certified by another account, gets no link', async () => {
    const t = await met()
    const { accountKey, device } = testIdentity(2)
    const [, account] = device.chain
    if (!account) throw new Error('unreachable')
    const env = { crypto: lab.crypto, clock: lab.clock, random: lab.random }
    const stolen = await issueDeviceCertificate(env, { accountKey, account, devicePublicKey: peer.privateKey.publicKey })
    const { over } = t.raw.secure(t.connection, { cert: stolen.pem + pem(device.chain.slice(1)) })
    await settle()
    expect([t.manager.links(), t.ups()]).toEqual([[], 0])
    await lab.drive(over)
  })

  it.each(['ERR_DEVICE_REVOKED', 'ERR_CERTIFICATE'] as const)('ICE-S1 a chain that the certificate store refuses (%s) gets no link, and no byte of it reaches a handler', async (code) => {
    const t = await met({ certificates: { pin: async () => Promise.reject(new JamiError(code, 'no')) } })
    const { over, socket } = t.raw.secure(t.connection)
    socket.on('secure', () => socket.write(Buffer.concat([encodeVersion(1), encodeChannelRequest('msg:x', 0x8000, STATE.request)])))
    await lab.drive(over)
    expect([t.manager.links(), t.accepted, t.ups()]).toEqual([[], [], 0])
  })

  it('ICE-28 of another device leaves no certificate behind', async () => {
    const pinned: string[] = []
    const t = await met({ certificates: { pin: async (chain) => (pinned.push(chain[0].longId), verifyPeerChain(chain, { nowMs: lab.clock.wallTimeMs() })) } })
    const { over } = t.raw.secure(t.connection, { cert: pem(other.chain), key: other.privateKey.pem })
    await lab.drive(over)
    expect([pinned, t.manager.links()]).toEqual([[], []])
  })

  it('ICE-48 the right chain, but is not allowed any more when TLS is done, gets no link', async () => {
    let allowed = true
    const t = await met({ policy: { allowsLink: () => allowed } })
    allowed = false
    const { over } = t.raw.secure(t.connection)
    await lab.drive(over)
    expect([t.manager.links(), t.accepted, t.ups()]).toEqual([[], [], 0])
  })

  it('ICE-48 the right chain, but was closed from our side meanwhile, gets no link', async () => {
    const t = await met()
    await lab.drive(t.manager.closePeer(peer.accountId))
    const { over } = t.raw.secure(t.connection)
    await lab.drive(over)
    expect([t.manager.links(), t.accepted, t.ups()]).toEqual([[], [], 0])
  })

  it('ICE-48 however exactly we close it in the moment in which its link is made, no link is left', async () => {
    for (let jobs = 0; jobs < 16; jobs++) {
      let looked = 0
      const close = { now: () => {} }
      const allowsLink = () => {
        if (++looked === 2) {
          let wait = Promise.resolve()
          for (let i = 0; i < jobs; i++) wait = wait.then(() => {})
          void wait.then(() => close.now())
        }
        return true
      }
      const t = await met({ policy: { allowsLink, classOf: () => 'contact' } })
      close.now = () => void t.manager.closePeer(peer.deviceId)
      const { over, socket } = t.raw.secure(t.connection)
      await lab.clock.advance(3000)
      expect([jobs, looked, t.manager.links()]).toEqual([jobs, 2, []])
      socket.destroy()
      await lab.drive(over)
      await lab.drive(t.manager.stop())
      await lab.drive(t.raw.end())
      await lab.end()
      lab = new Lab()
    }
  })

  it('ICE-S1 nothing is delivered while the chain is being looked at', async () => {
    let decide = () => {}
    const looking = new Promise<void>((resolve) => {
      decide = resolve
    })
    const t = await met({ certificates: { pin: async (chain) => (await looking, verifyPeerChain(chain, { nowMs: lab.clock.wallTimeMs() })) } })
    const { socket } = t.raw.secure(t.connection)
    socket.on('secure', () => socket.write(Buffer.concat([encodeVersion(1), encodeChannelRequest('msg:x', 0x8000, STATE.request)])))
    await settle()
    expect([t.accepted, t.manager.links()]).toEqual([[], []])
    decide()
    await settle()
    expect([t.accepted, t.manager.links().length]).toEqual([['msg:x'], 1])
    socket.destroy()
    await settle()
  })

  it('ICE-30 TLS 1.2 gets no link', async () => {
    const t = await met()
    const { over } = t.raw.secure(t.connection, { maxVersion: 'TLSv1.2' })
    await lab.drive(over)
    expect(t.manager.links()).toEqual([])
  })
})

describe('a peer that, after ICE,', () => {
  it('ICE-S12 never starts TLS is dropped after 40 s, and everything it cost is gone', async () => {
    const t = await met()
    t.connection.resume()
    await lab.clock.advance(41_000)
    expect([t.connection.destroyed, t.manager.links()]).toEqual([true, []])
    await t.raw.end()
    await lab.clock.advance(2000)
    expect(lab.network.openSockets()).toEqual([])
  })

  it('sends garbage instead of TLS is dropped at once', async () => {
    const t = await met()
    t.connection.write(Buffer.alloc(5000, 0x41))
    t.connection.resume()
    await settle()
    expect([t.connection.destroyed, t.manager.links()]).toEqual([true, []])
  })

  it('drips a handshake byte by byte is dropped after 40 s', async () => {
    const t = await met()
    const drip = setIntervalOn(() => !t.connection.destroyed && t.connection.write(Buffer.from([0x16])))
    t.connection.resume()
    await lab.clock.advance(41_000)
    drip()
    expect([t.connection.destroyed, t.manager.links()]).toEqual([true, []])
  })

  it('is TLS client although it asked is dropped', async () => {
    const t = await met()
    const wrong = tlsConnect({ socket: t.connection, rejectUnauthorized: false, cert: pem(peer.chain), key: peer.privateKey.pem })
    wrong.on('error', () => {})
    await lab.clock.advance(41_000)
    expect(t.manager.links()).toEqual([])
    wrong.destroy()
  })
})

/** Runs a function every second of virtual time until the result is called. */
function setIntervalOn(fn: () => void): () => void {
  let timer = lab.clock.after(1000, again)
  function again() {
    fn()
    timer = lab.clock.after(1000, again)
  }
  return () => timer.cancel()
}

describe('a link', () => {
  async function linked(options: SideOptions = {}) {
    const t = await met(options)
    const { socket, over } = t.raw.secure(t.connection)
    const got: MuxMessage[] = []
    const decoder = new MuxDecoder()
    socket.on('data', (bytes: Buffer) => {
      for (const item of decoder.push(new Uint8Array(bytes))) if (item !== 'strange') got.push(item)
    })
    await settle()
    expect(t.manager.links().length).toBe(1)
    const open = async (name: string, id: number) => {
      socket.write(encodeChannelRequest(name, id, STATE.request))
      await settle()
    }
    return { ...t, socket, over, got, open }
  }
  const sent = (got: MuxMessage[], bytes: Uint8Array) => got.some((m) => Buffer.from(encodeMessage(m.channel, m.data)).equals(bytes))

  it('ICE-37 every channel request is answered within 3 s: at once, or with a decline when the handler does not decide', async () => {
    const t = await linked()
    t.manager.handle('slow', { accept: () => new Promise<boolean>(() => {}), open: () => {} })
    t.socket.write(encodeChannelRequest('slow:x', 0x8001, STATE.request))
    t.socket.write(encodeChannelRequest('nobody:x', 0x8002, STATE.request))
    await t.open('msg:x', 0x8003)
    expect([sent(t.got, encodeChannelRequest('nobody:x', 0x8002, STATE.decline)), sent(t.got, encodeChannelRequest('msg:x', 0x8003, STATE.accept))]).toEqual([true, true])
    expect(sent(t.got, encodeChannelRequest('slow:x', 0x8001, STATE.decline))).toBe(false)
    await lab.clock.advance(2400)
    expect(sent(t.got, encodeChannelRequest('slow:x', 0x8001, STATE.decline))).toBe(true)
    t.socket.destroy()
    await lab.drive(t.over)
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
    const raw = new RawPeer(lab, peer, await lab.dht(), 'again')
    raws.push(raw)
    const { socket, over } = raw.secure(await lab.drive(raw.connect(own, 78)))
    await settle()
    socket.write(encodeChannelRequest('slow:2', 0x8000, STATE.request))
    await settle()
    expect(asked).toEqual(['slow:1', 'slow:2'])
    socket.destroy()
    await lab.drive(over)
  })

  it('ICE-26 our own channels as TLS client begin with id 1', async () => {
    const t = await linked()
    const opening = t.manager.openChannel(peer.deviceId, 'msg:y')
    await settle()
    expect(sent(t.got, encodeChannelRequest('msg:y', 1, STATE.request))).toBe(true)
    t.socket.write(encodeChannelRequest('msg:y', 1, STATE.accept))
    expect((await lab.drive(opening)).name).toBe('msg:y')
    t.socket.destroy()
    await lab.drive(t.over)
  })

  it('ICE-22 sends an indication every 20 to 24 s, and takes those of the peer in the middle of TLS', async () => {
    const t = await linked()
    const at: number[] = []
    t.connection.onStun = (frame) => {
      if (decodeStun(frame).type === BINDING_INDICATION) at.push(lab.clock.now())
    }
    for (let i = 0; i < 5; i++) {
      t.connection.sendStun(Uint8Array.from(Buffer.from('001100082112a4425429000036736f6f462d687c8028000465dbd168', 'hex')))
      t.socket.write(encodeBeacon(true))
      await lab.clock.advance(24_000)
    }
    expect(at.length).toBeGreaterThanOrEqual(4)
    const gaps = at.slice(1).map((ms, i) => ms - (at[i] ?? 0))
    expect(gaps.every((ms) => ms >= 20_000 && ms <= 24_100)).toBe(true)
    expect([t.got.filter((m) => m.channel === 0xffff && m.data[3] === 0xc2).length, t.manager.links().length]).toEqual([5, 1])
    t.socket.destroy()
    await lab.drive(t.over)
  })

  it('ICE-49 is probed when local addresses change; without an answer it closes after 3 s', async () => {
    const t = await linked()
    t.socket.write(encodeVersion(1))
    await settle()
    t.manager.connectivityChanged()
    await settle()
    expect(sent(t.got, encodeBeacon(true))).toBe(true)
    expect(t.manager.links().length).toBe(1)
    await lab.clock.advance(3000)
    expect(t.manager.links()).toEqual([])
    await lab.drive(t.over)
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
        await lab.clock.advance(200)
        held = t.socket.writableNeedDrain
      }
    }
    expect(written).toBeLessThan(16 << 20)
    expect(t.manager.links()[0]?.bytesIn ?? 0).toBeLessThan(8 << 20)
    t.socket.destroy()
    await lab.clock.advance(5000)
    t.channels[0]?.abort()
    await lab.clock.advance(5000)
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
    await lab.clock.advance(STALL_MS - 1000)
    expect(read).toBe(false)
    await lab.clock.advance(1000)
    await settle()
    expect(await unread?.closed).toMatchObject({ code: 'ERR_LIMIT', details: { allowed: 1 << 20 } })
    await lab.clock.runUntil(() => read)
    expect(t.manager.links()).toMatchObject([{ channels: 1 }])
    t.socket.destroy()
    await lab.drive(t.over)
  })

  it('a reader that takes a message now and then does not hold the link for ever; one that keeps up with the minimum does', async () => {
    for (const [everyMs, kept] of [[STALL_MS - 1000, false], [1000, true]] as const) {
      const t = await linked()
      await t.open('msg:slow', 0x8000)
      const piece = Buffer.from(encodeMessage(0x8000, new Uint8Array(65_535)))
      for (let i = 0; i < 80; i++) t.socket.write(piece)
      const reader = t.channels[0]?.[Symbol.asyncIterator]()
      for (let ms = 0; ms < 3 * STALL_MS; ms += everyMs) {
        await lab.clock.advance(everyMs)
        await reader?.next().catch(() => {})
      }
      expect(t.manager.links()).toMatchObject([{ channels: kept ? 1 : 0 }])
      t.socket.destroy()
      t.channels[0]?.abort()
      await lab.clock.advance(5000)
      await lab.drive(t.over)
      await lab.drive(t.manager.stop())
      await lab.drive(t.raw.end())
      await lab.end()
      lab = new Lab()
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
      await lab.clock.advance(20)
    }
    expect(t.socket.writableNeedDrain).toBe(true)
    // what the link took, in messages of 8 bytes: not much more than the room of a channel has place for
    expect((t.manager.links()[0]?.bytesIn ?? 0) / 8).toBeLessThan((4 * RECEIVE_HIGH_BYTES) / MESSAGE_OVERHEAD_BYTES + 600_000 / 8)
    expect(written).toBeLessThan(400_000)
    t.socket.destroy()
    for (const channel of t.channels) channel.abort()
    await lab.clock.advance(5000)
    await lab.drive(t.over)
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
    await lab.clock.advance(STALL_MS + 1000)
    const first = await t.channels[0]?.[Symbol.asyncIterator]().next().then((r) => r.value?.length, (error: { code: string }) => error.code)
    expect(first).toBe('ERR_LIMIT')
    t.socket.destroy()
    await lab.clock.advance(5000)
    await lab.drive(t.over)
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
      if (i % 1000 === 0) await lab.clock.advance(10)
    }
    await settle()
    expect([answers > 0, answers <= STUN_PER_SECOND]).toEqual([true, true])
    expect(t.manager.links().length).toBe(1)
    t.socket.resume()
    t.socket.write(encodeBeacon(true))
    await settle()
    expect(t.got.filter((m) => m.channel === 0xffff && m.data[3] === 0xc2).length).toBe(1)
    t.socket.destroy()
    await lab.drive(t.over)
  })

  it('writes to a peer that does not read wait: in each channel, and sooner when many channels wait; the link is given up after a minute', async () => {
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
    await lab.clock.advance(10_000)
    expect(Math.max(...taken)).toBeGreaterThan(0)
    const first = taken.reduce((sum, n) => sum + n, 0)
    expect(first).toBeLessThan(LINK_SEND_BYTES + (6 << 20)) // and what TLS and TCP hold
    expect(t.manager.links().length).toBe(1)
    await lab.clock.advance(SEND_STALL_MS)
    expect(t.manager.links()).toEqual([])
    expect(new Set(await lab.drive(Promise.all(outcomes)))).toEqual(new Set(['ERR_LINK_LOST']))
    t.socket.destroy()
    await lab.drive(t.over)
  })

  it('ICE-S12 questions whose answers are not read cost the link', async () => {
    const t = await linked()
    t.socket.pause()
    const flood = Buffer.concat(Array.from({ length: 2000 }, () => Buffer.from(encodeBeacon(true))))
    for (let i = 0; i < 400 && !t.connection.destroyed; i++) {
      t.socket.write(flood)
      if (i % 20 === 0) await lab.clock.advance(50)
    }
    await lab.clock.advance(5000)
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
    await lab.drive(t.over)
    expect(t.manager.links()).toEqual([])
  })

  it('ICE-47 a channel that was asked for on a link that dies is asked for once more on a new one', async () => {
    const t = await linked()
    const opening = t.manager.openChannel(peer.deviceId, 'msg:again').then(() => 'open', (error: { code: string }) => error.code)
    await settle()
    t.socket.destroy()
    t.connection.destroy()
    const before = t.raw.got.length
    await lab.clock.runUntil(() => t.raw.got.length > before)
    expect(t.raw.got.at(-1)?.request.isAnswer).toBe(false)
    expect(await lab.drive(opening)).toBe('ERR_PEER_REFUSED')
    expect(t.raw.got.filter(({ request }) => !request.isAnswer).length).toBe(1)
  })

  it('the device is who its key says', async () => {
    const t = await linked()
    const [link] = t.manager.links()
    expect([link?.peer.deviceId, link?.peer.accountId]).toEqual([deviceIdOf(peer.privateKey.publicKey), peer.accountId])
    t.socket.destroy()
    await lab.drive(t.over)
  })
})
