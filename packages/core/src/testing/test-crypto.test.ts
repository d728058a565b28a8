// The synchronous Crypto of tests, by the contract suite of the real one.
import { describe, expect, it } from 'vitest'
import { cryptoSuite } from './suites/crypto.ts'
import { spareKey, testCrypto } from './test-crypto.ts'

describe('testCrypto', () => {
  for (const { title, run } of cryptoSuite(() => ({ crypto: testCrypto(), keys: [spareKey(1), spareKey(2)] }))) it(title, run)

  it('repeats: the same keys and the same ciphertext each time', async () => {
    const [a, b] = [testCrypto(), testCrypto()]
    expect((await a.generateKey(4096)).pem).toBe((await b.generateKey(2048)).pem)
    const plain = new Uint8Array(1000)
    expect(await a.encryptFor(spareKey(0).publicKey, plain)).toEqual(await b.encryptFor(spareKey(0).publicKey, plain))
  })

  it('says when the pool is empty', async () => {
    const crypto = testCrypto({ firstKey: 1000 })
    await expect(crypto.generateKey(2048)).rejects.toMatchObject({ code: 'ERR_LIMIT' })
  })
})
