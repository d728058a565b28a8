// Where certificates of others come from, and which are refused. Revocations: presence.test.ts. The contract: testing/suites.
import { describe, expect, it } from 'vitest'
import { crypto, People, type Person } from '../../test/people.ts'
import { silentLogger } from '../base/logger.ts'
import { utf8 } from '../codec/bytes.ts'
import { encodeMsgpack } from '../codec/msgpack.ts'
import type { CertificateChain, PeerIdentity } from '../contracts/identity.ts'
import type { AccountUri, DeviceId, InfoHash } from '../contracts/ids.ts'
import { chainToPem } from '../identity/certificate.ts'
import { certificateKey } from '../identity/ids.ts'
import { type AccountIdentity, issueDeviceCertificate } from '../identity/issue.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { FakeDhtNetwork } from '../testing/fake-dht.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { TEST_IDENTITIES, testIdentity, testPeer } from '../testing/test-identities.ts'
import { testStorage } from '../testing/test-storage.ts'
import { ClaimCache } from './claim-cache.ts'
import { KeptCertificates, MAX_KEPT_PER_ACCOUNT } from './kept-certificates.ts'
import { CERTIFICATE_TYPE, CertificateDirectory, MAX_CHAIN_BYTES, MAX_CLAIMS_PER_SEARCH } from './certificate-directory.ts'

const publish = (people: People, by: Person, key: InfoHash, text: string) =>
  people.clock.run(by.dht.put(key, { data: encodeMsgpack(utf8(text)), type: CERTIFICATE_TYPE }))

/** The chain of an account that certified somebody else's public key. */
async function claimOf({ accountKey, accountChain }: AccountIdentity, devicePublicKey: Uint8Array, seed = 0): Promise<CertificateChain> {
  const [account, ...above] = accountChain
  return [await issueDeviceCertificate({ clock: new ManualClock(), crypto, random: new SeededRandom(`claim ${seed}`) }, { accountKey, account, devicePublicKey }), account, ...above]
}

