// Cryptography that is synchronous inside, so that virtual time needs no thread, and repeats: "generated" keys come from the
// stored throw-away pool, random bytes from a seed. Signatures and encryption are the real ones.
// Proof: testing/test-crypto.test.ts with testing/suites/crypto.ts.
import { argon2i } from '@noble/hashes/argon2.js'
import { JamiError, limitError } from '../base/errors.ts'
import type { Crypto } from '../contracts/crypto.ts'
import type { PrivateKey } from '../contracts/identity.ts'
import type { Random } from '../contracts/random.ts'
import { privateKeyFromPem } from '../crypto/keys.ts'
import { decryptSync, encryptForSync, rsaSignSync, rsaVerifySync } from '../crypto/rsa.ts'
import { SPARE_KEYS } from './identity-pool.ts'
import { pemOfKey } from './pool-pem.ts'
import { SeededRandom } from './seeded-random.ts'

const spare: (PrivateKey | undefined)[] = [] // bounded by SPARE_KEYS; parsed once per process

/** The i-th spare key of the pool: RSA-2048, of no test identity. @throws ERR_LIMIT past the end of the pool */
export function spareKey(i: number): PrivateKey {
  const stored = SPARE_KEYS[i]
  if (stored === undefined) throw limitError('keys from the throw-away pool', i + 1, SPARE_KEYS.length)
  spare[i] ??= privateKeyFromPem(pemOfKey(stored))
  return spare[i]
}

/**
 * `generateKey` hands out the spare keys in order, from `firstKey` on (RSA-2048, whatever size was asked for): nodes of one test
 * share one TestCrypto, or two of them would be the same account.
 */
export function testCrypto(options: { random?: Random; firstKey?: number } = {}): Crypto {
  const random = options.random ?? new SeededRandom('test crypto')
  const bytes = (length: number) => random.bytes(length)
  let next = options.firstKey ?? 0
  return {
    generateKey: async () => spareKey(next++),
    sign: async (key, message) => rsaSignSync(key, message),
    verify: async (publicKey, message, signature) => rsaVerifySync(publicKey, message, signature),
    encryptFor: async (publicKey, plaintext) => encryptForSync(publicKey, plaintext, bytes),
    decrypt: async (key, ciphertext) => decryptSync(key, ciphertext),
    async argon2i(password, salt, { passes, memoryKib, lanes, length }) {
      const good = passes >= 1 && passes <= 1000 && lanes >= 1 && lanes <= 64 && memoryKib >= 8 * lanes && memoryKib <= 1 << 20 && length >= 4 && length <= 1024
      if (!good || salt.length < 8) throw new JamiError('ERR_ARGUMENT', 'Argon2 parameters: got others, allowed those of RFC 9106 with at most 1 GiB')
      return argon2i(password, salt, { t: passes, m: memoryKib, p: lanes, dkLen: length, version: 0x13 })
    },
  }
}
