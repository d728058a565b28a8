// Contract suite of CertificateStore: the directory over storage and DHT, and the double in memory. docs/protocol/03 §2.2.1, §2.5.
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { CertificateChain, CertificateStore, DeviceIdentity } from '../../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../../contracts/ids.ts'
import { issueDeviceCertificate } from '../../identity/issue.ts'
import { ManualClock } from '../manual-clock.ts'
import { SeededRandom } from '../seeded-random.ts'
import { testCrypto } from '../test-crypto.ts'
import { testIdentity } from '../test-identities.ts'
import { type ContractTest, rejectsWith, testsOf } from './contract-test.ts'

export interface CertificatesUnderTest {
  /** Knows no device of accounts 0 and 1 of the pool yet; its own device, if it has one, is of another account. */
  readonly store: CertificateStore
  /** Puts a chain where the store looks for a device by its id and by its short id, or by one of them: the chain's own device, or another one. */
  publish(chain: CertificateChain, options?: { as?: DeviceIdentity; at?: 'id' | 'short id' }): Promise<void>
  /** The account of this device revokes its certificate, and the store learns it. */
  revoke(i: number, device: number): Promise<void>
  /** Waits for `work`, letting time pass as it must. */
  drive<T>(work: Promise<T>): Promise<T>
  /** This account is a contact from now on. */
  know(account: AccountUri): unknown
  /** Lets this much time pass; left out where time is real: then nothing about validity is tested. */
  advance?(ms: number): Promise<void>
  dispose?(): Promise<void>
}

const [account, other] = [testIdentity(0), testIdentity(1)]
const [first, second, foreign] = [account.device, testIdentity(0, 1).device, other.device]
const NOBODY = 'ab'.repeat(32) as DeviceId

/** The chain of an account that certified somebody else's public key: it verifies, as any such chain does. */
async function claimed(): Promise<CertificateChain> {
  const env = { clock: new ManualClock(), crypto: testCrypto(), random: new SeededRandom('claimed') }
  const [issuer, ...above] = other.accountChain
  return [await issueDeviceCertificate(env, { accountKey: other.accountKey, account: issuer, devicePublicKey: first.privateKey.publicKey }), issuer, ...above]
}

