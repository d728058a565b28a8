// Memory never knows what the disk does not: every writer of an account, on a disk that fails at every write. After the failure the
// running account says what a restart would say, and the same call works once there is room.
import { describe, expect, it } from 'vitest'
import { failingStorage, type FailingStorage } from '../../test/failing-storage.ts'
import { crypto } from '../../test/people.ts'
import { silentLogger } from '../base/logger.ts'
import type { AccountUri, ConversationId, DeviceId } from '../contracts/ids.ts'
import { createRevocationList } from '../identity/revocation.ts'
import { FakeDhtNetwork } from '../testing/fake-dht.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { testIdentity } from '../testing/test-identities.ts'
import { CertificateDirectory } from './certificate-directory.ts'
import { ContactList } from './contact-list.ts'
import { MAX_DECLINED, MAX_PENDING, RequestStore } from './request-store.ts'

const account = (n: number) => n.toString(16).padStart(40, '0') as AccountUri
const conversation = 'a'.repeat(40) as ConversationId
const device = 'd'.repeat(64) as DeviceId
const NOW = 1_795_000_000_000

/** A thing that is kept: made from a storage, changed by calls, and looked at whole. */
interface Kept<T> {
  load(storage: FailingStorage): Promise<T>
  calls: [string, (it: T) => Promise<unknown>][]
  says(it: T): unknown | Promise<unknown>
}

function proves<T>(what: string, { load, calls, says }: Kept<T>): void {
  it(`${what}: a failure at any write changes nothing, in memory as on disk, and the call can be repeated`, async () => {
    const whole = failingStorage()
    const undisturbed = await load(whole)
    for (const [, call] of calls) await call(undisturbed)
    const total = whole.writes()
    expect(total).toBeGreaterThanOrEqual(calls.length)
    for (let n = 1; n <= total; n++) {
      const storage = failingStorage()
      const running = await load(storage)
      storage.failAt(n)
      let failures = 0
      for (const [name, call] of calls) {
        const before = await says(running)
        try {
          await call(running)
        } catch (error) {
          failures++
          expect(error, name).toMatchObject({ code: 'ERR_STORAGE_IO' })
          expect(await says(running), `${name}, memory after the failure`).toEqual(before)
          expect(await says(await load(storage)), `${name}, restart after the failure`).toEqual(before)
          storage.heal()
          await call(running)
        }
        expect(await says(await load(storage)), `${name}, restart`).toEqual(await says(running))
      }
      expect(failures, `failure at write ${n}`).toBe(1)
      expect(await says(running)).toEqual(await says(undisturbed))
    }
  })
}

