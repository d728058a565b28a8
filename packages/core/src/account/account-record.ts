// What is kept about an account between runs: one record with the device's identity, receipt and names. Written whole, atomically.
// The archive (account key, CA key) is a record of its own, as the owner may have locked it with a password.
// docs/protocol/03 §2.3, §2.6.1. Proof: account/account-record.test.ts.
import { JamiError } from '../base/errors.ts'
import { asBytes, asMap, asString } from '../codec/fields.ts'
import { decodeMsgpack, encodeMsgpack } from '../codec/msgpack.ts'
import type { DeviceIdentity } from '../contracts/identity.ts'
import type { AccountUri } from '../contracts/ids.ts'
import type { Storage } from '../contracts/storage.ts'
import { privateKeyFromPem } from '../crypto/keys.ts'
import { chainToPem, parseChain } from '../identity/certificate.ts'
import { accountUriOf, deviceIdOf, parseAccountUri, shortIdOf } from '../identity/ids.ts'
import type { Receipt } from '../identity/receipt.ts'

export interface AccountRecord {
  readonly label: string
  readonly displayName: string
  readonly device: DeviceIdentity
  readonly receipt: Receipt
}

export function accountPrefix(uri: AccountUri): string {
  return `accounts/${uri}`
}

const recordKey = (uri: AccountUri) => `${accountPrefix(uri)}/identity`
const archiveKey = (uri: AccountUri) => `${accountPrefix(uri)}/archive`

function encodeRecord(record: AccountRecord): Uint8Array {
  return encodeMsgpack({
    version: 1, label: record.label, displayName: record.displayName, key: record.device.privateKey.pem, chain: chainToPem(record.device.chain),
    receipt: record.receipt.text, receiptSignature: record.receipt.signature,
  })
}

function decodeRecord(bytes: Uint8Array): AccountRecord {
  const map = asMap(decodeMsgpack(bytes, { maxDepth: 2, maxItems: 32, maxBytes: 1 << 17 }), 'account record')
  const chain = parseChain(asString(map.get('chain'), 'chain', 1 << 17))
  const [device, account] = chain
  if (!account) throw new JamiError('ERR_CERTIFICATE', 'chain: got a single certificate, allowed a device with its issuers')
  return {
    label: asString(map.get('label'), 'label', 200),
    displayName: asString(map.get('displayName'), 'displayName', 1000),
    device: {
      accountId: accountUriOf(account.publicKey), deviceId: deviceIdOf(device.publicKey), deviceShortId: shortIdOf(device.publicKey),
      privateKey: privateKeyFromPem(asString(map.get('key'), 'key', 16_384)), chain,
    },
    receipt: { text: asString(map.get('receipt'), 'receipt', 16_384), signature: asBytes(map.get('receiptSignature'), 'receiptSignature', { max: 1024 }) },
  }
}

export async function saveAccount(storage: Storage, record: AccountRecord, archive?: Uint8Array): Promise<void> {
  const uri = record.device.accountId
  await storage.batch([{ key: recordKey(uri), value: encodeRecord(record) }, ...(archive ? [{ key: archiveKey(uri), value: archive }] : [])])
}

/** @throws ERR_STORAGE_CORRUPT */
export async function loadAccounts(storage: Storage): Promise<AccountRecord[]> {
  const out: AccountRecord[] = []
  for await (const key of storage.keys('accounts/')) {
    const match = /^accounts\/([0-9a-f]{40})\/identity$/.exec(key)
    if (!match) continue
    try {
      const record = decodeRecord((await storage.get(key)) ?? new Uint8Array(0))
      if (record.device.accountId !== parseAccountUri(match[1] ?? '')) throw new JamiError('ERR_CERTIFICATE', 'the record holds another account')
      out.push(record)
    } catch (cause) {
      throw new JamiError('ERR_STORAGE_CORRUPT', `account record ${key} cannot be read`, { cause })
    }
  }
  return out
}

export async function loadArchive(storage: Storage, uri: AccountUri): Promise<Uint8Array | undefined> {
  return storage.get(archiveKey(uri))
}

/** Removes every record and file of an account; the bytes of its keys are out of the storage then, too. */
export async function removeAccount(storage: Storage, uri: AccountUri): Promise<void> {
  await storage.purge(`${accountPrefix(uri)}/`)
  await storage.files('accounts').remove(uri)
}
