// From the contract's keys to node:crypto's, and the bounds on keys that others choose. docs/protocol/01 §5.1.
// Proof: crypto/rsa.test.ts.
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { JamiError } from '../base/errors.ts'
import type { PrivateKey } from '../contracts/identity.ts'
import { sha256 } from './hash.ts'

/** Moduli outside are refused: smaller ones are weak (GnuTLS profile MEDIUM), larger ones cost a verifier too much. */
export const RSA_BITS = { min: 2048, max: 8192 } as const
/** Public exponents outside are refused: verifying costs by their length, and whoever makes the key chooses it. Real keys have 65537. */
export const RSA_EXPONENT = { min: 3n, max: 0xffff_ffffn } as const
/** An RSA-8192 SPKI has 1062 bytes. */
const MAX_SPKI_BYTES = 1100
const MAX_CACHED_KEYS = 512

const cache = new Map<string, KeyObject>() // bounded by MAX_CACHED_KEYS, oldest out first
const privateKeys = new WeakMap<PrivateKey, KeyObject>()

/** The key object of an acceptable RSA public key (`isAcceptableRsa`), else undefined. */
export function rsaPublicKey(spki: Uint8Array): KeyObject | undefined {
  if (spki.length > MAX_SPKI_BYTES) return undefined
  const digest = sha256(spki)
  const name = Buffer.from(digest.buffer, digest.byteOffset, digest.length).toString('latin1')
  const known = cache.get(name)
  if (known) return known
  let key: KeyObject
  try {
    key = createPublicKey({ key: asBuffer(spki), format: 'der', type: 'spki' })
  } catch {
    return undefined
  }
  if (!isAcceptableRsa(key)) return undefined
  if (cache.size >= MAX_CACHED_KEYS) for (const oldest of cache.keys()) {
    cache.delete(oldest)
    break
  }
  cache.set(name, key)
  return key
}

/** RSA (not PSS) with a modulus in RSA_BITS and an odd exponent in RSA_EXPONENT: what may be used of a key that others chose. */
export function isAcceptableRsa(key: KeyObject): boolean {
  return isAffordableRsa(key) && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_BITS.min
}

/** RSA that costs a verifier what real keys cost, strong or not. */
export function isAffordableRsa(key: KeyObject): boolean {
  const { modulusLength: bits = 0, publicExponent: e = 0n } = key.asymmetricKeyDetails ?? {}
  return key.asymmetricKeyType === 'rsa' && bits <= RSA_BITS.max && e >= RSA_EXPONENT.min && e <= RSA_EXPONENT.max && (e & 1n) === 1n
}

/** @throws ERR_ARGUMENT when the PEM is none */
export function privateKeyObject(key: PrivateKey): KeyObject {
  let object = privateKeys.get(key)
  if (!object) {
    object = readPem(key.pem)
    privateKeys.set(key, object)
  }
  return object
}

/** @throws ERR_ARGUMENT when the text is not an unencrypted private key. The text itself never appears in the error. */
export function privateKeyFromPem(pem: string): PrivateKey {
  const object = readPem(pem)
  const key = privateKeyOf(object)
  privateKeys.set(key, object)
  return key
}

function readPem(pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch {
    throw new JamiError('ERR_ARGUMENT', 'private key: got something else, allowed an unencrypted PKCS#8 PEM')
  }
}

/** The contract's form of a key object. */
export function privateKeyOf(object: KeyObject): PrivateKey {
  const spki = createPublicKey(object).export({ format: 'der', type: 'spki' })
  const pem = object.export({ format: 'pem', type: 'pkcs8' })
  return { pem: String(pem), publicKey: new Uint8Array(spki) }
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
