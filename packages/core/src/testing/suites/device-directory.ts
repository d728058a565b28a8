// Contract suite of DeviceDirectory: announcements on the DHT, and the double in memory. docs/protocol/03 §2.6.2, §5.4.
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { DeviceDirectory } from '../../contracts/account.ts'
import type { CertificateStore } from '../../contracts/identity.ts'
import type { AccountUri, DeviceId } from '../../contracts/ids.ts'
import type { AccountIdentity } from '../../identity/issue.ts'
import { testIdentity } from '../test-identities.ts'
import { type ContractTest, rejectsWith, testsOf } from './contract-test.ts'

/** A directory, and what the tests do around it. */
export interface DirectoryUnderTest {
  /** Nobody is announced. */
  readonly directory: DeviceDirectory
  /** Where chains are pinned. */
  readonly certificates: CertificateStore
  /** Lets `certificates` find a device. */
  publish(device: AccountIdentity): Promise<void>
  /** The account says that this is a device of its own. */
  announce(account: AccountIdentity, device: AccountIdentity): Promise<void>
  /** Somebody else says so in its place; left out where it cannot be said. */
  forge?(account: AccountIdentity, device: AccountIdentity, forger: AccountIdentity): Promise<void>
  /** The account of this device revokes it: everybody can know. */
  revoke(device: AccountIdentity): Promise<void>
  /** Waits for `work`, letting time pass as it must. */
  drive<T>(work: Promise<T>): Promise<T>
  /** Ends what it is made of. */
  dispose?(): Promise<void>
}

const [phone, laptop, other] = [testIdentity(0), testIdentity(0, 1), testIdentity(1)]
const account = phone.device.accountId

async function all(devices: AsyncIterable<DeviceId>): Promise<DeviceId[]> {
  const out: DeviceId[] = []
  for await (const device of devices) out.push(device)
  return out.sort()
}

const ids = (...devices: AccountIdentity[]) => devices.map(({ device }) => device.deviceId).sort()

/** What a DeviceDirectory must do, as tests to run one by one. @param make makes a fresh one for each test */
export function deviceDirectorySuite(make: () => DirectoryUnderTest | Promise<DirectoryUnderTest>): ContractTest[] {
  const test = testsOf(make, undefined, (t) => ({ devicesOf: (account: AccountUri): Promise<DeviceId[]> => t.drive(all(t.directory.devicesOf(account))) }))
  return [
    test('an account that is offline has no devices', async ({ publish, devicesOf }) => {
      await publish(phone)
      deepStrictEqual(await devicesOf(account), [])
    }),
    test('an announced device is told, and its chain is known', async ({ publish, announce, devicesOf, certificates, drive }) => {
      await publish(phone)
      await announce(phone, phone)
      deepStrictEqual(await devicesOf(account), ids(phone))
      deepStrictEqual((await drive(certificates.get(phone.device.deviceId)))?.accountId, account)
      deepStrictEqual(await devicesOf(other.device.accountId), [])
    }),
    test('each device once, however often it was announced', async ({ publish, announce, devicesOf }) => {
      for (const device of [phone, laptop, phone, laptop]) {
        await publish(device)
        await announce(phone, device)
      }
      deepStrictEqual(await devicesOf(account), ids(phone, laptop))
    }),
    test('a device whose certificate nobody has is left out, the others are not', async ({ publish, announce, devicesOf }) => {
      await publish(laptop)
      await announce(phone, phone)
      await announce(phone, laptop)
      deepStrictEqual(await devicesOf(account), ids(laptop))
    }),
    test('a device of another account is left out, whoever says that it is its own', async ({ publish, announce, devicesOf }) => {
      await publish(phone)
      await publish(other)
      await announce(phone, other)
      await announce(phone, phone)
      deepStrictEqual(await devicesOf(account), ids(phone))
    }),
    test('what others say about the devices of an account counts for nothing', async ({ publish, forge, devicesOf }) => {
      await publish(phone)
      await forge?.(phone, phone, other)
      deepStrictEqual(await devicesOf(account), [])
    }),
    test('a revoked device is left out', async ({ publish, announce, revoke, devicesOf }) => {
      for (const device of [phone, laptop]) {
        await publish(device)
        await announce(phone, device)
      }
      await revoke(laptop)
      deepStrictEqual(await devicesOf(account), ids(phone))
    }),
    test('a device that is revoked when it is first met is left out, too', async ({ publish, announce, revoke, devicesOf }) => {
      await publish(phone)
      await announce(phone, phone)
      await revoke(phone)
      deepStrictEqual(await devicesOf(account), [])
    }),
    test('looking can be left early', async ({ directory, publish, announce, drive }) => {
      for (const device of [phone, laptop]) {
        await publish(device)
        await announce(phone, device)
      }
      const first = async () => {
        for await (const device of directory.devicesOf(account)) return device
        return undefined
      }
      ok(ids(phone, laptop).includes((await drive(first())) as DeviceId))
    }),
    test('looking ends with its signal: ERR_ABORTED', async ({ directory, publish, announce, drive }) => {
      await publish(phone)
      await announce(phone, phone)
      await rejectsWith('ERR_ABORTED', drive(all(directory.devicesOf(account, { signal: AbortSignal.abort() }))))
      const controller = new AbortController()
      const reason = new Error('enough')
      const looking = all(directory.devicesOf(account, { signal: controller.signal })).catch((error: unknown) => error)
      controller.abort(reason)
      const error = (await drive(looking)) as { code?: string; cause?: unknown }
      deepStrictEqual([error.code, error.cause], ['ERR_ABORTED', reason])
    }),
    test('looking gives up in time: ERR_TIMEOUT', async ({ directory, drive }) => {
      await rejectsWith('ERR_TIMEOUT', drive(all(directory.devicesOf(account, { timeoutMs: 0 }))))
    }),
  ]
}
