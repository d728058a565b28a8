// Whose values are kept, shown and driven out: nobody's masses hide, replace or displace what others put.
import { encodeMsgpack, utf8 } from '@jamikit/core/codec'
import type { Certificate, InfoHash } from '@jamikit/core/contracts'
import { certificateKey, chainToPem, issueDeviceCertificate } from '@jamikit/core/identity'
import { ManualClock, SeededRandom, testCrypto, testIdentity } from '@jamikit/core/testing'
import { describe, expect, it } from 'vitest'
import { at, clear, idOf, KEY, Probe } from '../../test/probe.ts'
import { MAX_CERTIFICATES_PER_KEY, MAX_REPLY_BYTES, MAX_STORE_BYTES, MAX_VALUES_PER_KEY, NO_ROOM } from '../defaults.ts'
import { mayReplace } from './policies.ts'
import { ValueStore } from './value-store.ts'
import type { Value } from '../wire/value.ts'

const from = (network: string, host = '1') => ({ createdMs: 0, source: `${network}.${host}`, network })
const ids = (values: readonly Value[]) => values.map((v) => v.id)

describe('what an answer shows', () => {
  it('of every network in turn, the newest first: old junk does not hide what others put later', () => {
    const store = new ValueStore(MAX_STORE_BYTES)
    for (let i = 1; i <= 5000; i++) store.put(KEY, clear(BigInt(i), 'x'.repeat(1000)), 0, from('10.6.0', String(i % 100)))
    store.put(KEY, clear(7001n, 'news'), 0, from('10.7.0'))
    store.put(KEY, clear(7002n, 'news'), 0, from('10.8.0'))
    store.put(KEY, clear(7003n, 'newer'), 0, from('10.8.0'))
    const shown = ids(store.select(KEY, {}, 4096, MAX_REPLY_BYTES))
    expect(shown.slice(0, 6)).toEqual([5000n, 7001n, 7003n, 4999n, 7002n, 4998n])
    expect(shown.length).toBeGreaterThan(1000)
    expect(ids(store.select(KEY, { type: 0 }, 3, MAX_REPLY_BYTES))).toEqual([5000n, 7001n, 7003n])
  })

  it('one value is found by its id among many, and an edit counts as new', () => {
    const store = new ValueStore(MAX_STORE_BYTES)
    const owner = new Uint8Array(294).fill(1)
    const signed = (seq: number): Value => ({ ...clear(3n, ''), body: { type: 0, data: Uint8Array.of(seq), userType: '', owner, seq, to: undefined, signature: new Uint8Array(256) } })
    for (let i = 1; i <= 9; i++) store.put(KEY, i === 3 ? signed(1) : clear(BigInt(i), 'x'), 0, from('10.6.0'))
    expect(store.put(KEY, signed(2), 0, from('10.6.0'))).toBe('edited')
    expect([ids(store.select(KEY, { id: 5n }, 9, 999)), ids(store.select(KEY, {}, 2, 999)), store.values(KEY).length]).toEqual([[5n], [3n, 9n], 9])
  })
})

describe('a full key', () => {
  it('the network with most gives to somebody else, and is itself refused', () => {
    const store = new ValueStore(MAX_STORE_BYTES)
    for (let i = 1; i <= MAX_VALUES_PER_KEY; i++) store.put(KEY, clear(BigInt(i), ''), 0, from(i % 4 === 0 ? '10.5.0' : '10.6.0'))
    expect(store.put(KEY, clear(100_000n, 'more'), 0, from('10.6.0', '77'))).toBe('full')
    expect(store.put(KEY, clear(100_001n, 'honest'), 0, from('10.7.0'))).toBe('stored')
    expect([store.values(KEY).length, store.get(KEY, 100_001n)?.source, store.get(KEY, 1n)]).toEqual([MAX_VALUES_PER_KEY, '10.7.0.1', undefined])
  }, 20_000)

  it('over the wire: what one address puts in masses leaves somebody else room, before and after', () => {
    const p = new Probe({ maxStoreBytes: 256 << 10 })
    const [bad, honest] = [at('10.6.0.1'), at('10.7.0.1')]
    const outcome = (host: typeof bad, token: Uint8Array, value: Value, key = KEY) => p.outcome('put', { h: key, values: [value], token }, host)
    expect(outcome(honest, p.token(honest), clear(1n, 'before'))).toBe('ok')
    const token = p.token(bad)
    for (let i = 0; i < 1500; i++) {
      outcome(bad, token, clear(BigInt(i + 10), 'junk'), idOf(1 + (i % 500)))
      if (i % 700 === 699) p.now += 2000
    }
    p.now += 2000
    expect([outcome(honest, p.token(honest), clear(2n, 'after')), p.values(KEY, honest).map((v) => v.id)]).toEqual(['ok', [2n, 1n]])
  }, 20_000)

  it('in a full store the network that has most gives, however many addresses it has', () => {
    const store = new ValueStore(200_000)
    store.put(KEY, clear(1n, 'x'.repeat(20_000)), 0, from('10.7.0'))
    for (let i = 0; i < 2000; i++) {
      store.put(idOf(i + 1), clear(BigInt(i + 2), 'x'.repeat(300)), 0, from('10.6.0', String(i % 250)))
      store.expire(0)
    }
    expect(store.get(KEY, 1n)).toBeDefined() // no single source of the other network had as much
    expect(store.bytes).toBeLessThanOrEqual(200_000)
  })
})

