// A hundred nodes on a simulated network that loses packets: what one puts, others get and hear.
import { silentLogger } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { Dht, InfoHash } from '@jamikit/core/contracts'
import { ManualClock, SeededRandom, SimNetwork, testCrypto } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { dht } from '../../src/dht.ts'

const NODES = process.env.JAMIKIT_SIM === 'full' ? 200 : 60

it(`DHT-57 ${NODES} nodes with 1 % loss: every put is got by a node that was not there when it was put`, async () => {
  const clock = new ManualClock()
  const random = new SeededRandom(11)
  const network = new SimNetwork({ clock, random, latencyMs: 20, lossRate: 0.01 } as ConstructorParameters<typeof SimNetwork>[0])
  const nodes: Dht[] = []
  const make = async (bootstrap: string[]): Promise<Dht> => {
    const host = network.host(`h${nodes.length}`)
    const node = dht()({ clock, random: new SeededRandom(1000 + nodes.length), crypto: testCrypto(), logger: silentLogger, network: host, bootstrap, port: 4222 })
    await node.start()
    nodes.push(node)
    return node
  }
  await make([])
  const entry = `${network.host('h0').addresses().find((a) => a.family === 4)?.host}:4222`
  for (let i = 1; i < NODES; i++) await make([entry])
  await clock.advance(60_000)
  const within = async <T>(work: Promise<T>): Promise<T> => {
    let done = false
    const watched = work.finally(() => { done = true })
    watched.catch(() => {})
    for (let i = 0; i < 120 && !done; i++) await clock.advance(500)
    return watched
  }
  let found = 0
  const puts = 20
  for (let i = 0; i < puts; i++) {
    const key = Buffer.from(random.bytes(20)).toString('hex') as InfoHash
    await within((nodes[1 + random.below(NODES - 1)] as Dht).put(key, { data: utf8(`value ${i}`) }))
    const reader = nodes[1 + random.below(NODES - 1)] as Dht
    const got = await within((async () => {
      const out: string[] = []
      for await (const v of reader.get(key, { timeoutMs: 50_000 })) out.push(new TextDecoder().decode(v.data))
      return out
    })())
    if (got.includes(`value ${i}`)) found++
  }
  for (const node of nodes) await node.stop()
  expect(found).toBe(puts)
})
