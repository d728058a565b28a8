// Hostile link: strangers, a contact that turned hostile, and somebody who finds our ports, all at once and without end, against one
// manager; an honest contact is served within a second throughout. Virtual time.
import type { TLSSocket } from 'node:tls'
import { concatBytes, encodeMsgpack, utf8 } from '@jamikit/core/codec'
import { delay } from '@jamikit/core/base'
import type { Channel, DeviceId, Op, PeerIdentity } from '@jamikit/core/contracts'
import { peerKey } from '@jamikit/core/identity'
import { testIdentity } from '@jamikit/core/testing'
import { afterEach, expect, it } from 'vitest'
import { Lab } from '../../test/harness.ts'
import { RawPeer } from '../../test/raw-peer.ts'
import { LINK_RECEIVE_BYTES, MAX_LINKS_PER_DEVICE, NEGOTIATIONS } from '../defaults.ts'
import { parseIceDescription } from '../wire/ice-text.ts'
import { encodeBeacon, encodeChannelRequest, encodeMessage, STATE } from '../wire/mux-frame.ts'
import { encodePeerRequest } from '../wire/peer-request.ts'
import { encodeFrames } from '../wire/rfc4571.ts'
import { BINDING_REQUEST, encodeStun } from '../wire/stun.ts'

const [own, honest, hostile] = [testIdentity(0).device, testIdentity(1).device, testIdentity(2).device]
const SERVED_MS = 1000
let lab = new Lab()
afterEach(async () => {
  expect(await lab.end()).toEqual([])
  lab = new Lab()
})

const request = (id: number) => encodePeerRequest({ id, iceMessage: 'none\nnone-none-none-none\nF 1 TCP 1 10.0.0.250 9 typ host tcptype passive\n', isAnswer: false, connType: '' })

/** A link of the hostile contact, on which it does as it likes. */
async function enter(id: number) {
  const raw = new RawPeer(lab, hostile, await lab.dht(), `hostile${id}`)
  const connection = await lab.drive(raw.connect(own, id))
  const { socket, over } = raw.secure(connection)
  await lab.clock.advance(200)
  return { raw, connection, socket, over }
}

/** One way to annoy on a live link, for a while. */
const ATTACKS: Record<string, (socket: TLSSocket, link: Awaited<ReturnType<typeof enter>>, round: number) => void> = {
  'pings whose answers it does not read': (socket) => {
    socket.pause()
    socket.write(Buffer.concat(Array.from({ length: 3000 }, () => Buffer.from(encodeBeacon(true)))))
  },
  'checks without end': (_, { raw, connection }) => {
    const { ufrag, password } = parseIceDescription(raw.answers()[0]?.request.iceMessage ?? '')
    const check = encodeFrames(encodeStun({ type: BINDING_REQUEST, transaction: new Uint8Array(12), username: `${ufrag}:x`, controlled: new Uint8Array(8) }, password))
    connection.socket.write(concatBytes(...Array.from({ length: 2000 }, () => check))).catch(() => {})
  },
  'channel requests by the hundred': (socket, _, round) => {
    for (let i = 0; i < 250; i++) socket.write(encodeChannelRequest(`msg:${i}`, 0x8000 + ((round * 250 + i) % 16_000), STATE.request))
  },
  'a channel that our program does not read': (socket, _, round) => {
    if (round === 0) socket.write(encodeChannelRequest('deaf:1', 0x8000, STATE.request))
    if (!socket.writableNeedDrain) for (let i = 0; i < 20; i++) socket.write(Buffer.from(encodeMessage(0x8000, new Uint8Array(65_535))))
  },
  'messages of one byte on channels that nobody reads': (socket, _, round) => {
    if (round === 0) for (let i = 0; i < 8; i++) socket.write(encodeChannelRequest(`deaf:${i}`, 0x8000 + i, STATE.request))
    if (!socket.writableNeedDrain) socket.write(Buffer.concat(Array.from({ length: 20_000 }, (_x, i) => Buffer.from(encodeMessage(0x8000 + (i % 8), Uint8Array.of(1))))))
  },
  'an object of another form, byte by byte': (socket, _, round) => {
    const bytes = encodeMsgpack({ a: 'x'.repeat(60_000) })
    for (const byte of bytes.subarray(round * 500, round * 500 + 500)) socket.write(Uint8Array.of(byte))
  },
}

