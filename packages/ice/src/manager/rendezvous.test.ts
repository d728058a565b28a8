// Requests and answers over the DHT: what is put, what is believed, who hears nothing. Virtual time.
import { delay, JamiError } from '@jamikit/core/base'
import type { DeviceId, Op, PeerIdentity, Storage, StorageOp } from '@jamikit/core/contracts'
import { infoHashOf, peerKey } from '@jamikit/core/identity'
import { testIdentity, testStorage } from '@jamikit/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { Lab } from '../../test/harness.ts'
import { RawPeer } from '../../test/raw-peer.ts'
import { LOOKUP_TIMEOUT_MS, MAX_LOOKUPS, NEGOTIATIONS, REQUESTS_PER_DEVICE_MINUTE } from '../defaults.ts'
import { parseIceDescription } from '../wire/ice-text.ts'
import { encodePeerRequest, USER_TYPE } from '../wire/peer-request.ts'

const [own, peer, other] = [testIdentity(0).device, testIdentity(1).device, testIdentity(2).device]
let lab = new Lab()
let raws: RawPeer[] = []

afterEach(async () => {
  await lab.drive(Promise.all(raws.map((raw) => raw.end())))
  expect(await lab.end()).toEqual([])
  raws = []
  lab = new Lab()
})

async function raw(identity = peer, host = 'raw') {
  const made = new RawPeer(lab, identity, await lab.dht(), host)
  raws.push(made)
  return made
}

const outcome = (work: Promise<unknown>) => work.then(() => 'resolved', (error: { code?: string }) => error.code ?? 'unknown')

describe('asking', () => {
  it('ICE-7 ICE-3 gives up after 30 s without an answer, and every attempt has a fresh id', async () => {
    const { manager } = await lab.side(0)
    const silent = await raw()
    const ids = new Set<number>()
    for (let i = 0; i < 3; i++) {
      const before = lab.clock.now()
      expect(await lab.drive(outcome(manager.openChannel(peer.deviceId, 'msg:x')))).toBe('ERR_PEER_REFUSED')
      expect(Math.round((lab.clock.now() - before) / 1000)).toBe(30)
    }
    for (const { request } of silent.got) {
      expect(request.id).toBeGreaterThanOrEqual(1)
      expect(request.id).toBeLessThanOrEqual(2 ** 53 - 1)
      ids.add(request.id)
    }
    expect([silent.got.length, ids.size]).toEqual([3, 3])
    expect(lab.network.openSockets()).toEqual([])
  })

  it('ICE-12 ICE-13 offers a listening passive candidate and an active placeholder on port 9 for every address', async () => {
    const { manager } = await lab.side(0)
    const silent = await raw()
    const opening = outcome(manager.openChannel(peer.deviceId, 'msg:x', { connType: 'sync' }))
    await lab.clock.runUntil(() => silent.got.length > 0)
    const { request } = silent.got[0] as (typeof silent.got)[0]
    expect([request.isAnswer, request.connType]).toEqual([false, 'sync'])
    const { candidates, ufrag, password } = parseIceDescription(request.iceMessage)
    for (const family of [4, 6] as const) {
      const mine = candidates.filter((c) => c.family === family)
      expect(mine.map((c) => [c.tcpType, c.type, c.component]).sort()).toEqual([['active', 'host', 1], ['passive', 'host', 1]])
      expect(mine.find((c) => c.tcpType === 'active')).toMatchObject({ port: 9, priority: 2_130_706_175 })
      const passive = mine.find((c) => c.tcpType === 'passive')
      expect(passive?.priority).toBe(2_130_706_431)
      expect(lab.network.openSockets().some((line) => line.includes(`${passive?.port}`))).toBe(true)
    }
    expect([ufrag.length, password.length >= 22]).toEqual([8, true])
    await lab.drive(opening)
  })

  it('ICE-S7 credentials of two negotiations have nothing in common', async () => {
    const { manager } = await lab.side(0)
    const silent = await raw()
    for (let i = 0; i < 2; i++) await lab.drive(outcome(manager.openChannel(peer.deviceId, 'msg:x')))
    const [a, b] = silent.got.map(({ request }) => parseIceDescription(request.iceMessage))
    expect(a?.ufrag).toMatch(/^[0-9a-f]{8}$/)
    expect(a?.password).toMatch(/^[0-9a-f]{32}$/)
    expect([a?.ufrag === b?.ufrag, a?.password === b?.password]).toEqual([false, false])
  })

  it('ICE-6 an answer of another device, or with another id, is not taken', async () => {
    const { manager } = await lab.side(0)
    const [silent, liar] = [await raw(), await raw(other, 'liar')]
    const opening = outcome(manager.openChannel(peer.deviceId, 'msg:x'))
    await lab.clock.runUntil(() => silent.got.length > 0)
    const id = silent.got[0]?.request.id ?? 0
    const before = lab.clock.now()
    await lab.drive(liar.request(own, { id, isAnswer: true }))
    await lab.drive(silent.request(own, { id: id === 1 ? 2 : 1, isAnswer: true }))
    expect(await lab.drive(opening)).toBe('ERR_PEER_REFUSED')
    expect(lab.clock.now() - before).toBeGreaterThan(28_000)
  })

  it('an answer that cannot be read ends the attempt at once', async () => {
    const { manager } = await lab.side(0)
    const silent = await raw()
    const opening = outcome(manager.openChannel(peer.deviceId, 'msg:x'))
    await lab.clock.runUntil(() => silent.got.length > 0)
    const before = lab.clock.now()
    await lab.drive(silent.request(own, { id: silent.got[0]?.request.id ?? 0, isAnswer: true, iceMessage: 'no\n' }))
    expect(await lab.drive(opening)).toBe('ERR_CODEC')
    expect(lab.clock.now() - before).toBeLessThan(2000)
  })

  it('a device that nobody knows, or that our policy refuses, is not asked', async () => {
    const { manager } = await lab.side(0, { policy: { allowsLink: () => false } })
    const silent = await raw()
    expect(await lab.drive(outcome(manager.openChannel(peer.deviceId, 'msg:x')))).toBe('ERR_PEER_REFUSED')
    expect(await lab.drive(outcome(manager.openChannel(testIdentity(5).device.deviceId, 'msg:x')))).toBe('ERR_PEER_OFFLINE')
    expect(silent.got).toEqual([])
  })

  it('ICE-45 many callers at once cost one request', async () => {
    const { manager } = await lab.side(0)
    const silent = await raw()
    const opening = Promise.all(Array.from({ length: 20 }, (_, i) => outcome(manager.openChannel(peer.deviceId, `msg:${i}`))))
    expect(new Set(await lab.drive(opening))).toEqual(new Set(['ERR_PEER_REFUSED']))
    expect(silent.got.length).toBe(1)
  })
})

