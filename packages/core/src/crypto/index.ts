// Names of core/crypto; nothing else.
export { aesGcmOpen, aesGcmSeal } from './aes-gcm.ts'
export { constantTimeEqual } from './compare.ts'
export { keccak256, sha1, sha256, sha3_512, sha3_512Stream, sha512 } from './hash.ts'
export { privateKeyFromPem } from './keys.ts'
export { nodeCrypto } from './node-crypto.ts'
export { decryptSync, encryptForSync, type RandomBytes, rsaSignSync, rsaVerifySync } from './rsa.ts'
