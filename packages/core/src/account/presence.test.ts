// Who is there: announcements counted per device, channels, revocations. docs/protocol/03 §2.8, §5.4, §8, over a shared table.
import { describe, expect, it } from 'vitest'
import { accountKey, crypto, People, type Person } from '../../test/people.ts'
import { silentLogger } from '../base/logger.ts'
import { AsyncQueue } from '../base/queue.ts'
import { encodeMsgpack } from '../codec/msgpack.ts'
import type { PresenceState } from '../contracts/account.ts'
import type { DhtValue } from '../contracts/dht.ts'
import type { AccountUri, DeviceId, InfoHash } from '../contracts/ids.ts'
import { encodeAnnouncementData, makeAnnouncement } from '../identity/announcement.ts'
import { certificateKey } from '../identity/ids.ts'
import { type AccountIdentity, issueDeviceCertificate } from '../identity/issue.ts'
import { createRevocationList } from '../identity/revocation.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { testIdentity } from '../testing/test-identities.ts'
import { testStorage } from '../testing/test-storage.ts'
import { CertificateDirectory } from './certificate-directory.ts'
import { PresenceTracker } from './presence-tracker.ts'
import { SIGNATURE_RATE } from './revocation-intake.ts'

/** Longer than an announcement lives without refresh. */
const EXPIRED_MS = 601_000

async function devicesOf(people: People, by: Person, account: AccountUri): Promise<DeviceId[]> {
  const collect = async () => {
    const out: DeviceId[] = []
    for await (const device of by.presence.devicesOf(account)) out.push(device)
    return out
  }
  return people.clock.run(collect())
}

function follow(person: Person, account: AccountUri): PresenceState[] {
  const states: PresenceState[] = []
  person.presence.onChange((change) => change.account === account && states.push(change.state))
  person.presence.watch(account)
  return states
}

/** Puts the revocation of devices where the account's own daemon puts it: at the account key, unsigned, as msgpack bin. */
async function revoke(people: People, by: Person, owner: number, devices: readonly number[], signedBy = owner, mangle = (der: Uint8Array) => der): Promise<void> {
  const [account, signer] = [testIdentity(owner), testIdentity(signedBy)]
  const list = await createRevocationList(
    { crypto, clock: people.clock, random: new SeededRandom('crl') },
    { issuer: signer.accountChain[0], issuerKey: signer.accountKey, revoke: signedBy === owner ? devices.map((d) => testIdentity(owner, d).device.chain[0]) : [signer.device.chain[0]] },
  )
  await people.clock.run(by.dht.put(account.device.accountId as string as InfoHash, { data: encodeMsgpack(mangle(list.der)), type: 0 }))
  await people.clock.advance(3000)
}

