// A contact request comes once: it must not be lost when its sender's certificate cannot be had at first.
import { expect, it } from 'vitest'
import { silentLogger } from '../base/logger.ts'
import type { AccountUri, DeviceId } from '../contracts/ids.ts'
import { inboxKey } from '../identity/ids.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { FakeDhtNetwork } from '../testing/fake-dht.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { testCrypto } from '../testing/test-crypto.ts'
import { testIdentity, testPeer } from '../testing/test-identities.ts'
import { ContactList } from './contact-list.ts'
import { encodeTrustRequest, TRUST_REQUEST_TYPE } from './trust-request-wire.ts'
import { TrustRequests } from './trust-requests.ts'

/** @param failures look-ups that find nothing before one finds the certificate */
async function receive(failures: number): Promise<{ from: AccountUri[]; lookups: number }> {
  const clock = new ManualClock()
  const network = new FakeDhtNetwork({ clock, crypto: testCrypto() })
  const [here, there] = [network.node(), network.node()]
  await here.start()
  await there.start()
  const [own, sender] = [testIdentity(0).device, testIdentity(1).device]
  let lookups = 0
  const find = async (device: DeviceId) => (device === sender.deviceId && ++lookups > failures ? testPeer(sender) : undefined)
  const storage = memoryStorage()
  const requests = new TrustRequests({
    clock, logger: silentLogger, dht: here, identity: own, storage, prefix: 'a', profile: () => '', joined: () => true,
    certificates: { find, get: async () => undefined, pin: async () => testPeer(sender) },
    directory: { async *devicesOf() {} },
    contacts: await ContactList.load(storage, 'a'),
  })
  await requests.load()
  await requests.start()
  const data = encodeTrustRequest({ conversation: undefined, payload: new Uint8Array(0), confirm: false, invitedMs: 0 })
  await clock.run(there.put(inboxKey(own.deviceShortId), { data, type: TRUST_REQUEST_TYPE, sign: sender.privateKey, encryptTo: own.privateKey.publicKey }))
  await clock.advance(60_000)
  const from = requests.pending().map((request) => request.from)
  await clock.run(requests.stop())
  await here.stop()
  await there.stop()
  await clock.advance(1000)
  expect(clock.pending()).toEqual([])
  return { from, lookups }
}

it('looks a sender up again, and gives up after four times', async () => {
  const { accountId } = testIdentity(1).device
  expect(await receive(0)).toEqual({ from: [accountId], lookups: 1 })
  expect(await receive(3)).toEqual({ from: [accountId], lookups: 4 })
  expect(await receive(4)).toEqual({ from: [], lookups: 4 })
})
