// Hash functions, one call each. Pure and synchronous; node:crypto except Keccak, which Node does not have.
// docs/protocol/01 §1.2, 03 §1.1. Proof: crypto/hash.test.ts.
import { createHash, getHashes, hash } from 'node:crypto'
import { keccak_256, sha3_512 as nobleSha3 } from '@noble/hashes/sha3.js'

function nodeHash(algorithm: string, bytes: Uint8Array): Uint8Array {
  const digest = hash(algorithm, bytes, 'buffer')
  return new Uint8Array(digest.buffer, digest.byteOffset, digest.length)
}

/** 20 bytes. For ids only: no proof of anything against somebody who chooses the input. */
export function sha1(bytes: Uint8Array): Uint8Array {
  return nodeHash('sha1', bytes)
}

/** 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return nodeHash('sha256', bytes)
}

/** 64 bytes. */
export function sha512(bytes: Uint8Array): Uint8Array {
  return nodeHash('sha512', bytes)
}

/** 64 bytes. */
export function sha3_512(bytes: Uint8Array): Uint8Array {
  return nodeHash('sha3-512', bytes)
}

/** Keccak-256 with the original padding (Ethereum), not SHA3-256. */
export function keccak256(bytes: Uint8Array): Uint8Array {
  return keccak_256(bytes)
}

/** SHA3-512 of bytes that come one after the other: `update` them, then `digest` once, 64 bytes. */
export function sha3_512Stream(): { update(bytes: Uint8Array): void; digest(): Uint8Array } {
  const hashing = getHashes().includes('sha3-512') ? createHash('sha3-512') : nobleSha3.create() // runtimes on BoringSSL have none
  return {
    update: (bytes) => void hashing.update(bytes),
    digest: () => new Uint8Array(hashing.digest()),
  }
}
