// Contacts without storage, dates and merging: the ContactBook contract in memory, changed by the test.
// Proof: testing/fake-contacts.test.ts with testing/suites/contact-book.ts.
import type { ContactBook } from '../contracts/account.ts'
import type { AccountUri, ConversationId, DeviceId } from '../contracts/ids.ts'

interface Contact {
  readonly active: boolean
  readonly confirmed: boolean
  readonly conversation: ConversationId | undefined
}

/** Contacts and bans, set by the test. */
export class FakeContacts implements ContactBook {
  readonly #contacts = new Map<AccountUri, Contact>() // bounded by the test
  readonly #banned = new Set<AccountUri | DeviceId>() // bounded by the test

  /** @param confirmed contacts from the start */
  constructor(...confirmed: AccountUri[]) {
    for (const account of confirmed) this.add(account, { confirmed: true })
  }

  /** A contact from now on; takes a ban back. */
  add(account: AccountUri, change: { confirmed?: boolean; conversation?: ConversationId } = {}): void {
    const old = this.#contacts.get(account)
    this.#banned.delete(account)
    this.#contacts.set(account, { active: true, confirmed: change.confirmed || (old?.active === true && old.confirmed), conversation: change.conversation ?? old?.conversation })
  }

  /** No contact and not banned. */
  remove(account: AccountUri): void {
    this.#contacts.delete(account)
    this.#banned.delete(account)
  }

  /** An account, or one device of it. */
  ban(id: AccountUri | DeviceId): void {
    this.#banned.add(id)
    const old = this.#contacts.get(id as AccountUri)
    if (old) this.#contacts.set(id as AccountUri, { ...old, active: false, confirmed: false })
  }

  isContact(account: AccountUri): boolean {
    return this.#contacts.get(account)?.active ?? false
  }

  isConfirmed(account: AccountUri): boolean {
    return this.#contacts.get(account)?.confirmed ?? false
  }

  isBanned(id: AccountUri | DeviceId): boolean {
    return this.#banned.has(id)
  }

  conversationWith(account: AccountUri): ConversationId | undefined {
    return this.#contacts.get(account)?.conversation
  }
}