describe('looking for a certificate', () => {
  it('what a link proved is kept on disk, and nobody is asked the next time', async () => {
    const people = new People()
    const alice = await people.come(0)
    const { device } = testIdentity(1)
    await alice.certificates.pin(device.chain)
    await alice.stop()
    const again = await people.come(0, { storage: alice.storage, announced: false })
    await again.dht.stop()
    expect(await again.certificates.find(device.deviceId)).toMatchObject({ accountId: device.accountId })
    expect(await people.gone()).toEqual([])
  })

  it('what was only found on the DHT is not kept: strangers who ask, however many, leave nothing on disk', async () => {
    const people = new People()
    const alice = await people.come(0)
    const before = [...alice.storage.contents.records.keys()]
    for (let i = 1; i < TEST_IDENTITIES; i++) {
      const { device } = testIdentity(i)
      await publish(people, alice, certificateKey(device.deviceId), chainToPem(device.chain))
      for (const account of [undefined, device.accountId]) expect(await people.clock.run(alice.certificates.find(device.deviceId, account ? { account } : {}))).toMatchObject({ accountId: device.accountId })
    }
    expect([...alice.storage.contents.records.keys()]).toEqual(before)
    expect(await people.gone()).toEqual([])
  })

  it('an account that certified a foreign key and publishes it does not become its owner: not on disk, not in memory once the owner links', async () => {
    const people = new People()
    const alice = await people.come(0)
    const [{ device }, thief] = [testIdentity(1), testIdentity(2)]
    const stolen = await claimOf(thief, device.privateKey.publicKey)
    for (const key of [certificateKey(device.deviceId), device.deviceShortId]) await publish(people, alice, key, chainToPem(stolen))
    expect(await people.clock.run(alice.certificates.find(device.deviceId))).toMatchObject({ accountId: thief.device.accountId }) // the only claim there is
    await alice.certificates.pin(device.chain) // its own link says otherwise
    for (const op of [{}, { sole: true }, { account: device.accountId }]) expect(await people.clock.run(alice.certificates.find(device.deviceId, op))).toMatchObject({ accountId: device.accountId })
    expect(await people.clock.run(alice.certificates.find(device.deviceId, { account: thief.device.accountId }))).toBeUndefined()
    await alice.stop()
    const again = await people.come(0, { storage: alice.storage, announced: false })
    expect(await again.certificates.get(device.deviceId)).toMatchObject({ accountId: device.accountId })
    expect(await people.gone()).toEqual([])
  })

  it(`a chain of more than ${MAX_CHAIN_BYTES} bytes is no chain, from the DHT or from a link`, async () => {
    const people = new People()
    const alice = await people.come(0)
    const { device } = testIdentity(1)
    const pem = chainToPem(device.chain)
    await publish(people, alice, certificateKey(device.deviceId), `${' '.repeat(MAX_CHAIN_BYTES - pem.length)}${pem}`)
    expect(await people.clock.run(alice.certificates.find(device.deviceId))).toBeUndefined() // with its msgpack header it is 3 bytes more
    const [leaf, account, ca] = device.chain
    await expect(alice.certificates.pin([leaf, account, ...Array.from({ length: 6 }, () => ca)].map((c) => ({ ...c, pem: `${c?.pem}${'x'.repeat(2000)}` })) as never)).rejects.toMatchObject({ code: 'ERR_CERTIFICATE', details: { allowed: MAX_CHAIN_BYTES } })
    expect(await people.gone()).toEqual([])
  })

  it(`one search looks at ${MAX_CLAIMS_PER_SEARCH} claims and no more, and the expected account is found behind any number of foreign ones`, async () => {
    const people = new People()
    const alice = await people.come(0)
    const [{ device }, thief] = [testIdentity(1), testIdentity(2)]
    for (let i = 0; i < MAX_CLAIMS_PER_SEARCH + 8; i++) await publish(people, alice, certificateKey(device.deviceId), chainToPem(await claimOf(thief, device.privateKey.publicKey, i)))
    await publish(people, alice, certificateKey(device.deviceId), chainToPem(device.chain))
    let read = 0
    const counting = Object.assign(Object.create(alice.dht) as typeof alice.dht, {
      get: (...args: Parameters<typeof alice.dht.get>) => (async function* () {
        for await (const value of alice.dht.get(...args)) {
          read++
          yield value
        }
      })(),
    })
    const directory = new CertificateDirectory({ clock: people.clock, logger: silentLogger, dht: counting, storage: memoryStorage(), prefix: 'p', own: alice.device })
    await people.clock.run(directory.find(device.deviceId))
    expect(read).toBe(MAX_CLAIMS_PER_SEARCH)
    expect(await people.clock.run(directory.find(device.deviceId, { account: device.accountId }))).toMatchObject({ accountId: device.accountId })
    expect(await people.gone()).toEqual([])
  })

  it('finds it at the short id, where older peers put it', async () => {
    const people = new People()
    const alice = await people.come(0)
    const { device } = testIdentity(1)
    await publish(people, alice, device.deviceShortId, chainToPem(device.chain))
    expect(await people.clock.run(alice.certificates.find(device.deviceId))).toBeUndefined()
    expect(await people.clock.run(alice.certificates.find(device.deviceId, { shortId: device.deviceShortId }))).toMatchObject({ deviceId: device.deviceId })
    expect(await people.gone()).toEqual([])
  })

  it('passes over junk, other devices and broken chains until the right one comes', async () => {
    const people = new People()
    const alice = await people.come(0)
    const { device } = testIdentity(1)
    const key = certificateKey(device.deviceId)
    const foreign = testIdentity(2).device
    await publish(people, alice, key, 'junk')
    await publish(people, alice, key, chainToPem(foreign.chain))
    await publish(people, alice, key, chainToPem([device.chain[0], ...foreign.chain.slice(1)] as never)) // an account that did not issue it
    await publish(people, alice, key, chainToPem([device.chain[0]]))
    expect(await people.clock.run(alice.certificates.find(device.deviceId))).toBeUndefined()
    await publish(people, alice, key, chainToPem(device.chain))
    expect(await people.clock.run(alice.certificates.find(device.deviceId))).toMatchObject({ accountId: device.accountId })
    expect(await people.gone()).toEqual([])
  })

  it('is one search for many who ask, each of whom can stop waiting alone', async () => {
    const clock = new ManualClock()
    const network = new FakeDhtNetwork({ clock, crypto })
    const [dht, other] = [network.node(), network.node()]
    await dht.start()
    await other.start()
    const { device } = testIdentity(1)
    await clock.run(other.put(certificateKey(device.deviceId), { data: encodeMsgpack(utf8(chainToPem(device.chain))), type: CERTIFICATE_TYPE }))
    let searches = 0
    const counting = new Proxy(dht, { get: (target, name) => (name === 'get' && searches++, Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name)) })
    const directory = new CertificateDirectory({ clock, logger: silentLogger, dht: counting, storage: memoryStorage(), prefix: 'p', own: testIdentity(0).device })
    const stop = new AbortController()
    const asked = [directory.find(device.deviceId), directory.find(device.deviceId, { signal: stop.signal }), directory.find(device.deviceId, { timeoutMs: 1 })]
    const outcomes = Promise.allSettled(asked)
    stop.abort('enough')
    const [found, aborted, late] = await clock.run(outcomes)
    expect(found).toMatchObject({ status: 'fulfilled', value: { deviceId: device.deviceId } })
    expect(aborted).toMatchObject({ reason: { code: 'ERR_ABORTED', cause: 'enough' } })
    expect(late).toMatchObject({ reason: { code: 'ERR_TIMEOUT' } })
    expect(searches).toBe(1)
    await clock.run(Promise.all([dht.stop(), other.stop()]))
    expect(clock.pending()).toEqual([])
  })
})