describe('memory follows the disk', () => {
  const request = (from: number, receivedMs = NOW) => ({ from: account(from), conversation, receivedMs, displayName: 'Zoë' })

  proves('contacts', {
    load: (storage) => ContactList.load(storage, 'a'),
    calls: [
      ['add', (list) => list.add(account(1), NOW, { confirmed: false, conversation })], ['confirm', (list) => list.add(account(1), NOW, { confirmed: true, conversation: undefined })],
      ['ban', (list) => list.remove(account(1), NOW + 1, true)], ['unban', (list) => list.add(account(1), NOW + 2, { confirmed: false, conversation })],
      ['remove', (list) => list.remove(account(1), NOW + 3, false)], ['ban a stranger', (list) => list.remove(account(2), NOW, true)],
      ['merge', (list) => list.merge(account(3), { addedMs: NOW, removedMs: 0, confirmed: true, banned: false, conversation })],
      ['ban a device', (list) => list.banDevice(device, true)], ['unban it', (list) => list.banDevice(device, false)],
    ],
    says: (list) => [list.entries().sort(), list.isBanned(device), [1, 2, 3].map((n) => [list.isContact(account(n)), list.isBanned(account(n)), list.isConfirmed(account(n)), list.conversationWith(account(n))])],
  })

  proves('requests', {
    async load(storage) {
      const store = new RequestStore(storage, 'a')
      await store.load()
      return store
    },
    calls: [
      ['offer', (store) => store.offer(request(1), NOW, () => {})], ['renew', (store) => store.offer(request(1, NOW + 1), NOW, () => {})],
      ['decline', (store) => store.decline(account(1), NOW + 2)], ['ask anew', (store) => store.offer(request(1, NOW + 3), NOW, () => {})],
      ['take', (store) => store.take(account(1))], ['another', (store) => store.offer(request(2), NOW, () => {})], ['decline it', (store) => store.decline(account(2), NOW)],
    ],
    says: (store) => [store.pending(), [1, 2].map((n) => store.get(account(n)))],
  })

  const [bob, bobsOther] = [testIdentity(1).device, testIdentity(1, 1).device]
  const clock = new ManualClock()
  const dht = new FakeDhtNetwork({ clock, crypto }).node() // never asked
  const revoked = createRevocationList({ clock, crypto, random: new SeededRandom('list') }, { issuer: testIdentity(1).accountChain[0], issuerKey: testIdentity(1).accountKey, revoke: [bob.chain[0]] })
  proves('certificates and revocations', {
    async load(storage) {
      const directory = new CertificateDirectory({ clock, logger: silentLogger, dht, storage, prefix: 'a', own: testIdentity(0).device })
      await directory.load()
      return directory
    },
    calls: [
      ['pin', (directory) => directory.pin(bob.chain)], ['pin another', (directory) => directory.pin(bobsOther.chain)],
      ['revoke', async (directory) => directory.addRevocations((await revoked).der, testIdentity(1).accountChain[0])],
    ],
    says: (directory) => Promise.all([bob, bobsOther].map(async ({ deviceId }) => (await directory.get(deviceId))?.accountId)),
  })
})

describe('requests have bounds, on disk as in memory', () => {
  const load = async (storage = failingStorage()) => {
    const store = new RequestStore(storage, 'a')
    await store.load()
    return { storage, store }
  }
  const request = (from: number, receivedMs: number) => ({ from: account(from), conversation, receivedMs, displayName: undefined })

  it(`${MAX_PENDING} wait; one that nobody answered for a month makes place, a fresh one does not`, async () => {
    const { storage, store } = await load()
    let full = 0
    const offer = (n: number, nowMs: number) => store.offer(request(n, nowMs), nowMs, () => full++)
    for (let n = 0; n < MAX_PENDING; n++) await offer(n, NOW + n)
    expect([await offer(900, NOW + 1000), full, storage.contents.records.size]).toEqual([false, 1, MAX_PENDING])
    const later = NOW + 30 * 86_400_000
    expect([await offer(901, later), full, storage.contents.records.size, store.get(account(0)), store.get(account(901))?.from]).toEqual([true, 1, MAX_PENDING, undefined, account(901)])
    expect((await load(storage)).store.pending().length).toBe(MAX_PENDING)
  })

  it(`${MAX_DECLINED} declined ones are remembered, the newest`, async () => {
    const { storage, store } = await load()
    for (let n = 0; n <= MAX_DECLINED; n++) {
      await store.offer(request(n, NOW), NOW, () => {})
      await store.decline(account(n), NOW + n)
    }
    for (const of of [store, (await load(storage)).store]) {
      expect(await of.offer(request(1, NOW), NOW, () => {})).toBe(false) // declined
      expect(storage.contents.records.size).toBe(MAX_DECLINED)
    }
    expect(await store.offer(request(0, NOW), NOW, () => {})).toBe(true) // forgotten
  })

  it('a record that cannot be read costs itself', async () => {
    const { storage, store } = await load()
    await store.offer(request(1, NOW), NOW, () => {})
    await storage.batch([{ key: `a/requests/${account(2)}`, value: Uint8Array.of(0xc1) }, { key: 'a/requests/nobody', value: Uint8Array.of(0x80) }])
    const again = (await load(storage)).store
    expect([again.pending().map(({ from }) => from), again.problems.map(({ code }) => code)]).toEqual([[account(1)], ['ERR_STORAGE_CORRUPT', 'ERR_STORAGE_CORRUPT']])
  })
})
