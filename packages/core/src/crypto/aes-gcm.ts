// OpenDHT's symmetric form: IV (12) ‖ ciphertext ‖ tag (16), AES-GCM without associated data. docs/protocol/01 §5.4.
// Proof: crypto/aes-gcm.test.ts.
import { createCipheriv, createDecipheriv, getRandomValues } from 'node:crypto'
import { JamiError } from '../base/errors.ts'
import { concatBytes } from '../codec/bytes.ts'

const IV_BYTES = 12
const TAG_BYTES = 16

function algorithm(key: Uint8Array): 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm' {
  if (key.length === 16) return 'aes-128-gcm'
  if (key.length === 24) return 'aes-192-gcm'
  if (key.length === 32) return 'aes-256-gcm'
  throw new JamiError('ERR_ARGUMENT', `AES key: got ${key.length} bytes, allowed 16, 24 or 32`)
}

/** @param iv 12 bytes, fresh for every call with a key; random when left out. @throws ERR_ARGUMENT */
export function aesGcmSeal(key: Uint8Array, plain: Uint8Array, iv: Uint8Array = getRandomValues(new Uint8Array(IV_BYTES))): Uint8Array {
  if (iv.length !== IV_BYTES) throw new JamiError('ERR_ARGUMENT', `AES-GCM IV: got ${iv.length} bytes, allowed ${IV_BYTES}`)
  const cipher = createCipheriv(algorithm(key), key, iv)
  return concatBytes(iv, cipher.update(plain), cipher.final(), cipher.getAuthTag())
}

/** @throws ERR_SIGNATURE when it does not open (too short included), ERR_ARGUMENT for a key of a wrong length */
export function aesGcmOpen(key: Uint8Array, sealed: Uint8Array): Uint8Array {
  const name = algorithm(key)
  if (sealed.length < IV_BYTES + TAG_BYTES) throw new JamiError('ERR_SIGNATURE', 'the encrypted data does not open')
  const decipher = createDecipheriv(name, key, sealed.subarray(0, IV_BYTES))
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
  const body = decipher.update(sealed.subarray(IV_BYTES, sealed.length - TAG_BYTES))
  try {
    return concatBytes(body, decipher.final())
  } catch {
    throw new JamiError('ERR_SIGNATURE', 'the encrypted data does not open')
  }
}
