// Messages in memory, by the contract suites of the real engine.
import { describe, expect, it } from 'vitest'
import { FakeMessageNetwork, MAX_FAKE_QUEUED } from './fake-messages.ts'
import { ManualClock } from './manual-clock.ts'
import { peerMessagesSuite } from './suites/peer-messages.ts'
import { serviceSuite } from './suites/service.ts'
import { testIdentity } from './test-identities.ts'

function make() {
  const clock = new ManualClock()
  return { clock, network: new FakeMessageNetwork({ clock }) }
}

describe('FakeMessageNetwork', () => {
  for (const { title, run } of peerMessagesSuite(async () => {
    const { clock, network } = make()
    const [a, b, b2] = [testIdentity(0), testIdentity(1), testIdentity(1, 1)].map(({ device }) => {
      const messages = network.messenger(device)
      return { messages, account: device.accountId, device: device.deviceId, stop: () => messages.stop() }
    })
    if (!a || !b || !b2) throw new Error('unreachable')
    for (const { messages } of [a, b, b2]) await messages.start()
    for (const { messages } of [b, b2]) messages.setReachable(false)
    const messenger = ({ device }: { device: typeof a.device }) => network.messengers.get(device)
    return {
      a, b, b2, maxQueued: MAX_FAKE_QUEUED,
      appear: async (who, options) => messenger(who)?.setReachable(true, options),
      vanish: async (who) => messenger(who)?.setReachable(false),
      drive: (work) => clock.run(work),
      settle: () => clock.advance(1000),
      dispose: async () => {
        await clock.advance(1000)
        expect(clock.pending()).toEqual([])
        expect(network.messengers.size).toBe(0)
      },
    }
  })) it(title, run)

  for (const { title, run } of serviceSuite(() => {
    const { clock, network } = make()
    return { service: network.messenger(testIdentity(0).device), drive: (work) => clock.run(work), leaks: () => [...network.messengers.keys(), ...clock.pending()] }
  })) it(`service: ${title}`, run)

  it('shows what was sent, opens channels on demand, and takes messages by hand', async () => {
    const { clock, network } = make()
    const [a, b] = [network.messenger(testIdentity(0).device), network.messenger(testIdentity(1).device)]
    await a.start()
    await b.start()
    network.meet(a.deviceId, b.deviceId)
    expect(a.connectedDevices(b.accountId)).toEqual([b.deviceId])
    expect(await a.send(b.accountId, { mime: 'x/y', body: 'z' }, { connectedOnly: true })).toBe(true)
    expect(network.sent).toEqual([{ from: a.accountId, fromDevice: a.deviceId, to: b.accountId, mime: 'x/y', body: 'z' }])
    const got: string[] = []
    b.handle('x/y', ({ body }) => void got.push(body))
    await b.receive({ from: a.accountId, fromDevice: a.deviceId, mime: 'x/y', body: 'by hand' })
    await clock.advance(1000)
    expect(got).toEqual(['by hand', 'z'])
  })
})
