// Accounts made, exported and imported, on storage in memory: what is kept, what comes back, what is refused.
import { describe, expect, it } from 'vitest'
import { accountPrefix, loadAccounts } from '../account/account-record.ts'
import { ContactList } from '../account/contact-list.ts'
import { silentLogger } from '../base/logger.ts'
import type { AccountUri, ConversationId } from '../contracts/ids.ts'
import { verifyPeerChain } from '../identity/verify-chain.ts'
import { memoryStorage } from '../storage/memory-storage.ts'
import { ManualClock } from '../testing/manual-clock.ts'
import { SeededRandom } from '../testing/seeded-random.ts'
import { testCrypto } from '../testing/test-crypto.ts'
import { createAccount, exportAccount, importAccount, verifyRecord } from './account-factory.ts'

function profile(seed: number) {
  const random = new SeededRandom(seed)
  return { clock: new ManualClock(), random, crypto: testCrypto({ random: random.fork('crypto') }), logger: silentLogger, network: undefined as never, storage: memoryStorage() }
}

const contactsOf = (env: ReturnType<typeof profile>, uri: AccountUri) => ContactList.load(env.storage, accountPrefix(uri))

describe('a new account', () => {
  it('is on disk when it resolves: a chain that verifies, a receipt with all its checks, an archive', async () => {
    const env = profile(1)
    const record = await createAccount(env, { label: 'bot', displayName: 'Bot' })
    const [kept] = (await loadAccounts(env.storage)).accounts
    expect(kept).toMatchObject({ label: 'bot', displayName: 'Bot', receipt: record.receipt })
    expect(verifyPeerChain(record.device.chain, { nowMs: env.clock.wallTimeMs() })).toMatchObject({ accountId: record.device.accountId, deviceId: record.device.deviceId })
    expect((await verifyRecord(env, record)).length).toBeGreaterThan(500)
    expect((await exportAccount(env, record, await contactsOf(env, record.device.accountId), {})).length).toBeGreaterThan(1000)
  })

  it('starts on a machine whose clock is slow, by minutes or by decades', async () => {
    const env = profile(9)
    const record = await createAccount(env, { label: 'bot', displayName: '' })
    for (const wallTimeMs of [env.clock.wallTimeMs() - 600_000, 0]) expect((await verifyRecord({ ...env, clock: new ManualClock({ wallTimeMs }) }, record)).length).toBeGreaterThan(500)
  })

  it('a name that may not be kept is refused before any key is made', async () => {
    for (const displayName of ['x'.repeat(1001), 7 as never]) await expect(createAccount(profile(10), { label: 'bot', displayName })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(importAccount(profile(10), new Uint8Array(0), { label: 'bot', displayName: 'x'.repeat(1001) })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    expect((await createAccount(profile(11), { label: 'bot', displayName: 'a\ud83d' })).displayName).toBe('a\ufffd')
  })

  it('ACC-10 whose receipt was changed, or is of another device, is refused at load', async () => {
    const env = profile(2)
    const [a, b] = [await createAccount(env, { label: 'a', displayName: '' }), await createAccount(env, { label: 'b', displayName: '' })]
    await expect(verifyRecord(env, { ...a, receipt: b.receipt })).rejects.toThrow(expect.objectContaining({ name: 'JamiError' }))
    await expect(verifyRecord(env, { ...a, receipt: { ...a.receipt, text: a.receipt.text.replace('"', ' "') } })).rejects.toThrow(expect.objectContaining({ name: 'JamiError' }))
  })
})

describe('an account that moves', () => {
  it('is the same account on a new device, with its name and contacts', async () => {
    const [here, there] = [profile(3), profile(4)]
    const record = await createAccount(here, { label: 'main', displayName: 'Ünï' })
    const uri = record.device.accountId
    const contacts = await contactsOf(here, uri)
    const [friend, foe] = ['1'.repeat(40), '2'.repeat(40)] as AccountUri[] as [AccountUri, AccountUri]
    await contacts.add(friend, 1234, { confirmed: true, conversation: 'a'.repeat(40) as ConversationId })
    await contacts.remove(foe, 5678, true)
    const moved = await importAccount(there, await exportAccount(here, record, contacts, {}), { label: 'copy', displayName: '' })
    expect([moved.device.accountId, moved.displayName, moved.label]).toEqual([uri, 'Ünï', 'copy'])
    expect(moved.device.deviceId).not.toBe(record.device.deviceId)
    await verifyRecord(there, moved)
    const read = await contactsOf(there, uri)
    expect([read.isConfirmed(friend), read.conversationWith(friend), read.isBanned(foe)]).toEqual([true, 'a'.repeat(40), true])
  })

  it('cannot come twice into one profile', async () => {
    const env = profile(5)
    const record = await createAccount(env, { label: 'main', displayName: '' })
    const archive = await exportAccount(env, record, await contactsOf(env, record.device.accountId), {})
    await expect(importAccount(env, archive, { label: 'again', displayName: '' })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    expect((await loadAccounts(env.storage)).accounts.map((r) => r.device.deviceId)).toEqual([record.device.deviceId])
  })

  it('with a password opens with it only; without the right one nothing is kept', async () => {
    const [here, there] = [profile(6), profile(7)]
    const record = await createAccount(here, { label: 'main', displayName: '' })
    const archive = await exportAccount(here, record, await contactsOf(here, record.device.accountId), { password: 'secret' })
    for (const archivePassword of [undefined, 'wrong'])
      await expect(importAccount(there, archive, { label: 'x', displayName: '', ...(archivePassword ? { archivePassword } : {}) })).rejects.toMatchObject({ code: 'ERR_PASSWORD' })
    expect(await loadAccounts(there.storage)).toEqual({ accounts: [], problems: [] })
    expect((await importAccount(there, archive, { label: 'x', displayName: '', archivePassword: 'secret' })).device.accountId).toBe(record.device.accountId)
  }, 180_000)

  it('junk is no archive', async () => {
    await expect(importAccount(profile(8), new Uint8Array(100).fill(7), { label: 'x', displayName: '' })).rejects.toThrow(expect.objectContaining({ name: 'JamiError' }))
  })
})
