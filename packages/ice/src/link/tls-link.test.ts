// What a peer may show in TLS, what we show, and what it costs to misbehave after ICE. The peer is made of our own parts and does
// as it likes; the manager under test answers (TLS client). Virtual time.
import { readdirSync, readFileSync } from 'node:fs'
import { connect as tlsConnect } from 'node:tls'
import { JamiError } from '@jamikit/core/base'
import { issueDeviceCertificate, parseChain, verifyPeerChain } from '@jamikit/core/identity'
import { testIdentity } from '@jamikit/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { endWorld, met, other, own, peer, settle, world } from '../../test/met.ts'
import { encodeChannelRequest, encodeVersion, STATE } from '../wire/mux-frame.ts'
import type { FramedConnection } from './framed-connection.ts'

afterEach(async () => expect(await endWorld()).toEqual([]))

const pem = (chain: readonly { pem: string }[]) => chain.map((c) => c.pem).join('')

/** The first TLS record that comes on a bare connection. */
async function clientHello(connection: FramedConnection): Promise<Buffer> {
  return world.lab.drive(new Promise<Buffer>((resolve) => connection.once('data', resolve)))
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
    await world.lab.drive(new Promise((resolve) => socket.once('secure', resolve)))
    const leaf = socket.getPeerX509Certificate()
    const chain = parseChain([leaf, leaf?.issuerCertificate, leaf?.issuerCertificate?.issuerCertificate].map((c) => c?.toString() ?? '').join(''))
    const shown = verifyPeerChain(chain, { nowMs: world.lab.clock.wallTimeMs() })
    expect([chain.length, shown.deviceId, shown.accountId]).toEqual([3, own.deviceId, own.accountId])
    expect([socket.getProtocol(), socket.getCipher().name]).toEqual(['TLSv1.3', 'TLS_AES_256_GCM_SHA384'])
    await settle()
    expect(manager.links().length).toBe(1)
    socket.destroy()
    await world.lab.drive(over)
  })

  it('ICE-31 closing a link says close_notify, and waits at most 2 s for the other one', async () => {
    const { raw, connection, manager } = await met()
    const { over } = raw.secure(connection)
    await settle()
    expect(manager.links().length).toBe(1)
    const before = world.lab.clock.now()
    await world.lab.drive(manager.closePeer(peer.deviceId))
    expect(world.lab.clock.now() - before).toBeLessThanOrEqual(2500)
    expect(await world.lab.drive(over)).toBe('closed')
  })

  it('ICE-33 a peer may take its time for the handshake, up to 40 s', async () => {
    const { raw, connection, manager } = await met()
    await world.lab.clock.advance(38_000)
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
    expect(['cut', 'broken', 'closed']).toContain(await world.lab.drive(over))
    expect([t.manager.links(), t.accepted, t.ups()]).toEqual([[], [], 0])
  })

  it('ICE-28 the right device key, certified by another account, gets no link', async () => {
    const t = await met()
    const { accountKey, device } = testIdentity(2)
    const [, account] = device.chain
    if (!account) throw new Error('unreachable')
    const env = { crypto: world.lab.crypto, clock: world.lab.clock, random: world.lab.random }
    const stolen = await issueDeviceCertificate(env, { accountKey, account, devicePublicKey: peer.privateKey.publicKey })
    const { over } = t.raw.secure(t.connection, { cert: stolen.pem + pem(device.chain.slice(1)) })
    await settle()
    expect([t.manager.links(), t.ups()]).toEqual([[], 0])
    await world.lab.drive(over)
  })

  it.each(['ERR_DEVICE_REVOKED', 'ERR_CERTIFICATE'] as const)('ICE-S1 a chain that the certificate store refuses (%s) gets no link, and no byte of it reaches a handler', async (code) => {
    const t = await met({ certificates: { pin: async () => Promise.reject(new JamiError(code, 'no')) } })
    const { over, socket } = t.raw.secure(t.connection)
    socket.on('secure', () => socket.write(Buffer.concat([encodeVersion(1), encodeChannelRequest('msg:x', 0x8000, STATE.request)])))
    await world.lab.drive(over)
    expect([t.manager.links(), t.accepted, t.ups()]).toEqual([[], [], 0])
  })

  it('ICE-28 of another device leaves no certificate behind', async () => {
    const pinned: string[] = []
    const t = await met({ certificates: { pin: async (chain) => (pinned.push(chain[0].longId), verifyPeerChain(chain, { nowMs: world.lab.clock.wallTimeMs() })) } })
    const { over } = t.raw.secure(t.connection, { cert: pem(other.chain), key: other.privateKey.pem })
    await world.lab.drive(over)
    expect([pinned, t.manager.links()]).toEqual([[], []])
  })

  it('ICE-48 the right chain, but is not allowed any more when TLS is done, gets no link', async () => {
    let allowed = true
    const t = await met({ policy: { allowsLink: () => allowed } })
    allowed = false
    const { over } = t.raw.secure(t.connection)
    await world.lab.drive(over)
    expect([t.manager.links(), t.accepted, t.ups()]).toEqual([[], [], 0])
  })

  it('ICE-48 the right chain, but was closed from our side meanwhile, gets no link', async () => {
    const t = await met()
    await world.lab.drive(t.manager.closePeer(peer.accountId))
    const { over } = t.raw.secure(t.connection)
    await world.lab.drive(over)
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
      await world.lab.clock.advance(3000)
      expect([jobs, looked, t.manager.links()]).toEqual([jobs, 2, []])
      socket.destroy()
      await world.lab.drive(over)
      await endWorld()
    }
  })

  it('ICE-S1 nothing is delivered while the chain is being looked at', async () => {
    let decide = () => {}
    const looking = new Promise<void>((resolve) => {
      decide = resolve
    })
    const t = await met({ certificates: { pin: async (chain) => (await looking, verifyPeerChain(chain, { nowMs: world.lab.clock.wallTimeMs() })) } })
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
    await world.lab.drive(over)
    expect(t.manager.links()).toEqual([])
  })
})

describe('a peer that, after ICE,', () => {
  it('ICE-S12 never starts TLS is dropped after 40 s, and everything it cost is gone', async () => {
    const t = await met()
    t.connection.resume()
    await world.lab.clock.advance(41_000)
    expect([t.connection.destroyed, t.manager.links()]).toEqual([true, []])
    await t.raw.end()
    await world.lab.clock.advance(2000)
    expect(world.lab.network.openSockets()).toEqual([])
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
    await world.lab.clock.advance(41_000)
    drip()
    expect([t.connection.destroyed, t.manager.links()]).toEqual([true, []])
  })

  it('is TLS client although it asked is dropped', async () => {
    const t = await met()
    const wrong = tlsConnect({ socket: t.connection, rejectUnauthorized: false, cert: pem(peer.chain), key: peer.privateKey.pem })
    wrong.on('error', () => {})
    await world.lab.clock.advance(41_000)
    expect(t.manager.links()).toEqual([])
    wrong.destroy()
  })
})

/** Runs a function every second of virtual time until the result is called. */
function setIntervalOn(fn: () => void): () => void {
  let timer = world.lab.clock.after(1000, again)
  function again() {
    fn()
    timer = world.lab.clock.after(1000, again)
  }
  return () => timer.cancel()
}
