// What is kept of an account between runs, and what happens when it cannot be read.
import { describe, expect, it } from 'vitest'
import { crypto } from '../../test/people.ts'
import { utf8 } from '../codec/bytes.ts'
import { decodeMsgpack, encodeMsgpack, type MsgpackInput } from '../codec/msgpack.ts'
import { makeReceipt } from '../identity/receipt.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { testIdentity } from '../testing/test-identities.ts'
import { type AccountRecord, accountPrefix, checkDisplayName, loadAccounts, loadArchive, MAX_DISPLAY_NAME, removeAccount, saveAccount } from './account-record.ts'

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
    const { accounts: read, problems } = await loadAccounts(storage)
    expect(problems).toEqual([])
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
    expect((await loadAccounts(storage)).accounts[0]?.displayName).toBe('new')
  })

  const key = (r: AccountRecord) => `${accountPrefix(r.device.accountId)}/identity`

  it('that are damaged, or hold another account, are told as such, and keep the others from nothing', async () => {
    const [a, b, c] = [await record(0), await record(1), await record(2)]
    const storage = memoryStorage()
    for (const r of [a, b, c]) await saveAccount(storage, r)
    await storage.batch([{ key: key(a), value: Uint8Array.of(1, 2, 3) }, { key: key(b), value: (await storage.get(key(c))) ?? null }])
    const { accounts, problems } = await loadAccounts(storage)
    expect(accounts.map((r) => r.label)).toEqual(['label 2'])
    expect(problems.map(({ usable, label, error }) => [usable, label, error.code]).sort()).toEqual([[false, undefined, 'ERR_STORAGE_CORRUPT'], [false, 'label 2', 'ERR_STORAGE_CORRUPT']].sort())
    expect(await storage.get(key(a))).toEqual(Uint8Array.of(1, 2, 3)) // nothing is thrown away
  })

  it.each<[string, MsgpackInput, string]>([
    ['too long', 'x'.repeat(MAX_DISPLAY_NAME + 1), 'x'.repeat(MAX_DISPLAY_NAME)], ['cut in the middle of a character', `${'x'.repeat(MAX_DISPLAY_NAME - 1)}😀`, 'x'.repeat(MAX_DISPLAY_NAME - 1)],
    ['a number', 7, ''], ['not there', null, ''],
  ])('a name that is %s costs itself: it is cut, told, and the account is there', async (_what, displayName, kept) => {
    const a = await record(0)
    const storage = memoryStorage()
    await saveAccount(storage, a)
    const fields = decodeMsgpack((await storage.get(key(a))) ?? new Uint8Array(0)) as Map<string, MsgpackInput>
    await storage.batch([{ key: key(a), value: encodeMsgpack({ ...Object.fromEntries(fields), displayName }) }])
    const { accounts, problems } = await loadAccounts(storage)
    expect(accounts).toMatchObject([{ label: 'label 0', displayName: kept }])
    expect(problems).toMatchObject([{ usable: true, label: 'label 0', error: { code: 'ERR_STORAGE_CORRUPT' } }])
  })

  it('a name is checked when it is set, by what is accepted at load', () => {
    expect([checkDisplayName(''), checkDisplayName('x'.repeat(MAX_DISPLAY_NAME)), checkDisplayName('a\ud83d')]).toEqual(['', 'x'.repeat(MAX_DISPLAY_NAME), 'a\ufffd'])
    for (const bad of [7, null, undefined, {}, 'x'.repeat(MAX_DISPLAY_NAME + 1), '😀'.repeat(MAX_DISPLAY_NAME / 2 + 1)])
      expect(() => checkDisplayName(bad)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT', details: expect.objectContaining({ field: 'displayName' }) }))
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
