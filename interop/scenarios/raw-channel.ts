// A protocol of our own between two of our nodes: nothing is lost, memory stays bounded; the daemon declines it.
import { must, rejection, type Scenario, type Stage } from '../lib/scenario.ts'
import type { Sdk, SdkStart } from '../lib/sdk.ts'

const PROTOCOL = 'blob/1'
/** What a transfer of any size may add to a process, MiB. */
const ALLOWED_GROWTH = 160

async function transfer(stage: Stage, from: Sdk, to: Sdk, mib: number): Promise<void> {
  for (const side of [from, to]) side.resetPeak()
  const before = [from.memory().rss, to.memory().rss] as const
  const result = (await from.child.request({ call: 'pump', args: [to.uri, PROTOCOL, mib * 2 ** 20] }, 600_000)) as { result?: { sent: string; received: string; mibPerSecond: number }; error?: string }
  must(result.error === undefined && result.result !== undefined, String(result.error))
  must(result.result.sent === result.result.received, `sent ${result.result.sent}, received ${result.result.received}`)
  const growth = [from.memory().peak - before[0], to.memory().peak - before[1]] as const
  stage.note({ mib, mibPerSecond: result.result.mibPerSecond, rssBefore: before.map(Math.round), peakGrowth: growth.map(Math.round) })
  must(Math.max(...growth) < ALLOWED_GROWTH, `memory grew by ${growth.map(Math.round).join(' and ')} MiB, allowed ${ALLOWED_GROWTH}`)
}

export const rawChannel: Scenario = {
  name: 'raw-channel',
  about: 'two of our nodes: 1 GiB (ci: 64 MiB) through a channel of their own protocol; the daemon declines that protocol',
  hosts: 4,
  budgetMs: { ci: 150_000, full: 600_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const mib = stage.full ? 1024 : 64
    const bootstrap = await stage.step('a DHT is up', () => stage.bootstrapNode())
    const start = (name: string): SdkStart => ({ bootstrap: [bootstrap], account: 'main', displayName: name })
    const [alice, bob] = await stage.step('two of our nodes announce their accounts', () =>
      Promise.all([stage.sdk('alice', 2, start('Alice')), stage.sdk('bob', 3, start('Bob'))]))
    await stage.step('one sends a contact request, the other accepts, clones and joins', async () => {
      const conversation = await alice.addContact(bob.uri)
      await bob.request(alice.uri)
      await bob.accept(alice.uri)
      await alice.joined(conversation, bob.uri)
      await alice.send(conversation, 'hello bob')
      await bob.heard(conversation, 'hello bob')
      await bob.send(conversation, 'hello alice')
      await alice.heard(conversation, 'hello alice')
    })
    await stage.step('a channel of a protocol that the other node does not serve is declined with ERR_CHANNEL_DECLINED', async () => {
      const refused = await rejection(alice.call('openChannel', bob.uri, PROTOCOL, 20_000))
      must(refused.code === 'ERR_CHANNEL_DECLINED', `code ${refused.code}: ${refused.message}`)
    })
    await stage.step(`${mib} MiB one way: same SHA-256, bounded memory`, async () => {
      await bob.call('handle', PROTOCOL)
      await transfer(stage, alice, bob, mib)
    }, { timeoutMs: 400_000 })
    await stage.step(`${mib / 4} MiB the other way`, async () => {
      await alice.call('handle', PROTOCOL)
      await transfer(stage, bob, alice, mib / 4)
    }, { timeoutMs: 200_000 })
    await stage.step('ICE-42 the daemon declines the protocol with ERR_CHANNEL_DECLINED, and the link lives on', async () => {
      const daemon = await stage.daemon('daemon', 4)
      await daemon.addAccount({ bootstrap, name: 'Dana' })
      const conversation = await alice.addContact(daemon.uri)
      await daemon.request(alice.uri)
      await daemon.accept(alice.uri)
      await alice.joined(conversation, daemon.uri)
      const links = await alice.links()
      const refused = await rejection(alice.call('openChannel', daemon.uri, PROTOCOL, 20_000))
      must(refused.code === 'ERR_CHANNEL_DECLINED', `code ${refused.code}: ${refused.message}`)
      must((await alice.links()) === links, 'the link is gone')
      await alice.send(conversation, 'still here')
      await daemon.heard(conversation, 'still here')
    })
    await stage.step('both nodes end by themselves after close()', async () => {
      await Promise.all([alice.stop(), bob.stop()])
    })
  },
}
