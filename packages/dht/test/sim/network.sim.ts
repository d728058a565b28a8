// A hundred nodes on a simulated network that loses packets: what one puts, others get and hear.
import { silentLogger } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { Dht, InfoHash } from '@jamikit/core/contracts'
import { ManualClock, SeededRandom, SimNetwork, testCrypto } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { dht } from '../../src/dht.ts'

const NODES = process.env.JAMIKIT_SIM === 'full' ? 200 : 60

it(`${NODES} nodes with 1 % loss: every put is got by a node that was not there when it was put`, async () => {
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

it('DHT-57 32 nodes with 1 % loss: 1,000 values are got and heard, with 1 failure in 1,000 at most', async () => {
  const clock = new ManualClock()
  const random = new SeededRandom(12)
  const network = new SimNetwork({ clock, random, latencyMs: 1, lossRate: 0.01 } as ConstructorParameters<typeof SimNetwork>[0])
  const nodes: Dht[] = []
  for (let i = 0; i < 32; i++) {
    const node = dht()({ clock, random: new SeededRandom(2000 + i), crypto: testCrypto(), logger: silentLogger, network: network.host(`h${i}`), bootstrap: i === 0 ? [] : ['h0:4222'], port: 4222 })
    await node.start()
    nodes.push(node)
  }
  await clock.advance(60_000)
  const pick = (): Dht => nodes[random.below(nodes.length)] as Dht
  const text = async (values: AsyncIterable<{ data: Uint8Array }>): Promise<string[]> => {
    const out: string[] = []
    for await (const { data } of values) out.push(new TextDecoder().decode(data))
    return out
  }
  let put = 0
  let got = 0
  let heard = 0
  for (let round = 0; round < 50; round++) {
    await clock.run(Promise.all(Array.from({ length: 20 }, async (_, i) => {
      const key = Buffer.from(random.bytes(20)).toString('hex') as InfoHash
      const expected = `${round} ${i}`
      const controller = new AbortController()
      const listening = (async () => {
        for await (const { value } of pick().listen(key, { signal: controller.signal })) if (new TextDecoder().decode(value.data) === expected) return true
        return false
      })()
      await pick().put(key, { data: utf8(expected) }, { timeoutMs: 30_000 })
      put++
      if ((await text(pick().get(key, { timeoutMs: 30_000 }))).includes(expected)) got++
      clock.after(10_000, () => controller.abort())
      if (await listening) heard++
      controller.abort()
    })))
  }
  await clock.run(Promise.all(nodes.map((node) => node.stop())))
  expect(put).toBe(1000)
  expect(got).toBeGreaterThanOrEqual(999)
  expect(heard).toBeGreaterThanOrEqual(999)
})
