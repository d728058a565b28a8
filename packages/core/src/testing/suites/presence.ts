// Contract suite of Presence: watches of announcements and channels, and the double in memory. docs/protocol/03 §8.
import { deepStrictEqual } from 'node:assert/strict'
import type { Presence, PresenceState } from '../../contracts/account.ts'
import type { AccountUri } from '../../contracts/ids.ts'
import type { AccountIdentity } from '../../identity/issue.ts'
import { testIdentity } from '../test-identities.ts'
import { type ContractTest, testsOf } from './contract-test.ts'

/** Presence, and what the tests do around it. */
export interface PresenceUnderTest {
  /** Follows accounts 0 and 1 of the pool; nobody is announced. */
  readonly presence: Presence
  /** A device appears on the DHT; resolves when that can be known. */
  announce(device: AccountIdentity): Promise<void>
  /** Its announcement is gone; resolves when that can be known. */
  withdraw(device: AccountIdentity): Promise<void>
  /** A message channel with the account opened (+1) or closed (-1). */
  channel(account: AccountUri, by: 1 | -1): void
  /** Ends what it is made of. */
  dispose?(): Promise<void>
}

const [phone, laptop, other] = [testIdentity(0), testIdentity(0, 1), testIdentity(1)]
const account = phone.device.accountId

/** What Presence must do, as tests to run one by one. @param make makes a fresh one for each test */
export function presenceSuite(make: () => PresenceUnderTest | Promise<PresenceUnderTest>): ContractTest[] {
  /** `told` gets what listeners hear of account 0. */
  const test = testsOf(make, undefined, (t) => {
    const told: PresenceState[] = []
    t.presence.onChange((event) => {
      if (event.account === account) told.push(event.state)
    })
    return { told }
  })
  return [
    test('an account that nobody follows is offline', async ({ presence }) => {
      deepStrictEqual(presence.state(testIdentity(2).device.accountId), 'offline')
    }),
    test('offline until a device is announced, then available', async ({ presence, announce, told }) => {
      deepStrictEqual([presence.state(account), told], ['offline', []])
      await announce(phone)
      deepStrictEqual([presence.state(account), told], ['available', ['available']])
      deepStrictEqual(presence.state(other.device.accountId), 'offline')
    }),
    test('available until the last device is gone, and told once', async ({ presence, announce, withdraw, told }) => {
      await announce(phone)
      await announce(laptop)
      await withdraw(phone)
      deepStrictEqual(presence.state(account), 'available')
      await withdraw(laptop)
      deepStrictEqual([presence.state(account), told], ['offline', ['available', 'offline']])
    }),
    test('connected while a channel is open', async ({ presence, announce, channel, told }) => {
      await announce(phone)
      channel(account, 1)
      deepStrictEqual(presence.state(account), 'connected')
      channel(account, 1)
      channel(account, -1)
      deepStrictEqual(presence.state(account), 'connected')
      channel(account, -1)
      deepStrictEqual([presence.state(account), told], ['available', ['available', 'connected', 'available']])
    }),
    test('a channel counts although the account is not announced', async ({ presence, announce, withdraw, channel, told }) => {
      channel(account, 1)
      await announce(phone)
      await withdraw(phone)
      deepStrictEqual([presence.state(account), told], ['connected', ['connected']])
      channel(account, -1)
      deepStrictEqual([presence.state(account), told], ['offline', ['connected', 'offline']])
    }),
    test('the state is what the event says while the event is told', async ({ presence, announce, channel }) => {
      const seen: [PresenceState, PresenceState][] = []
      presence.onChange((event) => seen.push([event.state, presence.state(event.account)]))
      await announce(phone)
      channel(account, 1)
      channel(account, -1)
      deepStrictEqual(seen, [['available', 'available'], ['connected', 'connected'], ['available', 'available']])
    }),
    test('a listener that throws keeps nothing from the others, and one that left hears nothing', async ({ presence, announce, withdraw }) => {
      const heard: PresenceState[] = []
      presence.onChange(() => {
        throw new Error('a listener of the test')
      })
      const off = presence.onChange(({ state }) => heard.push(state))
      await announce(phone)
      off()
      off()
      await withdraw(phone)
      deepStrictEqual(heard, ['available'])
    }),
    test('accounts are told apart', async ({ presence, announce, channel, told }) => {
      await announce(other)
      channel(other.device.accountId, 1)
      deepStrictEqual([presence.state(account), presence.state(other.device.accountId), told], ['offline', 'connected', []])
    }),
  ]
}
