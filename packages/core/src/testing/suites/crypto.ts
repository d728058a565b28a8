// Contract suite of Crypto: the real one and the synchronous one of tests.
import { deepStrictEqual, notDeepStrictEqual, ok } from 'node:assert/strict'
import { concatBytes, fromHex, toHex, utf8 } from '../../codec/bytes.ts'
import type { Crypto } from '../../contracts/crypto.ts'
import type { PrivateKey } from '../../contracts/identity.ts'
import { type ContractTest, rejectsWith, sameBytes } from './contract-test.ts'

/** Cryptography, and keys to use. */
export interface CryptoUnderTest {
  /** The one under test. */
  readonly crypto: Crypto
  /** Two different RSA keys. */
  readonly keys: readonly [PrivateKey, PrivateKey]
}

/** SPKI of RSA keys with these numbers, whether or not anybody could sign with them. */
function rsaKey(modulus: bigint, exponent: bigint): Uint8Array {
  const der = (tag: number, body: Uint8Array) => concatBytes(Uint8Array.of(tag, ...(body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 255])), body)
  const integer = (n: bigint) => {
    const hex = n.toString(16)
    const bytes = fromHex(hex.length % 2 ? `0${hex}` : hex)
    return der(0x02, (bytes[0] ?? 0) >= 0x80 ? concatBytes(Uint8Array.of(0), bytes) : bytes)
  }
  const key = der(0x30, concatBytes(integer(modulus), integer(exponent)))
  return der(0x30, concatBytes(fromHex('300d06092a864886f70d0101010500'), der(0x03, concatBytes(Uint8Array.of(0), key))))
}

/** SPKI of the P-256 generator point as a public key. */
const EC_KEY = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5')