describe('presence', () => {
  it('ACC-42 goes from offline to available with the first announced device, and back when the last announcement has expired', async () => {
    const people = new People()
    const alice = await people.come(0)
    const [phone, laptop] = [await people.come(1, { announced: false }), await people.come(1, { device: 1, announced: false })]
    const states = follow(alice, phone.device.accountId)
    await people.clock.advance(5000)
    expect(states).toEqual([])
    await phone.announcer.start()
    await people.clock.advance(5000)
    await laptop.announcer.start()
    await people.clock.advance(5000)
    expect(states).toEqual(['available'])
    expect(alice.presence.announcedDevices(phone.device.accountId).sort()).toEqual([phone.device.deviceId, laptop.device.deviceId].sort())
    await phone.stop()
    await people.clock.advance(EXPIRED_MS)
    expect(states).toEqual(['available']) // the laptop is still there
    await laptop.stop()
    await people.clock.advance(EXPIRED_MS)
    expect(states).toEqual(['available', 'offline'])
    expect(await people.gone()).toEqual([])
  })

  it('ACC-42 is connected while a message channel is open, whatever expires meanwhile, and falls to what is announced', async () => {
    const people = new People()
    const alice = await people.come(0)
    const bob = await people.come(1)
    const account = bob.device.accountId
    const states = follow(alice, account)
    await people.clock.advance(1000)
    alice.presence.countChannel(account, 1)
    alice.presence.countChannel(account, 1)
    alice.presence.countChannel(account, -1)
    await bob.stop()
    await people.clock.advance(EXPIRED_MS)
    expect(alice.presence.state(account)).toBe('connected')
    alice.presence.countChannel(account, -1)
    expect(states).toEqual(['available', 'connected', 'offline'])
    expect(await people.gone()).toEqual([])
  })

  it('ACC-13 ACC-S5 announcements count only when the account itself signed them', async () => {
    const people = new People()
    const alice = await people.come(0)
    const mallory = await people.come(2)
    const victim = testIdentity(1)
    const states = follow(alice, victim.device.accountId)
    const key = victim.device.accountId as string as InfoHash
    const { privateKey } = mallory.device
    // another account's announcement, one signed by the victim's device instead of its account, one signed by nobody
    const foreign = await makeAnnouncement(crypto, { accountKey: testIdentity(2).accountKey, devicePublicKey: privateKey.publicKey })
    await people.clock.run(mallory.dht.put(key, { packed: foreign }))
    const data = encodeAnnouncementData(victim.device.privateKey.publicKey)
    await people.clock.run(mallory.dht.put(key, { data, type: 0, sign: victim.device.privateKey }))
    await people.clock.run(mallory.dht.put(key, { data, type: 0 }))
    await people.clock.advance(5000)
    expect(states).toEqual([])
    expect(await devicesOf(people, alice, victim.device.accountId)).toEqual([])
    expect(await people.gone()).toEqual([])
  })

  it('junk at a contact’s key, under the id of its announcement too, arriving and expiring, does not show it offline', async () => {
    const people = new People()
    const alice = await people.come(0)
    const mallory = await people.come(2)
    const owner = testIdentity(1)
    const account = owner.device.accountId
    const key = account as string as InfoHash
    const states = follow(alice, account)
    const packed = await makeAnnouncement(crypto, { accountKey: owner.accountKey, devicePublicKey: owner.device.privateKey.publicKey })
    const { id } = await people.clock.run(alice.dht.put(key, { packed }, { permanent: true }))
    await people.clock.advance(1000)
    const data = encodeAnnouncementData(owner.device.privateKey.publicKey)
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 300; i++) void mallory.dht.put(key, { data: encodeMsgpack({ i, round }) }).catch(() => {})
      for (const put of [{ data, id }, { data, id, sign: mallory.device.privateKey }, { data: encodeMsgpack('x'), id }]) await people.clock.run(mallory.dht.put(key, put).catch(() => {}))
      await people.clock.advance(EXPIRED_MS)
    }
    expect(states).toEqual(['available'])
    expect(await people.gone()).toEqual([])
  })

  it('the end of another value under the id of an announcement is not the end of the announcement', async () => {
    const people = new People()
    const owner = testIdentity(1)
    const other = testIdentity(1, 1)
    const account = owner.device.accountId
    const events = new AsyncQueue<{ value: DhtValue; expired: boolean }>(16)
    const { certificates, dht, ...rest } = await people.come(0)
    const scripted = Object.assign(Object.create(dht) as typeof dht, { listen: () => events })
    const presence = new PresenceTracker({ clock: people.clock, logger: silentLogger, dht: scripted, certificates, ownDevice: rest.device.deviceId })
    presence.watch(account)
    const value = (of: AccountIdentity, signer: Uint8Array | undefined): DhtValue => ({ id: 7n, type: 0, data: encodeAnnouncementData(of.device.privateKey.publicKey), userType: '', signer, encrypted: false, seq: 0 })
    const step = async (of: AccountIdentity, signer: Uint8Array | undefined, expired: boolean) => {
      events.push({ value: value(of, signer), expired })
      await people.clock.advance(10)
      return presence.state(account)
    }
    const own = owner.accountKey.publicKey
    expect(await step(owner, own, false)).toBe('available')
    for (const signer of [undefined, testIdentity(2).accountKey.publicKey, owner.device.privateKey.publicKey]) expect(await step(owner, signer, true)).toBe('available')
    expect(await step(other, own, true)).toBe('available')
    expect(await step(owner, own, true)).toBe('offline')
    const closed = presence.close()
    events.end()
    await people.clock.run(closed)
    expect(await people.gone()).toEqual([])
  })

  it('a signed announcement of nonsense is nothing', async () => {
    const people = new People()
    const alice = await people.come(0)
    const owner = testIdentity(1)
    const states = follow(alice, owner.device.accountId)
    for (const data of [encodeMsgpack('hello'), encodeMsgpack({ dev: new Uint8Array(19) }), encodeMsgpack({ dev: new Uint8Array(20), pk: owner.device.privateKey.publicKey }), Uint8Array.of(0xc1)])
      await people.clock.run(alice.dht.put(owner.device.accountId as string as InfoHash, { data, type: 0, sign: owner.accountKey }))
    await people.clock.advance(5000)
    expect(states).toEqual([])
    expect(await people.gone()).toEqual([])
  })
})

