// What the shell adds to the engine: nothing is left behind by puts, a node that lies does not hide what others have, junk does not
// keep news out, and a listener gets its edits. Three nodes on the simulated network, in virtual time.
import { silentLogger } from '@jamikit/core/base'
import { fromHex, utf8 } from '@jamikit/core/codec'
import type { InfoHash, Network, SocketAddress } from '@jamikit/core/contracts'
import { ManualClock, SeededRandom, SimNetwork, spareKey, testCrypto } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { MAX_LISTENED_VALUES, MAX_SEARCHES } from './defaults.ts'
import { dht } from './dht.ts'
import { sealValue } from './secure/envelope.ts'
import { decodeMessage, encodeMessage } from './wire/message.ts'
import { encodeValue, type Value } from './wire/value.ts'

/** At once: below what one source may ask in a second. */
const PUTS = 200
const KEY = 'ab'.repeat(20) as InfoHash

function world() {
  const clock = new ManualClock()
  const random = new SeededRandom(1)
  const network = new SimNetwork({ clock, random: random.fork('network') })
  const crypto = testCrypto({ random: random.fork('crypto') })
  const only4 = (n: Network): Network => ({ ...n, addresses: () => n.addresses(), resolve: async (h, o) => (await n.resolve(h, o)).filter((a) => a.family === 4), bindDatagram: (o) => n.bindDatagram(o) } as Network)
  const node = (name: string, options: { v4?: boolean } = {}) =>
    dht()({ clock, crypto, random: random.fork(name), network: options.v4 ? only4(network.host(name)) : network.host(name), logger: silentLogger, bootstrap: name === 'first' ? [] : ['first:4222'], port: 4222 })
  return { clock, network, crypto, node }
}

async function pair(options: { v4?: boolean } = {}) {
  const w = world()
  const [first, second] = [w.node('first', options), w.node('second', options)]
  for (const one of [first, second]) await one.start()
  await w.clock.runUntil(() => first.status().ipv4 === 'connected' && second.status().ipv4 === 'connected')
  const stop = () => w.clock.run(Promise.all([first.stop(), second.stop()]))
  return { ...w, first, second, stop }
}

describe('what a put leaves behind', () => {
  it('nothing, where only one family has nodes: more puts than searches are allowed', async () => {
    const { clock, second, stop } = await pair({ v4: true })
    expect(second.status()).toEqual({ ipv4: 'connected', ipv6: 'disconnected' })
    const rounds = Math.ceil((MAX_SEARCHES + 100) / PUTS)
    for (let round = 0; round < rounds; round++) {
      await clock.run(Promise.all(Array.from({ length: PUTS }, (_, i) => second.put((round * PUTS + i + 1).toString(16).padStart(40, '0') as InfoHash, { data: utf8('x') }, { timeoutMs: 60_000 }))))
      await clock.advance(1500)
    }
    await stop()
  }, 120_000)
})

describe('listens', () => {
  it('DHT-55 an edit with a higher number is told, one with a lower number is not', async () => {
    const { clock, crypto, first, second, stop } = await pair()
    const heard: string[] = []
    const controller = new AbortController()
    const listening = (async () => {
      for await (const { value, expired } of second.listen(KEY, { signal: controller.signal })) if (!expired) heard.push(new TextDecoder().decode(value.data))
    })()
    const put = async (seq: number, text: string) => {
      const key = spareKey(0)
      const draft = await sealValue(crypto, 5n, { data: utf8(text), sign: key })
      const body = draft.body && { ...draft.body, seq }
      const { encodeBody } = await import('./wire/value.ts')
      const value: Value = { ...draft, body: body && { ...body, signature: await crypto.sign(key, encodeBody(body)) } }
      await clock.run(first.put(KEY, { packed: encodeValue(value) }))
      await clock.advance(1000)
    }
    await put(1, 'one')
    await put(3, 'three')
    await put(2, 'two')
    expect(heard).toEqual(['one', 'three'])
    controller.abort()
    await clock.run(listening)
    await stop()
  })

  it('junk does not keep news out', async () => {
    const { clock, first, second, stop } = await pair()
    const heard: string[] = []
    const controller = new AbortController()
    const listening = (async () => {
      for await (const { value } of second.listen(KEY, { signal: controller.signal, userType: 'news' })) heard.push(value.userType)
    })()
    await clock.advance(1000)
    for (let i = 0; i < MAX_LISTENED_VALUES + 100; i += PUTS) {
      await clock.run(Promise.all(Array.from({ length: PUTS }, (_, n) => first.put(KEY, { data: utf8(`${i + n}`), userType: 'news', id: BigInt(i + n + 1) }, { timeoutMs: 60_000 }))))
      await clock.advance(1500)
    }
    expect(heard.length).toBeGreaterThan(MAX_LISTENED_VALUES)
    controller.abort()
    await clock.run(listening)
    await stop()
  }, 120_000)
})

describe('gets', () => {
  it('a node that invents values under an id does not hide the one that others have', async () => {
    const { clock, network, first, second, stop } = await pair()
    await clock.run(first.put(KEY, { data: utf8('true'), id: 1n }))
    // a third that answers every get with a hundred contents of id 1, and is the closest to the key
    const liar = await network.host('liar').bindDatagram({ family: 4, port: 4222 })
    const id = `${KEY.slice(0, 38)}ac` as InfoHash
    const lies: Value[] = Array.from({ length: 45 }, (_, i) => ({ id: 1n, priority: 0, pushType: '', cypher: undefined, body: { type: 0, data: utf8(`${i}`), userType: '', owner: undefined, seq: 0, to: undefined, signature: undefined } }))
    liar.onDatagram = (bytes, from) => {
      const m = decodeMessage(bytes)
      if (m.kind !== 'request') return
      const args = { id, sa: fromHex('0a000001'), token: utf8('t'), ...(m.name === 'get' ? { values: lies } : {}) }
      for (const d of encodeMessage({ kind: 'reply', tid: m.tid, network: 0, client: false, args })) liar.send(d, from)
    }
    const to = (network.host('second').addresses() as { host: string; family: 4 | 6 }[]).find((a) => a.family === 4)
    liar.send(encodeMessage({ kind: 'request', name: 'ping', tid: 1, network: 0, client: false, args: { id } })[0] ?? new Uint8Array(0), { host: to?.host ?? '', port: 4222, family: 4 } as SocketAddress)
    await clock.advance(1000)
    const found: string[] = []
    await clock.run((async () => {
      for await (const { data } of second.get(KEY)) found.push(new TextDecoder().decode(data))
    })())
    expect(found).toContain('true')
    expect(found.length).toBeGreaterThan(1) // the liar was asked, too
    expect(found.length).toBeLessThan(10)
    await liar.close()
    await stop()
  })
})
