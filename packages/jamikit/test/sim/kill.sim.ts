// kill -9, again and again: an echo bot loses its process at a random write (nothing after that write is on its disk, its packets go
// nowhere, no connection is closed) and starts anew on what is left. Nothing may be lost, and nothing answered twice.
import { type Account, JamiError, type JamiNode } from '@jamikit/core'
import { SeededRandom, testStorage } from '@jamikit/core/testing'
import { createTestNetwork } from 'jamikit/testing'
import { expect, it } from 'vitest'

const FULL = process.env.JAMIKIT_SIM === 'full'
/** In full: kill -9 at 200 random points of 500 arriving messages. */
const KILLS = FULL ? 200 : 50
const MESSAGES = 2.5 * KILLS
const SEEDS = FULL ? [1, 2, 3] : [1, 2]

it.each(SEEDS)(`a bot that is killed at ${KILLS} random points of ${MESSAGES} arriving messages answers every one once (seed %i)`, async (seed) => {
  const net = await createTestNetwork({ seed, lossRate: 0.005 })
  const random = new SeededRandom(`kill ${seed}`)
  const alice = await net.account('alice')
  const contents = { records: new Map<string, Uint8Array>(), files: new Map<string, Uint8Array>() }
  const dead: string[] = []
  let killsAtWrite = 0

  /** One life of the bot, on a host of its own. It dies at its `writes`-th write, or when `kill` is called. */
  async function live(life: number, writes: number): Promise<{ account: Account | undefined; kill: () => Promise<void> }> {
    const host = `bob-${life}`
    const storage = testStorage(contents)
    let left = writes
    let alive = true
    const die = () => {
      alive = false
      dead.push(host)
      net.network.partition(dead, ['alice', 'hub'])
    }
    storage.onWrite = () => {
      if (alive && left-- > 0) return
      if (alive) {
        killsAtWrite++
        die()
      }
      throw new JamiError('ERR_STORAGE_IO', 'the process is gone')
    }
    let node: JamiNode | undefined
    let account: Account | undefined
    try {
      node = await net.createNode({ host, storage })
      node.on('error', () => {}) // its disk is gone, as it should be
      account = await net.run(node.accounts.open('bob'))
      account.on('contact:request', (request) => request.accept())
      account.on('message', (message) => message.type === 'text' && message.conversation.send(`echo ${message.text}`, { idempotencyKey: message.id }))
    } catch (error) {
      if (alive) throw error
    }
    const kill = async () => {
      if (alive) die()
      await net.run(node?.close({ graceMs: 0 }).catch(() => {}) ?? Promise.resolve()) // only timers are left of it; nobody hears them
    }
    return { account, kill }
  }

  const first = await live(0, Number.POSITIVE_INFINITY)
  const bob = first.account?.uri ?? ''
  const conversation = await net.run(alice.contacts.add(bob))
  await net.clock.runUntil(() => conversation.members.some(({ uri, role }) => uri === bob && role === 'member'))
  await first.kill()

  const sent: string[] = []
  for (let life = 1; life <= KILLS; life++) {
    const { kill } = await live(life, 1 + random.below(30))
    while (sent.length < Math.floor((life * MESSAGES) / KILLS)) {
      sent.push(`message ${sent.length}`)
      await net.run(conversation.send(sent.at(-1) ?? ''))
      await net.advance(random.below(3000))
    }
    await net.advance(random.below(30_000))
    await kill()
  }
  expect(sent.length).toBe(MESSAGES)
  expect(killsAtWrite).toBeGreaterThan(KILLS / 4)
  console.log(`seed ${seed}: ${KILLS} kills, ${killsAtWrite} of them at a write, ${MESSAGES} messages`)

  const { account } = await live(KILLS + 1, Number.POSITIVE_INFINITY)
  await net.advance(1_800_000)
  const texts: string[] = []
  const read = async () => {
    for await (const message of conversation.history({ order: 'oldest' })) if (message.type === 'text') texts.push(message.text)
  }
  await net.run(read())
  expect(texts.filter((text) => !text.startsWith('echo '))).toEqual(sent)
  expect(texts.filter((text) => text.startsWith('echo ')).sort()).toEqual(sent.map((text) => `echo ${text}`).sort())
  const his = await net.run(account?.conversations.with(alice.uri) ?? Promise.reject(new Error('the bot does not start any more')))
  expect([his.id, his.head]).toEqual([conversation.id, conversation.head])
  await net[Symbol.asyncDispose]()
}, FULL ? 900_000 : 280_000)