it('ICE-41 ICE-S2 ICE-S12 hostile link: whatever a hostile contact and strangers do, an honest contact is served within a second', async () => {
  const known = lab.certificates()
  const contacts = new Set([honest, hostile].map((identity) => identity.accountId))
  const policy = { allowsLink: (p: PeerIdentity) => contacts.has(p.accountId), classOf: (p: PeerIdentity) => (contacts.has(p.accountId) ? ('contact' as const) : ('stranger' as const)) }
  const find = async (device: DeviceId, op?: Op) => (await known.get(device)) ?? delay(lab.clock, 60_000, op?.signal).then(() => undefined)
  const get = async (device: DeviceId) => ([honest, hostile].some((identity) => identity.deviceId === device) ? known.get(device) : undefined)
  const us = await lab.side(0, { policy, certificates: { get, find } })
  const deaf: Channel[] = []
  us.manager.handle('deaf', { accept: () => true, open: (channel) => deaf.push(channel) })
  us.manager.handle('msg', { accept: () => true, open: (channel) => void channel.closed, limit: () => ({ of: 'messages', max: 4 }) })
  us.manager.handle('echo', { accept: () => true, open: (channel) => void (async () => {
    for await (const bytes of channel) await channel.write(bytes)
  })().catch(() => {}) })
  const friend = await lab.side(1)

  /** The honest contact: a link where there is none, a channel, a message there and back. */
  async function serve(name: string, afresh: boolean) {
    if (afresh) await lab.drive(friend.manager.closePeer(own.deviceId))
    const before = lab.clock.now()
    const channel = await lab.drive(friend.manager.openChannel(own.deviceId, `echo:${name}`))
    await lab.drive(channel.write(utf8(name)))
    const { value } = await lab.drive(channel[Symbol.asyncIterator]().next())
    expect(value).toEqual(utf8(name))
    expect(lab.clock.now() - before, name).toBeLessThan(SERVED_MS)
    await lab.drive(channel.close())
  }
  await serve('in peace', false)

  // strangers: requests signed by keys that nobody has published; the hostile contact: many requests, none of which leads to a link
  const strangers: RawPeer[] = []
  let ids = 1000
  const flood = async () => {
    for (const stranger of strangers) for (let i = 0; i < 15; i++) await lab.drive(stranger.put(peerKey(own.deviceId), own, request(ids++)))
  }
  for (let who = 3; who < 10; who++) strangers.push(new RawPeer(lab, testIdentity(who).device, await lab.dht(), `stranger${who}`))
  const greedy = new RawPeer(lab, hostile, await lab.dht(), 'greedy')
  await flood()
  await serve('strangers at the door', true)
  for (let i = 0; i < 2 * NEGOTIATIONS.contact.perAccount; i++) await lab.drive(greedy.put(peerKey(own.deviceId), own, request(ids++)))
  await serve('a greedy contact', true)
  expect(greedy.answers().length).toBeLessThanOrEqual(NEGOTIATIONS.contact.perAccount)
  await lab.clock.advance(70_000)

  // somebody who finds every port we listen on, while the honest contact comes
  const intruder = lab.network.host('intruder')
  let knocking = true
  const knocks = (async () => {
    while (knocking) {
      const ports = lab.network.openSockets().flatMap((line) => /^host0: tcp listener 0\.0\.0\.0:(\d+)/.exec(line)?.[1] ?? [])
      for (const port of ports) for (let i = 0; i < 10; i++) void intruder.connectStream({ host: '10.0.0.1', port: Number(port) }).then((s) => s.write(new Uint8Array(100)), () => {}).catch(() => {})
      await delay(lab.clock, 5)
    }
  })()
  for (let i = 0; i < 3; i++) await serve(`knocks ${i}`, true)
  knocking = false
  await lab.drive(knocks)

  // and on links of its own, everything there is
  let id = 1
  for (const [name, attack] of Object.entries(ATTACKS)) {
    const link = await enter(id++)
    for (let round = 0; round < 12; round++) {
      if (!link.socket.destroyed) attack(link.socket, link, round)
      await lab.clock.advance(300)
      await serve(`${name} ${round}`, round % 6 === 0)
    }
    const mine = us.manager.links().filter(({ peer }) => peer.accountId === hostile.accountId)
    expect(mine.length).toBeLessThanOrEqual(MAX_LINKS_PER_DEVICE)
    for (const { bytesIn } of mine) expect(bytesIn, name).toBeLessThan(2 * LINK_RECEIVE_BYTES)
    link.socket.destroy()
    link.connection.destroy()
    await lab.drive(link.over)
    await lab.drive(link.raw.end())
    for (const channel of deaf.splice(0)) channel.abort()
    await lab.clock.advance(30_000)
  }
  await serve('in peace again', true)
  for (const raw of [greedy, ...strangers]) await lab.drive(raw.end())
  await lab.clock.advance(70_000)
}, 60_000)