describe('certificates', () => {
  const { chain, deviceId, deviceShortId } = testIdentity(0).device
  const pem = chainToPem(chain)
  const certificate = (text: string): Value => ({ ...clear(1n, '', 8), body: { type: 8, data: encodeMsgpack(utf8(text)), userType: '', owner: undefined, seq: 0, to: undefined, signature: undefined } })
  const real = certificate(pem)
  /** The same certificate with another signature: a bit of its last bytes is turned. */
  const madeUp = (bit: number) => {
    const [leaf = '', ...rest] = pem.split(/(?<=-----END CERTIFICATE-----\r?\n?)/)
    const body = leaf.replace(/-----[^-]+-----/g, '').replace(/\s/g, '')
    const der = Buffer.from(body, 'base64')
    der[der.length - 1 - (bit >> 3)] = (der[der.length - 1 - (bit >> 3)] ?? 0) ^ (1 << (bit & 7))
    return certificate([`-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`, ...rest].join(''))
  }
  const key = certificateKey(deviceId)
  const shown = (p: Probe) => p.engine.ownValues(key).map((v) => Buffer.from(v.body?.data ?? []).toString('hex'))
  const hex = (v: Value) => Buffer.from(v.body?.data ?? []).toString('hex')

  it('one with a made-up signature does not replace the real one, nor keep it away when it came first', () => {
    for (const order of [[real, madeUp(3)], [madeUp(3), real]]) {
      const p = new Probe()
      for (const [i, value] of order.entries()) expect(p.outcome('put', { h: key, values: [value], token: p.token(at(`10.${i}.0.1`)) }, at(`10.${i}.0.1`))).toBe('ok')
      expect(shown(p)).toContain(hex(real))
    }
  })

  it('many made-up ones of one network are refused after its share, and the real one is kept and found by its id', () => {
    const p = new Probe()
    const outcomes = Array.from({ length: 40 }, (_, i) => p.outcome('put', { h: key, values: [madeUp(i)], token: p.token(at(`10.6.0.${i}`)) }, at(`10.6.0.${i}`)))
    expect([outcomes.filter((o) => o === 'ok').length, outcomes.at(-1)]).toEqual([MAX_CERTIFICATES_PER_KEY / 4, NO_ROOM])
    expect(p.outcome('put', { h: key, values: [real], token: p.token(at('10.7.0.1')) }, at('10.7.0.1'))).toBe('ok')
    expect(shown(p)).toContain(hex(real))
  })

  it('a renewal of the same issuer replaces it when its signature was checked, not before', async () => {
    const renewed = certificate(`${pem}\n`) // other bytes, the same certificates
    expect([mayReplace(real, renewed, true), mayReplace(real, renewed, false), mayReplace(clear(1n, 'x'), renewed, true)]).toEqual([true, false, false])
    const other = testIdentity(1)
    const account = other.device.chain[1] as Certificate
    const env = { clock: new ManualClock(), crypto: testCrypto(), random: new SeededRandom(1) }
    const leaf = await issueDeviceCertificate(env, { accountKey: other.accountKey, account, devicePublicKey: chain[0].publicKey })
    const elsewhere = certificate(chainToPem([leaf, ...other.device.chain.slice(1)])) // the same key, certified by somebody else
    expect([mayReplace(real, elsewhere, true), mayReplace(elsewhere, real, true)]).toEqual([false, false])
    const p = new Probe()
    const put = (value: Value, vouched?: ReadonlySet<Value>) => {
      const { datagrams } = p.request('put', { h: deviceShortId, values: [value], token: p.token(at('10.6.0.1')) })
      let last: ReturnType<Probe['engine']['receive']>
      for (const d of datagrams) last = p.engine.receive(d, at('10.6.0.1'), p.now) ?? last
      if (last) p.engine.process(last, new Set(), p.now, vouched && new Set(last.unverified))
      return p.engine.ownValues(deviceShortId as unknown as InfoHash).length
    }
    expect([put(real), put(renewed), put(certificate(`${pem}\n\n`), new Set())]).toEqual([1, 2, 2])
  })
})
