// The real Crypto: every slow operation runs in libuv's thread pool or in the crypto thread, never on the event loop.
// docs/protocol/01 §5.2–5.5. Proof: crypto/node-crypto.test.ts with testing/suites/crypto.ts.
import { generateKeyPair, sign, verify } from 'node:crypto'
import { promisify } from 'node:util'
import { JamiError } from '../base/errors.ts'
import type { Crypto } from '../contracts/crypto.ts'
import { argon2i } from './argon2.ts'
import { asBuffer, privateKeyFromPem, privateKeyObject, rsaPublicKey } from './keys.ts'
import { encryptForSync, openBlock, splitCiphertext } from './rsa.ts'
import { CryptoWorker } from './worker.ts'

const generate = promisify(generateKeyPair)
const thread = new CryptoWorker()

/** One per process is enough; all share one thread. */
export function nodeCrypto(): Crypto {
  return shared
}

const shared: Crypto = {
  async generateKey(bits) {
    const { privateKey } = await generate('rsa', {
      modulusLength: bits,
      publicExponent: 65537,
      publicKeyEncoding: { type: 'spki', format: 'der' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    })
    return privateKeyFromPem(privateKey)
  },

  async sign(key, bytes) {
    const object = privateKeyObject(key)
    return new Promise((resolve, reject) => {
      sign('sha512', asBuffer(bytes), object, (error, signature) => (error ? reject(JamiError.from(error)) : resolve(new Uint8Array(signature))))
    })
  },

  verify: async (publicKey, bytes, signature) => {
    const key = rsaPublicKey(publicKey)
    if (!key) return false
    return new Promise((resolve) => {
      verify('sha512', asBuffer(bytes), key, asBuffer(signature), (error, ok) => resolve(!error && ok))
    })
  },

  async encryptFor(publicKey, plaintext) {
    return encryptForSync(publicKey, plaintext) // a public-key operation: well below a millisecond
  },

  async decrypt(key, ciphertext) {
    const object = privateKeyObject(key)
    const { block, rest } = splitCiphertext(object, ciphertext)
    return openBlock(await thread.run({ kind: 'rsa', key: object, block }), rest)
  },

  argon2i: (password, salt, options) => argon2i(password, salt, options),
}
