// Files in memory, by the contract suite of the real ones.
import { describe, it } from 'vitest'
import { FakeConversationNetwork } from './fake-conversations.ts'
import { FakeTransferNetwork } from './fake-transfers.ts'
import { ManualClock } from './manual-clock.ts'
import { transfersSuite } from './suites/transfers.ts'
import { testIdentity } from './test-identities.ts'

describe('FakeTransferNetwork', () => {
  for (const { title, run } of transfersSuite(async () => {
    const clock = new ManualClock()
    const [conversations, files] = [new FakeConversationNetwork({ clock }), new FakeTransferNetwork({ clock })]
    const [alice, bob] = [testIdentity(0).device, testIdentity(1).device]
    const [hers, his] = [conversations.conversations(alice), conversations.conversations(bob)]
    await Promise.all([hers.start(), his.start()])
    const conversation = await hers.create({ mode: 0, peer: bob.accountId })
    await his.accept({ conversation: conversation, from: alice.accountId })
    await clock.advance(1000)
    const [a, b] = [files.transfers(alice.deviceId, hers), files.transfers(bob.deviceId, his)]
    await Promise.all([a.start(), b.start()])
    return {
      a, b, conversation,
      async text() {
        const message = await hers.append(conversation, { type: 'text/plain', fields: { body: 'x' } })
        await clock.advance(1000)
        return message
      },
      async reach(reachable) {
        a.reachable = reachable
      },
      drive: (work) => clock.run(work),
      settle: () => clock.advance(5000),
      async dispose() {
        await clock.run(Promise.all([a.stop(), b.stop(), hers.stop(), his.stop()]))
      },
    }
  })) it(title, run)
})