describe('announcing', () => {
  it('ACC-8 ACC-14 puts the chain at both keys as msgpack bin of type 8 and id 1, and the announcement at the account key', async () => {
    const people = new People()
    const alice = await people.come(0)
    const read = async (key: InfoHash) => {
      const out = []
      for await (const { id, type, data } of alice.dht.get(key)) out.push({ id, type, head: [...data.subarray(0, 3)] })
      return out
    }
    const pem = { id: 1n, type: 8, head: [0xc5, expect.any(Number), expect.any(Number)] }
    expect(await people.clock.run(read(certificateKey(alice.device.deviceId)))).toEqual([pem])
    expect(await people.clock.run(read(alice.device.deviceShortId))).toEqual([pem])
    expect(await people.clock.run(read(accountKey(alice)))).toMatchObject([{ type: 0 }])
    expect(await people.gone()).toEqual([])
  })

  it('a search that ends while a device is looked at ends alone: no rejection is left behind, and a device that cannot be looked at costs itself', async () => {
    const people = new People()
    const alice = await people.come(0)
    const bob = await people.come(1)
    const other = await people.come(1, { device: 1 })
    await people.clock.advance(5000)
    const find = alice.certificates.find.bind(alice.certificates)
    const ending = new AbortController()
    alice.certificates.find = (_device, options) => new Promise((_resolve, reject) => options?.signal?.addEventListener('abort', () => reject(options.signal?.reason), { once: true }))
    const search = (async () => {
      for await (const device of alice.presence.devicesOf(bob.device.accountId, { signal: ending.signal })) return device
      return undefined
    })()
    search.catch(() => {})
    await people.clock.advance(1)
    ending.abort(new Error('left'))
    await expect(search).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    alice.certificates.find = (device, options) => (device === bob.device.deviceId ? Promise.reject(new Error('broken')) : find(device, options))
    expect(await devicesOf(people, alice, bob.device.accountId)).toEqual([other.device.deviceId])
  })

  it('ACC-12 stays announced for an hour, and ends with the device', async () => {
    const people = new People()
    const alice = await people.come(0)
    const bob = await people.come(1)
    await people.clock.advance(3_600_000)
    expect(await devicesOf(people, alice, bob.device.accountId)).toEqual([bob.device.deviceId])
    await bob.stop()
    await people.clock.advance(EXPIRED_MS)
    expect(await devicesOf(people, alice, bob.device.accountId)).toEqual([])
    expect(await people.gone()).toEqual([])
  })
})

describe('devices of an account', () => {
  it('are found with their verified certificates, each once', async () => {
    const people = new People()
    const alice = await people.come(0)
    const [a, b] = [await people.come(1), await people.come(1, { device: 1 })]
    expect((await devicesOf(people, alice, a.device.accountId)).sort()).toEqual([a.device.deviceId, b.device.deviceId].sort())
    expect(await alice.certificates.get(a.device.deviceId)).toMatchObject({ accountId: a.device.accountId })
    expect(await people.gone()).toEqual([])
  })

  it('that a foreign account claims are not given: the chain decides', async () => {
    const people = new People()
    const alice = await people.come(0)
    const bob = await people.come(1)
    // account 2 announces Bob's device as its own, signed by account 2
    const claim = await makeAnnouncement(crypto, { accountKey: testIdentity(2).accountKey, devicePublicKey: bob.device.privateKey.publicKey })
    await people.clock.run(bob.dht.put(testIdentity(2).device.accountId as string as InfoHash, { packed: claim }))
    expect(await devicesOf(people, alice, testIdentity(2).device.accountId)).toEqual([])
    expect(await people.gone()).toEqual([])
  })

  it('without a certificate on the DHT are not given, and the search ends', async () => {
    const people = new People()
    const alice = await people.come(0)
    const owner = testIdentity(1)
    const announcement = await makeAnnouncement(crypto, { accountKey: owner.accountKey, devicePublicKey: owner.device.privateKey.publicKey })
    await people.clock.run(alice.dht.put(owner.device.accountId as string as InfoHash, { packed: announcement }))
    expect(await devicesOf(people, alice, owner.device.accountId)).toEqual([])
    expect(await people.gone()).toEqual([])
  })
})