export function certificatesSuite(make: () => CertificatesUnderTest | Promise<CertificatesUnderTest>): ContractTest[] {
  const test = testsOf(make)
  const code = (work: Promise<unknown>) => work.then(() => 'resolved', (error: unknown) => (error as { code?: string }).code ?? String(error))

  return [
    test('a device is unknown until its chain is pinned', async ({ store, drive }) => {
      deepStrictEqual(await drive(store.get(first.deviceId)), undefined)
      const pinned = await drive(store.pin(first.chain))
      deepStrictEqual([pinned.deviceId, pinned.accountId, pinned.chain.map(({ pem }) => pem)], [first.deviceId, first.accountId, first.chain.map(({ pem }) => pem)])
      const got = await drive(store.get(first.deviceId))
      deepStrictEqual([got?.deviceId, got?.accountId, got?.chain[0].pem], [first.deviceId, first.accountId, first.chain[0].pem])
      deepStrictEqual(await drive(store.get(second.deviceId)), undefined)
    }),
    test('pinning the same chain again changes nothing', async ({ store, drive }) => {
      await drive(store.pin(first.chain))
      deepStrictEqual((await drive(store.pin(first.chain))).deviceId, first.deviceId)
      deepStrictEqual((await drive(store.get(first.deviceId)))?.chain[0].pem, first.chain[0].pem)
    }),
    test('a renewed certificate of a device takes the place of the old one', async ({ store, drive }) => {
      const env = { clock: new ManualClock(), crypto: testCrypto(), random: new SeededRandom('renewed') }
      const [issuer, ...above] = account.accountChain
      const renewed = await issueDeviceCertificate(env, { accountKey: account.accountKey, account: issuer, devicePublicKey: first.privateKey.publicKey })
      ok(renewed.pem !== first.chain[0].pem)
      await drive(store.pin(first.chain))
      await drive(store.pin([renewed, issuer, ...above]))
      deepStrictEqual((await drive(store.get(first.deviceId)))?.chain[0].pem, renewed.pem)
    }),
    test('a chain that does not prove the device is ERR_CERTIFICATE and is not kept', async ({ store, drive }) => {
      const [leaf, issuer] = first.chain
      const chains: CertificateChain[] = [[leaf], [leaf, ...other.accountChain], [leaf, issuer as typeof leaf]]
      for (const chain of chains) await rejectsWith('ERR_CERTIFICATE', drive(store.pin(chain)))
      deepStrictEqual(await drive(store.get(first.deviceId)), undefined)
    }),
    test('find gives what is pinned, without looking elsewhere', async ({ store, drive }) => {
      await drive(store.pin(first.chain))
      deepStrictEqual((await drive(store.find(first.deviceId)))?.deviceId, first.deviceId)
    }),
    test('find looks up a published chain by the device id, and remembers it', async ({ store, publish, drive }) => {
      await publish(first.chain, { at: 'id' })
      const found = await drive(store.find(first.deviceId))
      deepStrictEqual([found?.deviceId, found?.accountId], [first.deviceId, first.accountId])
      deepStrictEqual((await drive(store.get(first.deviceId)))?.deviceId, first.deviceId)
    }),
    test('find looks under the short id, too, when it is told', async ({ store, publish, drive }) => {
      await publish(first.chain, { at: 'short id' })
      deepStrictEqual(await drive(store.find(first.deviceId)), undefined)
      deepStrictEqual((await drive(store.find(first.deviceId, { shortId: first.deviceShortId })))?.deviceId, first.deviceId)
    }),
    test('a device key that two accounts claim belongs to neither, until it proves whose it is', async ({ store, publish, drive }) => {
      const stolen = await claimed()
      await publish(stolen)
      await publish(first.chain)
      deepStrictEqual(await drive(store.find(first.deviceId, { shortId: first.deviceShortId })), undefined)
      deepStrictEqual(await drive(store.find(first.deviceId, { sole: true })), undefined)
      deepStrictEqual(await drive(store.get(first.deviceId)), undefined)
      await drive(store.pin(first.chain)) // a link
      for (const sole of [false, true]) deepStrictEqual((await drive(store.find(first.deviceId, { sole })))?.accountId, first.accountId)
      deepStrictEqual((await drive(store.get(first.deviceId)))?.accountId, first.accountId)
      deepStrictEqual(await drive(store.find(first.deviceId, { account: other.device.accountId })), undefined)
    }),
    test('who knows whom it expects gets that account, whatever others claim and whoever comes first', async ({ store, publish, drive }) => {
      await publish(await claimed())
      deepStrictEqual(await drive(store.find(first.deviceId, { account: first.accountId })), undefined)
      await publish(first.chain)
      for (const account of [first.accountId, other.device.accountId]) {
        deepStrictEqual((await drive(store.find(first.deviceId, { account })))?.accountId, account)
        deepStrictEqual((await drive(store.get(first.deviceId, account)))?.accountId, account)
      }
      deepStrictEqual(await drive(store.get(first.deviceId, testIdentity(3).device.accountId)), undefined)
    }),
    test('of several accounts that claim a device it is the contact, unless the answer decides whose it is', async ({ store, publish, drive, know }) => {
      await publish(await claimed())
      await publish(first.chain)
      know(first.accountId)
      deepStrictEqual((await drive(store.find(first.deviceId)))?.accountId, first.accountId)
      deepStrictEqual((await drive(store.get(first.deviceId)))?.accountId, first.accountId)
      deepStrictEqual(await drive(store.find(first.deviceId, { sole: true })), undefined)
      know(other.device.accountId)
      deepStrictEqual(await drive(store.find(first.deviceId)), undefined)
    }),
    test('looking up whom we expect does not decide whose a device is', async ({ store, publish, drive }) => {
      await publish(await claimed())
      await drive(store.find(first.deviceId, { account: other.device.accountId }))
      await publish(first.chain)
      deepStrictEqual(await drive(store.find(first.deviceId, { sole: true })), undefined)
      deepStrictEqual(await drive(store.find(first.deviceId)), undefined)
    }),
    test('find is undefined when nobody has the certificate', async ({ store, publish, drive }) => {
      await publish(first.chain)
      deepStrictEqual(await drive(store.find(NOBODY)), undefined)
      deepStrictEqual(await drive(store.find(second.deviceId, { shortId: second.deviceShortId })), undefined)
    }),
    test('a device that was not found is found once it is published', async ({ store, publish, drive }) => {
      deepStrictEqual(await drive(store.find(first.deviceId)), undefined)
      await publish(first.chain)
      deepStrictEqual((await drive(store.find(first.deviceId)))?.deviceId, first.deviceId)
    }),
    test('a certificate that does not match what was asked for is never returned', async ({ store, publish, drive }) => {
      await publish(foreign.chain, { as: first })
      await publish(second.chain, { as: first })
      deepStrictEqual(await drive(store.find(first.deviceId, { shortId: first.deviceShortId })), undefined)
      await publish(first.chain)
      deepStrictEqual((await drive(store.find(first.deviceId, { shortId: first.deviceShortId })))?.deviceId, first.deviceId)
    }),
    test('a published chain that does not verify does not hide the good one', async ({ store, publish, drive }) => {
      await publish([first.chain[0], ...other.accountChain])
      deepStrictEqual(await drive(store.find(first.deviceId)), undefined)
      await publish(first.chain)
      deepStrictEqual((await drive(store.find(first.deviceId)))?.accountId, first.accountId)
    }),
    test('many may look for the same device at once', async ({ store, publish, drive }) => {
      await publish(first.chain)
      const found = await drive(Promise.all(Array.from({ length: 5 }, () => store.find(first.deviceId))))
      deepStrictEqual(found.map((peer) => peer?.deviceId), Array.from({ length: 5 }, () => first.deviceId))
    }),
    test('a revoked device is neither pinned, nor kept, nor found; others of its account are', async ({ store, publish, revoke, drive }) => {
      await publish(first.chain)
      await publish(second.chain)
      await drive(store.pin(first.chain))
      await revoke(0, 0)
      deepStrictEqual(await drive(store.get(first.deviceId)), undefined)
      deepStrictEqual(await drive(store.find(first.deviceId, { shortId: first.deviceShortId })), undefined)
      await rejectsWith('ERR_DEVICE_REVOKED', drive(store.pin(first.chain)))
      deepStrictEqual((await drive(store.find(second.deviceId)))?.deviceId, second.deviceId)
    }),
    test('a device revoked before it was known is refused, too', async ({ store, publish, revoke, drive }) => {
      await revoke(0, 0)
      await publish(first.chain)
      deepStrictEqual(await drive(store.find(first.deviceId)), undefined)
      await rejectsWith('ERR_DEVICE_REVOKED', drive(store.pin(first.chain)))
    }),
    test('a certificate whose time is over is not given any more', async ({ store, publish, drive, advance }) => {
      if (!advance) return
      await drive(store.pin(first.chain))
      await publish(second.chain)
      await advance(first.chain[0].notAfterMs - first.chain[0].notBeforeMs + 1)
      deepStrictEqual(await drive(store.get(first.deviceId)), undefined)
      deepStrictEqual(await drive(store.find(second.deviceId)), undefined)
      await rejectsWith('ERR_CERTIFICATE', drive(store.pin(first.chain)))
    }),
    test('find ends with its signal: ERR_ABORTED, with the reason', async ({ store, publish, drive }) => {
      await publish(first.chain)
      await rejectsWith('ERR_ABORTED', drive(store.find(first.deviceId, { signal: AbortSignal.abort() })))
      const controller = new AbortController()
      const finding = store.find(first.deviceId, { signal: controller.signal }).catch((error: unknown) => error)
      const reason = new Error('enough')
      controller.abort(reason)
      const error = (await drive(finding)) as { code?: string; cause?: unknown }
      deepStrictEqual([error.code, error.cause], ['ERR_ABORTED', reason])
    }),
    test('find gives up in time: ERR_TIMEOUT', async ({ store, drive }) => {
      await rejectsWith('ERR_TIMEOUT', drive(store.find(NOBODY, { timeoutMs: 0 })))
      await rejectsWith('ERR_ARGUMENT', drive(store.find(NOBODY, { timeoutMs: -1 })))
    }),
    test('one caller who gives up does not take the answer from the others', async ({ store, publish, drive }) => {
      await publish(first.chain)
      const controller = new AbortController()
      const leaving = code(store.find(first.deviceId, { signal: controller.signal }))
      const hurried = code(store.find(first.deviceId, { timeoutMs: 0 }))
      const staying = store.find(first.deviceId)
      controller.abort()
      deepStrictEqual(await drive(Promise.all([leaving, hurried])), ['ERR_ABORTED', 'ERR_TIMEOUT'])
      deepStrictEqual((await drive(staying))?.deviceId, first.deviceId)
    }),
  ]
}
