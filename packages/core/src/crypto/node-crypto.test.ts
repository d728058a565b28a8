// The real Crypto by its contract suite, against OpenDHT's vectors, and off the event loop.
import { describe, expect, it } from 'vitest'
import { base64, identities, vectorJson } from '../../test/vectors.ts'
import { toHex, utf8 } from '../codec/bytes.ts'
import { cryptoSuite } from '../testing/suites/crypto.ts'
import { sha256, sha512 } from './hash.ts'
import { privateKeyFromPem } from './keys.ts'
import { nodeCrypto } from './node-crypto.ts'
import { encryptForSync } from './rsa.ts'
import { CryptoWorker } from './worker.ts'

const crypto = nodeCrypto()
const all = identities()
const keys = [privateKeyFromPem(all.device.keyPem), privateKeyFromPem(all.selfSignedRsa2048.keyPem)] as const
const ARGON2 = { passes: 16, memoryKib: 65_536, lanes: 1, length: 32 }

describe('nodeCrypto', () => {
  for (const { title, run } of cryptoSuite(() => ({ crypto, keys }))) it(title, run, 60_000)

  it('DHT-49 stretches passwords as OpenDHT does', async () => {
    const { stretchKey } = vectorJson<{ stretchKey: { key: string; length: number; password: string; salt: string }[] }>('opendht-symmetric.json')
    const [first] = stretchKey
    if (!first) throw new Error('no vector')
    const tag = await crypto.argon2i(utf8(first.password), base64(first.salt), ARGON2)
    for (const { key, length } of stretchKey.slice(0, 2)) expect(toHex((length > 32 ? sha512 : sha256)(tag))).toBe(toHex(base64(key)))
  }, 60_000)

  it('ACC-16 DHT-49 derives the Argon2i tag of the checklist', async () => {
    const salt = new Uint8Array(16).map((_, i) => i)
    const tag = await crypto.argon2i(utf8('jami'), salt, ARGON2)
    expect(toHex(tag)).toBe('e6c610ef6861b43c01d213a7ccfc71f4adc0a7fa96c8e7d3f6d9969e7cb7202f')
    expect(toHex(sha256(tag))).toBe('3abe3725bc5d882fb426d97f9493c8cc7bf9d4f019aa9e9eb14e4839df81823d')
  }, 60_000)

  it('keeps slow work off the event loop', async () => {
    let turns = 0
    let running = true
    const count = () => {
      turns++
      if (running) setImmediate(count)
    }
    await crypto.decrypt(keys[0], encryptForSync(keys[0].publicKey, utf8('warm up')))
    count()
    const sealed = encryptForSync(keys[0].publicKey, utf8('x'))
    await Promise.all(Array.from({ length: 20 }, () => crypto.decrypt(keys[0], sealed)))
    await Promise.all(Array.from({ length: 20 }, () => crypto.sign(keys[0], utf8('x'))))
    await crypto.argon2i(utf8('x'), utf8('somesalt'), { ...ARGON2, passes: 1 })
    running = false
    expect(turns).toBeGreaterThan(40) // one turn per operation would be all, were they synchronous
  }, 60_000)

  it('Argon2i in the thread, as where Node has none of its own, leaves the event loop free', async () => {
    const worker = new CryptoWorker()
    let turns = 0
    let running = true
    const count = () => {
      turns++
      if (running) setImmediate(count)
    }
    count()
    const tag = await worker.run({ kind: 'argon2i', password: utf8('x'), salt: utf8('somesalt'), ...ARGON2, passes: 1 })
    running = false
    expect(turns).toBeGreaterThan(20) // a blocking derivation would leave one or two
    expect(tag).toEqual(await crypto.argon2i(utf8('x'), utf8('somesalt'), { ...ARGON2, passes: 1 }))
    await worker.stop()
  }, 60_000)

  it('ACC-S18 derives one key at a time', async () => {
    const order: number[] = []
    const derive = (n: number, passes: number) => crypto.argon2i(utf8('x'), utf8('somesalt'), { ...ARGON2, memoryKib: 4096, passes }).then(() => order.push(n))
    await Promise.all([derive(1, 40), derive(2, 1), derive(3, 1)])
    expect(order).toEqual([1, 2, 3])
  }, 60_000)

  it('a key that is none rejects with ERR_ARGUMENT', async () => {
    const broken = { pem: 'nothing', publicKey: new Uint8Array(0) }
    await expect(crypto.sign(broken, utf8('x'))).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(crypto.decrypt(broken, utf8('x'))).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  })
})

describe('CryptoWorker', () => {
  it('a thread that ends fails what it was doing, and the next job gets another one', async () => {
    const worker = new CryptoWorker()
    const job = { kind: 'argon2i', password: utf8('x'), salt: utf8('somesalt'), passes: 1, memoryKib: 65_536, lanes: 1, length: 32 } as const
    const lost = worker.run({ ...job, passes: 100 }).catch((error: { code: string }) => error.code)
    await worker.stop()
    expect(await lost).toBe('ERR_INTERNAL')
    expect(await worker.run({ ...job, memoryKib: 8 })).toHaveLength(32)
    await expect(worker.run({ ...job, memoryKib: 0 })).rejects.toMatchObject({ code: 'ERR_INTERNAL' })
    await worker.stop()
    await worker.stop()
  }, 30_000)
})
