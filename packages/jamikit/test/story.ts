// One story of two accounts on the simulated network: request, accept, three messages, partition, a message written meanwhile,
// heal. Everything is real but sockets, time, randomness and key generation.
import type { Conversation, Message } from '@jamikit/core'
import { createTestNetwork } from 'jamikit/testing'
import { expect } from 'vitest'

/** Virtual time after the end of an outage within which its messages arrive. */
const RECOVERY_MS = 120_000

async function history(conversation: Conversation): Promise<Message[]> {
  const out: Message[] = []
  for await (const message of conversation.history({ order: 'oldest' })) out.push(message)
  return out
}

const texts = (messages: readonly Message[]) => messages.flatMap((message) => (message.type === 'text' ? [message.text] : []))

/** Tells the story of a seed: its latency, loss, address families and length of the partition. Gives the ids of the history. */
export async function story(seed: number): Promise<string[]> {
  const families = seed % 10 === 0 ? 'both' : seed % 2 === 0 ? 6 : 4
  const net = await createTestNetwork({ seed, latencyMs: 5 + ((seed * 7) % 50), lossRate: (seed % 4) * 0.01, families })
  const [alice, bob] = [await net.account('alice'), await net.account('bob')]
  await net.befriend(alice, bob)
  const [hers, his] = [await net.run(alice.conversations.with(bob.uri)), await net.run(bob.conversations.with(alice.uri))]
  expect(hers.id).toBe(his.id)

  const say = async (from: Conversation, to: typeof alice, text: string) => {
    const arriving = to.once('message', { filter: (message) => message.type === 'text' && message.text === text })
    const sent = await net.run(from.send(text))
    expect((await net.run(arriving)).id).toBe(sent.id)
  }
  await say(hers, bob, 'one')
  await say(his, alice, 'two')
  await say(hers, bob, 'three')

  net.partition([alice], [bob])
  const arriving = bob.once('message', { filter: (message) => message.type === 'text' && message.text === 'meanwhile' })
  const sent = await net.run(hers.send('meanwhile'))
  await net.advance([5_000, 60_000, 300_000][seed % 3] ?? 0)
  expect(texts(await net.run(history(his)))).toEqual(['one', 'two', 'three'])
  net.heal()
  expect((await net.run(arriving, RECOVERY_MS)).id).toBe(sent.id)
  await net.run(sent.delivered({ to: bob.uri }))

  const [a, b] = [await net.run(history(hers)), await net.run(history(his))]
  expect(texts(a)).toEqual(['one', 'two', 'three', 'meanwhile'])
  expect(a.map(({ id }) => id)).toEqual(b.map(({ id }) => id))
  expect(hers.head).toBe(his.head)

  await net[Symbol.asyncDispose]()
  await net.advance(60_000)
  expect(net.network.openSockets()).toEqual([])
  expect(net.clock.pending()).toEqual([])
  return a.map(({ id }) => id)
}
