// RSA as the network uses it: PKCS#1 v1.5 signatures with SHA-512 and OpenDHT's hybrid encryption, in a synchronous form for
// test crypto and in pieces for node-crypto.ts. docs/protocol/01 §5.2, §5.3. Proof: crypto/rsa.test.ts (captured vectors).
import { constants, getRandomValues, type KeyObject, privateDecrypt, publicEncrypt, sign, verify } from 'node:crypto'
import { JamiError } from '../base/errors.ts'
import { concatBytes } from '../codec/bytes.ts'
import type { PrivateKey } from '../contracts/identity.ts'
import { aesGcmOpen, aesGcmSeal } from './aes-gcm.ts'
import { asBuffer, privateKeyObject, rsaPublicKey } from './keys.ts'

/** So many fresh bytes. */
export type RandomBytes = (length: number) => Uint8Array

const secureBytes: RandomBytes = (length) => getRandomValues(new Uint8Array(length))
/** 00 02, at least 8 bytes of padding, 00. */
const PADDING_BYTES = 11
const AES_KEY_BYTES = 32

/** PKCS#1 v1.5 with SHA-512 over exactly `bytes`. Takes milliseconds: the Crypto contract does it off the loop. */
export function rsaSignSync(key: PrivateKey, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(sign('sha512', asBuffer(bytes), privateKeyObject(key)))
}

/** False for malformed keys and signatures, too. */
export function rsaVerifySync(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean {
  const key = rsaPublicKey(publicKey)
  return key !== undefined && verify('sha512', asBuffer(bytes), key, asBuffer(signature))
}

/** @param random source of padding, content key and IV. @throws ERR_ARGUMENT when the key is not RSA */
export function encryptForSync(publicKey: Uint8Array, plain: Uint8Array, random: RandomBytes = secureBytes): Uint8Array {
  const key = rsaPublicKey(publicKey)
  if (!key) throw new JamiError('ERR_ARGUMENT', 'public key: got something else, allowed an RSA key of 2048 to 8192 bits with an odd exponent of at most 32 bits (SPKI DER)')
  const size = modulusBytes(key)
  if (plain.length <= size - PADDING_BYTES) return wrap(key, size, plain, random)
  const contentKey = random(AES_KEY_BYTES)
  return concatBytes(wrap(key, size, contentKey, random), aesGcmSeal(contentKey, plain, random(12)))
}

/** @throws ERR_SIGNATURE, the same for every reason */
export function decryptSync(key: PrivateKey, ciphertext: Uint8Array): Uint8Array {
  const object = privateKeyObject(key)
  const { block, rest } = splitCiphertext(object, ciphertext)
  return openBlock(rawDecrypt(object, block), rest)
}

/** First the RSA block, then what the key inside it opens. @throws ERR_SIGNATURE */
export function splitCiphertext(key: KeyObject, ciphertext: Uint8Array): { block: Uint8Array; rest: Uint8Array } {
  const size = modulusBytes(key)
  if (size === 0 || ciphertext.length < size) throw closed()
  return { block: ciphertext.subarray(0, size), rest: ciphertext.subarray(size) }
}

/** The bare RSA operation; undefined when the block is not below the modulus. */
function rawDecrypt(key: KeyObject, block: Uint8Array): Uint8Array | undefined {
  try {
    return new Uint8Array(privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, asBuffer(block)))
  } catch {
    return undefined
  }
}

/** Strips the padding (without branches on secret bytes) and opens the rest, if any. @throws ERR_SIGNATURE */
export function openBlock(padded: Uint8Array | undefined, rest: Uint8Array): Uint8Array {
  const inner = padded && unpad(padded)
  if (!inner) throw closed()
  if (rest.length === 0) return inner
  if (inner.length !== 16 && inner.length !== 24 && inner.length !== 32) throw closed()
  return aesGcmOpen(inner, rest)
}

function unpad(block: Uint8Array): Uint8Array | undefined {
  let bad = (block[0] as number) | ((block[1] as number) ^ 2)
  let found = 0 // 1 once the separator was seen
  let start = 0
  for (let i = 2; i < block.length; i++) {
    const isZero = (((block[i] as number) - 1) >>> 31) & 1
    const first = isZero & (found ^ 1)
    start |= -first & (i + 1)
    found |= isZero
  }
  bad |= found ^ 1
  bad |= (start - PADDING_BYTES) >>> 31 // fewer than 8 padding bytes
  return bad === 0 ? block.slice(start) : undefined
}

function wrap(key: KeyObject, size: number, message: Uint8Array, random: RandomBytes): Uint8Array {
  const block = new Uint8Array(size)
  block[1] = 2
  const padding = size - 3 - message.length
  let at = 2
  while (at < 2 + padding) for (const byte of random(2 + padding - at)) if (byte !== 0) block[at++] = byte
  block.set(message, at + 1)
  return new Uint8Array(publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, block))
}

function modulusBytes(key: KeyObject): number {
  return Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
}

function closed(): JamiError {
  return new JamiError('ERR_SIGNATURE', 'the encrypted data does not open')
}
