// Slow cryptography as a contract: the real one keeps RSA and Argon2 off the event loop, the test one is synchronous inside.
// Hashes and AES are plain functions of core/crypto. Types only. Real: core/crypto/node-crypto.ts.
// Double: core/testing/test-crypto.ts. Suite: testing/suites/crypto.ts. Source: docs/protocol/01 §5.2–5.5.
import type { PrivateKey } from './identity.ts'

/** The slow part of cryptography. Everything may take milliseconds to seconds of another thread. */
export interface Crypto {
  /** A new RSA key: a second of another thread for 4096 bits. */
  generateKey(bits: 2048 | 4096): Promise<PrivateKey>
  /** RSA PKCS#1 v1.5 with SHA-512 over exactly `bytes`. */
  sign(key: PrivateKey, bytes: Uint8Array): Promise<Uint8Array>
  /**
   * RSA PKCS#1 v1.5 with SHA-512; `publicKey` is SPKI DER. Malformed signatures give false, and so do keys that no honest peer has: other
   * than RSA of 2048 to 8192 bits with an odd public exponent of 3 to 2^32 - 1 (a long one makes a single verification take seconds).
   */
  verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): Promise<boolean>
  /** OpenDHT's hybrid encryption for an RSA public key (SPKI DER). @throws ERR_ARGUMENT when it is not RSA within the bounds of `verify` */
  encryptFor(publicKey: Uint8Array, plaintext: Uint8Array): Promise<Uint8Array>
  /** Reverse of `encryptFor`. @throws ERR_SIGNATURE when it does not open */
  decrypt(key: PrivateKey, ciphertext: Uint8Array): Promise<Uint8Array>
  /** Argon2i (not id: the archives of the network use it, docs/protocol/03 §3.1), version 0x13. */
  argon2i(password: Uint8Array, salt: Uint8Array, options: { passes: number; memoryKib: number; lanes: number; length: number }): Promise<Uint8Array>
}
