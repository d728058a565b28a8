// A stranger with a UDP socket against one node, by its datagrams only; an honest peer is served within a second throughout.
import { silentLogger } from '@jamikit/core/base'
import { utf8 } from '@jamikit/core/codec'
import type { Crypto, DatagramSocket, InfoHash, SocketAddress } from '@jamikit/core/contracts'
import { ManualClock, SeededRandom, SimNetwork, spareKey, testCrypto } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { dht } from './dht.ts'
import { sealValue } from './secure/envelope.ts'
import { decodeMessage, encodeMessage } from './wire/message.ts'
import type { Value } from './wire/value.ts'

const KEY = 'ab'.repeat(20) as InfoHash
const OTHER = 'cd'.repeat(20) as InfoHash
const [me, friend, stranger] = [spareKey(0), spareKey(1), spareKey(2)] as const
const honest = testCrypto()

/** A target, an honest node connected with it, and a socket of a stranger who has a token. */
async function world() {
  const clock = new ManualClock()
  const random = new SeededRandom(1)
  const network = new SimNetwork({ clock, random: random.fork('network'), latencyMs: 10 })
  const calls = { verify: 0, decrypt: 0 }
  const crypto: Crypto = { ...honest, verify: (...args) => { calls.verify++; return honest.verify(...args) }, decrypt: (...args) => { calls.decrypt++; return honest.decrypt(...args) } }
  const node = (name: string, own: Crypto) =>
    dht()({ clock, crypto: own, random: random.fork(name), network: network.host(name, { ipv6: false }), logger: silentLogger, bootstrap: name === 'target' ? [] : ['target:4222'], port: 4222 })
  const [target, friendly] = [node('target', crypto), node('friendly', honest)]
  await target.start()
  await friendly.start()
  await clock.runUntil(() => friendly.status().ipv4 === 'connected' && target.status().ipv4 === 'connected')
  const socket: DatagramSocket = await network.host('mallory', { ipv6: false }).bindDatagram({ family: 4, port: 4222 })
  const to: SocketAddress = { host: network.host('target').ipv4 ?? '', port: 4222, family: 4 }
  const id = '77'.repeat(20) as InfoHash
  let token = new Uint8Array(0)
  let tid = 0
  let answers = 0
  const send = (name: 'find' | 'put', args: object) => {
    for (const d of encodeMessage({ kind: 'request', name, tid: ++tid, network: 0, client: false, args: { id, ...args } })) socket.send(d, to)
  }
  socket.onDatagram = (bytes) => {
    const m = decodeMessage(bytes)
    if (m.kind === 'reply') answers++
    if (m.kind === 'reply' && m.args.token) token = new Uint8Array(m.args.token)
  }
  send('find', { target: KEY })
  await clock.advance(1000)
  expect(token.length).toBeGreaterThan(0)
  const put = (key: InfoHash, values: readonly Value[]) => send('put', { h: key, token, values })
  const stop = async () => {
    await clock.run(Promise.all([target.stop(), friendly.stop()]))
    await socket.close()
  }
  const within = async <T>(ms: number, work: Promise<T>): Promise<T> => {
    const start = clock.now()
    const result = await clock.run(work)
    expect(clock.now() - start).toBeLessThanOrEqual(ms)
    return result
  }
  const texts = async (key: InfoHash) => {
    const out: string[] = []
    for await (const { data } of friendly.get(key)) out.push(new TextDecoder().decode(data))
    return out
  }
  return { clock, calls, target, friendly, put, stop, within, texts, answers: () => answers }
}

const forged = (text: string, id: bigint): Value =>
  ({ id, priority: 0, pushType: '', cypher: undefined, body: { type: 0, data: utf8(text), userType: '', owner: stranger.publicKey, seq: 0, to: undefined, signature: new Uint8Array(256) } })

describe('a stranger with a socket', () => {
  it('400 bad signatures a second: few are verified, and an honest signed value is stored and found within a second', async () => {
    const { clock, calls, friendly, put, stop, within, texts } = await world()
    const before = calls.verify
    for (let second = 0; second < 5; second++) {
      for (let i = 0; i < 400; i++) put(OTHER, [forged(`${second} ${i}`, BigInt(1 + second * 400 + i))])
      const { storedBy } = await within(1000, friendly.put(KEY, { data: utf8(`${second}`), id: BigInt(second + 1), sign: friend }))
      expect(storedBy).toBe(1)
      await clock.advance(1000)
    }
    expect((await within(1000, texts(KEY))).sort()).toEqual(Array.from({ length: 5 }, (_, i) => `${i}`))
    expect(await within(1000, texts(OTHER))).toEqual([])
    expect(calls.verify - before).toBeLessThan(1100) // of 2,005
    await stop()
  }, 60_000)

  it('400 bad signatures in one message count as 400', async () => {
    const { clock, calls, put, stop } = await world()
    const before = calls.verify
    for (let n = 0; n < 20; n++) {
      put(OTHER, Array.from({ length: 400 }, (_, i) => forged(`${n} ${i}`, BigInt(1 + n * 400 + i))))
      await clock.advance(10)
    }
    await clock.advance(2000)
    expect(calls.verify - before).toBeLessThan(500)
    await stop()
  }, 60_000)

  it('a put that nobody had time to verify is not acknowledged', async () => {
    const { clock, put, stop, answers } = await world()
    const before = answers()
    for (let i = 0; i < 600; i++) put(OTHER, [forged(`${i}`, BigInt(i + 1))])
    await clock.advance(500)
    expect(answers() - before).toBeGreaterThan(0)
    expect(answers() - before).toBeLessThan(200)
    await stop()
  }, 60_000)

  it('one ciphertext under 5,000 ids at a key we listen on: opened once, and a new request is told within a second', async () => {
    const { clock, calls, target, friendly, put, stop, within } = await world()
    const heard: string[] = []
    const controller = new AbortController()
    const listening = (async () => {
      for await (const { value, expired } of target.listen(KEY, { decryptWith: me, signal: controller.signal })) if (!expired) heard.push(new TextDecoder().decode(value.data))
    })()
    const old = await sealValue(honest, 1n, { data: utf8('old request'), sign: friend, encryptTo: me.publicKey })
    for (let second = 0; second < 10; second++) {
      for (let i = 0; i < 500; i++) put(KEY, [{ ...old, id: BigInt(1 + second * 500 + i) }])
      await within(1000, friendly.put(KEY, { data: utf8(`request ${second}`), id: BigInt(100_000 + second), sign: friend, encryptTo: me.publicKey }))
      await clock.advance(10)
      expect(heard).toContain(`request ${second}`)
      await clock.advance(1000)
    }
    expect(heard).toEqual(['old request', ...Array.from({ length: 10 }, (_, i) => `request ${i}`)])
    expect(calls.decrypt).toBe(11)
    controller.abort()
    await clock.run(listening)
    await stop()
  }, 60_000)
})
