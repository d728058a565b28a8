// A hundred stories of two accounts, each with its own seed, latency and loss: request, accept, three messages, partition, a
// message written meanwhile, heal. Everything is real but sockets, time, randomness and key generation.
import { connect } from 'node:net'
import { createSocket } from 'node:dgram'
import type { Conversation, Message } from '@jamikit/core'
import { beforeAll, describe, expect, it } from 'vitest'
import { createTestNetwork } from '../src/testing.ts'
import { forbidSockets, socketUse } from './no-sockets.ts'

const STORIES = 100
const BUDGET_MS = 20_000

async function history(conversation: Conversation): Promise<Message[]> {
  const out: Message[] = []
  for await (const message of conversation.history({ order: 'oldest' })) out.push(message)
  return out
}

const texts = (messages: readonly Message[]) => messages.flatMap((message) => (message.type === 'text' ? [message.text] : []))

async function story(seed: number): Promise<{ heads: string; ids: string[] }> {
  await using net = await createTestNetwork({ seed, latencyMs: 5 + ((seed * 7) % 50), lossRate: (seed % 4) * 0.01 })
  const [alice, bob] = [await net.account('alice'), await net.account('bob')]
  await net.befriend(alice, bob)
  const [hers, his] = [await net.run(alice.conversations.with(bob.uri)), await net.run(bob.conversations.with(alice.uri))]
  expect(hers.id).toBe(his.id)

  const say = async (from: Conversation, to: typeof alice, text: string) => {
    const arriving = to.once('message', { filter: (message) => message.type === 'text' && message.text === text })
    const sent = await net.run(from.send(text))
    const got = await net.run(arriving)
    expect(got.id).toBe(sent.id)
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
  expect((await net.run(arriving)).id).toBe(sent.id)
  await net.run(sent.delivered({ to: bob.uri }))

  const [a, b] = [await net.run(history(hers)), await net.run(history(his))]
  expect(texts(a)).toEqual(['one', 'two', 'three', 'meanwhile'])
  expect(a.map(({ id }) => id)).toEqual(b.map(({ id }) => id))
  expect(hers.head).toBe(his.head)
  return { heads: String(hers.head), ids: a.map(({ id }) => id) }
}

describe('two accounts on the simulated network', () => {
  beforeAll(forbidSockets)

  it('cannot open a real socket', () => {
    expect(() => connect(9, '127.0.0.1')).toThrow('real socket')
    const socket = createSocket('udp4')
    expect(() => socket.bind(0)).toThrow('real socket')
    socket.close()
    expect(socketUse().slice(0, 2)).toEqual(['net.Socket.connect', 'dgram.Socket.bind'])
  })

  const started = process.cpuUsage()
  for (let seed = 1; seed <= STORIES; seed++) it(`story ${seed}`, () => story(seed))

  it('the same seed tells the same story, to the last commit id', async () => {
    expect(await story(1)).toEqual(await story(1))
  })

  it(`opens no socket and takes less than ${BUDGET_MS / 1000} s of processor time`, () => {
    expect(socketUse().slice(2)).toEqual([])
    const { user, system } = process.cpuUsage(started)
    expect((user + system) / 1000).toBeLessThan(BUDGET_MS)
  })
})
