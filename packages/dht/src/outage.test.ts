// What a node was doing goes on after an outage: its listens and permanent puts find their way back without being asked.
import { silentLogger } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { InfoHash } from '@jamikit/core/contracts'
import { ManualClock, SeededRandom, SimNetwork, testCrypto } from '@jamikit/core/testing'
import { expect, it } from 'vitest'
import { dht } from './dht.ts'

const KEY = 'ab'.repeat(20) as InfoHash
const OTHER = 'cd'.repeat(20) as InfoHash
/** From the end of the outage on, with the bootstrap retried in between. */
const RECOVERY_MS = 100_000

it('a node that was cut off listens and refreshes again soon after it is back', async () => {
  const clock = new ManualClock()
  const random = new SeededRandom(1)
  const network = new SimNetwork({ clock, random: random.fork('network') })
  const node = (name: string) =>
    dht()({ clock, crypto: testCrypto(), random: random.fork(name), network: network.host(name), logger: silentLogger, bootstrap: name === 'first' ? [] : ['first:4222'], port: 4222 })
  const nodes = [node('first'), node('second'), node('third')] as const
  for (const one of nodes) await one.start()
  const [first, , third] = nodes
  await clock.runUntil(() => third.status().ipv4 === 'connected')
  const heard: string[] = []
  const controller = new AbortController()
  const listening = (async () => {
    for await (const { value } of third.listen(KEY, { signal: controller.signal })) heard.push(new TextDecoder().decode(value.data))
  })()
  await clock.run(third.put(OTHER, { data: utf8('kept') }, { permanent: true }))

  network.partition(['first', 'second'], ['third'])
  await clock.advance(300_000)
  expect(third.status().ipv4).not.toBe('connected')
  await clock.run(first.put(KEY, { data: utf8('meanwhile') }))
  network.heal()
  await clock.advance(RECOVERY_MS)
  expect(third.status().ipv4).toBe('connected')
  expect(heard).toEqual(['meanwhile'])
  const found: string[] = []
  await clock.run((async () => {
    for await (const { data } of first.get(OTHER)) found.push(new TextDecoder().decode(data))
  })())
  expect(found).toEqual(['kept'])

  controller.abort()
  await clock.run(Promise.all([listening, ...nodes.map((one) => one.stop())]))
  await clock.advance(5000)
  expect(network.openSockets()).toEqual([])
  expect(clock.pending()).toEqual([])
})