describe('being asked', () => {
  it('ICE-4 answers on the form of key by which the request came', async () => {
    await lab.side(0)
    const asker = await raw()
    await lab.drive(asker.request(own, { id: 5 }))
    await lab.drive(asker.request(own, { id: 6 }, infoHashOf(`peer:${own.deviceShortId}`)))
    await lab.clock.advance(2000)
    expect(asker.answers().map(({ key, request }) => [key, request.id]).sort()).toEqual([['long', 5], ['short', 6]])
    await lab.clock.advance(60_000)
  })

  it('ICE-8 ICE-S3 who may not connect hears nothing, and nothing is opened for it', async () => {
    const asked: PeerIdentity[] = []
    const { manager } = await lab.side(0, { policy: { allowsLink: (p) => (asked.push(p), false) } })
    const asker = await raw()
    await lab.drive(asker.request(own, { id: 5 }))
    await lab.clock.runUntil(() => asked.length > 0)
    expect(lab.network.openSockets()).toEqual([])
    await lab.clock.advance(60_000)
    expect([asker.got, manager.links(), asked.map((p) => p.deviceId)]).toEqual([[], [], [peer.deviceId]])
  })

  it('ICE-9 a device whose certificate nobody can show hears nothing', async () => {
    await lab.side(0, { certificates: { get: async () => undefined, find: async () => undefined } })
    const asker = await raw()
    await lab.drive(asker.request(own, { id: 5 }))
    await lab.clock.advance(60_000)
    expect(asker.got).toEqual([])
  })

  it('ICE-3 a request in clear, or one that we signed ourselves, is not taken; the same one encrypted is', async () => {
    await lab.side(0)
    const asker = await raw()
    await lab.drive(asker.dht.put(peerKey(own.deviceId), { data: requestBytes(5), userType: USER_TYPE, sign: peer.privateKey }))
    await lab.drive(asker.dht.put(peerKey(own.deviceId), { data: requestBytes(6), userType: USER_TYPE, sign: own.privateKey, encryptTo: own.privateKey.publicKey }))
    await lab.clock.advance(10_000)
    expect([asker.got, lab.network.openSockets()]).toEqual([[], []])
    await lab.drive(asker.put(peerKey(own.deviceId), own, requestBytes(5)))
    await lab.clock.advance(60_000)
    expect(asker.answers().map(({ request }) => request.id)).toEqual([5])
  })

  it('ICE-S2 requests of unpublished keys, however many, do not keep a contact waiting, and write nothing', async () => {
    const storage = testStorage()
    let written = 0
    const counting = { ...storage, get: storage.get.bind(storage), keys: storage.keys.bind(storage), batch: (ops: readonly StorageOp[]) => (written += ops.length, storage.batch(ops)) } as Storage
    let looking = 0
    let most = 0
    const allowedMs = new Set<number | undefined>()
    const find = async (_: DeviceId, op?: Op) => {
      most = Math.max(most, ++looking)
      allowedMs.add(op?.timeoutMs)
      await delay(lab.clock, 60_000, op?.signal).finally(() => looking--)
      return undefined
    }
    const known = lab.certificates()
    await lab.side(0, {
      storage: counting, policy: { allowsLink: (p) => p.accountId === peer.accountId, classOf: (p) => (p.accountId === peer.accountId ? 'contact' : 'stranger') },
      certificates: { get: async (device) => (device === peer.deviceId ? known.get(device) : undefined), find },
    })
    const contact = await raw()
    for (let who = 2; who < 12; who++) {
      const stranger = await raw(testIdentity(who).device, `stranger${who}`)
      for (let i = 0; i < 20; i++) await lab.drive(stranger.put(peerKey(own.deviceId), own, requestBytes(1000 * who + i)))
    }
    const before = lab.clock.now()
    await lab.drive(contact.request(own, { id: 5 }))
    await lab.clock.runUntil(() => contact.answers().length > 0)
    expect(lab.clock.now() - before).toBeLessThan(1000)
    await lab.clock.advance(60_000)
    expect([most, written, [...allowedMs]]).toEqual([MAX_LOOKUPS, 1, [LOOKUP_TIMEOUT_MS]])
  })

  it('ICE-S2 a contact has its share of negotiations, and others are served beside it; an id that found no room may come again', async () => {
    const { perAccount } = NEGOTIATIONS.contact
    await lab.side(0)
    const [greedy, honest] = [await raw(), await raw(other, 'honest')]
    for (let id = 1; id <= perAccount + 1; id++) await lab.drive(greedy.put(peerKey(own.deviceId), own, requestBytes(id)))
    await lab.drive(honest.request(own, { id: 100 }))
    await lab.clock.advance(1000)
    expect([greedy.answers().length, honest.answers().length]).toEqual([perAccount, 1])
    await lab.clock.advance(60_000)
    await lab.drive(greedy.put(peerKey(own.deviceId), own, requestBytes(perAccount)))
    await lab.drive(greedy.put(peerKey(own.deviceId), own, requestBytes(perAccount + 1)))
    await lab.clock.advance(60_000)
    expect(greedy.answers().map(({ request }) => request.id)).toEqual(Array.from({ length: perAccount + 1 }, (_, i) => i + 1))
  })

  it('ICE-5 a request that is put again and again under new value ids is answered once', async () => {
    await lab.side(0)
    const asker = await raw()
    for (let i = 0; i < 300; i++) await lab.drive(asker.put(peerKey(own.deviceId), own, requestBytes(5)))
    await lab.clock.advance(60_000)
    expect(asker.answers().length).toBe(1)
  })

  it('a certificate store that fails costs that request, which may come again', async () => {
    let fails = true
    const known = lab.certificates()
    await lab.side(0, { certificates: { get: async (device) => (fails ? Promise.reject(new JamiError('ERR_STORAGE_IO', 'no')) : known.get(device)) } })
    const asker = await raw()
    await lab.drive(asker.request(own, { id: 5 }))
    await lab.clock.advance(1000)
    fails = false
    await lab.drive(asker.request(own, { id: 5 }))
    await lab.clock.advance(60_000)
    expect(asker.answers().length).toBe(1)
  })

  it('ICE-5 a request id is treated once, also after a restart, for 24 hours', async () => {
    const storage = testStorage()
    const first = await lab.side(0, { storage })
    const asker = await raw()
    for (let i = 0; i < 3; i++) await lab.drive(asker.request(own, { id: 5 }))
    await lab.clock.advance(60_000)
    expect(asker.answers().length).toBe(1)
    await lab.drive(first.manager.stop())
    await lab.side(0, { storage })
    await lab.drive(asker.request(own, { id: 5 }))
    await lab.clock.advance(60_000)
    expect(asker.answers().length).toBe(1)
    await lab.clock.advance(86_400_000)
    await lab.drive(asker.request(own, { id: 5 }))
    await lab.clock.advance(60_000)
    expect(asker.answers().length).toBe(2)
  })

  it('ICE-S2 a device that asks without end is answered so many times a minute', async () => {
    await lab.side(0)
    const asker = await raw()
    for (let id = 1; id <= REQUESTS_PER_DEVICE_MINUTE + 15; id++) await lab.drive(asker.put(peerKey(own.deviceId), own, requestBytes(id)))
    await lab.clock.advance(5000)
    expect(asker.answers().length).toBeLessThanOrEqual(REQUESTS_PER_DEVICE_MINUTE)
    expect(asker.answers().length).toBeGreaterThan(0)
    await lab.clock.advance(120_000)
    expect(lab.network.openSockets()).toEqual([])
  })

  it('ICE-S12 unreadable requests and endless negotiations leave nothing behind', async () => {
    const { manager } = await lab.side(0)
    const asker = await raw()
    for (const bytes of [new Uint8Array(0), new Uint8Array(1000).fill(0xc1), Uint8Array.of(0x80)]) await lab.drive(asker.put(peerKey(own.deviceId), own, bytes))
    await lab.drive(asker.request(own, { id: 9 })) // and then never connects
    await lab.clock.advance(60_000)
    expect([manager.links(), lab.network.openSockets()]).toEqual([[], []])
  })
})

function requestBytes(id: number): Uint8Array {
  return encodePeerRequest({ id, iceMessage: 'none\nnone-none-none-none\nF 1 TCP 1 10.0.0.250 9 typ host tcptype active\n', isAnswer: false, connType: '' })
}
