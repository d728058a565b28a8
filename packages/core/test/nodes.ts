// Whole nodes over the doubles of their modules, in virtual time: what tests of the public surface share.
import { expect } from 'vitest'
import { createJamiNode } from '../src/node/create-node.ts'
import type { JamiNode, NodeOptions } from '../src/node/api-node.ts'
import { FakeConnectionNetwork } from '../src/testing/fake-connections.ts'
import { FakeConversationNetwork } from '../src/testing/fake-conversations.ts'
import { FakeDhtNetwork } from '../src/testing/fake-dht.ts'
import { ManualClock } from '../src/testing/manual-clock.ts'
import { SeededRandom } from '../src/testing/seeded-random.ts'
import { SimNetwork } from '../src/testing/sim-network.ts'
import { testCrypto } from '../src/testing/test-crypto.ts'
import { testStorage } from '../src/testing/test-storage.ts'

/** Nodes that reach each other, all in memory. */
export function world() {
  const clock = new ManualClock()
  const random = new SeededRandom('nodes')
  const crypto = testCrypto({ random: random.fork('crypto') })
  const network = new SimNetwork({ clock, random: random.fork('network') })
  const [dht, links, conversations] = [new FakeDhtNetwork({ clock, crypto }), new FakeConnectionNetwork({ clock }), new FakeConversationNetwork({ clock })]
  let hosts = 0
  const options = (more: Partial<NodeOptions> = {}): NodeOptions => ({
    network: { bootstrap: [] },
    modules: { dht: () => dht.node(), connections: ({ identity, policy }) => links.manager({ identity, policy }), conversations: conversations.module() },
    runtime: { clock, random: random.fork(`node ${hosts}`), crypto, network: network.host(`host ${hosts++}`) },
    ...more,
  })
  const node = (more?: Partial<NodeOptions>) => clock.run(createJamiNode(options(more)))
  return { clock, options, node, run: <T>(work: Promise<T>) => clock.run(work), module: conversations.module() }
}

/** Two accounts that are contacts; Alice is called Alice. */
export async function friends() {
  const w = world()
  const storage = testStorage()
  const [hers, his] = [await w.node(), await w.node({ storage })]
  const [alice, bob] = [await w.run(hers.accounts.open('alice', { displayName: 'Alice' })), await w.run(his.accounts.open('bob', { displayName: 'Bob' }))]
  await w.run(Promise.all([alice.ready(), bob.ready()]))
  const asked = bob.once('contact:request')
  const chat = await w.run(alice.contacts.add(bob.uri))
  const his_ = await w.run((await w.run(asked)).accept())
  await w.clock.advance(5000)
  return { ...w, storage, hers, his, alice, bob, chat, hisChat: his_ }
}

export async function closeAll(w: { run: ReturnType<typeof world>['run']; clock: ManualClock }, ...nodes: JamiNode[]) {
  await w.run(Promise.all(nodes.map((node) => node.close())))
  await w.clock.advance(120_000)
  expect(w.clock.pending()).toEqual([])
}