describe('keeping a certificate', () => {
  it('refuses a chain that does not verify, and keeps nothing of it', async () => {
    const people = new People()
    const alice = await people.come(0)
    const { device } = testIdentity(1)
    const foreign = testIdentity(2).device
    await expect(alice.certificates.pin([device.chain[0], ...foreign.chain.slice(1)] as never)).rejects.toMatchObject({ code: 'ERR_CERTIFICATE' })
    expect(await alice.certificates.get(device.deviceId)).toBeUndefined()
    expect(await people.gone()).toEqual([])
  })

  it('a kept certificate that has expired meanwhile is not given', async () => {
    const people = new People()
    const alice = await people.come(0)
    const { device } = testIdentity(1)
    await alice.certificates.pin(device.chain)
    expect(await alice.certificates.get(device.deviceId)).toBeDefined()
    const later = new CertificateDirectory({
      clock: new ManualClock({ wallTimeMs: device.chain[0].notAfterMs + 1 }), logger: silentLogger, dht: alice.dht, storage: alice.storage,
      prefix: `accounts/${alice.device.accountId}`, own: alice.device,
    })
    expect(await later.get(device.deviceId)).toBeUndefined()
    expect(await people.gone()).toEqual([])
  })

  it('a record that was damaged, or holds another device, is not given', async () => {
    const people = new People()
    let alice = await people.come(0)
    const [a, b] = [testIdentity(1).device, testIdentity(2).device]
    await alice.stop()
    const key = (id: string, account = b.accountId) => `accounts/${alice.device.accountId}/certificates/${account}/${id}`
    await alice.storage.batch([{ key: key(a.deviceId), value: utf8(chainToPem(b.chain)) }, { key: key(b.deviceId), value: Uint8Array.of(1, 2, 3) }])
    alice = await people.come(0, { storage: alice.storage })
    expect([await alice.certificates.get(a.deviceId), await alice.certificates.get(b.deviceId)]).toEqual([undefined, undefined])
    expect(await people.gone()).toEqual([])
  })

  it('our own is always known', async () => {
    const people = new People()
    const alice = await people.come(0)
    expect(await alice.certificates.get(alice.device.deviceId)).toMatchObject({ accountId: alice.device.accountId })
    expect(await people.gone()).toEqual([])
  })
})

