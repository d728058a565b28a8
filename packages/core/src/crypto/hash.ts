// Hash functions, one call each. Pure and synchronous; node:crypto except Keccak, which Node does not have.
// docs/protocol/01 §1.2, 03 §1.1. Proof: crypto/hash.test.ts.
import { hash } from 'node:crypto'
import { keccak_256 } from '@noble/hashes/sha3.js'

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
