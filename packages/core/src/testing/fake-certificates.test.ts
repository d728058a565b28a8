// Certificates in memory, by the contract suite of the real directory.
import { describe, expect, it } from 'vitest'
import type { AccountUri } from '../contracts/ids.ts'
import { certificateKey } from '../identity/ids.ts'
import { FakeCertificates } from './fake-certificates.ts'
import { ManualClock } from './manual-clock.ts'
import { certificatesSuite } from './suites/certificates.ts'
import { testIdentity } from './test-identities.ts'

describe('FakeCertificates', () => {
  for (const { title, run } of certificatesSuite(() => {
    const clock = new ManualClock()
    const contacts = new Set<AccountUri>()
    const store = new FakeCertificates({ clock, isKnown: (account) => contacts.has(account) })
    return {
      store,
      know: (account) => contacts.add(account),
      async publish(chain, { as, at } = {}) {
        const [{ longId, shortId }] = as?.chain ?? chain
        store.publish(chain, ...(at === 'short id' ? [] : [certificateKey(longId as never)]), ...(at === 'id' ? [] : [shortId as never]))
      },
      revoke: async (i, device) => store.revoke(testIdentity(i, device).device.deviceId),
      drive: (work) => clock.run(work),
      advance: (ms) => clock.advance(ms),
      dispose: async () => expect(clock.pending()).toEqual([]),
    }
  })) it(title, run)

  it('what is known at the start needs no look-up', async () => {
    const { device } = testIdentity(0)
    const store = new FakeCertificates({ clock: new ManualClock(), known: [device.chain] })
    expect((await store.get(device.deviceId))?.accountId).toBe(device.accountId)
  })
})