describe('what is kept has bounds', () => {
  const device = (n: number) => n.toString(16).padStart(64, '0') as DeviceId
  const account = (n: number) => n.toString(16).padStart(40, '0') as AccountUri
  const peer = (n: number, of: number): PeerIdentity => ({ ...testPeer(testIdentity(0).device), deviceId: device(n), accountId: account(of) })
  const kept = async (options: { known?: AccountUri[]; max?: number } = {}, storage = testStorage()) => {
    const certificates = new KeptCertificates({ storage, prefix: 'p', isKnown: (of) => options.known?.includes(of) ?? false, ...(options.max ? { max: options.max } : {}) })
    await certificates.load()
    return { storage, certificates }
  }

  it(`of one account ${MAX_KEPT_PER_ACCOUNT} devices, the newest, in memory and on disk`, async () => {
    const { storage, certificates } = await kept()
    for (let n = 0; n < MAX_KEPT_PER_ACCOUNT + 5; n++) await certificates.keep(peer(n, 1))
    const again = (await kept({}, storage)).certificates
    for (const of of [certificates, again]) expect(of.devicesOf(account(1)).sort()).toEqual(Array.from({ length: MAX_KEPT_PER_ACCOUNT }, (_, n) => device(n + 5)).sort())
    expect(storage.contents.records.size).toBe(MAX_KEPT_PER_ACCOUNT)
  })

  it('a device that proves itself for another account is no more of the first one, in memory and on disk', async () => {
    const { storage, certificates } = await kept()
    await certificates.keep(peer(1, 1))
    await certificates.keep(peer(1, 2))
    for (const of of [certificates, (await kept({}, storage)).certificates]) expect([of.accountOf(device(1)), of.devicesOf(account(1)), of.devicesOf(account(2))]).toEqual([account(2), [], [device(1)]])
    expect([...storage.contents.records.keys()]).toEqual([`p/certificates/${account(2)}/${device(1)}`])
  })

  it('devices that move to an account count there as new ones do', async () => {
    const { storage, certificates } = await kept()
    for (let n = 0; n < MAX_KEPT_PER_ACCOUNT; n++) await certificates.keep(peer(n, 1))
    for (let n = 100; n < 120; n++) await certificates.keep(peer(n, 2))
    for (let n = 100; n < 120; n++) await certificates.keep(peer(n, 1))
    expect([certificates.devicesOf(account(1)).length, certificates.devicesOf(account(2)), storage.contents.records.size]).toEqual([MAX_KEPT_PER_ACCOUNT, [], MAX_KEPT_PER_ACCOUNT])
  })

  it('when all is full, strangers go before contacts, and do not come in their place', async () => {
    const [friend, stranger] = [1, 2]
    const { certificates } = await kept({ known: [account(friend), account(3)], max: 3 })
    await certificates.keep(peer(1, stranger))
    for (const n of [2, 3, 4]) await certificates.keep(peer(n, friend))
    expect([certificates.size, certificates.accountOf(device(1))]).toEqual([3, undefined])
    await certificates.keep(peer(5, stranger))
    expect([certificates.size, certificates.accountOf(device(5))]).toEqual([3, undefined])
    await certificates.keep(peer(6, 3))
    expect([certificates.size, certificates.accountOf(device(2)), certificates.accountOf(device(6))]).toEqual([3, undefined, account(3)])
  })

  it('records of before, of whoever had asked once, are gone after the next start', async () => {
    const storage = testStorage()
    await storage.batch(Array.from({ length: 50 }, (_, n) => ({ key: `p/certificates/${device(n)}`, value: utf8('chain') })))
    const { certificates } = await kept({}, storage)
    expect([certificates.size, storage.contents.records.size]).toEqual([0, 0])
  })

  it('claims count devices and bytes, the oldest device goes first, and none has more than four claimants', () => {
    const cache = new ClaimCache({ maxDevices: 3, maxBytes: 1 << 20 })
    for (let n = 0; n < 5; n++) cache.add(peer(n, 1))
    expect([cache.size, cache.of(device(1)), cache.of(device(2)).length]).toEqual([3, [], 1])
    for (let n = 0; n < 9; n++) cache.add(peer(4, n))
    expect(cache.of(device(4)).map(({ accountId }) => accountId)).toEqual([5, 6, 7, 8].map(account))
    const one = (cache.bytes / 6) | 0
    const small = new ClaimCache({ maxDevices: 100, maxBytes: 3 * one + 1 })
    for (let n = 0; n < 10; n++) small.add(peer(n, n))
    expect([small.size, small.bytes]).toEqual([3, 3 * one])
    for (let n = 0; n < 10; n++) small.delete(device(n))
    expect([small.size, small.bytes]).toEqual([0, 0])
  })
})
