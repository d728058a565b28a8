// Contacts in memory, by the contract suite of the real list.
import { describe, expect, it } from 'vitest'
import { FakeContacts } from './fake-contacts.ts'
import { contactBookSuite } from './suites/contact-book.ts'
import { testIdentity } from './test-identities.ts'

describe('FakeContacts', () => {
  for (const { title, run } of contactBookSuite(() => {
    const book = new FakeContacts()
    return { book, add: async (account, change) => book.add(account, change), remove: async (account) => book.remove(account), ban: async (account) => book.ban(account) }
  })) it(title, run)

  it('begins with confirmed contacts, and bans single devices', () => {
    const { accountId, deviceId } = testIdentity(0).device
    const book = new FakeContacts(accountId)
    book.ban(deviceId)
    expect([book.isConfirmed(accountId), book.isBanned(deviceId), book.isBanned(accountId)]).toEqual([true, true, false])
  })
})
