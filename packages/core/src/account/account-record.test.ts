// What is kept of an account between runs, and what happens when it cannot be read.
import { describe, expect, it } from 'vitest'
import { crypto } from '../../test/people.ts'
import { utf8 } from '../codec/bytes.ts'
import { makeReceipt } from '../identity/receipt.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { testIdentity } from '../testing/test-identities.ts'
import { type AccountRecord, accountPrefix, loadAccounts, loadArchive, removeAccount, saveAccount } from './account-record.ts'

async function record(i: number): Promise<AccountRecord> {
  const { accountKey, device, ethKey } = testIdentity(i)
  const { text, signature } = await makeReceipt(crypto, { accountKey, devicePublicKey: device.privateKey.publicKey, ethKey })
  return { label: `label ${i}`, displayName: 'Ünï', device, receipt: { text, signature } }
}

describe('account records', () => {
  it('come back as they were saved, each with its archive', async () => {
    const storage = memoryStorage()
    const [a, b] = [await record(0), await record(1)]
    await saveAccount(storage, a, utf8('archive of a'))
    await saveAccount(storage, b)
    const read = await loadAccounts(storage)
    expect(read.map((r) => r.label).sort()).toEqual(['label 0', 'label 1'])
    const again = read.find((r) => r.label === 'label 0')
    expect(again).toMatchObject({ displayName: 'Ünï', receipt: a.receipt })
    expect(again?.device.deviceId).toBe(a.device.deviceId)
    expect(again?.device.privateKey.pem).toBe(a.device.privateKey.pem)
    expect(again?.device.chain.map((c) => c.pem)).toEqual(a.device.chain.map((c) => c.pem))
    expect([await loadArchive(storage, a.device.accountId), await loadArchive(storage, b.device.accountId)]).toEqual([utf8('archive of a'), undefined])
  })

  it('a later save without archive keeps the archive', async () => {
    const storage = memoryStorage()
    const a = await record(0)
    await saveAccount(storage, a, utf8('archive'))
    await saveAccount(storage, { ...a, displayName: 'new' })
    expect(await loadArchive(storage, a.device.accountId)).toEqual(utf8('archive'))
    expect((await loadAccounts(storage))[0]?.displayName).toBe('new')
  })

  it('that are damaged, or hold another account, are told as such', async () => {
    const [a, b] = [await record(0), await record(1)]
    const key = (r: AccountRecord) => `${accountPrefix(r.device.accountId)}/identity`
    const damaged = memoryStorage()
    await damaged.batch([{ key: key(a), value: Uint8Array.of(1, 2, 3) }])
    await expect(loadAccounts(damaged)).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
    const swapped = memoryStorage()
    await saveAccount(swapped, b)
    await swapped.batch([{ key: key(a), value: (await swapped.get(key(b))) ?? null }])
    await expect(loadAccounts(swapped)).rejects.toMatchObject({ code: 'ERR_STORAGE_CORRUPT' })
  })

  it('ACC-S21 removing an account removes every record and file of it, and nothing of another', async () => {
    const storage = memoryStorage()
    const [a, b] = [await record(0), await record(1)]
    for (const r of [a, b]) {
      await saveAccount(storage, r, utf8('archive'))
      await storage.batch([{ key: `${accountPrefix(r.device.accountId)}/contacts/x`, value: utf8('x') }])
      await storage.files(`${accountPrefix(r.device.accountId)}/conversations/c`).write('HEAD', utf8('ref'))
    }
    await removeAccount(storage, a.device.accountId)
    const keys: string[] = []
    for await (const key of storage.keys('')) keys.push(key)
    expect(keys.filter((key) => key.includes(a.device.accountId))).toEqual([])
    expect(keys.filter((key) => key.includes(b.device.accountId))).toHaveLength(3)
    expect(await storage.files(`${accountPrefix(a.device.accountId)}/conversations/c`).read('HEAD')).toBeUndefined()
    expect(await storage.files(`${accountPrefix(b.device.accountId)}/conversations/c`).read('HEAD')).toEqual(utf8('ref'))
  })
})
