// Where certificates of others come from, and which are refused. Revocations: presence.test.ts. The contract: testing/suites.
import { describe, expect, it } from 'vitest'
import { crypto, People, type Person } from '../../test/people.ts'
import { silentLogger } from '../base/logger.ts'
import { utf8 } from '../codec/bytes.ts'
import { encodeMsgpack } from '../codec/msgpack.ts'
import type { InfoHash } from '../contracts/ids.ts'
import { chainToPem } from '../identity/certificate.ts'
import { certificateKey } from '../identity/ids.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { FakeDhtNetwork } from '../testing/fake-dht.ts'
import { testIdentity } from '../testing/test-identities.ts'
import { CERTIFICATE_TYPE, CertificateDirectory } from './certificate-directory.ts'

const publish = (people: People, by: Person, key: InfoHash, text: string) =>
  people.clock.run(by.dht.put(key, { data: encodeMsgpack(utf8(text)), type: CERTIFICATE_TYPE }))

describe('looking for a certificate', () => {
  it('finds it on the DHT, keeps it on disk, and asks nobody the next time', async () => {
    const people = new People()
    const alice = await people.come(0)
    const bob = await people.come(1)
    expect(await people.clock.run(alice.certificates.find(bob.device.deviceId))).toMatchObject({ deviceId: bob.device.deviceId, accountId: bob.device.accountId })
    await bob.stop()
    await alice.stop()
    const again = await people.come(0, { storage: alice.storage, announced: false })
    await again.dht.stop()
    expect(await again.certificates.find(bob.device.deviceId)).toMatchObject({ accountId: bob.device.accountId })
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
    const alice = await people.come(0)
    const [a, b] = [testIdentity(1).device, testIdentity(2).device]
    const key = (id: string) => `accounts/${alice.device.accountId}/certificates/${id}`
    await alice.storage.batch([{ key: key(a.deviceId), value: utf8(chainToPem(b.chain)) }, { key: key(b.deviceId), value: Uint8Array.of(1, 2, 3) }])
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