/** What a Crypto must do, as tests to run one by one. @param make makes a fresh one for each test */
export function cryptoSuite(make: () => CryptoUnderTest | Promise<CryptoUnderTest>): ContractTest[] {
  const test = (title: string, run: (t: CryptoUnderTest) => Promise<void>): ContractTest => ({ title, run: async () => run(await make()) })
  const message = utf8('exactly these bytes')
  return [
    test('generateKey() gives a key that signs, with PKCS#8 PEM and SPKI', async ({ crypto }) => {
      const key = await crypto.generateKey(2048)
      ok(key.pem.startsWith('-----BEGIN PRIVATE KEY-----'))
      ok(await crypto.verify(key.publicKey, message, await crypto.sign(key, message)))
    }),
    test('a signature verifies for its bytes and key, and for nothing else', async ({ crypto, keys: [key, other] }) => {
      const signature = await crypto.sign(key, message)
      deepStrictEqual(await crypto.verify(key.publicKey, message, signature), true)
      deepStrictEqual(await crypto.verify(other.publicKey, message, signature), false)
      for (const at of [0, message.length - 1]) {
        const changed = message.slice()
        changed[at] = (changed[at] ?? 0) ^ 1
        deepStrictEqual(await crypto.verify(key.publicKey, changed, signature), false)
      }
      const broken = signature.slice()
      broken[signature.length - 1] = (broken[signature.length - 1] ?? 0) ^ 1
      deepStrictEqual(await crypto.verify(key.publicKey, message, broken), false)
    }),
    test('signatures are deterministic, as PKCS#1 v1.5 is', async ({ crypto, keys: [key] }) => {
      sameBytes(await crypto.sign(key, message), await crypto.sign(key, message))
      sameBytes(await crypto.sign(key, new Uint8Array(0)), await crypto.sign(key, new Uint8Array(0)))
    }),
    test('verify() is false for what is no key or no signature', async ({ crypto, keys: [key] }) => {
      const signature = await crypto.sign(key, message)
      for (const bad of [new Uint8Array(0), message, EC_KEY, key.publicKey.subarray(1), new Uint8Array(70_000)]) deepStrictEqual(await crypto.verify(bad, message, signature), false)
      for (const bad of [new Uint8Array(0), signature.subarray(1), new Uint8Array(70_000)]) deepStrictEqual(await crypto.verify(key.publicKey, message, bad), false)
    }),
    test('keys that cost more than real ones, or are no keys, are used for nothing', async ({ crypto }) => {
      const odd = (bits: number) => (1n << BigInt(bits - 1)) + 0x1234_5679n
      for (const [modulus, exponent] of [[3072, odd(3070)], [3072, (1n << 32n) + 1n], [3072, 65_536n], [3072, 1n], [2047, 65_537n], [8193, 65_537n]] as const) {
        const key = rsaKey(odd(modulus), exponent)
        deepStrictEqual(await crypto.verify(key, message, new Uint8Array(Math.ceil(modulus / 8)).fill(0x11)), false)
        await rejectsWith('ERR_ARGUMENT', crypto.encryptFor(key, message))
      }
      ok((await crypto.encryptFor(rsaKey(odd(3072), (1n << 32n) - 1n), message)).length === 384) // the forms are right, only the numbers differ
    }),
    test('what is encrypted for a key opens with it, in both forms', async ({ crypto, keys: [key] }) => {
      for (const length of [0, 1, 245, 246, 501, 502, 5000]) {
        const plain = new Uint8Array(length).map((_, i) => i * 31)
        const sealed = await crypto.encryptFor(key.publicKey, plain)
        sameBytes(await crypto.decrypt(key, sealed), plain)
      }
    }),
    test('the short form has the size of the modulus, the long one 28 bytes of overhead', async ({ crypto, keys: [key] }) => {
      const small = await crypto.encryptFor(key.publicKey, new Uint8Array(100))
      ok(small.length === 256 || small.length === 512, `length ${small.length}`)
      deepStrictEqual((await crypto.encryptFor(key.publicKey, new Uint8Array(1000))).length, small.length + 1000 + 28)
      notDeepStrictEqual(await crypto.encryptFor(key.publicKey, message), await crypto.encryptFor(key.publicKey, message))
    }),
    test('decrypt() refuses other keys, changes and cuts with one and the same error', async ({ crypto, keys: [key, other] }) => {
      const sealed = await crypto.encryptFor(key.publicKey, new Uint8Array(1000))
      await rejectsWith('ERR_SIGNATURE', crypto.decrypt(other, sealed))
      for (const at of [0, 300, sealed.length - 1]) {
        const changed = sealed.slice()
        changed[at] = (changed[at] ?? 0) ^ 1
        await rejectsWith('ERR_SIGNATURE', crypto.decrypt(key, changed))
      }
      for (const length of [0, 1, 200, sealed.length - 1]) await rejectsWith('ERR_SIGNATURE', crypto.decrypt(key, sealed.subarray(0, length)))
      await rejectsWith('ERR_SIGNATURE', crypto.decrypt(key, new Uint8Array(512).fill(0xff)))
    }),
    test('encryptFor() refuses what is not an RSA key', async ({ crypto }) => {
      await rejectsWith('ERR_ARGUMENT', crypto.encryptFor(EC_KEY, message))
      await rejectsWith('ERR_ARGUMENT', crypto.encryptFor(message, message))
    }),
    test('argon2i() computes Argon2i 0x13', async ({ crypto }) => {
      const options = { passes: 2, memoryKib: 256, lanes: 1, length: 32 } // a vector of the reference implementation's own tests
      const first = await crypto.argon2i(utf8('password'), utf8('somesalt'), options)
      deepStrictEqual(toHex(first), '89e9029f4637b295beb027056a7336c414fadd43f6b208645281cb214a56452f')
    }),
    test('argon2i() refuses parameters it must not run', async ({ crypto }) => {
      const good = { passes: 1, memoryKib: 8, lanes: 1, length: 32 }
      await rejectsWith('ERR_ARGUMENT', crypto.argon2i(message, utf8('short'), good))
      await rejectsWith('ERR_ARGUMENT', crypto.argon2i(message, utf8('long enough'), { ...good, passes: 0 }))
      await rejectsWith('ERR_ARGUMENT', crypto.argon2i(message, utf8('long enough'), { ...good, memoryKib: 1 << 24 }))
    }),
  ]
}
