// Making, importing and exporting accounts: keys and archive to the record that is kept. docs/protocol/03 §2.3, §3.5.
// Proof: node/account-factory.test.ts, interop archive.
import { type AccountRecord, accountPrefix, checkDisplayName, loadAccounts, loadArchive, MAX_DISPLAY_NAME, saveAccount } from '../account/account-record.ts'
import { encodeArchive, openArchive } from '../account/archive/archive.ts'
import type { ArchiveSecret } from '../account/archive/container.ts'
import type { AccountArchive } from '../account/archive/schema.ts'
import { ContactList } from '../account/contact-list.ts'
import { JamiError } from '../base/errors.ts'
import { cutText } from '../codec/text.ts'
import type { BaseEnv } from '../contracts/module.ts'
import type { Storage } from '../contracts/storage.ts'
import { accountUriOf } from '../identity/ids.ts'
import { createAccountIdentity, createDeviceIdentity, createEthKey } from '../identity/issue.ts'
import { makeReceipt, verifyReceipt } from '../identity/receipt.ts'

export interface NewAccount {
  readonly label: string
  readonly displayName: string
  readonly password?: string
}

const secretOf = (password: string | undefined): ArchiveSecret => (password === undefined || password === '' ? undefined : { password })

/** New keys; everything is on disk when it resolves. @throws ERR_ARGUMENT */
export async function createAccount(env: BaseEnv & { storage: Storage }, init: NewAccount): Promise<AccountRecord> {
  const displayName = checkDisplayName(init.displayName)
  const identity = await createAccountIdentity(env)
  const archive: AccountArchive = {
    accountKey: identity.accountKey, accountChain: identity.accountChain, caKey: identity.caKey, ethKey: identity.ethKey,
    revocationList: undefined, contacts: [], conversations: [], requests: [], settings: new Map(),
  }
  const receipt = await makeReceipt(env.crypto, { accountKey: identity.accountKey, devicePublicKey: identity.device.privateKey.publicKey, ethKey: identity.ethKey })
  const record: AccountRecord = { label: init.label, displayName, device: identity.device, receipt: { text: receipt.text, signature: receipt.signature } }
  await saveAccount(env.storage, record, await encodeArchive(archive, { crypto: env.crypto, random: env.random, secret: secretOf(init.password) }))
  return record
}

/** A new device of the archive's account, with its contacts. @throws ERR_PASSWORD, ERR_ARCHIVE_INVALID, ERR_ARGUMENT when the account is here already */
export async function importAccount(env: BaseEnv & { storage: Storage }, file: Uint8Array, init: NewAccount & { archivePassword?: string }): Promise<AccountRecord> {
  const wanted = checkDisplayName(init.displayName)
  const { archive } = await openArchive(env.crypto, file, secretOf(init.archivePassword))
  const uri = accountUriOf(archive.accountKey.publicKey)
  if ((await loadAccounts(env.storage)).accounts.some((record) => record.device.accountId === uri)) throw new JamiError('ERR_ARGUMENT', `archive: got one of account ${uri}, which is in this profile already`)
  const device = await createDeviceIdentity(env, { accountKey: archive.accountKey, accountChain: archive.accountChain })
  const ethKey = archive.ethKey ?? createEthKey(env.random)
  const receipt = await makeReceipt(env.crypto, { accountKey: archive.accountKey, devicePublicKey: device.privateKey.publicKey, ethKey })
  const displayName = wanted || cutText(archive.settings.get('Account.displayName') ?? '', MAX_DISPLAY_NAME)
  const record: AccountRecord = { label: init.label, displayName, device, receipt: { text: receipt.text, signature: receipt.signature } }
  const kept = await encodeArchive({ ...archive, ethKey }, { crypto: env.crypto, random: env.random, secret: secretOf(init.password ?? init.archivePassword) })
  const contacts = await ContactList.load(env.storage, accountPrefix(device.accountId))
  for (const { uri, conversationId, ...contact } of archive.contacts) await contacts.merge(uri, { ...contact, conversation: conversationId })
  await saveAccount(env.storage, record, kept)
  return record
}

/** The archive with today's contacts, locked with `password` or clear. @throws ERR_PASSWORD, ERR_NOT_FOUND */
export async function exportAccount(
  env: BaseEnv & { storage: Storage },
  record: AccountRecord,
  contacts: ContactList,
  options: { password?: string; currentPassword?: string },
): Promise<Uint8Array> {
  const file = await loadArchive(env.storage, record.device.accountId)
  if (!file) throw new JamiError('ERR_NOT_FOUND', 'this device has no archive of its account')
  const { archive } = await openArchive(env.crypto, file, secretOf(options.currentPassword))
  const current = contacts.entries().map(([uri, { conversation, displayName: _, ...contact }]) => ({ uri, ...contact, conversationId: conversation }))
  const settings = new Map([...archive.settings, ['Account.displayName', record.displayName]])
  return encodeArchive({ ...archive, settings, contacts: current }, { crypto: env.crypto, random: env.random, secret: secretOf(options.password) })
}

/** The five checks of the receipt, at every load; gives the announcement to publish. @throws ERR_CERTIFICATE, ERR_SIGNATURE, ERR_CODEC */
export async function verifyRecord(env: BaseEnv, record: AccountRecord): Promise<Uint8Array> {
  const { announcement } = await verifyReceipt(env.crypto, record.receipt, record.device, { nowMs: env.clock.wallTimeMs() })
  return announcement
}