describe('revoked devices', () => {
  it('ACC-S6 are told when a list of their account appears, are never given again, and stay revoked after a restart', async () => {
    const people = new People()
    const alice = await people.come(0)
    const [lost, kept] = [await people.come(1), await people.come(1, { device: 1 })]
    const account = lost.device.accountId
    const gone: DeviceId[] = []
    alice.presence.onRevoked((device) => gone.push(device))
    follow(alice, account)
    await people.clock.advance(1000)
    expect((await devicesOf(people, alice, account)).length).toBe(2)
    await revoke(people, kept, 1, [0])
    expect(gone).toEqual([lost.device.deviceId])
    expect(await devicesOf(people, alice, account)).toEqual([kept.device.deviceId])
    await expect(alice.certificates.pin(lost.device.chain)).rejects.toMatchObject({ code: 'ERR_DEVICE_REVOKED' })
    await alice.stop()
    const again = await people.come(0, { storage: alice.storage })
    await expect(again.certificates.pin(lost.device.chain)).rejects.toMatchObject({ code: 'ERR_DEVICE_REVOKED' })
    expect(await again.certificates.get(lost.device.deviceId)).toBeUndefined()
    expect(await people.gone()).toEqual([])
  })

  it('a list that stands behind 50 pieces of junk, put by somebody else, still counts', async () => {
    for (const way of ['look-up', 'watch'] as const) {
      const people = new People()
      const alice = await people.come(0)
      const [lost, kept] = [await people.come(1), await people.come(1, { device: 1 })]
      const account = lost.device.accountId
      for (let i = 0; i < 50; i++) await people.clock.run(kept.dht.put(accountKey(kept), { data: encodeMsgpack(new Uint8Array(40).fill(i)), type: 0 }))
      await revoke(people, kept, 1, [0])
      if (way === 'watch') {
        alice.presence.watch(account)
        await people.clock.advance(20_000)
        await expect(alice.certificates.pin(lost.device.chain)).rejects.toMatchObject({ code: 'ERR_DEVICE_REVOKED' })
      } else expect(await devicesOf(people, alice, account)).toEqual([kept.device.deviceId])
      expect(await people.gone()).toEqual([])
    }
  })

  it(`of lists in the account’s name that it did not sign ${SIGNATURE_RATE.burst} are verified at once, the others at a rate; the real one behind them counts all the same`, async () => {
    const people = new People()
    const alice = await people.come(0)
    const bob = await people.come(1)
    const gone: DeviceId[] = []
    alice.presence.onRevoked((device) => gone.push(device))
    let verified = 0
    const add = alice.certificates.addRevocations.bind(alice.certificates)
    alice.certificates.addRevocations = (...args) => {
      verified++
      return add(...args)
    }
    const key = accountKey(bob)
    follow(alice, bob.device.accountId)
    await people.clock.advance(5000)
    const { accountKey: issuerKey, accountChain: [issuer] } = testIdentity(1)
    const real = await createRevocationList({ crypto, clock: people.clock, random: new SeededRandom('forged') }, { issuer, issuerKey, revoke: [testIdentity(1, 1).device.chain[0]] })
    for (let i = 0; i < 200; i++) {
      const forged = real.der.slice()
      new DataView(forged.buffer).setUint32(forged.length - 8, i) // in the signature
      void bob.dht.put(key, { data: encodeMsgpack(forged) }, { permanent: true }).catch(() => {})
    }
    await people.clock.advance(1000)
    expect(verified).toBeLessThanOrEqual(SIGNATURE_RATE.burst + 2 * SIGNATURE_RATE.perSecond)
    await revoke(people, bob, 1, [0])
    await people.clock.advance(300_000)
    expect([gone, verified]).toEqual([[bob.device.deviceId], 201]) // each once
    await people.clock.advance(600_000)
    expect(verified).toBe(201)
    expect(await people.gone()).toEqual([])
  })

  it('4,096 revoked certificates of an account are kept, and 10,000 accounts that revoke; more is told and changes nothing', async () => {
    const people = new People()
    const alice = await people.come(0)
    const bob = await people.come(1)
    const prefix = `accounts/${alice.device.accountId}/revocations/`
    const full = Array.from({ length: 4096 }, (_, n) => n.toString(16).padStart(16, '0'))
    const load = async (records: { key: string; value: Uint8Array }[]) => {
      const storage = testStorage()
      await storage.batch(records)
      const directory = new CertificateDirectory({ clock: people.clock, logger: silentLogger, dht: alice.dht, storage, prefix: `accounts/${alice.device.accountId}`, own: alice.device })
      await directory.load()
      return directory
    }
    const { accountKey: issuerKey, accountChain } = testIdentity(1)
    const list = await createRevocationList({ crypto, clock: people.clock, random: new SeededRandom('crl') }, { issuer: accountChain[0], issuerKey, revoke: [bob.device.chain[0]] })
    const many = await load([{ key: `${prefix}${bob.device.accountId}`, value: encodeMsgpack({ serials: full, devices: [] }) }])
    await expect(many.addRevocations(list.der, accountChain[0])).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { got: 4097, allowed: 4096 } })
    expect((await many.pin(bob.device.chain)).deviceId).toBe(bob.device.deviceId)
    const accounts = await load(Array.from({ length: 10_000 }, (_, n) => ({ key: `${prefix}${n.toString(16).padStart(40, '0')}`, value: encodeMsgpack({ serials: ['01'], devices: [] }) })))
    await expect(accounts.addRevocations(list.der, accountChain[0])).rejects.toMatchObject({ code: 'ERR_LIMIT', details: { got: 10_001, allowed: 10_000 } })
    expect(await people.gone()).toEqual([])
  })

  it('ACC-S7 a new certificate of a revoked device, which the list does not name, is refused, too', async () => {
    const people = new People()
    const alice = await people.come(0)
    const [lost, kept] = [await people.come(1), await people.come(1, { device: 1 })]
    await alice.certificates.pin(lost.device.chain)
    await devicesOf(people, alice, lost.device.accountId)
    await revoke(people, kept, 1, [0])
    await devicesOf(people, alice, lost.device.accountId)
    const { accountKey, accountChain } = testIdentity(1)
    const renewed = await issueDeviceCertificate(
      { crypto, clock: people.clock, random: new SeededRandom('renewed') },
      { devicePublicKey: lost.device.privateKey.publicKey, accountKey, account: accountChain[0] },
    )
    expect(renewed.serialHex).not.toBe(lost.device.chain[0].serialHex)
    await expect(alice.certificates.pin([renewed, ...accountChain])).rejects.toMatchObject({ code: 'ERR_DEVICE_REVOKED' })
    expect(await people.gone()).toEqual([])
  })

  it('a list found by a single look-up counts before the devices are given', async () => {
    const people = new People()
    const alice = await people.come(0)
    const [lost, kept] = [await people.come(1), await people.come(1, { device: 1 })]
    await revoke(people, kept, 1, [0])
    expect(await devicesOf(people, alice, lost.device.accountId)).toEqual([kept.device.deviceId])
    expect(await people.gone()).toEqual([])
  })

  it('a later list is taken however often an earlier one came', async () => {
    const people = new People()
    const alice = await people.come(0)
    const [a, b] = [await people.come(1), await people.come(1, { device: 1 })]
    await revoke(people, a, 1, [2])
    for (let i = 0; i < 12; i++) await devicesOf(people, alice, a.device.accountId)
    await revoke(people, a, 1, [1, 2])
    await devicesOf(people, alice, a.device.accountId)
    expect(await devicesOf(people, alice, a.device.accountId)).toEqual([a.device.deviceId])
    expect(b.device.accountId).toBe(a.device.accountId)
    expect(await people.gone()).toEqual([])
  })

  it('ACC-S6 a list that names the device, but whose signature is broken, revokes nobody', async () => {
    const people = new People()
    const alice = await people.come(0)
    const bob = await people.come(1)
    follow(alice, bob.device.accountId)
    await devicesOf(people, alice, bob.device.accountId)
    await revoke(people, bob, 1, [0], 1, (der) => der.map((b, i) => (i === der.length - 1 ? b ^ 1 : b)))
    expect(await devicesOf(people, alice, bob.device.accountId)).toEqual([bob.device.deviceId])
    await alice.certificates.pin(bob.device.chain)
    expect(await people.gone()).toEqual([])
  })

  it('ACC-S6 lists that another account signed, and junk, revoke nobody', async () => {
    const people = new People()
    const alice = await people.come(0)
    const bob = await people.come(1)
    follow(alice, bob.device.accountId)
    await revoke(people, bob, 1, [0], 2)
    for (const data of [Uint8Array.of(0x30), encodeMsgpack(new Uint8Array(50)), encodeMsgpack('x'), new Uint8Array(0)])
      await people.clock.run(bob.dht.put(accountKey(bob), { data, type: 0 }))
    await people.clock.advance(5000)
    expect(await devicesOf(people, alice, bob.device.accountId)).toEqual([bob.device.deviceId])
    expect(await people.gone()).toEqual([])
  })
})
