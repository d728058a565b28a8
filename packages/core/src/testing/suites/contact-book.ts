// Contract suite of ContactBook: the stored contact list of an account, and the double in memory. docs/protocol/03 §5.2, §5.3.
import { deepStrictEqual } from 'node:assert/strict'
import type { ContactBook } from '../../contracts/account.ts'
import type { AccountUri, ConversationId } from '../../contracts/ids.ts'
import { testIdentity } from '../test-identities.ts'
import { type ContractTest, testsOf } from './contract-test.ts'

/** A book, and what the tests do to it. */
export interface ContactBookUnderTest {
  /** Empty. */
  readonly book: ContactBook
  /** Adds a contact, or confirms it or gives it another conversation. */
  add(account: AccountUri, change?: { confirmed?: boolean; conversation?: ConversationId }): Promise<void>
  /** No contact any more. */
  remove(account: AccountUri): Promise<void>
  /** Banned from now on. */
  ban(account: AccountUri): Promise<void>
  /** Ends what it is made of. */
  dispose?(): Promise<void>
}

const [alice, bob] = [testIdentity(0).device, testIdentity(1).device]
const [one, two] = ['1'.repeat(40) as ConversationId, '2'.repeat(40) as ConversationId]
const nobody = { contact: false, confirmed: false, banned: false, conversation: undefined }

/** What a ContactBook must do, as tests to run one by one. @param make makes a fresh one for each test */
export function contactBookSuite(make: () => ContactBookUnderTest | Promise<ContactBookUnderTest>): ContractTest[] {
  /** `said` is everything a book says about an account. */
  const test = testsOf(make, undefined, ({ book }) => ({
    said: (account: AccountUri): object => ({ contact: book.isContact(account), confirmed: book.isConfirmed(account), banned: book.isBanned(account), conversation: book.conversationWith(account) }),
  }))
  const [a, b] = [alice.accountId, bob.accountId]

  return [
    test('knows nobody at first, neither accounts nor devices', async ({ book, said }) => {
      deepStrictEqual(said(a), nobody)
      deepStrictEqual(book.isBanned(alice.deviceId), false)
    }),
    test('a contact is one at once, unconfirmed until it confirms; nobody else is', async ({ add, said }) => {
      await add(a)
      deepStrictEqual(said(a), { ...nobody, contact: true })
      await add(a, { confirmed: true, conversation: one })
      deepStrictEqual(said(a), { contact: true, confirmed: true, banned: false, conversation: one })
      deepStrictEqual(said(b), nobody)
    }),
    test('what is said of a contact holds from the end of the call on: when it is durable', async ({ add, said }) => {
      const adding = add(a, { confirmed: true })
      await adding
      deepStrictEqual(said(a), { ...nobody, contact: true, confirmed: true })
    }),
    test('adding again keeps the confirmation and the conversation, unless another one is given', async ({ add, said }) => {
      await add(a, { confirmed: true, conversation: one })
      await add(a)
      deepStrictEqual(said(a), { contact: true, confirmed: true, banned: false, conversation: one })
      await add(a, { conversation: two })
      deepStrictEqual(said(a), { contact: true, confirmed: true, banned: false, conversation: two })
    }),
    test('a removed contact is nobody, and has no conversation', async ({ add, remove, said }) => {
      await add(a, { confirmed: true, conversation: one })
      await remove(a)
      deepStrictEqual(said(a), nobody)
    }),
    test('a banned contact is none, and keeps its conversation', async ({ add, ban, said }) => {
      await add(a, { confirmed: true, conversation: one })
      await ban(a)
      deepStrictEqual(said(a), { contact: false, confirmed: false, banned: true, conversation: one })
    }),
    test('a stranger can be banned', async ({ ban, said }) => {
      await ban(a)
      deepStrictEqual(said(a), { ...nobody, banned: true })
      deepStrictEqual(said(b), nobody)
    }),
    test('removing a banned contact forgets the ban', async ({ add, ban, remove, said }) => {
      await add(a, { conversation: one })
      await ban(a)
      await remove(a)
      deepStrictEqual(said(a), nobody)
    }),
    test('adding a removed or a banned contact begins anew, unconfirmed', async ({ add, remove, ban, said }) => {
      await add(a, { confirmed: true, conversation: one })
      await remove(a)
      await add(a)
      deepStrictEqual(said(a), { ...nobody, contact: true })
      await add(b, { confirmed: true, conversation: two })
      await ban(b)
      await add(b)
      deepStrictEqual(said(b), { contact: true, confirmed: false, banned: false, conversation: two })
    }),
    test('removing or banning twice is as good as once', async ({ add, remove, ban, said }) => {
      await add(a, { conversation: one })
      await remove(a)
      await remove(a)
      deepStrictEqual(said(a), nobody)
      await ban(b)
      await ban(b)
      deepStrictEqual(said(b), { ...nobody, banned: true })
    }),
  ]
}
