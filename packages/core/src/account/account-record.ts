// What is kept about an account between runs: one record with the device's identity, receipt and names. Written whole, atomically.
// The archive (account key, CA key) is a record of its own, as the owner may have locked it with a password.
// docs/protocol/03 §2.3, §2.6.1. Proof: account/account-record.test.ts.
import { JamiError } from '../base/errors.ts'
import { asBytes, asMap, asString } from '../codec/fields.ts'
import { decodeMsgpack, encodeMsgpack, type MsgpackMap } from '../codec/msgpack.ts'
import { cutText, wellFormed } from '../codec/text.ts'
import type { DeviceIdentity } from '../contracts/identity.ts'
import type { AccountUri } from '../contracts/ids.ts'
import type { Storage } from '../contracts/storage.ts'
import { privateKeyFromPem } from '../crypto/keys.ts'
import { chainToPem, parseChain } from '../identity/certificate.ts'
import { accountUriOf, deviceIdOf, parseAccountUri, shortIdOf } from '../identity/ids.ts'
import type { Receipt } from '../identity/receipt.ts'

/** Characters (UTF-16 units) of a display name. */
export const MAX_DISPLAY_NAME = 1000
const MAX_LABEL = 200

export interface AccountRecord {
  readonly label: string
  readonly displayName: string
  readonly device: DeviceIdentity
  readonly receipt: Receipt
}

/** What could not be read as it should be. Without `usable` the account is not there; its label, when it can still be told, is taken. */
export interface AccountProblem {
  readonly label: string | undefined
  readonly usable: boolean
  readonly error: JamiError
}

export interface LoadedAccounts {
  readonly accounts: AccountRecord[]
  readonly problems: AccountProblem[]
}

/** A display name as it may be kept and sent. @throws ERR_ARGUMENT */
export function checkDisplayName(name: unknown): string {
  if (typeof name === 'string' && name.length <= MAX_DISPLAY_NAME) return wellFormed(name)
  const got = typeof name === 'string' ? `${name.length} characters` : name === null ? 'null' : typeof name
  const allowed = `a string of at most ${MAX_DISPLAY_NAME} characters`
  throw new JamiError('ERR_ARGUMENT', `displayName: got ${got}, allowed ${allowed}`, { details: { field: 'displayName', got, allowed } })
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

/** @param onOdd gets what costs only itself: a name that is too long or no text */
function decodeRecord(map: MsgpackMap, onOdd: (field: string, got: string, allowed: string) => void): AccountRecord {
  const text = (field: string, max: number): string => {
    const value = map.get(field)
    if (typeof value === 'string' && value.length <= max) return wellFormed(value)
    onOdd(field, typeof value === 'string' ? `${value.length} characters` : typeof value, `a string of at most ${max} characters`)
    return typeof value === 'string' ? cutText(value, max) : ''
  }
  const chain = parseChain(asString(map.get('chain'), 'chain', 1 << 17))
  const [device, account] = chain
  if (!account) throw new JamiError('ERR_CERTIFICATE', 'chain: got a single certificate, allowed a device with its issuers')
  return {
    label: text('label', MAX_LABEL) || `account-${account.shortId.slice(0, 8)}`,
    displayName: text('displayName', MAX_DISPLAY_NAME),
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

/** Every account that can be read, and what is wrong with the others: one bad record keeps nobody else from starting. */
export async function loadAccounts(storage: Storage): Promise<LoadedAccounts> {
  const accounts: AccountRecord[] = []
  const problems: AccountProblem[] = [] // bounded by the records
  for await (const key of storage.keys('accounts/')) {
    const match = /^accounts\/([0-9a-f]{40})\/identity$/.exec(key)
    if (!match) continue
    let label: string | undefined
    const odd: string[] = []
    try {
      const map = asMap(decodeMsgpack((await storage.get(key)) ?? new Uint8Array(0), { maxDepth: 2, maxItems: 32, maxBytes: 1 << 17 }), 'account record')
      const said = map.get('label')
      label = typeof said === 'string' ? cutText(said, MAX_LABEL) : undefined
      const record = decodeRecord(map, (field, got, allowed) => odd.push(`${field}: got ${got}, allowed ${allowed}`))
      if (record.device.accountId !== parseAccountUri(match[1] ?? '')) throw new JamiError('ERR_CERTIFICATE', 'the record holds another account')
      accounts.push(record)
      if (odd.length > 0) problems.push({ label: record.label, usable: true, error: new JamiError('ERR_STORAGE_CORRUPT', `account record ${key}: ${odd.join('; ')}`, { details: { key } }) })
    } catch (cause) {
      problems.push({ label, usable: false, error: new JamiError('ERR_STORAGE_CORRUPT', `account record ${key} cannot be read`, { cause, details: { key } }) })
    }
  }
  return { accounts, problems }
}

export async function loadArchive(storage: Storage, uri: AccountUri): Promise<Uint8Array | undefined> {
  return storage.get(archiveKey(uri))
}

/** Removes every record and file of an account; the bytes of its keys are out of the storage then, too. */
export async function removeAccount(storage: Storage, uri: AccountUri): Promise<void> {
  await storage.purge(`${accountPrefix(uri)}/`)
  await storage.files('accounts').remove(uri)
}
